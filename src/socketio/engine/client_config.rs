//! What a client is told, and what it asks for.

#[cfg(doc)]
use super::client::EngineClient;
use super::packet::EngineMessage;
use super::request::TransportKind;
use crate::heartbeat::CLOSE_TIMEOUT;
use crate::settings::settings;
use alloc::vec::Vec;
use core::time::Duration;

settings! {
    /// Where a client begins, and what it allows.
    ///
    /// ```
    /// use pushline::socketio::engine::{EngineClientOptions, TransportKind};
    ///
    /// let config = EngineClientOptions::new().transport(TransportKind::WebSocket);
    /// assert!(config.upgrade && config.max_queued == 10_000);
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    EngineClientOptions {
        /// The transport that the session begins on. Default polling, which gets through everywhere.
        pub transport: TransportKind = TransportKind::Polling;
        /// Whether a session on polling goes on on a WebSocket if the server offers that. Default true.
        pub upgrade: bool = true;
        /// Time that an upgrade may take; then its WebSocket is given up, and the session stays on polling. Default 10 s.
        pub upgrade_timeout: Duration = Duration::from_secs(10);
        /// Time that the handshake may take. Default 20 s.
        pub open_timeout: Duration = Duration::from_secs(20);
        /// Time that a session has for what is queued once it is closed; then it ends without that. Without it a server that
        /// answers nothing keeps its connections. Default 5 s.
        pub close_timeout: Duration = CLOSE_TIMEOUT;
        /// Bytes queued from which on no further message is taken. Default 4 MiB.
        pub max_queued_bytes: usize = 4 << 20;
        /// Messages queued at most. Default 10,000.
        pub max_queued: usize = 10_000;
    }
}

/// The next task of a host for an [`EngineClient`]: a request, a frame, a socket.
///
/// ```
/// use pushline::socketio::engine::{EngineClient, EngineClientOptions, Task};
/// use std::time::Duration;
///
/// let mut client = EngineClient::new(EngineClientOptions::new(), Duration::ZERO);
/// assert!(matches!(client.next_task(), Some(Task::Poll)));
/// assert!(client.next_task().is_none()); // until that is answered
/// ```
#[derive(Clone, Debug)]
pub enum Task {
    /// Send a GET for polling: [`EngineClient::polled`], or [`EngineClient::request_failed`].
    Poll,
    /// Send this as a POST: [`EngineClient::posted`], or [`EngineClient::request_failed`].
    Post(Vec<u8>),
    /// Open a WebSocket: [`EngineClient::socket_opened`], or [`EngineClient::socket_closed`].
    Open,
    /// Send this on the WebSocket.
    Frame(EngineMessage),
    /// Close the WebSocket; another may be opened later.
    CloseSocket,
}
