//! Limits and times of a broker.

use core::time::Duration;

/// Limits and times of a [`Broker`](super::Broker).
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::bayeux::BrokerOptions;
///
/// let config = BrokerOptions::new().timeout(Duration::from_secs(20)).max_sessions(500);
/// assert_ne!(config, BrokerOptions::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BrokerOptions {
    pub(super) timeout: Duration,
    pub(super) interval: Duration,
    pub(super) max_interval: Duration,
    pub(super) multiple_interval: Duration,
    pub(super) max_held_per_browser: usize,
    pub(super) max_sessions: usize,
    pub(super) max_subscriptions: usize,
    pub(super) max_channels: usize,
    pub(super) max_channel_length: usize,
    pub(super) max_queue: usize,
    pub(super) max_queue_bytes: usize,
    pub(super) max_answer: usize,
    pub(super) max_request: usize,
    pub(super) max_message: usize,
    pub(super) max_batch: usize,
    pub(super) ack: bool,
    pub(super) timestamp: bool,
}

impl BrokerOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(10),
            multiple_interval: Duration::from_secs(2),
            max_held_per_browser: 1,
            max_sessions: 10_000,
            max_subscriptions: 128,
            max_channels: 100_000,
            max_channel_length: 256,
            max_queue: 1024,
            max_queue_bytes: 1 << 20,
            max_answer: 256 << 10,
            max_request: 256 << 10,
            max_message: 64 << 10,
            max_batch: 256,
            ack: true,
            timestamp: false,
        }
    }

    /// How long `/meta/connect` is held without news. Default 30 seconds. A client may ask for less.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// How long a client is to wait before it connects again. Default zero.
    pub const fn interval(mut self, time: Duration) -> Self {
        self.interval = time;
        self
    }

    /// How long a session lives, besides [`interval`](Self::interval), without `/meta/connect`. Default 10 seconds.
    ///
    /// Without it what vanished clients left behind is never released.
    pub const fn max_interval(mut self, time: Duration) -> Self {
        self.max_interval = time;
        self
    }

    /// The interval for a browser that holds too many connections. Default 2 seconds.
    pub const fn multiple_interval(mut self, time: Duration) -> Self {
        self.multiple_interval = time;
        self
    }

    /// Requests held for one browser, as [`BayeuxRequest::browser`](super::BayeuxRequest::browser) names it. Default 1.
    ///
    /// Over HTTP/1.1 a browser opens six connections to a host: without the limit a few tabs hold them all, and
    /// nothing else of the site loads.
    pub const fn max_held_per_browser(mut self, count: usize) -> Self {
        self.max_held_per_browser = count;
        self
    }

    /// Sessions at a time. Default 10,000; further handshakes are denied.
    ///
    /// Without it handshakes alone fill the memory.
    pub const fn max_sessions(mut self, count: usize) -> Self {
        self.max_sessions = count;
        self
    }

    /// Subscriptions a client. Default 128; further ones are denied.
    ///
    /// Without it one client fills the memory.
    pub const fn max_subscriptions(mut self, count: usize) -> Self {
        self.max_subscriptions = count;
        self
    }

    /// Channels, and prefixes of patterns, that have subscribers. Default 100,000; further ones are denied.
    ///
    /// Without it many clients do what one may not.
    pub const fn max_channels(mut self, count: usize) -> Self {
        self.max_channels = count;
        self
    }

    /// Bytes of a channel's name. Default 256; longer ones are invalid.
    ///
    /// Without it a name of a thousand segments makes each message on it cost a thousand look-ups.
    pub const fn max_channel_length(mut self, bytes: usize) -> Self {
        self.max_channel_length = bytes;
        self
    }

    /// Messages that wait for a client, or for its acknowledgement. Default 1024; with one more the session is over,
    /// so that the client learns that it has lost some: its next message is answered `402::session_unknown`.
    ///
    /// Without it a client that stays away, or reads slowly, makes the server hold all that it missed.
    pub const fn max_queue(mut self, count: usize) -> Self {
        self.max_queue = count;
        self
    }

    /// Bytes of these messages; for a WebSocket also those of replies that it does not read. Default 1 MiB.
    ///
    /// Without it few large messages do what many small ones may not.
    pub const fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.max_queue_bytes = bytes;
        self
    }

    /// Bytes of messages in one answer; a message that is longer goes alone. Default 256 KiB.
    ///
    /// Without it a client that fell behind makes the server build one answer of all that it missed.
    pub const fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Bytes of a request's envelopes, or of a WebSocket's message. Default 256 KiB; more is 413, or 1009.
    ///
    /// Without it a client has the server check as much JSON as it likes.
    pub const fn max_request(mut self, bytes: usize) -> Self {
        self.max_request = bytes;
        self
    }

    /// What [`max_request`](Self::max_request) has set.
    #[must_use]
    pub const fn max_request_bytes(&self) -> usize {
        self.max_request
    }

    /// Bytes of one message. Default 64 KiB; more is 413, or 1009.
    ///
    /// Without it one message takes each subscriber's whole queue.
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Messages a request. Default 256; more is 413, or 1009.
    ///
    /// Without it one request holds the broker, and so all others, for as long as it likes.
    pub const fn max_batch(mut self, count: usize) -> Self {
        self.max_batch = count;
        self
    }

    /// Whether the extension ack is offered. Default `true`.
    pub const fn ack(mut self, offered: bool) -> Self {
        self.ack = offered;
        self
    }

    /// Whether replies and messages carry a `timestamp`. Default `false`.
    pub const fn timestamp(mut self, written: bool) -> Self {
        self.timestamp = written;
        self
    }
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self::new()
    }
}
