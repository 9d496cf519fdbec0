//! The server: which path gives what. HTTP is axum's.
//!
//! | path | transport | |
//! |---|---|---|
//! | `GET /ws` | `ws` | both ways |
//! | `GET /events` | `sse` | an event stream; ids are cursors |
//! | `GET /xhr-streaming` `/long-polling` `/polling` `/jsonp` `/iframe` | as named | the messages of a visit |
//! | `POST /send?session=` | all but `ws` and `jsonp` | one request of the page, as the body |
//! | `GET /send?session=&text=&callback=` | `jsonp` | the same, in the query |
//! | `/sockjs` `/socket.io/` `/cometd` `/atmosphere/chat` `/pushlet.srv` | the frameworks' | as their files say |
//!
//! Each but the last may have the `room` in its query. The receiving requests have `session`, `nick` and `cursor` of the hello; those
//! of a visit also `link`, its name, `since`, the last message that arrived, and `at`, the page's cursor now. `/jsonp` has
//! the `callback` and `/iframe` the `origin` to post to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use pushline::adapter::tokio::OutboxOptions;
use pushline::comet::cors::{CorsPolicy, CorsPolicyError};
use pushline::comet::parse_cursor;
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{OriginPolicy, ServerOptions};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access;
use crate::chat::{Chat, Limits, Received};
use crate::connections::{Peer, REQUEST_WITHIN};
use crate::engine::Engine;
use crate::options::Options;
use crate::page::{self, PAGE};
use crate::protocol::{Hello, MAX_REQUEST, Refusal};
use crate::told::Told;
use crate::visit::Visits;
use crate::{atmosphere, cometd, iframe, jsonp, polling, pushlet, socketio, sockjs, sse, ws, xhr_streaming};

/// How long one response goes on. The client then asks again; without this, one that vanished without a word would be
/// held for as long as the system's buffers take what it is sent.
pub const STREAM_FOR: Duration = Duration::from_secs(60);

/// What may wait for one connection: all that a room keeps, and what comes meanwhile.
pub const OUTBOX: OutboxOptions = OutboxOptions::new().max_messages(1280).max_bytes(1 << 20);

/// What all connections share.
pub struct Server {
    pub chat: Arc<Chat>,
    /// The clients that poll or stream.
    pub visits: Visits,
    /// Whose pages may use all this.
    pub access: CorsPolicy,
    /// What a WebSocket handshake accepts besides.
    pub handshake: ServerOptions,
    pub stop: watch::Sender<bool>,
    /// The page's Content-Security-Policy.
    policy: HeaderValue,
    pub options: Options,
}

impl Server {
    /// A server without rooms.
    ///
    /// # Errors
    /// One of the origins in `options` is none.
    pub fn new(options: Options, engine: Engine, limits: Arc<Limits>) -> Result<Self, CorsPolicyError> {
        // Of the page's servers, too, only what is an origin may stand in its policy.
        let _ = access::policy(&options.backends)?;
        // Whose page it is was decided before: see `access`.
        let mut handshake = ServerOptions::new().origin(OriginPolicy::any());
        if options.compress {
            // Nothing is held between messages: a room is mostly quiet.
            handshake = handshake.deflate(DeflateOptions::new(Compression::Shared));
        }
        let policy = page::content_security_policy(PAGE, &options);
        Ok(Self {
            chat: Chat::new(engine, limits),
            visits: Visits::default(),
            access: access::policy(&options.allowed)?,
            handshake,
            stop: watch::channel(false).0,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
            options,
        })
    }
}

/// The queries' fields, of all requests together.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    #[serde(flatten)]
    pub hello: Hello,
    /// Chosen by the page for each visit.
    pub link: String,
    /// The last message of its visit that the page has.
    #[serde(deserialize_with = "since")]
    pub since: u64,
    /// The page's cursor when it asked.
    pub at: Option<String>,
    pub callback: String,
    pub origin: String,
    pub text: String,
}

fn since<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    parse_cursor(&String::deserialize(text)?).ok_or_else(|| D::Error::custom("that is not a cursor"))
}

/// A page's request: what it asks for in its query, and where it comes from, if that is known.
pub struct Asked {
    pub server: Arc<Server>,
    pub params: Params,
    pub from: Option<IpAddr>,
}

impl Asked {
    /// Passes on what the page says.
    pub async fn say(&self, text: &str) -> StatusCode {
        let Hello { room, session, .. } = &self.params.hello;
        match self.server.chat.receive(room, session, text).await {
            Received::Done => StatusCode::NO_CONTENT,
            // The page is not in the room (any more), so that it must say hello again.
            Received::Gone => StatusCode::GONE,
            Received::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl FromRequestParts<Arc<Server>> for Asked {
    type Rejection = QueryRejection;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, QueryRejection> {
        let Query(params) = Query::try_from_uri(&parts.uri)?;
        // Of a proxy that is trusted, the last address that it names is the client's.
        let named = || {
            let field = parts.headers.get_all("x-forwarded-for").iter().next_back()?;
            field.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let from = match server.options.behind_proxy {
            true => named(),
            false => parts.extensions.get().map(|Peer(from)| *from),
        };
        Ok(Self { server: Arc::clone(server), params, from })
    }
}

/// All paths.
pub fn app(server: &Arc<Server>) -> Router {
    let transports = [
        ("ws", "/ws", any(ws::upgrade)),
        ("sse", "/events", get(sse::events)),
        ("xhr-streaming", "/xhr-streaming", get(xhr_streaming::stream)),
        ("long-polling", "/long-polling", get(polling::long_poll)),
        ("polling", "/polling", get(polling::poll)),
        ("jsonp", "/jsonp", get(jsonp::poll)),
        ("jsonp", "/send", get(jsonp::send)),
        ("iframe", "/iframe", get(iframe::stream)),
    ];
    let offered = transports.into_iter().filter(|(name, ..)| server.options.offers(name));
    let mut app = offered.fold(Router::new(), |app, (_, path, route)| app.route(path, route));
    if server.options.offers("frameworks") {
        app = app
            .merge(sockjs::routes(server))
            .merge(socketio::routes(server))
            .merge(cometd::routes(server))
            .merge(atmosphere::routes(server))
            .merge(pushlet::routes(server));
    }
    let not_allowed = || async { (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]) };
    let icon = || async { (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "max-age=86400")]) };
    app.route("/send", post(said))
        .route("/", get(chat_page).fallback(not_allowed))
        .route("/favicon.ico", get(icon))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The chat is at /.\n") })
        .layer(from_fn_with_state(Arc::clone(server), access::guard))
        .with_state(Arc::clone(server))
}

async fn chat_page(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, server.policy.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (fields, PAGE)
}

async fn said(asked: Asked, body: Body) -> Response {
    let status = match timeout(REQUEST_WITHIN, to_bytes(body, MAX_REQUEST)).await {
        Ok(Ok(body)) => asked.say(str::from_utf8(&body).unwrap_or_default()).await,
        Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    };
    (status, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// What one hears who may not come in.
pub fn turned_away(refusal: &Refusal) -> [Told; 2] {
    [Told::answer(&refusal.answer(None)), Told::bye(refusal.bye(), refusal.code)]
}
