//! What can be wrong with a chunked body, and with a call that writes one.

use core::fmt;

/// The reason why a chunked body was refused: the peer's fault, and the end of the connection.
///
/// A server answers with [`status`](Self::status) if it still can; then it closes, for where the next message
/// starts is no longer known.
///
/// ```
/// use pushline::http1::chunked::{ChunkedDecoder, ChunkedError, ChunkedLimits};
///
/// let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
/// assert_eq!(decoder.decode(b"+5\r\nhello\r\n"), Err(ChunkedError::BadSize));
/// assert_eq!(ChunkedError::BadSize.status(), 400);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// A chunk size is not 1*HEXDIG, or what follows it is neither an extension nor the line's end
    /// (RFC 9112 7.1).
    BadSize,
    /// A chunk size has more than 16 digits.
    SizeTooLong,
    /// A chunk extension breaks the grammar (RFC 9112 7.1.1).
    BadExtension,
    /// A line does not end with CRLF: a CR is not followed by LF (RFC 9112 2.2).
    BadLineEnd,
    /// Chunk data is not followed by CRLF: the size was wrong (RFC 9112 7.1).
    BadDataEnd,
    /// A trailer is not `field-line CRLF`: bad name, bad value, or a folded line (RFC 9112 5, 5.2, 7.1.2).
    BadTrailer,
    /// More data than [`ChunkedLimits::max_body`](super::ChunkedLimits::max_body).
    BodyTooLong,
    /// More extension bytes on one line than [`ChunkedLimits::max_extension`](super::ChunkedLimits::max_extension).
    ExtensionTooLong,
    /// More extension bytes in all than [`ChunkedLimits::max_extensions`](super::ChunkedLimits::max_extensions).
    TooManyExtensions,
    /// More framing for the data than [`ChunkedLimits::max_overhead`](super::ChunkedLimits::max_overhead).
    TooMuchOverhead,
    /// A longer trailer section than [`ChunkedLimits::max_trailer_bytes`](super::ChunkedLimits::max_trailer_bytes).
    TrailersTooLong,
    /// More trailers than [`ChunkedLimits::max_trailer_fields`](super::ChunkedLimits::max_trailer_fields).
    TooManyTrailers,
    /// The input ended inside the body (RFC 9112 8).
    UnexpectedEof,
}

impl ChunkedError {
    /// The HTTP status that answers a request with such a body: 413 for one over
    /// [`ChunkedLimits::max_body`](super::ChunkedLimits::max_body), 431 for too long or too many trailers (RFC 6585 5), 400 for
    /// the rest.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BodyTooLong => 413,
            Self::TrailersTooLong | Self::TooManyTrailers => 431,
            _ => 400,
        }
    }
}

impl fmt::Display for ChunkedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSize => "malformed chunk size",
            Self::SizeTooLong => "chunk size of more than 16 digits",
            Self::BadExtension => "malformed chunk extension",
            Self::BadLineEnd => "line not ended by CRLF",
            Self::BadDataEnd => "chunk data not followed by CRLF",
            Self::BadTrailer => "malformed trailer",
            Self::BodyTooLong => "body over the limit",
            Self::ExtensionTooLong => "chunk extension over the limit",
            Self::TooManyExtensions => "chunk extensions over the limit in all",
            Self::TooMuchOverhead => "too much framing for the data",
            Self::TrailersTooLong => "trailer section over the limit",
            Self::TooManyTrailers => "too many trailers",
            Self::UnexpectedEof => "input ended inside the body",
        })
    }
}

impl core::error::Error for ChunkedError {}

/// The reason why a call to a [`ChunkedEncoder`](super::ChunkedEncoder) was refused: the caller's fault. Nothing was
/// written.
///
/// ```
/// use pushline::http1::chunked::{ChunkedEncodeError, ChunkedEncoder};
///
/// let mut encoder = ChunkedEncoder::chunked();
/// let refused = encoder.finish(&[("Digest", b"a\r\nb")], &mut Vec::new());
/// assert_eq!(refused, Err(ChunkedEncodeError::BadTrailerValue));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedEncodeError {
    /// The body was finished before.
    Finished,
    /// A trailer's name is not a token (RFC 9110 5.1).
    BadTrailerName,
    /// A trailer's value has a control character, or white space around it (RFC 9110 5.5).
    BadTrailerValue,
    /// A field that must not stand in a trailer section: framing, routing, authentication and the
    /// like (RFC 9110 6.5.1).
    ForbiddenTrailer,
}

impl fmt::Display for ChunkedEncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "the body is already finished",
            Self::BadTrailerName => "trailer name is not a token",
            Self::BadTrailerValue => "trailer value is not a field value",
            Self::ForbiddenTrailer => "field not allowed as a trailer",
        })
    }
}

impl core::error::Error for ChunkedEncodeError {}
