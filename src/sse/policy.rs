//! How patiently a client reconnects: times and counts, each with its default (HTML 9.2.3).

use crate::backoff::Backoff;
use core::time::Duration;

/// The policy of reconnecting: when, how often, and what is not repeated.
///
/// ```
/// use pushline::sse::ReconnectPolicy;
/// use std::time::Duration;
///
/// let patient = ReconnectPolicy::new().retry(Duration::from_secs(10)).max_attempts(Some(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct ReconnectPolicy {
    pub(super) retry: Duration,
    pub(super) min_retry: Duration,
    pub(super) max_retry: Duration,
    pub(super) backoff: Backoff,
    pub(super) max_attempts: Option<u32>,
    pub(super) max_redirects: u32,
    pub(super) replay_post: bool,
    pub(super) retry_statuses: bool,
}

impl ReconnectPolicy {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            retry: Duration::from_secs(3),
            min_retry: Duration::from_millis(100),
            max_retry: Duration::from_secs(3600),
            backoff: Backoff::new(),
            max_attempts: None,
            max_redirects: 20,
            replay_post: false,
            retry_statuses: false,
        }
    }

    /// The reconnection time for as long as the server sets none: how long to wait before reconnecting.
    /// Default 3 s.
    pub const fn retry(mut self, time: Duration) -> Self {
        self.retry = time;
        self
    }

    /// The shortest reconnection time taken from the server, default 100 ms. Stops a server that says
    /// `retry: 0` from having its clients connect in a tight loop.
    pub const fn min_retry(mut self, time: Duration) -> Self {
        self.min_retry = time;
        self
    }

    /// The longest reconnection time taken from the server, default 1 h. Stops a server that says
    /// `retry: 99999999999` from turning its clients off for good.
    pub const fn max_retry(mut self, time: Duration) -> Self {
        self.max_retry = time;
        self
    }

    /// How long the wait may grow while attempts fail, default 60 s: it doubles with each, starting from
    /// the reconnection time, which is kept if it is longer than this.
    pub const fn max_backoff(mut self, time: Duration) -> Self {
        self.backoff = self.backoff.ceiling(time);
        self
    }

    /// How much of each wait may be added to it at random, in percent, default 50. Never less is waited:
    /// HTML 9.2.3 lets a client wait longer, not shorter. Stops all clients of a server that restarts from
    /// coming back in the same moment.
    pub const fn jitter(mut self, percent: u8) -> Self {
        self.backoff = self.backoff.jitter(percent);
        self
    }

    /// After how many failures in a row, without an open stream in between, to give up. Default never.
    pub const fn max_attempts(mut self, attempts: Option<u32>) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How many redirections to follow for one attempt, default 20 (Fetch 4.4). Stops servers that redirect
    /// in a circle.
    pub const fn max_redirects(mut self, redirects: u32) -> Self {
        self.max_redirects = redirects;
        self
    }

    /// Whether a `POST` may be sent again after it was sent once, default no: the server may have acted on
    /// it, and would act twice.
    pub const fn replay_post(mut self, replay: bool) -> Self {
        self.replay_post = replay;
        self
    }

    /// Whether a server that says that it cannot answer now is asked again, as after a connection that failed: status 408,
    /// 425, 429 and those from 500 on. Default no, as the standard has it (HTML 9.2.3): any status but 200 is the end.
    ///
    /// `Retry-After` is kept to, up to [`max_retry`](Self::max_retry). A `POST` is sent again after 408, 425, 429 and 503
    /// only, which say that nothing was done, unless [`replay_post`](Self::replay_post) allows more.
    pub const fn retry_statuses(mut self, retry: bool) -> Self {
        self.retry_statuses = retry;
        self
    }
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self::new()
    }
}
