//! The client's side: a URL becomes a request, and what comes back is read (RFC 6455 4.1).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use alloc::string::String;
use alloc::vec::Vec;

use super::extension::Supported;
use super::fields::{ListError, check_own_field, check_subprotocols};
use super::key::Key;
use super::refused::{MAX_REFUSED_BODY, RefusedBody};
use super::uri::Uri;
use super::verify::{ClientError, verify};
use super::{MAX_HANDSHAKE_FIELDS, Negotiated};
use crate::http1::head::{
    BodyFraming, FieldLines, HeadLimits, HeadReader, InvalidField, MAX_FIELDS, ResponseHead, Slots, Version,
    write_request,
};
#[cfg(feature = "deflate")]
use crate::ws::deflate::DeflateOptions;

/// The handshake options of a client: what it asks for.
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
    pub(super) subprotocols: Vec<String>,
    pub(super) extensions: Supported,
    origin: FieldLines,
    fields: FieldLines,
    limits: HeadLimits,
    max_body: Option<usize>,
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
        check_own_field(name)?;
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// Sends the user information of the URL, if it has any, as basic credentials (RFC 7617), unless there is an
    /// Authorization already. `connect` and `client` of the adapters do so.
    ///
    /// ```
    /// use pushline::ws::handshake::{ClientHandshake, ClientOptions, Uri};
    ///
    /// let uri = Uri::parse("ws://user:secret@example.com/")?;
    /// let client = ClientHandshake::new(ClientOptions::new().authorize(&uri), &uri, [0; 16]);
    /// assert!(client.request().ends_with(b"\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"));
    /// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
    /// ```
    pub fn authorize(mut self, uri: &Uri) -> Self {
        let authorized = self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some(value) = uri.authorization().filter(|_| !authorized) {
            // It is base64.
            let _ = self.fields.push("Authorization", value);
        }
        self
    }

    /// Whether and how to offer permessage-deflate. Default: not at all.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, options: DeflateOptions) -> Self {
        self.extensions.deflate = Some(options);
        self
    }

    /// How large the response's head may be, interim responses (1xx) included. Default: 16 KiB, 8 KiB a line, 64 fields;
    /// of fields at most [`MAX_HANDSHAKE_FIELDS`].
    pub fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How many bytes of a refusal's body are read: see [`HandshakeError::body`](super::HandshakeError::body). Default:
    /// [`MAX_REFUSED_BODY`](super::MAX_REFUSED_BODY).
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
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
/// use pushline::ws::handshake::{ClientHandshake, ClientOptions, Uri};
///
/// let uri = Uri::parse("ws://server.example.com/chat")?;
/// // Fresh and random for each connection; a constant here, for show.
/// let mut client = ClientHandshake::new(ClientOptions::new(), &uri, *b"the sample nonce");
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
pub struct ClientHandshake {
    options: ClientOptions,
    key: Key,
    request: Vec<u8>,
    reader: HeadReader,
    /// Bytes of interim responses.
    skipped: usize,
    response: Option<HandshakeResponse>,
    /// What follows the response's head.
    body: BodyFraming,
    /// For logs.
    #[cfg(feature = "tracing")]
    pub(super) host: alloc::string::String,
}

/// The outcome of a client's handshake. See [`ClientHandshake`] for one that is read.
///
/// ```
/// use pushline::ws::handshake::Opened;
/// use pushline::ws::MaskSource;
/// use pushline::ws::{ConnectionOptions, Connection};
///
/// fn connection(opened: &Opened, keys: impl MaskSource + 'static) -> Connection {
///     Connection::client(opened.negotiated.clone(), ConnectionOptions::default(), keys)
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

/// The response to the handshake, whatever its status: see [`ClientHandshake::response`].
///
/// ```
/// use pushline::ws::handshake::{ClientHandshake, ClientError, ClientOptions, Uri};
///
/// let mut client = ClientHandshake::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]);
/// let received = b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\nsee /login";
/// assert_eq!(client.receive(received), Err(ClientError::UnexpectedStatus(302)));
/// let response = client.response().expect("a head was read");
/// assert_eq!(response.fields.get("location"), Some(&b"/login"[..]));
/// assert_eq!(&received[response.length..], b"see /login"); // the body so far
/// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// The status.
    pub status: u16,
    /// The fields: a Location, a WWW-Authenticate, cookies.
    pub fields: FieldLines,
    /// Bytes of the head and of the interim responses before it: what was received behind them is the body so far.
    pub length: usize,
}

impl ClientHandshake {
    /// The handshake of a new connection. The nonce must be fresh and come from a source that cannot be foreseen
    /// (RFC 6455 4.1, 10.3); with the feature `std`, `adapter::nonce` is one.
    #[must_use]
    pub fn new(options: ClientOptions, uri: &Uri, nonce: [u8; 16]) -> Self {
        let key = Key::from_nonce(nonce);
        let mut request = Vec::with_capacity(256);
        // The target has been checked when the URL was read.
        let _ = write_request(&mut request, "GET", uri.target(), &options.request_fields(uri, &key));
        Self {
            request,
            #[cfg(feature = "tracing")]
            host: uri.host().into(),
            ..Self::sent(options, key)
        }
    }

    /// The handshake of a connection on which a request with this key was already sent, by other means.
    #[must_use]
    pub fn sent(options: ClientOptions, key: Key) -> Self {
        let reader = HeadReader::new(options.limits);
        Self {
            options,
            key,
            request: Vec::new(),
            reader,
            skipped: 0,
            response: None,
            body: BodyFraming::None,
            #[cfg(feature = "tracing")]
            host: alloc::string::String::new(),
        }
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
        match self.options.limits.fields {
            0..=MAX_FIELDS => self.receive_with::<MAX_FIELDS>(received),
            65..=256 => self.receive_with::<256>(received),
            _ => self.receive_with::<MAX_HANDSHAKE_FIELDS>(received),
        }
    }

    /// With room for `N` fields.
    #[inline(never)] // it is on the stack: what is not used had better not be
    fn receive_with<const N: usize>(&mut self, received: &[u8]) -> Result<Option<Opened>, ClientError> {
        loop {
            let mut slots = Slots::<N>::with_room();
            let unread = received.get(self.skipped..).unwrap_or_default();
            let Some(head) = self.reader.read_response(unread, &mut slots)? else {
                return Ok(None);
            };
            let length = self.skipped + head.len();
            if matches!(head.status(), 100..=199) && head.status() != 101 {
                self.skipped = length;
                let limits = self.options.limits;
                self.reader =
                    HeadReader::new(HeadLimits { head: limits.head.saturating_sub(length), ..limits });
                continue;
            }
            self.response = Some(HandshakeResponse { status: head.status(), fields: copy(&head), length });
            self.body = head.body("GET");
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
    pub fn response(&self) -> Option<&HandshakeResponse> {
        self.response.as_ref()
    }
}

impl ClientHandshake {
    pub(super) fn take_request(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.request)
    }

    pub(super) fn take_response(&mut self) -> Option<HandshakeResponse> {
        self.response.take()
    }

    /// Where the body of the response is read into.
    pub(super) fn refused_body(&self) -> RefusedBody {
        RefusedBody::new(self.body, self.options.max_body.unwrap_or(MAX_REFUSED_BODY))
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
