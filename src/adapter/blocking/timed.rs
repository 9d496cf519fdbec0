//! Moving bytes within a time: a stream to an inbox, a queue to a stream.
#![allow(clippy::indexing_slicing, reason = "up to what a read or a write has said, which is checked")]

use super::transport::Transport;
use crate::inbox::{Inbox, Storage};
use crate::outgoing::Outgoing;
use bytes::Buf;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Instant;

/// The most pieces handed to one vectored write.
const PIECES: usize = 32;

/// The shortest wait that is asked of a stream: none at all would mean "for ever" to a socket.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Memory up to this is kept by an inbox while its connection is idle: 64 KiB.
const KEPT: usize = 64 * 1024;

/// A connection is idle when nothing has come for this time.
const BUSY: Duration = Duration::from_secs(1);

/// A stream that would block has waited if it did for half of this time.
const WATCHED: Duration = Duration::from_millis(20);

/// A stream waits if it has done so as often as this in a row: once may be the thread that was held up.
const SURE: u8 = 8;

/// A stream that is told how long to wait.
///
/// Each method answers `None` (or `false`) when that time was over. A stream that does not wait at all is found out when
/// it would block for the first time: its error goes to the caller, and nothing is lost.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    read: Waits,
    write: Waits,
}

/// What is known of how a direction of a stream waits.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    /// What the stream was last told; `None` if that is not known.
    told: Option<Option<Duration>>,
    /// Whether it waits at all; `None` until that is sure.
    at_all: Option<bool>,
    /// How often it seems to have waited, until then.
    seen: u8,
}

impl<S> Timed<S> {
    pub(super) const fn new(stream: S) -> Self {
        let unknown = Waits { told: None, at_all: None, seen: 0 };
        Self { stream, read: unknown, write: unknown }
    }

    /// Whether the stream is known not to wait.
    pub(super) const fn is_nonblocking(&self) -> bool {
        matches!(self.read.at_all, Some(false)) || matches!(self.write.at_all, Some(false))
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
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

    /// As [`read`](Self::read), but what an empty inbox has of memory is given back before a long wait: then this
    /// answers `None` early.
    pub(super) fn read_or_release(
        &mut self,
        inbox: &mut Inbox,
        wait: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        if inbox.capacity() <= KEPT || !inbox.is_empty() {
            return self.read(inbox, wait);
        }
        let read = self.read(inbox, Some(wait.map_or(BUSY, |wait| wait.min(BUSY))));
        if let Ok(None) = read {
            inbox.release_memory();
        }
        read
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
        loop {
            match self.flush() {
                // It has waited, and part of it is still there.
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                }
                done => return done.map(|()| true),
            }
        }
    }

    /// Reads and drops once; 0 at the end of the stream.
    pub(super) fn drop_some(&mut self, wait: Option<Duration>) -> io::Result<Option<usize>> {
        self.read_into(&mut [0; 16 * 1024], wait)
    }

    fn read_into(&mut self, bytes: &mut [u8], wait: Option<Duration>) -> io::Result<Option<usize>> {
        let read = self.read.within(&mut self.stream, wait, S::set_read_timeout, |stream| stream.read(bytes));
        match read {
            // A TLS stream that ends without saying so: to us an end like any other, since we have a close frame.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(0)),
            done => done,
        }
    }

    fn write_with(
        &mut self,
        wait: Option<Duration>,
        write: impl FnMut(&mut S) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        match self.write.within(&mut self.stream, wait, S::set_write_timeout, write)? {
            Some(0) => Err(ErrorKind::WriteZero.into()),
            done => Ok(done),
        }
    }
}

impl Waits {
    /// Calls until the call was not interrupted; `None` if it has waited for its time.
    fn within<S, T>(
        &mut self,
        stream: &mut S,
        wait: Option<Duration>,
        tell: impl Fn(&mut S, Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut(&mut S) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        self.arm(wait, |wait| tell(stream, wait))?;
        // The clock is read until it is known whether the stream waits.
        let began = self.at_all.is_none().then(Instant::now);
        loop {
            let error = match call(stream) {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            match (error.kind(), wait) {
                (ErrorKind::Interrupted, _) => {}
                (ErrorKind::TimedOut, Some(_)) => return Ok(None),
                // Not the operating system's: part of a TLS record has come.
                (ErrorKind::TimedOut, None) if error.raw_os_error().is_none() => return Ok(None),
                (ErrorKind::WouldBlock, Some(wait)) => {
                    let least = wait.clamp(SHORTEST_WAIT, WATCHED) / 2;
                    if began.is_some_and(|began| began.elapsed() < least) {
                        self.at_all = Some(false);
                    } else if self.at_all.is_none() {
                        self.seen += 1;
                        self.at_all = (self.seen == SURE).then_some(true);
                    }
                    return if self.at_all == Some(false) { Err(error) } else { Ok(None) };
                }
                _ => return Err(error),
            }
        }
    }

    /// Tells the stream how long to wait, unless what it was last told is near enough: while messages come and go no
    /// call of the operating system is spent on it.
    fn arm(
        &mut self,
        wait: Option<Duration>,
        tell: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let wait = wait.map(|wait| wait.max(SHORTEST_WAIT));
        let near = match (self.told, wait) {
            (Some(Some(told)), Some(wait)) => told.abs_diff(wait) <= wait / 8,
            (Some(told), wait) => told == wait,
            (None, _) => false,
        };
        if !near {
            tell(wait)?;
            self.told = Some(wait);
        }
        Ok(())
    }
}
