//! One client's session: what it missed, and the response or WebSocket that it is written to.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::super::script::write_number;
use super::{AtmosphereOptions, Listen};
use crate::heartbeat::{Deadline, Instant};
use crate::settings::timer_millis;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// The transport by which a client receives.
///
/// ```
/// assert_ne!(pushline::comet::atmosphere::AtmosphereTransport::Sse, pushline::comet::atmosphere::AtmosphereTransport::Streaming);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtmosphereTransport {
    /// A message a frame.
    WebSocket,
    /// A message an event.
    Sse,
    /// One long response.
    Streaming,
    /// A response that ends with its first messages.
    LongPolling,
}

/// Names one response or WebSocket of a session.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::HttpRequest;
/// use pushline::comet::atmosphere::{AtmosphereOptions, AtmosphereReply, AtmosphereService, AtmosphereSession};
///
/// let request = HttpRequest::new("GET", "?X-Atmosphere-Transport=sse", &[], b"");
/// let AtmosphereReply::Listen(listen) = AtmosphereService::new().route(&request) else { panic!("it listens") };
/// let mut session = AtmosphereSession::new("abc", AtmosphereOptions::new(), Duration::ZERO);
/// let older = session.receive(&listen, Duration::ZERO);
/// assert_ne!(older, session.receive(&listen, Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AtmosphereTicket(u64);

/// A client fetches what it is sent too slowly: a limit of [`AtmosphereOptions`] is reached. Or its session is closed.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::atmosphere::{AtmosphereOptions, AtmosphereSession, TooSlow};
///
/// let mut session = AtmosphereSession::new("abc", AtmosphereOptions::new().max_messages(0), Duration::ZERO);
/// assert_eq!(session.send("a".into(), Duration::ZERO), Err(TooSlow));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client fetches its messages too slowly")
    }
}

impl core::error::Error for TooSlow {}

/// A client's session, over whichever transport. Its identifier is a secret: 128 random bits of the caller's.
///
/// [`receive`](Self::receive), [`cut`](Self::cut), [`send`](Self::send) and [`close`](Self::close) tell it what happens;
/// [`next_frame`](Self::next_frame), asked until it gives nothing after each of them and at
/// [`next_deadline`](Self::next_deadline), says what to write. It reads no clock and holds no connection.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::HttpRequest;
/// use pushline::comet::atmosphere::{AtmosphereOptions, AtmosphereReply, AtmosphereService, AtmosphereSession};
///
/// let target = "?X-Atmosphere-Transport=long-polling&X-atmo-protocol=true&X-Atmosphere-TrackMessageSize=true";
/// let AtmosphereReply::Listen(listen) = AtmosphereService::new().route(&HttpRequest::new("GET", target, &[], b"")) else { panic!("it listens") };
///
/// let now = Duration::ZERO;
/// let mut session = AtmosphereSession::new("abc", AtmosphereOptions::new(), now);
/// session.send("héllo 😀".into(), now)?;
/// let poll = session.receive(&listen, now);
/// let mut body = Vec::new();
/// assert_eq!(session.next_frame(poll, now, &mut body), Some(true));
/// assert_eq!(body, b"8|abc|0|X|");
///
/// let poll = session.receive(&Listen { greet: false, ..listen }, now);
/// body.clear();
/// assert_eq!(session.next_frame(poll, now, &mut body), Some(true));
/// assert_eq!(String::from_utf8_lossy(&body), "8|héllo 😀");
/// # use pushline::comet::atmosphere::{Listen, TooSlow};
/// # Ok::<(), TooSlow>(())
/// ```
#[derive(Clone, Debug)]
pub struct AtmosphereSession<I> {
    id: Box<str>,
    config: AtmosphereOptions,
    queue: VecDeque<Arc<str>>,
    queued: usize,
    receiver: Option<Receiver<I>>,
    /// Runs while there is no receiver, and from the close on.
    idle: Deadline<I>,
    tickets: u64,
    closed: bool,
    /// A connection was cut, or given up: the client may take the first message of the next for a greeting.
    wary: bool,
}

#[derive(Clone, Debug)]
struct Receiver<I> {
    ticket: AtmosphereTicket,
    transport: AtmosphereTransport,
    greet: bool,
    blank: bool,
    track: bool,
    every: Duration,
    heartbeat: Deadline<I>,
    /// Runs while something waits to be written to it.
    stall: Deadline<I>,
}

impl<I: Instant> AtmosphereSession<I> {
    /// A session that nobody listens at yet.
    #[must_use]
    pub fn new(id: &str, config: AtmosphereOptions, now: I) -> Self {
        Self {
            id: id.into(),
            config,
            queue: VecDeque::new(),
            queued: 0,
            receiver: None,
            idle: Deadline::new(now, config.timeout),
            tickets: 0,
            closed: false,
            wary: false,
        }
    }

    /// The client listens. A response that waits already ends: its client has given it up.
    pub fn receive(&mut self, listen: &Listen, now: I) -> AtmosphereTicket {
        self.tickets += 1;
        let ticket = AtmosphereTicket(self.tickets);
        // It may not be known yet that the older connection is cut.
        self.wary |= self.receiver.is_some();
        let every = listen.heartbeat.unwrap_or(self.config.heartbeat);
        let Listen { transport, greet, blank, track, .. } = *listen;
        let heartbeat = Deadline::of_beat(now, every);
        let stall = Deadline::default();
        self.receiver = Some(Receiver { ticket, transport, greet, blank, track, every, heartbeat, stall });
        self.waits(now);
        if !self.closed {
            self.idle.clear();
        }
        ticket
    }

    /// A connection is gone before its response has ended.
    pub fn cut(&mut self, ticket: AtmosphereTicket, now: I) {
        if self.receiver.as_ref().is_some_and(|receiver| receiver.ticket == ticket) {
            self.receiver = None;
            self.wary = true;
            self.idle = Deadline::new(now, self.config.timeout);
        }
    }

    /// A message for the client; one that is away gets it when it comes back.
    ///
    /// # Errors
    ///
    /// [`TooSlow`] if too much waits for it; close the session then, or leave it without this message. So it is once the
    /// session is closed.
    pub fn send(&mut self, message: Arc<str>, now: I) -> Result<(), TooSlow> {
        let queued = self.queued.saturating_add(message.len());
        if self.closed || self.queue.len() >= self.config.max_messages || queued > self.config.max_bytes {
            return Err(TooSlow);
        }
        self.queued = queued;
        self.queue.push_back(message);
        self.waits(now);
        Ok(())
    }

    /// Ends the session, once what was sent before is written.
    pub fn close(&mut self, now: I) {
        if !core::mem::replace(&mut self.closed, true) {
            let rest = if self.receiver.is_none() { Duration::ZERO } else { self.config.timeout };
            self.idle = Deadline::new(now, rest);
            self.waits(now);
        }
    }

    /// Ends a session that [is expired](Self::is_expired), for a host that cannot drop it yet: what waits is dropped, and a
    /// response that takes something after all ends.
    pub fn give_up(&mut self, now: I) {
        self.close(now);
        self.queue = VecDeque::new();
        self.queued = 0;
    }

    /// Something is to be written.
    fn waits(&mut self, now: I) {
        if let Some(receiver) =
            self.receiver.as_mut().filter(|receiver| receiver.transport != AtmosphereTransport::WebSocket)
        {
            receiver.stall.start(now, self.config.stall_timeout);
        }
    }

    /// Appends what is to be written to this response now, if anything, and answers whether it ends there. A WebSocket's
    /// message is one such piece.
    pub fn next_frame(&mut self, ticket: AtmosphereTicket, now: I, out: &mut Vec<u8>) -> Option<bool> {
        let Some(receiver) = self.receiver.as_mut().filter(|receiver| receiver.ticket == ticket) else {
            return Some(true);
        };
        receiver.stall.clear();
        if core::mem::take(&mut receiver.blank) {
            out.push(b' ');
            self.waits(now);
            return Some(false);
        }
        let is_poll = receiver.transport == AtmosphereTransport::LongPolling;
        let mut over = is_poll;
        if core::mem::take(&mut receiver.greet) {
            let (every, padding) = (timer_millis(self.config.client_heartbeat), self.config.padding);
            receiver.write(&format!("{}|{every}|{padding}|", self.id), out);
        } else if let Some(message) = self.queue.pop_front() {
            self.queued -= message.len();
            receiver.write(&message, out);
            // What has no lengths runs together.
            while is_poll
                && receiver.track
                && !self.wary
                && let Some(message) = self.queue.pop_front()
            {
                self.queued -= message.len();
                receiver.write(&message, out);
            }
            self.wary = false;
        } else if self.closed {
            over = true;
        } else if receiver.heartbeat.is_over(now) {
            let mut padding = [0; 4];
            receiver.write(self.config.padding.encode_utf8(&mut padding), out);
        } else {
            return None;
        }
        receiver.heartbeat = Deadline::of_beat(now, receiver.every);
        if over {
            self.receiver = None;
            let rest =
                if self.closed && self.queue.is_empty() { Duration::ZERO } else { self.config.timeout };
            self.idle = Deadline::new(now, rest);
        }
        self.waits(now);
        Some(over)
    }

    /// When to ask [`next_frame`](Self::next_frame) or [`is_expired`](Self::is_expired) even if nothing happens. While a response
    /// takes nothing, ask `is_expired` now and then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        match &self.receiver {
            Some(receiver) => receiver.heartbeat.next_deadline(),
            None => self.idle.next_deadline(),
        }
    }

    /// Whether the client has stayed away for too long, or the session is closed and all is written, or not fetched in time, or the
    /// client takes nothing of its response for [`AtmosphereOptions::stall_timeout`]: drop it.
    #[must_use]
    pub fn is_expired(&self, now: I) -> bool {
        self.receiver.as_ref().map_or(self.idle.is_over(now), |receiver| {
            let is_beat_late = || receiver.heartbeat.is_over_since(self.config.stall_timeout, now);
            receiver.transport != AtmosphereTransport::WebSocket
                && (receiver.stall.is_over(now) || is_beat_late())
        })
    }

    /// The identifier, which the client knows as its tracking id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many messages wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }
}

impl<I> Receiver<I> {
    fn write(&self, text: &str, out: &mut Vec<u8>) {
        if self.transport != AtmosphereTransport::Sse {
            return self.write_plain(text, out);
        }
        // An event stream has one kind of line end: the length is that of what the client gets.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut event = Vec::new();
        self.write_plain(&text, &mut event);
        for line in event.split(|&byte| byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }

    fn write_plain(&self, text: &str, out: &mut Vec<u8>) {
        if self.track {
            write_number(text.encode_utf16().count() as u64, out);
            out.push(b'|');
        }
        out.extend_from_slice(text.as_bytes());
    }
}
