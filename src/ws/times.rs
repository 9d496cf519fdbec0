//! How long a peer may take for what, each with its default and what an attacker gains without it.

use crate::heartbeat::{CLOSE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

/// Default time in all for the end of a connection: 60 seconds.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// The times of a [`Life`](super::Life). They count in milliseconds, rounded up; from 49 days on, and so with
/// `Duration::MAX`, they say "never".
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
    pub(crate) ping_interval: Option<Millis>,
    pub(crate) ping_timeout: Millis,
    pub(crate) write_timeout: Option<Millis>,
    pub(crate) close_timeout: Millis,
    pub(crate) close_limit: Millis,
}

impl Times {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            ping_interval: Some(Millis::new(PING_INTERVAL)),
            ping_timeout: Millis::new(PING_TIMEOUT),
            write_timeout: None,
            close_timeout: Millis::new(CLOSE_TIMEOUT),
            close_limit: Millis::new(CLOSE_LIMIT),
        }
    }

    /// Silence after which a ping is sent; `None` for no pings, and so do zero, which no pings could keep, and a time that
    /// never ends, such as [`Duration::MAX`]. Default 30 seconds.
    ///
    /// Without it a peer that vanished without a word holds its connection for ever.
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.ping_interval = match interval {
            Some(interval) if !interval.is_zero() => Some(Millis::new(interval)),
            _ => None,
        };
        self
    }

    /// Time from the last byte of a ping to a sign of life, after which the connection is given up. Default 20 seconds.
    ///
    /// A received byte is one, and so is a byte that the transport takes after it took none. Too short a timeout ends
    /// healthy connections whenever the network stalls.
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = Millis::new(timeout);
        self
    }

    /// Time without any progress of writing, after which the connection is given up. Default: as long as a peer may be
    /// silent, [`ping_interval`](Self::ping_interval) and [`ping_timeout`](Self::ping_timeout) together; 50 seconds.
    ///
    /// Without it a peer that reads nothing holds whoever writes to it, and all that is queued for it, for ever.
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = Some(Millis::new(timeout));
        self
    }

    pub(super) fn longest_stall(&self) -> Duration {
        match self.write_timeout {
            Some(timeout) => timeout.get(),
            None => {
                let interval = self.ping_interval.map_or(PING_INTERVAL, Millis::get);
                interval.saturating_add(self.ping_timeout.get())
            }
        }
    }

    /// Time from our last byte, the close frame's, to the peer's end of the transport; before that byte is out, from
    /// the last that was. Default 5 seconds.
    ///
    /// Without it a peer that never answers the close holds its connection for ever.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = Millis::new(timeout);
        self
    }

    /// Time in all from the first close frame, or a failure, to the end of the connection. Default 60 seconds.
    ///
    /// Without it a peer that takes a byte now and then holds a connection that closes for ever.
    pub const fn close_limit(mut self, limit: Duration) -> Self {
        self.close_limit = Millis::new(limit);
        self
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

/// A time as each connection keeps several: in whole milliseconds, rounded up, a quarter of a [`Duration`]'s size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Millis {
    /// One more than they are, so that an `Option` takes no more room; the greatest value is "never".
    above: NonZeroU32,
}

impl Millis {
    pub(crate) const fn new(time: Duration) -> Self {
        let above = time.as_nanos().div_ceil(1_000_000).saturating_add(1);
        let above = if above < u32::MAX as u128 { NonZeroU32::new(above as u32) } else { None };
        Self {
            above: match above {
                Some(above) => above,
                None => NonZeroU32::MAX,
            },
        }
    }

    pub(crate) const fn get(self) -> Duration {
        match self.above.get() {
            u32::MAX => Duration::MAX,
            above => Duration::from_millis(above.saturating_sub(1) as u64),
        }
    }
}

/// A deadline that the peer has missed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_zero_is_none() {
        for none in [None, Some(Duration::ZERO)] {
            assert_eq!(Times::new().ping_interval(none), Times { ping_interval: None, ..Times::new() });
        }
        let shortest = Times::new().ping_interval(Some(Duration::from_nanos(1)));
        assert_eq!(shortest.ping_interval.map(Millis::get), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_time_is_kept_in_milliseconds_rounded_up() {
        let longest = Duration::from_millis(u64::from(u32::MAX) - 2);
        for (time, kept) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_nanos(1), Duration::from_millis(1)),
            (Duration::from_millis(1), Duration::from_millis(1)),
            (Duration::from_nanos(1_000_001), Duration::from_millis(2)),
            (CLOSE_LIMIT, CLOSE_LIMIT),
            (longest, longest),
            (longest + Duration::from_nanos(1), Duration::MAX),
            (longest + Duration::from_millis(1), Duration::MAX),
            (Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(Millis::new(time).get(), kept, "{time:?}");
        }
        assert_eq!(size_of::<Option<Millis>>(), 4);
    }
}
