//! What an event source asks for, and how patiently.

use crate::adapter::Proxy;
use crate::adapter::route::Route;
use crate::heartbeat::HANDSHAKE_TIMEOUT;
use crate::http1::head::{FieldLines, InvalidField};
use crate::sse::{EventLimits, ReconnectPolicy};
use core::time::Duration;
use std::string::String;
use std::vec::Vec;

/// The options of an event source: its request, its limits and its times.
///
/// ```
/// use pushline::adapter::sse::SourceOptions;
/// use pushline::sse::ReconnectPolicy;
///
/// let options = SourceOptions::new()
///     .field("authorization", "Bearer 123")?
///     .policy(ReconnectPolicy::new().max_attempts(Some(5)));
/// # let _ = options;
/// # Ok::<(), pushline::http1::head::InvalidField>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SourceOptions {
    pub(in crate::adapter) policy: ReconnectPolicy,
    pub(in crate::adapter) limits: EventLimits,
    pub(in crate::adapter) fields: FieldLines,
    pub(in crate::adapter) content: Option<(String, Vec<u8>)>,
    pub(in crate::adapter) connect_timeout: Duration,
    pub(in crate::adapter) response_timeout: Duration,
    pub(in crate::adapter) idle_timeout: Option<Duration>,
    pub(in crate::adapter) max_refusal: usize,
    pub(in crate::adapter) route: Route,
}

impl SourceOptions {
    /// The defaults: a GET.
    pub const fn new() -> Self {
        Self {
            policy: ReconnectPolicy::new(),
            limits: EventLimits::new(),
            fields: FieldLines::new(),
            content: None,
            connect_timeout: HANDSHAKE_TIMEOUT,
            response_timeout: Duration::from_secs(60),
            idle_timeout: None,
            max_refusal: 16 * 1024,
            route: Route::new(),
        }
    }

    /// When to reconnect, how often, how many redirections to follow.
    pub const fn policy(mut self, policy: ReconnectPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Limits of one event.
    pub const fn limits(mut self, limits: EventLimits) -> Self {
        self.limits = limits;
        self
    }

    /// One more field of each request. After a redirection to another origin, `Authorization` and `Cookie` are not
    /// sent.
    ///
    /// # Errors
    ///
    /// The field cannot be written, or is one that the client itself writes.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, InvalidField> {
        let reserved = [
            "host",
            "accept",
            "cache-control",
            "last-event-id",
            "content-type",
            "content-length",
            "transfer-encoding",
            "connection",
            "accept-encoding",
        ];
        if reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(InvalidField::Reserved);
        }
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// Sends a POST with this content instead of a GET. It is sent once, and the stream is not resumed, unless
    /// [`ReconnectPolicy::replay_post`] says otherwise.
    pub fn post(mut self, content_type: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.content = Some((content_type.into(), content.into()));
        self
    }

    /// Time to connect, default 10 seconds.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Time from the request to the end of the response's head, default 60 seconds. Without it a server that answers
    /// nothing is waited for in vain.
    pub const fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// For how long the server may send nothing, not even a comment, before the connection counts as lost. Default: for
    /// ever, since a stream may well be silent for hours. Set it to more than the server's keep-alive interval: without
    /// it a server that vanished without a word is not noticed.
    pub const fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many bytes of the body of a refusal (`EventSource::refusal`) are kept, default 16 KiB; 0 reads none.
    ///
    /// Without it a server fills the client's memory with an error message.
    pub const fn max_refusal(mut self, bytes: usize) -> Self {
        self.max_refusal = bytes;
        self
    }

    /// The proxy that the client goes through to a server, if any; default none. [`Proxy::from_env`] is what the
    /// environment says.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route.set_proxy(proxy);
        self
    }

    /// TLS for `https:` URLs: see [`Options::tls`](crate::adapter::Options::tls).
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.route.set_tls(config);
        self
    }
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self::new()
    }
}
