//! Bytes to events: header, checks, unmasking, assembly (RFC 6455 5). Sends no replies: an event or
//! an error says what is owed.

use super::close::CloseFrame;
use super::config::{Config, Role};
#[cfg(feature = "deflate")]
use super::deflate::{InflateError, Inflater};
use super::error::ProtocolError;
use super::handshake::Negotiated;
use super::header::{Header, Opcode, RSV, RSV1};
use super::mask::rotate;
use super::message::{Event, Message, Reply};
use super::utf8;
use crate::inbox::{Inbox, Storage};
use alloc::borrow::ToOwned;
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use bytes::{Bytes, BytesMut};
use core::ops::Range;

/// Binary payload is unmasked when so much of it is there, or all: piecemeal costs more. Text is
/// looked at at once.
const WORTH_UNMASKING: usize = 4096;

/// The receiving half of a connection: a state machine fed from an [`Inbox`].
///
/// Part of a [`Connection`](super::Connection), which also answers pings and closes; on its own
/// after [`split`](super::Connection::split), when [`Event::reply`] and
/// [`failure`](Self::failure) say what to hand to the [`Sender`](super::Sender).
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::{Config, Connection, Negotiated};
///
/// let connection = Connection::server(Negotiated::default(), Config::default());
/// let (mut receiver, mut sender) = connection.split();
/// let mut inbox = Inbox::new();
/// let _ = inbox.extend(&[0x89, 0x80, 0, 0, 0, 0]); // a ping
/// if let Some(event) = receiver.next_event(&mut inbox)? {
///     if let Some(reply) = event.reply() {
///         sender.reply(reply);
///     }
/// }
/// assert_eq!(bytes::Buf::chunk(sender.outgoing()), [0x8a, 0x00]);
/// # Ok::<(), pushline::ws::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Receiver {
    max_frame: usize,
    max_message: usize,
    max_fragments: u32,
    /// Frames of the message in progress.
    fragments: u32,
    /// Bytes of the message in progress, with the declared length of the current frame.
    size: usize,
    /// Payload bytes of the current frame that are still to come.
    remaining: usize,
    /// The masking key as it stands at the next payload byte.
    key: Option<[u8; 4]>,
    /// The frame whose payload is being received.
    frame: Option<Frame>,
    /// The kind of the message in progress.
    message: Option<Kind>,
    /// Bytes of an unfinished character at the end of the message so far.
    unfinished: u8,
    role: Role,
    accept_unmasked: bool,
    parts: bool,
    /// Whether the message in progress is compressed.
    compressed: bool,
    #[cfg(feature = "deflate")]
    inflating: Option<Box<Inflating>>,
    end: Option<End>,
}

/// The inflater, how many payload bytes are unmasked and wait for it, and whether it has put out all that
/// the others stand for.
#[cfg(feature = "deflate")]
#[derive(Debug)]
struct Inflating {
    inflater: Inflater,
    ahead: usize,
    done: bool,
}

/// What a frame's payload is for.
#[derive(Clone, Copy, Debug)]
enum Frame {
    Data { fin: bool },
    Control(FoundKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// Why nothing more is parsed.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed(ProtocolError),
}

/// An event as a range of the inbox.
#[derive(Debug)]
pub(crate) struct Found {
    kind: FoundKind,
    range: Range<usize>,
    source: Source,
}

impl Found {
    /// Whether its pong would take the place of one that is queued.
    #[cfg(feature = "std")]
    pub(crate) const fn is_ping(&self) -> bool {
        matches!(self.kind, FoundKind::Ping)
    }
}

/// Where in the inbox the range lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Received,
    Inflated,
    /// All of the text that was put together.
    Settled,
}

#[derive(Clone, Copy, Debug)]
enum FoundKind {
    Message(Kind),
    /// With whether it is the last.
    Part(Kind, bool),
    Ping,
    Pong,
    Close,
}

/// Payload that has arrived: where the message lies, how many bytes at its end are new, whether the
/// frame's payload is whole now, and whether what is new is known to be ASCII.
struct Arrived {
    message: Range<usize>,
    new: usize,
    whole: bool,
    ascii: bool,
}

/// The most bytes of a compressed message on the wire. What does not compress gets a little longer;
/// what goes on and on without standing for anything must end, too.
const fn compressed_limit(max_message: usize) -> usize {
    max_message.saturating_add(max_message / 8).saturating_add(1024)
}

impl Receiver {
    pub(crate) fn new(role: Role, negotiated: &Negotiated, config: &Config) -> Self {
        #[cfg(not(feature = "deflate"))]
        let _ = negotiated;
        Self {
            max_frame: config.max_frame,
            max_message: config.max_message,
            max_fragments: config.max_fragments,
            fragments: 0,
            size: 0,
            remaining: 0,
            key: None,
            frame: None,
            message: None,
            unfinished: 0,
            role,
            accept_unmasked: config.accept_unmasked,
            parts: config.parts,
            compressed: false,
            #[cfg(feature = "deflate")]
            inflating: negotiated
                .inflater(role, config.max_message)
                .map(|inflater| Box::new(Inflating { inflater, ahead: 0, done: true })),
            end: None,
        }
    }

    /// The next event, `None` when all that was received is consumed: read more.
    ///
    /// After a close frame there is none, and what is received is dropped (RFC 6455 5.5.1).
    ///
    /// # Errors
    ///
    /// [`ProtocolError`]: what the peer did wrong, again with every call. What came before it was
    /// delivered before it.
    #[inline]
    pub fn next_event<'b, S: Storage>(
        &mut self,
        inbox: &'b mut Inbox<S>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        match self.find(inbox, true)? {
            Some(found) => self.event(found, inbox).map(Some),
            None => Ok(None),
        }
    }

    /// As [`next_event`](Self::next_event), owned. Large binary payloads are split off from the
    /// inbox, small ones copied, so that a short message never keeps a long block in memory.
    ///
    /// Messages are whole, whatever [`Config::parts`](super::Config::parts) says.
    ///
    /// # Errors
    ///
    /// As [`next_event`](Self::next_event).
    pub fn next_owned(&mut self, inbox: &mut Inbox<BytesMut>) -> Result<Option<Message>, ProtocolError> {
        match self.find(inbox, false)? {
            Some(found) => self.owned(found, inbox).map(Some),
            None => Ok(None),
        }
    }

    /// Cuts what was found out of the inbox: the one place that does.
    #[inline]
    pub(crate) fn event<'b, S: Storage>(
        &mut self,
        found: Found,
        inbox: &'b Inbox<S>,
    ) -> Result<Event<'b>, ProtocolError> {
        let bytes = match found.source {
            Source::Received => inbox.bytes(found.range),
            Source::Inflated => &inbox.inflated()[found.range],
            Source::Settled => return Ok(Event::Text(inbox.text())),
        };
        let event = match found.kind {
            FoundKind::Message(Kind::Text) => utf8::text(bytes).map(Event::Text),
            FoundKind::Message(Kind::Binary) => Ok(Event::Binary(bytes)),
            FoundKind::Part(Kind::Text, fin) => match utf8::text(bytes) {
                Ok(text) => Ok(Event::TextPart { text, fin }),
                // What came before the bad byte is delivered before the error, as it would have
                // been had it come alone.
                Err(error) => match utf8::valid(bytes) {
                    "" => Err(error),
                    text => {
                        self.fail(ProtocolError::InvalidUtf8);
                        Ok(Event::TextPart { text, fin: false })
                    }
                },
            },
            FoundKind::Part(Kind::Binary, fin) => Ok(Event::BinaryPart { payload: bytes, fin }),
            FoundKind::Ping => Ok(Event::Ping(bytes)),
            FoundKind::Pong => Ok(Event::Pong(bytes)),
            FoundKind::Close => {
                self.end = Some(End::Closed);
                return CloseFrame::parse(bytes).map(Event::Close).map_err(|error| self.fail(error));
            }
        };
        // RFC 6455 8.1: text that is not UTF-8 fails the connection.
        event.map_err(|utf8::InvalidUtf8| self.fail(ProtocolError::InvalidUtf8))
    }

    /// As [`event`](Self::event), owned.
    pub(crate) fn owned(
        &mut self,
        found: Found,
        inbox: &mut Inbox<BytesMut>,
    ) -> Result<Message, ProtocolError> {
        match (found.kind, found.source) {
            (FoundKind::Message(Kind::Binary), Source::Received) => {
                return Ok(Message::Binary(inbox.take(found.range)));
            }
            (FoundKind::Message(Kind::Binary), Source::Inflated) => {
                return Ok(Message::Binary(inbox.take_inflated()));
            }
            (_, Source::Settled) => return Ok(Message::Text(inbox.take_text())),
            _ => {}
        }
        Ok(match self.event(found, inbox)? {
            Event::Text(text) | Event::TextPart { text, .. } => Message::Text(text.to_owned()),
            Event::Binary(payload) | Event::BinaryPart { payload, .. } => {
                Message::Binary(Bytes::copy_from_slice(payload))
            }
            Event::Ping(payload) => Message::Ping(Bytes::copy_from_slice(payload)),
            Event::Pong(payload) => Message::Pong(Bytes::copy_from_slice(payload)),
            Event::Close(close) => Message::Close(close.map(|close| (close.code, close.reason.to_owned()))),
        })
    }

    /// What the peer did wrong, if it did: hand it to the sender with
    /// [`Sender::reply`](super::Sender::reply).
    #[must_use]
    pub const fn failure(&self) -> Option<Reply<'static>> {
        match self.end {
            Some(End::Failed(error)) => Some(Reply::Fail(error.close_code())),
            _ => None,
        }
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn is_message_in_progress(&self) -> bool {
        self.message.is_some()
    }

    /// Whether nothing more is parsed: the peer closed, or failed.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.end = Some(End::Failed(error));
        error
    }

    /// Finds the next event; in parts, if those are `wanted` and configured.
    #[inline]
    pub(crate) fn find<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        wanted: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let parts = wanted && self.parts;
        if let Some(end) = self.end {
            // RFC 6455 5.5.1, 7.1.7: nothing is parsed after a close or a failure.
            inbox.clear();
            return match end {
                End::Closed => Ok(None),
                End::Failed(error) => Err(error),
            };
        }
        if self.message.is_none() {
            inbox.release(0);
            if let Some(found) = self.whole(inbox, parts) {
                return Ok(Some(found));
            }
        } else if parts {
            inbox.release(usize::from(self.unfinished));
        }
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.begin(inbox) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return Ok(None),
                    Err(error) => return Err(self.fail(error)),
                },
            };
            let found = match frame {
                Frame::Data { fin } => self.data(inbox, fin, parts),
                Frame::Control(kind) => Ok(self.control(inbox, kind)),
            };
            match found {
                Ok(None) if self.frame.is_none() => {} // a fragment that ends no message: go on
                Ok(None) => {
                    inbox.need(self.remaining.saturating_sub(inbox.unread().len()));
                    return Ok(None);
                }
                Ok(found) => return Ok(found),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// A message in one frame that is all there, as most are: the short way, without state between
    /// header and payload. Whatever is out of the ordinary, faults too, is left to the long way.
    #[inline]
    fn whole<S: Storage>(&mut self, inbox: &mut Inbox<S>, parts: bool) -> Option<Found> {
        if self.frame.is_some() {
            return None;
        }
        let Ok(Some((header, header_len))) = Header::parse(inbox.unread()) else { return None };
        let kind = match header.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            _ => return None,
        };
        let ordinary = header.fin
            && header.rsv == 0
            && header.mask.is_some() == (self.role == Role::Server)
            && self.check_limits(header.payload_len, false).is_ok()
            && header.payload_len <= (inbox.unread().len() - header_len) as u64;
        if !ordinary {
            return None;
        }
        inbox.consume(header_len);
        let range = inbox.set_aside(header.payload_len as usize, header.mask);
        inbox.release(0);
        Some(Found {
            kind: if parts { FoundKind::Part(kind, true) } else { FoundKind::Message(kind) },
            range,
            source: Source::Received,
        })
    }

    /// Reads a frame header, if it is whole, and makes it the current frame.
    #[inline]
    fn begin<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Frame>, ProtocolError> {
        let bytes = inbox.unread();
        let [first, ..] = bytes else {
            inbox.need(2);
            return Ok(None);
        };
        // RFC 6455 5.2: MUST be 0 unless an extension is negotiated that defines them.
        if first & RSV != 0 && !self.begins_compressed(*first) {
            return Err(ProtocolError::ReservedBits);
        }
        // Faults in the order of their bytes, so that it makes no difference how those are cut: what
        // is wrong with the length comes last.
        let parsed = match Header::parse_before_key(bytes) {
            Err(error) if !error.is_of_length() => return Err(error.into()),
            parsed => parsed,
        };
        // 5.4: continuation frames within a message and only there. Seen from the first byte.
        match Opcode::new(*first) {
            Some(Opcode::Continuation) if self.message.is_none() => {
                return Err(ProtocolError::UnexpectedContinuation);
            }
            Some(Opcode::Text | Opcode::Binary) if self.message.is_some() => {
                return Err(ProtocolError::ExpectedContinuation);
            }
            _ => {}
        }
        // 5.1: a client masks every frame, a server none. Seen from the second byte.
        if let Some(second) = bytes.get(1) {
            match (self.role, second & super::header::MASK != 0) {
                (Role::Server, false) if !self.accept_unmasked => return Err(ProtocolError::UnmaskedFrame),
                (Role::Client, true) => return Err(ProtocolError::MaskedFrame),
                _ => {}
            }
        }
        let Some((header, before_key)) = parsed? else {
            let len = match bytes.get(1).map(|second| second & super::header::LEN) {
                Some(super::header::LEN_16) => 4,
                Some(super::header::LEN_64) => 10,
                _ => 2,
            };
            inbox.need(len - bytes.len());
            return Ok(None);
        };
        if !header.opcode.is_control() {
            self.check_limits(header.payload_len, header.rsv != 0)?;
        } else if header.opcode == Opcode::Close && header.payload_len == 1 {
            // 5.5.1: a body starts with a code of two bytes. No need to wait for it.
            return Err(ProtocolError::TruncatedCloseCode);
        }
        let (key, len) = match header.mask {
            None => (None, before_key),
            Some(_) => match bytes[before_key..] {
                [a, b, c, d, ..] => (Some([a, b, c, d]), before_key + 4),
                _ => {
                    inbox.need(before_key + 4 - bytes.len());
                    return Ok(None);
                }
            },
        };
        inbox.consume(len);
        self.key = key;
        // The limits, or 125, are a `usize`: nothing is cut off.
        self.remaining = header.payload_len as usize;
        let frame = match header.opcode {
            Opcode::Text => self.first_fragment(inbox, Kind::Text, &header),
            Opcode::Binary => self.first_fragment(inbox, Kind::Binary, &header),
            Opcode::Continuation => {
                self.fragments += 1;
                self.size += self.remaining;
                Frame::Data { fin: header.fin }
            }
            Opcode::Ping => Frame::Control(FoundKind::Ping),
            Opcode::Pong => Frame::Control(FoundKind::Pong),
            Opcode::Close => Frame::Control(FoundKind::Close),
        };
        self.frame = Some(frame);
        Ok(Some(frame))
    }

    #[inline]
    fn first_fragment<S: Storage>(&mut self, inbox: &mut Inbox<S>, kind: Kind, header: &Header) -> Frame {
        inbox.release(0);
        self.message = Some(kind);
        self.compressed = header.rsv != 0;
        self.fragments = 1;
        self.size = self.remaining;
        self.unfinished = 0;
        Frame::Data { fin: header.fin }
    }

    /// RFC 7692 6: RSV1 on the first frame of a message says that it is compressed.
    fn begins_compressed(&self, first: u8) -> bool {
        #[cfg(feature = "deflate")]
        let negotiated = self.inflating.is_some();
        #[cfg(not(feature = "deflate"))]
        let negotiated = false;
        negotiated && first & RSV == RSV1 && matches!(Opcode::new(first), Some(Opcode::Text | Opcode::Binary))
    }

    /// RFC 6455 10.4: the limits, as soon as the length is known. A message in progress counts.
    #[inline]
    fn check_limits(&self, payload_len: u64, compressed: bool) -> Result<(), ProtocolError> {
        let (size, fragments, compressed) = match self.message {
            Some(_) => (self.size, self.fragments, self.compressed),
            None => (0, 0, compressed),
        };
        if fragments >= self.max_fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        if payload_len > self.max_frame as u64 {
            return Err(ProtocolError::FrameTooLarge);
        }
        let most = if compressed { compressed_limit(self.max_message) } else { self.max_message };
        // A message so far is within the limit, so there is no overflow.
        if payload_len > (most - size) as u64 {
            return Err(ProtocolError::MessageTooLarge);
        }
        Ok(())
    }

    /// Takes what is there of a data frame's payload.
    #[inline]
    fn data<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        fin: bool,
        parts: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        #[cfg(feature = "deflate")]
        if self.compressed {
            return self.inflate(inbox, fin, parts);
        }
        let n = self.remaining.min(inbox.unread().len());
        if n < self.remaining.min(WORTH_UNMASKING) && self.message == Some(Kind::Binary) && !parts {
            return Ok(None);
        }
        let ascii = inbox.assemble(n, self.key);
        self.remaining -= n;
        self.key = self.key.map(|key| rotate(key, n));
        let whole = self.remaining == 0;
        let in_pieces = self.unfinished > 0 || !inbox.text().is_empty();
        if self.message == Some(Kind::Text) && !self.parts && (in_pieces || !(ascii || fin && whole)) {
            return self.settle(inbox, fin, whole);
        }
        let arrived = Arrived { message: inbox.message(), new: n, whole, ascii };
        self.arrived(arrived, |range| inbox.bytes(range), fin, parts)
    }

    /// Text that arrives in pieces and is not ASCII is put together as text, so that each piece is
    /// checked once: as it arrives, to fail at the bad byte. ASCII costs nothing to recognise on the
    /// way: it stays where it is, to be checked whole.
    fn settle<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        fin: bool,
        whole: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let last = fin && whole;
        let unfinished = inbox.settle(!last).map_err(|_| ProtocolError::InvalidUtf8)?;
        self.unfinished = unfinished as u8;
        if whole {
            self.frame = None;
        }
        if !last {
            return Ok(None);
        }
        self.message = None;
        Ok(Some(Found { kind: FoundKind::Message(Kind::Text), range: 0..0, source: Source::Settled }))
    }

    /// Inflates what is there of a compressed frame's payload (RFC 7692 7.2.2).
    #[cfg(feature = "deflate")]
    fn inflate<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        fin: bool,
        parts: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        /// The most that a part is inflated to, in bytes. With what is left of a character and doubled it
        /// is still within what an inbox keeps.
        const PART: usize = 32 * 1024 - 4;
        let Some(inflating) = self.inflating.as_deref_mut() else { return Err(ProtocolError::ReservedBits) };
        let Inflating { inflater, ahead, done } = inflating;
        let n = self.remaining.min(inbox.unread().len());
        if n == 0 && self.remaining > 0 && *done {
            // A header alone is no reason to take a state.
            return Ok(None);
        }
        inbox.unmask(*ahead..n, self.key);
        self.key = self.key.map(|key| rotate(key, n - *ahead));
        let before = inbox.inflated().len();
        let end = fin && n == self.remaining;
        *done = false;
        let inflated = inbox.inflate(n, |input, output| {
            let progress = inflater.inflate(input, output, if parts { PART } else { usize::MAX }, end)?;
            *done = progress.done;
            self.remaining -= progress.consumed;
            *ahead = n - progress.consumed;
            Ok(progress.consumed)
        });
        let fault = inflated.err().map(|error| match error {
            InflateError::TooBig | InflateError::Ratio => ProtocolError::MessageTooLarge,
            _ => ProtocolError::InvalidDeflate,
        });
        let len = inbox.inflated().len();
        let whole = self.remaining == 0 && *done;
        let arrived = Arrived { message: 0..len, new: len - before, whole, ascii: false };
        // What was inflated before the fault comes first, as it would have had it come alone: text that is
        // bad, and a part, after which the fault is found again.
        let found = self.arrived(arrived, |range| &inbox.inflated()[range], fin, parts)?;
        match fault {
            Some(error) if found.is_none() => Err(error),
            _ => Ok(found),
        }
    }

    /// What has come of it that payload has arrived: the message, a part of it, or nothing yet.
    #[inline]
    fn arrived<'b>(
        &mut self,
        Arrived { message, new, whole, ascii }: Arrived,
        bytes: impl FnOnce(Range<usize>) -> &'b [u8],
        fin: bool,
        parts: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let kind = self.message.unwrap_or(Kind::Binary);
        let source = if self.compressed { Source::Inflated } else { Source::Received };
        if whole {
            self.frame = None;
            if fin {
                self.message = None;
                self.compressed = false;
                let kind = if parts { FoundKind::Part(kind, true) } else { FoundKind::Message(kind) };
                return Ok(Some(Found { kind, range: message, source }));
            }
        }
        // What has arrived of an unfinished text is checked at once, so that it fails at the bad
        // byte; a part is checked where it is cut out.
        if kind == Kind::Text && !(ascii && self.unfinished == 0) {
            let unchecked = message.end - new - usize::from(self.unfinished);
            let bytes = bytes(unchecked..message.end);
            self.unfinished = if parts {
                utf8::unfinished(bytes).unwrap_or(0) as u8
            } else {
                utf8::check(bytes).map_err(|_| ProtocolError::InvalidUtf8)? as u8
            };
        }
        let range = message.start..message.end - usize::from(self.unfinished);
        let kind = FoundKind::Part(kind, false);
        Ok((parts && !range.is_empty()).then_some(Found { kind, range, source }))
    }

    /// Takes a control frame's payload, once it is whole.
    #[inline]
    fn control<S: Storage>(&mut self, inbox: &mut Inbox<S>, kind: FoundKind) -> Option<Found> {
        if inbox.unread().len() < self.remaining {
            return None;
        }
        self.frame = None;
        Some(Found { kind, range: inbox.set_aside(self.remaining, self.key), source: Source::Received })
    }
}
