//! What a request asks for, and the answers that need no session.

use super::super::exchange::{HttpRequest, HttpResponse, cors, hex, may};
use super::super::form;
use super::super::jsonp::Callback;
use super::frame::SockJsTransport;
use super::incoming::SockJsMessages;
use crate::http1::syntax::elements;
use crate::ws::handshake::OriginPolicy;
use alloc::borrow::Cow;
use alloc::format;
use sha1::{Digest, Sha1};

/// Answers without a session's state are kept by nobody: they are each client's own.
const NO_CACHE: (&str, &str) =
    ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0");
/// A year, which is as long as anything may be kept.
const CACHE: (&str, &str) = ("Cache-Control", "public, max-age=31536000");
const EXPIRES: (&str, &str) = ("Expires", "Thu, 31 Dec 2037 23:55:55 GMT");

/// The longest `JSESSIONID` that is sent back, and the longest session identifier, in bytes.
///
/// Without a limit a client's own text is kept by the server, at any length.
pub const MAX_ID: usize = 128;

/// One SockJS service: what is answered below its URL. Holds no session.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::sockjs::{SockJsReply, SockJsService};
///
/// let service = SockJsService::new();
/// let reply = service.route(&HttpRequest::new("GET", "/info", &[], b""), 7);
/// let SockJsReply::Response(response) = reply else { panic!("info needs no session") };
/// assert_eq!(response.body, br#"{"websocket":true,"cookie_needed":false,"origins":["*:*"],"entropy":7}"#);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SockJsService {
    sockjs_url: Cow<'static, str>,
    websocket: bool,
    cookie: bool,
    origins: OriginPolicy,
}

impl Default for SockJsService {
    fn default() -> Self {
        Self::new()
    }
}

/// The reply to a request: see [`SockJsService::route`].
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::sockjs::{SockJsReply, SockJsService, SockJsTransport};
///
/// let service = SockJsService::new();
/// let reply = service.route(&HttpRequest::new("POST", "/000/abc/xhr_streaming", &[], b""), 7);
/// let SockJsReply::Receive { session, transport, .. } = reply else { panic!("it asks for frames") };
/// assert_eq!((session, transport), ("abc", SockJsTransport::XhrStreaming));
/// ```
#[derive(Clone, Debug)]
pub enum SockJsReply<'r> {
    /// This answer, and nothing else.
    Response(HttpResponse),
    /// Frames of this session, which is begun if it does not exist. The body of `head` is what the session writes.
    Receive {
        /// The session's identifier.
        session: &'r str,
        /// How the frames are written.
        transport: SockJsTransport,
        /// Status and fields.
        head: HttpResponse,
    },
    /// Messages for this session: answer `done`, or `missing` if the session does not exist.
    Send {
        /// The session's identifier.
        session: &'r str,
        /// The messages.
        messages: SockJsMessages<'r>,
        /// The answer.
        done: HttpResponse,
        /// The answer if there is no such session.
        missing: HttpResponse,
    },
    /// A WebSocket: `framed` if frames go over it ([`SockJsTransport::WebSocket`], [`SockJsMessages::parse`]) and not plain messages.
    WebSocket {
        /// Whether it carries frames.
        framed: bool,
    },
}

impl SockJsService {
    /// A service with WebSockets and without cookies, for pages of its own host.
    pub const fn new() -> Self {
        Self {
            sockjs_url: Cow::Borrowed("https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"),
            websocket: true,
            cookie: false,
            origins: OriginPolicy::same_host(),
        }
    }

    /// Where the iframe's document loads the client from, by default a public copy. A character that would end the
    /// attribute is written as an entity.
    pub fn sockjs_url(mut self, url: &str) -> Self {
        self.sockjs_url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").into();
        self
    }

    /// Whether there are WebSockets. Default `true`.
    pub const fn websocket(mut self, offered: bool) -> Self {
        self.websocket = offered;
        self
    }

    /// Whether a cookie `JSESSIONID` is set, for load balancers that keep a client on one server by it. Default `false`.
    pub const fn cookie(mut self, set: bool) -> Self {
        self.cookie = set;
        self
    }

    /// Which pages may use the service. Default: those of its own host. The reference server lets every page do so,
    /// with the user's cookies: [`OriginPolicy::any`].
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Which pages may use the service: for the handshake of its WebSockets.
    pub const fn origin_policy(&self) -> &OriginPolicy {
        &self.origins
    }

    /// What a request asks for, its path being the one below the service's. `entropy` are 32 random bits, which a
    /// client without a source of its own gets with `/info`.
    #[must_use]
    pub fn route<'r>(&self, request: &HttpRequest<'r>, entropy: u32) -> SockJsReply<'r> {
        SockJsReply::Response(match request.path {
            "" | "/" => {
                only(request, "GET").unwrap_or_else(|| HttpResponse::text(200, "Welcome to SockJS!\n"))
            }
            "/info" => match request.method {
                "OPTIONS" => self.preflight(request, "OPTIONS, GET"),
                _ => only(request, "OPTIONS, GET").unwrap_or_else(|| self.info(request, entropy)),
            },
            "/websocket" => return self.websocket_route(request, false),
            path if is_iframe(path) => only(request, "GET").unwrap_or_else(|| self.iframe(request)),
            path => return self.session_route(request, path),
        })
    }

    /// `/<server>/<session>/<transport>`.
    fn session_route<'r>(&self, request: &HttpRequest<'r>, path: &'r str) -> SockJsReply<'r> {
        let mut parts = path.split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let is_id = |id: &str| !id.is_empty() && id.len() <= MAX_ID && !id.contains('.');
        let (session, transport) = match parts {
            (Some(""), Some(server), Some(session), Some(transport), None)
                if is_id(server) && is_id(session) =>
            {
                (session, transport)
            }
            _ => return SockJsReply::Response(not_found()),
        };
        let allowed = match transport {
            "xhr" | "xhr_streaming" | "xhr_send" => "OPTIONS, POST",
            "jsonp_send" => "POST",
            "eventsource" | "htmlfile" | "jsonp" => "GET",
            "websocket" => return self.websocket_route(request, true),
            _ => return SockJsReply::Response(not_found()),
        };
        if let Some(refused) = only(request, allowed) {
            return SockJsReply::Response(refused);
        }
        if request.method == "OPTIONS" {
            return SockJsReply::Response(self.preflight(request, allowed));
        }
        if !may(&self.origins, request) {
            return SockJsReply::Response(HttpResponse::text(403, "Origin not allowed.\n"));
        }
        match self.exchange(request, session, transport) {
            Ok(reply) => reply,
            Err(fault) => SockJsReply::Response(self.fields(request, HttpResponse::text(500, fault))),
        }
    }

    /// A request of a transport that is allowed to come; or what is wrong with it.
    fn exchange<'r>(
        &self,
        request: &HttpRequest<'r>,
        session: &'r str,
        transport: &str,
    ) -> Result<SockJsReply<'r>, &'static str> {
        let receiving = match transport {
            "xhr" => Some(SockJsTransport::Xhr),
            "xhr_streaming" => Some(SockJsTransport::XhrStreaming),
            "eventsource" => Some(SockJsTransport::EventSource),
            "htmlfile" | "jsonp" => {
                let name = request.parameter("c").or_else(|| request.parameter("callback"));
                let name = name.filter(|name| !name.is_empty()).ok_or("\"callback\" parameter required")?;
                // The published suite lets more through; what goes into a script is the name of a function.
                let callback = Callback::parse(&name).map_err(|_| "invalid \"callback\" parameter")?;
                Some(if transport == "jsonp" {
                    SockJsTransport::jsonp(callback)
                } else {
                    SockJsTransport::html_file(callback)
                })
            }
            _ => None,
        };
        if let Some(transport) = receiving {
            let mut head = HttpResponse::new(200).with("Content-Type", transport.content_type());
            if matches!(transport, SockJsTransport::HtmlFile(_)) {
                head = self.framed(head);
            }
            return Ok(SockJsReply::Receive { session, transport, head: self.fields(request, head) });
        }
        let text = if transport == "jsonp_send" && request.is_form() {
            form::value(request.body, "d")
        } else {
            core::str::from_utf8(request.body).ok().map(Cow::Borrowed)
        };
        let is_broken = text.is_none() && !request.body.is_empty() && !request.is_form();
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or(if is_broken { "Broken JSON encoding." } else { "Payload expected." })?;
        let messages = SockJsMessages::parse(text).map_err(|_| "Broken JSON encoding.")?;
        let done = match transport {
            "jsonp_send" => HttpResponse::text(200, "ok"),
            _ => HttpResponse::text(204, ""),
        };
        let done = self.fields(request, done);
        Ok(SockJsReply::Send { session, messages, done, missing: cors(&self.origins, request, not_found()) })
    }

    fn websocket_route<'r>(&self, request: &HttpRequest<'r>, framed: bool) -> SockJsReply<'r> {
        let lists = |name, wanted: &[u8]| {
            let value = request.field(name).unwrap_or_default();
            elements(value.as_bytes()).any(|element| element.eq_ignore_ascii_case(wanted))
        };
        SockJsReply::Response(if !self.websocket {
            not_found()
        } else if request.method == "CONNECT" {
            // Over HTTP/2 (RFC 8441): what it is to say is the handshake's to see.
            return SockJsReply::WebSocket { framed };
        } else if let Some(refused) = only(request, "GET") {
            refused
        } else if !lists("upgrade", b"websocket") {
            HttpResponse::text(400, "Can \"Upgrade\" only to \"WebSocket\".")
        } else if !lists("connection", b"upgrade") {
            HttpResponse::text(400, "\"Connection\" must be \"Upgrade\".")
        } else {
            return SockJsReply::WebSocket { framed };
        })
    }

    fn info(&self, request: &HttpRequest<'_>, entropy: u32) -> HttpResponse {
        let mut response = HttpResponse::new(200).with("Content-Type", "application/json; charset=UTF-8");
        response.body = format!(
            "{{\"websocket\":{},\"cookie_needed\":{},\"origins\":[\"*:*\"],\"entropy\":{entropy}}}",
            self.websocket, self.cookie
        )
        .into_bytes();
        cors(&self.origins, request, response.with(NO_CACHE.0, NO_CACHE.1))
    }

    fn iframe(&self, request: &HttpRequest<'_>) -> HttpResponse {
        let page = [IFRAME_HEAD, &self.sockjs_url, IFRAME_REST].concat();
        let etag = format!("\"{}\"", hex(&Sha1::digest(page.as_bytes())));
        let known = request.field("if-none-match").unwrap_or_default();
        let is_known = elements(known.as_bytes())
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes());
        let mut response = HttpResponse::new(if is_known { 304 } else { 200 });
        if !is_known {
            response = response.with("Content-Type", "text/html; charset=UTF-8");
            response.body = page.into_bytes();
        }
        self.framed(response.with(CACHE.0, CACHE.1).with(EXPIRES.0, EXPIRES.1).with("ETag", etag))
    }

    /// A document that only pages which may use the service can frame: what it asks has this server's own origin, so a
    /// foreign page that frames it would be let in.
    fn framed(&self, response: HttpResponse) -> HttpResponse {
        match self.origins.frame_ancestors() {
            Some(directive) => response.with("Content-Security-Policy", directive),
            None => response,
        }
    }

    fn preflight(&self, request: &HttpRequest<'_>, methods: &'static str) -> HttpResponse {
        let response = HttpResponse::new(204)
            .with(CACHE.0, CACHE.1)
            .with(EXPIRES.0, EXPIRES.1)
            .with("Access-Control-Max-Age", "31536000")
            .with("Access-Control-Allow-Methods", methods);
        self.set_cookie(request, cors(&self.origins, request, response))
    }

    /// What the answers of all transports have.
    fn fields(&self, request: &HttpRequest<'_>, response: HttpResponse) -> HttpResponse {
        self.set_cookie(request, cors(&self.origins, request, response.with(NO_CACHE.0, NO_CACHE.1)))
    }

    fn set_cookie(&self, request: &HttpRequest<'_>, response: HttpResponse) -> HttpResponse {
        if !self.cookie {
            return response;
        }
        let cookies = request.field("cookie").unwrap_or_default().split(';');
        let mut values = cookies.filter_map(|cookie| cookie.trim().strip_prefix("JSESSIONID="));
        let value = values.next().filter(|value| value.len() <= MAX_ID).unwrap_or("dummy");
        response.with("Set-Cookie", format!("JSESSIONID={value}; path=/"))
    }
}

fn not_found() -> HttpResponse {
    HttpResponse::text(404, "404 Error: Page not found\n")
}

/// The refusal of a method that is none of these.
fn only(request: &HttpRequest<'_>, allowed: &'static str) -> Option<HttpResponse> {
    let is_allowed = allowed.split(", ").any(|method| method == request.method);
    (!is_allowed).then(|| HttpResponse::new(405).with("Allow", allowed))
}

/// `/iframe.html`, `/iframe-1.2.3.html`.
fn is_iframe(path: &str) -> bool {
    let version = path.strip_prefix("/iframe").and_then(|path| path.strip_suffix(".html"));
    version.is_some_and(|version| {
        version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    })
}

const IFRAME_HEAD: &str = r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src=""#;

const IFRAME_REST: &str = r#""></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>
"#;
