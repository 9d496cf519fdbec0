//! Requests and responses: what a request asks of a session, and what the session says to it.

use super::engine::{Engine, Layer, Link};
use super::identity::Identity;
use super::websocket;
use crate::adapter::hyper::{refuse, upgrade};
use crate::http1::authority::Authority;
use crate::socketio::engine::{
    EngineAnswer, EngineRefusal, EngineRequest, EngineTicket, SocketId, TransportKind, records, session_id,
};
use ::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use ::http::request::Parts;
use ::http::{Method, Response, StatusCode};
use bytes::{Buf, Bytes};
use core::convert::Infallible;
use core::fmt;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use http_body::{Frame, SizeHint};
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// The body of a response. It tells the session if the connection was cut before it was taken.
///
/// ```
/// use pushline::adapter::socketio::SocketIoBody;
///
/// let body = SocketIoBody::from(String::from("too large"));
/// assert_eq!(http_body::Body::size_hint(&body).exact(), Some(9));
/// ```
#[derive(Default)]
pub struct SocketIoBody {
    bytes: Bytes,
    cut: Option<Cut>,
}

/// What to do about a request whose connection is cut.
struct Cut(Box<dyn Fn() + Send + Sync>);

impl Drop for Cut {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Cut {
    fn new<L: Layer>(link: &Arc<Link<L>>, ticket: EngineTicket) -> Self {
        let link = Arc::clone(link);
        Self(Box::new(move || link.act(|inner, _, _| inner.session.cut(ticket))))
    }

    /// All went well.
    fn forget(mut self) {
        self.0 = Box::new(|| {});
    }
}

impl From<String> for SocketIoBody {
    fn from(text: String) -> Self {
        Self { bytes: text.into(), cut: None }
    }
}

impl From<Vec<u8>> for SocketIoBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), cut: None }
    }
}

impl http_body::Body for SocketIoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(cut) = self.cut.take() {
            cut.forget();
        }
        let bytes = core::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl fmt::Debug for SocketIoBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIoBody").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl<L: Layer> Engine<L> {
    pub(super) async fn handle<B>(self: &Arc<Self>, request: ::http::Request<B>) -> Response<SocketIoBody>
    where
        B: http_body::Body,
    {
        let (mut parts, body) = request.into_parts();
        let mut response = match (&parts.method, self.setup.cors.is_some()) {
            (&Method::OPTIONS, true) => status(StatusCode::NO_CONTENT),
            _ => self.respond(&mut parts, body).await,
        };
        self.allow(&parts, &mut response);
        response
    }

    async fn respond<B: http_body::Body>(
        self: &Arc<Self>,
        parts: &mut Parts,
        body: B,
    ) -> Response<SocketIoBody> {
        if !self.may(parts) {
            return refused(EngineRefusal::Forbidden);
        }
        let query = String::from(parts.uri.query().unwrap_or_default());
        // Over HTTP/2 the opening handshake is a CONNECT.
        let connect = parts.method == Method::CONNECT;
        let handshake = connect || parts.headers.contains_key("upgrade");
        let method = if connect { "GET" } else { parts.method.as_str() };
        let mut found = None;
        let request = EngineRequest::parse(method, &query, handshake, |sid| {
            found = self.find(sid);
            found.as_ref().map(|link| link.peek(|inner| inner.session.transport()))
        });
        match (request, found) {
            (Err(refusal), _) => refused(refusal),
            (Ok(EngineRequest::Open(transport)), _) => match (transport, self.identity(parts)) {
                (_, Err(refusal)) => refused(refusal),
                (TransportKind::Polling, Ok(identity)) => match self.begin(false, identity) {
                    Ok((link, _)) => poll(&link).await,
                    Err(status) => self::status(status),
                },
                (TransportKind::WebSocket, Ok(_)) if self.is_full() => {
                    status(StatusCode::SERVICE_UNAVAILABLE)
                }
                (TransportKind::WebSocket, Ok(identity)) => self.accept(parts, |engine| {
                    let (link, id) = engine.begin(true, identity).ok()?;
                    Some((link, id?))
                }),
            },
            (Ok(EngineRequest::Upgrade(_)), Some(link)) => {
                self.accept(parts, move |_| link.socket().map(|id| (link, id)))
            }
            (Ok(EngineRequest::Poll(_)), Some(link)) => poll(&link).await,
            (Ok(EngineRequest::Post(_)), Some(link)) => post(&link, parts, body).await,
            (Ok(_), None) => refused(EngineRefusal::UnknownSession),
        }
    }

    /// Whether a page of the request's origin may connect; a WebSocket's handshake asks the same.
    fn may(&self, parts: &Parts) -> bool {
        let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = authority.or_else(|| parts.headers.get(HOST).map(HeaderValue::as_bytes));
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        let origin = origins.next().map(HeaderValue::as_bytes);
        origins.next().is_none() && self.setup.origins.allows(origin, host.and_then(Authority::parse))
    }

    /// Who asks for a session, if the application wants to know.
    fn identity(&self, parts: &Parts) -> Result<Option<Identity>, EngineRefusal> {
        let Some(identify) = &self.setup.identify else { return Ok(None) };
        identify.of(parts).map(Some).ok_or(EngineRefusal::Forbidden)
    }

    fn begin(
        self: &Arc<Self>,
        socket: bool,
        identity: Option<Identity>,
    ) -> Result<(Arc<Link<L>>, Option<SocketId>), StatusCode> {
        let mut random = [0; 15];
        getrandom::fill(&mut random).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        self.open(session_id(random), socket, identity).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Accepts a WebSocket, and asks once it is there what it is for. One that is for nothing is closed.
    fn accept<F>(self: &Arc<Self>, parts: &mut Parts, find: F) -> Response<SocketIoBody>
    where
        F: FnOnce(&Arc<Self>) -> Option<(Arc<Link<L>>, SocketId)> + Send + 'static,
    {
        let mut request = ::http::Request::from_parts(parts.clone(), ());
        core::mem::swap(request.extensions_mut(), &mut parts.extensions);
        let upgraded = upgrade(&mut request, &self.setup.handshake, &self.setup.socket);
        let (response, upgrade) = match upgraded {
            Ok(upgraded) => upgraded,
            Err(rejection) => return refuse(&rejection),
        };
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(mut socket) = upgrade.await else { return };
            match find(&engine) {
                // On a task of its own, which holds nothing of this one's.
                Some((link, id)) => drop(tokio::spawn(websocket::run(link, id, socket))),
                None => drop(socket.close(1000, "").await),
            }
        });
        response
    }

    /// The fields of CORS.
    fn allow(&self, parts: &Parts, response: &mut Response<SocketIoBody>) {
        let Some(policy) = &self.setup.cors else { return };
        let field = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
        let origin = parts.headers.get(ORIGIN).map(HeaderValue::as_bytes);
        let method = field("access-control-request-method");
        let decision = match (&parts.method, origin, method) {
            (&Method::OPTIONS, Some(origin), Some(method)) => {
                policy.preflight(origin, method, field("access-control-request-headers"))
            }
            _ => policy.check(origin),
        };
        decision.set_fields(response.headers_mut());
    }
}

async fn poll<L: Layer>(link: &Arc<Link<L>>) -> Response<SocketIoBody> {
    let (ticket, answer) = link.request(|session, now| session.poll(now));
    let cut = Cut::new(link, ticket);
    let mut response = match answer.await {
        Ok(answer) => written(answer),
        Err(_) => refused(EngineRefusal::UnknownSession), // a second poll took its place
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.body_mut().cut = Some(cut);
    response
}

async fn post<L: Layer, B: http_body::Body>(
    link: &Arc<Link<L>>,
    parts: &Parts,
    body: B,
) -> Response<SocketIoBody> {
    let (ticket, answer) = link.request(|session, now| session.post(now));
    let cut = Cut::new(link, ticket);
    // What is no text is a binary payload of older protocols.
    let octets = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
    let setup = &link.engine.setup;
    let reading = collect(body, setup.config.max_payload);
    let Ok(body) = tokio::time::timeout(setup.body_timeout, reading).await else {
        drop(cut); // the session ends as if the connection had been cut
        return status(StatusCode::REQUEST_TIMEOUT);
    };
    match body {
        Ok(body) if !octets => match core::str::from_utf8(&body) {
            Ok(text) => {
                for packet in records(text) {
                    if !link.receive(|session, now| session.packet(ticket, packet, now)) {
                        break; // a megabyte of records may follow
                    }
                }
                link.act(|inner, _, _| inner.session.posted(ticket));
            }
            Err(_) => link.act(|inner, _, _| inner.session.fail()),
        },
        Ok(_) => link.act(|inner, _, _| inner.session.fail()),
        Err(Failed::TooLarge) => link.act(|inner, _, _| inner.session.too_large(ticket)),
        Err(Failed::Cut) => {
            drop(cut); // nobody is left to be answered, and the session says nothing to it
            return status(StatusCode::BAD_REQUEST);
        }
    }
    let response = answer.await.map_or_else(|_| refused(EngineRefusal::UnknownSession), written);
    cut.forget();
    response
}

pub(super) enum Failed {
    TooLarge,
    Cut,
}

/// The whole body; not more than `max` bytes of it.
pub(super) async fn collect<B: http_body::Body>(body: B, max: usize) -> Result<Vec<u8>, Failed> {
    if body.size_hint().lower() > max as u64 {
        return Err(Failed::TooLarge);
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(|_| Failed::Cut)?.into_data() else { continue };
        if data.remaining() > max - bytes.len() {
            return Err(Failed::TooLarge);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(bytes)
}

fn written(answer: EngineAnswer) -> Response<SocketIoBody> {
    let mut response = status(StatusCode::from_u16(answer.status()).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type()));
    response.body_mut().bytes = answer.into_body().into();
    response
}

fn refused(refusal: EngineRefusal) -> Response<SocketIoBody> {
    let mut response = status(StatusCode::from_u16(refusal.status()).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut body = Vec::new();
    refusal.write_json(&mut body);
    response.body_mut().bytes = body.into();
    response
}

fn status(status: StatusCode) -> Response<SocketIoBody> {
    let mut response = Response::new(SocketIoBody::default());
    *response.status_mut() = status;
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
    }
    response
}
