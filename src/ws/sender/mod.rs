//! Messages to bytes: fragmentation, masking, control frames and their precedence (RFC 6455 5, 6.1).

use super::close::{CloseCode, CloseFrame};
use super::config::{Config, Role};
#[cfg(feature = "deflate")]
use super::deflate::Compressor;
use super::error::{SendError, UsageError};
use super::handshake::Negotiated;
use super::header::{Header, MAX_CONTROL_LEN, Opcode, header_len};
use super::mask::{MaskSource, apply_mask};
use super::message::{Message, Reply};
use super::prepared::Prepared;
use super::state::{Input, State};
use super::utf8;
use crate::outgoing::Outgoing;
use alloc::boxed::Box;
#[cfg(feature = "deflate")]
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::fmt;

/// From this length on a payload goes by reference: writing a second piece then costs less than
/// the copy.
const BY_REFERENCE: usize = 4 * 1024;

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

/// An own message of which the last fragment is still to come.
#[derive(Clone, Copy, Debug)]
enum Fragmented {
    Binary,
    /// Text, with the bytes of its unfinished last character and their number.
    Text([u8; 4], u8),
}

/// The reserved bits of a header: none, or RSV1 on the first frame of a compressed message
/// (RFC 7692 6).
const PLAIN: u8 = 0;
#[cfg(feature = "deflate")]
const COMPRESSED: u8 = 4;

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

    /// Queues one fragment of a message, a frame of its own: first [`Opcode::Text`] or
    /// [`Opcode::Binary`], then [`Opcode::Continuation`], `fin` on the last (RFC 6455 5.4).
    ///
    /// Control frames may be sent between fragments, other messages not. A character of a text may
    /// be cut by the end of a fragment, but not by the end of the message.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text), and [`UsageError::NoMessageInProgress`],
    /// [`UsageError::NotADataFrame`], [`UsageError::InvalidUtf8`].
    pub fn send_fragment(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<(), UsageError> {
        if !self.state.may_send() {
            return Err(UsageError::Closed);
        }
        let fragmented = match (opcode, self.fragmented) {
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(UsageError::MessageInProgress),
            (Opcode::Continuation, None) => return Err(UsageError::NoMessageInProgress),
            (Opcode::Continuation, Some(fragmented)) => fragmented,
            (Opcode::Text, None) => Fragmented::Text([0; 4], 0),
            (Opcode::Binary, None) => Fragmented::Binary,
            _ => return Err(UsageError::NotADataFrame),
        };
        self.check_room(self.frame_len(self.longest(payload.len())))?;
        let fragmented = fragmented.then(payload, fin)?;
        self.fragmented = if fin { None } else { Some(fragmented) };
        self.push_own_fragment(opcode, fin, payload);
        Ok(())
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

    /// Compresses and queues a message in one step, if compression was agreed and pays: whether it
    /// was.
    #[cfg(feature = "deflate")]
    #[inline]
    fn push_compressed(&mut self, opcode: Opcode, payload: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        if !compressor.options.is_worthwhile(payload.len()) {
            return false;
        }
        let mut compressed = Vec::new();
        compressor.deflater.deflate(payload, &mut compressed, true);
        if compressed.len() < BY_REFERENCE {
            self.push_fragments(opcode, COMPRESSED, &compressed);
        } else {
            // It waits in the queue, which counts its bytes, not the memory they are in.
            compressed.shrink_to_fit();
            self.push_by_reference(opcode, COMPRESSED, compressed.into());
        }
        true
    }

    #[cfg(not(feature = "deflate"))]
    #[inline]
    fn push_compressed(&mut self, _: Opcode, _: &[u8]) -> bool {
        false
    }

    /// Queues a fragment of the caller's, compressed if that was agreed: how long the message gets is
    /// not known.
    fn push_own_fragment(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        #[cfg(feature = "deflate")]
        if let Some(compressor) = &mut self.compressor {
            let mut compressed = Vec::new();
            compressor.deflater.deflate(payload, &mut compressed, fin);
            let rsv = if opcode == Opcode::Continuation { PLAIN } else { COMPRESSED };
            return self.push_frame(opcode, rsv, fin, &compressed);
        }
        self.push_frame(opcode, PLAIN, fin, payload);
    }

    /// The frame of a prepared message for this connection.
    fn prepared_frame(&mut self, prepared: &Prepared) -> Bytes {
        #[cfg(feature = "deflate")]
        if let Some(compressor) = &mut self.compressor
            && compressor.options.is_worthwhile(prepared.payload().len())
        {
            // It was compressed by itself, past this connection's deflater.
            compressor.deflater.forget();
            return prepared.compressed(compressor);
        }
        prepared.frame().clone()
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

    /// The most bytes that `len` bytes become. Compressed, they are bytes of at worst nine bits and the
    /// headers of blocks.
    #[inline]
    const fn longest(&self, len: usize) -> usize {
        #[cfg(feature = "deflate")]
        if self.compressor.is_some() {
            return len.saturating_add(len / 8).saturating_add(16);
        }
        len
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

    /// Queues a message in as many frames as the fragment size asks for.
    #[inline]
    fn push_fragments(&mut self, mut opcode: Opcode, mut rsv: u8, payload: &[u8]) {
        if payload.len() <= self.fragment_size {
            return self.push_frame(opcode, rsv, true, payload);
        }
        let mut fragments = payload.chunks(self.fragment_size).peekable();
        while let Some(fragment) = fragments.next() {
            self.push_frame(opcode, rsv, fragments.peek().is_none(), fragment);
            (opcode, rsv) = (Opcode::Continuation, PLAIN);
        }
    }

    /// Queues a message whose payload goes by reference, in as many frames as the size asks for.
    fn push_by_reference(&mut self, mut opcode: Opcode, mut rsv: u8, mut payload: Bytes) {
        loop {
            let fragment = payload.split_to(payload.len().min(self.fragment_size));
            let fin = payload.is_empty();
            let mask = self.keys.as_mut().map(|keys| keys.next_key());
            let (head, len) = Header { fin, rsv, opcode, mask, payload_len: fragment.len() as u64 }.encode();
            let body = match mask {
                None => fragment,
                Some(key) => {
                    // Nobody else holds the payload more often than not: then it is masked in place.
                    let mut masked =
                        fragment.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                    apply_mask(&mut masked, key);
                    masked.freeze()
                }
            };
            self.outgoing.push_shared(&head[..len], body);
            if fin {
                return;
            }
            (opcode, rsv) = (Opcode::Continuation, PLAIN);
        }
    }

    #[inline]
    fn push_frame(&mut self, opcode: Opcode, rsv: u8, fin: bool, payload: &[u8]) {
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        let first = (fin as u8) << 7 | rsv << 4 | opcode as u8;
        let body = match mask {
            // The short form needs no more than two bytes and no loop.
            None if payload.len() <= MAX_CONTROL_LEN => {
                self.outgoing.push(&[first, payload.len() as u8], payload)
            }
            Some([a, b, c, d]) if payload.len() <= MAX_CONTROL_LEN => {
                self.outgoing.push(&[first, 0x80 | payload.len() as u8, a, b, c, d], payload)
            }
            _ => {
                let (head, len) =
                    Header { fin, rsv, opcode, mask, payload_len: payload.len() as u64 }.encode();
                self.outgoing.push(&head[..len], payload)
            }
        };
        if let Some(key) = mask {
            apply_mask(body, key);
        }
    }

    fn control_frame(&mut self, opcode: Opcode, payload: &[u8]) -> ([u8; 6 + MAX_CONTROL_LEN], usize) {
        let key = self.keys.as_mut().map(|keys| keys.next_key());
        let header = Header { fin: true, rsv: PLAIN, opcode, mask: key, payload_len: payload.len() as u64 };
        let (head, start) = header.encode();
        let mut frame = [0; 6 + MAX_CONTROL_LEN];
        let len = start + payload.len();
        frame[..start].copy_from_slice(&head[..start]);
        frame[start..len].copy_from_slice(payload);
        if let Some(key) = key {
            apply_mask(&mut frame[start..len], key);
        }
        (frame, len)
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

impl Fragmented {
    /// After one more fragment: text must be UTF-8 so far, and whole at the end (RFC 6455 8.1).
    fn then(self, payload: &[u8], fin: bool) -> Result<Self, UsageError> {
        let Self::Text(mut cut, len) = self else { return Ok(self) };
        let mut len = usize::from(len);
        let check = |bytes: &[u8]| utf8::check(bytes).map_err(|utf8::InvalidUtf8| UsageError::InvalidUtf8);
        let mut rest = payload;
        while let (1.., [first, tail @ ..]) = (len, rest) {
            cut[len] = *first;
            len = check(&cut[..=len])?;
            rest = tail;
        }
        if len == 0 {
            len = check(rest)?;
            cut[..len].copy_from_slice(&rest[rest.len() - len..]);
        }
        if fin && len > 0 {
            return Err(UsageError::InvalidUtf8);
        }
        Ok(Self::Text(cut, len as u8))
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
