//! What a stream has to be able to do: read, write, and if it can, keep times and close one direction.

use core::time::Duration;
use std::boxed::Box;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

/// A stream in both directions, and the times that it can keep.
///
/// A blocking read can only be ended by the stream itself. So the heartbeat and the deadlines hold where
/// [`set_read_timeout`](Self::set_read_timeout) and [`set_write_timeout`](Self::set_write_timeout) do something: with
/// [`TcpStream`] and `UnixStream`. A type that wraps one, such as a TLS stream, forwards the three methods to it. Its `flush`
/// may fail with [`TimedOut`](io::ErrorKind::TimedOut) as well, and keeps what is left.
/// For streams that know no times there is [`Untimed`].
///
/// ```
/// use pushline::adapter::blocking::Transport;
/// use std::io::{self, Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Duration;
///
/// /// Counts what is received.
/// struct Counted {
///     tcp: TcpStream,
///     received: usize,
/// }
///
/// impl Read for Counted {
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let n = self.tcp.read(buffer)?;
///         self.received += n;
///         Ok(n)
///     }
/// }
///
/// impl Write for Counted {
///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         self.tcp.write(bytes)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         self.tcp.flush()
///     }
/// }
///
/// impl Transport for Counted {
///     fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         Transport::set_read_timeout(&mut self.tcp, timeout)
///     }
///     fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
///         Transport::set_write_timeout(&mut self.tcp, timeout)
///     }
///     fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
///         Transport::shutdown(&mut self.tcp, how)
///     }
/// }
/// ```
pub trait Transport: Read + Write {
    /// Has each later read wait for at most `timeout`, never zero, and then fail with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut). `None`: wait for ever.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// As [`set_read_timeout`](Self::set_read_timeout), for writes.
    ///
    /// # Errors
    ///
    /// The stream's own.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends one direction of the stream or both, while it stays open to read what the peer still has to say.
    ///
    /// # Errors
    ///
    /// The stream's own. After any error here nothing more is read: dropping the stream closes it.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }
}

#[cfg(unix)]
impl Transport for UnixStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout)
    }
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        (**self).shutdown(how)
    }
}

/// Any `Read + Write` as a [`Transport`] without times: no heartbeat, no deadlines. A peer that falls silent holds the
/// thread for as long as the stream lets it.
///
/// A stream that has read timeouts of its own gives the connection a chance to look at the clock each time one of
/// them is over; a stream that does not block at all is fine, too: see [`WebSocket`](super::WebSocket).
///
/// ```
/// use pushline::adapter::Options;
/// use pushline::adapter::blocking::{Untimed, WebSocket};
/// use pushline::ws::{ConnectionOptions, Connection, Message, Negotiated};
///
/// let wire = std::io::Cursor::new(b"\x81\x05Hello".to_vec());
/// let connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || [1, 2, 3, 4]);
/// let mut socket = WebSocket::new(Untimed(wire), connection, &[], &Options::new());
/// assert_eq!(socket.next()?, Some(Message::from("Hello")));
/// # Ok::<(), pushline::adapter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Untimed<S>(
    /// The stream.
    pub S,
);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(pieces)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Transport for Untimed<S> {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
