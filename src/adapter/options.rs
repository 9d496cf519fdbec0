//! What both adapters can be told.

use super::Proxy;
use super::Stats;
use super::route::Route;
use crate::heartbeat::HANDSHAKE_TIMEOUT;
use crate::inbox::READ_SIZE;
use crate::ws::{ConnectionOptions, Millis, Times};
use core::time::Duration;

/// The times and sizes of an adapter, and the [`ConnectionOptions`] of its connections.
///
/// ```
/// use std::time::Duration;
/// use pushline::adapter::Options;
/// use pushline::ws::ConnectionOptions;
///
/// let options = Options::new()
///     .connection(ConnectionOptions::new().max_message(64 * 1024))
///     .ping_interval(Some(Duration::from_secs(15)));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) config: ConnectionOptions,
    pub(crate) handshake_timeout: Millis,
    pub(crate) times: Times,
    read_size: Option<usize>,
    pub(super) route: Route,
    pub(crate) stats: Option<Stats>,
}

impl Options {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            config: ConnectionOptions::new(),
            handshake_timeout: Millis::new(HANDSHAKE_TIMEOUT),
            times: Times::new(),
            read_size: None,
            route: Route::new(),
            stats: None,
        }
    }

    /// Limits and choices of the connection.
    pub const fn connection(mut self, connection: ConnectionOptions) -> Self {
        self.config = connection;
        self
    }

    /// Time for the whole opening handshake. Default 10 seconds. A server answers whoever is late with 408, and gives as
    /// much time again to take that, at most the [`close_timeout`](Self::close_timeout).
    ///
    /// Without it a peer that sends nothing holds a connection for ever.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Millis::new(timeout);
        self
    }

    /// The times of an open connection and of its end.
    pub const fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    /// See [`Times::close_timeout`]. Default 5 seconds.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.times = self.times.close_timeout(timeout);
        self
    }

    /// See [`Times::close_limit`]. Default 60 seconds.
    pub const fn close_limit(mut self, limit: Duration) -> Self {
        self.times = self.times.close_limit(limit);
        self
    }

    /// See [`Times::ping_interval`]. Default 30 seconds; zero is `None`.
    pub const fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.times = self.times.ping_interval(interval);
        self
    }

    /// See [`Times::ping_timeout`]. Default 20 seconds.
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.times = self.times.ping_timeout(timeout);
        self
    }

    /// See [`Times::write_timeout`]. Default: the ping interval and the ping timeout together, 50 seconds.
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.times = self.times.write_timeout(timeout);
        self
    }

    /// Bytes offered to one read. Default 16 KiB over the blocking adapter, where each connection has a buffer of its own, and
    /// 32 KiB over tokio, where it is the thread's while nothing partial is held. After a message longer than that, a read over
    /// tokio is offered as much as the message took, up to four times this.
    pub const fn read_size(mut self, bytes: usize) -> Self {
        self.read_size = Some(bytes);
        self
    }

    /// What is offered to a read into a buffer of the connection's own.
    pub(crate) fn own_read_size(&self) -> usize {
        self.read_size.unwrap_or(READ_SIZE)
    }

    /// What is offered to a read into a buffer that a thread's connections share: more is read at once then, and costs them
    /// nothing.
    #[cfg(feature = "tokio")]
    pub(crate) fn shared_read_size(&self) -> usize {
        self.read_size.unwrap_or(2 * READ_SIZE)
    }

    /// The proxy that the client goes through to a server, if any; default none. [`Proxy::from_env`] is what the
    /// environment says. A server takes no notice of it.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route.set_proxy(proxy);
        self
    }

    /// TLS for `wss:` URLs: your own roots, a client's certificate, another crypto provider. Of its protocols (ALPN) only
    /// `http/1.1` is offered. A server takes no notice of it.
    ///
    /// By default, the process's crypto provider is used, or ring if it has none; Mozilla's roots, as they were when the crate
    /// `webpki-roots` was made, are trusted.
    ///
    /// ```no_run
    /// use pushline::adapter::Options;
    /// use rustls::{ClientConfig, RootCertStore, pki_types::{CertificateDer, pem::PemObject}};
    /// use std::sync::Arc;
    ///
    /// // A server whose certificate was issued by the house.
    /// let mut roots = RootCertStore::empty();
    /// roots.add(CertificateDer::from_pem_file("our-ca.pem")?)?;
    /// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    /// let options = Options::new().tls(Arc::new(config));
    /// # let _ = options;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.route.set_tls(config);
        self
    }

    /// Where connections and handshakes are counted. Default: nowhere, which costs nothing.
    ///
    /// What one connection has carried is known in any case: `WebSocket::stats`.
    pub fn stats(mut self, stats: &Stats) -> Self {
        self.stats = Some(stats.clone());
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
