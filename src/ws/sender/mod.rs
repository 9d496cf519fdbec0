//! Messages to bytes: what may be sent, when, and in which order (RFC 6455 5.5, 6.1, 7.1.2).
//!
//! | step | file |
//! |---|---|
//! | frames: header, masking, fragments of the configured size | `frame.rs` |
//! | fragments of the caller's own | `fragment.rs` |
//! | compression | `compress.rs` |
//! | whether a message may be queued | `room.rs` |
#![allow(clippy::indexing_slicing, reason = "a control payload of at most 125 bytes")]

mod compress;
mod fragment;
mod frame;
mod room;
mod through;

#[cfg(feature = "tokio")]
pub(crate) use through::Handover;

use super::close::{CloseCode, CloseFrame};
use super::config::{ConnectionOptions, Role};
#[cfg(feature = "deflate")]
use super::deflate::Compressor;
use super::error::UsageError;
use super::header::{MAX_CONTROL_LEN, Opcode};
use super::mask::MaskSource;
use super::message::{Message, Reply};
use super::negotiated::Negotiated;
use super::outbound::Outbound;
use super::prepared::Prepared;
use super::state::{State, StateInput};
use crate::outgoing::Outgoing;
use alloc::boxed::Box;
use core::fmt;
use fragment::Fragmented;
use frame::{BY_REFERENCE, MAX_SHORT_FRAME, PLAIN};

/// The sending half of a connection: a state machine whose output is [`outgoing`](Self::outgoing).
///
/// Part of a [`Connection`](super::Connection); on its own after
/// [`split`](super::Connection::split), with [`reply`](Self::reply) for what the receiver reports.
///
/// ```
/// use bytes::Buf;
/// use pushline::ws::{CloseCode, ConnectionOptions, Connection, Negotiated};
///
/// let (_, mut sender) = Connection::server(Negotiated::default(), ConnectionOptions::default()).split();
/// sender.send("Hello")?;
/// sender.close(CloseCode::NORMAL, "bye")?;
/// assert_eq!(sender.outgoing().chunk(), b"\x81\x05Hello\x88\x05\x03\xe8bye");
/// # Ok::<(), pushline::ws::UsageError>(())
/// ```
pub struct Sender {
    outgoing: Outgoing,
    keys: Option<Box<dyn MaskSource>>,
    max_outgoing: usize,
    fragment_size: usize,
    /// The own fragmented message in progress.
    fragmented: Option<Fragmented>,
    state: State,
    auto_pong: bool,
    auto_close: bool,
    /// The length of the close frame, once that is queued.
    close: u8,
    #[cfg(feature = "deflate")]
    compressor: Option<Box<Compressor>>,
}

impl Sender {
    /// Most bytes of pings and pongs that wait in the queue: 1 KiB, beside [`ConnectionOptions::max_outgoing`]. A ping that
    /// would exceed it is refused; pongs and the close frame never are.
    pub const CONTROL_ROOM: usize = 1024;

    pub(crate) fn new(
        negotiated: &Negotiated,
        config: &ConnectionOptions,
        keys: Option<Box<dyn MaskSource>>,
    ) -> Self {
        #[cfg(not(feature = "deflate"))]
        let _ = negotiated;
        Self {
            #[cfg(feature = "deflate")]
            compressor: negotiated.compressor(if keys.is_some() { Role::Client } else { Role::Server }),
            outgoing: Outgoing::default(),
            keys,
            max_outgoing: config.max_outgoing,
            fragment_size: config.fragment_size,
            fragmented: None,
            state: State::Open,
            auto_pong: config.auto_pong,
            auto_close: config.auto_close,
            close: 0,
        }
    }

    /// Whether there is room for `message`: whether [`send`](Self::send) would not answer [`UsageError::Full`]. Asked
    /// first, so that nothing has to be handed back.
    ///
    /// ```
    /// use pushline::ws::{ConnectionOptions, Connection, Negotiated, Outbound, UsageError};
    ///
    /// let config = ConnectionOptions::new().max_outgoing(16);
    /// let mut connection = Connection::server(Negotiated::default(), config);
    /// connection.send("into an empty queue one always fits")?;
    /// let next = Outbound::from("another");
    /// assert!(!connection.has_room(&next));
    /// assert_eq!(connection.send(next), Err(UsageError::Full));
    /// assert!(connection.ping(b"").is_ok()); // control frames have room of their own
    /// # Ok::<(), UsageError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn has_room(&self, message: &Outbound<'_>) -> bool {
        match message {
            Outbound::Message(Message::Ping(payload)) => self.check_ping(payload) != Err(UsageError::Full),
            Outbound::Message(Message::Pong(_) | Message::Close(_)) => true,
            message => self.check_data(message.payload_len()) != Err(UsageError::Full),
        }
    }

    /// Queues a message: anything that [`Outbound`] is made from.
    ///
    /// # Errors
    ///
    /// [`UsageError::Full`], [`UsageError::Closed`], [`UsageError::MessageInProgress`]; for a control message as the
    /// method of its kind. Nothing has changed then.
    #[inline]
    pub fn send<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), UsageError> {
        match message.into() {
            Outbound::Text(text) => self.send_copied(Opcode::Text, text.as_bytes(), true),
            Outbound::Binary(payload) => self.send_copied(Opcode::Binary, payload, true),
            Outbound::Message(message) => self.send_message(message, true),
            Outbound::Prepared(prepared) => self.send_prepared(prepared, true),
        }
    }

    /// As [`send`](Self::send), never compressed: for what must not be seen through the length of its
    /// compressed form, such as secrets beside text that somebody else chose (RFC 7692 8).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(&mut self, message: impl Into<Outbound<'a>>) -> Result<(), UsageError> {
        match message.into() {
            Outbound::Text(text) => self.send_copied(Opcode::Text, text.as_bytes(), false),
            Outbound::Binary(payload) => self.send_copied(Opcode::Binary, payload, false),
            Outbound::Message(message) => self.send_message(message, false),
            Outbound::Prepared(prepared) => self.send_prepared(prepared, false),
        }
    }

    /// Queues a ping of at most 125 bytes, ahead of all messages that have not begun. However many bytes of
    /// messages are queued, there is room for it: [`CONTROL_ROOM`](Self::CONTROL_ROOM) for pings and pongs together,
    /// which is full only behind pings of which the peer has taken none.
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::Closed`], and [`UsageError::Full`]: then
    /// [`unwritten_ping`](Self::unwritten_ping).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_ping(payload)?;
        let mut frame = [0; MAX_SHORT_FRAME];
        let frame = self.short_frame(Opcode::Ping, payload, &mut frame);
        self.outgoing.push_urgent(frame);
        Ok(())
    }

    /// Queues a pong of at most 125 bytes, ahead of all messages that have not begun, in the place
    /// of one that has not either (RFC 6455 5.5.3): the latest ping is the one answered.
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::Closed`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        let mut frame = [0; MAX_SHORT_FRAME];
        let frame = self.short_frame(Opcode::Pong, payload, &mut frame);
        self.outgoing.replace_urgent(frame);
        Ok(())
    }

    /// Queues a close frame behind all that is queued; nothing can be sent after it.
    ///
    /// # Errors
    ///
    /// [`UsageError::InvalidCloseCode`], [`UsageError::ReasonTooLong`], and
    /// [`UsageError::Closed`] if a close frame was sent before.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let mut buffer = [0; MAX_CONTROL_LEN];
        let payload = CloseFrame { code: code.into(), reason }.encode(&mut buffer)?;
        self.push_close(payload)
    }

    /// Queues a close frame without a payload: the peer sees code 1005.
    ///
    /// # Errors
    ///
    /// [`UsageError::Closed`] if a close frame was sent before.
    pub fn close_without_code(&mut self) -> Result<(), UsageError> {
        self.push_close(&[])
    }

    /// Queues the answers that the receiver found necessary: a pong, the second half of the closing handshake,
    /// the close frame of a failure. Unless [`ConnectionOptions::auto_pong`] or [`ConnectionOptions::auto_close`] leave it
    /// to the application; then the state changes all the same.
    pub fn reply(&mut self, reply: Reply<'_>) {
        // What cannot be sent any more is not owed any more.
        let _ = match reply {
            Reply::Pong(payload) if self.auto_pong => self.pong(payload),
            Reply::Pong(_) => Ok(()),
            Reply::Close(code) => {
                let owed = self.state == State::Open && self.auto_close;
                self.state = self.state.next(StateInput::ReceiveClose);
                match code {
                    _ if !owed => Ok(()),
                    Some(code) => self.close(code, ""),
                    None => self.close_without_code(),
                }
            }
            Reply::Fail(code) => {
                let sent = self.close(code, "");
                self.state = self.state.next(StateInput::Fail);
                sent
            }
        };
    }

    /// The transport will give no more bytes.
    ///
    /// Without the peer's close frame this is an abnormal end (code 1006); what is queued is
    /// dropped.
    pub fn receive_eof(&mut self) {
        self.state = self.state.next(StateInput::Eof);
        if self.state == State::Aborted {
            self.outgoing.clear();
        }
    }

    /// The transport takes nothing more: what is queued is dropped, and nothing can be sent any more.
    #[cfg(feature = "std")]
    pub(crate) fn abort(&mut self) {
        self.state = self.state.next(StateInput::Eof);
        self.outgoing.clear();
    }

    /// As [`send`](Self::send), or [`send_plain`](Self::send_plain), of a message that is left where it is unless it
    /// goes by reference: moved from future to future it would cost as much as queueing it.
    #[inline]
    pub(crate) fn send_from(
        &mut self,
        place: &mut Option<Outbound<'_>>,
        compress: bool,
    ) -> Result<(), UsageError> {
        let sent = match place {
            Some(Outbound::Text(text)) => self.send_copied(Opcode::Text, text.as_bytes(), compress),
            Some(Outbound::Binary(payload)) => self.send_copied(Opcode::Binary, payload, compress),
            _ => {
                return match place.take() {
                    Some(message) if compress => self.send(message),
                    Some(message) => self.send_plain(message),
                    None => Ok(()),
                };
            }
        };
        *place = None;
        sent
    }

    /// Whether the queue has reached its bound.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_full(&self) -> bool {
        self.outgoing.len() >= self.max_outgoing
    }

    /// As [`send`](Self::send), for a sink, which does not know what it will be asked to take when it says that it is
    /// ready: while the queue is below its bound, a message of any length.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_over(&mut self, message: Message) -> Result<(), UsageError> {
        if self.is_full() && message.is_data() {
            return Err(UsageError::Full);
        }
        let bound = core::mem::replace(&mut self.max_outgoing, usize::MAX);
        let sent = self.send(message);
        self.max_outgoing = bound;
        sent
    }

    /// The bytes to write.
    #[inline]
    pub const fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    /// How many bytes are waiting to be written.
    #[inline]
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Where the closing handshake stands.
    #[inline]
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether a ping is queued whose last byte is not out yet: the peer cannot have answered it.
    ///
    /// ```
    /// use bytes::Buf;
    /// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
    ///
    /// let (_, mut sender) = Connection::server(Negotiated::default(), ConnectionOptions::default()).split();
    /// sender.ping(b"")?;
    /// sender.outgoing().advance(1);
    /// assert!(sender.unwritten_ping());
    /// sender.outgoing().advance(1);
    /// assert!(!sender.unwritten_ping());
    /// # Ok::<(), pushline::ws::UsageError>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn unwritten_ping(&self) -> bool {
        self.outgoing.holds_urgent()
    }

    /// Whether a close frame is queued whose last byte is not out yet.
    ///
    /// ```
    /// use bytes::Buf;
    /// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
    ///
    /// let (_, mut sender) = Connection::server(Negotiated::default(), ConnectionOptions::default()).split();
    /// sender.close(1000, "")?;
    /// assert!(sender.close_unwritten());
    /// sender.outgoing().advance(4);
    /// assert!(!sender.close_unwritten());
    /// # Ok::<(), pushline::ws::UsageError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn close_unwritten(&self) -> bool {
        // It is the last of all, whatever is queued.
        self.close > 0 && !self.outgoing.is_empty()
    }

    /// Whether no byte of a message is left, whatever control frames are.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_message_out(&self) -> bool {
        self.outgoing.ordinary_len() <= usize::from(self.close)
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        if self.keys.is_some() { Role::Client } else { Role::Server }
    }

    /// Whether all is done: nothing is left to write, and the transport is to be closed.
    ///
    /// A client that has done the closing handshake waits for the server to close the transport
    /// first (RFC 6455 7.1.1): it is finished at [`receive_eof`](Self::receive_eof).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.is_over(self.keys.is_some()) && self.outgoing.is_empty()
    }

    #[inline]
    fn send_copied(&mut self, opcode: Opcode, payload: &[u8], compress: bool) -> Result<(), UsageError> {
        self.check_data(payload.len())?;
        self.push_message(opcode, payload, compress);
        Ok(())
    }

    fn send_message(&mut self, message: Message, compress: bool) -> Result<(), UsageError> {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.into()),
            Message::Binary(payload) => (Opcode::Binary, payload),
            Message::Ping(payload) => return self.ping(&payload),
            Message::Pong(payload) => return self.pong(&payload),
            Message::Close(None) => return self.close_without_code(),
            Message::Close(Some((code, reason))) => return self.close(code, &reason),
        };
        self.check_data(payload.len())?;
        if payload.len() < BY_REFERENCE {
            self.push_message(opcode, &payload, compress);
        } else if !(compress && self.push_compressed(opcode, &payload)) {
            self.push_by_reference(opcode, PLAIN, payload);
        }
        Ok(())
    }

    fn send_prepared(&mut self, prepared: &Prepared, compress: bool) -> Result<(), UsageError> {
        self.check_data(prepared.payload().len())?;
        if self.keys.is_some() {
            self.push_message(prepared.opcode(), prepared.payload(), compress);
        } else {
            let frame = if compress { self.prepared_frame(prepared) } else { prepared.frame().clone() };
            self.outgoing.push_shared(&[], frame);
        }
        Ok(())
    }

    /// Queues a message, compressed if that is wanted, was agreed and pays.
    #[inline]
    fn push_message(&mut self, opcode: Opcode, payload: &[u8], compress: bool) {
        if !(compress && self.push_compressed(opcode, payload)) {
            self.push_fragments(opcode, PLAIN, payload);
        }
    }

    fn push_close(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        if !self.state.may_send_close() {
            return Err(UsageError::Closed);
        }
        // Behind everything, and with reserved room: no check of the queue.
        let before = self.outgoing.ordinary_len();
        self.push_frame(Opcode::Close, PLAIN, true, payload);
        // A control frame with its masking key: 131 bytes at most.
        self.close = u8::try_from(self.outgoing.ordinary_len().saturating_sub(before)).unwrap_or(u8::MAX);
        self.state = self.state.next(StateInput::SendClose);
        Ok(())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("state", &self.state)
            .field("role", &self.role())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
