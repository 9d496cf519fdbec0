//! How long to wait before a client tries again: [`Backoff`], one policy for every client that comes back. Reads no clock,
//! draws no random number.

use core::time::Duration;

/// The shortest wait: none at all would be a tight loop.
const SHORTEST: Duration = Duration::from_millis(1);

/// A wait that doubles with each failure up to a ceiling, and a random part on top.
///
/// ```
/// use pushline::backoff::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new().ceiling(Duration::from_secs(10)).jitter(0);
/// let waits = [0, 1, 2, 3, 9].map(|failures| backoff.wait(Duration::from_secs(3), failures, 0).as_secs());
/// assert_eq!(waits, [3, 3, 6, 10, 10]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Backoff {
    ceiling: Duration,
    jitter: u8,
}

impl Backoff {
    /// The defaults.
    pub const fn new() -> Self {
        Self { ceiling: Duration::from_secs(60), jitter: 50 }
    }

    /// How long the wait may grow while attempts fail, default 60 s. A first wait that is longer is kept.
    ///
    /// Without it a server that was away for an hour is missed for another.
    pub const fn ceiling(mut self, time: Duration) -> Self {
        self.ceiling = time;
        self
    }

    /// How much of each wait may be added to it at random, in percent, default 50, at most 100. Never less is waited.
    ///
    /// Without it all clients of a server that restarts come back in the same moment.
    pub const fn jitter(mut self, percent: u8) -> Self {
        self.jitter = percent;
        self
    }

    /// How long to wait after so many failures in a row, `first` after none or one, and a millisecond at least. `random` is
    /// any 64 random bits.
    #[must_use]
    pub fn wait(&self, first: Duration, failures: u32, random: u64) -> Duration {
        let first = first.max(SHORTEST);
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = first.saturating_mul(doubled).min(self.ceiling).max(first);
        let nanoseconds = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let most = u128::from(nanoseconds) * u128::from(self.jitter.min(100)) / 100;
        wait.saturating_add(Duration::from_nanos(((most * u128::from(random)) >> 64) as u64))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_and_the_jitter_bound_every_wait() {
        let second = Duration::from_secs(1);
        for ceiling in [Duration::ZERO, 7 * second, 8 * second, 9 * second, Duration::MAX] {
            for (jitter, failures) in
                [0, 1, 99, 100, 101, 255].into_iter().zip([0, 1, 2, 3, 4, 5, 31, 32, 33, u32::MAX])
            {
                let backoff = Backoff::new().ceiling(ceiling).jitter(jitter);
                let least = backoff.wait(second, failures, 0);
                let most = backoff.wait(second, failures, u64::MAX);
                assert!(least >= second && least <= ceiling.max(second));
                assert!(most >= least && most <= least.saturating_mul(2), "{most:?}");
            }
        }
        for failures in [0, 1, 2, u32::MAX] {
            let backoff = Backoff::new().ceiling(Duration::ZERO).jitter(0);
            assert_eq!(backoff.wait(Duration::ZERO, failures, 0), SHORTEST, "no tight loop");
            assert_eq!(backoff.wait(SHORTEST, failures, 0), SHORTEST);
        }
        assert_eq!(Backoff::new().wait(Duration::MAX, u32::MAX, u64::MAX), Duration::MAX);
        let backoff = Backoff::new().jitter(0).ceiling(8 * second);
        assert_eq!(
            [3, 4, 5].map(|failures| backoff.wait(second, failures, 0)),
            [4 * second, 8 * second, 8 * second]
        );
    }
}
