//! An event stream as a response.
#![allow(clippy::indexing_slicing, reason = "a head and an event, up to what was written of them")]

use super::{Error, EventResponse};
use crate::adapter::sse::Outlet;
use crate::heartbeat::Heartbeat;
use crate::http1::head::Version;
use crate::sse::{Block, PreparedEvent};
use bytes::Buf;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::Instant;

/// The most pieces handed to one vectored write.
const PIECES: usize = 32;

/// An event stream that is being written to a client: a response in chunks, one event each, or, for HTTP/1.0, until the
/// connection is closed.
///
/// Each send writes at once, and waits while the client is slow to read. If the transport is not ready
/// ([`WouldBlock`](std::io::ErrorKind::WouldBlock)), the event is queued nevertheless, and [`flush`](Self::flush) goes on
/// with it. A thread that has nothing to send waits until [`next_keep_alive`](Self::next_keep_alive), say with
/// `recv_timeout`, and calls [`keep_alive`](Self::keep_alive): that is also how a client that left is noticed.
///
/// ```
/// use pushline::adapter::blocking::sse::{EventWriter, EventResponse};
/// use pushline::http1::head::Version;
/// use pushline::sse::Block;
///
/// let mut wire = Vec::new();
/// let mut writer = EventWriter::new(&mut wire, Version::Http11, &EventResponse::new());
/// writer.send(&Block::new().data("hello"))?;
/// writer.finish()?;
/// assert!(wire.ends_with(b"\r\n\r\nd\r\ndata: hello\n\n\r\n0\r\n\r\n"));
/// # Ok::<(), pushline::adapter::sse::Error>(())
/// ```
#[derive(Debug)]
pub struct EventWriter<W> {
    stream: W,
    outlet: Outlet,
    heartbeat: Option<Heartbeat<Instant>>,
    max_queued: usize,
    /// The transport failed.
    has_failed: bool,
}

impl<W: Write> EventWriter<W> {
    /// Answers a request of this `version`, the one of the [`RequestHead`](crate::http1::head::RequestHead), on the
    /// stream that it came on. The response's head is queued: [`flush`](Self::flush), or anything else, writes it.
    pub fn new(stream: W, version: Version, response: &EventResponse) -> Self {
        Self {
            stream,
            outlet: Outlet::new(version, response),
            heartbeat: response.keep_alive.map(|interval| Heartbeat::one_way(interval, Instant::now())),
            max_queued: response.max_queued,
            has_failed: false,
        }
    }

    /// Sends an event, or a comment, or a reconnection time.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] for what cannot be encoded. [`Error::Io`] of a transport that is not ready, while more than
    /// [`EventResponse::max_queued`] bytes wait: this event was not queued, and may be sent again. Any other [`Error::Io`], and
    /// [`Error::Left`] ever after, are the end.
    pub fn send(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.queue(|outlet| outlet.push(block))
    }

    /// Sends an event that was encoded once for many clients: a large one by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, event: &PreparedEvent) -> Result<(), Error> {
        self.queue(|outlet| outlet.push_prepared(event))
    }

    /// When to call [`keep_alive`](Self::keep_alive) if nothing is sent before; `None` if
    /// [no comments](EventResponse::keep_alive) are sent.
    #[must_use]
    pub fn next_keep_alive(&self) -> Option<Instant> {
        self.heartbeat.as_ref().map(Heartbeat::next_deadline)
    }

    /// Sends a comment if it is time for it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn keep_alive(&mut self) -> Result<(), Error> {
        if self.heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.poll(Instant::now()).is_some()) {
            self.outlet.push_keep_alive()?;
        }
        self.flush()
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. If the transport was not ready ([`WouldBlock`](std::io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](std::io::ErrorKind::TimedOut)), what is not written stays queued, and this may be called again. Any
    /// other is the end: what was queued is dropped, and every later call says [`Error::Left`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Left);
        }
        self.write().inspect_err(|error| {
            self.has_failed = !is_not_ready(error);
            if self.has_failed {
                self.outlet.queue.clear();
            }
        })?;
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.outlet.queue.is_empty() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = self.outlet.queue.chunks_vectored(&mut pieces);
            match self.stream.write_vectored(&pieces[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.outlet.queue.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.flush()
    }

    /// Ends the stream: writes the last chunk. After that, close the transport.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn finish(mut self) -> Result<W, Error> {
        self.outlet.finish()?;
        self.flush()?;
        Ok(self.stream)
    }

    /// The transport.
    pub const fn get_ref(&self) -> &W {
        &self.stream
    }

    /// How many bytes are waiting to be written: none, unless the transport was not ready.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outlet.queue.len()
    }

    fn queue(&mut self, queue: impl FnOnce(&mut Outlet) -> Result<(), Error>) -> Result<(), Error> {
        if self.has_failed || self.queued() > self.max_queued {
            self.flush()?;
        }
        queue(&mut self.outlet)?;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.touch(Instant::now());
        }
        match self.flush() {
            Err(Error::Io(error)) if is_not_ready(&error) => Ok(()),
            done => done,
        }
    }
}

/// Whether the call is worth repeating. A socket with a write timeout says one or the other when that is over.
fn is_not_ready(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
