//! A server's refusal: why, with which status, and the response that says so (RFC 6455 4.2.2, 4.4).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::ConnectError;
use super::fields::{ListError, check_own_field};
use crate::http1::head::{FieldLines, HeadError, InvalidField, write_response};

/// The reason why a server refuses a request. Each has its status; [`Refusal::name`] is its name in logs.
///
/// ```
/// use pushline::ws::handshake::Refusal;
///
/// assert_eq!((Refusal::OriginNotAllowed.status(), Refusal::OriginNotAllowed.name()), (403, "OriginNotAllowed"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The head itself, with its own status. Over pairs: Host missing, repeated or malformed; HTTP/1.0.
    Head(HeadError),
    /// 405, `Allow: GET`: the method is not GET (RFC 6455 4.2.1).
    MethodNotAllowed,
    /// 400: the request announces a body, whose bytes would be taken for frames.
    BodyAnnounced,
    /// 426, `Upgrade: websocket`: Upgrade is missing or names other protocols. Not a WebSocket request at all, for
    /// most purposes.
    NotWebSocket,
    /// 426, `Upgrade: websocket`: Connection does not have the option `upgrade` (RFC 9110 7.8).
    NotUpgrade,
    /// 426, `Sec-WebSocket-Version: 13`: another version, or none (RFC 6455 4.4).
    UnsupportedWebSocketVersion,
    /// 400, `Sec-WebSocket-Version: 13`: a request has one version; this one has several.
    BadWebSocketVersion,
    /// 400: no Sec-WebSocket-Key.
    MissingKey,
    /// 400: Sec-WebSocket-Key is not the base64 of 16 bytes.
    BadKey,
    /// 400: more than one Sec-WebSocket-Key (RFC 6455 11.3.1).
    DuplicateKey,
    /// 400: more than one Origin.
    DuplicateOrigin,
    /// 403: the [`OriginPolicy`](super::OriginPolicy) does not allow the Origin (RFC 6455 10.2).
    OriginNotAllowed,
    /// 421: the request is for none of the server's [`hosts`](super::ServerOptions::hosts) (RFC 9110 15.5.20).
    HostNotAllowed,
    /// 400: Sec-WebSocket-Protocol has elements that are malformed, repeated or too many.
    BadSubprotocols(ListError),
    /// 400: Sec-WebSocket-Extensions is malformed or too long (RFC 6455 9.1).
    BadExtensions(ListError),
    /// The request came over HTTP/2 or HTTP/3, and is no extended CONNECT for a WebSocket, or a malformed one.
    Connect(ConnectError),
    /// 408: the request was not complete in time. The handshake reads no clock: whoever does says so.
    Timeout,
    /// The application's own refusal: see [`Rejection::new`].
    Application(u16),
}

impl Refusal {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(error) => error.status(),
            Self::Connect(error) => error.status(),
            Self::MethodNotAllowed => 405,
            Self::NotWebSocket | Self::NotUpgrade | Self::UnsupportedWebSocketVersion => 426,
            Self::OriginNotAllowed => 403,
            Self::HostNotAllowed => 421,
            Self::Timeout => 408,
            Self::Application(status) => status,
            Self::BodyAnnounced
            | Self::BadWebSocketVersion
            | Self::MissingKey
            | Self::BadKey
            | Self::DuplicateKey
            | Self::DuplicateOrigin
            | Self::BadSubprotocols(_)
            | Self::BadExtensions(_) => 400,
        }
    }

    /// The variant's name, or that of the [`HeadError`], for logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head(error) => error.name(),
            Self::Connect(error) => error.name(),
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::BodyAnnounced => "BodyAnnounced",
            Self::NotWebSocket => "NotWebSocket",
            Self::NotUpgrade => "NotUpgrade",
            Self::UnsupportedWebSocketVersion => "UnsupportedWebSocketVersion",
            Self::BadWebSocketVersion => "BadWebSocketVersion",
            Self::MissingKey => "MissingKey",
            Self::BadKey => "BadKey",
            Self::DuplicateKey => "DuplicateKey",
            Self::DuplicateOrigin => "DuplicateOrigin",
            Self::OriginNotAllowed => "OriginNotAllowed",
            Self::HostNotAllowed => "HostNotAllowed",
            Self::BadSubprotocols(_) => "BadSubprotocols",
            Self::BadExtensions(_) => "BadExtensions",
            Self::Timeout => "Timeout",
            Self::Application(_) => "Application",
        }
    }

    /// The fields that the status asks for.
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // RFC 9110 15.5.6.
            Self::MethodNotAllowed => &[("Allow", "GET")],
            // RFC 9110 15.5.22.
            Self::NotWebSocket | Self::NotUpgrade => &[("Upgrade", "websocket")],
            // RFC 6455 4.4.
            Self::UnsupportedWebSocketVersion => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
            Self::Connect(error) => error.fields(),
            Self::BadWebSocketVersion => &[("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(error) => return error.fmt(f),
            Self::Connect(error) => return error.fmt(f),
            Self::MethodNotAllowed => "the method is not GET",
            Self::BodyAnnounced => "the request announces a body",
            Self::NotWebSocket => "the request does not ask for an upgrade to websocket",
            Self::NotUpgrade => "Connection does not have the option upgrade",
            Self::UnsupportedWebSocketVersion => "Sec-WebSocket-Version is not 13",
            Self::BadWebSocketVersion => "more than one Sec-WebSocket-Version",
            Self::MissingKey => "Sec-WebSocket-Key is missing",
            Self::BadKey => "Sec-WebSocket-Key is not the base64 of 16 bytes",
            Self::DuplicateKey => "more than one Sec-WebSocket-Key",
            Self::DuplicateOrigin => "more than one Origin",
            Self::OriginNotAllowed => "the Origin is not allowed",
            Self::HostNotAllowed => "this server does not have that name",
            Self::BadSubprotocols(error) => return write!(f, "Sec-WebSocket-Protocol: {error}"),
            Self::BadExtensions(error) => return write!(f, "Sec-WebSocket-Extensions: {error}"),
            Self::Timeout => "the request took too long",
            Self::Application(status) => return write!(f, "refused by the application with status {status}"),
        })
    }
}

impl core::error::Error for Refusal {}

/// A refusal and the response that tells it: the connection is closed after it.
///
/// ```
/// use pushline::ws::handshake::{Refusal, Rejection};
///
/// let rejection = Rejection::from(Refusal::MethodNotAllowed);
/// assert_eq!(
///     rejection.to_bytes(),
///     b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
/// );
///
/// let rejection = Rejection::new(401).field("WWW-Authenticate", "Basic")?;
/// assert_eq!(rejection.status(), 401);
/// # Ok::<(), pushline::http1::head::InvalidField>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rejection {
    refusal: Refusal,
    added: FieldLines,
    /// Its bytes, and their number in digits.
    body: Option<Box<(Vec<u8>, String)>>,
}

impl Rejection {
    /// A refusal for the application's own reasons, such as 401, 404 or 503. A status outside of 300 to 599 would not
    /// refuse anything: 500 takes its place.
    pub fn new(status: u16) -> Self {
        Refusal::Application(if (300..=599).contains(&status) { status } else { 500 }).into()
    }

    /// Adds a field to the response.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it is malformed, or belongs to the handshake or the framing: Connection, Upgrade,
    /// Content-Length and the like.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidField> {
        check_own_field(name)?;
        self.added.push(name, value)?;
        Ok(self)
    }

    /// Gives the response a body. Default: none; over an adapter, the reason in a line of plain text.
    ///
    /// A 304 has no body (RFC 9112 6.3): it is left out there.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if the type is malformed.
    ///
    /// ```
    /// use pushline::ws::handshake::Rejection;
    ///
    /// let rejection = Rejection::new(503).body("application/json", r#"{"full":true}"#)?;
    /// assert!(rejection.to_bytes().ends_with(b"\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"full\":true}"));
    /// # Ok::<(), pushline::http1::head::InvalidField>(())
    /// ```
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Result<Self, InvalidField> {
        if self.status() != 304 {
            self.added.push("Content-Type", content_type)?;
            let body = body.into();
            let length = format!("{}", body.len());
            self.body = Some(Box::new((body, length)));
        }
        Ok(self)
    }

    /// The body.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| &body.0)
    }

    /// The same with the reason as a line of plain text, unless it has a body, or is the application's own refusal or the
    /// answer to another method than GET, which says enough with its status.
    ///
    /// ```
    /// use pushline::ws::handshake::{Refusal, Rejection};
    ///
    /// let rejection = Rejection::from(Refusal::OriginNotAllowed).explained();
    /// assert_eq!(rejection.body_bytes(), b"the Origin is not allowed\n");
    /// ```
    pub fn explained(self) -> Self {
        // RFC 9110 9.3.2: the answer to HEAD has no content.
        if self.body.is_some() || matches!(self.refusal, Refusal::Application(_) | Refusal::MethodNotAllowed)
        {
            return self;
        }
        let reason = format!("{}\n", self.refusal);
        self.clone().body("text/plain; charset=utf-8", reason).unwrap_or(self)
    }

    /// Why.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.refusal.status()
    }

    /// The fields of the response, for a caller whose HTTP server writes it, and the [body](Self::body_bytes) behind it.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let own = self.refusal.fields();
        // RFC 9110 7.8: whoever sends Upgrade names it in Connection.
        let upgrade = own.iter().any(|(name, _)| *name == "Upgrade");
        let connection = if upgrade { "close, Upgrade" } else { "close" };
        let length = self.body.as_ref().map_or("0", |body| body.1.as_str());
        let last = [("Content-Length", length), ("Connection", connection)];
        let own = own.iter().copied();
        own.map(bytes).chain(self.added.iter()).chain(last.into_iter().map(bytes))
    }

    /// Appends the whole response to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = FieldLines::new();
        for (name, value) in self.fields() {
            // All of them have been checked: nothing is left out.
            let _ = lines.push(name, value);
        }
        // And so has the status.
        let _ = write_response(out, self.status(), &lines);
        out.extend_from_slice(self.body_bytes());
    }

    /// What is written to the client: the whole response, but for clients of other protocols something that they
    /// understand: an alert of TLS, a GOAWAY of HTTP/2.
    ///
    /// ```
    /// use pushline::http1::head::HeadError;
    /// use pushline::ws::handshake::Rejection;
    ///
    /// // RFC 8446 6: fatal, handshake_failure.
    /// assert_eq!(Rejection::from(HeadError::TlsHandshake).to_answer(), [21, 3, 3, 0, 2, 2, 40]);
    /// ```
    #[must_use]
    pub fn to_answer(&self) -> Vec<u8> {
        match self.refusal {
            Refusal::Head(HeadError::TlsHandshake) => TLS_ALERT.into(),
            Refusal::Head(HeadError::Http2Preface) => HTTP2_GOAWAY.into(),
            _ => self.to_bytes(),
        }
    }

    /// The whole response.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}

/// RFC 8446 5.1, 6: a record of type alert (21) with the alert handshake_failure (40), fatal (2).
const TLS_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// RFC 9113 3.4, 6.5: an empty SETTINGS frame, with which each side begins; 6.8: GOAWAY, no stream was processed, and 7:
/// HTTP_1_1_REQUIRED (0x0d).
const HTTP2_GOAWAY: [u8; 26] =
    [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0d];

fn bytes<'a>(field: (&'a str, &'a str)) -> (&'a str, &'a [u8]) {
    (field.0, field.1.as_bytes())
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, added: FieldLines::new(), body: None }
    }
}

impl From<HeadError> for Rejection {
    fn from(error: HeadError) -> Self {
        Refusal::Head(error).into()
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("refusal", &self.refusal)
            .field("added", &self.added)
            .field("body", &format_args!("\"{}\"", self.body_bytes().escape_ascii()))
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusal {
            Refusal::Application(_) => self.refusal.fmt(f), // it names its status
            refusal => write!(f, "{refusal} ({})", self.status()),
        }
    }
}

impl core::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn logs_can_be_read() {
        let rejection = Rejection::new(404).body("text/plain", "no\n").unwrap();
        assert_eq!(rejection.to_string(), "refused by the application with status 404");
        let fields = r#"{"Content-Type": "text/plain"}"#;
        let shown = format!(r#"Rejection {{ refusal: Application(404), added: {fields}, body: "no\n" }}"#);
        assert_eq!(format!("{rejection:?}"), shown);
        assert_eq!(Rejection::from(Refusal::MissingKey).to_string(), "Sec-WebSocket-Key is missing (400)");
    }
}
