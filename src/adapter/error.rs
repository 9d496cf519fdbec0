//! How a connection over an adapter fails. A normal end is not an error.

use super::TlsError;
use crate::http1::TunnelError;
use crate::ws::handshake::{Failure, HandshakeError, InvalidUri, Rejection};
use crate::ws::{ProtocolError, TimedOut, UsageError};
use core::fmt;
use std::boxed::Box;

/// An error of a connection over an adapter.
///
/// ```
/// use pushline::adapter::{Error, TimedOut};
///
/// /// What a log should say of it.
/// fn is_worth_a_line(error: &Error) -> bool {
///     match error {
///         // Browsers come and go.
///         Error::Aborted | Error::Io(_) | Error::TimedOut(TimedOut::Ping) => false,
///         _ => true,
///     }
/// }
/// assert!(!is_worth_a_line(&Error::Aborted));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed; if there was none yet, the text says which host and port were tried.
    Io(std::io::Error),
    /// The peer broke the protocol; the close frame that says so was sent.
    Protocol(ProtocolError),
    /// The server refused the opening handshake; the response was written.
    Rejected(Rejection),
    /// The client did not get its connection.
    Handshake(Box<HandshakeError>),
    /// The URL is not a WebSocket's.
    InvalidUri(InvalidUri),
    /// The caller asked for what cannot be done.
    Usage(UsageError),
    /// The transport ended without a close frame (RFC 6455 7.1.5, code 1006).
    Aborted,
    /// The peer took too long.
    TimedOut(TimedOut),
    /// TLS failed: there is no such connection, or the peer broke it.
    Tls(TlsError),
    /// The proxy on the way gave no tunnel.
    Proxy(TunnelError),
}

impl Error {
    /// As an error of I/O, for those who know no other.
    pub(crate) fn into_io(self) -> std::io::Error {
        match self {
            Self::Io(error) => error,
            Self::Tls(error) => error.into_io(),
            Self::TimedOut(_) => std::io::ErrorKind::TimedOut.into(),
            other => std::io::Error::other(other),
        }
    }

    /// Whether this only says that there is no peer any more: it left, fell silent, or was closed before. Such errors are
    /// how connections end on real networks, and no fault of anybody's.
    ///
    /// ```
    /// use pushline::adapter::{Error, TimedOut};
    /// use pushline::ws::{ProtocolError, UsageError};
    ///
    /// assert!(Error::Aborted.is_disconnect() && Error::TimedOut(TimedOut::Ping).is_disconnect());
    /// assert!(Error::Usage(UsageError::Closed).is_disconnect()); // a send that came too late
    /// assert!(!Error::Protocol(ProtocolError::ReservedBits).is_disconnect());
    /// assert!(!Error::Usage(UsageError::Full).is_disconnect());
    /// ```
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
            NotConnected, TimedOut, UnexpectedEof, WriteZero,
        };
        match self {
            Self::Io(error) => matches!(
                error.kind(),
                BrokenPipe
                    | ConnectionAborted
                    | ConnectionReset
                    | HostUnreachable
                    | NetworkDown
                    | NetworkUnreachable
                    | NotConnected
                    | TimedOut
                    | UnexpectedEof
                    | WriteZero
            ),
            Self::Aborted | Self::TimedOut(_) | Self::Usage(UsageError::Closed) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::InvalidUri(error) => error.fmt(f),
            Self::Usage(error) => error.fmt(f),
            Self::Aborted => f.write_str("the transport ended without a close frame"),
            Self::TimedOut(what) => what.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // What is inside has spoken for itself already: see `Display`.
        match self {
            Self::Io(error) => error.source(),
            Self::Protocol(error) => error.source(),
            Self::Rejected(rejection) => rejection.source(),
            Self::Handshake(error) => error.source(),
            Self::InvalidUri(error) => error.source(),
            Self::Usage(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Proxy(error) => error.source(),
            Self::Aborted | Self::TimedOut(_) => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejection) => Self::Rejected(rejection),
            Failure::Handshake(error) => Self::Handshake(error),
            Failure::Aborted => Self::Aborted,
            Failure::TimedOut => Self::TimedOut(TimedOut::Handshake),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match TlsError::within(error) {
            Ok(error) => Self::Tls(error),
            Err(error) => error.downcast().map_or_else(Self::Io, Self::Proxy),
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(Box::new(error))
    }
}

impl From<InvalidUri> for Error {
    fn from(error: InvalidUri) -> Self {
        Self::InvalidUri(error)
    }
}

impl From<UsageError> for Error {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// A report of an error and its sources says everything once.
    #[test]
    fn what_is_inside_is_told_once() {
        let inner = std::io::Error::other(UsageError::Full);
        let errors = [
            Error::Io(inner),
            Error::Protocol(ProtocolError::ReservedBits),
            Error::Usage(UsageError::Closed),
            Error::Rejected(Rejection::new(404)),
            Error::Aborted,
        ];
        for error in errors {
            let mut texts = std::vec![error.to_string()];
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                texts.push(error.to_string());
                source = error.source();
            }
            texts.dedup();
            assert_eq!(texts.len(), 1, "{texts:?}");
        }
    }
}
