//! What a client is told, and what it asks for.

#[cfg(doc)]
use super::client::EngineClient;
use super::packet::EngineMessage;
use super::request::TransportKind;
use alloc::vec::Vec;
use core::time::Duration;

/// Where a client begins, and what it allows.
///
/// ```
/// use pushline::socketio::engine::{EngineClientOptions, TransportKind};
///
/// let config = EngineClientOptions::new().transport(TransportKind::WebSocket);
/// assert!(config.upgrade && config.max_queued == 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct EngineClientOptions {
    /// The transport that the session begins on. Default polling, which gets through everywhere.
    pub transport: TransportKind,
    /// Whether a session on polling goes on on a WebSocket if the server offers that. Default true.
    pub upgrade: bool,
    /// Time that an upgrade may take; then its WebSocket is given up, and the session stays on polling. Default 10 s.
    pub upgrade_timeout: Duration,
    /// Time that the handshake may take. Default 20 s.
    pub open_timeout: Duration,
    /// Bytes queued from which on no further message is taken. Default 4 MiB.
    pub max_queued_bytes: usize,
    /// Messages queued at most. Default 10,000.
    pub max_queued: usize,
}

impl EngineClientOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            transport: TransportKind::Polling,
            upgrade: true,
            upgrade_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(20),
            max_queued_bytes: 4 << 20,
            max_queued: 10_000,
        }
    }

    /// The transport that the session begins on.
    pub const fn transport(mut self, transport: TransportKind) -> Self {
        self.transport = transport;
        self
    }

    /// Whether a session on polling goes on on a WebSocket.
    pub const fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Time that an upgrade may take.
    pub const fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = timeout;
        self
    }

    /// Time that the handshake may take.
    pub const fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }
}

impl Default for EngineClientOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What an [`EngineClient`] wants done.
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
