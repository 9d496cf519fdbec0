//! How a connection over an adapter fails. A normal end is not an error.

use crate::ws::handshake::{Client, ClientError, InvalidUri, Rejection, Response};
use crate::ws::{ProtocolError, TimedOut, UsageError};
use core::fmt;
use std::boxed::Box;
use std::vec::Vec;

/// How a connection over an adapter fails.
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
    /// The transport failed.
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
}

/// Why a client did not get its connection, with what the server said.
///
/// ```
/// use pushline::adapter::{Error, Options, blocking::client};
/// use pushline::ws::handshake::{ClientError, ClientOptions, Uri};
/// # use std::io::{Read, Write};
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
/// # let server = std::thread::spawn(move || -> std::io::Result<()> {
/// #     let (mut stream, _) = listener.accept()?;
/// #     let _ = stream.read(&mut [0; 1024])?;
/// #     stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")
/// # });
///
/// let uri = Uri::parse("ws://example.com/chat")?;
/// match client(stream, &uri, ClientOptions::new(), &Options::new()) {
///     Err(Error::Handshake(refused)) => {
///         assert_eq!(refused.error, ClientError::UnexpectedStatus(302));
///         let response = refused.response.expect("a status comes with a head");
///         assert_eq!(response.fields.iter().next(), Some(("Location", &b"/login"[..])));
///     }
///     other => panic!("{other:?}"),
/// }
/// # server.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeError {
    /// Why.
    pub error: ClientError,
    /// The response's head, if it was read: the Location of a redirect, the challenge of a 401.
    pub response: Option<Response>,
    /// What was received of its body until now.
    pub body: Vec<u8>,
}

impl HandshakeError {
    pub(crate) fn new(error: ClientError, client: &Client, received: &[u8]) -> Self {
        let response = client.response().cloned();
        let body = response.as_ref().and_then(|response| received.get(response.length..)).unwrap_or_default();
        Self { error, body: body.to_vec(), response }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // What is inside has spoken for itself already: see `Display`.
        self.error.source()
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
            Self::Aborted | Self::TimedOut(_) => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
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
