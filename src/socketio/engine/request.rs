//! Requests (Engine.IO 4, "HTTP long-polling", "WebSocket"): what one asks for, or why it is refused.
#![allow(clippy::arithmetic_side_effects, reason = "codes are 0 to 5")]

use alloc::string::String;
use bytes::BufMut;

/// A transport, as a URL names it.
///
/// ```
/// use pushline::socketio::engine::TransportKind;
///
/// assert_ne!(TransportKind::Polling, TransportKind::WebSocket);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

/// The reason why a request is refused, in the reference server's words.
///
/// ```
/// use pushline::socketio::engine::EngineRefusal;
///
/// assert_eq!(EngineRefusal::UnknownSession.status(), 400);
/// let mut body = Vec::new();
/// EngineRefusal::UnknownSession.write_json(&mut body);
/// assert_eq!(body, br#"{"code":1,"message":"Session ID unknown"}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineRefusal {
    /// 0: `transport` is missing, or neither `polling` nor `websocket`.
    UnknownTransport,
    /// 1: there is no such session, or no longer.
    UnknownSession,
    /// 2: a session begins with a GET.
    BadMethod,
    /// 3: the session is on another transport, or the request does not fit its transport.
    BadRequest,
    /// 4: the application refuses it. Status 403.
    Forbidden,
    /// 5: `EIO` is not 4.
    UnsupportedVersion,
}

impl EngineRefusal {
    /// The code in the body.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The HTTP status: 403 for [`Forbidden`](Self::Forbidden), 400 for the others.
    #[must_use]
    pub const fn status(self) -> u16 {
        if matches!(self, Self::Forbidden) { 403 } else { 400 }
    }

    /// The message in the body.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }

    /// Appends the body, `{"code":1,"message":"Session ID unknown"}`.
    pub fn write_json(self, out: &mut impl BufMut) {
        out.put_slice(b"{\"code\":");
        out.put_u8(b'0' + self.code());
        out.put_slice(b",\"message\":\"");
        out.put_slice(self.message().as_bytes());
        out.put_slice(b"\"}");
    }
}

impl core::fmt::Display for EngineRefusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for EngineRefusal {}

/// A checked request to an Engine.IO server.
///
/// ```
/// use pushline::socketio::engine::{EngineRefusal, EngineRequest, TransportKind};
///
/// let none = |_: &str| None;
/// let request = EngineRequest::parse("GET", "EIO=4&transport=polling&t=abc", false, none)?;
/// assert_eq!(request, EngineRequest::Open(TransportKind::Polling));
/// let polling = |sid: &str| (sid == "s1").then_some(TransportKind::Polling);
/// let request = EngineRequest::parse("POST", "EIO=4&transport=polling&sid=s1", false, polling)?;
/// assert_eq!(request, EngineRequest::Post("s1"));
/// let version_3 = EngineRequest::parse("GET", "EIO=3&transport=polling", false, none);
/// assert_eq!(version_3, Err(EngineRefusal::UnsupportedVersion));
/// # Ok::<(), EngineRefusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineRequest<'a> {
    /// A new session.
    Open(TransportKind),
    /// A poll of this session.
    Poll(&'a str),
    /// A payload for this session.
    Post(&'a str),
    /// A WebSocket for this session, which is to be upgraded.
    Upgrade(&'a str),
}

impl<'a> EngineRequest<'a> {
    /// Reads a request: its method, its query, whether it is a WebSocket's opening handshake. `find` says which
    /// transport a session is on. The checks are in the reference server's order.
    ///
    /// # Errors
    ///
    /// [`EngineRefusal`].
    pub fn parse(
        method: &str,
        query: &'a str,
        handshake: bool,
        find: impl FnOnce(&str) -> Option<TransportKind>,
    ) -> Result<Self, EngineRefusal> {
        let field = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let transport = match field("transport") {
            Some("polling") => TransportKind::Polling,
            Some("websocket") => TransportKind::WebSocket,
            _ => return Err(EngineRefusal::UnknownTransport),
        };
        let version = || match field("EIO") {
            Some("4") => Ok(()),
            _ => Err(EngineRefusal::UnsupportedVersion),
        };
        let socket = transport == TransportKind::WebSocket;
        let Some(sid) = field("sid") else {
            if method != "GET" {
                return Err(EngineRefusal::BadMethod);
            }
            if socket != handshake {
                return Err(EngineRefusal::BadRequest);
            }
            return version().map(|()| Self::Open(transport));
        };
        let current = find(sid).ok_or(EngineRefusal::UnknownSession)?;
        version()?;
        match (method, socket) {
            // Also if it is on a WebSocket already: that one is accepted and closed, as clients expect.
            ("GET", true) if handshake => Ok(Self::Upgrade(sid)),
            ("GET", false) if current == transport && !handshake => Ok(Self::Poll(sid)),
            ("POST", false) if current == transport => Ok(Self::Post(sid)),
            _ => Err(EngineRefusal::BadRequest),
        }
    }
}

/// A new session's name: 20 characters of base64url, from 15 random bytes. It is the client's secret.
///
/// ```
/// assert_eq!(pushline::socketio::engine::session_id([0xff; 15]), "____________________");
/// ```
#[must_use]
pub fn session_id(random: [u8; 15]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}
