//! A WebSocket over one stream.

use super::super::ahead::{self, Ahead};
use super::super::stats::Tally;
use super::super::{ConnectionStats, Error, Options, end};
use super::driver::{Driver, Progress, Sought, is_late, not_ready};
use super::outlet::Outlet;
use super::timed::Timed;
use super::transport::Transport;
use crate::heartbeat::Instant as _;
use crate::inbox::Inbox;
use crate::ws::mask::OsKeys;
use crate::ws::{
    CloseCode, Connection, End, Event, Found, Life, Message, Negotiated, Outbound, ProtocolError, Receiver,
    Sender, Side, State, Step, UsageError,
};
use core::fmt;
use core::task::Poll;
use core::time::Duration;
use std::boxed::Box;
use std::io::ErrorKind;
use std::time::Instant;

/// A WebSocket over a [`Transport`], after its opening handshake.
///
/// [`next`](Self::next) receives, and while it waits it does all that is due: it answers pings and closes, keeps the
/// heartbeat and the deadlines, and writes what was queued. A [`send`](Self::send) to a peer that takes nothing does so,
/// too: it goes on reading, up to one message of [`ConnectionOptions::max_message`](crate::ws::ConnectionOptions::max_message) bytes (64 KiB
/// in parts), and ends after [`Options::write_timeout`]. To do both at once, on two threads,
/// [`split`](Self::split_with) it.
///
/// *One write per read*: what is sent while messages of one read are still at hand is queued, and leaves in one write
/// with all the rest before the next read. Otherwise a send writes. [`flush`](Self::flush) writes in any case.
///
/// *Times* are the stream's to keep, through its timeouts, so they are kept while a call waits and not between calls. A
/// wait may be an eighth longer than asked for, so that a busy connection does not have to set its timeouts again for
/// each message.
///
/// *Streams that do not wait*: over a stream set to non-blocking, calls fail with [`Error::Io`] of
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock): then the call has done nothing, and is repeated when the stream is
/// ready. A message that was taken is not such a case: what the stream does not take of it is written by the calls that
/// follow, or by [`flush`](Self::flush).
///
/// ```
/// use pushline::adapter::blocking::{Transport, WebSocket};
/// use pushline::adapter::{Error, Options};
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
///
/// fn echo<S: Transport>(stream: S) -> Result<(), Error> {
///     let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
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
/// # let connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || [1, 2, 3, 4]);
/// # let mut socket = WebSocket::new(stream, connection, &[], &Options::new());
/// # socket.send("Hello").unwrap();
/// # assert_eq!(socket.next().unwrap(), Some("Hello".into()));
/// # socket.close(1000, "").unwrap();
/// # server.join().unwrap().unwrap();
/// ```
pub struct WebSocket<S> {
    pub(super) receiver: Receiver,
    pub(super) inbox: Inbox,
    /// What was read while a send waited.
    pub(super) ahead: Ahead,
    pub(super) driver: Driver<S>,
    /// What the opening handshake selected.
    pub(super) subprotocol: Option<Box<str>>,
}

impl<S> WebSocket<S> {
    /// A server's WebSocket over a stream that an HTTP server has upgraded: `negotiated` is what
    /// [`Accepted::negotiated`](crate::ws::handshake::Accepted::negotiated) gave.
    pub fn server(stream: S, mut negotiated: Negotiated, options: &Options) -> Self {
        let subprotocol = negotiated.take_subprotocol();
        let connection = Connection::server(negotiated, options.config);
        Self::with_inbox(
            Timed::new(stream),
            connection,
            subprotocol,
            Inbox::with_read_size(options.own_read_size()),
            options,
        )
    }

    /// A client's WebSocket over a stream that an HTTP client has upgraded: `negotiated` is what
    /// [`verify`](crate::ws::handshake::verify) gave.
    pub fn client(stream: S, mut negotiated: Negotiated, options: &Options) -> Self {
        let subprotocol = negotiated.take_subprotocol();
        let connection = Connection::client(negotiated, options.config, OsKeys);
        Self::with_inbox(
            Timed::new(stream),
            connection,
            subprotocol,
            Inbox::with_read_size(options.own_read_size()),
            options,
        )
    }

    /// A WebSocket over `stream`, on which the opening handshake was done. `received` are the bytes that were read
    /// behind the handshake.
    ///
    /// The connection keeps the [`ConnectionOptions`](crate::ws::ConnectionOptions) that it was made with: of the options, only the times
    /// and the read size count.
    pub fn new(stream: S, connection: Connection, received: &[u8], options: &Options) -> Self {
        let mut inbox = Inbox::with_read_size(options.own_read_size());
        let taken = inbox.extend(received);
        debug_assert_eq!(taken, received.len(), "this storage grows");
        Self::with_inbox(Timed::new(stream), connection, None, inbox, options)
    }

    pub(super) fn with_inbox(
        stream: Timed<S>,
        connection: Connection,
        subprotocol: Option<Box<str>>,
        inbox: Inbox,
        options: &Options,
    ) -> Self {
        let (receiver, sender) = connection.split();
        let life = Life::new(options.times, sender.role(), Instant::now());
        let driver = Driver {
            outlet: Outlet::new(stream, sender),
            life,
            tally: Tally::new(options.stats.as_ref(), inbox.unread().len()),
            failure: None,
            pong_first: false,
            over: false,
        };
        Self { receiver, inbox, ahead: Ahead::default(), driver, subprotocol }
    }

    /// The transport.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        self.driver.outlet.stream.get_ref()
    }

    /// The transport. What is read or written past the WebSocket is lost to it, or breaks it.
    pub const fn get_mut(&mut self) -> &mut S {
        self.driver.outlet.stream.get_mut()
    }

    /// The transport back. What was received and not yet delivered, and what was sent and not yet
    /// [flushed](Self::flush), is lost.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.driver.outlet.stream.into_inner()
    }

    /// The subprotocol that the server selected.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.driver.outlet.sender.state()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.driver.life.end()
    }

    /// What the connection has carried.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.driver.tally.own
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.driver.outlet.sender.queued()
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
    /// before; after an error comes `None`.
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        Ok(match self.next_by(None)? {
            Poll::Ready(message) => message,
            Poll::Pending => None, // not without a time
        })
    }

    /// As [`next`](Self::next), but waits for no longer than `timeout`: [`Poll::Pending`] says that no message is whole by
    /// then. Nothing is lost by that; the next call goes on where this one stopped. For a thread that has other things to do
    /// as well.
    ///
    /// With a timeout of zero it takes what is there, and waits for no more than a millisecond. A write that the peer does
    /// not take may make the wait a quarter of a second longer. A stream that keeps no times
    /// ([`Untimed`](super::Untimed)) waits as it does; one that is set to non-blocking does not wait, and is
    /// [`Poll::Pending`] at once.
    ///
    /// The heartbeat and the deadlines are kept while this waits, so call it again soon: see [`WebSocket`].
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::blocking::{Transport, WebSocket};
    /// use std::sync::mpsc::Receiver;
    /// use std::task::Poll;
    /// use std::time::Duration;
    ///
    /// /// Prints what comes, and sends what another thread has to say.
    /// fn talk<S: Transport>(mut socket: WebSocket<S>, orders: Receiver<String>) -> Result<(), Error> {
    ///     loop {
    ///         match socket.next_timeout(Duration::from_millis(100))? {
    ///             Poll::Ready(Some(message)) => println!("{message:?}"),
    ///             Poll::Ready(None) => return Ok(()),
    ///             Poll::Pending => {}
    ///         }
    ///         for order in orders.try_iter() {
    ///             socket.send(order)?;
    ///         }
    ///     }
    /// }
    /// # let _ = talk::<std::net::TcpStream>;
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Poll<Option<Message>>, Error> {
        match self.next_by(Some(Instant::now().saturating_add(timeout))) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(Poll::Pending),
            done => done,
        }
    }

    /// As [`next`](Self::next), lent from the receive buffer: without an allocation, and in parts with
    /// [`ConnectionOptions::parts`](crate::ws::ConnectionOptions::parts).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        if self.ahead.lend() {
            let Some(message) = self.ahead.lent() else { return Ok(None) };
            self.driver.answer_close(message);
            return Ok(Some(message.as_event()));
        }
        let Sought::Found(found) = self.seek(None, Receiver::find, Found::is_ping)? else { return Ok(None) };
        let Self { receiver, inbox, driver, .. } = self;
        let error = match receiver.event(found, inbox) {
            Ok(event) => {
                driver.tally.count_event(&event);
                driver.answer(event.reply());
                return Ok(Some(event));
            }
            Err(error) => error,
        };
        driver.fault(error);
        // Nothing is kept of what still comes.
        while let Progress::Received = driver.wait(&mut Inbox::with_read_size(1), None)? {}
        Ok(None)
    }

    /// Sends a message: borrowed text or bytes, a [`Message`], a [`Prepared`](crate::ws::Prepared) one. Waits until it
    /// is written, or with more messages of the same read at hand, until there is room for it in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be sent, [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`]. After
    /// either of these every further send fails as well.
    pub fn send<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.queue(message.into(), Sender::send)
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.queue(message.into(), Sender::send_plain)
    }

    /// Queues a message without writing it, to send several in one write, with a [`flush`](Self::flush) behind them.
    /// Waits while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn feed<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        let message = message.into();
        self.wait_until(|sender| sender.has_room(&message))?;
        self.driver.queue(message, Sender::send)
    }

    /// Sends a ping of at most 125 bytes, ahead of all messages that have not begun. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.driver.ping(payload)?;
        self.flush_taken()
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.wait_until(|_| false)
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
        end::close(&mut self.driver.outlet.sender, code, reason)?;
        while self.next_event()?.is_some() {}
        self.driver.refusal().map_or(Ok(()), Err)
    }

    fn next_by(&mut self, until: Option<Instant>) -> Result<Poll<Option<Message>>, Error> {
        if let Some(message) = self.ahead.take() {
            self.driver.answer_close(&message);
            return Ok(Poll::Ready(Some(message)));
        }
        Ok(match self.seek(until, Receiver::next_owned, |message| matches!(message, Message::Ping(_)))? {
            Sought::Found(message) => {
                self.driver.tally.count(&message);
                self.driver.answer(message.reply());
                Poll::Ready(Some(message))
            }
            Sought::Late => Poll::Pending,
            Sought::Over => Poll::Ready(None),
        })
    }

    /// The next event: from what is at hand, or after writing, waiting and reading.
    fn seek<T>(
        &mut self,
        until: Option<Instant>,
        next: impl Fn(&mut Receiver, &mut Inbox) -> Result<Option<T>, ProtocolError>,
        is_ping: impl Fn(&T) -> bool,
    ) -> Result<Sought<T>, Error> {
        let mut has_waited = false;
        loop {
            if !self.receiver.is_ended() {
                match next(&mut self.receiver, &mut self.inbox) {
                    Ok(Some(found)) => {
                        let pong_first = core::mem::take(&mut self.driver.pong_first);
                        if pong_first && is_ping(&found) && !self.driver.waits_in_vain() {
                            self.driver.write();
                        }
                        return Ok(Sought::Found(found));
                    }
                    Ok(None) => {}
                    Err(error) => self.driver.fault(error),
                }
            }
            if core::mem::replace(&mut has_waited, true) && is_late(until) {
                return Ok(Sought::Late);
            }
            match self.driver.wait(&mut self.inbox, until)? {
                Progress::Received => {}
                Progress::Late => return Ok(Sought::Late),
                Progress::Over => return Ok(Sought::Over),
            }
        }
    }

    fn queue<'a>(
        &mut self,
        message: Outbound<'a>,
        queue: impl FnOnce(&mut Sender, Outbound<'a>) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        let corked = self.receiver.has_frame(&self.inbox);
        self.wait_until(|sender| sender.has_room(&message))?;
        self.driver.queue(message, queue)?;
        if corked { Ok(()) } else { self.flush_taken() }
    }

    /// Writes what was taken. A stream that does not wait is no error any more.
    fn flush_taken(&mut self) -> Result<(), Error> {
        match self.flush() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    /// Writes, and reads ahead, until all is written, or the sender is as it should be, or nothing can be sent any more.
    fn wait_until(&mut self, is_ready: impl Fn(&Sender) -> bool) -> Result<(), Error> {
        let Self { receiver, inbox, ahead, driver, .. } = self;
        driver.life.ready();
        loop {
            if let Some(error) = driver.refusal() {
                if driver.life.end().is_some() {
                    driver.outlet.give_up();
                }
                return Err(error);
            }
            if driver.outlet.is_flushed() || is_ready(&driver.outlet.sender) {
                return Ok(());
            }
            // Whoever does not read does not judge whether a pong is late.
            let has_room = ahead.size() + inbox.held() < ahead::limit(receiver);
            let side = if has_room { Side::Reading } else { Side::Writing };
            match driver.run(side, None) {
                _ if driver.outlet.is_flushed() => {}
                Step::Read => {
                    // A close frame may be among what is at hand: known before the end of the stream is.
                    driver.parse_ahead(receiver, inbox, ahead);
                    let wait = driver.outlet.pace();
                    driver.read(inbox, Some(wait));
                    driver.parse_ahead(receiver, inbox, ahead);
                }
                Step::Drain => driver.drain(None),
                Step::Wait(_) if driver.outlet.stream.is_nonblocking() => return Err(not_ready()),
                Step::Wait(_) => driver.life.ready(),
                Step::Over(end) => {
                    let error = end::error(end, driver.failure.as_ref()).or_else(|| driver.refusal());
                    return error.map_or(Ok(()), Err);
                }
                // `run` does the others.
                _ => {}
            }
        }
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("sender", &self.driver.outlet.sender).finish_non_exhaustive()
    }
}
