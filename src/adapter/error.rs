//! How a connection over an adapter fails. A normal end is not an error.

use super::TlsError;
use super::random::since_1970;
use crate::http1::{RetryAfter, TunnelError};
use crate::ws::handshake::{ClientError, Failure, HandshakeError, InvalidUri, Rejection};
use crate::ws::redial::{Reaction, RedialPolicy};
use crate::ws::{ProtocolError, TimedOut, UsageError};
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::io::ErrorKind;

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

    /// What a client that comes back does after this error, by the table of its [`RedialPolicy`], and how long the server has
    /// asked it to stay away: what [`Redial::lost`](crate::ws::redial::Redial::lost) is told. The guide on clients has the loop around
    /// it.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::ws::redial::{Reaction, RedialPolicy};
    ///
    /// assert_eq!(Error::Aborted.reaction(&RedialPolicy::new()), (Reaction::Again, None));
    /// ```
    #[must_use]
    pub fn reaction(&self, policy: &RedialPolicy) -> (Reaction, Option<Duration>) {
        let reaction = match self {
            Self::Handshake(refused) => {
                let mut fields = refused.response.iter().flat_map(|response| response.fields.iter());
                let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let after = field.and_then(|(_, value)| RetryAfter::parse(value));
                let reaction = match refused.error {
                    ClientError::UnexpectedStatus(status) => policy.of_status(status),
                    ClientError::UnexpectedEof => Reaction::Again,
                    _ => Reaction::GiveUp,
                };
                return (reaction, after.map(|after| after.delay(since_1970())));
            }
            Self::Protocol(error) => policy.of_close(Some(error.close_code())),
            Self::Rejected(rejection) => policy.of_status(rejection.status()),
            Self::InvalidUri(_) => Reaction::GiveUp,
            // The connection was closed before hello was said.
            Self::Usage(UsageError::Closed) => Reaction::Again,
            Self::Usage(_) => Reaction::GiveUp,
            // There is no way to such a URL.
            Self::Io(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {
                Reaction::GiveUp
            }
            // Who answers there is not to be trusted, or the proxy does not let us through.
            Self::Tls(error) if error.fault().is_final() => Reaction::GiveUp,
            Self::Proxy(error) if error.is_final() => Reaction::GiveUp,
            _ => Reaction::Again,
        };
        (reaction, None)
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
    use crate::adapter::TlsFault;
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
    /// The rows of [`RedialPolicy`] that an error says.
    #[test]
    fn what_follows_from_an_error() {
        let refused =
            |error| Error::from(HandshakeError { error, response: None, body: std::vec::Vec::new() });
        let policy = RedialPolicy::new().on_status(404..=404, Reaction::Again);
        for (error, reaction) in [
            (refused(ClientError::UnexpectedStatus(401)), Reaction::GiveUp),
            (refused(ClientError::UnexpectedStatus(404)), Reaction::Again),
            (refused(ClientError::UnexpectedStatus(503)), Reaction::Later),
            (refused(ClientError::UnexpectedEof), Reaction::Again),
            (refused(ClientError::ConnectNotEnabled), Reaction::GiveUp),
            (Error::Protocol(ProtocolError::ReservedBits), Reaction::GiveUp),
            (Error::Rejected(Rejection::new(404)), Reaction::Again),
            (Error::InvalidUri(InvalidUri::Scheme), Reaction::GiveUp),
            (Error::Usage(UsageError::Closed), Reaction::Again),
            (Error::Usage(UsageError::Full), Reaction::GiveUp),
            (Error::Io(ErrorKind::Unsupported.into()), Reaction::GiveUp),
            (Error::Io(ErrorKind::ConnectionRefused.into()), Reaction::Again),
            (Error::Tls(TlsFault::UnknownIssuer.into()), Reaction::GiveUp),
            (Error::Tls(TlsFault::Ended.into()), Reaction::Again),
            (Error::Proxy(TunnelError::Unauthorized), Reaction::GiveUp),
            (Error::Proxy(TunnelError::Refused(502)), Reaction::Again),
            (Error::Aborted, Reaction::Again),
            (Error::TimedOut(TimedOut::Ping), Reaction::Again),
        ] {
            assert_eq!(error.reaction(&policy), (reaction, None), "{error:?}");
        }
    }
}
