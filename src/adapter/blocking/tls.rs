//! TLS over a blocking transport, by rustls, for one thread or two.
//!
//! rustls moves no bytes. So its connection is locked only while records are made or taken apart, never while the
//! transport is waited for, and two threads can each wait in one direction. What was encrypted leaves in its order: those
//! who write hold a lock of their own.

use super::super::tls::TlsError;
use super::transport::Transport;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

use crate::heartbeat::Instant as _;

/// Bytes offered to one read of the transport: a record of the largest kind and its frame fit in two.
const READ_SIZE: usize = 16 * 1024;

/// How often the transport is written to in one call. A peer that takes a few bytes each time would otherwise hold the
/// thread.
const WRITES: usize = 8;

/// TLS over a blocking transport, by rustls. It is a [`Transport`]: deadlines, heartbeat and half-closing hold as over the
/// transport itself, and a WebSocket over it can be split for two threads.
///
/// A client's is made by [`connect`](super::connect()); a server makes one and hands it to [`accept`](super::accept).
///
/// ```no_run
/// use pushline::adapter::Options;
/// use pushline::adapter::blocking::{TlsStream, accept};
/// use pushline::ws::handshake::ServerOptions;
/// use std::net::TcpListener;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>) -> Result<(), Box<dyn std::error::Error>> {
///     let (tcp, _) = listener.accept()?;
///     let stream = TlsStream::server(tcp, tls, Duration::from_secs(10))?;
///     let mut socket = accept(stream, &ServerOptions::new(), &Options::new())?;
///     while let Some(message) = socket.next()? {
///         println!("{message:?}");
///     }
///     Ok(())
/// }
/// # let _ = serve;
/// ```
#[derive(Debug)]
pub struct TlsStream<T = TcpStream> {
    transport: T,
    /// Read from the transport and not yet taken by rustls: only of a large record, for as long as that is read.
    incoming: Vec<u8>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Mutex<Connection>,
    /// Encrypted, and to be written before anything else is encrypted.
    outgoing: Mutex<Vec<u8>>,
}

impl<T: Transport> TlsStream<T> {
    /// Does a server's handshake, in this time at most.
    ///
    /// # Errors
    ///
    /// The transport's, [`TimedOut`](ErrorKind::TimedOut), and what is wrong with TLS: converted into
    /// [`Error`](crate::adapter::Error), it is [`Error::Tls`](crate::adapter::Error::Tls).
    pub fn server(transport: T, config: Arc<ServerConfig>, timeout: Duration) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(TlsError::from).map_err(TlsError::into_io)?;
        Self::shake_hands(transport, tls.into(), Instant::now().saturating_add(timeout))
    }

    /// Does a client's handshake, in this time at most, with the server of this name.
    ///
    /// # Errors
    ///
    /// As [`server`](Self::server).
    pub fn client(
        transport: T,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        timeout: Duration,
    ) -> io::Result<Self> {
        client_by(transport, config, name, Instant::now().saturating_add(timeout))
    }

    fn shake_hands(transport: T, tls: Connection, deadline: Instant) -> io::Result<Self> {
        let shared = Arc::new(Shared { tls: Mutex::new(tls), outgoing: Mutex::default() });
        let mut stream = Self { transport, incoming: Vec::new(), shared };
        let done = stream.exchange(deadline);
        done.map(|()| stream).map_err(|error| match error.kind() {
            // As the times of sockets tell it.
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => TlsError::of_handshake(error),
        })
    }

    /// Reads and writes until the handshake is over.
    fn exchange(&mut self, deadline: Instant) -> io::Result<()> {
        let left = || match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::from(ErrorKind::TimedOut)),
            left => Ok(Some(left)),
        };
        loop {
            let mut outgoing = lock(&self.shared.outgoing);
            let is_handshaking = encrypt(&mut lock(&self.shared.tls), &mut outgoing)?;
            while !outgoing.is_empty() {
                self.transport.set_write_timeout(left()?)?;
                write_some(&mut self.transport, &mut outgoing)?;
            }
            self.transport.flush()?;
            drop(outgoing);
            if !is_handshaking {
                return Ok(());
            }
            self.transport.set_read_timeout(left()?)?;
            if self.receive(0)? == Some(0) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads from the transport once, if need be, and has rustls take it, until so many bytes can be had. What was read.
    fn receive(&mut self, wanted: usize) -> io::Result<Option<usize>> {
        let mut buffer = [0; READ_SIZE];
        let n = if self.incoming.is_empty() { Some(self.transport.read(&mut buffer)?) } else { None };
        let mut bytes = n.map_or(&self.incoming[..], |n| buffer.get(..n).unwrap_or(&buffer));
        let taken = take(&mut lock(&self.shared.tls), &mut bytes, wanted.clamp(1, READ_SIZE));
        match n {
            None => drop(self.incoming.drain(..self.incoming.len() - bytes.len())),
            Some(_) => self.incoming = bytes.to_vec(),
        }
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        if taken.is_err() {
            self.tell_fault();
        }
        taken.map(|()| n)
    }

    /// Writes the alert that says what was wrong, unless another thread is writing: that one does it, or is cut.
    #[cold]
    fn tell_fault(&mut self) {
        if let Ok(mut outgoing) = self.shared.outgoing.try_lock()
            && encrypt(&mut lock(&self.shared.tls), &mut outgoing).is_ok()
            && !outgoing.is_empty()
        {
            let _ = write_some(&mut self.transport, &mut outgoing);
        }
    }

    /// Encrypts as much as goes into the queue, once that is empty, and writes it.
    fn send(&mut self, write: impl FnOnce(&mut Connection) -> io::Result<usize>) -> io::Result<usize> {
        let mut outgoing = lock(&self.shared.outgoing);
        push(&mut self.transport, &mut outgoing)?;
        let n = {
            let mut tls = lock(&self.shared.tls);
            let n = write(&mut tls)?;
            encrypt(&mut tls, &mut outgoing)?;
            n
        };
        match push(&mut self.transport, &mut outgoing) {
            // It was taken. The flush that follows tells how it stands.
            Err(error) if n > 0 && is_wait(&error) => Ok(n),
            done => done.map(|()| n),
        }
    }
}

impl<T> TlsStream<T> {
    /// The transport.
    #[must_use]
    pub const fn get_ref(&self) -> &T {
        &self.transport
    }

    /// Shows what TLS has agreed: version, cipher suite, the peer's certificates.
    pub fn with_tls<R>(&self, look: impl FnOnce(&Connection) -> R) -> R {
        look(&lock(&self.shared.tls))
    }
}

impl TlsStream<TcpStream> {
    /// A second handle of the same stream, for another thread: one of the two reads, either may write.
    ///
    /// # Errors
    ///
    /// The operating system has none to give.
    pub fn try_clone(&self) -> io::Result<Self> {
        let transport = self.transport.try_clone()?;
        // What was read already stays with the one that reads.
        Ok(Self { transport, incoming: Vec::new(), shared: Arc::clone(&self.shared) })
    }
}

/// A client's handshake by a deadline.
pub(super) fn client_by<T: Transport>(
    transport: T,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    deadline: Instant,
) -> io::Result<TlsStream<T>> {
    let tls = ClientConnection::new(config, name).map_err(TlsError::from).map_err(TlsError::into_io)?;
    TlsStream::shake_hands(transport, tls.into(), deadline)
}

/// Has rustls take received bytes until so many of content can be had; none at all are the end of the transport.
fn take(tls: &mut Connection, bytes: &mut &[u8], wanted: usize) -> io::Result<()> {
    loop {
        tls.read_tls(bytes)?;
        let state =
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if bytes.is_empty() || state.plaintext_bytes_to_read() >= wanted || state.peer_has_closed() {
            return Ok(());
        }
    }
}

/// Fetches the records that rustls has made. Whether the handshake is still on.
fn encrypt(tls: &mut Connection, outgoing: &mut Vec<u8>) -> io::Result<bool> {
    while tls.wants_write() {
        tls.write_tls(outgoing)?;
    }
    Ok(tls.is_handshaking())
}

/// Writes what was encrypted, as much as the transport takes now.
fn push<T: Transport>(transport: &mut T, outgoing: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..WRITES {
        if outgoing.is_empty() {
            return Ok(());
        }
        write_some(transport, outgoing)?;
    }
    if outgoing.is_empty() { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
}

fn write_some<T: Transport>(transport: &mut T, outgoing: &mut Vec<u8>) -> io::Result<()> {
    match transport.write(outgoing) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Ok(n) if n >= outgoing.len() => {
            // The memory is not kept: most connections are idle most of the time.
            *outgoing = Vec::new();
            Ok(())
        }
        Ok(n) => {
            outgoing.drain(..n);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the transport has only waited for as long as it was told.
fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A thread that panicked has not left anything half done: rustls is called for one thing at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Transport> Read for TlsStream<T> {
    /// Reads. A record that has come in part is waited for by the next call: this one then tells that its time is over
    /// ([`TimedOut`](ErrorKind::TimedOut)), so that a peer that sends byte by byte holds nobody. 0 is the end that TLS itself
    /// told; an end without it is [`UnexpectedEof`](ErrorKind::UnexpectedEof).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = |stream: &Self, buffer: &mut [u8]| lock(&stream.shared.tls).reader().read(buffer);
        match content(self, buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        self.receive(buffer.len())?;
        content(self, buffer).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

impl<T: Transport> Write for TlsStream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(|tls| tls.writer().write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(|tls| tls.writer().write_vectored(pieces))
    }

    /// Writes what was encrypted. [`TimedOut`](ErrorKind::TimedOut) if the transport does not take all of it now: the rest is
    /// kept.
    fn flush(&mut self) -> io::Result<()> {
        let mut outgoing = lock(&self.shared.outgoing);
        encrypt(&mut lock(&self.shared.tls), &mut outgoing)?;
        push(&mut self.transport, &mut outgoing)?;
        self.transport.flush()
    }
}

impl<T: Transport> Transport for TlsStream<T> {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.set_read_timeout(timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.set_write_timeout(timeout)
    }

    /// Tells the peer by a `close_notify` (RFC 8446 6.1), if the transport takes that, and then by the transport's own end.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            let mut outgoing = lock(&self.shared.outgoing);
            let mut tls = lock(&self.shared.tls);
            tls.send_close_notify();
            let encrypted = encrypt(&mut tls, &mut outgoing);
            drop(tls);
            if encrypted.is_ok() {
                let _ = self.transport.set_write_timeout(Some(LAST_WRITE));
                let _ = push(&mut self.transport, &mut outgoing);
            }
        }
        self.transport.shutdown(how)
    }
}

/// How long the last record is waited for that says that nothing more comes.
const LAST_WRITE: Duration = Duration::from_millis(100);
