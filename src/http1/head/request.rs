//! A request's head: method, target in its four forms, fields (RFC 9112 3).
#![allow(clippy::indexing_slicing, reason = "no longer than what httparse has parsed of it")]

use core::fmt;
use core::mem::MaybeUninit;

use httparse::{Header, Status};
use memchr::memchr;

use super::body::{Framing, persists};
use super::{BodyFraming, HeadError, Parsed, StartLine, Version, first, is_behind_crlf, is_framed_in_crlf};
use crate::http1::authority::Authority;

/// A request's head. It lends everything from the bytes it was read from.
///
/// ```
/// use pushline::http1::head::{HeadLimits, HeadReader, Slots, Version};
///
/// let received = b"GET http://example.com/chat HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
/// let mut slots = Slots::new();
/// let head = HeadReader::new(HeadLimits::default()).read_request(received, &mut slots)?.expect("complete");
/// assert_eq!((head.target(), head.path()), ("http://example.com/chat", "/chat"));
/// assert_eq!((head.version(), head.keep_alive()), (Version::Http11, false));
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Clone, Copy)]
pub struct RequestHead<'f, 'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
    fields: &'f [Header<'b>],
    framing: Framing<'b>,
    length: usize,
}

impl<'f, 'b> RequestHead<'f, 'b> {
    /// Parses a head; an error is one only if the head is complete.
    #[inline(always)] // into its one caller
    pub(super) fn parse(
        bytes: &'b [u8],
        slots: &'f mut [MaybeUninit<Header<'b>>],
    ) -> Result<Parsed<Self>, HeadError> {
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, slots) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Err(HeadError::BadRequestLine),
            Err(error) => return Err(StartLine::Request.error(error, bytes)),
        };
        let fields = &*request.headers;
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let version = if request.version == Some(1) { Version::Http11 } else { Version::Http10 };
        if !is_target(method, target) {
            return Err(HeadError::BadTarget);
        }
        let received = &bytes[..length];
        let mut crlf = is_framed_in_crlf(received);
        let lines = fields.iter().inspect(|field| crlf &= is_behind_crlf(received, field));
        let framing = Framing::read(lines, version, true)?;
        // RFC 9112 3.2: an HTTP/1.1 request has a Host.
        if framing.host.is_none() && version == Version::Http11 {
            return Err(HeadError::MissingHost);
        }
        let head = Self { method, target, version, fields, framing, length };
        Ok(Parsed { head, length, crlf })
    }

    /// The method, as sent: methods are case-sensitive (RFC 9110 9.1).
    #[must_use]
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// The request target, as sent.
    #[must_use]
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// The target's path, not decoded: at least `/`, but `*` for `OPTIONS *` and the authority for CONNECT. In
    /// absolute form it is the path behind the authority.
    #[must_use]
    pub fn path(&self) -> &'b str {
        let path = match absolute_form(self.target) {
            Some((_, path)) => path,
            None => self.target,
        };
        match memchr(b'?', path.as_bytes()).map_or(path, |at| &path[..at]) {
            // RFC 9110 4.2.3: no path is the path "/".
            "" => "/",
            path => path,
        }
    }

    /// The target's query, not decoded, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'b str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Whom the request is for: the target's authority in absolute form (RFC 9112 3.2.2), else Host.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'b>> {
        match absolute_form(self.target) {
            Some((authority, _)) => Authority::parse(authority.as_bytes()),
            None => self.framing.host,
        }
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

    /// What follows the head.
    #[must_use]
    pub fn body(&self) -> BodyFraming {
        self.framing.request_body()
    }

    /// Whether the client would keep the connection for another request (RFC 9112 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        persists(self.fields, self.version)
    }

    /// The head's length in bytes, its empty line included: the body or the next protocol begins behind it.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for RequestHead<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .finish()
    }
}

/// RFC 9112 3.2: origin-form, absolute-form, and for their methods alone authority-form and asterisk-form.
fn is_target(method: &str, target: &str) -> bool {
    // RFC 3986: visible ASCII; a fragment is never sent (RFC 9112 3.2.1).
    if !target.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic() & (byte != b'#')) {
        return false;
    }
    match method {
        "CONNECT" => Authority::parse(target.as_bytes()).is_some_and(|authority| authority.port().is_some()),
        "OPTIONS" if target == "*" => true,
        _ => {
            target.starts_with('/')
                || absolute_form(target)
                    .is_some_and(|(authority, _)| Authority::parse(authority.as_bytes()).is_some())
        }
    }
}

/// RFC 9112 3.2.2: `scheme://authority path`, for the schemes an HTTP server is asked for.
fn absolute_form(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, behind) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    Some(behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len())))
}
