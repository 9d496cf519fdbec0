//! What was found in the inbox, and how it is cut out: as an event that is lent, or as a message.
#![allow(clippy::indexing_slicing, reason = "what the inbox was told to hold until it is lent")]

use super::{End, Kind, Receiver};
use crate::inbox::{Inbox, Storage};
use crate::ws::close::CloseFrame;
use crate::ws::error::ProtocolError;
use crate::ws::message::{Event, Message};
use crate::ws::utf8;
use bytes::Bytes;
use core::ops::Range;

/// An event as a range of the inbox.
#[derive(Debug)]
pub(crate) struct Found {
    pub(super) kind: FoundKind,
    pub(super) range: Range<usize>,
    pub(super) source: Source,
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
pub(super) enum Source {
    Received,
    /// The message that was put together apart.
    Apart,
    /// Text, checked already: all that the inbox knows to be.
    Checked,
}

impl Source {
    #[inline(always)]
    pub(super) fn bytes<S: Storage>(self, inbox: &Inbox<S>, range: Range<usize>) -> &[u8] {
        match self {
            Self::Received => inbox.bytes(range),
            Self::Apart => &inbox.apart()[range],
            Self::Checked => inbox.text().as_bytes(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FoundKind {
    Message(Kind),
    /// With whether it is the last.
    Part(Kind, bool),
    Ping,
    Pong,
    Close,
}

impl Receiver {
    /// Cuts what was found out of the inbox: the one place that does.
    #[inline(always)]
    pub(crate) fn event<'b, S: Storage>(
        &mut self,
        found: Found,
        inbox: &'b Inbox<S>,
    ) -> Result<Event<'b>, ProtocolError> {
        if found.source == Source::Checked {
            return Ok(Event::Text(inbox.text()));
        }
        let bytes = found.source.bytes(inbox, found.range);
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
    #[inline]
    pub(crate) fn owned<S: Storage>(
        &mut self,
        found: Found,
        inbox: &mut Inbox<S>,
    ) -> Result<Message, ProtocolError> {
        let FoundKind::Message(kind) = found.kind else { return self.owned_control(found, inbox) };
        let text = match (kind, found.source) {
            (Kind::Binary, Source::Apart) => return Ok(Message::Binary(inbox.take_apart())),
            (Kind::Binary, _) => return Ok(Message::Binary(inbox.take_received(found.range))),
            (_, Source::Checked) => return Ok(Message::Text(inbox.take_text())),
            (Kind::Text, Source::Apart) => inbox.take_apart_text(),
            (Kind::Text, _) => inbox.take_received_text(found.range),
        };
        // RFC 6455 8.1: text that is not UTF-8 fails the connection.
        text.map(Message::Text).map_err(|utf8::InvalidUtf8| self.fail(ProtocolError::InvalidUtf8))
    }

    #[cold]
    fn owned_control<S: Storage>(
        &mut self,
        found: Found,
        inbox: &Inbox<S>,
    ) -> Result<Message, ProtocolError> {
        Ok(match self.event(found, inbox)? {
            Event::Text(text) | Event::TextPart { text, .. } => Message::Text(text.into()),
            Event::Binary(payload) | Event::BinaryPart { payload, .. } => {
                Message::Binary(Bytes::copy_from_slice(payload))
            }
            Event::Ping(payload) => Message::Ping(Bytes::copy_from_slice(payload)),
            Event::Pong(payload) => Message::Pong(Bytes::copy_from_slice(payload)),
            Event::Close(close) => Message::Close(close.map(|close| (close.code, close.reason.into()))),
        })
    }
}
