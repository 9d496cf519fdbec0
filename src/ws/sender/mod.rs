//! Messages to bytes: what may be sent, when, and in which order (RFC 6455 5.5, 6.1, 7.1.2).
//!
//! | step | file |
//! |---|---|
//! | frames: header, masking, fragments of the configured size | `frame.rs` |
//! | fragments of the caller's own | `fragment.rs` |
//! | compression | `compress.rs` |

mod compress;
mod fragment;
mod frame;

use super::close::{CloseCode, CloseFrame};
use super::config::{Config, Role};
#[cfg(feature = "deflate")]
use super::deflate::Compressor;
use super::error::{SendError, UsageError};
use super::header::{MAX_CONTROL_LEN, Opcode, header_len};
use super::mask::MaskSource;
use super::message::{Message, Reply};
use super::negotiated::Negotiated;
use super::prepared::Prepared;
use super::state::{Input, State};
use crate::outgoing::Outgoing;
use alloc::boxed::Box;
use core::fmt;
use fragment::Fragmented;
use frame::{BY_REFERENCE, PLAIN};

/// The sending half of a connection: a state machine whose output is [`outgoing`](Self::outgoing).
///
/// Part of a [`Connection`](super::Connection); on its own after
/// [`split`](super::Connection::split), with [`reply`](Self::reply) for what the receiver reports.
///
/// ```
/// use bytes::Buf;
/// use pushline::ws::{CloseCode, Config, Connection, Negotiated};
///
/// let (_, mut sender) = Connection::server(Negotiated::default(), Config::default()).split();
/// sender.send_text("Hello")?;
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
    #[cfg(feature = "deflate")]
    compressor: Option<Box<Compressor>>,
}

impl Sender {
    pub(crate) fn new(negotiated: &Negotiated, config: &Config, keys: Option<Box<dyn MaskSource>>) -> Self {
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
        }
    }

    /// Queues a text message.
    ///
    /// # Errors
    ///
    /// [`UsageError::Full`], [`UsageError::Closed`], [`UsageError::MessageInProgress`].
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), UsageError> {
        self.send_copied(Opcode::Text, text.as_bytes())
    }

    /// Queues a binary message; the payload is copied. To hand over a large one, use
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.send_copied(Opcode::Binary, payload)
    }

    /// Queues a message of any kind; a large payload goes by reference.
    ///
    /// # Errors
    ///
    /// As the method of its kind, with the message handed back.
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        self.queue(message, true)
    }

    /// As [`send`](Self::send), never compressed: for what must not be seen through the length of its
    /// compressed form, such as secrets beside text that somebody else chose (RFC 7692 8).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain(&mut self, message: Message) -> Result<(), SendError> {
        self.queue(message, false)
    }

    /// Queues a message that was encoded once for many connections, by reference. A client, which
    /// must mask, sends a masked copy.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), UsageError> {
        self.check_data(prepared.payload().len())?;
        if self.keys.is_some() {
            self.push_message(prepared.opcode(), prepared.payload());
        } else {
            let frame = self.prepared_frame(prepared);
            self.outgoing.push_shared(&[], frame);
        }
        Ok(())
    }

    /// Queues a ping of at most 125 bytes, ahead of all messages that have not begun.
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::Full`], [`UsageError::Closed`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        self.check_room(self.frame_len(payload.len()))?;
        let (frame, len) = self.control_frame(Opcode::Ping, payload);
        self.outgoing.push_urgent(&frame[..len]);
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
        let (frame, len) = self.control_frame(Opcode::Pong, payload);
        self.outgoing.replace_urgent(&frame[..len]);
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

    /// Does what the receiver found to be owed: a pong, the second half of the closing handshake,
    /// the close frame of a failure. Unless [`Config::auto_pong`] or [`Config::auto_close`] leave it
    /// to the application; then the state changes all the same.
    pub fn reply(&mut self, reply: Reply<'_>) {
        // What cannot be sent any more is not owed any more.
        let _ = match reply {
            Reply::Pong(payload) if self.auto_pong => self.pong(payload),
            Reply::Pong(_) => Ok(()),
            Reply::Close(code) => {
                let owed = self.state == State::Open && self.auto_close;
                self.state = self.state.next(Input::ReceiveClose);
                match code {
                    _ if !owed => Ok(()),
                    Some(code) => self.close(code, ""),
                    None => self.close_without_code(),
                }
            }
            Reply::Fail(code) => {
                let sent = self.close(code, "");
                self.state = self.state.next(Input::Fail);
                sent
            }
        };
    }

    /// The transport will give no more bytes.
    ///
    /// Without the peer's close frame this is an abnormal end (code 1006); what is queued is
    /// dropped.
    pub fn receive_eof(&mut self) {
        self.state = self.state.next(Input::Eof);
        if self.state == State::Aborted {
            self.outgoing.clear();
        }
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
    fn send_copied(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), UsageError> {
        self.check_data(payload.len())?;
        self.push_message(opcode, payload);
        Ok(())
    }

    fn queue(&mut self, message: Message, compress: bool) -> Result<(), SendError> {
        let refused = match &message {
            Message::Ping(payload) => self.ping(payload),
            Message::Pong(payload) => self.pong(payload),
            Message::Close(None) => self.close_without_code(),
            Message::Close(Some((code, reason))) => self.close(*code, reason),
            data => self.check_data(data.payload().len()),
        };
        if let Err(error) = refused {
            return Err(SendError { error, message });
        }
        let opcode = match message {
            Message::Text(_) => Opcode::Text,
            Message::Binary(_) => Opcode::Binary,
            _ => return Ok(()),
        };
        if compress && self.push_compressed(opcode, message.payload()) {
            return Ok(());
        }
        match message {
            Message::Text(text) if text.len() >= BY_REFERENCE => {
                self.push_by_reference(opcode, PLAIN, text.into());
            }
            Message::Binary(payload) if payload.len() >= BY_REFERENCE => {
                self.push_by_reference(opcode, PLAIN, payload);
            }
            small => self.push_fragments(opcode, PLAIN, small.payload()),
        }
        Ok(())
    }

    /// Queues a message, compressed if that was agreed and pays.
    #[inline]
    fn push_message(&mut self, opcode: Opcode, payload: &[u8]) {
        if !self.push_compressed(opcode, payload) {
            self.push_fragments(opcode, PLAIN, payload);
        }
    }

    /// Whether a whole message may be queued now.
    #[inline]
    fn check_data(&self, len: usize) -> Result<(), UsageError> {
        if !self.state.may_send() {
            return Err(UsageError::Closed);
        }
        if self.fragmented.is_some() {
            return Err(UsageError::MessageInProgress);
        }
        self.check_room(self.message_len(self.longest(len)))
    }

    /// Whether `len` more bytes of the wire may be queued. Into an empty queue one message always
    /// fits.
    #[inline]
    fn check_room(&self, len: usize) -> Result<(), UsageError> {
        let queued = self.outgoing.len();
        if queued != 0 && len.saturating_add(queued) > self.max_outgoing {
            return Err(UsageError::Full);
        }
        Ok(())
    }

    /// How long a frame with `len` bytes of payload is on the wire.
    #[inline]
    fn frame_len(&self, len: usize) -> usize {
        header_len(len as u64, self.keys.is_some()).saturating_add(len)
    }

    /// How long a message of `len` bytes is on the wire, in as many frames as it takes.
    #[inline]
    fn message_len(&self, len: usize) -> usize {
        if len <= self.fragment_size {
            return self.frame_len(len);
        }
        let last = (len - 1) % self.fragment_size + 1;
        let full = (len - last) / self.fragment_size;
        full.saturating_mul(self.frame_len(self.fragment_size)).saturating_add(self.frame_len(last))
    }

    fn check_control(&self, payload: &[u8]) -> Result<(), UsageError> {
        // RFC 6455 5.5.1: after a close there is nothing more to say, a pong neither.
        if !self.state.may_send() {
            return Err(UsageError::Closed);
        }
        // 5.5: control frames carry at most 125 bytes.
        if payload.len() > MAX_CONTROL_LEN {
            return Err(UsageError::ControlTooLong);
        }
        Ok(())
    }

    fn push_close(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        if !self.state.may_send_close() {
            return Err(UsageError::Closed);
        }
        // Behind everything, and with reserved room: no check of the queue.
        self.push_frame(Opcode::Close, PLAIN, true, payload);
        self.state = self.state.next(Input::SendClose);
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
