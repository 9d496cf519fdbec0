//! Why a head was refused, with the status that answers it.

use core::fmt;

/// The reason why a head was refused. Each has the status that a server answers with; [`HeadError::name`] is its name
/// in logs.
///
/// ```
/// use pushline::http1::head::{HeadError, HeadLimits, HeadReader, Slots};
///
/// let mut slots = Slots::new();
/// let error = HeadReader::new(HeadLimits::default()).read_request(b"GET / HTTP/1.1\r\n\r\n", &mut slots).unwrap_err();
/// assert_eq!((error, error.status(), error.name()), (HeadError::MissingHost, 400, "MissingHost"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// 414: the request line is longer than [`HeadLimits::line`](super::HeadLimits::line), or does not end within
    /// [`HeadLimits::head`](super::HeadLimits::head).
    RequestLineTooLong,
    /// 431: a status line or field line is longer than [`HeadLimits::line`](super::HeadLimits::line).
    LineTooLong,
    /// 431: the head is longer than [`HeadLimits::head`](super::HeadLimits::head).
    HeadTooLarge,
    /// 431: there are more fields than the [`Slots`](super::Slots) hold.
    TooManyFields,
    /// 400: a line does not end in CR LF: a bare LF, or a CR without its LF (RFC 9112 2.2).
    BadLineEnd,
    /// 400: the request line is not `METHOD SP TARGET SP VERSION` (RFC 9112 3).
    BadRequestLine,
    /// 400: the status line is not `VERSION SP STATUS SP REASON` (RFC 9112 4).
    BadStatusLine,
    /// 400: the request target has none of the four forms, or one that does not go with the method (RFC 9112 3.2).
    BadTarget,
    /// 505: neither HTTP/1.1 nor HTTP/1.0 (RFC 9112 2.3).
    UnsupportedHttpVersion,
    /// 400: the bytes are the first of a TLS connection (RFC 8446 5.1), sent to a port that does not speak TLS.
    TlsHandshake,
    /// 426: the bytes are the connection preface of HTTP/2 (RFC 9113 3.4), sent to a server of HTTP/1.1.
    Http2Preface,
    /// 400: a field name is not a token, whitespace stands before the colon, or a line is folded (RFC 9112 5.1, 5.2).
    BadFieldName,
    /// 400: a control byte in a field value (RFC 9110 5.5).
    BadFieldValue,
    /// 400: an HTTP/1.1 request without Host (RFC 9112 3.2).
    MissingHost,
    /// 400: more than one Host (RFC 9112 3.2).
    DuplicateHost,
    /// 400: Host is not `host [":" port]` (RFC 9112 3.2).
    BadHost,
    /// 400: Content-Length is not a number, or given with differing values (RFC 9112 6.3).
    BadContentLength,
    /// 400: Transfer-Encoding without `chunked` at its end, with `chunked` twice, or in HTTP/1.0 (RFC 9112 6.1, 6.3).
    BadTransferEncoding,
    /// 501: a transfer coding other than `chunked` (RFC 9112 6.1).
    UnsupportedTransferEncoding,
    /// 400: both Transfer-Encoding and Content-Length, the mark of request smuggling (RFC 9112 6.3).
    AmbiguousLength,
}

impl HeadError {
    /// The status that a server answers with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::RequestLineTooLong => 414,
            Self::LineTooLong | Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::UnsupportedHttpVersion => 505,
            Self::Http2Preface => 426,
            Self::UnsupportedTransferEncoding => 501,
            Self::BadLineEnd
            | Self::BadRequestLine
            | Self::BadStatusLine
            | Self::BadTarget
            | Self::TlsHandshake
            | Self::BadFieldName
            | Self::BadFieldValue
            | Self::MissingHost
            | Self::DuplicateHost
            | Self::BadHost
            | Self::BadContentLength
            | Self::BadTransferEncoding
            | Self::AmbiguousLength => 400,
        }
    }

    /// The variant's name, for logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestLineTooLong => "RequestLineTooLong",
            Self::LineTooLong => "LineTooLong",
            Self::HeadTooLarge => "HeadTooLarge",
            Self::TooManyFields => "TooManyFields",
            Self::BadLineEnd => "BadLineEnd",
            Self::BadRequestLine => "BadRequestLine",
            Self::BadStatusLine => "BadStatusLine",
            Self::BadTarget => "BadTarget",
            Self::UnsupportedHttpVersion => "UnsupportedHttpVersion",
            Self::TlsHandshake => "TlsHandshake",
            Self::Http2Preface => "Http2Preface",
            Self::BadFieldName => "BadFieldName",
            Self::BadFieldValue => "BadFieldValue",
            Self::MissingHost => "MissingHost",
            Self::DuplicateHost => "DuplicateHost",
            Self::BadHost => "BadHost",
            Self::BadContentLength => "BadContentLength",
            Self::BadTransferEncoding => "BadTransferEncoding",
            Self::UnsupportedTransferEncoding => "UnsupportedTransferEncoding",
            Self::AmbiguousLength => "AmbiguousLength",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestLineTooLong => "the request line is too long",
            Self::LineTooLong => "a line of the head is too long",
            Self::HeadTooLarge => "the head is too large",
            Self::TooManyFields => "the head has too many fields",
            Self::BadLineEnd => "a line does not end in CR LF",
            Self::BadRequestLine => "malformed request line",
            Self::BadStatusLine => "malformed status line",
            Self::BadTarget => "malformed request target",
            Self::UnsupportedHttpVersion => "unsupported HTTP version",
            Self::TlsHandshake => "the client speaks TLS, this port does not",
            Self::Http2Preface => "the client speaks HTTP/2, this server speaks HTTP/1.1",
            Self::BadFieldName => "malformed field name or folded line",
            Self::BadFieldValue => "control byte in a field value",
            Self::MissingHost => "Host is missing",
            Self::DuplicateHost => "Host is given more than once",
            Self::BadHost => "malformed Host",
            Self::BadContentLength => "malformed or differing Content-Length",
            Self::BadTransferEncoding => "malformed Transfer-Encoding",
            Self::UnsupportedTransferEncoding => "unsupported transfer coding",
            Self::AmbiguousLength => "both Transfer-Encoding and Content-Length",
        })
    }
}

impl core::error::Error for HeadError {}
