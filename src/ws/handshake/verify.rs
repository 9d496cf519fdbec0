//! The client's check of the response, rule by rule, and why it may fail (RFC 6455 4.1).

use alloc::vec::Vec;
use core::fmt;

use super::client::ClientOptions;
use super::fields::{ListError, extensions, is_subprotocol};
use super::key::Key;
use super::{ConnectError, Negotiated, Once};
use crate::http1::head::HeadError;
use crate::http1::syntax::contains_token;

/// Verifies a response whose head an HTTP client has already parsed: its status and its fields, as (name, value) pairs,
/// against the key that was sent. Returns what was negotiated and the subprotocol that the server selected.
///
/// # Errors
///
/// [`ClientError`]; the connection must be closed then (RFC 6455 4.1).
///
/// ```
/// use pushline::ws::handshake::{ClientError, ClientOptions, Key, verify};
///
/// let (options, key) = (ClientOptions::new(), Key::from_nonce(*b"the sample nonce"));
/// let mut fields = [
///     ("upgrade", &b"websocket"[..]),
///     ("connection", b"upgrade"),
///     ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
/// ];
/// assert!(verify(&options, &key, 101, fields).is_ok());
/// fields[2].1 = b"s3pplmbitxaq9kygzzhzrbk+xoo=";
/// assert_eq!(verify(&options, &key, 101, fields), Err(ClientError::AcceptMismatch));
/// ```
pub fn verify<'a>(
    options: &ClientOptions,
    key: &Key,
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    use ResponseField::{Accept, Connection, Upgrade};

    // RFC 6455 4.1 (1).
    if status != 101 {
        return Err(ClientError::UnexpectedStatus(status));
    }
    let (mut upgrade, mut accept) = (Once::default(), Once::default());
    let mut connection = None;
    let mut answer = Answer::default();
    for (name, value) in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            7 if is("upgrade") => upgrade.set(value),
            10 if is("connection") => {
                connection = Some(connection.unwrap_or(false) | contains_token(value, "upgrade"));
            }
            20 if is("sec-websocket-accept") => accept.set(value),
            _ => answer.take(name, value),
        }
    }
    // RFC 6455 4.1 (2).
    let upgrade = upgrade.get(ClientError::DuplicateHeader(Upgrade))?;
    if !upgrade.ok_or(ClientError::MissingHeader(Upgrade))?.eq_ignore_ascii_case(b"websocket") {
        return Err(ClientError::InvalidHeader(Upgrade));
    }
    // RFC 6455 4.1 (3).
    if !connection.ok_or(ClientError::MissingHeader(Connection))? {
        return Err(ClientError::InvalidHeader(Connection));
    }
    // RFC 6455 4.1 (4): exactly this value, but for whitespace around it.
    let accept = accept.get(ClientError::DuplicateHeader(Accept))?;
    if accept.ok_or(ClientError::MissingHeader(Accept))? != key.accept().as_bytes() {
        return Err(ClientError::AcceptMismatch);
    }
    answer.verify(options)
}

/// What a response selects, over whatever version of HTTP.
#[derive(Default)]
pub(super) struct Answer<'a> {
    subprotocol: Once<'a>,
    extensions: Vec<&'a [u8]>,
}

impl<'a> Answer<'a> {
    pub(super) fn take(&mut self, name: &str, value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            22 if is("sec-websocket-protocol") => self.subprotocol.set(value),
            24 if is("sec-websocket-extensions") => self.extensions.push(value),
            _ => {}
        }
    }

    pub(super) fn verify(
        self,
        options: &ClientOptions,
    ) -> Result<(Negotiated, Option<&'a str>), ClientError> {
        use ResponseField::Protocol;

        // RFC 6455 4.1 (5).
        let negotiated = options.extensions.verify(self.extensions.into_iter().flat_map(extensions))?;
        // RFC 6455 4.1 (6), 11.3.4: at most one, and one that was offered.
        let Some(protocol) = self.subprotocol.get(ClientError::DuplicateHeader(Protocol))? else {
            return Ok((negotiated, None));
        };
        let protocol = str::from_utf8(protocol).ok().filter(|name| is_subprotocol(name));
        let protocol = protocol.ok_or(ClientError::InvalidHeader(Protocol))?;
        if !options.subprotocols.iter().any(|offered| offered == protocol) {
            return Err(ClientError::UnofferedSubprotocol);
        }
        Ok((negotiated.select(Some(protocol)), Some(protocol)))
    }
}

/// A field of the response that the client verifies.
///
/// ```
/// use pushline::ws::handshake::ResponseField;
///
/// assert_eq!(ResponseField::Accept.to_string(), "Sec-WebSocket-Accept");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseField {
    /// Upgrade
    Upgrade,
    /// Connection
    Connection,
    /// Sec-WebSocket-Accept
    Accept,
    /// Sec-WebSocket-Protocol
    Protocol,
}

impl fmt::Display for ResponseField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "Upgrade",
            Self::Connection => "Connection",
            Self::Accept => "Sec-WebSocket-Accept",
            Self::Protocol => "Sec-WebSocket-Protocol",
        })
    }
}

/// The reason why a client does not open the connection (RFC 6455 4.1).
///
/// ```
/// use pushline::ws::handshake::{ClientHandshake, ClientError, ClientOptions, Uri};
///
/// let mut client = ClientHandshake::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]);
/// let error = client.receive(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
/// assert_eq!(error, ClientError::UnexpectedStatus(401));
/// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientError {
    /// The response is not HTTP/1.1 as RFC 9112 has it.
    BadHttp(HeadError),
    /// The response is of another version than HTTP/1.1.
    BadHttpVersion,
    /// The response's head, interim responses included, is past a limit.
    HeadTooLarge,
    /// The stream ended within the head.
    UnexpectedEof,
    /// The status is not 101 (over HTTP/2 and 3: not 2xx): a redirect (3xx), a demand for credentials (401), a plain page (200).
    UnexpectedStatus(u16),
    /// A field that there must be is missing.
    MissingHeader(ResponseField),
    /// A field has another value than it must have.
    InvalidHeader(ResponseField),
    /// A field that may be given once is given more than once.
    DuplicateHeader(ResponseField),
    /// Sec-WebSocket-Accept does not answer the key: whatever answered is not a WebSocket server.
    AcceptMismatch,
    /// The server uses an extension that was not offered.
    UnofferedExtension,
    /// Sec-WebSocket-Extensions is malformed.
    BadExtensions(ListError),
    /// The server answers an offered extension with parameters that the offer does not allow (RFC 7692 7.1).
    UnacceptableExtension,
    /// The server selected a subprotocol that was not offered.
    UnofferedSubprotocol,
    /// The server has not announced that it takes extended CONNECT (RFC 8441 3): over HTTP/2 or HTTP/3 it has no
    /// WebSockets.
    ConnectNotEnabled,
    /// The response to an extended CONNECT is malformed (RFC 9113 8.1.1).
    BadConnect(ConnectError),
}

impl From<HeadError> for ClientError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::LineTooLong | HeadError::HeadTooLarge | HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::UnsupportedHttpVersion => Self::BadHttpVersion,
            _ => Self::BadHttp(error),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHttp(error) => write!(f, "malformed response: {error}"),
            Self::BadHttpVersion => f.write_str("the response is not HTTP/1.1"),
            Self::HeadTooLarge => f.write_str("the response's head is too large"),
            Self::UnexpectedEof => f.write_str("the stream ended within the response"),
            Self::UnexpectedStatus(status) => write!(f, "the server answered with status {status}"),
            Self::MissingHeader(field) => write!(f, "{field} is missing"),
            Self::InvalidHeader(field) => write!(f, "{field} has the wrong value"),
            Self::DuplicateHeader(field) => write!(f, "{field} is given more than once"),
            Self::AcceptMismatch => f.write_str("Sec-WebSocket-Accept does not answer the key"),
            Self::UnofferedExtension => f.write_str("the server uses an extension that was not offered"),
            Self::BadExtensions(error) => write!(f, "Sec-WebSocket-Extensions: {error}"),
            Self::UnacceptableExtension => f.write_str("the server answers an extension beyond the offer"),
            Self::ConnectNotEnabled => f.write_str("the server does not announce extended CONNECT"),
            Self::BadConnect(error) => write!(f, "malformed response: {error}"),
            Self::UnofferedSubprotocol => {
                f.write_str("the server selected a subprotocol that was not offered")
            }
        }
    }
}

impl core::error::Error for ClientError {}
