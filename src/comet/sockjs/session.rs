//! One client's session: what waits to be sent, the one response that it is sent on, and when it ends.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::frame::{SockJsMessage, SockJsTransport, close_frame};
use crate::heartbeat::{Deadline, Instant};
use crate::settings::settings;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

settings! {
    /// Limits and times of a [`SockJsSession`].
    ///
    /// ```
    /// use pushline::comet::sockjs::SockJsOptions;
    ///
    /// assert_ne!(SockJsOptions::new().response_limit(4096), SockJsOptions::default());
    /// ```
    #[derive(Copy)]
    SockJsOptions {
        /// Bytes after which a streaming response ends and the client asks again. Default 128 KiB; the frame that reaches
        /// it is the last.
        ///
        /// The client keeps the whole response in memory: without a limit it grows without end.
        response_limit: usize = 128 << 10;
        /// Silence after which a heartbeat frame is sent. Default 25 seconds, which the protocol names. Zero sends none, and
        /// so does [`Duration::MAX`].
        heartbeat: Duration = Duration::from_secs(25);
        /// How long a session lives without a response to send on. Default 5 seconds, which the protocol names.
        ///
        /// Without it what vanished clients left behind is never released.
        timeout: Duration = Duration::from_secs(5);
        /// How long a response may take nothing although something waits to be written to it: a message, a heartbeat, the end.
        /// Default 50 seconds; then the session is [expired](SockJsSession::is_expired). A WebSocket has a write timeout of its own.
        ///
        /// Without it a client that reads nothing holds its session, and all that waits in it, for as long as its connection.
        stall_timeout: Duration = Duration::from_secs(50);
        /// Messages held for a client that does not fetch them. Default 1024.
        ///
        /// Without it a client that does not read makes the server hold all that it is sent.
        max_messages: usize = 1024;
        /// Bytes of messages held, escapes included. Default 1 MiB.
        ///
        /// Without it few large messages do what many small ones may not.
        max_bytes: usize = 1 << 20;
    }
}

/// Names one response of a session.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::sockjs::{SockJsOptions, SockJsSession, SockJsTransport};
///
/// let mut session = SockJsSession::new(SockJsOptions::new(), Duration::ZERO);
/// let ticket = session.receive(SockJsTransport::Xhr, Duration::ZERO)?;
/// let mut body = Vec::new();
/// assert_eq!(session.next_frame(Duration::ZERO, &mut body).map(|sent| sent.ticket), Some(ticket));
/// # Ok::<(), pushline::comet::sockjs::Busy>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockJsTicket(u64);

/// A frame that was appended, and the response that it is for.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::sockjs::{Sent, SockJsOptions, SockJsSession, SockJsTransport};
///
/// let mut session = SockJsSession::new(SockJsOptions::new(), Duration::ZERO);
/// let ticket = session.receive(SockJsTransport::XhrStreaming, Duration::ZERO)?;
/// let mut body = Vec::new();
/// // "o": a streaming response goes on behind it.
/// assert_eq!(session.next_frame(Duration::ZERO, &mut body), Some(Sent { ticket, last: false }));
/// # Ok::<(), pushline::comet::sockjs::Busy>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sent {
    /// The response.
    pub ticket: SockJsTicket,
    /// Whether the response ends here.
    pub last: bool,
}

/// Another response waits already. Answer with the transport's prelude and [`Busy::FRAME`].
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::sockjs::{Busy, SockJsOptions, SockJsSession, SockJsTransport};
///
/// let mut session = SockJsSession::new(SockJsOptions::new(), Duration::ZERO);
/// session.receive(SockJsTransport::XhrStreaming, Duration::ZERO)?;
/// assert_eq!(session.receive(SockJsTransport::Xhr, Duration::ZERO), Err(Busy));
/// assert_eq!(Busy::FRAME, "c[2010,\"Another connection still open\"]");
/// # Ok::<(), Busy>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Busy {
    /// The frame that the second response gets; it ends there.
    pub const FRAME: &str = "c[2010,\"Another connection still open\"]";
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another connection of the session is still open")
    }
}

impl core::error::Error for Busy {}

/// A message was not taken; here it is back.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::sockjs::{SockJsOptions, SockJsMessage, NotTaken, SockJsSession};
///
/// let mut session = SockJsSession::new(SockJsOptions::new().max_messages(0), Duration::ZERO);
/// assert_eq!(session.send(SockJsMessage::text("a"), Duration::ZERO), Err(NotTaken::Full(SockJsMessage::text("a"))));
/// session.close(3000, "Go away!", Duration::ZERO);
/// assert_eq!(session.send(SockJsMessage::text("a"), Duration::ZERO), Err(NotTaken::Closed(SockJsMessage::text("a"))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTaken {
    /// The client fetches too slowly: a limit of [`SockJsOptions`] is reached.
    Full(SockJsMessage),
    /// The session is closed.
    Closed(SockJsMessage),
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the client fetches its messages too slowly",
            Self::Closed(_) => "the session is closed",
        })
    }
}

impl core::error::Error for NotTaken {}

/// A client's session, over whichever transport.
///
/// [`receive`](Self::receive), [`cut`](Self::cut), [`send`](Self::send) and [`close`](Self::close) tell it what happens;
/// [`next_frame`](Self::next_frame), asked until it gives nothing after each of them and at
/// [`next_deadline`](Self::next_deadline), says what to write. It reads no clock and holds no connection.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::sockjs::{SockJsOptions, SockJsMessage, Sent, SockJsSession, SockJsTransport};
///
/// let now = Duration::ZERO;
/// let mut session = SockJsSession::new(SockJsOptions::new(), now);
/// let poll = session.receive(SockJsTransport::Xhr, now)?;
/// let mut body = Vec::new();
/// assert_eq!(session.next_frame(now, &mut body), Some(Sent { ticket: poll, last: true }));
/// assert_eq!(body, b"o\n");
///
/// session.send(SockJsMessage::text("one"), now)?;
/// session.send(SockJsMessage::text("two"), now)?;
/// let poll = session.receive(SockJsTransport::Jsonp("_jp.abc".into()), now)?;
/// body.clear();
/// assert_eq!(session.next_frame(now, &mut body), Some(Sent { ticket: poll, last: true }));
/// assert_eq!(body, b"/**/_jp.abc(\"a[\\\"one\\\",\\\"two\\\"]\");\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SockJsSession<I> {
    config: SockJsOptions,
    /// The open frame was sent.
    opened: bool,
    /// Code and reason.
    closed: Option<(u16, Box<str>)>,
    queue: VecDeque<SockJsMessage>,
    queued: usize,
    receiver: Option<Receiver<I>>,
    /// Runs while there is no receiver, and from the close on.
    idle: Deadline<I>,
    tickets: u64,
}

#[derive(Clone, Debug)]
struct Receiver<I> {
    ticket: SockJsTicket,
    transport: SockJsTransport,
    begun: bool,
    /// Bytes of frames that the response may still carry.
    left: usize,
    heartbeat: Deadline<I>,
    /// Runs while something waits to be written to it.
    stall: Deadline<I>,
}

impl<I: Instant> SockJsSession<I> {
    /// A session that nothing was sent on yet.
    #[must_use]
    pub fn new(config: SockJsOptions, now: I) -> Self {
        Self {
            config,
            opened: false,
            closed: None,
            queue: VecDeque::new(),
            queued: 0,
            receiver: None,
            idle: Deadline::new(now, config.timeout),
            tickets: 0,
        }
    }

    /// The client asked for frames: a request of a receiving transport came, or a WebSocket was opened.
    ///
    /// # Errors
    ///
    /// [`Busy`] if it has asked already, and waits.
    pub fn receive(&mut self, transport: SockJsTransport, now: I) -> Result<SockJsTicket, Busy> {
        if self.receiver.is_some() {
            return Err(Busy);
        }
        self.tickets += 1;
        let ticket = SockJsTicket(self.tickets);
        let left = if transport.is_limited() { self.config.response_limit } else { usize::MAX };
        let mut heartbeat = Deadline::of_beat(now, self.config.heartbeat);
        if transport == SockJsTransport::RawWebSocket {
            heartbeat.clear(); // it has pings
        }
        self.receiver =
            Some(Receiver { ticket, transport, begun: false, left, heartbeat, stall: Deadline::default() });
        self.waits(now);
        if !self.is_closed() {
            self.idle.clear();
        }
        Ok(ticket)
    }

    /// A response's connection is gone before the response has ended. What was written to it has perhaps not arrived,
    /// so the session is closed: 1002, "Connection interrupted".
    pub fn cut(&mut self, ticket: SockJsTicket, now: I) {
        if self.receiver.as_ref().is_some_and(|receiver| receiver.ticket == ticket) {
            self.receiver = None;
            self.opened = true;
            self.close(1002, "Connection interrupted", now);
            self.queue = VecDeque::new();
            self.queued = 0;
        }
    }

    /// A message for the client.
    ///
    /// # Errors
    ///
    /// [`NotTaken`], with the message in it.
    pub fn send(&mut self, message: SockJsMessage, now: I) -> Result<(), NotTaken> {
        if self.is_closed() {
            return Err(NotTaken::Closed(message));
        }
        let queued = self.queued.saturating_add(message.literal().len());
        if self.queue.len() >= self.config.max_messages || queued > self.config.max_bytes {
            return Err(NotTaken::Full(message));
        }
        self.queued = queued;
        self.queue.push_back(message);
        self.waits(now);
        Ok(())
    }

    /// Closes the session: the client gets what was sent before, then this code and reason, as often as it asks until
    /// the session's time is out. A session that is closed stays closed as it was.
    pub fn close(&mut self, code: u16, reason: &str, now: I) {
        if !self.is_closed() {
            self.closed = Some((code, reason.into()));
            self.idle = Deadline::new(now, self.config.timeout);
            self.waits(now);
        }
    }

    /// Ends a session that [is expired](Self::is_expired), for a host that cannot drop it yet: what waits is dropped. A response
    /// that takes something after all is told 1002, "Connection interrupted".
    pub fn give_up(&mut self, now: I) {
        self.close(1002, "Connection interrupted", now);
        self.queue = VecDeque::new();
        self.queued = 0;
    }

    /// Something is to be written.
    fn waits(&mut self, now: I) {
        if let Some(receiver) = self.receiver.as_mut().filter(|receiver| !receiver.transport.is_websocket()) {
            receiver.stall.start(now, self.config.stall_timeout);
        }
    }

    /// Appends the next frame to `out`, with what its transport puts around it; the prelude of a response comes by
    /// itself. `None` if there is nothing to write now.
    pub fn next_frame(&mut self, now: I, out: &mut Vec<u8>) -> Option<Sent> {
        let receiver = self.receiver.as_mut()?;
        let ticket = receiver.ticket;
        receiver.stall.clear();
        if !core::mem::replace(&mut receiver.begun, true) && receiver.transport.write_prelude(out) {
            self.waits(now);
            return Some(Sent { ticket, last: false });
        }
        let start = out.len();
        let mut over = receiver.transport.is_polling();
        let plain = receiver.transport == SockJsTransport::RawWebSocket;
        let mut told = false;
        if !self.opened && !plain {
            receiver.transport.write_frame("o", out);
            self.opened = true;
        } else if plain && let Some(message) = self.queue.pop_front() {
            self.queued -= message.literal().len();
            out.extend_from_slice(message.to_text().as_bytes());
        } else if !self.queue.is_empty() {
            let mut frame = String::with_capacity(self.queued + self.queue.len() + 2);
            frame.push_str("a[");
            for (at, message) in self.queue.drain(..).enumerate() {
                frame.push_str(if at > 0 { "," } else { "" });
                frame.push_str(message.literal());
            }
            frame.push(']');
            self.queued = 0;
            receiver.transport.write_frame(&frame, out);
        } else if let Some((code, reason)) = &self.closed {
            if !plain {
                receiver.transport.write_frame(&close_frame(*code, reason), out);
            }
            (over, told) = (true, true);
        } else if receiver.heartbeat.is_over(now) && !plain {
            receiver.transport.write_frame("h", out);
        } else {
            return None;
        }
        receiver.left = receiver.left.saturating_sub(out.len() - start);
        if !plain {
            receiver.heartbeat = Deadline::of_beat(now, self.config.heartbeat);
        }
        let last = over || receiver.left == 0;
        if last {
            self.receiver = None;
            // One that is to be told that the session is closed has its time to come for that.
            if !told {
                self.idle = Deadline::new(now, self.config.timeout);
            }
        }
        self.waits(now);
        Some(Sent { ticket, last })
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

    /// Whether the session is closed: nothing more is sent on it but the close frame.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The code and reason that the session was closed with: a plain WebSocket has them in its close frame.
    #[must_use]
    pub fn closed(&self) -> Option<(u16, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, &**reason))
    }

    /// Whether the client has stayed away for too long, or has had the time to see that the session is closed, or takes nothing of
    /// its response for [`SockJsOptions::stall_timeout`]: drop it.
    #[must_use]
    pub fn is_expired(&self, now: I) -> bool {
        self.receiver.as_ref().map_or(self.idle.is_over(now), |receiver| {
            let is_beat_late = || receiver.heartbeat.is_over_since(self.config.stall_timeout, now);
            !receiver.transport.is_websocket() && (receiver.stall.is_over(now) || is_beat_late())
        })
    }

    /// How many messages wait to be sent.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }
}
