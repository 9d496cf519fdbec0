//! What a session has to say: answers to requests, messages to sockets.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::packet::{EngineMessage, SEPARATOR};
use super::session::{EngineSession, State};
use super::words::{EngineCloseReason, EngineTicket, SocketId};
use crate::heartbeat::Instant;
use alloc::vec::Vec;

/// What is said to a request at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Ok,
    Noop,
    Close,
    Refused,
    TooLarge,
}

/// The answer to a request.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, EngineSession};
/// use std::time::Duration;
///
/// let mut session = EngineSession::polling("sid", EngineOptions::new(), Duration::ZERO);
/// session.poll(Duration::ZERO);
/// let answer = session.next_answer(Duration::ZERO).expect("the handshake");
/// assert_eq!((answer.status(), answer.content_type()), (200, "text/plain; charset=UTF-8"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAnswer {
    ticket: EngineTicket,
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl EngineAnswer {
    /// The request that it answers.
    #[must_use]
    pub const fn ticket(&self) -> EngineTicket {
        self.ticket
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, without a copy.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// The next output of a WebSocket.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, EngineOutput, EngineSession};
/// use std::time::Duration;
///
/// let (mut session, socket) = EngineSession::websocket("sid", EngineOptions::new(), Duration::ZERO);
/// assert!(matches!(session.next_frame(socket), Some(EngineOutput::Message(_))));
/// session.close(Duration::ZERO);
/// assert!(matches!(session.next_frame(socket), Some(EngineOutput::Close)));
/// ```
#[derive(Clone, Debug)]
pub enum EngineOutput {
    /// Send this.
    Message(EngineMessage),
    /// Close it; the session has nothing more to do with it.
    Close,
}

const TEXT: &str = "text/plain; charset=UTF-8";

impl<I: Instant> EngineSession<I> {
    /// An answer to write now, if any; one a call, as long as there is one.
    pub fn next_answer(&mut self, now: I) -> Option<EngineAnswer> {
        self.tick(now);
        if let Some((ticket, said)) = self.ready.pop_front() {
            let (status, content_type, body): (_, _, &[u8]) = match said {
                Said::Ok => (200, "text/html", b"ok"),
                Said::Noop => (200, TEXT, b"6"),
                Said::Close => (200, TEXT, b"1"),
                Said::Refused => (400, "text/html", b""),
                Said::TooLarge => (413, "text/html", b""),
            };
            return Some(EngineAnswer { ticket, status, content_type, body: body.to_vec() });
        }
        let ticket = self.poll?;
        let closing = self.state == State::Closing;
        let mut body = Vec::new();
        if !self.queue.is_empty() {
            let (messages, bytes) = (self.config.max_answer, self.config.max_payload);
            self.retained = self.queue.write_payload(messages, bytes, &mut body);
        } else if !closing {
            let noop = self.probe.as_mut()?.noop.as_mut().filter(|noop| **noop <= now)?;
            *noop = now.saturating_add(self.config.noop_interval);
            body.push(b'6');
        }
        self.poll = None;
        self.answered = Some(ticket);
        if closing && self.queue.is_empty() && self.retained.len() < self.config.max_answer.max(1) {
            if !body.is_empty() {
                body.push(SEPARATOR);
            }
            body.push(b'1');
            self.finish(EngineCloseReason::ForcedClose);
        }
        Some(EngineAnswer { ticket, status: 200, content_type: TEXT, body })
    }

    /// What this WebSocket is to do now, if anything. Ask when it can be written to, so that what a slow client is
    /// still to get is counted here.
    pub fn next_frame(&mut self, socket: SocketId) -> Option<EngineOutput> {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.socket == socket) {
            let due = core::mem::take(&mut probe.pong_due);
            return due.then(|| EngineOutput::Message(EngineMessage::fixed("3probe")));
        }
        if self.socket != Some(socket) || matches!(self.state, State::Closed(_)) {
            return Some(EngineOutput::Close);
        }
        if let Some(message) = self.queue.pop() {
            return Some(EngineOutput::Message(message));
        }
        if self.state == State::Closing {
            self.finish(EngineCloseReason::ForcedClose);
            return Some(EngineOutput::Close);
        }
        None
    }
}
