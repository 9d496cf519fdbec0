//! A WebSocket over one stream.

use super::super::slot::{send_plain_slot, send_slot};
use super::super::{Error, Options};
use super::inlet::{self, Read};
use super::outlet::{self, is_not_ready};
use super::timed::Timed;
use super::times::Times;
use super::transport::Transport;
use crate::inbox::Inbox;
use crate::ws::{CloseCode, Connection, Event, Found, Message, Prepared, Sender, State, UsageError};
use bytes::BytesMut;
use core::fmt;
use std::net::Shutdown;
use std::string::String;

/// A WebSocket over a [`Transport`], after its opening handshake.
///
/// [`next`](Self::next) is what drives it: it answers pings and closes, keeps the heartbeat and the close deadline, and
/// writes what was queued before it waits. So keep calling it, also if only to send; to do both at once, on two
/// threads, [`split`](Self::split_with) it.
///
/// *One write per read*: what is sent while messages of one read are still at hand is queued, and leaves in one write
/// with all the rest before the next read. Otherwise a send writes at once. [`flush`](Self::flush) writes in any case.
///
/// *Times*: they are the stream's to keep, through its timeouts, so they are kept while a call waits and not between
/// calls. A ping is due after [`Options::ping_interval`] without a byte; [`Options::ping_timeout`] later the peer is
/// given up. It is also given up when it takes nothing of what is written for as long as both together. A close ends
/// within [`Options::close_timeout`]. A wait may be an eighth longer than asked for, so that a busy connection does not
/// have to set its timeouts again for each message.
///
/// *Streams that do not wait*: over a stream set to non-blocking, calls fail with [`Error::Io`] of
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock). Nothing is lost then: a message that was sent stays queued, and the
/// call, or [`flush`](Self::flush), is repeated when the stream is ready.
///
/// ```
/// use pushline::adapter::blocking::{Transport, WebSocket};
/// use pushline::adapter::{Error, Options};
/// use pushline::ws::{Config, Connection, Negotiated};
///
/// fn echo<S: Transport>(stream: S) -> Result<(), Error> {
///     let connection = Connection::server(Negotiated::default(), Config::new());
///     let mut socket = WebSocket::new(stream, connection, &[], &Options::new());
///     while let Some(message) = socket.next()? {
///         if message.is_data() {
///             socket.send(message)?;
///         }
///     }
///     Ok(())
/// }
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// # let server = std::thread::spawn(move || echo(listener.accept().unwrap().0));
/// # let connection = Connection::client(Negotiated::default(), Config::new(), || [1, 2, 3, 4]);
/// # let mut socket = WebSocket::new(stream, connection, &[], &Options::new());
/// # socket.send("Hello").unwrap();
/// # assert_eq!(socket.next().unwrap(), Some("Hello".into()));
/// # socket.close(1000, "").unwrap();
/// # server.join().unwrap().unwrap();
/// ```
pub struct WebSocket<S> {
    pub(super) core: Core<S>,
    pub(super) inbox: Inbox<BytesMut>,
    /// What the opening handshake selected.
    pub(super) subprotocol: Option<String>,
}

/// All but the inbox, so that an event lent from that does not stop the rest.
pub(super) struct Core<S> {
    pub(super) stream: Timed<S>,
    pub(super) connection: Connection,
    pub(super) times: Times,
    /// What went wrong with the transport, reported once all that was received is delivered.
    error: Option<Error>,
    /// Nothing can be written any more, but what the peer has sent can still be read.
    mute: bool,
    /// A pong is queued: it is written before the next ping takes its place.
    pong_queued: bool,
    /// The transport is done with.
    pub(super) over: bool,
}

impl<S> WebSocket<S> {
    /// A WebSocket over `stream`, on which the opening handshake was done, for example by an HTTP server. `received`
    /// are the bytes that were read behind the handshake.
    pub fn new(stream: S, connection: Connection, received: &[u8], options: &Options) -> Self {
        let mut inbox = Inbox::owning(options.read_size);
        let taken = inbox.extend(received);
        debug_assert_eq!(taken, received.len(), "this storage grows");
        Self::with_inbox(Timed::new(stream), connection, inbox, options)
    }

    pub(super) fn with_inbox(
        stream: Timed<S>,
        connection: Connection,
        inbox: Inbox<BytesMut>,
        options: &Options,
    ) -> Self {
        let core = Core {
            stream,
            connection,
            times: Times::new(options),
            error: None,
            mute: false,
            pong_queued: false,
            over: false,
        };
        Self { core, inbox, subprotocol: None }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &S {
        self.core.stream.get_ref()
    }

    /// The subprotocol that the server selected.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.core.connection.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.core.connection.queued()
    }
}

impl<S: Transport> WebSocket<S> {
    /// The next message, control messages included (they are answered already). `None` at the end: the closing
    /// handshake is done, all is written, and our direction of the transport is closed. The peer's close is answered
    /// before it is reported; the call after it waits, within the close timeout, for the peer to close the transport.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] once the close frame that answers the fault is written, [`Error::Aborted`] if the transport
    /// ended without a close frame, [`Error::TimedOut`] and [`Error::Io`]. What was received before is delivered
    /// before.
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        let Self { core, inbox, .. } = self;
        let Some(found) = core.find(inbox, false)? else { return Ok(None) };
        match core.connection.owned(found, inbox) {
            Ok(message) => {
                core.answered(matches!(message, Message::Ping(_)), matches!(message, Message::Close(_)));
                Ok(Some(message))
            }
            Err(error) => Err(core.fail(error.into())),
        }
    }

    /// As [`next`](Self::next), lent from the receive buffer: without an allocation, and in parts with
    /// [`Config::parts`](crate::ws::Config::parts).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let Self { core, inbox, .. } = self;
        let Some(found) = core.find(inbox, true)? else { return Ok(None) };
        match core.connection.event(found, inbox) {
            Ok(event) => {
                core.answered(matches!(event, Event::Ping(_)), matches!(event, Event::Close(_)));
                Ok(Some(event))
            }
            Err(error) => Err(core.fail(error.into())),
        }
    }

    /// Sends a message, of any kind. Writes before it if the queue is full, until there is room.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be sent, [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.queue(|sender| send_slot(sender, &mut message))
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`](crate::ws::Sender::send_plain).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.queue(|sender| send_plain_slot(sender, &mut message))
    }

    /// Sends a text message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.queue(|sender| sender.send_text(text))
    }

    /// Sends a binary message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.send_binary(payload))
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue(|sender| sender.send_prepared(prepared))
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue(|sender| sender.ping(payload))
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.core.flush()?;
        self.core.error.take().map_or(Ok(()), Err)
    }

    /// Does the whole closing handshake, within the close timeout: sends a close frame behind all that is queued, waits
    /// for the peer's, and closes the transport. Messages that still arrive are dropped; to have them, send
    /// [`Message::Close`] and go on with [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, and as [`next`](Self::next). If the connection is
    /// closing already, this waits for the end of that.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        match self.core.connection.close(code, reason) {
            Ok(()) | Err(UsageError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        while self.next_event()?.is_some() {}
        Ok(())
    }

    /// Queues, and writes unless more messages of the same read are at hand: then [`next`](Self::next) will.
    fn queue(&mut self, queue: impl FnMut(&mut Sender) -> Result<(), UsageError>) -> Result<(), Error> {
        let Core { stream, connection, times, .. } = &mut self.core;
        match outlet::queue(stream, connection.sender_mut(), times, queue) {
            Ok(()) => {}
            Err(error @ Error::Usage(_)) => return Err(error),
            Err(error) if is_not_ready(&error) => return Err(error),
            Err(error) => self.core.lose(error),
        }
        // What the parser has looked at in vain holds no message.
        let corked = !self.inbox.unread().is_empty() && self.inbox.needed() == 0;
        if corked && !self.core.mute { Ok(()) } else { self.flush() }
    }
}

impl<S: Transport> Core<S> {
    /// The next event: from what is at hand, or after writing, waiting and reading.
    fn find(&mut self, inbox: &mut Inbox<BytesMut>, parts: bool) -> Result<Option<Found>, Error> {
        loop {
            match self.connection.find(inbox, parts) {
                Ok(Some(found)) => {
                    if self.pong_queued && found.is_ping() {
                        // A stream that is not ready, or broken, is the next read's matter: the latest ping wins.
                        let _ = self.flush();
                    }
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(error.into())),
            }
            if self.over {
                return self.outcome().map(|()| None);
            }
            // All that one read has caused leaves in one write.
            self.flush()?;
            if self.connection.is_finished() && !self.mute {
                return self.end().map(|()| None);
            }
            if self.connection.state() != State::Open {
                self.times.start_closing();
            }
            if !self.read(inbox)? {
                self.connection.receive_eof();
                return self.hang_up().map(|()| None);
            }
        }
    }

    /// Reads once. Whether there is more to be expected of the transport.
    fn read(&mut self, inbox: &mut Inbox<BytesMut>) -> Result<bool, Error> {
        match inlet::read(&mut self.stream, inbox, &mut self.times) {
            Ok(Read::More) => Ok(true),
            Ok(Read::PingDue) => {
                // Refused if the queue is full: then the peer, if it lives, has enough to read.
                let _ = self.connection.ping(&[]);
                Ok(true)
            }
            Ok(Read::Eof) => Ok(false),
            Err(error) if is_not_ready(&error) => Err(error),
            Err(error) => {
                self.keep(error);
                Ok(false)
            }
        }
    }

    /// An event was lent, and what is owed for it is queued.
    fn answered(&mut self, ping: bool, close: bool) {
        self.pong_queued |= ping;
        if close {
            // Nothing comes after it to write together with. Errors: the next call says.
            let _ = self.flush();
        }
    }

    /// Writes what is queued. What goes wrong is kept for later, but for a stream that is not ready.
    fn flush(&mut self) -> Result<(), Error> {
        match outlet::flush(&mut self.stream, self.connection.sender_mut(), &mut self.times) {
            Ok(()) => self.pong_queued = false,
            Err(error) if is_not_ready(&error) => return Err(error),
            Err(error) => self.lose(error),
        }
        Ok(())
    }

    /// The transport takes nothing more. What the peer has sent, its close frame perhaps, can still be read.
    fn lose(&mut self, error: Error) {
        self.keep(error);
        self.mute = true;
        self.times.start_closing();
        outlet::give_up(self.connection.sender_mut());
    }

    /// Keeps an error for [`outcome`](Self::outcome), unless it comes too late to matter.
    fn keep(&mut self, error: Error) {
        if matches!(self.connection.state(), State::Open | State::CloseSent) {
            self.error.get_or_insert(error);
        }
    }

    /// The peer's fault: writes the close frame that says so, closes, and is the error to report.
    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        if !self.over {
            self.times.start_closing();
            // Whatever the transport says now comes too late to matter.
            let _ = self.flush();
            let _ = self.end();
        }
        error
    }

    /// Closes our direction and waits for the peer's end, within the close timeout.
    fn end(&mut self) -> Result<(), Error> {
        self.times.start_closing();
        self.stream.finish(self.times.close_deadline())?;
        self.over = true;
        self.outcome()
    }

    /// The peer's direction has ended: closes ours.
    fn hang_up(&mut self) -> Result<(), Error> {
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
        self.over = true;
        self.outcome()
    }

    /// How it ended, once it has.
    fn outcome(&mut self) -> Result<(), Error> {
        match self.error.take() {
            Some(error) => Err(error),
            None if self.connection.state() == State::Aborted => Err(Error::Aborted),
            None => Ok(()),
        }
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.core.connection).finish_non_exhaustive()
    }
}
