//! Time as data: [`Heartbeat`] and [`Deadline`], the one mechanism for every transport. Reads no clock.
//!
//! Both are generic over the instant, so `std::time::Instant`, `tokio::time::Instant` and a test's
//! plain [`Duration`] all serve. The caller asks for the next deadline, sleeps until then, and
//! calls with the time it is.

use core::time::Duration;

/// A point in time on any clock: what [`Heartbeat`] and [`Deadline`] are generic over.
///
/// Implemented for [`Duration`] (the time since a start of your choice), for `std::time::Instant` and, with the
/// feature `tokio`, for `tokio::time::Instant`.
///
/// ```
/// use pushline::heartbeat::{Heartbeat, Instant};
/// use std::time::Duration;
///
/// /// Milliseconds of a hardware timer.
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// struct Ticks(u64);
///
/// impl Instant for Ticks {
///     fn saturating_add(self, after: Duration) -> Self {
///         Self(self.0.saturating_add(after.as_millis().try_into().unwrap_or(u64::MAX)))
///     }
/// }
///
/// fn first_beat<I: Instant>(now: I) -> I {
///     Heartbeat::one_way(Duration::from_secs(15), now).next_deadline()
/// }
/// assert_eq!(first_beat(Ticks(7)), Ticks(15_007));
/// assert_eq!(Ticks(7).saturating_add(Duration::MAX), Ticks(u64::MAX));
/// ```
pub trait Instant: Copy + Ord {
    /// The instant `after` this one, or one that never comes: `Duration::MAX` is a way of saying "never".
    #[must_use]
    fn saturating_add(self, after: Duration) -> Self;
}

impl Instant for Duration {
    fn saturating_add(self, after: Duration) -> Self {
        self.saturating_add(after)
    }
}

/// What is added at most: 30 years. Clocks and timers have an end, which differs between platforms.
#[cfg(feature = "std")]
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[cfg(feature = "std")]
impl Instant for std::time::Instant {
    fn saturating_add(self, after: Duration) -> Self {
        self.checked_add(after.min(NEVER)).unwrap_or(self)
    }
}

#[cfg(feature = "tokio")]
impl Instant for tokio::time::Instant {
    fn saturating_add(self, after: Duration) -> Self {
        self.checked_add(after.min(NEVER)).unwrap_or(self)
    }
}

/// Default idle interval after which a ping (or keep-alive comment) is due: 30 seconds, under the
/// 60 seconds after which common proxies drop a silent connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Default time a peer has to show a sign of life after a ping: 20 seconds.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Default time for the whole opening handshake: 10 seconds. Without it a silent peer holds a
/// connection for ever.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Default time for the closing handshake and the flush before it: 5 seconds.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A due action, as [`Heartbeat::poll`] reports it.
///
/// ```
/// use pushline::heartbeat::Beat;
/// use pushline::ws::{Connection, UsageError};
///
/// /// Whether the connection is still worth its socket.
/// fn is_alive(connection: &mut Connection, due: Option<Beat>) -> bool {
///     match due {
///         Some(Beat::Send) => connection.ping(&[]) != Err(UsageError::Closed),
///         Some(_) => false,
///         None => true,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
    /// The connection was idle for the interval: send a ping (or a keep-alive comment) now.
    Send,
    /// Nothing was received for the timeout after the last ping: the peer is gone.
    Dead,
}

/// Asks for a sign of life after an idle interval, and reports a peer that gives none.
///
/// Any received byte counts as life. Serves WebSocket pings, keep-alive comments of an event
/// stream ([`one_way`](Self::one_way)) and the hold of a long poll.
///
/// ```
/// use core::time::Duration;
/// use pushline::heartbeat::{Beat, Heartbeat};
///
/// let seconds = Duration::from_secs; // a virtual clock: time since the start
/// let mut heartbeat = Heartbeat::new(seconds(30), seconds(20), seconds(0));
/// assert_eq!(heartbeat.next_deadline(), seconds(30));
/// assert_eq!(heartbeat.poll(seconds(30)), Some(Beat::Send));
/// heartbeat.touch(seconds(31)); // the pong, or any other byte
/// assert_eq!(heartbeat.poll(seconds(61)), Some(Beat::Send));
/// assert_eq!(heartbeat.poll(seconds(81)), Some(Beat::Dead));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat<I> {
    interval: Duration,
    timeout: Option<Duration>,
    /// When the peer (or, one way, our own output) was last active.
    active: I,
    /// When the unanswered ping was due.
    pinged: Option<I>,
}

impl<I: Instant> Heartbeat<I> {
    /// A beat after `interval` without activity, death `timeout` after an unanswered beat.
    #[must_use]
    pub const fn new(interval: Duration, timeout: Duration, now: I) -> Self {
        Self { interval, timeout: Some(timeout), active: now, pinged: None }
    }

    /// A beat after each `interval` without activity, to which no answer is expected.
    #[must_use]
    pub const fn one_way(interval: Duration, now: I) -> Self {
        Self { interval, timeout: None, active: now, pinged: None }
    }

    /// Bytes were received (or, [`one_way`](Self::one_way), sent): the interval starts again.
    pub const fn touch(&mut self, now: I) {
        self.active = now;
        self.pinged = None;
    }

    /// When to call [`poll`](Self::poll) next.
    #[must_use]
    pub fn next_deadline(&self) -> I {
        match (self.pinged, self.timeout) {
            (Some(pinged), Some(timeout)) => pinged.saturating_add(timeout),
            _ => self.active.saturating_add(self.interval),
        }
    }

    /// What is due at `now`, if anything. Each beat is reported once; death every time.
    pub fn poll(&mut self, now: I) -> Option<Beat> {
        if now < self.next_deadline() {
            return None;
        }
        if self.timeout.is_none() {
            self.active = now;
            return Some(Beat::Send);
        }
        if self.pinged.is_some() {
            return Some(Beat::Dead);
        }
        self.pinged = Some(now);
        Some(Beat::Send)
    }
}

/// A point in time by which something must have happened: a handshake, a close, a poll's hold.
///
/// ```
/// use core::time::Duration;
/// use pushline::heartbeat::Deadline;
///
/// let mut deadline = Deadline::default();
/// assert!(!deadline.is_over(Duration::MAX)); // not set: never over
/// deadline.start(Duration::from_secs(1), Duration::from_secs(5));
/// deadline.start(Duration::from_secs(3), Duration::from_secs(5)); // runs already: stays
/// assert_eq!(deadline.next_deadline(), Some(Duration::from_secs(6)));
/// assert!(deadline.is_over(Duration::from_secs(6)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<I> {
    at: Option<I>,
}

impl<I> Default for Deadline<I> {
    /// A deadline that is not set.
    fn default() -> Self {
        Self { at: None }
    }
}

impl<I: Instant> Deadline<I> {
    /// A deadline `after` from `now`.
    #[must_use]
    pub fn new(now: I, after: Duration) -> Self {
        Self { at: Some(now.saturating_add(after)) }
    }

    /// When the next sign of life is due; never at an interval of zero, which would leave time for nothing else.
    #[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
    pub(crate) fn of_beat(now: I, interval: Duration) -> Self {
        if interval.is_zero() { Self::default() } else { Self::new(now, interval) }
    }

    /// Whether it has been over for so long.
    #[cfg(feature = "comet")]
    pub(crate) fn is_over_since(&self, time: Duration, now: I) -> bool {
        self.at.is_some_and(|at| at.saturating_add(time) <= now)
    }

    /// Sets the deadline `after` from `now`, unless it runs already.
    pub fn start(&mut self, now: I, after: Duration) {
        self.at.get_or_insert(now.saturating_add(after));
    }

    /// Takes the deadline back.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// When it is over; `None` if it is not set.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<I> {
        self.at
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: I) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn any_activity_resets_the_beat() {
        let mut heartbeat = Heartbeat::new(at(30), at(20), at(0));
        heartbeat.touch(at(29));
        assert_eq!(heartbeat.poll(at(58)), None);
        assert_eq!(heartbeat.poll(at(59)), Some(Beat::Send));
        assert_eq!(heartbeat.poll(at(60)), None);
        heartbeat.touch(at(78));
        assert_eq!(heartbeat.next_deadline(), at(108));
    }

    #[test]
    fn a_silent_peer_dies_and_stays_dead() {
        let mut heartbeat = Heartbeat::new(at(30), at(20), at(0));
        // A late caller: the timeout runs from the ping, not from when it ought to have been.
        assert_eq!(heartbeat.poll(at(45)), Some(Beat::Send));
        assert_eq!(heartbeat.poll(at(64)), None);
        assert_eq!(heartbeat.poll(at(65)), Some(Beat::Dead));
        assert_eq!(heartbeat.poll(at(66)), Some(Beat::Dead));
    }

    #[test]
    fn one_way_beats_for_ever() {
        let mut heartbeat = Heartbeat::one_way(at(15), at(0));
        for beat in 1..100 {
            assert_eq!(heartbeat.poll(at(beat * 15 - 1)), None);
            assert_eq!(heartbeat.poll(at(beat * 15)), Some(Beat::Send));
        }
    }

    #[test]
    fn forever_is_no_panic() {
        let mut heartbeat = Heartbeat::new(Duration::MAX, Duration::MAX, at(1));
        assert_eq!(heartbeat.poll(at(1_000_000)), None);
        #[cfg(feature = "std")]
        {
            #[expect(clippy::disallowed_methods, reason = "the far end of a real clock is what is tested")]
            let now = std::time::Instant::now();
            assert!(
                Deadline::new(now, Duration::MAX).next_deadline() > Some(now.saturating_add(at(1_000_000)))
            );
        }
    }

    #[test]
    fn a_cleared_deadline_is_never_over() {
        let mut deadline = Deadline::new(at(0), at(5));
        assert!(!deadline.is_over(at(4)));
        assert!(deadline.is_over(at(5)));
        deadline.clear();
        assert!(!deadline.is_over(at(500)));
        assert_eq!(deadline.next_deadline(), None);
    }
}
