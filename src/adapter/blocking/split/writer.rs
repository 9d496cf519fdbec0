//! The writing half of a split socket: what its callers wait for. What it shares with the reader is in `mod.rs`.

use super::{AGAIN, Shared, lock};
use crate::adapter::blocking::Transport;
use crate::adapter::{ConnectionStats, Error, end};
use crate::ws::{CloseCode, End, Outbound, Side, State};
use core::fmt;
use core::time::Duration;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

/// The longest wait of a condition variable: what is longer overflows on some platforms.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The writing half; clone it for as many threads as write.
///
/// A call waits while another one writes, and while the peer takes nothing: up to [`Options::write_timeout`].
///
/// [`Options::write_timeout`]: crate::adapter::Options::write_timeout
///
/// ```
/// use pushline::adapter::blocking::{Transport, Writer};
/// use pushline::ws::Prepared;
///
/// /// Those who cannot be written to any more are left out next time.
/// fn say<S: Transport>(room: &mut Vec<Writer<S>>, text: &str) {
///     let message = Prepared::text(text);
///     room.retain(|writer| writer.send(&message).is_ok());
/// }
/// ```
pub struct Writer<S> {
    pub(super) shared: Arc<Shared<S>>,
}

impl<S: Transport> Writer<S> {
    /// Sends a message, and writes.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// [`WebSocket::send`]: crate::adapter::blocking::WebSocket::send
    pub fn send<'a>(&self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.shared.send(message.into(), |sender, message| sender.send(message))
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`].
    ///
    /// [`Sender::send_plain`]: crate::ws::Sender::send_plain
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(&self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.shared.send(message.into(), |sender, message| sender.send_plain(message))
    }

    /// Queues a message without writing it, to send several in one write, with a [`flush`](Self::flush) behind them.
    /// Waits while the queue is full. Whatever is written next, by any thread, goes out behind it.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::blocking::{Transport, Writer};
    ///
    /// /// All lines in one write, if the transport takes so much.
    /// fn say<S: Transport>(writer: &Writer<S>, lines: &[&str]) -> Result<(), Error> {
    ///     for line in lines {
    ///         writer.feed(*line)?;
    ///     }
    ///     writer.flush()
    /// }
    /// # let _ = say::<std::net::TcpStream>;
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn feed<'a>(&self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.shared.feed(message.into())
    }

    /// Writes all that is queued, by whichever thread.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub fn flush(&self) -> Result<(), Error> {
        let mut outlet = lock(&self.shared.outlet);
        let flushed = self.shared.flush(&mut outlet);
        drop(outlet);
        self.shared.settle(None);
        flushed
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.shared.queue(|outlet| {
            outlet.sender.ping(payload)?;
            outlet.sent.pings_sent += 1;
            Ok(())
        })
    }

    /// Sends a close frame behind all that is queued, and waits until the connection is over: the reader, on its own
    /// thread, sees the peer's. Within the close timeout, after which the stream is shut down.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, [`Error::TimedOut`], [`Error::Io`]. How the peer ended
    /// the connection is the reader's to say.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        let code = code.into();
        end::check(code, reason)?;
        // Whoever is writing queues it, so that this does not wait for that one.
        self.shared.notes().owed.add_own_close(code, reason);
        loop {
            let flushed = self.shared.try_write(None);
            self.shared.settle(None);
            let mut notes = self.shared.notes();
            if let Some(error) = Shared::<S>::error_of_closing(&notes) {
                self.shared.over.notify_all();
                drop(notes);
                // This ends the reader's wait, too.
                let _ = lock(&self.shared.outlet).stream.get_mut().shutdown(Shutdown::Both);
                return Err(error);
            }
            if notes.life.end().is_some() {
                self.shared.over.notify_all();
                return Ok(());
            }
            let now = Instant::now();
            notes.life.tick(Side::Writing, now);
            if notes.life.end().is_some() {
                continue;
            }
            let left = notes.life.deadline(Side::Writing).map(|at| at.saturating_duration_since(now));
            let longest = if flushed { LONGEST_WAIT } else { AGAIN };
            let _ = self.shared.over.wait_timeout(notes, left.unwrap_or(Duration::MAX).min(longest));
        }
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.notes().life.state()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.shared.notes().life.end()
    }

    /// What the connection has carried, both halves together; of what the reader received, all until it waited last.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.shared.notes().tally.own
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        // Whoever holds it notes down what is left.
        let outlet = self.shared.outlet.try_lock().ok().map(|outlet| outlet.sender.queued());
        outlet.unwrap_or_else(|| self.shared.notes().life.queued())
    }
}

impl<S> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
