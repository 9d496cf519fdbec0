//! What a request asks for.

use super::super::exchange::{HttpRequest, HttpResponse, cors, may};
use super::super::{NO_STORE, NOSNIFF};
use super::session::AtmosphereTransport;
use crate::ws::handshake::OriginPolicy;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use core::time::Duration;

/// The longest session identifier, in bytes; ours have 32.
const MAX_ID: usize = 64;

/// One Atmosphere service: what is answered at its URL. Holds no session.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::atmosphere::{AtmosphereReply, AtmosphereService, AtmosphereTransport};
///
/// let service = AtmosphereService::new();
/// let target = "?X-Atmosphere-tracking-id=0&X-Atmosphere-Framework=5.0.7&X-Atmosphere-Transport=sse&X-atmo-protocol=true";
/// let AtmosphereReply::Listen(listen) = service.route(&HttpRequest::new("GET", target, &[], b"")) else { panic!("it does") };
/// assert_eq!((listen.id, listen.transport, listen.greet), (None, AtmosphereTransport::Sse, true));
///
/// let target = target.replace("=sse", "=webtransport");
/// let AtmosphereReply::Response(response) = service.route(&HttpRequest::new("GET", &target, &[], b"")) else { panic!("refused") };
/// assert_eq!(response.status, 501);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AtmosphereService {
    origins: OriginPolicy,
}

/// The reply to a request: a response, or what its session is to do.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::atmosphere::{AtmosphereReply, AtmosphereService};
///
/// let request = HttpRequest::new("GET", "?X-Atmosphere-Transport=close&X-Atmosphere-tracking-id=abc", &[], b"");
/// let service = AtmosphereService::new();
/// assert!(matches!(service.route(&request), AtmosphereReply::Close { id, .. } if id == "abc"));
/// ```
#[derive(Clone, Debug)]
pub enum AtmosphereReply<'r> {
    /// This answer.
    Response(HttpResponse),
    /// What its session writes, after `head`; over a WebSocket, its messages.
    Listen(Listen),
    /// A message for this session: answer `done`, or `missing` if the session does not exist.
    Message {
        /// The session's identifier; `None` from a client that does not know its own yet: one that sends as soon as its
        /// first poll is answered does not.
        id: Option<Cow<'r, str>>,
        /// The message.
        text: &'r str,
        /// The answer.
        done: HttpResponse,
        /// The answer if there is no such session.
        missing: HttpResponse,
    },
    /// The client leaves: end its session, if it exists.
    Close {
        /// The session's identifier.
        id: Cow<'r, str>,
        /// The answer.
        done: HttpResponse,
    },
}

/// The wishes of a client that listens: its session, its transport, its framing.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::atmosphere::{AtmosphereReply, AtmosphereService, AtmosphereTransport};
///
/// let request = HttpRequest::new("GET", "?X-Atmosphere-Transport=streaming&X-Atmosphere-tracking-id=abc", &[], b"");
/// let service = AtmosphereService::new();
/// let AtmosphereReply::Listen(listen) = service.route(&request) else { panic!("it asks for messages") };
/// assert_eq!((listen.id.as_deref(), listen.transport), (Some("abc"), AtmosphereTransport::Streaming));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The session; `None` for one that is to begin.
    pub id: Option<Box<str>>,
    /// How it is written to.
    pub transport: AtmosphereTransport,
    /// Whether the first message is the greeting.
    pub greet: bool,
    /// Whether messages have their lengths.
    pub track: bool,
    /// Whether a poll that is held starts with a blank at once: clients before 5 are open once they see something of
    /// it, and ignore the blank before a length.
    pub blank: bool,
    /// The time between signs of life that the client asks for.
    pub heartbeat: Option<Duration>,
    /// Status and fields of the response.
    pub head: HttpResponse,
}

impl AtmosphereService {
    /// A service for pages of its own host.
    pub const fn new() -> Self {
        Self { origins: OriginPolicy::same_host() }
    }

    /// Which pages may use the service. Default: those of its own host.
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Which pages may use the service: for the handshake of its WebSockets.
    pub const fn origin_policy(&self) -> &OriginPolicy {
        &self.origins
    }

    /// What a request asks for.
    #[must_use]
    pub fn route<'r>(&self, request: &HttpRequest<'r>) -> AtmosphereReply<'r> {
        let open = |response| cors(&self.origins, request, response);
        let refuse =
            |status, reason: &str| AtmosphereReply::Response(open(HttpResponse::text(status, reason)));
        let asked = |name: &str| {
            let field = || request.field(name).map(Cow::Borrowed);
            request.parameter(name).or_else(field).filter(|value| !value.is_empty())
        };
        if request.method == "OPTIONS" {
            return AtmosphereReply::Response(open(
                HttpResponse::new(204)
                    .with("Access-Control-Allow-Methods", "OPTIONS, GET, POST")
                    .with("Access-Control-Max-Age", "86400"),
            ));
        }
        // A WebSocket over HTTP/2 (RFC 8441): what it is to say is the handshake's to see.
        let connects = request.method == "CONNECT"
            && asked("X-Atmosphere-Transport").is_some_and(|transport| transport == "websocket");
        if !connects && !matches!(request.method, "GET" | "POST") {
            return AtmosphereReply::Response(HttpResponse::new(405).with("Allow", "OPTIONS, GET, POST"));
        }
        if !may(&self.origins, request) {
            return refuse(403, "Origin not allowed.\n");
        }
        let version = asked("X-Atmosphere-Framework").map(|version| parse_version(&version));
        if version.is_some_and(|version| version < (2, 2, 1)) {
            return refuse(501, "atmosphere.js before 2.2.1 is not supported.\n");
        }
        let id = asked("X-Atmosphere-tracking-id").filter(|id| id != "0");
        let is_id = |id: &str| {
            id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !id.as_deref().is_none_or(is_id) {
            return refuse(400, "No tracking id.\n");
        }
        let done = || open(HttpResponse::new(200).with(NO_STORE.0, NO_STORE.1));
        if request.method == "POST" {
            let Ok(text) = core::str::from_utf8(request.body) else {
                return refuse(400, "A message is text.\n");
            };
            let missing = open(HttpResponse::text(404, "No such session.\n"));
            return AtmosphereReply::Message { id, text, done: done(), missing };
        }
        let (transport, media_type) = match asked("X-Atmosphere-Transport").as_deref() {
            Some("websocket") => (AtmosphereTransport::WebSocket, "text/plain; charset=UTF-8"),
            Some("sse") => (AtmosphereTransport::Sse, "text/event-stream"),
            Some("streaming") => (AtmosphereTransport::Streaming, "text/plain; charset=UTF-8"),
            Some("long-polling") => (AtmosphereTransport::LongPolling, "text/plain; charset=UTF-8"),
            Some("close") => {
                return match id {
                    Some(id) => AtmosphereReply::Close { id, done: done() },
                    None => refuse(400, "No tracking id.\n"),
                };
            }
            Some(other) => {
                let reason = format!(
                    "The transport {:.32} is not supported: websocket, sse, streaming or long-polling.\n",
                    other.escape_default().collect::<alloc::string::String>()
                );
                return refuse(501, &reason);
            }
            None => return refuse(400, "No X-Atmosphere-Transport.\n"),
        };
        let is_true = |name| asked(name).is_some_and(|value| value == "true");
        // A client of version 5 that comes back waits for a greeting; one that polls has only asked again.
        let waits =
            version.is_some_and(|version| version.0 >= 5) && transport != AtmosphereTransport::LongPolling;
        let heartbeat = asked("X-Heartbeat-Server").and_then(|seconds| seconds.parse().ok());
        let head = HttpResponse::new(200)
            .with("Content-Type", media_type)
            .with(NO_STORE.0, NO_STORE.1)
            .with(NOSNIFF.0, NOSNIFF.1)
            .with("X-Accel-Buffering", "no")
            .with("Access-Control-Expose-Headers", "X-Atmosphere-tracking-id");
        let greet = is_true("X-atmo-protocol") && (id.is_none() || waits);
        let track = is_true("X-Atmosphere-TrackMessageSize");
        let is_older = version.is_some_and(|version| version.0 < 5);
        AtmosphereReply::Listen(Listen {
            greet,
            id: id.map(|id| (*id).into()),
            transport,
            track,
            blank: track && !greet && is_older && transport == AtmosphereTransport::LongPolling,
            heartbeat: heartbeat.map(|seconds: u32| Duration::from_secs(u64::from(seconds.clamp(5, 3600)))),
            head: open(head),
        })
    }
}

/// `5.0.7`, `2.3.2-jquery`: what is no number counts as 0.
fn parse_version(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split('.').map(|part| {
        let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}
