//! The trailer section (RFC 9112 7.1.2): its bytes, which fields may stand in it, and how they are lent.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "lines that the decoder has stored: each has its colon and its line end"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "lines that the decoder has stored: each has its colon and its line end"
)]

use alloc::vec::Vec;

/// The trailers of a finished body, in the order in which they came: `(name, value)`.
///
/// They stand apart from the head's fields and must not be merged into them; fields which would
/// matter there are not among them, see [`ChunkedDecoder::trailers`](super::ChunkedDecoder::trailers).
///
/// ```
/// use pushline::http1::chunked::{ChunkedDecoder, ChunkedLimits};
///
/// let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
/// decoder.decode(b"0\r\nServer-Timing: total;dur=12\r\nContent-Length: 5\r\n\r\n")?;
/// let trailers: Vec<_> = decoder.trailers().collect();
/// assert_eq!(trailers, [("Server-Timing", &b"total;dur=12"[..])]);
/// # Ok::<(), pushline::http1::chunked::ChunkedError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Trailers<'d> {
    /// `name:value\n` for each: a name has no colon, a value no LF.
    pub(super) lines: &'d [u8],
}

impl<'d> Iterator for Trailers<'d> {
    type Item = (&'d str, &'d [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.lines)?;
        let (line, rest) = self.lines.split_at(end);
        self.lines = &rest[1..];
        let colon = memchr::memchr(b':', line)?;
        Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    }
}

/// Trailers as they arrive: what [`Trailers`] reads, plus the line being read.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    lines: Vec<u8>,
    /// Where the current line starts in `lines`.
    line: usize,
    /// Where its value starts.
    value: usize,
    /// Bytes read, for the limit.
    pub(super) bytes: usize,
    /// Fields begun, for the limit.
    pub(super) fields: usize,
}

impl Section {
    /// Forgets the last body's trailers, keeps their memory.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        (self.line, self.value, self.bytes, self.fields) = (0, 0, 0, 0);
    }

    pub(super) fn iter(&self) -> Trailers<'_> {
        Trailers { lines: &self.lines }
    }

    pub(super) fn push_name(&mut self, byte: u8) {
        self.lines.push(byte);
    }

    pub(super) fn end_name(&mut self) {
        self.lines.push(b':');
        self.value = self.lines.len();
    }

    /// RFC 9112 5.1: white space around the value is not part of it.
    pub(super) fn push_value(&mut self, byte: u8) {
        if self.lines.len() > self.value || !is_whitespace(byte) {
            self.lines.push(byte);
        }
    }

    /// The line's CR: the field is kept, or dropped if it may not stand here.
    pub(super) fn end_value(&mut self) {
        while self.lines.len() > self.value && self.lines.last().is_some_and(|&byte| is_whitespace(byte)) {
            self.lines.pop();
        }
        if is_forbidden(&self.lines[self.line..self.value - 1]) {
            self.lines.truncate(self.line);
        } else {
            self.lines.push(b'\n');
        }
        self.line = self.lines.len();
    }
}

/// RFC 9110 5.6.3: SP or HTAB, of which OWS and BWS are made.
pub(super) fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// RFC 9110 5.5: VCHAR, obs-text, SP or HTAB; a quoted-pair's second half has the same set (5.6.4).
pub(super) fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

/// Fields that mean something only, or something else, before the body, lower case.
///
/// RFC 9110 6.5.1: a trailer must not be merged into the head unless its definition allows it; these are
/// the ones whose merging is an attack (`framing`, `routing`, `authentication`) or a contradiction.
const FORBIDDEN: &[&str] = &[
    // Framing and connection (RFC 9110 7.6, 8.6; RFC 9112 6).
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // Routing, and who is said to ask (RFC 9110 7.2, 7.6; RFC 7239).
    "forwarded",
    "host",
    "max-forwards",
    "origin",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    // Authentication and cookies (RFC 9110 11; RFC 6265).
    "authentication-info",
    "authorization",
    "cookie",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
    // Request modifiers (RFC 9110 10.1, 13, 14).
    "cache-control",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
    // Control data of a response (RFC 9110 10.2, RFC 9111 5).
    "age",
    "date",
    "expires",
    "location",
    "retry-after",
    "vary",
    "warning",
    // How to read the content (RFC 9110 8, 14).
    "content-disposition",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "accept-ranges",
];

/// Whether a field of this name may not stand in a trailer section.
pub(super) fn is_forbidden(name: &[u8]) -> bool {
    FORBIDDEN.iter().any(|forbidden| forbidden.as_bytes().eq_ignore_ascii_case(name))
}
