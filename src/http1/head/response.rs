//! A response's head: status, fields (RFC 9112 4).
#![allow(clippy::indexing_slicing, reason = "no longer than what httparse has parsed of it")]

use core::fmt;
use core::mem::MaybeUninit;

use httparse::{Header, Status};

use super::body::{Framing, has_no_body, persists};
use super::{BodyFraming, HeadError, Parsed, StartLine, Version, ends_in_crlf, first};

/// A response's head. It lends everything from the bytes it was read from. See [`HeadReader::read_response`](super::HeadReader::read_response).
///
/// ```
/// use pushline::http1::head::{HeadLimits, HeadReader, Slots};
///
/// let mut slots = Slots::new();
/// let received = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ";
/// let head = HeadReader::new(HeadLimits::default()).read_response(received, &mut slots)?.expect("it is whole");
/// assert_eq!((head.status(), head.field("content-type")), (200, Some(&b"text/event-stream"[..])));
/// assert_eq!(&received[head.len()..], b"data: ");
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ResponseHead<'f, 'b> {
    status: u16,
    reason: &'b str,
    version: Version,
    fields: &'f [Header<'b>],
    framing: Framing<'b>,
    length: usize,
}

impl<'f, 'b> ResponseHead<'f, 'b> {
    /// Parses a head; an error is one only if the head is complete. Whether a body may follow.
    pub(super) fn parse(
        bytes: &'b [u8],
        slots: &'f mut [MaybeUninit<Header<'b>>],
        has_body: bool,
    ) -> Result<Parsed<Self>, HeadError> {
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, slots);
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Err(HeadError::BadStatusLine),
            Err(error) => return Err(StartLine::Response.error(error, bytes)),
        };
        let fields = &*response.headers;
        let version = if response.version == Some(1) { Version::Http11 } else { Version::Http10 };
        // RFC 9110 15: the first digit is a class, from 1 on.
        let status = response.code.filter(|&status| status >= 100).ok_or(HeadError::BadStatusLine)?;
        // RFC 9112 6.3: no body, whatever the fields say.
        let is_framed = has_body && !has_no_body(status);
        let framing = if is_framed { Framing::read(fields, version, false)? } else { Framing::default() };
        let reason = response.reason.unwrap_or_default();
        let head = Self { status, reason, version, fields, framing, length };
        Ok(Parsed { head, length, crlf: ends_in_crlf(&bytes[..length], fields) })
    }

    /// The status: three digits.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; empty if there is none or if it is not ASCII.
    #[must_use]
    pub fn reason(&self) -> &'b str {
        self.reason
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Names and values in the order sent. Values have no whitespace around them; they need not be UTF-8.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&'b str, &'b [u8])> + Clone + use<'f, 'b> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The first field of this name, ignoring case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        first(self.fields, name)
    }

    /// What follows the head, in the answer to a request with this method.
    #[must_use]
    pub fn body(&self, method: &str) -> BodyFraming {
        self.framing.response_body(self.status, method)
    }

    /// Whether the connection may be used again when the body is read (RFC 9112 9.3): never if the body ends with it.
    #[must_use]
    pub fn keep_alive(&self, method: &str) -> bool {
        persists(self.fields, self.version) && self.body(method) != BodyFraming::UntilClose
    }

    /// The head's length in bytes, its empty line included: the body or the next protocol begins behind it.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for ResponseHead<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .finish()
    }
}
