//! How long a peer may take for what, each with its default and what an attacker gains without it.

use crate::heartbeat::{CLOSE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use core::fmt;
use core::time::Duration;

/// Default time in all for the end of a connection: 60 seconds.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// The times of a [`Life`](super::Life). `Duration::MAX` is a way of saying "never".
///
/// ```
/// use core::time::Duration;
/// use pushline::ws::Times;
///
/// let times = Times::new().ping_interval(Some(Duration::from_secs(15))).close_timeout(Duration::from_secs(2));
/// # let _ = times;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Times {
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) ping_timeout: Duration,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) close_limit: Duration,
}

impl Times {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            ping_interval: Some(PING_INTERVAL),
            ping_timeout: PING_TIMEOUT,
            write_timeout: None,
            close_timeout: CLOSE_TIMEOUT,
            close_limit: CLOSE_LIMIT,
        }
    }

    /// Silence after which a ping is sent; `None` for no pings. Default 30 seconds.
    ///
    /// Without it a peer that vanished without a word holds its connection for ever.
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Time from the last byte of a ping to a sign of life, after which the connection is given up. Default 20 seconds.
    ///
    /// A received byte is one, and so is a byte that the transport takes after it took none. Too short a timeout ends
    /// healthy connections whenever the network stalls.
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Time without any progress of writing, after which the connection is given up. Default: as long as a peer may be
    /// silent, [`ping_interval`](Self::ping_interval) and [`ping_timeout`](Self::ping_timeout) together; 50 seconds.
    ///
    /// Without it a peer that reads nothing holds whoever writes to it, and all that is queued for it, for ever.
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = Some(timeout);
        self
    }

    pub(super) fn longest_stall(&self) -> Duration {
        self.write_timeout
            .unwrap_or_else(|| self.ping_interval.unwrap_or(PING_INTERVAL).saturating_add(self.ping_timeout))
    }

    /// Time from our last byte, the close frame's, to the peer's end of the transport; before that byte is out, from
    /// the last that was. Default 5 seconds.
    ///
    /// Without it a peer that never answers the close holds its connection for ever.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Time in all from the first close frame, or a failure, to the end of the connection. Default 60 seconds.
    ///
    /// Without it a peer that takes a byte now and then holds a connection that closes for ever.
    pub const fn close_limit(mut self, limit: Duration) -> Self {
        self.close_limit = limit;
        self
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

/// What the peer took too long for.
///
/// ```
/// use pushline::ws::TimedOut;
///
/// assert_eq!(TimedOut::Ping.to_string(), "no sign of life after a ping");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimedOut {
    /// The opening handshake.
    Handshake,
    /// A sign of life after a ping: [`Times::ping_timeout`].
    Ping,
    /// Taking anything at all of what is written to it: [`Times::write_timeout`].
    Write,
    /// The closing handshake: [`Times::close_timeout`] and [`Times::close_limit`].
    Close,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the opening handshake took too long",
            Self::Ping => "no sign of life after a ping",
            Self::Write => "the peer takes nothing of what is written",
            Self::Close => "the closing handshake took too long",
        })
    }
}

impl core::error::Error for TimedOut {}
