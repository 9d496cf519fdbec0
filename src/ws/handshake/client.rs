//! The client's side: a URL becomes a request, and the response is verified rule by rule (RFC 6455 4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::extension::Supported;
use super::fields::{ListError, check_subprotocols, extensions, is_reserved};
use super::key::Key;
use super::uri::Uri;
use super::{Negotiated, Once};
use crate::http1::head::{
    FieldLines, HeadError, InvalidField, Limits, Reader, ResponseHead, Slots, Version, write_request,
};
use crate::http1::syntax::contains_token;
#[cfg(feature = "deflate")]
use crate::ws::deflate::DeflateOptions;

/// What a client asks for.
///
/// ```
/// use pushline::ws::handshake::ClientOptions;
///
/// let options = ClientOptions::new()
///     .subprotocols(["superchat", "chat"])?
///     .origin("https://app.example")?
///     .field("Authorization", "Bearer abc")?;
/// # let _ = options;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientOptions {
    subprotocols: Vec<String>,
    extensions: Supported,
    origin: FieldLines,
    fields: FieldLines,
    limits: Limits,
}

impl ClientOptions {
    /// No subprotocols, no extensions, no Origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// The subprotocols to offer, the best first. Default: none.
    ///
    /// # Errors
    ///
    /// [`ListError`] for a name that is not a token, a name given twice (RFC 6455 4.1), or too many.
    pub fn subprotocols<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ListError> {
        self.subprotocols = check_subprotocols(names)?;
        Ok(self)
    }

    /// The Origin to send. Default: none, as RFC 6455 4.1 allows to all but browsers.
    ///
    /// # Errors
    ///
    /// [`InvalidField::Value`] if it is empty, or has a byte that is not visible ASCII.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidField> {
        if origin.is_empty() || !origin.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidField::Value);
        }
        self.origin = FieldLines::new();
        self.origin.push("Origin", origin)?;
        Ok(self)
    }

    /// A field to be added to the request.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it is malformed or the handshake's own.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidField> {
        if is_reserved(name) {
            return Err(InvalidField::Reserved);
        }
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// Whether and how to offer permessage-deflate. Default: not at all.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, options: DeflateOptions) -> Self {
        self.extensions.deflate = Some(options);
        self
    }

    /// How large the response's head may be, interim responses (1xx) included. Default: 16 KiB, 8 KiB a line.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The fields of the request (RFC 6455 4.1), for a caller whose HTTP client writes it.
    #[must_use]
    pub fn request_fields(&self, uri: &Uri, key: &Key) -> FieldLines {
        let mut lines = FieldLines::new();
        let mut push = |name: &str, value: &[u8]| {
            // All of them have been checked: nothing is left out.
            let _ = lines.push(name, value);
        };
        push("Host", uri.host_field().as_bytes());
        push("Upgrade", b"websocket");
        push("Connection", b"Upgrade");
        push("Sec-WebSocket-Key", key.as_str().as_bytes());
        push("Sec-WebSocket-Version", b"13");
        if !self.subprotocols.is_empty() {
            push("Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        if let Some(offer) = self.extensions.offer() {
            push("Sec-WebSocket-Extensions", offer.as_bytes());
        }
        for (name, value) in self.origin.iter().chain(self.fields.iter()) {
            push(name, value);
        }
        lines
    }
}

/// The handshake of one connection: write [`request`](Self::request), show [`receive`](Self::receive) what comes back.
///
/// There is no connection to send on before it has succeeded: the first frame cannot overtake the response.
///
/// ```
/// use pushline::ws::handshake::{Client, ClientOptions, Uri};
///
/// let uri = Uri::parse("ws://server.example.com/chat")?;
/// // Fresh and random for each connection; a constant here, for show.
/// let mut client = Client::new(ClientOptions::new(), &uri, *b"the sample nonce");
/// assert!(client.request().starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
///
/// let mut received = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n".to_vec();
/// assert!(client.receive(&received)?.is_none()); // more bytes are needed
/// received.extend_from_slice(b"Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi");
/// let opened = client.receive(&received)?.expect("the head is complete");
/// assert_eq!(opened.subprotocol, None);
/// assert_eq!(&received[opened.length..], b"\x81\x02hi"); // for the connection
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    options: ClientOptions,
    key: Key,
    request: Vec<u8>,
    reader: Reader,
    /// Bytes of interim responses.
    skipped: usize,
    response: Option<Response>,
}

/// What the handshake has led to. See [`Client`] for one that is read.
///
/// ```
/// use pushline::ws::handshake::Opened;
/// use pushline::ws::mask::MaskSource;
/// use pushline::ws::{Config, Connection};
///
/// fn connection(opened: &Opened, keys: impl MaskSource + 'static) -> Connection {
///     Connection::client(opened.negotiated.clone(), Config::default(), keys)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What the connection needs to know.
    pub negotiated: Negotiated,
    /// The subprotocol that the server selected, one of those offered.
    pub subprotocol: Option<String>,
    /// Bytes of the response: those behind them are the server's first frames.
    pub length: usize,
}

/// The response to the handshake, whatever its status: see [`Client::response`].
///
/// ```
/// use pushline::ws::handshake::{Client, ClientError, ClientOptions, Uri};
///
/// let mut client = Client::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]);
/// let received = b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\nsee /login";
/// assert_eq!(client.receive(received), Err(ClientError::UnexpectedStatus(302)));
/// let response = client.response().expect("a head was read");
/// assert_eq!(response.fields.iter().next(), Some(("Location", &b"/login"[..])));
/// assert_eq!(&received[response.length..], b"see /login"); // the body so far
/// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The fields: a Location, a WWW-Authenticate, cookies.
    pub fields: FieldLines,
    /// Bytes of the head and of the interim responses before it: what was received behind them is the body so far.
    pub length: usize,
}

impl Client {
    /// The handshake of a new connection. The nonce must be fresh and come from a source that cannot be foreseen
    /// (RFC 6455 4.1, 10.3); with the feature `std`, `adapter::nonce` is one.
    #[must_use]
    pub fn new(options: ClientOptions, uri: &Uri, nonce: [u8; 16]) -> Self {
        let key = Key::from_nonce(nonce);
        let mut request = Vec::with_capacity(256);
        // The target has been checked when the URL was read.
        let _ = write_request(&mut request, "GET", uri.target(), &options.request_fields(uri, &key));
        Self { request, ..Self::sent(options, key) }
    }

    /// The handshake of a connection on which a request with this key was already sent, by other means.
    #[must_use]
    pub fn sent(options: ClientOptions, key: Key) -> Self {
        let reader = Reader::new(options.limits);
        Self { options, key, request: Vec::new(), reader, skipped: 0, response: None }
    }

    /// The request's bytes.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Reads the response. `received` are all the bytes received on the connection, those of earlier calls included.
    /// `None` if more are needed. Interim responses are skipped (RFC 9110 15.2).
    ///
    /// A Content-Length or Transfer-Encoding in a 101 is ignored, since a 101 has no body (RFC 9110 15.2).
    ///
    /// # Errors
    ///
    /// [`ClientError`]; the connection must be closed then. If a head was read, [`response`](Self::response) has it.
    pub fn receive(&mut self, received: &[u8]) -> Result<Option<Opened>, ClientError> {
        loop {
            let mut slots = Slots::new();
            let unread = received.get(self.skipped..).unwrap_or_default();
            let Some(head) = self.reader.read_response(unread, &mut slots)? else {
                return Ok(None);
            };
            let length = self.skipped + head.len();
            if matches!(head.status(), 100..=199) && head.status() != 101 {
                self.skipped = length;
                let limits = self.options.limits;
                self.reader = Reader::new(Limits { head: limits.head.saturating_sub(length), ..limits });
                continue;
            }
            self.response = Some(Response { status: head.status(), fields: copy(&head), length });
            if head.status() == 101 && head.version() < Version::Http11 {
                return Err(ClientError::BadHttpVersion);
            }
            let (negotiated, subprotocol) = verify(&self.options, &self.key, head.status(), head.fields())?;
            return Ok(Some(Opened { negotiated, subprotocol: subprotocol.map(String::from), length }));
        }
    }

    /// The end of the stream before the head was complete.
    #[must_use]
    pub fn receive_eof(&self) -> ClientError {
        ClientError::UnexpectedEof
    }

    /// The response's head, once it was read: for the status and fields of a redirect or a refusal, or the cookies of a
    /// 101. Redirects are not followed.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }
}

fn copy(head: &ResponseHead<'_, '_>) -> FieldLines {
    let mut lines = FieldLines::new();
    for (name, value) in head.fields() {
        // What was read may be written.
        let _ = lines.push(name, value);
    }
    lines
}

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
    use ResponseField::{Accept, Connection, Protocol, Upgrade};

    // RFC 6455 4.1 (1).
    if status != 101 {
        return Err(ClientError::UnexpectedStatus(status));
    }
    let (mut upgrade, mut accept, mut protocol) = (Once::default(), Once::default(), Once::default());
    let mut connection = None;
    let mut answers = Vec::new();
    for (name, value) in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            7 if is("upgrade") => upgrade.set(value),
            10 if is("connection") => {
                connection = Some(connection.unwrap_or(false) | contains_token(value, "upgrade"));
            }
            20 if is("sec-websocket-accept") => accept.set(value),
            22 if is("sec-websocket-protocol") => protocol.set(value),
            24 if is("sec-websocket-extensions") => answers.push(value),
            _ => {}
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
    // RFC 6455 4.1 (5).
    let negotiated = options.extensions.verify(answers.into_iter().flat_map(extensions))?;
    // RFC 6455 4.1 (6), 11.3.4: at most one, and one that was offered.
    let Some(protocol) = protocol.get(ClientError::DuplicateHeader(Protocol))? else {
        return Ok((negotiated, None));
    };
    let protocol = str::from_utf8(protocol).ok().filter(|name| super::fields::is_subprotocol(name));
    let protocol = protocol.ok_or(ClientError::InvalidHeader(Protocol))?;
    if !options.subprotocols.iter().any(|offered| offered == protocol) {
        return Err(ClientError::UnofferedSubprotocol);
    }
    Ok((negotiated, Some(protocol)))
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

/// Why a client does not open the connection (RFC 6455 4.1).
///
/// ```
/// use pushline::ws::handshake::{Client, ClientError, ClientOptions, Uri};
///
/// let mut client = Client::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]);
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
    /// The status is not 101: a redirect (3xx), a demand for credentials (401), a plain page (200).
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
            Self::UnofferedSubprotocol => {
                f.write_str("the server selected a subprotocol that was not offered")
            }
        }
    }
}

impl core::error::Error for ClientError {}
