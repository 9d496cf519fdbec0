//! The reading half.

use super::super::inlet::{self, Read};
use super::super::timed::Timed;
use super::super::times::Times;
use super::super::transport::Transport;
use super::shared::Shared;
#[cfg(doc)]
use crate::adapter::blocking::WebSocket;
use crate::adapter::{Error, TimedOut};
use crate::inbox::Inbox;
use crate::ws::{Event, Found, Message, ProtocolError, Receiver, Reply};
use bytes::BytesMut;
use core::fmt;
use std::net::Shutdown;
use std::sync::Arc;

/// The reading half of a split [`WebSocket`]. Dropping it ends the connection.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::blocking::{Reader, Transport};
/// use std::sync::mpsc::Sender;
///
/// fn listen<S: Transport>(mut reader: Reader<S>, texts: &Sender<String>) -> Result<(), Error> {
///     while let Some(message) = reader.next()? {
///         if let Some(text) = message.as_text() {
///             let _ = texts.send(text.to_owned());
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Reader<S: Transport> {
    driver: Driver<S>,
    inbox: Inbox<BytesMut>,
}

/// All but the inbox, so that an event lent from that does not stop the rest.
struct Driver<S: Transport> {
    stream: Timed<S>,
    receiver: Receiver,
    times: Times,
    shared: Arc<Shared<S>>,
    /// What went wrong with the transport, reported once all that was received is delivered.
    error: Option<Error>,
    /// The transport is done with.
    over: bool,
}

impl<S: Transport> Reader<S> {
    pub(super) const fn new(
        stream: Timed<S>,
        receiver: Receiver,
        inbox: Inbox<BytesMut>,
        times: Times,
        shared: Arc<Shared<S>>,
        over: bool,
    ) -> Self {
        Self { driver: Driver { stream, receiver, times, shared, error: None, over }, inbox }
    }

    /// The next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Self { driver, inbox } = self;
        let Some(found) = driver.find(inbox, false)? else { return Ok(None) };
        match driver.receiver.owned(found, inbox) {
            Ok(message) => {
                driver.owe(message.reply());
                Ok(Some(message))
            }
            Err(error) => Err(driver.fail(error)),
        }
    }

    /// The next event, lent; see [`WebSocket::next_event`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let Self { driver, inbox } = self;
        let Some(found) = driver.find(inbox, true)? else { return Ok(None) };
        match driver.receiver.event(found, inbox) {
            Ok(event) => {
                driver.owe(event.reply());
                Ok(Some(event))
            }
            Err(error) => Err(driver.fail(error)),
        }
    }
}

impl<S: Transport> Driver<S> {
    fn find(&mut self, inbox: &mut Inbox<BytesMut>, parts: bool) -> Result<Option<Found>, Error> {
        loop {
            match self.receiver.find(inbox, parts) {
                Ok(Some(found)) => {
                    if found.is_ping() {
                        // The pong of the ping before, if nobody is writing just now.
                        self.settle();
                    }
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
            if self.over {
                return self.error.take().map_or(Ok(None), Err);
            }
            // All that one read has caused leaves in one write.
            self.settle();
            if self.shared.notes().closing {
                self.times.start_closing();
            }
            if self.receiver.is_ended() {
                self.end()?;
                continue;
            }
            match inlet::read(&mut self.stream, inbox, &mut self.times) {
                Ok(Read::More) => {}
                Ok(Read::PingDue) => self.shared.notes().owed.add_ping(),
                Ok(Read::Eof) => self.hang_up(Error::Aborted),
                Err(error) => self.hang_up(error),
            }
        }
    }

    /// An event was lent: notes what is owed for it.
    fn owe(&mut self, reply: Option<Reply<'_>>) {
        if let Some(reply) = reply {
            self.shared.notes().owed.add(reply);
            if matches!(reply, Reply::Close(_)) {
                // Nothing comes after it to write together with.
                self.settle();
            }
        }
    }

    /// Writes what is owed, or leaves it to whoever is writing. If that fails, what the peer has sent, its close frame
    /// perhaps, can still be read.
    fn settle(&mut self) {
        if let Err(error) = self.shared.settle() {
            self.times.start_closing();
            if !self.receiver.is_ended() {
                self.error.get_or_insert(error);
            }
        }
    }

    /// The peer's fault: sees that the close frame that says so is written, closes, and is the error to report.
    #[cold]
    fn fail(&mut self, error: ProtocolError) -> Error {
        if !self.over {
            self.shared.notes().owed.add(Reply::Fail(error.close_code()));
            self.settle();
            // Whatever the transport says now comes too late to matter.
            let _ = self.end();
            self.error = None;
        }
        Error::Protocol(error)
    }

    /// After the peer's close or fault: drops what it still sends, within the close timeout.
    fn end(&mut self) -> Result<(), Error> {
        self.times.start_closing();
        if !self.stream.drain(self.times.close_deadline())? {
            // A writer may be waiting for a peer that takes nothing any more.
            let _ = self.stream.get_mut().shutdown(Shutdown::Both);
        }
        self.leave();
        Ok(())
    }

    /// The transport has ended, or is given up, before its time.
    fn hang_up(&mut self, error: Error) {
        let error =
            if self.shared.notes().close_timed_out { Error::TimedOut(TimedOut::Close) } else { error };
        self.error.get_or_insert(error);
        let _ = self.stream.get_mut().shutdown(Shutdown::Both);
        self.leave();
    }

    /// The reader has seen the end.
    fn leave(&mut self) {
        self.over = true;
        let mut notes = self.shared.notes();
        notes.over = true;
        notes.owed.add_eof();
        drop(notes);
        self.shared.over.notify_all();
        self.settle();
    }
}

impl<S: Transport> Drop for Driver<S> {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
        }
    }
}

impl<S: Transport> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.driver.receiver).finish_non_exhaustive()
    }
}
