//! A WebSocket in two halves, for a thread that reads and threads that write.
//!
//! The reader owns its state machine and its handle of the stream. The sending half is shared by all writers, under a
//! lock that is held while one of them writes. The reader never waits for that lock: what it finds to be owed it notes
//! down, the latest ping only, and if nobody is writing just then it writes that itself; otherwise whoever is writing
//! does so before going.

use super::super::slot::{send_plain_slot, send_slot};
use super::super::{Error, TimedOut};
use super::inlet::{self, Read};
use super::shared::{Shared, lock};
use super::timed::Timed;
use super::times::Times;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::inbox::Inbox;
use crate::ws::{
    CloseCode, Event, Found, Message, Prepared, ProtocolError, Receiver, Reply, State, UsageError,
};
use bytes::BytesMut;
use core::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

impl<S: Transport> WebSocket<S> {
    /// Splits into a reader and a writer, after writing what is queued. `clone` gives a second handle of the same stream, as
    /// [`TcpStream::try_clone`] does; a stream that has none (most TLS streams) cannot be read and written by two
    /// threads at once.
    ///
    /// The stream has to be one that waits: over a non-blocking one the halves fail.
    ///
    /// The halves do not wait for each other: pings are answered, and the heartbeat and the close deadline kept, by
    /// whichever is free to do so, as long as the reader's [`next`](Reader::next) is being called.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] of `clone`, and as [`flush`](Self::flush). The connection is lost then.
    pub fn split_with(
        mut self,
        clone: impl FnOnce(&S) -> io::Result<S>,
    ) -> Result<(Reader<S>, Writer<S>), Error> {
        self.flush()?;
        let Self { core, inbox, .. } = self;
        let write = Timed::new(clone(core.stream.get_ref())?);
        let (receiver, sender) = core.connection.split();
        let shared = Arc::new(Shared::new(write, sender, core.times));
        let core = Core {
            stream: core.stream,
            receiver,
            times: core.times,
            shared: Arc::clone(&shared),
            error: None,
            over: core.over,
        };
        Ok((Reader { core, inbox }, Writer { shared }))
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a reader and a writer on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::blocking::WebSocket;
    /// use std::net::TcpStream;
    /// use std::sync::mpsc;
    /// use std::thread;
    ///
    /// fn chat(socket: WebSocket<TcpStream>, room: mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (mut reader, writer) = socket.split()?;
    ///     let writing = thread::spawn(move || {
    ///         for text in room {
    ///             writer.send(text)?;
    ///         }
    ///         writer.close(1000, "")
    ///     });
    ///     while let Some(message) = reader.next()? {
    ///         println!("{message:?}");
    ///     }
    ///     writing.join().expect("the thread does not panic")
    /// }
    /// ```
    pub fn split(self) -> Result<(Reader<TcpStream>, Writer<TcpStream>), Error> {
        self.split_with(TcpStream::try_clone)
    }
}

#[cfg(unix)]
impl WebSocket<UnixStream> {
    /// Splits into a reader and a writer on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    pub fn split(self) -> Result<(Reader<UnixStream>, Writer<UnixStream>), Error> {
        self.split_with(UnixStream::try_clone)
    }
}

/// The reading half of a split [`WebSocket`]. Dropping it ends the connection.
pub struct Reader<S: Transport> {
    core: Core<S>,
    inbox: Inbox<BytesMut>,
}

/// All but the inbox, so that an event lent from that does not stop the rest.
struct Core<S: Transport> {
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
    /// The next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Self { core, inbox } = self;
        let Some(found) = core.find(inbox, false)? else { return Ok(None) };
        match core.receiver.owned(found, inbox) {
            Ok(message) => {
                core.owe(message.reply());
                Ok(Some(message))
            }
            Err(error) => Err(core.fail(error)),
        }
    }

    /// The next event, lent; see [`WebSocket::next_event`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let Self { core, inbox } = self;
        let Some(found) = core.find(inbox, true)? else { return Ok(None) };
        match core.receiver.event(found, inbox) {
            Ok(event) => {
                core.owe(event.reply());
                Ok(Some(event))
            }
            Err(error) => Err(core.fail(error)),
        }
    }
}

impl<S: Transport> Core<S> {
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
                Ok(Read::PingDue) => self.shared.notes().owed.ping = true,
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
            self.shared.notes().owed.fail = Some(error.close_code());
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
        notes.owed.eof = true;
        drop(notes);
        self.shared.over.notify_all();
        self.settle();
    }
}

impl<S: Transport> Drop for Core<S> {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
        }
    }
}

/// The writing half of a split [`WebSocket`]; clone it for as many threads as write.
///
/// A call waits while another one writes, and while the peer takes nothing: up to [`Options::ping_interval`] and
/// [`Options::ping_timeout`] together.
///
/// [`Options::ping_interval`]: crate::adapter::Options::ping_interval
/// [`Options::ping_timeout`]: crate::adapter::Options::ping_timeout
pub struct Writer<S> {
    shared: Arc<Shared<S>>,
}

impl<S: Transport> Writer<S> {
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
        self.shared.send(|sender| sender.send_text(text))
    }

    /// Sends a binary message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_binary(&self, payload: &[u8]) -> Result<(), Error> {
        self.shared.send(|sender| sender.send_binary(payload))
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.shared.send(|sender| sender.send_prepared(prepared))
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
        self.shared.send(|sender| match sender.close(code, reason) {
            Err(UsageError::Closed) => Ok(()),
            done => done,
        })?;
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

impl<S: Transport> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.core.receiver).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
