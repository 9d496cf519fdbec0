//! Atmosphere: what npm `atmosphere.js` 5 and its clients from 2.2.1 on speak, over WebSockets, event streams, streaming
//! and long polling.
//!
//! An [`AtmosphereService`] says what a [`HttpRequest`](super::HttpRequest) asks for; an [`AtmosphereSession`] holds what its client is to be sent,
//! also while it is away, and writes it as each transport wants it.
//!
//! | on the wire | what |
//! |---|---|
//! | `X-Atmosphere-tracking-id` | the session: 0 before the client knows it. In the query or as a field, as all of these |
//! | `X-Atmosphere-Transport` | `websocket`, `sse`, `streaming`, `long-polling`; `close` ends the session |
//! | `X-Atmosphere-TrackMessageSize` | each message is `LENGTH\|TEXT`, its length in UTF-16 units |
//! | `X-atmo-protocol` | the first message is `ID\|HEARTBEAT\|PADDING\|`: how often the client shows a sign of life, in milliseconds, and what it and the server send as such |
//! | `GET` | listens |
//! | `POST` | a message |
//!
//! Ask clients to turn `trackMessageLength` on: without it, what comes in one piece runs together. The client takes a
//! message that is the padding, `X` by default, for a sign of life, and drops it. Delivery is at most once: what was
//! written to a connection that was cut is lost.
//!
//! Clients from 5.0 on take the first message after they come back for a greeting if there are two `|` in it. So they are
//! greeted again; over long polling, where that cannot be seen, the first answer has one message in it.

mod route;
mod session;

pub use route::{AtmosphereReply, AtmosphereService, Listen};
pub use session::{AtmosphereSession, AtmosphereTicket, AtmosphereTransport, TooSlow};

use crate::settings::settings;
use core::time::Duration;

settings! {
    /// Limits and times of an [`AtmosphereSession`].
    ///
    /// ```
    /// use pushline::comet::atmosphere::AtmosphereOptions;
    ///
    /// assert_ne!(AtmosphereOptions::new().max_messages(16), AtmosphereOptions::default());
    /// ```
    #[derive(Copy)]
    AtmosphereOptions {
        /// Silence after which the server sends the padding, default 30 seconds; a client may ask for another time from 5
        /// seconds on. Zero sends none, and so does [`Duration::MAX`].
        heartbeat: Duration = Duration::from_secs(30);
        /// How often the client is asked to send the padding. Default zero: never.
        client_heartbeat: Duration = Duration::ZERO;
        /// How long a session lives without a connection. Default 60 seconds: a client of version 5 does not say when it
        /// leaves.
        ///
        /// Without it what vanished clients left behind is never released.
        timeout: Duration = Duration::from_secs(60);
        /// How long a response may take nothing although something waits to be written to it: a message, a heartbeat, the end.
        /// Default 50 seconds; then the session is [expired](AtmosphereSession::is_expired). A WebSocket has a write timeout of its own.
        ///
        /// Without it a client that reads nothing holds its session, and all that waits in it, for as long as its connection.
        stall_timeout: Duration = Duration::from_secs(50);
        /// Messages held for a client that is away or slow. Default 1024.
        ///
        /// Without it a client that does not read makes the server hold all that it is sent.
        max_messages: usize = 1024;
        /// Bytes of messages held. Default 1 MiB.
        ///
        /// Without it few large messages do what many small ones may not.
        max_bytes: usize = 1 << 20;
    } else {
        padding: char = 'X';
    }
}

impl AtmosphereOptions {
    /// What is sent as a sign of life, default `X`. No message can be this; `|` is refused, and leaves it as it was.
    pub const fn padding(mut self, padding: char) -> Self {
        if padding != '|' {
            self.padding = padding;
        }
        self
    }

    /// Whether what a client sent is a sign of life, and no message.
    #[must_use]
    pub fn is_heartbeat(&self, text: &str) -> bool {
        let mut characters = text.chars();
        !self.client_heartbeat.is_zero()
            && characters.next() == Some(self.padding)
            && characters.next().is_none()
    }
}
