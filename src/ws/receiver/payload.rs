//! Payload as it arrives: unmasked, inflated, checked and put together to messages (RFC 6455 5.3, 5.4, 8.1).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "no more than is left; the unfinished character is part of what arrived"
)]

use super::found::{Found, FoundKind, Source};
use super::{Kind, Receiver, Wanted};
use crate::inbox::{Announced, Inbox, Storage, WORTH_UNMASKING};
use crate::ws::error::ProtocolError;
use crate::ws::mask::rotate;
use crate::ws::utf8;
use core::ops::Range;

/// Payload that has arrived.
pub(super) struct Arrived {
    /// Where the message so far lies.
    pub(super) message: Range<usize>,
    pub(super) source: Source,
    /// How many bytes at its end are new.
    pub(super) new: usize,
    /// Whether the frame's payload is whole now.
    pub(super) whole: bool,
    /// Whether what is new is known to be ASCII.
    pub(super) ascii: bool,
}

impl Receiver {
    /// Takes what is there of a data frame's payload.
    #[inline]
    pub(super) fn data<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        fin: bool,
        wanted: Wanted,
    ) -> Result<Option<Found>, ProtocolError> {
        let parts = wanted == Wanted::Parts;
        #[cfg(feature = "deflate")]
        if self.compressed {
            return self.inflate(inbox, fin, parts);
        }
        let n = self.remaining.min(inbox.waiting());
        // Text is looked at at once, and what is to be owned is copied; the rest can wait until it is worth it.
        let waits = self.message == Some(Kind::Binary)
            && match wanted {
                Wanted::Lent => true,
                Wanted::Parts => false,
                Wanted::Owned => inbox.has_raw(),
            };
        if n < self.remaining.min(WORTH_UNMASKING) && (n == 0 || waits) {
            return Ok(None);
        }
        let text = self.message == Some(Kind::Text);
        let announced = Announced { rest: self.remaining, last: fin };
        let ascii = inbox.assemble(n, self.key, text, (wanted == Wanted::Owned).then_some(announced));
        self.remaining -= n;
        self.key = self.key.map(|key| rotate(key, n));
        let whole = self.remaining == 0;
        if text && !parts {
            return self.text(inbox, n, ascii, fin, whole);
        }
        let (message, source) = match inbox.apart().len() {
            0 => (inbox.message(), Source::Received),
            len => (0..len, Source::Apart),
        };
        self.arrived(Arrived { message, source, new: n, whole, ascii }, inbox, fin, parts)
    }

    /// Each piece of a text is looked at once, as it arrives, to fail at the bad byte; what is ASCII was seen to be
    /// when it was unmasked.
    #[inline]
    fn text<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        new: usize,
        ascii: bool,
        fin: bool,
        whole: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let last = fin && whole;
        let unfinished = inbox.check_text(new, ascii, !last).map_err(|_| ProtocolError::InvalidUtf8)?;
        self.unfinished = unfinished as u8;
        if whole {
            self.frame = None;
        }
        if !last {
            return Ok(None);
        }
        self.message = None;
        Ok(Some(Found { kind: FoundKind::Message(Kind::Text), range: 0..0, source: Source::Checked }))
    }

    /// What has come of it that payload has arrived: the message, a part of it, or nothing yet.
    #[inline]
    pub(super) fn arrived<S: Storage>(
        &mut self,
        Arrived { message, source, new, whole, ascii }: Arrived,
        inbox: &Inbox<S>,
        fin: bool,
        parts: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        let kind = self.message.unwrap_or(Kind::Binary);
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
            let bytes = source.bytes(inbox, unchecked..message.end);
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
    pub(super) fn control<S: Storage>(&mut self, inbox: &mut Inbox<S>, kind: FoundKind) -> Option<Found> {
        if inbox.unread().len() < self.remaining {
            return None;
        }
        self.frame = None;
        let range = inbox.set_aside(self.remaining);
        inbox.unmask(range.clone(), self.key, false);
        Some(Found { kind, range, source: Source::Received })
    }
}
