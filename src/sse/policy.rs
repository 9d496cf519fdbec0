//! How patiently a client reconnects: times and counts, each with its default (HTML 9.2.3).

use crate::backoff::Backoff;
use core::time::Duration;

/// The policy of reconnecting: when, how often, and what is not repeated.
///
/// ```
/// use pushline::sse::ReconnectPolicy;
/// use std::time::Duration;
///
/// let patient = ReconnectPolicy::new().first_wait(Duration::from_secs(10)).max_attempts(Some(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct ReconnectPolicy {
    pub(super) first_wait: Duration,
    pub(super) min_server_wait: Duration,
    pub(super) max_server_wait: Duration,
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
            first_wait: Duration::from_secs(3),
            min_server_wait: Duration::from_millis(100),
            max_server_wait: Duration::from_secs(3600),
            backoff: Backoff::new(),
            max_attempts: None,
            max_redirects: 20,
            replay_post: false,
            retry_statuses: false,
        }
    }

    /// The wait after the end of a stream and after the first failure, default 3 s: the reconnection time, for as long as
    /// the server sets none. It doubles with each failure that follows.
    pub const fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// The shortest reconnection time taken from the server, default 100 ms. Stops a server that says
    /// `retry: 0` from having its clients connect in a tight loop.
    pub const fn min_server_wait(mut self, wait: Duration) -> Self {
        self.min_server_wait = wait;
        self
    }

    /// The longest wait that a server may ask for, by the reconnection time or `Retry-After`, default 1 h. Stops a server
    /// that says `retry: 99999999999` from turning its clients off for good.
    pub const fn max_server_wait(mut self, wait: Duration) -> Self {
        self.max_server_wait = wait;
        self
    }

    /// How far the wait grows while attempts fail, and its random part. Never less than the reconnection time is waited:
    /// HTML 9.2.3 lets a client wait longer, not shorter.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
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
    /// `Retry-After` is kept to, up to [`max_server_wait`](Self::max_server_wait). A `POST` is sent again after 408, 425, 429 and 503
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
