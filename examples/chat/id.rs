//! Where an event stands in its room's log: the id that a Redis Stream gives, in all engines the same.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::protocol::Millis;

/// Ids in one millisecond. More events than that take the next one's.
pub const PER_MILLISECOND: u64 = 1024;

/// An event's id: the time at which it was accepted, and its number within that millisecond. Written `MS-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id {
    pub ms: Millis,
    pub n: u64,
}

impl Id {
    /// Before everything.
    pub const ZERO: Self = Self { ms: 0, n: 0 };

    /// The id after this one. It never goes back, whatever the clock does.
    pub fn next(self, now: Millis) -> Self {
        match now > self.ms {
            true => Self { ms: now, n: 0 },
            false if self.n + 1 < PER_MILLISECOND => Self { n: self.n + 1, ..self },
            false => Self { ms: self.ms + 1, n: 0 },
        }
    }

    /// The same as one number, which a page can compare: below 2^53 until the year 2248.
    pub fn seq(self) -> u64 {
        self.ms.saturating_mul(PER_MILLISECOND).saturating_add(self.n)
    }

    /// The id of that number.
    pub fn from_seq(seq: u64) -> Self {
        Self { ms: seq / PER_MILLISECOND, n: seq % PER_MILLISECOND }
    }

    /// Reads `MS-N`.
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, n) = text.split_once('-')?;
        Some(Self { ms: number(ms)?, n: number(n).filter(|n| *n < PER_MILLISECOND)? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.n)
    }
}

/// The time of day when it was first asked for, and from then on a clock that never jumps.
#[expect(clippy::disallowed_methods, reason = "the program, not the library, reads the clock")]
pub fn now() -> Millis {
    static BEGAN: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (began, at) = BEGAN.get_or_init(|| {
        (Instant::now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    });
    let now = Instant::now();
    // In a test's runtime that was paused before another test asked first, it is earlier than that. Rounded once, at the end:
    // what lies eight milliseconds behind something else is eight later.
    let time = *at + now.saturating_duration_since(*began) - began.saturating_duration_since(now);
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX / 2)
}

/// A number of digits only: `parse` takes a plus sign.
pub fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_in_a_runtime_that_was_paused_before_the_clock_began() {
        let paused = || {
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
        };
        let (early, later) = (paused(), paused());
        later.block_on(async {
            tokio::time::advance(std::time::Duration::from_millis(20)).await;
            now()
        });
        early.block_on(async {
            let before = now();
            tokio::time::advance(std::time::Duration::from_millis(5)).await;
            assert_eq!(now() - before, 5);
        });
    }

    #[test]
    fn ids_rise_whatever_the_clock_does() {
        let mut last = Id::ZERO;
        for now in [5, 5, 3, 9, 9] {
            let next = last.next(now);
            assert!(next > last && next.seq() > last.seq());
            assert_eq!((Id::from_seq(next.seq()), Id::parse(&next.to_string())), (next, Some(next)));
            last = next;
        }
        assert_eq!(last.to_string(), "9-1");
        let full = Id { ms: 9, n: PER_MILLISECOND - 2 };
        assert_eq!(full.next(1).n, PER_MILLISECOND - 1);
        assert_eq!(full.next(1).next(1), Id { ms: 10, n: 0 });
        for wrong in ["", "-", "1", "1-", "-1", "1-+1", "1-1024", "x-1", "1-1-1", "18446744073709551616-0"] {
            assert_eq!(Id::parse(wrong), None, "{wrong}");
        }
    }
}
