//! The stream of a client's connection: TCP, with TLS on it or not.

use core::pin::Pin;
use core::task::{Context, Poll};
#[cfg(feature = "rustls")]
use std::boxed::Box;
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
#[cfg(feature = "rustls")]
use tokio_rustls::client::TlsStream;

/// The stream of a connection that [`connect`](super::connect()) has made: TCP, with TLS on it if the URL asks for that.
///
/// ```
/// use pushline::adapter::tokio::{ClientStream, WebSocket};
///
/// fn describe(socket: &WebSocket<ClientStream>) -> std::io::Result<String> {
///     let stream = socket.get_ref();
///     Ok(format!("{} {}", stream.tcp().peer_addr()?, if stream.is_secure() { "TLS" } else { "plain" }))
/// }
/// # let _ = describe;
/// ```
#[derive(Debug)]
pub struct ClientStream(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    #[cfg(feature = "rustls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// The reading half of a [`ClientStream`].
///
/// ```
/// use pushline::adapter::tokio::{ClientReadHalf, ClientStream, ClientWriteHalf};
///
/// fn halves(stream: ClientStream) -> (ClientReadHalf, ClientWriteHalf) {
///     stream.into_split()
/// }
/// ```
#[derive(Debug)]
pub struct ClientReadHalf(ReadInner);

#[derive(Debug)]
enum ReadInner {
    Tcp(OwnedReadHalf),
    #[cfg(feature = "rustls")]
    Tls(tokio::io::ReadHalf<Box<TlsStream<TcpStream>>>),
}

/// The writing half of a [`ClientStream`].
///
/// ```
/// use pushline::adapter::tokio::{ClientReadHalf, ClientStream, ClientWriteHalf};
///
/// fn halves(stream: ClientStream) -> (ClientReadHalf, ClientWriteHalf) {
///     stream.into_split()
/// }
/// ```
#[derive(Debug)]
pub struct ClientWriteHalf(WriteInner);

#[derive(Debug)]
enum WriteInner {
    Tcp(OwnedWriteHalf),
    #[cfg(feature = "rustls")]
    Tls(tokio::io::WriteHalf<Box<TlsStream<TcpStream>>>),
}

impl ClientStream {
    /// The TCP connection: for its addresses and options. What is read or written there is lost to the stream on it.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Inner::Tcp(stream) => stream,
            #[cfg(feature = "rustls")]
            Inner::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether there is TLS on it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        !matches!(self.0, Inner::Tcp(_))
    }

    /// What TLS has agreed: version, cipher suite, the peer's certificates. `None` without TLS.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(&self) -> Option<&rustls::ClientConnection> {
        match &self.0 {
            Inner::Tcp(_) => None,
            Inner::Tls(stream) => Some(stream.get_ref().1),
        }
    }

    /// Splits into a reading and a writing half. TCP's need no lock.
    #[must_use]
    pub fn into_split(self) -> (ClientReadHalf, ClientWriteHalf) {
        match self.0 {
            Inner::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ClientReadHalf(ReadInner::Tcp(read)), ClientWriteHalf(WriteInner::Tcp(write)))
            }
            #[cfg(feature = "rustls")]
            Inner::Tls(stream) => {
                let (read, write) = tokio::io::split(stream);
                (ClientReadHalf(ReadInner::Tls(read)), ClientWriteHalf(WriteInner::Tls(write)))
            }
        }
    }
}

impl From<TcpStream> for ClientStream {
    fn from(stream: TcpStream) -> Self {
        Self(Inner::Tcp(stream))
    }
}

#[cfg(feature = "rustls")]
impl From<TlsStream<TcpStream>> for ClientStream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self(Inner::Tls(Box::new(stream)))
    }
}

/// Does the same with whichever stream it is.
macro_rules! with {
    ($inner:ident :: $this:expr, $stream:ident => $call:expr) => {
        match $this {
            $inner::Tcp($stream) => $call,
            #[cfg(feature = "rustls")]
            $inner::Tls($stream) => $call,
        }
    };
}

macro_rules! read {
    ($stream:ty, $inner:ident) => {
        impl AsyncRead for $stream {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                with!($inner::&mut self.0, stream => Pin::new(stream).poll_read(cx, buffer))
            }
        }
    };
}

macro_rules! write {
    ($stream:ty, $inner:ident) => {
        impl AsyncWrite for $stream {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                with!($inner::&mut self.0, stream => Pin::new(stream).poll_write(cx, bytes))
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                with!($inner::&mut self.0, stream => Pin::new(stream).poll_write_vectored(cx, pieces))
            }

            fn is_write_vectored(&self) -> bool {
                with!($inner::&self.0, stream => stream.is_write_vectored())
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                with!($inner::&mut self.0, stream => Pin::new(stream).poll_flush(cx))
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                with!($inner::&mut self.0, stream => Pin::new(stream).poll_shutdown(cx))
            }
        }
    };
}

read!(ClientStream, Inner);
write!(ClientStream, Inner);
read!(ClientReadHalf, ReadInner);
write!(ClientWriteHalf, WriteInner);
