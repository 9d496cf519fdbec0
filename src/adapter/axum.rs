//! The extractor for axum: a handler asks for a [`WebSocketUpgrade`] and says what becomes of the socket.
//!
//! Over HTTP/2 a WebSocket is opened by a CONNECT (RFC 8441), so routes are made with `any`, not `get`. An
//! [`EventBody`](super::tokio::sse::EventBody) is a response as it is.
//!
//! ```
//! use axum::{Router, response::Response, routing::any};
//! use pushline::adapter::axum::{Socket, WebSocketUpgrade};
//!
//! async fn handler(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(echo)
//! }
//!
//! async fn echo(mut socket: Socket) {
//!     while let Some(Ok(message)) = socket.next().await {
//!         if message.is_data() && socket.send(message).await.is_err() {
//!             return; // the client has left
//!         }
//!     }
//! }
//!
//! let app: Router = Router::new().route("/ws", any(handler));
//! # let _ = app;
//! ```

use super::hyper::{Upgrade, refuse, upgrade};
use super::{Options, trace};
use crate::ws::handshake::fields::MAX_SUBPROTOCOLS;
use crate::ws::handshake::{Accepted, OriginPolicy, Rejection, ServerOptions, accept_parts};
use ::http::Request;
use ::http::request::Parts;
use ::hyper::ext::Protocol;
use ::hyper::upgrade::OnUpgrade;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use core::fmt;
use std::string::String;
use std::vec::Vec;

pub use super::hyper::Socket;

/// A request that asks for a WebSocket, over HTTP/1.1 or HTTP/2: an extractor for axum.
///
/// What is no such request is refused with 400, 405 or 426 and a line of text. The Origin is judged by
/// [`on_upgrade`](Self::on_upgrade), which answers with 403 if it is not allowed: by default only pages of the same host
/// are.
///
/// ```
/// use axum::response::Response;
/// use pushline::adapter::Options;
/// use pushline::adapter::axum::WebSocketUpgrade;
/// use pushline::ws::ConnectionOptions;
///
/// async fn handler(upgrade: WebSocketUpgrade) -> Response {
///     upgrade
///         .protocols(["v2.chat", "v1.chat"])
///         .options(Options::new().connection(ConnectionOptions::new().max_message(64 * 1024)))
///         .on_upgrade(|socket| async move {
///             println!("speaks {:?}", socket.subprotocol());
///         })
/// }
/// # let _ = handler;
/// ```
#[must_use]
pub struct WebSocketUpgrade {
    request: Request<()>,
    server: ServerOptions,
    options: Options,
}

impl WebSocketUpgrade {
    /// The subprotocols that the server speaks, the best first. Default: none.
    ///
    /// A name that is not a token (RFC 6455 4.1) cannot be offered, and is passed over; so is one given twice, and what
    /// comes after the first [`MAX_SUBPROTOCOLS`].
    pub fn protocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let mut known = Vec::new();
        for name in names.into_iter().map(Into::into) {
            if known.len() < MAX_SUBPROTOCOLS
                && crate::http1::syntax::is_token(name.as_bytes())
                && !known.contains(&name)
            {
                known.push(name);
            }
        }
        if let Ok(server) = self.server.clone().subprotocols(known) {
            self.server = server;
        }
        self
    }

    /// Which pages may connect. Default: those of the [same host](OriginPolicy::same_host).
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.server = self.server.origin(policy);
        self
    }

    /// All that the handshake can be told, compression included. It replaces what [`protocols`](Self::protocols) and
    /// [`origin`](Self::origin) said before.
    pub fn server(mut self, server: ServerOptions) -> Self {
        self.server = server;
        self
    }

    /// Times, limits and sizes of the connection.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The subprotocol that will be selected, as far as things stand.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        let accepted = accept(&self.request, &self.server);
        accepted.ok()?.subprotocol()
    }

    /// Answers the request; a task of its own runs `serve` with the socket once the response is sent. If the client has
    /// left by then, nothing is run.
    pub fn on_upgrade<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let path = trace::path(self.request.uri().path());
        match self.into_parts() {
            Ok((response, upgrade)) => {
                tokio::spawn(trace::in_span(&path, async move {
                    if let Ok(socket) = upgrade.await {
                        // The future of the upgrade is gone by then, and so is its memory.
                        std::boxed::Box::pin(serve(socket)).await;
                    }
                }));
                response
            }
            Err(rejection) => rejection.into_response(),
        }
    }

    /// The response and the socket to come, for a caller who runs the task.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], which is a response of axum's, too.
    pub fn into_parts(mut self) -> Result<(Response, Upgrade), Rejection> {
        upgrade(&mut self.request, &self.server, &self.options)
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        if let Some(protocol) = parts.extensions.get::<Protocol>() {
            request.extensions_mut().insert(protocol.clone());
        }
        // What no options would let through is refused at once.
        let any = ServerOptions::new().origin(OriginPolicy::any());
        if let Err(rejection) = accept(&request, &any) {
            trace::refused(parts.version, parts.uri.path(), &rejection);
            return Err(rejection);
        }
        if let Some(upgraded) = parts.extensions.remove::<OnUpgrade>() {
            request.extensions_mut().insert(upgraded);
        }
        Ok(Self { request, server: ServerOptions::new(), options: Options::new() })
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("request", &self.request).finish_non_exhaustive()
    }
}

fn accept<'a>(request: &'a Request<()>, server: &'a ServerOptions) -> Result<Accepted<'a>, Rejection> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    accept_parts(server, method, uri, version, request.headers(), protocol)
}

/// The response of a refusal, with a line of text that says why.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        refuse(&self)
    }
}
