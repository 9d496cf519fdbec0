//! A WebSocket over one stream.

use super::super::send::{self, send_plain_slot, send_slot};
use super::super::{Error, Options};
use super::driver::Driver;
use super::outlet::{self, is_not_ready};
use super::timed::Timed;
use super::transport::Transport;
use crate::inbox::Inbox;
use crate::ws::mask::OsKeys;
use crate::ws::{CloseCode, Connection, Event, Message, Negotiated, Prepared, Sender, State, UsageError};
use bytes::BytesMut;
use core::fmt;

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
    pub(super) driver: Driver<S>,
    pub(super) inbox: Inbox<BytesMut>,
}

impl<S> WebSocket<S> {
    /// A server's WebSocket over a stream that an HTTP server has upgraded: `negotiated` is what
    /// [`Accepted::negotiated`](crate::ws::handshake::Accepted::negotiated) gave.
    pub fn server(stream: S, negotiated: Negotiated, options: &Options) -> Self {
        Self::new(stream, Connection::server(negotiated, options.config), &[], options)
    }

    /// A client's WebSocket over a stream that an HTTP client has upgraded: `negotiated` is what
    /// [`verify`](crate::ws::handshake::verify) gave.
    pub fn client(stream: S, negotiated: Negotiated, options: &Options) -> Self {
        Self::new(stream, Connection::client(negotiated, options.config, OsKeys), &[], options)
    }

    /// A WebSocket over `stream`, on which the opening handshake was done. `received` are the bytes that were read
    /// behind the handshake.
    ///
    /// The connection keeps the [`Config`](crate::ws::Config) that it was made with: of the options, only the times
    /// and the read size count.
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
        Self { driver: Driver::new(stream, connection, options), inbox }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &S {
        self.driver.stream.get_ref()
    }

    /// The subprotocol that the server selected.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.driver.connection.subprotocol()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.driver.connection.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.driver.connection.queued()
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
        let Self { driver, inbox, .. } = self;
        let Some(found) = driver.find(inbox, false)? else { return Ok(None) };
        match driver.connection.owned(found, inbox) {
            Ok(message) => {
                driver.answered(matches!(message, Message::Ping(_)), matches!(message, Message::Close(_)));
                Ok(Some(message))
            }
            Err(error) => Err(driver.fail(error.into())),
        }
    }

    /// As [`next`](Self::next), lent from the receive buffer: without an allocation, and in parts with
    /// [`Config::parts`](crate::ws::Config::parts).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let Self { driver, inbox, .. } = self;
        let Some(found) = driver.find(inbox, true)? else { return Ok(None) };
        match driver.connection.event(found, inbox) {
            Ok(event) => {
                driver.answered(matches!(event, Event::Ping(_)), matches!(event, Event::Close(_)));
                Ok(Some(event))
            }
            Err(error) => Err(driver.fail(error.into())),
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
        self.driver.flush()?;
        self.driver.error.take().map_or(Ok(()), Err)
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
        send::close(self.driver.connection.sender_mut(), code, reason)?;
        while self.next_event()?.is_some() {}
        Ok(())
    }

    /// Queues, and writes unless more messages of the same read are at hand: then [`next`](Self::next) will.
    fn queue(&mut self, queue: impl FnMut(&mut Sender) -> Result<(), UsageError>) -> Result<(), Error> {
        let Driver { stream, connection, times, .. } = &mut self.driver;
        match outlet::queue(stream, connection.sender_mut(), times, queue) {
            Ok(()) => {}
            Err(error @ Error::Usage(_)) => return Err(error),
            Err(error) if is_not_ready(&error) => return Err(error),
            Err(error) => self.driver.lose(error),
        }
        // What the parser has looked at in vain holds no message.
        let corked = !self.inbox.unread().is_empty() && self.inbox.needed() == 0;
        if corked && !self.driver.mute { Ok(()) } else { self.flush() }
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.driver.connection).finish_non_exhaustive()
    }
}
