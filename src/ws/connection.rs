//! A connection: receiver and sender joined, with the replies that RFC 6455 asks for.

use super::close::CloseCode;
use super::config::{ConnectionOptions, Role};
use super::error::{ProtocolError, UsageError};
use super::header::Opcode;
use super::mask::MaskSource;
use super::message::{Event, Message, Reply};
use super::negotiated::Negotiated;
use super::outbound::Outbound;
use super::receiver::{Found, Receiver};
use super::sender::Sender;
use super::state::State;
use crate::inbox::{Inbox, Storage};
use crate::outgoing::Outgoing;
use alloc::boxed::Box;

/// A WebSocket connection after its opening handshake: bytes in, events out; messages in, bytes out.
///
/// Its methods are of four kinds. *Getters* tell how it stands ([`state`](Self::state),
/// [`is_finished`](Self::is_finished), [`queued`](Self::queued)). *Input* is what the transport gave:
/// [`next_event`](Self::next_event) with the inbox it was read into, [`receive_eof`](Self::receive_eof).
/// *Commands* are what the application wants: [`send`](Self::send), [`ping`](Self::ping),
/// [`close`](Self::close). *Output* is [`outgoing`](Self::outgoing), to be written whenever it is
/// not empty.
///
/// It reads no clock: see [`heartbeat`](crate::heartbeat). It holds no receive buffer, and no send
/// buffer while nothing is queued ([`Outgoing::release`]).
///
/// ```
/// use bytes::Buf;
/// use pushline::Inbox;
/// use pushline::ws::{ConnectionOptions, Connection, Event, Negotiated};
///
/// fn echo(socket: &mut (impl std::io::Read + std::io::Write), mut inbox: Inbox) -> std::io::Result<()> {
///     let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
///     while !connection.is_finished() {
///         let n = socket.read(inbox.space())?;
///         inbox.filled(n);
///         if n == 0 {
///             connection.receive_eof();
///         }
///         // An error has queued its close frame; it ends the loop once that is written.
///         while let Ok(Some(event)) = connection.next_event(&mut inbox) {
///             let _ = match event {
///                 Event::Text(text) => connection.send(text),
///                 Event::Binary(payload) => connection.send(payload),
///                 _ => Ok(()), // pings and closes are answered already
///             };
///         }
///         // One write for all that one read has caused.
///         while connection.outgoing().has_remaining() {
///             let n = socket.write(connection.outgoing().chunk())?;
///             connection.outgoing().advance(n);
///         }
///     }
///     Ok(())
/// }
/// # let mut socket = std::io::Cursor::new(vec![0x88, 0x80, 0, 0, 0, 0]);
/// # echo(&mut socket, Inbox::new())?;
/// # assert_eq!(socket.into_inner()[6..], [0x88, 0x00]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    receiver: Receiver,
    sender: Sender,
}

impl Connection {
    /// The server's end of a connection, with what the handshake has negotiated.
    #[must_use]
    pub fn server(negotiated: Negotiated, config: ConnectionOptions) -> Self {
        Self {
            receiver: Receiver::new(Role::Server, &negotiated, &config),
            sender: Sender::new(&negotiated, &config, None),
        }
    }

    /// As [`server`](Self::server), with the head of the response still to be written, before all frames.
    pub(super) fn server_after(response: &[u8], negotiated: Negotiated, config: ConnectionOptions) -> Self {
        let mut connection = Self::server(negotiated, config);
        connection.outgoing().push_first(response);
        connection
    }

    /// The client's end of a connection. Each frame it sends is masked with a fresh key of `keys`,
    /// which must be unpredictable: with the feature `std`, `OsKeys`.
    #[must_use]
    pub fn client(
        negotiated: Negotiated,
        config: ConnectionOptions,
        keys: impl MaskSource + 'static,
    ) -> Self {
        Self {
            receiver: Receiver::new(Role::Client, &negotiated, &config),
            sender: Sender::new(&negotiated, &config, Some(Box::new(keys))),
        }
    }

    /// The next event, `None` when all that was received is consumed: write what is
    /// [`outgoing`](Self::outgoing), then read more.
    ///
    /// A ping or a close has been answered when it is reported. After a close frame there are no
    /// more events, and what is received is dropped (RFC 6455 5.5.1).
    ///
    /// # Errors
    ///
    /// [`ProtocolError`]: what the peer did wrong. The close frame that says so is queued; every
    /// further call returns the same error. What came before the fault was delivered before.
    #[inline]
    pub fn next_event<'b, S: Storage>(
        &mut self,
        inbox: &'b mut Inbox<S>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.find(inbox)? {
            Some(found) => self.event(found, inbox).map(Some),
            None => Ok(None),
        }
    }

    /// As [`next_event`](Self::next_event), owned: see [`Receiver::next_owned`].
    ///
    /// # Errors
    ///
    /// As [`next_event`](Self::next_event).
    #[inline]
    pub fn next_owned<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Message>, ProtocolError> {
        let message = self.receiver.next_owned(inbox).map_err(|error| self.fail(error))?;
        if let Some(reply) = message.as_ref().and_then(Message::reply) {
            self.sender.reply(reply);
        }
        Ok(message)
    }

    /// Finds the next event; for callers that go on between finding it and borrowing it.
    #[inline(always)]
    pub(crate) fn find<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Found>, ProtocolError> {
        self.receiver.find(inbox).map_err(|error| self.fail(error))
    }

    /// Cuts what was found out of the inbox, and does what is owed for it.
    #[inline(always)]
    pub(crate) fn event<'b, S: Storage>(
        &mut self,
        found: Found,
        inbox: &'b Inbox<S>,
    ) -> Result<Event<'b>, ProtocolError> {
        let event = self.receiver.event(found, inbox).map_err(|error| self.fail(error))?;
        if let Some(reply) = event.reply() {
            self.sender.reply(reply);
        }
        Ok(event)
    }

    /// The transport will give no more bytes. Call [`next_event`](Self::next_event) first for what
    /// was received.
    ///
    /// Without the peer's close frame this is an abnormal end: [`State::Aborted`], code 1006.
    pub fn receive_eof(&mut self) {
        self.sender.receive_eof();
    }

    /// Whether there is room for `message`; see [`Sender::has_room`].
    #[must_use]
    pub fn has_room(&self, message: &Outbound<'_>) -> bool {
        self.sender.has_room(message)
    }

    /// Queues a message: anything that [`Outbound`] is made from. See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// [`UsageError::Full`], [`UsageError::Closed`], [`UsageError::MessageInProgress`]; for a control message as the
    /// method of its kind. Nothing has changed then.
    #[inline]
    pub fn send<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), UsageError> {
        self.sender.send(message)
    }

    /// As [`send`](Self::send), and written at once if nothing is queued: `write` is given a frame in up to two pieces, and says how
    /// many bytes the transport has taken. See [`Sender::send_through`].
    ///
    /// ```
    /// use pushline::ws::{Connection, ConnectionOptions, Negotiated};
    /// use std::io::{IoSlice, Write};
    ///
    /// /// Without a copy, whatever the transport takes at once.
    /// fn send(connection: &mut Connection, transport: &mut impl Write, message: &[u8]) -> std::io::Result<()> {
    ///     let mut failed = Ok(());
    ///     let sent = connection.send_through(message, 4096, |header, payload| {
    ///         let written = transport.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]);
    ///         written.unwrap_or_else(|error| {
    ///             failed = Err(error);
    ///             0
    ///         })
    ///     });
    ///     sent.map_err(std::io::Error::other)?;
    ///     failed // if it is `WouldBlock`, write what is `outgoing` later
    /// }
    /// # let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
    /// # let mut transport = Vec::new();
    /// # send(&mut connection, &mut transport, b"hello")?;
    /// # assert_eq!(transport, b"\x82\x05hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); `write` was not called then.
    #[inline]
    pub fn send_through<'a>(
        &mut self,
        message: impl Into<Outbound<'a>>,
        pieces_from: usize,
        write: impl FnMut(&[u8], &[u8]) -> usize,
    ) -> Result<(), UsageError> {
        self.sender.send_through(message, pieces_from, write)
    }

    /// As [`send`](Self::send), never compressed; see [`Sender::send_plain`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), UsageError> {
        self.sender.send_plain(message)
    }

    /// Queues one fragment of a message; see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send_fragment`].
    pub fn send_fragment(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<(), UsageError> {
        self.sender.send_fragment(opcode, fin, payload)
    }

    /// Queues a ping; see [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::Full`], [`UsageError::Closed`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.sender.ping(payload)
    }

    /// Queues a pong; see [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::Closed`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.sender.pong(payload)
    }

    /// Begins (or, without [`ConnectionOptions::auto_close`], answers) the closing handshake: the close frame
    /// goes behind all that is queued. See [`Sender::close`].
    ///
    /// # Errors
    ///
    /// [`UsageError::InvalidCloseCode`], [`UsageError::ReasonTooLong`], [`UsageError::Closed`].
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        self.sender.close(code, reason)
    }

    /// As [`close`](Self::close), without a code: the peer sees 1005.
    ///
    /// # Errors
    ///
    /// [`UsageError::Closed`].
    pub fn close_without_code(&mut self) -> Result<(), UsageError> {
        self.sender.close_without_code()
    }

    /// The sending half: what a [`Life`](super::Life) looks at.
    #[inline]
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The bytes to write.
    #[inline]
    pub const fn outgoing(&mut self) -> &mut Outgoing {
        self.sender.outgoing()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    /// Whether a ping is queued whose last byte is not out yet; see [`Sender::unwritten_ping`].
    #[must_use]
    pub const fn unwritten_ping(&self) -> bool {
        self.sender.unwritten_ping()
    }

    /// Whether a close frame is queued whose last byte is not out yet; see [`Sender::close_unwritten`].
    #[must_use]
    pub fn close_unwritten(&self) -> bool {
        self.sender.close_unwritten()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.sender.state()
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.sender.role()
    }

    /// Whether all is done: nothing is left to write, and the transport is to be closed. See
    /// [`Sender::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.sender.is_finished()
    }

    /// The two halves, for a reader and a writer on different threads: plain state machines without
    /// a lock. What the receiver finds to be owed ([`Event::reply`], [`Receiver::failure`], end of
    /// input) is to be handed to the sender.
    #[must_use]
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        // Once failed, the sender takes no second close.
        self.sender.reply(Reply::Fail(error.close_code()));
        error
    }
}
