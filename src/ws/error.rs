//! The two families of errors: [`ProtocolError`], the peer's fault, with the close code that goes
//! on the wire; [`UsageError`], the caller's. A normal end is neither.

use super::close::CloseCode;
use super::header::HeaderError;
use core::fmt;

/// A violation of the protocol by the peer. The connection queues the close frame itself and is over.
///
/// ```
/// use pushline::ws::{CloseCode, ProtocolError};
///
/// assert_eq!(ProtocolError::InvalidUtf8.close_code(), CloseCode::INVALID_DATA);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame header that nothing allows (RFC 6455 5.2, 5.5). Close code 1002.
    Header(HeaderError),
    /// A reserved bit to which no negotiated extension gives a meaning (RFC 6455 5.2). 1002.
    ReservedBits,
    /// A client's frame that is not masked (RFC 6455 5.1). 1002.
    UnmaskedFrame,
    /// A server's frame that is masked (RFC 6455 5.1). 1002.
    MaskedFrame,
    /// A continuation frame without a message in progress (RFC 6455 5.4). 1002.
    UnexpectedContinuation,
    /// A new message before the last one was finished (RFC 6455 5.4). 1002.
    ExpectedContinuation,
    /// A close frame with a single byte of payload (RFC 6455 5.5.1). 1002.
    TruncatedCloseCode,
    /// A close code that must not stand in a frame (RFC 6455 7.4). 1002.
    InvalidCloseCode(u16),
    /// A close reason that is not UTF-8 (RFC 6455 5.5.1). 1007.
    InvalidCloseReason,
    /// A text message that is not UTF-8 (RFC 6455 8.1). 1007.
    InvalidUtf8,
    /// A compressed message that does not inflate (RFC 7692 7.2.2). 1007.
    InvalidDeflate,
    /// A frame over [`ConnectionOptions::max_frame`](super::ConnectionOptions::max_frame). 1009.
    FrameTooLarge,
    /// A message over [`ConnectionOptions::max_message`](super::ConnectionOptions::max_message). 1009.
    MessageTooLarge,
    /// A message in more frames than [`ConnectionOptions::max_fragments`](super::ConnectionOptions::max_fragments). 1008.
    TooManyFragments,
}

impl ProtocolError {
    /// The code of the close frame that answers this fault (RFC 6455 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Header(_)
            | Self::ReservedBits
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::TruncatedCloseCode
            | Self::InvalidCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidCloseReason | Self::InvalidUtf8 | Self::InvalidDeflate => CloseCode::INVALID_DATA,
            Self::FrameTooLarge | Self::MessageTooLarge => CloseCode::TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
        }
    }
}

impl From<HeaderError> for ProtocolError {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::ReservedBits => f.write_str("reserved bit set without an extension"),
            Self::UnmaskedFrame => f.write_str("unmasked frame from a client"),
            Self::MaskedFrame => f.write_str("masked frame from a server"),
            Self::UnexpectedContinuation => f.write_str("continuation without a message in progress"),
            Self::ExpectedContinuation => f.write_str("new message before the last one was finished"),
            Self::TruncatedCloseCode => f.write_str("close frame with a single byte"),
            Self::InvalidCloseCode(code) => write!(f, "close code {code} must not be sent"),
            Self::InvalidCloseReason => f.write_str("close reason is not UTF-8"),
            Self::InvalidUtf8 => f.write_str("text is not UTF-8"),
            Self::InvalidDeflate => f.write_str("compressed message does not inflate"),
            Self::FrameTooLarge => f.write_str("frame over the limit"),
            Self::MessageTooLarge => f.write_str("message over the limit"),
            Self::TooManyFragments => f.write_str("message in more fragments than the limit"),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// An error of the caller: what it asked for cannot be done. Nothing was written, nothing has changed.
///
/// ```
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated, UsageError};
///
/// let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
/// assert_eq!(connection.ping(&[0; 126]), Err(UsageError::ControlTooLong));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// Data after a close was sent or received, or after a failure (RFC 6455 5.5.1).
    Closed,
    /// The outgoing queue has no room: [`ConnectionOptions::max_outgoing`](super::ConnectionOptions::max_outgoing).
    Full,
    /// A ping or pong with more than 125 bytes (RFC 6455 5.5).
    ControlTooLong,
    /// A close code that must not stand in a frame (RFC 6455 7.4).
    InvalidCloseCode(u16),
    /// A close reason over 123 bytes (RFC 6455 5.5.1).
    ReasonTooLong,
    /// A new message before the own fragmented one was finished (RFC 6455 5.4).
    MessageInProgress,
    /// A continuation without an own fragmented message in progress (RFC 6455 5.4).
    NoMessageInProgress,
    /// A fragment with a control frame's opcode (RFC 6455 5.4).
    NotADataFrame,
    /// Text that is not UTF-8 (RFC 6455 8.1).
    InvalidUtf8,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closing or closed"),
            Self::Full => f.write_str("the outgoing queue is full"),
            Self::ControlTooLong => f.write_str("control frame with more than 125 bytes"),
            Self::InvalidCloseCode(code) => write!(f, "close code {code} must not be sent"),
            Self::ReasonTooLong => f.write_str("close reason over 123 bytes"),
            Self::MessageInProgress => f.write_str("a fragmented message is in progress"),
            Self::NoMessageInProgress => f.write_str("no fragmented message is in progress"),
            Self::NotADataFrame => f.write_str("not a data frame"),
            Self::InvalidUtf8 => f.write_str("text is not UTF-8"),
        }
    }
}

impl core::error::Error for UsageError {}
