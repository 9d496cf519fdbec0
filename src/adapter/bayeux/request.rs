//! HTTP as Bayeux uses it: which fields and bodies there are, and how the response looks.

use super::options::BayeuxOptions;
use crate::adapter;
use crate::comet::bayeux::{ClientId, form};
use crate::comet::cors;
use bytes::Buf;
use core::future::poll_fn;
use core::pin::pin;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use std::borrow::ToOwned;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Counts the tabs of a browser, as CometD's own servers do.
const COOKIE: &str = "BAYEUX_BROWSER=";

/// What a request asks for.
pub(super) struct Asked {
    pub(super) envelopes: Vec<String>,
    pub(super) callback: Option<String>,
    pub(super) browser: Option<[u8; 16]>,
    counted: bool,
}

/// The status, and why.
pub(super) struct Failed(pub(super) u16, pub(super) &'static str);

impl Asked {
    /// The fields of a query or a form.
    fn take_fields(&mut self, text: &str) {
        for (name, value) in form::fields(text) {
            match &*name {
                "jsonp" => self.callback = Some(value.into_owned()),
                "message" => self.envelopes.push(value.into_owned()),
                _ => {}
            }
        }
    }

    /// For a browser that shakes hands and has none yet.
    pub(super) fn new_cookie(&self) -> Option<HeaderValue> {
        let shakes_hands = || self.envelopes.iter().any(|text| text.contains("/meta/handshake"));
        if !self.counted || self.browser.is_some() || !shakes_hands() {
            return None;
        }
        let id = ClientId::new(adapter::nonce().ok()?);
        HeaderValue::from_str(&format!("{COOKIE}{id}; Path=/; HttpOnly; SameSite=Lax")).ok()
    }
}

/// A request whose head was read: a POST with JSON or a form, or a GET with a query (Bayeux 1.0, 6).
pub(super) struct Asking {
    asked: Asked,
    body: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Json,
    Form,
}

impl Asking {
    pub(super) fn new<B>(request: &Request<B>, options: &BayeuxOptions) -> Result<Self, Failed> {
        let counted = options.count_browsers && request.version() < Version::HTTP_2;
        let browser = if counted { browser(request.headers()) } else { None };
        let mut asked = Asked { envelopes: Vec::new(), callback: None, browser, counted };
        let body = match *request.method() {
            Method::GET => {
                asked.take_fields(request.uri().query().unwrap_or_default());
                Kind::None
            }
            Method::POST => {
                let kind = request.headers().get("content-type").and_then(|value| value.to_str().ok());
                let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
                let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
                if is_form { Kind::Form } else { Kind::Json }
            }
            _ => return Err(Failed(405, "only GET and POST")),
        };
        if body == Kind::None && (!options.callback_polling || asked.callback.is_none()) {
            return Err(Failed(400, "a GET is to be a WebSocket or a script"));
        }
        Ok(Self { asked, body })
    }

    /// Reads the body, if it is to have one.
    pub(super) async fn read<B: http_body::Body>(
        self,
        body: B,
        options: &BayeuxOptions,
    ) -> Result<Asked, Failed> {
        let Self { mut asked, body: kind } = self;
        if kind == Kind::None {
            return Ok(asked);
        }
        // Three bytes each, in a form.
        let each = if kind == Kind::Form { 3 } else { 1 };
        let reading = read_body(body, options.config.max_request_bytes().saturating_mul(each));
        let text = ::tokio::time::timeout(options.body_timeout, reading)
            .await
            .map_err(|_| Failed(408, "the body took too long"))??;
        match kind {
            Kind::Form => {
                asked.take_fields(&text);
                asked.callback = None;
            }
            _ => asked.envelopes.push(text),
        }
        Ok(asked)
    }
}

async fn read_body<B: http_body::Body>(body: B, limit: usize) -> Result<String, Failed> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|_| Failed(400, "the body broke off"))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > limit {
            return Err(Failed(413, "the body is too large"));
        }
        while data.has_remaining() {
            bytes.extend_from_slice(data.chunk());
            data.advance(data.chunk().len());
        }
    }
    String::from_utf8(bytes).map_err(|_| Failed(400, "the body is not UTF-8"))
}

fn browser(headers: &HeaderMap) -> Option<[u8; 16]> {
    let cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let id = cookies.flat_map(|value| value.split(';')).find_map(|one| one.trim().strip_prefix(COOKIE))?;
    ClientId::parse(id).map(ClientId::to_bytes)
}

/// What a browser asks before it lets a page of another origin post JSON.
pub(super) fn preflight<B>(request: &Request<B>, policy: &cors::CorsPolicy) -> Response<String> {
    let field = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let asked = field("origin").zip(field("access-control-request-method"));
    let Some((origin, method)) = asked else { return plain(405, "only GET and POST") };
    let origin = origin.to_owned();
    let decision = policy.preflight(&origin, method, field("access-control-request-headers"));
    let mut response = Response::new(String::new());
    *response.status_mut() =
        if decision.is_allowed() { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
    decision.set_fields(response.headers_mut());
    response
}

pub(super) fn plain(status: u16, text: &str) -> Response<String> {
    let fields =
        [("Content-Type", "text/plain; charset=utf-8"), crate::comet::NO_STORE, crate::comet::NOSNIFF];
    let mut response = response(status, text.to_owned(), fields);
    if status == 405 {
        response.headers_mut().insert("allow", HeaderValue::from_static("GET, POST, OPTIONS"));
    }
    response
}

/// What all answers have: their type, not kept by anyone, and not guessed.
const NAMES: [HeaderName; 3] = [header::CONTENT_TYPE, header::CACHE_CONTROL, header::X_CONTENT_TYPE_OPTIONS];

pub(super) fn response(
    status: u16,
    body: String,
    fields: [(&'static str, &'static str); 3],
) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, (spelt, value)) in NAMES.into_iter().zip(fields) {
        debug_assert!(spelt.eq_ignore_ascii_case(name.as_str()));
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
