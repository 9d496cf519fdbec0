//! Bytes to events (RFC 6455 5, 6.2). Sends no replies: an event or an error says what is owed.
//!
//! | step | file |
//! |---|---|
//! | a message in one frame that is all there | `whole.rs` |
//! | what a header may say here | `header.rs` |
//! | unmasking, text, assembly | `payload.rs`, over the [`Inbox`] |
//! | inflating | `inflate.rs` |
//! | cutting the event out | `found.rs` |
#![allow(clippy::arithmetic_side_effects, reason = "the header is part of what is unread")]

mod found;
mod header;
#[cfg(feature = "deflate")]
mod inflate;
mod payload;
mod whole;

pub(crate) use found::Found;
pub(crate) use whole::Whole;

use super::config::{ConnectionOptions, Role};
use super::error::ProtocolError;
#[cfg(feature = "std")]
use super::header::Header;
use super::message::{Event, Message, Reply};
use super::negotiated::Negotiated;
use crate::inbox::{Inbox, Storage};
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use found::FoundKind;
#[cfg(feature = "deflate")]
use inflate::Inflating;

/// The receiving half of a connection: a state machine fed from an [`Inbox`].
///
/// Part of a [`Connection`](super::Connection), which also answers pings and closes; on its own
/// after [`split`](super::Connection::split), when [`Event::reply`] and
/// [`failure`](Self::failure) say what to hand to the [`Sender`](crate::raw::Sender).
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
///
/// let connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
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
    /// Payload bytes of a short frame that waits unread that were looked at, and are ASCII.
    seen: u16,
    /// Bytes of an unfinished character at the end of the message so far.
    unfinished: u8,
    role: Role,
    accept_unmasked: bool,
    parts: bool,
    /// Whether a part was handed out that the inbox still holds.
    lent: bool,
    /// Whether the message in progress is compressed.
    compressed: bool,
    #[cfg(feature = "deflate")]
    inflating: Option<Box<Inflating>>,
    end: Option<End>,
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

/// How the next event is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Lent, whole.
    Lent,
    /// Lent, in parts.
    Parts,
    /// Whole, in memory of its own: taken by [`owned`](Receiver::owned).
    Owned,
}

/// Why nothing more is parsed.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed(ProtocolError),
}

impl Receiver {
    pub(crate) fn new(role: Role, negotiated: &Negotiated, config: &ConnectionOptions) -> Self {
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
            seen: 0,
            unfinished: 0,
            role,
            accept_unmasked: config.accept_unmasked,
            parts: config.parts,
            lent: false,
            compressed: false,
            #[cfg(feature = "deflate")]
            inflating: negotiated
                .inflater(role, config.max_message)
                .map(|inflater| Box::new(Inflating::new(inflater))),
            end: None,
        }
    }

    /// Whether messages are reported in parts.
    #[cfg(feature = "std")]
    pub(crate) const fn takes_parts(&self) -> bool {
        self.parts
    }

    /// The longest message, in bytes.
    #[cfg(feature = "std")]
    pub(crate) const fn max_message(&self) -> usize {
        self.max_message
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
        match self.find(inbox)? {
            Some(found) => self.event(found, inbox).map(Some),
            None => Ok(None),
        }
    }

    /// As [`next_event`](Self::next_event), owned, in memory of its own size: unmasked while it is copied out of the
    /// inbox, which then needs no more room than a read.
    ///
    /// Messages are whole, whatever [`ConnectionOptions::parts`](super::ConnectionOptions::parts) says; of one that
    /// [`next_event`](Self::next_event) has begun to deliver in parts, the rest.
    ///
    /// # Errors
    ///
    /// As [`next_event`](Self::next_event).
    #[inline]
    pub fn next_owned<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Message>, ProtocolError> {
        match self.take_whole(inbox, false) {
            Whole::There(message) => message.map(Some),
            Whole::ToCome => Ok(None),
            Whole::Other => match self.go_on(inbox, Wanted::Owned)? {
                Some(found) => self.owned(found, inbox).map(Some),
                None => Ok(None),
            },
        }
    }

    /// What the peer did wrong, if it did: hand it to the sender with
    /// [`Sender::reply`](crate::raw::Sender::reply).
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

    /// Whether a frame, or the rest of the one that has begun, is at hand: then there is more to answer without a read.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn has_frame<S: Storage>(&self, inbox: &Inbox<S>) -> bool {
        let unread = inbox.unread();
        if self.frame.is_some() {
            return !unread.is_empty() && self.remaining <= unread.len();
        }
        match Header::parse(unread) {
            // The header is part of what is unread.
            Ok(Some((header, len))) => header.payload_len <= (unread.len() - len) as u64,
            _ => false,
        }
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.end = Some(End::Failed(error));
        error
    }

    /// Finds the next event, to be taken by [`event`](Self::event).
    #[inline(always)]
    pub(crate) fn find<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Found>, ProtocolError> {
        self.find_before(inbox, false)
    }

    /// As [`find`](Self::find). If `more` may be at hand, a short message that is not all there waits for it unseen; else all
    /// that has come is looked at.
    #[inline(always)]
    pub(crate) fn find_before<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        more: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let wanted = if self.parts { Wanted::Parts } else { Wanted::Lent };
        match self.find_whole(inbox, wanted, more) {
            Whole::There(found) => Ok(Some(found)),
            Whole::ToCome => Ok(None),
            Whole::Other => self.go_on(inbox, wanted),
        }
    }

    /// What [`find_whole`](Self::find_whole) has not found, the long way: frame by frame, piece by piece.
    #[inline(never)]
    pub(crate) fn go_on<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        wanted: Wanted,
    ) -> Result<Option<Found>, ProtocolError> {
        if let Some(end) = self.end {
            return Self::ended(end, inbox);
        }
        if core::mem::take(&mut self.lent) && self.message.is_some() {
            inbox.release(usize::from(self.unfinished));
        }
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.begin(inbox) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return self.wait(inbox),
                    Err(error) => return Err(self.fail(error)),
                },
            };
            let found = match frame {
                Frame::Data { fin } => self.data(inbox, fin, wanted),
                Frame::Control(kind) => Ok(self.control(inbox, kind)),
            };
            match found {
                Ok(None) if self.frame.is_none() => {} // a fragment that ends no message: go on
                Ok(None) => {
                    inbox.need(self.remaining.saturating_sub(inbox.waiting()));
                    return self.wait(inbox);
                }
                Ok(found) => {
                    self.lent = matches!(found, Some(Found { kind: FoundKind::Part(..), .. }));
                    return Ok(found);
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// RFC 6455 5.5.1, 7.1.7: nothing is parsed after a close or a failure.
    #[cold]
    fn ended<S: Storage>(end: End, inbox: &mut Inbox<S>) -> Result<Option<Found>, ProtocolError> {
        inbox.clear();
        match end {
            End::Closed => Ok(None),
            End::Failed(error) => Err(error),
        }
    }

    /// There is nothing to report before more is received. A fixed inbox that is full takes no more: a read into it would
    /// look like the end of the stream.
    #[inline]
    fn wait<S: Storage>(&mut self, inbox: &Inbox<S>) -> Result<Option<Found>, ProtocolError> {
        if inbox.is_full() { Err(self.fail(ProtocolError::MessageTooLarge)) } else { Ok(None) }
    }
}
