//! What a session says besides its answers: names of requests and sockets, why it ended, why it took no message.

#[cfg(doc)]
use super::{EngineOptions, EngineSession};
use core::fmt;

/// Names a request of a session, a poll or a POST, until it is answered.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, EngineSession};
/// use std::time::Duration;
///
/// let mut session = EngineSession::polling("sid", EngineOptions::new(), Duration::ZERO);
/// assert_ne!(session.poll(Duration::ZERO), session.post(Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineTicket(pub(super) u64);

/// Names a WebSocket of a session.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, EngineSession};
/// use std::time::Duration;
///
/// let (mut session, socket) = EngineSession::websocket("sid", EngineOptions::new(), Duration::ZERO);
/// assert!(session.next_frame(socket).is_some()); // the handshake
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub(super) u64);

/// The reason why a session has ended.
///
/// ```
/// use pushline::socketio::engine::EngineCloseReason;
///
/// assert_eq!(EngineCloseReason::PingTimeout.as_str(), "ping timeout");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineCloseReason {
    /// The client closed its socket or sent a close packet.
    TransportClose,
    /// A request was cut off, or came while another of its kind was under way.
    TransportError,
    /// The client sent what is no packet, or one that only a server sends.
    ParseError,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// [`EngineSession::close`] was called.
    ForcedClose,
}

impl EngineCloseReason {
    /// The reason as users of Socket.IO know it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ForcedClose => "forced close",
        }
    }
}

/// The reason why a message was not taken.
///
/// ```
/// use pushline::socketio::engine::{EngineOptions, EngineMessage, SendError, EngineSession};
/// use std::time::Duration;
///
/// let mut session = EngineSession::polling("sid", EngineOptions::new(), Duration::ZERO);
/// assert!(matches!(session.send(EngineMessage::text("a\u{1e}b")), Err(SendError::Separator)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closed.
    Closed,
    /// As much is queued as may be ([`EngineOptions::max_queued_bytes`], [`EngineOptions::max_queued`]): the client is slow.
    Full,
    /// The text has 0x1e in it, and would leave over polling, where this stands between packets.
    Separator,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session is closed",
            Self::Full => "the queue of a slow client is full",
            Self::Separator => "text with 0x1e in it cannot be sent over polling",
        })
    }
}

impl core::error::Error for SendError {}
