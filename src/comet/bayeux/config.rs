//! Limits and times of a broker.

use crate::settings::settings;
use core::time::Duration;

settings! {
    /// Limits and times of a [`Broker`](super::Broker).
    ///
    /// ```
    /// use core::time::Duration;
    /// use pushline::comet::bayeux::BrokerOptions;
    ///
    /// let config = BrokerOptions::new().timeout(Duration::from_secs(20)).max_sessions(500);
    /// assert_ne!(config, BrokerOptions::default());
    /// ```
    #[derive(Copy)]
    BrokerOptions {
        /// How long `/meta/connect` is held without news. Default 30 seconds. A client may ask for less.
        pub(super) timeout: Duration = Duration::from_secs(30);
        /// How long a client is to wait before it connects again. Default zero.
        pub(super) interval: Duration = Duration::ZERO;
        /// How long a session lives, besides [`interval`](Self::interval), without `/meta/connect`. Default 10 seconds.
        ///
        /// Without it what vanished clients left behind is never released.
        pub(super) max_interval: Duration = Duration::from_secs(10);
        /// The interval for a browser that holds too many connections. Default 2 seconds.
        pub(super) multiple_interval: Duration = Duration::from_secs(2);
        /// Requests held for one browser, as [`BayeuxRequest::browser`](super::BayeuxRequest::browser) names it. Default 1.
        ///
        /// Over HTTP/1.1 a browser opens six connections to a host: without the limit a few tabs hold them all, and
        /// nothing else of the site loads.
        pub(super) max_held_per_browser: usize = 1;
        /// Sessions at a time. Default 10,000; further handshakes are denied.
        ///
        /// Without it handshakes alone fill the memory.
        pub(super) max_sessions: usize = 10_000;
        /// Subscriptions a client. Default 128; further ones are denied.
        ///
        /// Without it one client fills the memory.
        pub(super) max_subscriptions: usize = 128;
        /// Channels, and prefixes of patterns, that have subscribers. Default 100,000; further ones are denied.
        ///
        /// Without it many clients do what one may not.
        pub(super) max_channels: usize = 100_000;
        /// Bytes of a channel's name. Default 256; longer ones are invalid.
        ///
        /// Without it a name of a thousand segments makes each message on it cost a thousand look-ups.
        pub(super) max_channel_length: usize = 256;
        /// Messages that wait for a client, or for its acknowledgement. Default 1024; with one more the session is over,
        /// so that the client learns that it has lost some: its next message is answered `402::session_unknown`.
        ///
        /// Without it a client that stays away, or reads slowly, makes the server hold all that it missed.
        pub(super) max_queue: usize = 1024;
        /// Bytes of these messages; for a WebSocket also those of replies that it does not read. Default 1 MiB.
        ///
        /// Without it few large messages do what many small ones may not.
        pub(super) max_queue_bytes: usize = 1 << 20;
        /// Bytes of messages in one answer; a message that is longer goes alone. Default 256 KiB.
        ///
        /// Without it a client that fell behind makes the server build one answer of all that it missed.
        pub(super) max_answer: usize = 256 << 10;
        /// Bytes of a request's envelopes, or of a WebSocket's message. Default 256 KiB; more is 413, or 1009.
        ///
        /// Without it a client has the server check as much JSON as it likes.
        pub(super) max_request: usize = 256 << 10;
        /// Bytes of one message. Default 64 KiB; more is 413, or 1009.
        ///
        /// Without it one message takes each subscriber's whole queue.
        pub(super) max_message: usize = 64 << 10;
        /// Messages a request. Default 256; more is 413, or 1009.
        ///
        /// Without it one request holds the broker, and so all others, for as long as it likes.
        pub(super) max_batch: usize = 256;
        /// Whether the extension ack is offered. Default `true`.
        pub(super) ack: bool = true;
        /// Whether replies and messages carry a `timestamp`. Default `false`.
        pub(super) timestamp: bool = false;
    }
}

impl BrokerOptions {
    /// What [`max_request`](Self::max_request) has set.
    #[must_use]
    pub const fn max_request_bytes(&self) -> usize {
        self.max_request
    }
}
