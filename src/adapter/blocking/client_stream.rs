//! The stream of a client's connection: TCP, with TLS on it or not.

#[cfg(feature = "rustls")]
use super::TlsStream;
use super::Transport;
#[cfg(feature = "rustls")]
use std::boxed::Box;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// The stream of a connection that [`connect`](super::connect()) has made: TCP, with TLS on it if the URL asks for that.
///
/// ```
/// use pushline::adapter::blocking::{ClientStream, WebSocket};
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

impl ClientStream {
    /// The TCP connection: for its addresses and options. What is read or written there is lost to the stream on it.
    #[must_use]
    pub const fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Inner::Tcp(stream) => stream,
            #[cfg(feature = "rustls")]
            Inner::Tls(stream) => stream.get_ref(),
        }
    }

    /// Whether there is TLS on it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        !matches!(self.0, Inner::Tcp(_))
    }

    /// A second handle of the same stream, for another thread: what one reads the other does not.
    ///
    /// # Errors
    ///
    /// The operating system has none to give.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(match &self.0 {
            Inner::Tcp(stream) => Inner::Tcp(stream.try_clone()?),
            #[cfg(feature = "rustls")]
            Inner::Tls(stream) => Inner::Tls(Box::new(stream.try_clone()?)),
        }))
    }

    fn any(&mut self) -> &mut dyn Transport {
        match &mut self.0 {
            Inner::Tcp(stream) => stream,
            #[cfg(feature = "rustls")]
            Inner::Tls(stream) => stream,
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

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.any().read(buffer)
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.any().write(bytes)
    }
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.any().write_vectored(pieces)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.any().flush()
    }
}

impl Transport for ClientStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.any().set_read_timeout(timeout)
    }
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.any().set_write_timeout(timeout)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        self.any().shutdown(how)
    }
}
