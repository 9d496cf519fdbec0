//! Moving bytes within a time: a stream to an inbox, a queue to a stream.

use super::transport::Transport;
use crate::inbox::{Inbox, Storage};
use crate::outgoing::Outgoing;
use bytes::Buf;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::time::Instant;

/// The most pieces handed to one vectored write.
const PIECES: usize = 32;

/// The shortest wait that is asked of a stream: none at all would mean "for ever" to a socket.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A stream that is told how long to wait.
///
/// Each method answers `None` (or `false`) when that time was over. A stream that would block before half of it has
/// passed does not wait at all: then its error goes to the caller, and nothing is lost.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    /// What the stream was last told; `None` if that is not known.
    read_wait: Option<Option<Duration>>,
    write_wait: Option<Option<Duration>>,
}

impl<S> Timed<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, read_wait: None, write_wait: None }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    pub(super) const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: Transport> Timed<S> {
    /// Reads once; 0 at the end of the stream.
    pub(super) fn read<B: Storage>(
        &mut self,
        inbox: &mut Inbox<B>,
        wait: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        let n = self.read_into(inbox.space(), wait)?;
        inbox.filled(n.unwrap_or_default());
        Ok(n)
    }

    /// Writes once, as much as the stream takes.
    pub(super) fn write(&mut self, outgoing: &mut Outgoing, wait: Option<Duration>) -> io::Result<bool> {
        let chunk = outgoing.chunk();
        let n = if chunk.len() == outgoing.len() {
            self.write_with(wait, |stream| stream.write(chunk))?
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = outgoing.chunks_vectored(&mut pieces);
            self.write_with(wait, |stream| stream.write_vectored(&pieces[..count]))?
        };
        outgoing.advance(n.unwrap_or_default());
        Ok(n.is_some())
    }

    /// Hands on what the stream itself has buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.stream.flush() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Writes bytes that are part of no connection: the opening handshake. In the time left until `deadline`.
    pub(super) fn write_all(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<bool> {
        while !bytes.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(false);
            }
            let Some(n) = self.write_with(Some(wait), |stream| stream.write(bytes))? else {
                return Ok(false);
            };
            bytes = &bytes[n..];
        }
        self.flush().map(|()| true)
    }

    /// Closes our direction, and waits for the peer to close its own.
    ///
    /// The only error is that of a stream that does not wait: to be called again.
    pub(super) fn finish(&mut self, deadline: Instant) -> io::Result<()> {
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => self.drain(deadline).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Reads and drops until the peer closes its direction: closing with bytes unread would make the operating system
    /// reset the connection, and the peer lose our last ones. Whether it was closed in time.
    ///
    /// The only error is that of a stream that does not wait: to be called again.
    pub(super) fn drain(&mut self, deadline: Instant) -> io::Result<bool> {
        let mut bytes = [0; 2048];
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(false);
            }
            match self.read_into(&mut bytes, Some(wait)) {
                Ok(Some(1..) | None) => {}
                Ok(Some(0)) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(_) => return Ok(true),
            }
        }
    }

    fn read_into(&mut self, bytes: &mut [u8], wait: Option<Duration>) -> io::Result<Option<usize>> {
        let Self { stream, read_wait, .. } = self;
        let wait = arm(read_wait, wait, |wait| stream.set_read_timeout(wait))?;
        match within(wait, || stream.read(bytes)) {
            // A TLS stream that ends without saying so: to us an end like any other, since we have a close frame.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(0)),
            done => done,
        }
    }

    fn write_with(
        &mut self,
        wait: Option<Duration>,
        mut write: impl FnMut(&mut S) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let Self { stream, write_wait, .. } = self;
        let wait = arm(write_wait, wait, |wait| stream.set_write_timeout(wait))?;
        match within(wait, || write(stream))? {
            Some(0) => Err(ErrorKind::WriteZero.into()),
            done => Ok(done),
        }
    }
}

/// Tells the stream how long to wait, unless what it was last told is near enough: while messages come and go no call
/// of the operating system is spent on it.
fn arm(
    told: &mut Option<Option<Duration>>,
    wait: Option<Duration>,
    tell: impl FnOnce(Option<Duration>) -> io::Result<()>,
) -> io::Result<Option<Duration>> {
    let wait = wait.map(|wait| wait.max(SHORTEST_WAIT));
    let near = match (*told, wait) {
        (Some(Some(told)), Some(wait)) => told.abs_diff(wait) <= wait / 8,
        (Some(told), wait) => told == wait,
        (None, _) => false,
    };
    if !near {
        tell(wait)?;
        *told = Some(wait);
    }
    Ok(told.unwrap_or(wait))
}

/// Calls until the call was not interrupted; `None` if it has waited for its time.
fn within<T>(wait: Option<Duration>, mut call: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    let began = Instant::now();
    loop {
        match call() {
            Ok(done) => return Ok(Some(done)),
            Err(error) => match (error.kind(), wait) {
                (ErrorKind::Interrupted, _) => {}
                (ErrorKind::WouldBlock | ErrorKind::TimedOut, Some(wait)) if began.elapsed() >= wait / 2 => {
                    return Ok(None);
                }
                _ => return Err(error),
            },
        }
    }
}
