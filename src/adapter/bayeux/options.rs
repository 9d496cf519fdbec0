//! What a service is made with, and what the operating system gives it.

use crate::adapter;
use crate::comet::bayeux::{BrokerOptions, ClientId, Host};
use crate::comet::cors;
use crate::ws::handshake::{OriginPolicy, ServerOptions};
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

/// Limits, times and who may ask from where.
///
/// ```
/// use pushline::adapter::bayeux::BayeuxOptions;
/// use pushline::comet::bayeux::BrokerOptions;
/// use pushline::comet::cors::CorsPolicy;
///
/// let cors = CorsPolicy::new().allow_origin("https://app.example")?.credentials(true)?.headers(&["content-type"])?;
/// let options = BayeuxOptions::new().broker(BrokerOptions::new().max_sessions(500)).cors(cors).callback_polling(true);
/// # let _ = options;
/// # Ok::<(), pushline::comet::cors::CorsPolicyError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BayeuxOptions {
    pub(super) config: BrokerOptions,
    pub(super) cors: cors::CorsPolicy,
    pub(super) callback_polling: bool,
    pub(super) count_browsers: bool,
    pub(super) body_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) handshake: ServerOptions,
    pub(super) socket: adapter::Options,
}

impl BayeuxOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            config: BrokerOptions::new(),
            cors: cors::CorsPolicy::new(),
            callback_polling: false,
            count_browsers: true,
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            handshake: ServerOptions::new().origin(OriginPolicy::any()),
            socket: adapter::Options::new(),
        }
        .broker(BrokerOptions::new())
    }

    /// The broker's limits and times. [`BrokerOptions::max_request`] counts for the messages of WebSockets as well.
    pub fn broker(mut self, config: BrokerOptions) -> Self {
        self.config = config;
        let limit = config.max_request_bytes();
        self.socket =
            self.socket.connection(crate::ws::ConnectionOptions::new().max_frame(limit).max_message(limit));
        self
    }

    /// Which pages of other origins may be clients. Default: none; pages of the same host always may. CometD's
    /// client sends requests with credentials and `Content-Type: application/json`, so the policy has to allow both.
    pub fn cors(mut self, policy: cors::CorsPolicy) -> Self {
        self.cors = policy;
        self
    }

    /// Whether requests may come as scripts. Default `false`: any page can load a script with the user's cookies, and
    /// no policy can stop it.
    pub const fn callback_polling(mut self, allowed: bool) -> Self {
        self.callback_polling = allowed;
        self
    }

    /// Whether the tabs of a browser are counted over HTTP/1.1, by a cookie `BAYEUX_BROWSER`. Default `true`; see
    /// [`BrokerOptions::max_held_per_browser`].
    pub const fn count_browsers(mut self, counted: bool) -> Self {
        self.count_browsers = counted;
        self
    }

    /// How long a request's body may take. Default 10 seconds; then 408.
    ///
    /// Without it a client that sends a byte a minute holds a connection for ever.
    pub const fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// How long a WebSocket may take to accept one message. Default 30 seconds; then it is cut.
    ///
    /// Without it a client that stops reading holds its task and its session for ever.
    pub const fn write_timeout(mut self, time: Duration) -> Self {
        self.write_timeout = time;
        self
    }
}

impl Default for BayeuxOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Host`] that lets everyone do everything.
///
/// ```
/// use pushline::adapter::bayeux::Everyone;
/// use pushline::comet::bayeux::Host;
///
/// assert_ne!(Everyone.client_id(), Everyone.client_id());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Everyone;

impl Host for Everyone {
    fn client_id(&mut self) -> Option<ClientId> {
        client_id()
    }

    fn unix_millis(&mut self) -> u64 {
        unix_millis()
    }
}

/// 128 bits of the operating system's randomness, for your own [`Host`]; `None` if it has none to give.
///
/// ```
/// assert!(pushline::adapter::bayeux::client_id().is_some());
/// ```
#[must_use]
pub fn client_id() -> Option<ClientId> {
    adapter::nonce().ok().map(ClientId::new)
}

/// The time of day, for your own [`Host`].
///
/// ```
/// assert!(pushline::adapter::bayeux::unix_millis() > 1_700_000_000_000);
/// ```
#[must_use]
#[allow(clippy::disallowed_methods)] // an adapter reads the clock
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
