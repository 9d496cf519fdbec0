//! The limits and times of a session, and the handshake that tells the client of them.

use crate::settings::{settings, timer_millis};
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

settings! {
    /// What an [`EngineSession`](super::EngineSession) allows and when it gives up. The defaults are the reference server's
    /// where it has one.
    ///
    /// ```
    /// use core::time::Duration;
    /// use pushline::socketio::engine::EngineOptions;
    ///
    /// let config = EngineOptions::new().max_payload(100_000).ping_interval(Duration::from_secs(10));
    /// assert_eq!(config.ping_timeout, Duration::from_secs(20));
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    EngineOptions {
        /// Time from the handshake, or a pong, to the next ping. Default 25 s. Clients are told 12 days at most, of this as of
        /// the next.
        pub ping_interval: Duration = Duration::from_secs(25);
        /// Time that the client has to answer a ping; then the session is closed. Default 20 s.
        pub ping_timeout: Duration = Duration::from_secs(20);
        /// Time that an upgrade may take from the opening of its WebSocket; then this is closed, and the session stays on
        /// polling. Default 10 s.
        pub upgrade_timeout: Duration = Duration::from_secs(10);
        /// Time between two answers to polls that only end them, while an upgrade is under way. Default 100 ms.
        pub noop_interval: Duration = Duration::from_millis(100);
        /// Time that a closed session waits for a poll to tell it to. Default 30 s.
        pub close_timeout: Duration = Duration::from_secs(30);
        /// Bytes of a POST, of a WebSocket message, and (unless one packet alone is larger) of an answer. A POST over it
        /// gets 413. Without it, one client fills the memory. Default 1,000,000.
        pub max_payload: usize = 1_000_000;
        /// Packets in a POST; more end the session. Default 10,000.
        pub max_packets: usize = 10_000;
        /// Packets in an answer to a poll; what is left goes with the next one. Default 16: clients written in Python
        /// take no more.
        pub max_answer: usize = 16;
        /// Bytes queued from which on no further message is taken. Without it, a client that does not read fills the
        /// memory. Default 4 MiB.
        pub max_queued_bytes: usize = 4 << 20;
        /// Messages queued at most. Default 10,000.
        pub max_queued: usize = 10_000;
        /// Whether a session that began with polling may go on on a WebSocket. Default true.
        pub allow_upgrades: bool = true;
    }
}

impl EngineOptions {
    /// The open packet: `0` and the handshake (Engine.IO 4, "Handshake"). `sid` is of characters that JSON does not
    /// escape.
    pub(super) fn open_packet(&self, sid: &str, upgrade: bool) -> String {
        let upgrades = if upgrade && self.allow_upgrades { "\"websocket\"" } else { "" };
        let mut packet = String::new();
        let written = write!(
            packet,
            "0{{\"sid\":\"{sid}\",\"upgrades\":[{upgrades}],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            timer_millis(self.ping_interval),
            timer_millis(self.ping_timeout),
            self.max_payload
        );
        debug_assert!(written.is_ok(), "a string takes what is written");
        packet
    }
}
