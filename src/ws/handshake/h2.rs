//! The opening handshake over an HTTP/2 or HTTP/3 stream: extended CONNECT (RFC 8441, RFC 9220), the server's side.
#![allow(clippy::arithmetic_side_effects, reason = "three digits that were matched")]

use core::fmt;

use super::accepted::Accepted;
use super::rejection::Rejection;
use super::server::{Gathered, ServerOptions};
use crate::http1::authority::Authority;
use crate::http1::head::HeadError;
use crate::http1::syntax::{is_field_value, is_token, trim};
use crate::ws::handshake::Refusal;

/// Checks the field section of an HTTP/2 or HTTP/3 request (RFC 8441 5, RFC 9220 3): pseudo-header fields first, then the
/// fields, as they were decoded. The result has status 200 and no Sec-WebSocket-Accept; the frames follow in DATA.
///
/// The HTTP library has to bound the section's size and to announce [`ConnectSetting::ID`](super::ConnectSetting::ID) with value 1.
///
/// # Errors
///
/// A [`Rejection`] whose status is to be answered; its fields are [`Rejection::connect_fields`]. The stream of a
/// [malformed](ConnectError::is_malformed) request may be reset with `PROTOCOL_ERROR` instead.
///
/// ```
/// use pushline::ws::handshake::{ConnectError, Refusal, ServerOptions, accept_connect};
///
/// let options = ServerOptions::new();
/// let mut request = [
///     (":method", &b"CONNECT"[..]),
///     (":protocol", b"websocket"),
///     (":scheme", b"https"),
///     (":path", b"/chat"),
///     (":authority", b"server.example.com"),
///     ("sec-websocket-version", b"13"),
/// ];
/// let accepted = accept_connect(&options, request)?;
/// assert_eq!((accepted.status(), accepted.fields().count()), (200, 0));
///
/// request[1].1 = b"connect-udp";
/// let refused = accept_connect(&options, request).unwrap_err();
/// assert_eq!(refused.refusal(), Refusal::Connect(ConnectError::UnsupportedProtocol));
/// assert_eq!(refused.status(), 501);
/// # Ok::<(), pushline::ws::handshake::Rejection>(())
/// ```
pub fn accept_connect<'a>(
    options: &'a ServerOptions,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accepted<'a>, Rejection> {
    let mut section = Section::default();
    let mut fault = None;
    let regular = fields.into_iter().filter(|&(name, value)| {
        let is_regular = section.check(name, value);
        fault = fault.or(is_regular.err());
        is_regular == Ok(true)
    });
    let mut request = Gathered::default();
    request.gather(options, regular);
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    let authority = section.request(request.host.get(HeadError::DuplicateHost)?)?;
    // RFC 9113 8.5: the stream carries frames from its first byte on; a length would cut them.
    if request.has_length {
        return Err(Refusal::BodyAnnounced.into());
    }
    // RFC 8441 5, RFC 6455 4.4: the version is checked as before, but Upgrade, which a 426 needs, cannot be sent.
    let version = request.version.get(Refusal::BadWebSocketVersion)?;
    if version != Some(b"13") {
        return Err(ConnectError::UnsupportedWebSocketVersion.into());
    }
    // RFC 8441 5: Sec-WebSocket-Key is not processed.
    request.accept(options, authority, None)
}

/// The pseudo-header fields of a request or response (RFC 9113 8.3, RFC 8441 4), and what is known of the section so far.
#[derive(Default)]
pub(super) struct Section<'a> {
    method: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    has_regular: bool,
}

impl<'a> Section<'a> {
    /// Takes the next field; whether it is a regular one.
    pub(super) fn check(&mut self, name: &'a str, value: &'a [u8]) -> Result<bool, ConnectError> {
        // RFC 9113 8.2.1: no control bytes; no white space around a value.
        if !is_field_value(value) || trim(value).len() != value.len() {
            return Err(ConnectError::BadFieldValue);
        }
        if name.starts_with(':') {
            let place = match name {
                ":method" => &mut self.method,
                ":protocol" => &mut self.protocol,
                ":scheme" => &mut self.scheme,
                ":path" => &mut self.path,
                ":authority" => &mut self.authority,
                ":status" => &mut self.status,
                // RFC 9113 8.3.
                _ => return Err(ConnectError::UnknownPseudoField),
            };
            if self.has_regular {
                return Err(ConnectError::LatePseudoField);
            }
            return match place.replace(value) {
                None => Ok(false),
                Some(_) => Err(ConnectError::DuplicatePseudoField),
            };
        }
        self.has_regular = true;
        // RFC 9113 8.2.1: names are in lower case.
        if !is_token(name.as_bytes()) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ConnectError::BadFieldName);
        }
        // RFC 9113 8.2.2, RFC 9114 4.2: of all these, only `TE: trailers` may be there.
        match name {
            "connection" | "upgrade" | "keep-alive" | "proxy-connection" | "transfer-encoding" => {
                Err(ConnectError::ConnectionField)
            }
            "te" if !value.eq_ignore_ascii_case(b"trailers") => Err(ConnectError::ConnectionField),
            _ => Ok(true),
        }
    }

    /// Whom an extended CONNECT for a WebSocket is for.
    fn request(&self, host: Option<&'a [u8]>) -> Result<Authority<'a>, ConnectError> {
        if self.status.is_some() {
            return Err(ConnectError::UnknownPseudoField);
        }
        let method = self.method.ok_or(ConnectError::MissingMethod)?;
        if method != b"CONNECT" {
            // RFC 8441 4: `:protocol` makes no sense on other methods.
            let misplaced = self.protocol.is_some();
            return Err(if misplaced { ConnectError::MisplacedProtocol } else { ConnectError::NotConnect });
        }
        // RFC 9113 8.5: without `:protocol` it is the CONNECT of a proxy.
        let protocol = self.protocol.ok_or(ConnectError::NoProtocol)?;
        // RFC 8441 4: both are required with `:protocol`.
        let scheme = self.scheme.ok_or(ConnectError::MissingScheme)?;
        let path = self.path.ok_or(ConnectError::MissingPath)?;
        // RFC 9113 8.3.1: one of the two names the host, and both name the same one.
        let named = self.authority.or(host).ok_or(ConnectError::MissingAuthority)?;
        let authority = Authority::parse(named).ok_or(ConnectError::BadAuthority)?;
        if host.is_some_and(|host| !host.eq_ignore_ascii_case(named)) {
            return Err(ConnectError::AuthorityMismatch);
        }
        // RFC 9220 3.
        if !protocol.eq_ignore_ascii_case(b"websocket") {
            return Err(ConnectError::UnsupportedProtocol);
        }
        // RFC 8441 5: `http` for `ws`, `https` for `wss`.
        if !scheme.eq_ignore_ascii_case(b"https") && !scheme.eq_ignore_ascii_case(b"http") {
            return Err(ConnectError::BadScheme);
        }
        // RFC 9113 8.3.1: it starts with a slash. RFC 3986 2: it has no other bytes than URLs have.
        if !path.starts_with(b"/") || !path.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(ConnectError::BadPath);
        }
        Ok(authority)
    }

    /// The status of a response (RFC 9113 8.3.2).
    pub(super) fn status(&self) -> Result<u16, ConnectError> {
        let others = [self.method, self.protocol, self.scheme, self.path, self.authority];
        if others.iter().any(Option::is_some) {
            return Err(ConnectError::UnknownPseudoField);
        }
        match self.status.ok_or(ConnectError::BadStatus)? {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                Ok(100 * digit(a) + 10 * digit(b) + digit(c))
            }
            _ => Err(ConnectError::BadStatus),
        }
    }
}

/// An error of an extended CONNECT or its response, beyond those of a handshake over HTTP/1.1.
///
/// ```
/// use pushline::ws::handshake::ConnectError;
///
/// assert_eq!((ConnectError::MissingPath.status(), ConnectError::MissingPath.name()), (400, "MissingPath"));
/// assert!(ConnectError::MissingPath.is_malformed() && !ConnectError::NotConnect.is_malformed());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectError {
    /// 400: a pseudo-header field that does not exist, or not in this kind of message (RFC 9113 8.3).
    UnknownPseudoField,
    /// 400: a pseudo-header field that is given twice (RFC 9113 8.3).
    DuplicatePseudoField,
    /// 400: a pseudo-header field behind a field (RFC 9113 8.3).
    LatePseudoField,
    /// 400: a field name that is no token, or not in lower case (RFC 9113 8.2.1).
    BadFieldName,
    /// 400: a field value with a control byte, or white space at an end (RFC 9113 8.2.1).
    BadFieldValue,
    /// 400: Connection, Upgrade, Keep-Alive, Proxy-Connection, Transfer-Encoding, or TE with more than `trailers`
    /// (RFC 9113 8.2.2).
    ConnectionField,
    /// 400: no `:method`.
    MissingMethod,
    /// 400: no `:scheme`, which must be there with `:protocol` (RFC 8441 4).
    MissingScheme,
    /// 400: no `:path`, which must be there with `:protocol` (RFC 8441 4).
    MissingPath,
    /// 400: neither `:authority` nor Host.
    MissingAuthority,
    /// 400: `:scheme` is neither `http` nor `https` (RFC 8441 5).
    BadScheme,
    /// 400: `:path` does not start with a slash, or has bytes that a URL cannot have.
    BadPath,
    /// 400: `:authority` is not a host and port; user information is not allowed (RFC 9113 8.3.1).
    BadAuthority,
    /// 400: Host names another host than `:authority` (RFC 9113 8.3.1).
    AuthorityMismatch,
    /// 400: `:protocol` on a method other than CONNECT (RFC 8441 4).
    MisplacedProtocol,
    /// 405, `Allow: CONNECT`: another method; over HTTP/2 and 3 a WebSocket is opened by CONNECT.
    NotConnect,
    /// 501: CONNECT without `:protocol` asks for a tunnel (RFC 9113 8.5).
    NoProtocol,
    /// 501: `:protocol` is not `websocket` (RFC 9220 3).
    UnsupportedProtocol,
    /// 400, `Sec-WebSocket-Version: 13`: another version, or none (RFC 6455 4.4).
    UnsupportedWebSocketVersion,
    /// The response has no `:status`, or it is not three digits (RFC 9113 8.3.2).
    BadStatus,
}

impl ConnectError {
    /// The status of a server's answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotConnect => 405,
            Self::NoProtocol | Self::UnsupportedProtocol => 501,
            _ => 400,
        }
    }

    /// Whether the message is malformed (RFC 9113 8.1.1), so that its stream may be reset with `PROTOCOL_ERROR`.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(
            self,
            Self::NotConnect
                | Self::NoProtocol
                | Self::UnsupportedProtocol
                | Self::UnsupportedWebSocketVersion
        )
    }

    /// The fields that the status asks for.
    pub(super) const fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // RFC 9110 15.5.6.
            Self::NotConnect => &[("Allow", "CONNECT")],
            // RFC 6455 4.4.
            Self::UnsupportedWebSocketVersion => &[("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }

    /// The variant's name, for logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownPseudoField => "UnknownPseudoField",
            Self::DuplicatePseudoField => "DuplicatePseudoField",
            Self::LatePseudoField => "LatePseudoField",
            Self::BadFieldName => "BadFieldName",
            Self::BadFieldValue => "BadFieldValue",
            Self::ConnectionField => "ConnectionField",
            Self::MissingMethod => "MissingMethod",
            Self::MissingScheme => "MissingScheme",
            Self::MissingPath => "MissingPath",
            Self::MissingAuthority => "MissingAuthority",
            Self::BadScheme => "BadScheme",
            Self::BadPath => "BadPath",
            Self::BadAuthority => "BadAuthority",
            Self::AuthorityMismatch => "AuthorityMismatch",
            Self::MisplacedProtocol => "MisplacedProtocol",
            Self::NotConnect => "NotConnect",
            Self::NoProtocol => "NoProtocol",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::UnsupportedWebSocketVersion => "UnsupportedWebSocketVersion",
            Self::BadStatus => "BadStatus",
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPseudoField => "a pseudo-header field that does not belong here",
            Self::DuplicatePseudoField => "a pseudo-header field is given twice",
            Self::LatePseudoField => "a pseudo-header field stands behind a field",
            Self::BadFieldName => "a field name is not a token in lower case",
            Self::BadFieldValue => "a field value has a byte that it must not have",
            Self::ConnectionField => "a field of a connection, which HTTP/2 does not have",
            Self::MissingMethod => ":method is missing",
            Self::MissingScheme => ":scheme is missing",
            Self::MissingPath => ":path is missing",
            Self::MissingAuthority => ":authority is missing",
            Self::BadScheme => ":scheme is neither http nor https",
            Self::BadPath => ":path is malformed",
            Self::BadAuthority => ":authority is malformed",
            Self::AuthorityMismatch => "Host names another host than :authority",
            Self::MisplacedProtocol => ":protocol on a method other than CONNECT",
            Self::NotConnect => "the method is not CONNECT",
            Self::NoProtocol => "CONNECT without :protocol",
            Self::UnsupportedProtocol => ":protocol is not websocket",
            Self::UnsupportedWebSocketVersion => "Sec-WebSocket-Version is not 13",
            Self::BadStatus => ":status is missing or malformed",
        })
    }
}

impl core::error::Error for ConnectError {}

impl From<ConnectError> for Rejection {
    fn from(error: ConnectError) -> Self {
        Refusal::Connect(error).into()
    }
}

impl Rejection {
    /// The fields of the response over HTTP/2 and HTTP/3: those of [`fields`](Self::fields) without Connection and
    /// Upgrade, which there must not be (RFC 9113 8.2.2). Names are to be written in lower case.
    pub fn connect_fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields().filter(|(name, _)| {
            !name.eq_ignore_ascii_case("connection") && !name.eq_ignore_ascii_case("upgrade")
        })
    }
}
