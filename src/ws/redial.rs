//! A client's connection that comes back: when to connect, what of an end is final, how long to wait. Moves no bytes, reads
//! no clock, draws no random number.
//!
//! What an end says is in the table of [`RedialPolicy`]; the instants are in [`Redial`].

use super::close::CloseCode;
use crate::backoff::Backoff;
use crate::heartbeat::{HANDSHAKE_TIMEOUT, Instant};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

/// The reaction to the end of a connection, or to an attempt that failed.
///
/// ```
/// use pushline::ws::CloseCode;
/// use pushline::ws::redial::{Reaction, RedialPolicy};
///
/// let policy = RedialPolicy::new();
/// assert_eq!(policy.of_close(Some(CloseCode::SERVICE_RESTART)), Reaction::Again);
/// assert_eq!(policy.of_status(404), Reaction::GiveUp);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reaction {
    /// Connect again after the wait.
    Again,
    /// Connect again, after no less than [`RedialPolicy::busy_wait`]: the server has too much to do.
    Later,
    /// All is said: do not come back, and nothing is wrong.
    End,
    /// Do not come back: the next attempt would end in the same way.
    GiveUp,
}

/// The policy of coming back: when a client does, and when it does not.
///
/// | the end | what follows | why |
/// |---|---|---|
/// | the peer closes with 1000 | [`End`](Reaction::End) | the purpose is fulfilled |
/// | 1001, 1011, 1012, 1014, 3008 | [`Again`](Reaction::Again) | the server goes down, failed or restarts |
/// | 1013 | [`Later`](Reaction::Later) | "try again later" |
/// | 1002, 1003, 1007, 1008, 1009, 1010 | [`GiveUp`](Reaction::GiveUp) | the server does not want what this client sends |
/// | 3000, 3003 | [`GiveUp`](Reaction::GiveUp) | "unauthorized" and "forbidden" of the IANA registry |
/// | any other code, or none | [`Again`](Reaction::Again) | it says nothing against it |
/// | no close frame (1006), timeouts, no connection | [`Again`](Reaction::Again) | networks come and go |
/// | this side closes for a violation of the protocol | as the code that it sends | |
/// | the handshake: 408, 425, 500, 502, 504 and other 5xx | [`Again`](Reaction::Again) | RFC 9110 15.6 |
/// | 429, 503 | [`Later`](Reaction::Later) | "too many requests", "service unavailable" |
/// | 501, 505 | [`GiveUp`](Reaction::GiveUp) | the server will never be able to |
/// | any other status, redirections among them | [`GiveUp`](Reaction::GiveUp) | the request is wrong |
/// | TLS: a certificate that is not trusted | [`GiveUp`](Reaction::GiveUp) | whoever answers is not the server |
/// | the proxy on the way: 407, or a host that it cannot be asked for | [`GiveUp`](Reaction::GiveUp) | it would say so again |
/// | a 101 that breaks RFC 6455, a response that is no HTTP | [`GiveUp`](Reaction::GiveUp) | that is no WebSocket |
///
/// [`on_close`](Self::on_close) and [`on_status`](Self::on_status) change rows. `Retry-After` is kept to whenever the
/// client comes back, up to [`max_server_wait`](Self::max_server_wait).
///
/// ```
/// use pushline::backoff::Backoff;
/// use pushline::ws::redial::{Reaction, RedialPolicy};
/// use std::time::Duration;
///
/// let policy = RedialPolicy::new()
///     .backoff(Backoff::new().ceiling(Duration::from_secs(20)))
///     .max_attempts(Some(10))
///     .on_close(4000..=4099, Reaction::GiveUp) // codes of the application
///     .on_status(404..=404, Reaction::Again); // while the route is deployed
/// assert_eq!(policy.of_status(404), Reaction::Again);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RedialPolicy {
    first_wait: Duration,
    backoff: Backoff,
    busy_wait: Duration,
    max_server_wait: Duration,
    stable_after: Duration,
    connect_timeout: Duration,
    hello_timeout: Duration,
    max_attempts: Option<u32>,
    closes: Vec<(RangeInclusive<u16>, Reaction)>,
    statuses: Vec<(RangeInclusive<u16>, Reaction)>,
}

impl RedialPolicy {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            backoff: Backoff::new(),
            busy_wait: Duration::from_secs(10),
            max_server_wait: Duration::from_secs(3600),
            stable_after: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            hello_timeout: HANDSHAKE_TIMEOUT,
            max_attempts: None,
            closes: Vec::new(),
            statuses: Vec::new(),
        }
    }

    /// The wait after the first failure, default 1 s. It doubles with each failure that follows.
    pub const fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// How far the wait grows, and its random part.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The shortest wait for a server that says that it has too much to do ([`Reaction::Later`]), default 10 s.
    pub const fn busy_wait(mut self, wait: Duration) -> Self {
        self.busy_wait = wait;
        self
    }

    /// The longest wait that a server may ask for, by `Retry-After`, default 1 h. Stops a server that says `Retry-After: 99999999` from
    /// turning its clients off for good.
    pub const fn max_server_wait(mut self, wait: Duration) -> Self {
        self.max_server_wait = wait;
        self
    }

    /// How long a connection must have been open for the failures before it to be forgotten, default 30 s.
    ///
    /// Without it a client comes back in a tight loop to a server that accepts and drops for ever.
    pub const fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// Time for one attempt to connect, the opening handshake included, default 30 s. Without it an attempt that never
    /// ends is the last.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Time for what the application says first on each connection, default 10 s. Without it a server that does not
    /// answer to that is waited for for ever.
    pub const fn hello_timeout(mut self, timeout: Duration) -> Self {
        self.hello_timeout = timeout;
        self
    }

    /// After how many failures in a row, without a connection that was [stable](Self::stable_after) in between, to give
    /// up. Default never.
    pub const fn max_attempts(mut self, attempts: Option<u32>) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// What follows from the peer's close frame with one of these codes; 1005 for one without a code. The last call for a
    /// code counts.
    pub fn on_close(mut self, codes: RangeInclusive<u16>, reaction: Reaction) -> Self {
        self.closes.push((codes, reaction));
        self
    }

    /// What follows from a handshake that the server refused with one of these statuses. The last call for a status
    /// counts.
    pub fn on_status(mut self, statuses: RangeInclusive<u16>, reaction: Reaction) -> Self {
        self.statuses.push((statuses, reaction));
        self
    }

    /// What follows from a close frame: the peer's, or this side's for a violation of the protocol.
    #[must_use]
    pub fn of_close(&self, code: Option<CloseCode>) -> Reaction {
        let code = code.unwrap_or(CloseCode::NO_STATUS).0;
        lookup(&self.closes, code).unwrap_or(match code {
            1000 => Reaction::End,
            1013 => Reaction::Later,
            // RFC 6455 7.4.1; 3000 and 3003 are the IANA registry's "unauthorized" and "forbidden".
            1002 | 1003 | 1007..=1010 | 3000 | 3003 => Reaction::GiveUp,
            _ => Reaction::Again,
        })
    }

    /// What follows from a handshake that the server refused with this status.
    #[must_use]
    pub fn of_status(&self, status: u16) -> Reaction {
        lookup(&self.statuses, status).unwrap_or(match status {
            429 | 503 => Reaction::Later,
            501 | 505 => Reaction::GiveUp,
            408 | 425 | 500..=599 => Reaction::Again,
            _ => Reaction::GiveUp,
        })
    }
}

impl Default for RedialPolicy {
    fn default() -> Self {
        Self::new()
    }
}

fn lookup(rows: &[(RangeInclusive<u16>, Reaction)], number: u16) -> Option<Reaction> {
    rows.iter().rev().find(|(range, _)| range.contains(&number)).map(|(_, reaction)| *reaction)
}

/// The state of a client that comes back.
///
/// ```
/// use pushline::ws::redial::{Redial, RedialPolicy, RedialState};
/// use std::time::Duration;
///
/// let redial = Redial::<Duration>::new(RedialPolicy::new());
/// assert_eq!(redial.state(), RedialState::Waiting);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedialState {
    /// There is no connection; it waits for the time of the next attempt.
    Waiting,
    /// An attempt is under way.
    Connecting,
    /// There is a connection, and the application says hello or subscribes.
    Greeting,
    /// Open: messages come and go.
    Open,
    /// It will not come back.
    Over,
}

/// The next action of a host: see [`Redial::step`].
///
/// ```
/// use pushline::ws::redial::{Redial, RedialPolicy, RedialStep};
/// use std::time::Duration;
///
/// let mut redial = Redial::new(RedialPolicy::new());
/// assert_eq!(redial.step(Duration::ZERO), RedialStep::Connect);
/// assert_eq!(redial.step(Duration::ZERO), RedialStep::Wait(Some(Duration::from_secs(30)))); // the timeout
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedialStep<I> {
    /// Begin an attempt: then call [`Redial::connected`] or [`Redial::lost`].
    Connect,
    /// Wait for what is under way, or until this instant.
    Wait(Option<I>),
    /// The attempt, or the hello, takes too long: drop it, and call [`Redial::lost`].
    Abandon,
    /// It is over.
    Over,
}

/// A client that connects, comes back and gives up: a total function of what happened and what time it is.
///
/// The host does what [`step`](Self::step) says and tells it what happens: [`connected`](Self::connected),
/// [`greeted`](Self::greeted), [`lost`](Self::lost). Each method has an effect only where it fits; elsewhere nothing
/// changes. `adapter::tokio::Reconnecting` is a host.
///
/// ```
/// use pushline::backoff::Backoff;
/// use pushline::ws::CloseCode;
/// use pushline::ws::redial::{Redial, RedialPolicy, RedialStep};
/// use std::time::Duration;
///
/// let policy = RedialPolicy::new().backoff(Backoff::new().jitter(0));
/// let reaction = policy.of_close(Some(CloseCode::GOING_AWAY));
/// let mut redial = Redial::new(policy);
/// let mut now = Duration::ZERO;
/// // A server that accepts and drops at once is asked less and less often.
/// for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
///     assert_eq!(redial.step(now), RedialStep::Connect);
///     redial.connected(now);
///     redial.greeted(now);
///     let random = 7;
///     assert_eq!(redial.lost(now, random, reaction, None), Some(now + Duration::from_secs(wait)));
///     now += Duration::from_secs(wait);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Redial<I> {
    policy: RedialPolicy,
    /// Attempts and connections that failed since one was stable.
    failures: u32,
    phase: Phase<I>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase<I> {
    /// Until then; at once if that is not known.
    Waiting(Option<I>),
    Connecting {
        until: I,
    },
    Greeting {
        since: I,
        until: I,
    },
    Open {
        since: I,
    },
    Over,
}

impl<I: Instant> Redial<I> {
    /// A client that is to connect at once.
    pub const fn new(policy: RedialPolicy) -> Self {
        Self { policy, failures: 0, phase: Phase::Waiting(None) }
    }

    /// When it comes back.
    pub const fn policy(&self) -> &RedialPolicy {
        &self.policy
    }

    /// How far it has come.
    #[must_use]
    pub const fn state(&self) -> RedialState {
        match self.phase {
            Phase::Waiting(_) => RedialState::Waiting,
            Phase::Connecting { .. } => RedialState::Connecting,
            Phase::Greeting { .. } => RedialState::Greeting,
            Phase::Open { .. } => RedialState::Open,
            Phase::Over => RedialState::Over,
        }
    }

    /// How many attempts and connections have failed since one was [stable](RedialPolicy::stable_after).
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// What to do next. An attempt counts as under way once this has said [`RedialStep::Connect`].
    #[must_use]
    pub fn step(&mut self, now: I) -> RedialStep<I> {
        match self.phase {
            Phase::Waiting(Some(at)) if now < at => RedialStep::Wait(Some(at)),
            Phase::Waiting(_) => {
                self.phase = Phase::Connecting { until: now.saturating_add(self.policy.connect_timeout) };
                RedialStep::Connect
            }
            Phase::Connecting { until } | Phase::Greeting { until, .. } if now < until => {
                RedialStep::Wait(Some(until))
            }
            Phase::Connecting { .. } | Phase::Greeting { .. } => RedialStep::Abandon,
            Phase::Open { .. } => RedialStep::Wait(None),
            Phase::Over => RedialStep::Over,
        }
    }

    /// There is a connection, after its opening handshake: now the application says hello.
    pub fn connected(&mut self, now: I) {
        if let Phase::Connecting { .. } = self.phase {
            let until = now.saturating_add(self.policy.hello_timeout);
            self.phase = Phase::Greeting { since: now, until };
        }
    }

    /// The application has said hello, or has nothing to say.
    pub const fn greeted(&mut self, now: I) {
        if let Phase::Greeting { .. } = self.phase {
            self.phase = Phase::Open { since: now };
        }
    }

    /// The attempt failed, or the connection has ended, which leads to this reaction. When the next attempt is due;
    /// `None` if there is none.
    ///
    /// `random` is any 64 random bits, `retry_after` what the server asked for.
    pub fn lost(
        &mut self,
        now: I,
        random: u64,
        reaction: Reaction,
        retry_after: Option<Duration>,
    ) -> Option<I> {
        match self.phase {
            Phase::Over => return None,
            Phase::Waiting(at) => return at,
            Phase::Open { since } | Phase::Greeting { since, .. }
                if now >= since.saturating_add(self.policy.stable_after) =>
            {
                self.failures = 0;
            }
            Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Open { .. } => {}
        }
        self.failures = self.failures.saturating_add(1);
        let is_last = self.policy.max_attempts.is_some_and(|most| self.failures >= most);
        let least = match reaction {
            Reaction::Again if !is_last => Duration::ZERO,
            Reaction::Later if !is_last => self.policy.busy_wait,
            _ => {
                self.phase = Phase::Over;
                return None;
            }
        };
        let asked = retry_after.unwrap_or_default().min(self.policy.max_server_wait);
        let wait =
            self.policy.backoff.wait(self.policy.first_wait, self.failures, random).max(least).max(asked);
        let at = now.saturating_add(wait);
        self.phase = Phase::Waiting(Some(at));
        Some(at)
    }

    /// Does not come back.
    pub const fn close(&mut self) {
        self.phase = Phase::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plain() -> RedialPolicy {
        RedialPolicy::new().backoff(Backoff::new().jitter(0))
    }

    #[test]
    fn the_table() {
        use Reaction::{Again, End, GiveUp, Later};
        let policy = RedialPolicy::new();
        for (code, reaction) in [
            (1000, End),
            (1001, Again),
            (1002, GiveUp),
            (1003, GiveUp),
            (1005, Again),
            (1006, Again),
            (1007, GiveUp),
            (1008, GiveUp),
            (1009, GiveUp),
            (1010, GiveUp),
            (1011, Again),
            (1012, Again),
            (1013, Later),
            (1014, Again),
            (3000, GiveUp),
            (3001, Again),
            (3003, GiveUp),
            (3008, Again),
            (4000, Again),
            (4999, Again),
        ] {
            assert_eq!(policy.of_close(Some(CloseCode(code))), reaction, "{code}");
        }
        assert_eq!(policy.of_close(None), Again);
        for (status, reaction) in [
            (200, GiveUp),
            (302, GiveUp),
            (400, GiveUp),
            (401, GiveUp),
            (403, GiveUp),
            (404, GiveUp),
            (407, GiveUp),
            (408, Again),
            (425, Again),
            (426, GiveUp),
            (429, Later),
            (500, Again),
            (501, GiveUp),
            (502, Again),
            (503, Later),
            (504, Again),
            (505, GiveUp),
            (599, Again),
            (600, GiveUp),
        ] {
            assert_eq!(policy.of_status(status), reaction, "{status}");
        }
        let policy = policy
            .on_close(4000..=4999, GiveUp)
            .on_close(4005..=4005, Later)
            .on_close(1005..=1005, End)
            .on_status(400..=499, Again)
            .on_status(401..=403, GiveUp);
        let close = |code| policy.of_close(Some(CloseCode(code)));
        assert_eq!([3999, 4000, 4004, 4005, 4006].map(close), [Again, GiveUp, GiveUp, Later, GiveUp]);
        assert_eq!(policy.of_close(None), End);
        assert_eq!(
            [400, 401, 403, 404, 500].map(|status| policy.of_status(status)),
            [Again, GiveUp, GiveUp, Again, Again]
        );
    }

    /// A server that accepts and drops for ever, for a day.
    #[test]
    fn no_tight_loop() {
        for (hold, most) in [(0, 1450), (29, 1000), (30, 2800), (31, 2800)] {
            let mut redial = Redial::new(plain());
            let (mut now, mut attempts, mut waits) = (Duration::ZERO, 0, Vec::new());
            while now < seconds(86_400) {
                assert_eq!(redial.step(now), RedialStep::Connect);
                attempts += 1;
                redial.connected(now);
                redial.greeted(now);
                now += seconds(hold);
                let at = redial.lost(now, 0, Reaction::Again, None).unwrap();
                waits.push((at - now).as_secs());
                assert_eq!(redial.step(at - Duration::from_nanos(1)), RedialStep::Wait(Some(at)));
                now = at;
            }
            assert!(attempts < most, "{attempts}");
            if hold < 30 {
                assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
            } else {
                // One that was stable begins anew.
                assert!(waits.iter().all(|wait| *wait == 1));
            }
        }
    }

    #[test]
    fn every_time_has_its_edge() {
        let at = |time: u64| Duration::from_secs(time);
        let tick = Duration::from_nanos(1);
        // The attempt: 30 s.
        let mut redial = Redial::new(plain());
        assert_eq!(redial.step(at(0)), RedialStep::Connect);
        assert_eq!(redial.step(at(30) - tick), RedialStep::Wait(Some(at(30))));
        assert_eq!(redial.step(at(30)), RedialStep::Abandon);
        assert_eq!(redial.lost(at(30), 0, Reaction::Again, None), Some(at(31)));
        assert_eq!(redial.lost(at(30), 0, Reaction::GiveUp, None), Some(at(31)), "told twice");
        // The hello: 10 s, from the connection on.
        assert_eq!(redial.step(at(31)), RedialStep::Connect);
        redial.greeted(at(31));
        assert_eq!(redial.state(), RedialState::Connecting, "there is none yet");
        redial.connected(at(40));
        assert_eq!(redial.step(at(50) - tick), RedialStep::Wait(Some(at(50))));
        assert_eq!(redial.step(at(50)), RedialStep::Abandon);
        assert_eq!(redial.lost(at(50), 0, Reaction::Again, None), Some(at(52)));
        // Busy: 10 s at least; Retry-After within an hour.
        for (reaction, asked, wait) in [
            (Reaction::Later, None, 10),
            (Reaction::Later, Some(9), 10),
            (Reaction::Later, Some(11), 11),
            (Reaction::Again, Some(3599), 3599),
            (Reaction::Again, Some(3600), 3600),
            (Reaction::Again, Some(3601), 3600),
            (Reaction::Again, Some(u64::MAX), 3600),
        ] {
            let mut redial = Redial::new(plain());
            assert_eq!(redial.step(at(0)), RedialStep::Connect);
            assert_eq!(redial.lost(at(0), 0, reaction, asked.map(seconds)), Some(at(wait)), "{asked:?}");
        }
        // Attempts: the third failure is the last.
        for most in [1, 2, 3] {
            let mut redial = Redial::new(plain().max_attempts(Some(most)));
            let mut now = at(0);
            for _ in 1..most {
                assert_eq!(redial.step(now), RedialStep::Connect);
                now = redial.lost(now, 0, Reaction::Again, None).unwrap();
            }
            assert_eq!(redial.step(now), RedialStep::Connect);
            assert_eq!(redial.lost(now, 0, Reaction::Again, None), None);
            assert_eq!((redial.step(now), redial.state()), (RedialStep::Over, RedialState::Over));
        }
        // A first wait of zero is no loop.
        let mut redial =
            Redial::new(plain().first_wait(Duration::ZERO).backoff(Backoff::new().ceiling(at(0))));
        assert_eq!(redial.step(at(0)), RedialStep::Connect);
        assert!(redial.lost(at(0), 0, Reaction::Again, None) >= Some(Duration::from_millis(1)));
    }

    #[test]
    fn over_is_over() {
        for end in [Reaction::End, Reaction::GiveUp] {
            let mut redial = Redial::new(plain());
            assert_eq!(redial.step(seconds(0)), RedialStep::Connect);
            assert_eq!(redial.lost(seconds(0), 0, end, Some(seconds(1))), None);
            redial.connected(seconds(1));
            redial.greeted(seconds(1));
            assert_eq!(redial.lost(seconds(1), 0, Reaction::Again, None), None);
            assert_eq!(redial.step(seconds(99)), RedialStep::Over);
        }
    }
}
