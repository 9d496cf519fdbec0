//! What both adapters can be told.

use crate::heartbeat::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use crate::inbox::READ_SIZE;
use crate::ws::Config;
use core::time::Duration;

/// The times and sizes of an adapter, and the [`Config`] of its connections.
///
/// ```
/// use std::time::Duration;
/// use pushline::adapter::Options;
/// use pushline::ws::Config;
///
/// let options = Options::new()
///     .config(Config::new().max_message(64 * 1024))
///     .ping_interval(Some(Duration::from_secs(15)));
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(crate) config: Config,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) ping_timeout: Duration,
    pub(crate) read_size: usize,
}

impl Options {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            config: Config::new(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            ping_interval: Some(PING_INTERVAL),
            ping_timeout: PING_TIMEOUT,
            read_size: READ_SIZE,
        }
    }

    /// Limits and choices of the connection.
    pub const fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Time for the whole opening handshake. Default 10 seconds.
    ///
    /// Without it a peer that sends nothing holds a connection for ever.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Time from our close frame to the end of the transport. Default 5 seconds.
    ///
    /// Without it a peer that never answers the close holds its connection for ever.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Silence after which a ping is sent; `None` for no pings. Default 30 seconds.
    ///
    /// Without it a peer that vanished without a word holds its connection for ever.
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Time from a ping to a sign of life, after which the connection is given up. Default 20
    /// seconds.
    ///
    /// Any received byte is one. Too short a timeout ends healthy connections whenever the network stalls.
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Bytes offered to one read. Default 16 KiB.
    ///
    /// The buffer is the thread's, not the connection's, while nothing partial is held.
    pub const fn read_size(mut self, bytes: usize) -> Self {
        self.read_size = bytes;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
