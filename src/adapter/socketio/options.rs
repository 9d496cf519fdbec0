//! What a server can be told.

use super::engine::Setup;
use super::identity::Identify;
use crate::comet::cors::{CorsPolicy, CorsPolicyError};
use crate::socketio::{self, RecoveryOptions, engine};
use crate::ws;
use crate::ws::handshake::{OriginPolicy, ServerOptions};
use ::http::request::Parts;
use core::time::Duration;
use std::string::String;
use std::vec::Vec;

/// What a client gets that does not read fast enough, so that [`max_queued_bytes`](engine::EngineOptions::max_queued_bytes)
/// or [`max_queued`](engine::EngineOptions::max_queued) is reached.
///
/// ```
/// use pushline::adapter::socketio::SlowClient;
///
/// assert_eq!(SlowClient::default(), SlowClient::Disconnect);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowClient {
    /// It is disconnected, and knows that it missed something when it comes back.
    #[default]
    Disconnect,
    /// What is new is dropped, and `emit` says so.
    Drop,
}

/// The options of a server.
///
/// ```
/// use core::time::Duration;
/// use pushline::adapter::socketio::SocketIoOptions;
/// use pushline::socketio::engine;
///
/// let options = SocketIoOptions::new()
///     .engine(engine::EngineOptions::new().ping_interval(Duration::from_secs(10)))
///     .max_sessions(10_000)
///     .allow_origin("https://app.example")?;
/// # let _ = options;
/// # Ok::<(), pushline::comet::cors::CorsPolicyError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SocketIoOptions {
    pub(super) engine: engine::EngineOptions,
    pub(super) config: socketio::SocketIoLimits,
    pub(super) slow: SlowClient,
    pub(super) recovery: Option<RecoveryOptions>,
    cors: Option<CorsPolicy>,
    origins: OriginPolicy,
    named: Vec<String>,
    max_sessions: usize,
    body_timeout: Duration,
    identify: Option<Identify>,
}

impl SocketIoOptions {
    /// The defaults: pages of the same host only, 100,000 sessions.
    pub fn new() -> Self {
        Self {
            engine: engine::EngineOptions::new(),
            config: socketio::SocketIoLimits::new(),
            slow: SlowClient::default(),
            recovery: None,
            cors: None,
            origins: OriginPolicy::same_host(),
            named: Vec::new(),
            max_sessions: 100_000,
            body_timeout: Duration::from_secs(15),
            identify: None,
        }
    }

    /// Times and limits of Engine.IO.
    pub fn engine(mut self, config: engine::EngineOptions) -> Self {
        self.engine = config;
        self
    }

    /// Times and limits of Socket.IO.
    pub fn limits(mut self, limits: socketio::SocketIoLimits) -> Self {
        self.config = limits;
        self
    }

    /// What a slow client gets.
    pub fn slow_client(mut self, slow: SlowClient) -> Self {
        self.slow = slow;
        self
    }

    /// Connection state recovery: a client of `socket.io-client` 4.6 or later that was cut comes back as the same one,
    /// in its rooms, and gets the events that it missed. Off by default: each event then carries a string more, and each
    /// namespace keeps its last ones. Events that want an answer, and volatile ones, are not kept.
    pub fn recovery(mut self, config: RecoveryOptions) -> Self {
        self.recovery = Some(config);
        self
    }

    /// Sessions at most; whoever comes then gets 503. Without it, requests that open sessions and nothing else fill
    /// the memory until each has run into its ping timeout.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Time for the body of a POST. Default 15 s; one that takes longer is answered 408, and the session ends. Without
    /// it a client that stops in the middle holds its request, and what it sent of it, for as long as it likes.
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// Who each client is: asked with the request that opens its session, for its cookies, its fields, or what a layer in front of
    /// this server has put into its extensions. `None` refuses the request with 403. What it is stays with the session, for
    /// [`Auth::identity`](super::Auth::identity) and [`SocketRef::identity`](super::SocketRef::identity); the session's other requests
    /// need its identifier only. Not asked by default.
    ///
    /// It must not block: let a layer do what takes time. A client that [comes back](Self::recovery) is in its rooms again, and is who its
    /// new session's request says.
    ///
    /// ```
    /// use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
    ///
    /// #[derive(Clone)]
    /// struct User(String); // which a layer has found in a database, by the session's cookie
    ///
    /// let io = SocketIo::new(SocketIoOptions::new().identify(|request| request.extensions.get::<User>().cloned()));
    /// io.of("/").on("typing", |socket, _| async move {
    ///     if let Some(User(name)) = socket.identity() {
    ///         let _ = socket.broadcast().emit("typing", name.as_str());
    ///     }
    /// });
    /// ```
    pub fn identify<T: Send + Sync + 'static>(
        mut self,
        identify: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.identify = Some(Identify::new(identify));
        self
    }

    /// Pages of this origin may connect, with credentials; besides them only clients that are no browsers. For several
    /// origins, call it several times. Pages of the server's own origin have to be named then, too.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::InvalidOrigin`] if no browser writes an origin so.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, CorsPolicyError> {
        let cors = match self.cors.take() {
            Some(cors) => cors,
            None => CorsPolicy::new().headers(&["Content-Type"])?.credentials(true)?,
        };
        self.cors = Some(cors.allow_origin(origin)?);
        self.named.push(String::from(origin));
        self.origins = OriginPolicy::list(self.named.iter().cloned()).allow_absent(true);
        Ok(self)
    }

    /// Pages of any origin may connect, without credentials: for services that do not know their users by cookies.
    ///
    /// # Errors
    ///
    /// None, after [`new`](Self::new); [`CorsPolicyError::CredentialsForAny`] after
    /// [`allow_origin`](Self::allow_origin).
    pub fn allow_any_origin(mut self) -> Result<Self, CorsPolicyError> {
        let cors = self.cors.take().unwrap_or_default().headers(&["Content-Type"])?;
        self.cors = Some(cors.allow_any()?);
        self.origins = OriginPolicy::any();
        Ok(self)
    }
}

impl Default for SocketIoOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&SocketIoOptions> for Setup {
    fn from(options: &SocketIoOptions) -> Self {
        let messages = ws::ConnectionOptions::new()
            .max_message(options.engine.max_payload)
            .max_frame(options.engine.max_payload)
            .max_outgoing(
                options.engine.max_queued_bytes.max(options.engine.max_payload).saturating_add(1024),
            );
        Self {
            config: options.engine.into(),
            cors: options.cors.clone(),
            handshake: ServerOptions::new().origin(options.origins.clone()),
            // Engine.IO has its own heartbeat.
            socket: crate::adapter::Options::new().connection(messages).ping_interval(None),
            origins: options.origins.clone(),
            body_timeout: options.body_timeout,
            max_sessions: options.max_sessions,
            identify: options.identify.clone(),
        }
    }
}
