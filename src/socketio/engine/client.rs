//! The client's side of a session (Engine.IO 4): handshake over either transport, polls and POSTs one at a time, the
//! upgrade with its probe, the heartbeat that it waits for.
#![allow(clippy::arithmetic_side_effects, reason = "counts what is held, which a limit bounds")]

use super::client_config::{EngineClientOptions, Task};
use super::packet::{Data, EngineFrame, EngineMessage, EnginePacket, InvalidEnginePacket};
use super::queue::Queue;
use super::request::TransportKind;
use super::words::{EngineCloseReason, SendError};
use crate::heartbeat::{Deadline, Instant};
use crate::json;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade<I> {
    /// There is none, or it has failed or succeeded.
    No,
    /// `2probe` was not answered yet.
    Probing(Deadline<I>),
    /// `3probe` came: once no request is under way, `5` goes.
    Pausing(Deadline<I>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Closing,
    Closed(EngineCloseReason),
}

/// A session, on a client. Input (`polled`, `posted`, `request_failed`, `socket_opened`, `packet`, `socket_closed`),
/// commands (`send`, `close`), output (`next_task`) and time (`tick`, `next_deadline`): after any of the others, ask for
/// output.
///
/// ```
/// use pushline::socketio::engine::{EngineClient, EngineClientOptions, Data, EngineMessage, Task, records};
/// use std::time::Duration;
///
/// let now = Duration::ZERO; // a virtual clock
/// let mut client = EngineClient::new(EngineClientOptions::new().upgrade(false), now);
/// assert!(matches!(client.next_task(), Some(Task::Poll)));
/// let answer = r#"0{"sid":"s1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
/// client.polled(200);
/// for packet in records(answer) {
///     client.packet(packet, now);
/// }
/// assert_eq!(client.sid(), Some("s1"));
/// client.send(EngineMessage::text("hello"))?;
/// let tasks: Vec<Task> = core::iter::from_fn(|| client.next_task()).collect();
/// assert!(matches!(&tasks[..], [Task::Poll, Task::Post(body)] if body == b"4hello"));
/// # Ok::<(), pushline::socketio::engine::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EngineClient<I> {
    config: EngineClientOptions,
    state: State,
    transport: TransportKind,
    sid: String,
    upgrade: Upgrade<I>,
    /// Whether a request of either kind is under way.
    polling: bool,
    posting: bool,
    tasks: VecDeque<Task>,
    queue: Queue,
    max_payload: usize,
    /// Interval and timeout of the heartbeat together.
    patience: Duration,
    /// The handshake, or the next ping, is due.
    deadline: Deadline<I>,
    /// What a closed session still has to send is to be sent.
    closing: Deadline<I>,
}

impl<I: Instant> EngineClient<I> {
    /// A session to be opened.
    #[must_use]
    pub fn new(config: EngineClientOptions, now: I) -> Self {
        let first = match config.transport {
            TransportKind::Polling => Task::Poll,
            TransportKind::WebSocket => Task::Open,
        };
        Self {
            config,
            state: State::Opening,
            transport: config.transport,
            sid: String::new(),
            upgrade: Upgrade::No,
            polling: config.transport == TransportKind::Polling,
            posting: false,
            tasks: [first].into(),
            queue: Queue::default(),
            max_payload: usize::MAX,
            patience: Duration::MAX,
            deadline: Deadline::new(now, config.open_timeout),
            closing: Deadline::default(),
        }
    }

    /// The session's name, for the URLs of requests and of the WebSocket; `None` before the handshake.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        (!self.sid.is_empty()).then_some(&self.sid)
    }

    /// The transport that the session is on.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Whether the handshake is done, and messages are taken in both directions.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Why the session has ended; `None` while it has not.
    #[must_use]
    pub const fn closed(&self) -> Option<EngineCloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// A poll was answered; its [packets](Self::packet) follow.
    pub fn polled(&mut self, status: u16) {
        self.polling = false;
        if status != 200 {
            self.finish(EngineCloseReason::TransportError);
        }
    }

    /// A POST was answered.
    pub fn posted(&mut self, status: u16) {
        self.posting = false;
        if status != 200 {
            self.finish(EngineCloseReason::TransportError);
        }
    }

    /// A request got no answer. What was in it may have arrived or not, so the session is over.
    pub fn request_failed(&mut self) {
        self.finish(EngineCloseReason::TransportError);
    }

    /// The WebSocket is open. One that came too late is to be closed, which is the next task.
    pub fn socket_opened(&mut self) {
        match (self.transport, self.upgrade) {
            (TransportKind::WebSocket, _) => {}
            (_, Upgrade::Probing(_)) => self.tasks.push_back(Task::Frame(EngineMessage::fixed("2probe"))),
            _ => self.tasks.push_back(Task::CloseSocket),
        }
    }

    /// The WebSocket could not be opened, or is gone.
    pub fn socket_closed(&mut self) {
        match self.transport {
            TransportKind::WebSocket => self.finish(EngineCloseReason::TransportClose),
            TransportKind::Polling => self.upgrade = Upgrade::No, // the session stays where it is
        }
    }

    /// A packet came on the WebSocket: a text message [parsed](EnginePacket::parse), a binary one as [`EnginePacket::Message`]. What
    /// it says to the application, if anything.
    pub fn frame<'a>(
        &mut self,
        packet: Result<EnginePacket<'a>, InvalidEnginePacket>,
        now: I,
    ) -> Option<Data<'a>> {
        if self.transport == TransportKind::WebSocket {
            return self.packet(packet, now);
        }
        match (packet, self.upgrade) {
            (Ok(EnginePacket::Pong("probe")), Upgrade::Probing(deadline)) => {
                self.upgrade = Upgrade::Pausing(deadline);
            }
            (_, Upgrade::No) => {}
            _ => self.give_up(),
        }
        None
    }

    /// A packet came with the answer to a poll ([`records`](super::records)). What it says to the application, if
    /// anything.
    pub fn packet<'a>(
        &mut self,
        packet: Result<EnginePacket<'a>, InvalidEnginePacket>,
        now: I,
    ) -> Option<Data<'a>> {
        if matches!(self.state, State::Closed(_)) {
            return None;
        }
        match packet {
            Ok(EnginePacket::Open(handshake)) if self.state == State::Opening => {
                if self.open(handshake, now).is_none() {
                    self.finish(EngineCloseReason::ParseError);
                }
            }
            _ if self.state == State::Opening => self.finish(EngineCloseReason::ParseError), // nothing else comes before
            Ok(EnginePacket::Message(data)) => return (self.state == State::Open).then_some(data),
            Ok(EnginePacket::Ping(_)) => {
                self.deadline = Deadline::new(now, self.patience);
                // One answers them all: a server that pings without end makes nothing grow.
                let answered = |message: &EngineMessage| matches!(message.frame(), EngineFrame::Text("3"));
                if !self.queue.iter().next_back().is_some_and(answered) {
                    self.queue.push(EngineMessage::fixed("3"));
                }
            }
            Ok(EnginePacket::Close) => self.finish(EngineCloseReason::TransportClose),
            Ok(
                EnginePacket::Open(_) | EnginePacket::Pong(_) | EnginePacket::Upgrade | EnginePacket::Noop,
            ) => {}
            Err(InvalidEnginePacket) => self.finish(EngineCloseReason::ParseError),
        }
        None
    }

    /// "Handshake".
    fn open(&mut self, handshake: &str, now: I) -> Option<()> {
        let fields = json::check(handshake).ok()?.object()?;
        let number = |name: &str| fields.get(name)?.as_u64();
        let sid = fields.get("sid")?.string()?.plain()?; // it becomes a part of URLs
        let safe =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'=');
        if sid.is_empty() || sid.len() > 256 || !sid.bytes().all(safe) {
            return None;
        }
        self.sid = sid.into();
        let times = number("pingInterval")?.saturating_add(number("pingTimeout")?);
        self.patience = Duration::from_millis(times);
        self.max_payload = number("maxPayload").and_then(|bytes| bytes.try_into().ok()).unwrap_or(usize::MAX);
        self.deadline = Deadline::new(now, self.patience);
        self.state = State::Open;
        let offers = |mut upgrades: json::Array<'_>| {
            upgrades.any(|name| name.string().is_some_and(|name| name.is("websocket")))
        };
        let offered = fields.get("upgrades").and_then(|upgrades| upgrades.array()).is_some_and(offers);
        if offered && self.config.upgrade && self.transport == TransportKind::Polling {
            self.upgrade = Upgrade::Probing(Deadline::new(now, self.config.upgrade_timeout));
            self.tasks.push_back(Task::Open);
        }
        Some(())
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send(&mut self, message: EngineMessage) -> Result<(), SendError> {
        self.send_all([message])
    }

    /// Queues messages that belong next to one another: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send_all(&mut self, messages: impl IntoIterator<Item = EngineMessage>) -> Result<(), SendError> {
        if !matches!(self.state, State::Opening | State::Open) {
            return Err(SendError::Closed);
        }
        if !self.has_room() {
            return Err(SendError::Full);
        }
        self.queue.push_all(messages, self.transport == TransportKind::Polling)
    }

    /// Whether the queue takes another message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue.bytes() < self.config.max_queued_bytes && self.queue.len() < self.config.max_queued
    }

    /// Ends the session, once what is queued was sent, or after
    /// [`close_timeout`](EngineClientOptions::close_timeout) without that.
    pub fn close(&mut self) {
        match self.state {
            State::Open => {
                self.give_up();
                self.state = State::Closing;
                self.queue.push(EngineMessage::fixed("1"));
            }
            State::Opening => self.finish(EngineCloseReason::ForcedClose),
            State::Closing | State::Closed(_) => {}
        }
    }

    /// Ends the session for a fault of the server that a layer above has found.
    pub fn fail(&mut self) {
        self.finish(EngineCloseReason::ParseError);
    }

    /// Bytes of the messages that were not given out yet.
    #[must_use]
    pub const fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// What to do now; one a call, as long as there is something.
    pub fn next_task(&mut self) -> Option<Task> {
        if let Some(task) = self.tasks.pop_front() {
            return Some(task);
        }
        if self.state == State::Opening || matches!(self.state, State::Closed(_)) {
            return None;
        }
        if self.transport == TransportKind::WebSocket {
            if let Some(message) = self.queue.pop() {
                return Some(Task::Frame(message));
            }
            if self.state == State::Closing {
                self.finish(EngineCloseReason::ForcedClose);
                return self.tasks.pop_front();
            }
            return None;
        }
        if let Upgrade::Pausing(_) = self.upgrade {
            // "Upgrade": the client waits for its poll to end, which acknowledges what that was answered with.
            if self.polling || self.posting {
                return None;
            }
            self.upgrade = Upgrade::No;
            self.transport = TransportKind::WebSocket;
            return Some(Task::Frame(EngineMessage::fixed("5")));
        }
        if !self.polling && self.state == State::Open {
            self.polling = true;
            return Some(Task::Poll);
        }
        if self.posting {
            return None;
        }
        if !self.queue.is_empty() {
            self.posting = true;
            let mut body = Vec::new();
            self.queue.write_payload(usize::MAX, self.max_payload, &mut body);
            return Some(Task::Post(body));
        }
        if self.state == State::Closing {
            self.finish(EngineCloseReason::ForcedClose);
        }
        self.tasks.pop_front()
    }

    /// What is due: a handshake or a ping that did not come, an upgrade that takes too long.
    pub fn tick(&mut self, now: I) {
        if self.deadline.is_over(now) {
            self.finish(EngineCloseReason::PingTimeout);
        }
        if self.state == State::Closing {
            self.closing.start(now, self.config.close_timeout);
            if self.closing.is_over(now) {
                self.finish(EngineCloseReason::ForcedClose);
            }
        }
        if let Upgrade::Probing(deadline) | Upgrade::Pausing(deadline) = self.upgrade
            && deadline.is_over(now)
        {
            self.give_up();
        }
    }

    /// When to call [`tick`](Self::tick) and ask for output even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        let upgrade = match &self.upgrade {
            Upgrade::Probing(deadline) | Upgrade::Pausing(deadline) => deadline.next_deadline(),
            Upgrade::No => None,
        };
        let times = [self.deadline.next_deadline(), self.closing.next_deadline(), upgrade];
        times.into_iter().flatten().min()
    }

    /// The WebSocket will not be the session's.
    fn give_up(&mut self) {
        if self.upgrade != Upgrade::No {
            self.upgrade = Upgrade::No;
            self.tasks.retain(|task| !matches!(task, Task::Open | Task::Frame(_)));
            self.tasks.push_back(Task::CloseSocket);
        }
    }

    fn finish(&mut self, reason: EngineCloseReason) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let reason = if self.state == State::Closing { EngineCloseReason::ForcedClose } else { reason };
        self.state = State::Closed(reason);
        self.upgrade = Upgrade::No;
        self.deadline.clear();
        self.closing.clear();
        self.tasks = [Task::CloseSocket].into();
    }
}
