//! A session as a state machine over requests, frames and time (Engine.IO 4, "Transports", "Upgrade", "Heartbeat").
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::config::EngineOptions;
use super::packet::{Data, EngineMessage, EnginePacket, InvalidEnginePacket};
use super::queue::Queue;
use super::request::TransportKind;
use super::words::{EngineCloseReason, EngineTicket, SendError, SocketId};
use crate::heartbeat::{Deadline, Instant};
use alloc::collections::VecDeque;
use alloc::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Closed by the server; what is queued still goes, and then the client is told.
    Closing,
    Closed(EngineCloseReason),
}

/// A WebSocket that wants to take the session over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<I> {
    pub(super) socket: SocketId,
    pub(super) deadline: Deadline<I>,
    /// Whether `2probe` came; from then on polls are ended, from this instant on.
    pub(super) noop: Option<I>,
    /// Whether `3probe` is still to be sent.
    pub(super) pong_due: bool,
}

/// One client's session, on a server. Getters, input (`poll`, `post`, `packet`, `posted`, `socket`, `frame`, `cut`,
/// `socket_closed`), commands (`send`, `close`), output (`next_answer`, `next_frame`) and time (`tick`,
/// `next_deadline`): after any of the others, ask for output.
///
/// Each message leaves once, in order: it is with one transport at a time. What the last poll was answered with is
/// retained until the next request shows that it arrived, and is sent again if its connection was cut.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, Data, EngineFrame, EngineMessage, EngineOutput, EngineSession, records};
/// use std::time::Duration;
///
/// let now = Duration::ZERO; // a virtual clock
/// let mut session = EngineSession::polling("sid", EngineOptions::new(), now);
/// let poll = session.poll(now);
/// let answer = session.next_answer(now).expect("the handshake");
/// assert!(answer.ticket() == poll && answer.body().starts_with(b"0{\"sid\":\"sid\""));
///
/// // POST "4hello": an echo.
/// let post = session.post(now);
/// for packet in records("4hello") {
///     if let Some(Data::Text(text)) = session.packet(post, packet, now) {
///         session.send(EngineMessage::text(text))?;
///     }
/// }
/// session.posted(post);
/// assert_eq!(session.next_answer(now).expect("its answer").body(), b"ok");
/// session.poll(now);
/// assert_eq!(session.next_answer(now).expect("the echo").body(), b"4hello");
/// # Ok::<(), pushline::socketio::engine::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EngineSession<I> {
    pub(super) config: Arc<EngineOptions>,
    pub(super) state: State,
    /// The socket that the session is on; else it is on polling.
    pub(super) socket: Option<SocketId>,
    pub(super) probe: Option<Probe<I>>,
    pub(super) poll: Option<EngineTicket>,
    pub(super) post: Option<EngineTicket>,
    /// Packets received with the POST.
    posted: usize,
    pub(super) queue: Queue,
    /// What the last poll was answered with.
    pub(super) retained: Queue,
    pub(super) answered: Option<EngineTicket>,
    /// Answers that do not wait: tickets and what is said to them.
    pub(super) ready: VecDeque<(EngineTicket, super::answer::Said)>,
    /// When the next ping is due, or the answer to the last one.
    pub(super) beat: I,
    pub(super) awaiting: bool,
    pub(super) closing: Deadline<I>,
    names: u64,
}

impl<I: Instant> EngineSession<I> {
    /// A session that begins with a poll: its handshake is queued, so call [`poll`](Self::poll) next. Many can share their
    /// options, behind an `Arc`.
    #[must_use]
    pub fn polling(sid: &str, config: impl Into<Arc<EngineOptions>>, now: I) -> Self {
        Self::new(sid, config.into(), true, now)
    }

    /// A session that begins on a WebSocket, whose first frame is the handshake.
    #[must_use]
    pub fn websocket(sid: &str, config: impl Into<Arc<EngineOptions>>, now: I) -> (Self, SocketId) {
        let mut session = Self::new(sid, config.into(), false, now);
        let socket = SocketId(session.name());
        session.socket = Some(socket);
        (session, socket)
    }

    fn new(sid: &str, config: Arc<EngineOptions>, upgrade: bool, now: I) -> Self {
        let open = EngineMessage::packet(config.open_packet(sid, upgrade));
        Self {
            beat: now.saturating_add(config.ping_interval),
            config,
            state: State::Open,
            socket: None,
            probe: None,
            poll: None,
            post: None,
            posted: 0,
            queue: Queue::of(open),
            retained: Queue::default(),
            answered: None,
            ready: VecDeque::new(),
            awaiting: false,
            closing: Deadline::default(),
            names: 0,
        }
    }

    /// A GET came. Another that is held makes it one too many: that ends the session.
    pub fn poll(&mut self, now: I) -> EngineTicket {
        let ticket = self.request(now);
        // "HTTP long-polling": two at a time end the session.
        if self.poll.is_some() {
            self.finish(EngineCloseReason::TransportError);
        }
        // What the client asks behind an answer shows that it has it.
        self.release();
        if self.socket.is_some() || matches!(self.state, State::Closed(_)) {
            self.answer(ticket, super::answer::Said::Refused);
        } else {
            self.poll = Some(ticket);
        }
        ticket
    }

    /// A POST came, whose body is to follow. One under way already makes it one too many: that ends the session.
    pub fn post(&mut self, now: I) -> EngineTicket {
        let ticket = self.request(now);
        // "HTTP long-polling": as with a GET.
        if self.post.is_some() {
            self.finish(EngineCloseReason::TransportError);
        }
        if self.socket.is_some() || matches!(self.state, State::Closed(_)) {
            self.answer(ticket, super::answer::Said::Refused);
        } else {
            self.post = Some(ticket);
            self.posted = 0;
        }
        ticket
    }

    /// A packet of a POST's body ([`records`](super::records)); what it says to the application, if anything.
    pub fn packet<'a>(
        &mut self,
        post: EngineTicket,
        packet: Result<EnginePacket<'a>, InvalidEnginePacket>,
        now: I,
    ) -> Option<Data<'a>> {
        if self.post != Some(post) {
            return None;
        }
        self.posted += 1;
        if self.posted > self.config.max_packets {
            self.finish(EngineCloseReason::ParseError);
            return None;
        }
        self.take(packet, now)
    }

    /// All of a POST's body was taken in.
    pub fn posted(&mut self, post: EngineTicket) {
        if self.post == Some(post) {
            self.post = None;
            self.answer(post, super::answer::Said::Ok);
        }
    }

    /// A POST's body is over [`EngineOptions::max_payload`], and was not taken in: 413, and the session lives on.
    pub fn too_large(&mut self, post: EngineTicket) {
        if self.post == Some(post) {
            self.post = None;
            self.answer(post, super::answer::Said::TooLarge);
        }
    }

    /// A request's connection was cut before its answer was written. A poll that is held, or a POST under way, takes
    /// the session with it, as clients expect. An answer given already goes to the next poll.
    pub fn cut(&mut self, ticket: EngineTicket) {
        if self.poll == Some(ticket) || self.post == Some(ticket) {
            self.poll = self.poll.filter(|&poll| poll != ticket);
            self.post = self.post.filter(|&post| post != ticket);
            self.finish(EngineCloseReason::TransportError);
        } else if self.answered == Some(ticket) && self.socket.is_none() {
            self.answered = None;
            self.queue.put_back(core::mem::take(&mut self.retained));
        }
    }

    /// A WebSocket was opened with this session's name. `None`: close it, nothing else happens. Only one at a time may
    /// try to take the session over.
    pub fn socket(&mut self, now: I) -> Option<SocketId> {
        self.tick(now);
        let takes = self.state == State::Open && self.socket.is_none() && self.probe.is_none();
        if !takes || !self.config.allow_upgrades {
            return None;
        }
        let socket = SocketId(self.name());
        let deadline = Deadline::new(now, self.config.upgrade_timeout);
        self.probe = Some(Probe { socket, deadline, noop: None, pong_due: false });
        Some(socket)
    }

    /// A message came on a WebSocket: a text one [parsed](EnginePacket::parse), a binary one as [`EnginePacket::Message`]. What it
    /// says to the application, if anything.
    pub fn frame<'a>(
        &mut self,
        socket: SocketId,
        packet: Result<EnginePacket<'a>, InvalidEnginePacket>,
        now: I,
    ) -> Option<Data<'a>> {
        if self.socket == Some(socket) {
            return self.take(packet, now);
        }
        let probe = self.probe.as_mut().filter(|probe| probe.socket == socket)?;
        // "Upgrade": `2probe`, then `5`.
        match (packet, probe.noop) {
            (Ok(EnginePacket::Ping("probe")), None) => {
                (probe.noop, probe.pong_due) = (Some(now), true);
            }
            (Ok(EnginePacket::Upgrade), Some(_)) => {
                // The client waited for its poll to end before it said so: it has what that was answered with.
                self.end_probe(now);
                self.socket = Some(socket);
                self.release();
                if let Some(poll) = self.poll.take() {
                    self.answer(poll, super::answer::Said::Noop);
                }
            }
            // Anything else: the probe has failed, and the session stays where it is.
            _ => self.end_probe(now),
        }
        None
    }

    /// A WebSocket is gone, or could not be written to.
    pub fn socket_closed(&mut self, socket: SocketId, now: I) {
        if self.socket == Some(socket) {
            self.finish(EngineCloseReason::TransportClose);
        } else if self.probe.is_some_and(|probe| probe.socket == socket) {
            self.end_probe(now);
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send(&mut self, message: EngineMessage) -> Result<(), SendError> {
        self.send_all([message])
    }

    /// Queues messages that belong next to one another: all of them, or none. A message is taken as long as less than
    /// the bounds is [unacknowledged](Self::unacknowledged), however large it is itself.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send_all(&mut self, messages: impl IntoIterator<Item = EngineMessage>) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        // What was answered counts, since it comes back if the answer is cut.
        let queued = self.queue.len() + self.retained.len();
        if self.queued_bytes() >= self.config.max_queued_bytes || queued >= self.config.max_queued {
            return Err(SendError::Full);
        }
        self.queue.push_all(messages, self.socket.is_none())
    }

    /// Why the session has ended; `None` while it has not.
    #[must_use]
    pub const fn closed(&self) -> Option<EngineCloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether messages are taken in both directions.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The transport that the session is on.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        if self.socket.is_some() { TransportKind::WebSocket } else { TransportKind::Polling }
    }

    /// Whether this WebSocket is the session's, or tries to be.
    #[must_use]
    pub fn has_socket(&self, socket: SocketId) -> bool {
        self.socket == Some(socket) || self.probe.is_some_and(|probe| probe.socket == socket)
    }

    /// Bytes of the messages that may not have arrived.
    #[must_use]
    pub const fn queued_bytes(&self) -> usize {
        self.queue.bytes() + self.retained.bytes()
    }

    /// Messages that may not have arrived: what the last poll was answered with, and what is queued.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &EngineMessage> {
        self.retained.iter().chain(self.queue.iter())
    }

    fn request(&mut self, now: I) -> EngineTicket {
        self.tick(now);
        EngineTicket(self.name())
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(super) fn answer(&mut self, ticket: EngineTicket, said: super::answer::Said) {
        self.ready.push_back((ticket, said));
    }

    fn release(&mut self) {
        self.retained = Queue::default();
        self.answered = None;
    }
}
