//! How an event stream over an adapter fails. A normal end is not an error.

use crate::adapter::TlsError;
use crate::http1::head::HeadError;
use crate::http1::{TunnelError, chunked};
use crate::sse::{CloseReason, DecodeError, EncodeError};
use core::fmt;

/// An error of an event stream over an adapter.
///
/// ```
/// use pushline::adapter::blocking::sse::EventReader;
/// use pushline::adapter::sse::Error;
/// use pushline::http1::head::BodyFraming;
///
/// let mut events = EventReader::new(&b"9\r\ndata: 1\n\n\r\n"[..], BodyFraming::Chunked);
/// assert_eq!(events.next().unwrap()?.data, "1");
/// assert!(matches!(events.next(), Some(Err(Error::Chunked(_))))); // cut: there is no last chunk
/// assert!(events.next().is_none());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    Io(std::io::Error),
    /// An event exceeds a limit. The stream goes on behind it.
    Event(DecodeError),
    /// The body breaks the chunked coding, or was cut.
    Chunked(chunked::ChunkedError),
    /// The transport ended inside the head, or inside a body of known length.
    Aborted,
    /// The head of the response cannot be read.
    Head(HeadError),
    /// There will be no stream: what the client was told.
    Closed(CloseReason),
    /// A redirection leads to where this client cannot follow.
    Location,
    /// The caller asked for an event that cannot be encoded. Nothing of it was written.
    Encode(EncodeError),
    /// The stream was finished by the caller before.
    Finished,
    /// The client left.
    Left,
    /// The peer took too long: to take anything of what is written, to answer, or to send anything.
    TimedOut,
    /// TLS failed: there is no such connection, or the peer broke it.
    Tls(TlsError),
    /// The proxy on the way gave no tunnel.
    Proxy(TunnelError),
}

impl Error {
    /// Whether no connection will ever come about: the URL is none for this client, or who answers there is not to be
    /// trusted.
    pub(in crate::adapter) fn is_hopeless(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == std::io::ErrorKind::Unsupported,
            Self::Tls(error) => error.fault().is_final(),
            Self::Proxy(error) => error.is_final(),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Event(error) => error.fmt(f),
            Self::Chunked(error) => error.fmt(f),
            Self::Aborted => f.write_str("the transport ended inside the response"),
            Self::Head(error) => error.fmt(f),
            Self::Closed(reason) => reason.fmt(f),
            Self::Location => f.write_str("a redirection leads to where this client cannot follow"),
            Self::Encode(error) => error.fmt(f),
            Self::Finished => f.write_str("the stream is finished"),
            Self::Left => f.write_str("the client left"),
            Self::TimedOut => f.write_str("the peer took too long"),
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
            Self::Event(error) => error.source(),
            Self::Chunked(error) => error.source(),
            Self::Head(error) => error.source(),
            Self::Closed(reason) => reason.source(),
            Self::Encode(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Proxy(error) => error.source(),
            Self::Aborted | Self::Location | Self::Finished | Self::Left | Self::TimedOut => None,
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from!(
    DecodeError => Event, chunked::ChunkedError => Chunked, HeadError => Head,
    CloseReason => Closed, EncodeError => Encode
);

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match TlsError::within(error) {
            Ok(error) => Self::Tls(error),
            Err(error) => error.downcast().map_or_else(Self::Io, Self::Proxy),
        }
    }
}

/// The only way in which a body refuses data.
impl From<chunked::ChunkedEncodeError> for Error {
    fn from(_: chunked::ChunkedEncodeError) -> Self {
        Self::Finished
    }
}
