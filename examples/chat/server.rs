//! The server: which path gives what, and the loop that accepts connections and at last sees them off. HTTP is axum's.
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

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pushline::adapter::tokio::OutboxOptions;
use pushline::comet::cors::CorsPolicyError;
use pushline::comet::parse_cursor;
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{OriginPolicy, ServerOptions};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::chat::{Chat, Limits, Received};
use crate::counts::Counts;
use crate::engine::Engine;
use crate::options::Options;
use crate::page::{self, PAGE};
use crate::protocol::{Hello, MAX_REQUEST, Refusal};
use crate::told::Told;
use crate::visit::Visits;
use crate::{atmosphere, cometd, iframe, jsonp, polling, pushlet, socketio, sockjs, sse, ws, xhr_streaming};

/// Connections at once, 16,384, or two for each that may be in a room if those are more; more are closed as they come. Without
/// it, they could use up all file descriptors.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// Time for a request's head or body, and how long a connection may be idle before it.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Time for the peer to acknowledge what is written: behind it, the system ends the connection.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// How long one response goes on. The client then asks again; without this, one that vanished without a word would be
/// held for as long as the system's buffers take what it is sent.
pub const STREAM_FOR: Duration = Duration::from_secs(60);

/// A JSONP message travels in the request line, each byte of it as `%XX` at worst.
const MAX_HEAD: usize = 2 * MAX_REQUEST;

/// How often the rooms look for members who did not come back.
const TICK: Duration = Duration::from_millis(500);

/// Time for a connection to end when the server does, and for all of them.
const END_WITHIN: Duration = Duration::from_secs(2);
const GOODBYE_WITHIN: Duration = Duration::from_secs(7);

/// What may wait for one connection: all that a room keeps, and what comes meanwhile.
pub const OUTBOX: OutboxOptions = OutboxOptions::new().max_messages(1280).max_bytes(1 << 20);

/// Tells that the server is about to end; who holds one is waited for.
pub type Stop = watch::Receiver<bool>;

/// What all connections share.
pub struct Server {
    pub chat: Arc<Chat>,
    /// The clients that poll or stream.
    pub visits: Visits,
    /// Whose pages may use all this.
    pub access: Access,
    /// What a WebSocket handshake accepts besides.
    pub handshake: ServerOptions,
    pub stop: watch::Sender<bool>,
    /// The page's Content-Security-Policy.
    policy: HeaderValue,
    options: Options,
}

impl Server {
    /// A server without rooms.
    ///
    /// # Errors
    /// One of the origins in `options` is none.
    pub fn new(options: Options, engine: Engine, limits: Arc<Limits>) -> Result<Self, CorsPolicyError> {
        // Of the page's servers, too, only what is an origin may stand in its policy.
        Access::new(&options.backends)?;
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
            access: Access::new(&options.allowed)?,
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
    pub room: String,
    pub session: String,
    nick: String,
    cursor: Option<String>,
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

impl Params {
    /// Who says so.
    pub fn hello(&self) -> Hello {
        let cursor = self.cursor.clone().filter(|cursor| !cursor.is_empty());
        Hello { session: self.session.clone(), nick: self.nick.clone(), cursor, tag: None }
    }
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
        match self.server.chat.receive(&self.params.room, &self.params.session, text).await {
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
        let from = parts.extensions.get().and_then(|Peer(from)| *from);
        Ok(Self { server: Arc::clone(server), params, from })
    }
}

/// The address that a request comes from.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<IpAddr>);

/// All paths.
pub fn app(server: &Arc<Server>) -> Router {
    let not_allowed = || async { (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]) };
    let icon = || async { (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "max-age=86400")]) };
    let mut send = post(said);
    let offers = |name| server.options.offers(name);
    let mut app =
        Router::new().route("/", get(chat_page).fallback(not_allowed)).route("/favicon.ico", get(icon));
    if offers("ws") {
        app = app.route("/ws", any(ws::upgrade));
    }
    if offers("sse") {
        app = app.route("/events", get(sse::events));
    }
    if offers("xhr-streaming") {
        app = app.route("/xhr-streaming", get(xhr_streaming::stream));
    }
    if offers("long-polling") {
        app = app.route("/long-polling", get(polling::long_poll));
    }
    if offers("polling") {
        app = app.route("/polling", get(polling::poll));
    }
    if offers("jsonp") {
        app = app.route("/jsonp", get(jsonp::poll));
        send = send.get(jsonp::send);
    }
    if offers("iframe") {
        app = app.route("/iframe", get(iframe::stream));
    }
    if offers("frameworks") {
        app = app.merge(frameworks(server));
    }
    app.route("/send", send)
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. The chat is at /.\n") })
        .layer(from_fn_with_state(Arc::clone(server), guard))
        .with_state(Arc::clone(server))
}

/// The paths of the frameworks' servers, which answer requests by themselves.
fn frameworks(server: &Arc<Server>) -> Router<Arc<Server>> {
    let sockjs = sockjs::service(server);
    let socketio = socketio::service(server);
    let cometd = cometd::service(server);
    let atmosphere = atmosphere::service(server);
    let pushlet = pushlet::service(server);
    let sockjs = any(async move |request: Request| sockjs.serve(request).await.map(Body::new));
    let cometd = any(async move |request: Request| cometd.serve(request).await.map(Body::from));
    Router::new()
        .route("/sockjs", sockjs.clone())
        .route("/sockjs/{*rest}", sockjs)
        .route(
            "/socket.io/",
            any(async move |request: Request| socketio.handle(request).await.map(Body::new)),
        )
        .route("/cometd", cometd.clone())
        // CometD's client appends the name of the meta channel.
        .route("/cometd/{*rest}", cometd)
        .route(
            "/atmosphere/chat",
            any(async move |request: Request| atmosphere.serve(request).await.map(Body::new)),
        )
        .route("/pushlet.srv", any(async move |request: Request| pushlet.serve(request).await.map(Body::new)))
}

/// Lets in only what comes from pages that may use this server, and says so to those of other origins.
async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let preflight = server.access.preflight(&parts);
    let is_preflight = preflight.is_some();
    let granted = preflight.unwrap_or_else(|| server.access.check(&parts));
    let mut response = match granted.is_allowed {
        false => (StatusCode::FORBIDDEN, "Pages of that origin may not use this server.\n").into_response(),
        true if is_preflight => StatusCode::NO_CONTENT.into_response(),
        true => next.run(Request::from_parts(parts, body)).await,
    };
    set_fields(&mut response, &[("X-Content-Type-Options", "nosniff")]);
    set_fields(&mut response, &granted.fields);
    response
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

fn set_fields(response: &mut Response, fields: &[(&'static str, &str)]) {
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// What one hears who may not come in.
pub fn turned_away(refusal: &Refusal) -> [Told; 2] {
    [Told::answer(&refusal.answer(None)), Told::bye(refusal.bye(), refusal.code)]
}

/// Serves until `end` is done; then closes every connection and waits for that, but not for ever.
pub async fn run(
    mut listener: TcpListener,
    server: Arc<Server>,
    tls: Option<TlsAcceptor>,
    end: impl Future<Output = ()>,
) {
    let app = app(&server);
    // Each client may take two: one that receives, one that sends.
    let per_address = match server.options.behind_proxy {
        true => MAX_CONNECTIONS,
        false => server.chat.limits.per_address.saturating_mul(2).saturating_add(16),
    };
    let counts = Counts::new(per_address, MAX_CONNECTIONS.max(server.chat.limits.members.saturating_mul(2)));
    let ticks = async {
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            server.visits.sweep();
            server.chat.tick().await;
        }
    };
    let accept = async {
        loop {
            let (stream, peer) = axum::serve::Listener::accept(&mut listener).await;
            if let Some(counted) = counts.enter(peer.ip()) {
                let (app, tls, stop) = (app.clone(), tls.clone(), server.stop.subscribe());
                let behind_proxy = server.options.behind_proxy;
                tokio::spawn(async move {
                    connection(stream, (!behind_proxy).then_some(peer.ip()), app, tls, stop).await;
                    drop(counted);
                });
            }
        }
    };
    tokio::select! {
        () = end => {}
        () = ticks => {}
        () = accept => {}
    }
    drop(listener);
    server.stop.send_replace(true);
    server.chat.bye();
    let _ = timeout(GOODBYE_WITHIN, server.stop.closed()).await;
}

/// Serves one connection until it ends. How it ends is nobody's concern here: the room has noticed.
async fn connection(
    stream: TcpStream,
    peer: Option<IpAddr>,
    app: Router,
    tls: Option<TlsAcceptor>,
    mut stop: Stop,
) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_WITHIN));
    match tls {
        // Boxed, for it is many times as large, and a task is as large as its largest part.
        Some(tls) => Box::pin(secure(stream, peer, app, tls, &mut stop)).await,
        None => http1(stream, peer, app, &mut stop).await,
    }
}

async fn secure(stream: TcpStream, peer: Option<IpAddr>, app: Router, tls: TlsAcceptor, stop: &mut Stop) {
    let Ok(Ok(stream)) = timeout(REQUEST_WITHIN, tls.accept(stream)).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return http1(stream, peer, app, stop).await;
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(WRITE_WITHIN).max_concurrent_streams(64);
    builder.max_header_list_size(MAX_HEAD as u32);
    // RFC 8441 3: without it, browsers open their WebSockets over HTTP/1.1.
    builder.enable_connect_protocol();
    let connection = builder.serve_connection(TokioIo::new(stream), service(peer, app));
    drive(connection, |connection| connection.graceful_shutdown(), stop).await;
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<IpAddr>,
    app: Router,
    stop: &mut Stop,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service(peer, app)).with_upgrades();
    drive(connection, |connection| connection.graceful_shutdown(), stop).await;
}

/// Serves until the connection ends; one that is busy when the server ends has a little time for that.
async fn drive<C: Future>(connection: C, shut_down: impl FnOnce(Pin<&mut C>), stop: &mut Stop) {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stopped(stop) => shut_down(connection.as_mut()),
    }
    let _ = timeout(END_WITHIN, connection).await;
}

/// Waits until the server is about to end.
pub async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Of a proxy that is trusted, the last address that it names is the client's.
fn service(
    peer: Option<IpAddr>,
    app: Router,
) -> impl Service<hyper::Request<hyper::body::Incoming>, Response = Response, Error = Infallible, Future: Send>
{
    let app = TowerToHyperService::new(app);
    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let named = || {
            let field = request.headers().get_all("x-forwarded-for").iter().next_back()?;
            field.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let peer = Peer(peer.or_else(named));
        request.extensions_mut().insert(peer);
        app.call(request)
    })
}
