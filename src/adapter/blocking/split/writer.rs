//! The writing half.

use super::super::transport::Transport;
use super::shared::{Shared, lock};
#[cfg(doc)]
use crate::adapter::blocking::{Reader, WebSocket};
use crate::adapter::send::{self, send_plain_slot, send_slot};
use crate::adapter::{Error, TimedOut};
#[cfg(doc)]
use crate::ws::UsageError;
use crate::ws::{CloseCode, Message, Prepared, State};
use core::fmt;
use std::net::Shutdown;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// The writing half of a split [`WebSocket`]; clone it for as many threads as write.
///
/// A call waits while another one writes, and while the peer takes nothing: up to [`Options::ping_interval`] and
/// [`Options::ping_timeout`] together.
///
/// [`Options::ping_interval`]: crate::adapter::Options::ping_interval
/// [`Options::ping_timeout`]: crate::adapter::Options::ping_timeout
///
/// ```
/// use pushline::adapter::blocking::{Transport, Writer};
/// use pushline::ws::Prepared;
///
/// /// Those who cannot be written to any more are left out next time.
/// fn say<S: Transport>(room: &mut Vec<Writer<S>>, text: &str) {
///     let message = Prepared::text(text);
///     room.retain(|writer| writer.send_prepared(&message).is_ok());
/// }
/// ```
pub struct Writer<S> {
    shared: Arc<Shared<S>>,
}

impl<S: Transport> Writer<S> {
    pub(super) const fn new(shared: Arc<Shared<S>>) -> Self {
        Self { shared }
    }

    /// Sends a message, of any kind, and writes.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`]; [`UsageError::Closed`] also once the reader has seen the end.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.shared.send(|sender| send_slot(sender, &mut message))
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`](crate::ws::Sender::send_plain).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain(&self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.shared.send(|sender| send_plain_slot(sender, &mut message))
    }

    /// Sends a text message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.shared.send(|sender| sender.send(text))
    }

    /// Sends a binary message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_binary(&self, payload: &[u8]) -> Result<(), Error> {
        self.shared.send(|sender| sender.send(payload))
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.shared.send(|sender| sender.send(prepared))
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.shared.send(|sender| sender.ping(payload))
    }

    /// Sends a close frame behind all that is queued, and waits until the reader, on its own thread, has seen the end
    /// of the connection; for the close timeout, after which the stream is shut down.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, [`Error::Io`], [`Error::TimedOut`]. How the peer
    /// ended the connection is the reader's to say.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        let code = code.into();
        self.shared.send(|sender| send::close(sender, code, reason))?;
        let deadline = lock(&self.shared.outlet).times.close_deadline();
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.shared.over.wait_timeout_while(self.shared.notes(), left, |notes| !notes.over);
        let (mut notes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if notes.over {
            return Ok(());
        }
        notes.close_timed_out = true;
        drop(notes);
        // This ends the reader's wait, too.
        let _ = lock(&self.shared.outlet).stream.get_mut().shutdown(Shutdown::Both);
        Err(Error::TimedOut(TimedOut::Close))
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.shared.outlet).sender.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared.outlet).sender.queued()
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
