//! The client's side of a connection that comes back (HTML 9.2.2 and 9.2.3): what to ask for, what to make
//! of the answer, when to try again. Knows no bytes of the stream, no URLs, no sockets.
#![allow(clippy::arithmetic_side_effects, reason = "counts redirections up to their limit")]

use super::exchange::SourceResponse;
use super::policy::ReconnectPolicy;
use super::request::is_event_stream;
use crate::heartbeat::Instant;
use core::time::Duration;

/// The HTTP method of a request for a stream.
///
/// ```
/// use pushline::sse::{CloseReason, Method, Next, Reconnect, ReconnectPolicy};
/// use std::time::Duration;
///
/// let mut reconnect = Reconnect::new(Method::Post, ReconnectPolicy::new());
/// assert!(reconnect.should_connect(Duration::ZERO));
/// // The request was sent and nothing came back: it is not sent again.
/// let next = reconnect.disconnected(Duration::ZERO, 0);
/// assert_eq!(next, Next::Closed(CloseReason::NotReplayable));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`, which can be repeated freely.
    Get,
    /// `POST`, which may have done something already when the connection is lost.
    Post,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// The decision about a response: read it, follow it, ask again or stop.
///
/// ```
/// use pushline::sse::{Method, Reconnect, ReconnectPolicy, Verdict};
/// use std::time::Duration;
///
/// let mut reconnect = Reconnect::new(Method::Get, ReconnectPolicy::new());
/// assert!(reconnect.should_connect(Duration::ZERO));
/// assert_eq!(reconnect.response(307, None, Some(b"/feed")), Verdict::Follow(Method::Get));
/// assert_eq!(reconnect.response(200, Some(b"text/event-stream"), None), Verdict::Open);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Its body is the event stream.
    Open,
    /// Send the request, with this method now, to where `Location` points. Credentials meant for one origin
    /// are not to be sent to another.
    Follow(Method),
    /// The server cannot answer now ([`ReconnectPolicy::retry_statuses`]): call [`Reconnect::refused`].
    Retry,
    /// Do not come back.
    Closed(CloseReason),
    /// Do not read it: no request is under way that it could answer.
    Ignore,
}

/// The time of the next attempt, or the end.
///
/// ```
/// use pushline::sse::Next;
/// use std::time::Instant;
///
/// /// For how long to sleep; `None` if that was it.
/// fn wait(next: Next<Instant>, now: Instant) -> Option<std::time::Duration> {
///     match next {
///         Next::At(at) => Some(at.saturating_duration_since(now)),
///         Next::Closed(_) => None,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next<I> {
    /// At this instant, if nothing else happens.
    At(I),
    /// Never.
    Closed(CloseReason),
}

/// The reason why an event source has ended for good.
///
/// ```
/// use pushline::sse::CloseReason;
///
/// assert_eq!(CloseReason::Status(503).to_string(), "the server answered with status 503");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server said 204: stop. There is nothing wrong.
    NoContent,
    /// The server answered with this status, neither 200 nor a redirection that can be followed.
    Status(u16),
    /// The response is no event stream.
    ContentType,
    /// The response is compressed, although the request asked for it plain.
    ContentEncoding,
    /// There were more redirections than [`ReconnectPolicy::max_redirects`].
    TooManyRedirects,
    /// There were as many failures in a row as [`ReconnectPolicy::max_attempts`].
    TooManyAttempts,
    /// It would take sending a `POST` twice; see [`ReconnectPolicy::replay_post`].
    NotReplayable,
    /// [`Reconnect::close`] was called.
    Caller,
}

impl core::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoContent => f.write_str("the server has no more events"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::ContentEncoding => f.write_str("the response is compressed"),
            Self::ContentType => f.write_str("the response is not an event stream"),
            Self::TooManyRedirects => f.write_str("too many redirections"),
            Self::TooManyAttempts => f.write_str("too many failed attempts"),
            Self::NotReplayable => f.write_str("a POST is not sent twice"),
            Self::Caller => f.write_str("closed by the caller"),
        }
    }
}

impl core::error::Error for CloseReason {}

/// A client that connects, reconnects and gives up as an `EventSource` does (HTML 9.2.3).
///
/// It is told what happens and says what to do; time and randomness are arguments. `I` is the caller's
/// instant: `std::time::Instant`, tokio's, or a plain `Duration` in a test. The last event ID lives in the
/// [`EventDecoder`](super::EventDecoder), which keeps it from connection to connection.
///
/// ```
/// use pushline::backoff::Backoff;
/// use pushline::sse::{EventDecoder, Input, Item, Method, Next, Reconnect, ReconnectPolicy, Verdict, request_fields};
/// use std::time::Duration;
///
/// let mut decoder = EventDecoder::new();
/// let mut reconnect = Reconnect::new(Method::Get, ReconnectPolicy::new().backoff(Backoff::new().jitter(0)));
/// let now = Duration::ZERO;
///
/// assert!(reconnect.should_connect(now));
/// assert_eq!(request_fields(decoder.last_event_id()).count(), 3); // no ID yet
/// assert_eq!(reconnect.response(200, Some(b"text/event-stream"), None), Verdict::Open);
///
/// let mut input = Input::new(b"retry: 500\nid: 7\ndata: x\n\n");
/// while let Some(item) = decoder.decode(&mut input)? {
///     if let Item::Retry(time) = item {
///         reconnect.set_retry(time);
///     }
/// }
///
/// // The connection is lost.
/// decoder.receive_eof();
/// assert_eq!(reconnect.disconnected(now, 0), Next::At(Duration::from_millis(500)));
/// assert!(!reconnect.should_connect(Duration::from_millis(499)));
/// assert!(reconnect.should_connect(Duration::from_millis(500)));
/// assert!(request_fields(decoder.last_event_id()).any(|field| field == ("last-event-id", "7")));
/// # Ok::<(), pushline::sse::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reconnect<I> {
    policy: ReconnectPolicy,
    method: Method,
    /// The reconnection time.
    retry: Duration,
    /// Attempts that failed since a stream was open.
    failures: u32,
    state: State<I>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State<I> {
    /// To connect at once.
    Start,
    Waiting(I),
    /// A request is under way, after so many redirections.
    Requesting(u32),
    Open,
    Closed(CloseReason),
}

impl<I: Instant> Reconnect<I> {
    /// A client that is to connect at once.
    #[must_use]
    pub const fn new(method: Method, policy: ReconnectPolicy) -> Self {
        Self { policy, method, retry: policy.first_wait, failures: 0, state: State::Start }
    }

    /// Whether it is time to connect. If so, a request counts as under way from now on.
    ///
    /// The request goes with the [`request_fields`](super::request_fields) to where the last one went, redirections
    /// included, by the same [`method`](Self::method): the fetch is repeated with the request as it stands (HTML 9.2.3),
    /// and so do browsers.
    #[must_use]
    pub fn should_connect(&mut self, now: I) -> bool {
        let due = match self.state {
            State::Start => true,
            State::Waiting(at) => at <= now,
            State::Requesting(..) | State::Open | State::Closed(_) => false,
        };
        if due {
            self.state = State::Requesting(0);
        }
        due
    }

    /// How to ask: as told at first, unless a redirection has made it a `GET`.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// When to call [`should_connect`](Self::should_connect) again; `None` if no time is waited for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        match self.state {
            State::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// Why the client has given up, if it has.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Judges the head of a response: its status and the values of its `Content-Type` and `Location` fields
    /// (HTML 9.2.3).
    ///
    /// Without a request under way there is nothing to judge, and nothing changes: the answer is what stands,
    /// [`Verdict::Ignore`] before [`should_connect`](Self::should_connect) has said yes.
    pub fn response(&mut self, status: u16, content_type: Option<&[u8]>, location: Option<&[u8]>) -> Verdict {
        let redirects = match self.state {
            State::Requesting(redirects) => redirects,
            State::Open => return Verdict::Open,
            State::Closed(reason) => return Verdict::Closed(reason),
            State::Start | State::Waiting(_) => return Verdict::Ignore,
        };
        match (status, location) {
            (200, _) if content_type.is_some_and(is_event_stream) => {
                self.state = State::Open;
                self.failures = 0;
                Verdict::Open
            }
            (200, _) => Verdict::Closed(self.close_for(CloseReason::ContentType)),
            (204, _) => Verdict::Closed(self.close_for(CloseReason::NoContent)),
            (301 | 302 | 303 | 307 | 308, Some(_)) => {
                // RFC 9110 15.4: 307 and 308 keep the method, 303 asks for a GET, and after 301 and 302
                // all clients turn a POST into one.
                let method = if matches!(status, 307 | 308) { self.method } else { Method::Get };
                if redirects >= self.policy.max_redirects {
                    return Verdict::Closed(self.close_for(CloseReason::TooManyRedirects));
                }
                if method == Method::Post && !self.policy.replay_post {
                    return Verdict::Closed(self.close_for(CloseReason::NotReplayable));
                }
                self.state = State::Requesting(redirects + 1);
                self.method = method;
                Verdict::Follow(method)
            }
            (408 | 425 | 429 | 503, _) if self.policy.retry_statuses => Verdict::Retry,
            (500..=599, _) if self.policy.retry_statuses && self.may_repeat() => Verdict::Retry,
            _ => Verdict::Closed(self.close_for(CloseReason::Status(status))),
        }
    }

    /// Judges an [`SourceResponse`]: as [`response`](Self::response), and whether it is compressed. It must not be: the request
    /// asked for `identity`, and a compressed stream would be read as one without events.
    pub fn judge(&mut self, answer: &SourceResponse) -> Verdict {
        let (content_type, location) = (answer.content_type.as_deref(), answer.location.as_deref());
        match self.response(answer.status, content_type, location) {
            Verdict::Open if answer.is_encoded => {
                Verdict::Closed(self.close_for(CloseReason::ContentEncoding))
            }
            verdict => verdict,
        }
    }

    /// The server cannot answer now ([`Verdict::Retry`]), and wants to be asked again after this time, if it said so:
    /// [`RetryAfter::delay`](crate::http1::RetryAfter::delay). `random` is any 64 random bits.
    pub fn refused(&mut self, now: I, random: u64, delay: Option<Duration>) -> Next<I> {
        match (self.wait(now, random), delay) {
            (Next::At(at), Some(delay)) => {
                let at = at.max(now.saturating_add(delay.min(self.policy.max_server_wait)));
                self.state = State::Waiting(at);
                Next::At(at)
            }
            (next, _) => next,
        }
    }

    /// The server set the reconnection time; it is kept within [`ReconnectPolicy::min_server_wait`]
    /// and [`ReconnectPolicy::max_server_wait`].
    pub fn set_retry(&mut self, time: Duration) {
        self.retry = time.max(self.policy.min_server_wait).min(self.policy.max_server_wait);
    }

    /// The stream has ended, or the connection was lost, before or after a response. `random` is any 64
    /// random bits.
    pub fn disconnected(&mut self, now: I, random: u64) -> Next<I> {
        if !self.may_repeat() {
            return Next::Closed(self.close_for(CloseReason::NotReplayable));
        }
        self.wait(now, random)
    }

    /// There was no connection to send the request on: not a byte of it was sent, so that even a `POST` can
    /// be tried again.
    pub fn connect_failed(&mut self, now: I, random: u64) -> Next<I> {
        self.wait(now, random)
    }

    /// Gives up. A reason that stands already is kept.
    pub fn close(&mut self) {
        self.close_for(CloseReason::Caller);
    }

    /// HTML 9.2.3, "reestablish the connection": wait for the reconnection time, and longer if the last
    /// attempt failed, too.
    fn wait(&mut self, now: I, random: u64) -> Next<I> {
        match self.state {
            State::Closed(reason) => return Next::Closed(reason),
            State::Waiting(at) => return Next::At(at),
            State::Open => {}
            State::Start | State::Requesting(..) => self.failures = self.failures.saturating_add(1),
        }
        if self.policy.max_attempts.is_some_and(|most| self.failures >= most && self.failures > 0) {
            return Next::Closed(self.close_for(CloseReason::TooManyAttempts));
        }
        let at = now.saturating_add(self.policy.backoff.wait(self.retry, self.failures, random));
        self.state = State::Waiting(at);
        Next::At(at)
    }

    /// Whether a request that was sent may be sent again.
    fn may_repeat(&self) -> bool {
        self.method == Method::Get || self.policy.replay_post
    }

    fn close_for(&mut self, reason: CloseReason) -> CloseReason {
        if let State::Closed(reason) = self.state {
            return reason;
        }
        self.state = State::Closed(reason);
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;

    const STREAM: Option<&[u8]> = Some(b"text/event-stream");

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A client with a request under way.
    fn requesting(method: Method, policy: ReconnectPolicy) -> Reconnect<Duration> {
        let mut reconnect = Reconnect::new(method, policy);
        assert!(reconnect.should_connect(Duration::ZERO));
        reconnect
    }

    #[test]
    fn failures_double_the_wait_up_to_the_ceiling() {
        let policy = ReconnectPolicy::new().backoff(Backoff::new().jitter(0));
        let mut reconnect = requesting(Method::Get, policy);
        let mut now = Duration::ZERO;
        for expected in [3, 6, 12, 24, 48, 60, 60] {
            assert_eq!(reconnect.disconnected(now, 0), Next::At(now + seconds(expected)));
            assert_eq!(reconnect.next_deadline(), Some(now + seconds(expected)));
            assert_eq!(reconnect.disconnected(now, 0), Next::At(now + seconds(expected)), "told twice");
            now += seconds(expected);
            assert!(reconnect.should_connect(now));
            assert!(!reconnect.should_connect(now), "one request at a time");
        }
        // An open stream starts it all over.
        assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
        assert_eq!(reconnect.disconnected(now, 0), Next::At(now + seconds(3)));
    }

    #[test]
    fn many_failures_overflow_nothing() {
        let mut reconnect = requesting(Method::Get, ReconnectPolicy::new());
        for _ in 0..100 {
            assert!(
                matches!(reconnect.disconnected(Duration::ZERO, u64::MAX), Next::At(at) if at <= seconds(90))
            );
            assert!(reconnect.should_connect(seconds(90)));
        }
        reconnect.failures = u32::MAX;
        assert!(
            matches!(reconnect.disconnected(Duration::ZERO, u64::MAX), Next::At(at) if at <= seconds(90))
        );
    }

    #[test]
    fn jitter_only_adds() {
        let wait = seconds(2);
        assert_eq!(Backoff::new().jitter(50).wait(wait, 0, 0), wait);
        assert_eq!(Backoff::new().jitter(50).wait(wait, 0, 1 << 63), Duration::from_millis(2500));
        assert!(Backoff::new().jitter(50).wait(wait, 0, u64::MAX) < seconds(3));
        assert_eq!(Backoff::new().jitter(0).wait(wait, 0, u64::MAX), wait);
        assert!(Backoff::new().jitter(255).wait(wait, 0, u64::MAX) <= seconds(4));
        assert_eq!(Backoff::new().jitter(100).wait(Duration::MAX, 0, u64::MAX), Duration::MAX);
    }

    #[test]
    fn the_server_sets_the_time_within_bounds() {
        let wait = |time: Duration| {
            let mut reconnect =
                requesting(Method::Get, ReconnectPolicy::new().backoff(Backoff::new().jitter(0)));
            assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
            reconnect.set_retry(time);
            match reconnect.disconnected(Duration::ZERO, 0) {
                Next::At(at) => at,
                Next::Closed(reason) => panic!("{reason}"),
            }
        };
        let milliseconds = Duration::from_millis;
        for (set, used) in [(0, 100), (99, 100), (100, 100), (101, 101)] {
            assert_eq!(wait(milliseconds(set)), milliseconds(used));
        }
        for (set, used) in [(3599, 3599), (3600, 3600), (3601, 3600), (u64::MAX, 3600)] {
            assert_eq!(wait(seconds(set)), seconds(used), "longer than the ceiling of the backoff, and kept");
        }
    }

    #[test]
    fn redirections_are_bounded() {
        for (bound, follows) in [(0, 0), (1, 1), (20, 20)] {
            let mut reconnect = requesting(Method::Get, ReconnectPolicy::new().max_redirects(bound));
            for _ in 0..follows {
                assert_eq!(reconnect.response(302, None, Some(b"/b")), Verdict::Follow(Method::Get));
            }
            let verdict = reconnect.response(302, None, Some(b"/b"));
            assert_eq!(verdict, Verdict::Closed(CloseReason::TooManyRedirects));
        }
        // Each attempt has its own count.
        let mut reconnect = requesting(Method::Get, ReconnectPolicy::new().max_redirects(1));
        for _ in 0..3 {
            assert_eq!(reconnect.response(307, None, Some(b"/b")), Verdict::Follow(Method::Get));
            assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
            assert!(matches!(reconnect.disconnected(Duration::ZERO, 0), Next::At(_)));
            assert!(reconnect.should_connect(seconds(9)));
        }
        assert_eq!(reconnect.response(302, None, None), Verdict::Closed(CloseReason::Status(302)));
    }

    #[test]
    fn attempts_are_bounded() {
        let mut reconnect = requesting(Method::Get, ReconnectPolicy::new().max_attempts(Some(3)));
        for _ in 0..2 {
            assert!(matches!(reconnect.connect_failed(Duration::ZERO, 0), Next::At(_)));
            assert!(reconnect.should_connect(seconds(9)));
        }
        assert_eq!(reconnect.connect_failed(Duration::ZERO, 0), Next::Closed(CloseReason::TooManyAttempts));
        assert!(!reconnect.should_connect(seconds(99)));
        // Streams that were open do not count.
        let mut reconnect = requesting(Method::Get, ReconnectPolicy::new().max_attempts(Some(1)));
        for _ in 0..9 {
            assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
            assert!(matches!(reconnect.disconnected(Duration::ZERO, 0), Next::At(_)));
            assert!(reconnect.should_connect(seconds(9)));
        }
    }

    #[test]
    fn a_post_is_sent_once() {
        let closed = Next::Closed(CloseReason::NotReplayable);
        let mut reconnect = requesting(Method::Post, ReconnectPolicy::new());
        assert_eq!(reconnect.disconnected(Duration::ZERO, 0), closed, "it may have arrived");

        let mut reconnect = requesting(Method::Post, ReconnectPolicy::new());
        assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
        assert_eq!(reconnect.disconnected(Duration::ZERO, 0), closed);
        assert_eq!(reconnect.closed(), Some(CloseReason::NotReplayable));

        let mut reconnect = requesting(Method::Post, ReconnectPolicy::new());
        assert!(matches!(reconnect.connect_failed(Duration::ZERO, 0), Next::At(_)), "it was never sent");

        let mut reconnect = requesting(Method::Post, ReconnectPolicy::new());
        let verdict = reconnect.response(307, None, Some(b"/b"));
        assert_eq!(verdict, Verdict::Closed(CloseReason::NotReplayable));
        for status in [301, 302, 303] {
            let mut reconnect = requesting(Method::Post, ReconnectPolicy::new());
            assert_eq!(reconnect.response(status, None, Some(b"/b")), Verdict::Follow(Method::Get));
        }

        let mut reconnect = requesting(Method::Post, ReconnectPolicy::new().replay_post(true));
        assert_eq!(reconnect.response(308, None, Some(b"/b")), Verdict::Follow(Method::Post));
        assert!(matches!(reconnect.disconnected(Duration::ZERO, 0), Next::At(_)));
    }

    #[test]
    fn a_response_that_nobody_asked_for_changes_nothing() {
        let mut reconnect =
            Reconnect::new(Method::Get, ReconnectPolicy::new().backoff(Backoff::new().jitter(0)));
        assert_eq!(reconnect.response(204, None, None), Verdict::Ignore);
        assert!(reconnect.should_connect(Duration::ZERO));
        assert_eq!(reconnect.disconnected(Duration::ZERO, 0), Next::At(seconds(3)));
        assert_eq!(reconnect.response(200, STREAM, None), Verdict::Ignore, "too late");
        assert_eq!((reconnect.closed(), reconnect.next_deadline()), (None, Some(seconds(3))));
        assert!(reconnect.should_connect(seconds(3)));
        assert_eq!(reconnect.response(200, STREAM, None), Verdict::Open);
        assert_eq!(reconnect.response(204, None, None), Verdict::Open, "it is open");
    }

    #[test]
    fn closed_is_closed() {
        let mut reconnect = requesting(Method::Get, ReconnectPolicy::new());
        assert_eq!(reconnect.response(204, None, None), Verdict::Closed(CloseReason::NoContent));
        reconnect.close();
        assert_eq!(reconnect.response(200, STREAM, None), Verdict::Closed(CloseReason::NoContent));
        assert_eq!(reconnect.disconnected(Duration::ZERO, 0), Next::Closed(CloseReason::NoContent));
        assert_eq!(reconnect.connect_failed(Duration::ZERO, 0), Next::Closed(CloseReason::NoContent));
        assert!(!reconnect.should_connect(seconds(99)));
        assert_eq!((reconnect.next_deadline(), reconnect.closed()), (None, Some(CloseReason::NoContent)));
    }
}
