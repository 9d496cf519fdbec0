//! The short way: a message in one frame that is all there (RFC 6455 5.2, 5.3), as most are. It keeps no state between header
//! and payload but how far a text was looked at, and judges nothing: faults, fragments and control frames go the long way.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths that are within the limits, and of what is unread"
)]

use super::found::{Found, FoundKind, Source};
use super::{Kind, Receiver, Wanted};
use crate::inbox::{DIRECT, Inbox, Storage};
use crate::ws::config::Role;
use crate::ws::error::ProtocolError;
use crate::ws::header::{Header, Opcode};
use crate::ws::mask::{is_masked_ascii, rotate};
use crate::ws::message::Message;
use crate::ws::utf8::InvalidUtf8;
use core::ops::Range;

/// What there is of a message in one frame.
pub(crate) enum Whole<T> {
    /// All.
    There(T),
    /// A part of a short one, which stays unread until it is all there.
    ToCome,
    /// Something else, or the beginning of a long one, for [`Receiver::go_on`].
    Other,
}

impl<T> Whole<T> {
    #[inline(always)]
    fn map<U>(self, map: impl FnOnce(T) -> U) -> Whole<U> {
        match self {
            Self::There(whole) => Whole::There(map(whole)),
            Self::ToCome => Whole::ToCome,
            Self::Other => Whole::Other,
        }
    }
}

impl Receiver {
    /// The next event, if it is a message in one frame that is all there. If `more` may be at hand, a short one is not looked
    /// at before.
    #[inline(always)]
    pub(super) fn find_whole<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        wanted: Wanted,
        more: bool,
    ) -> Whole<Found> {
        let parts = wanted == Wanted::Parts;
        self.whole(inbox, parts, more).map(|(kind, range, key)| {
            let kind_found = if parts { FoundKind::Part(kind, true) } else { FoundKind::Message(kind) };
            unmasked(inbox, kind_found, range, key, kind == Kind::Text && !parts)
        })
    }

    /// As [`find_whole`](Self::find_whole), taken out where it is found, as most are: handed on, it would go through memory
    /// and wait for that.
    #[inline(always)]
    pub(crate) fn take_whole<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        more: bool,
    ) -> Whole<Result<Message, ProtocolError>> {
        let (kind, range, key) = match self.whole(inbox, false, more) {
            Whole::There(whole) => whole,
            Whole::ToCome => return Whole::ToCome,
            Whole::Other => return Whole::Other,
        };
        if inbox.goes_out(range.len()) {
            let found = unmasked(inbox, FoundKind::Message(kind), range, key, kind == Kind::Text);
            return Whole::There(self.owned(found, inbox));
        }
        let copied = inbox.copy_unmasked(range, key);
        Whole::There(match kind {
            Kind::Binary => Ok(Message::Binary(copied.into_bytes())),
            // RFC 6455 8.1: text that is not UTF-8 fails the connection.
            Kind::Text => match copied.into_text() {
                Ok(text) => Ok(Message::Text(text)),
                Err(InvalidUtf8) => Err(self.fail(ProtocolError::InvalidUtf8)),
            },
        })
    }

    /// A message in one frame that is all there, as most are: the short way, without state between
    /// header and payload. Whatever is out of the ordinary, faults too, is left to the long way.
    #[inline(always)]
    fn whole<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        parts: bool,
        more: bool,
    ) -> Whole<(Kind, Range<usize>, Option<[u8; 4]>)> {
        if self.message.is_some() || self.end.is_some() {
            return Whole::Other;
        }
        inbox.release(0);
        if self.frame.is_some() {
            return Whole::Other;
        }
        let Ok(Some((header, header_len))) = Header::parse(inbox.unread()) else { return Whole::Other };
        let kind = match header.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            _ => return Whole::Other,
        };
        let ordinary = header.fin
            && header.rsv == 0
            && header.mask.is_some() == (self.role == Role::Server)
            && self.check_limits(header.payload_len, false).is_ok();
        if !ordinary {
            return Whole::Other;
        }
        // Within the limits, which are `usize`.
        let len = header.payload_len as usize;
        let missing = len.saturating_sub(inbox.unread().len() - header_len);
        if missing > 0 {
            let waits = if len < DIRECT {
                S::GROWS && !parts && (more || self.waits(inbox, kind, header.mask, header_len))
            } else {
                S::GROWS && !parts && more && inbox.expects(header_len + len)
            };
            if waits {
                inbox.need(missing);
                return Whole::ToCome;
            }
            // The long way goes on behind the header.
            self.seen = 0;
            inbox.take_header(header_len);
            (self.key, self.remaining) = (header.mask, len);
            self.frame = Some(self.first_fragment(inbox, kind, &header));
            return Whole::Other;
        }
        self.seen = 0;
        inbox.take_header(header_len);
        let range = inbox.set_aside(len);
        inbox.release(0);
        Whole::There((kind, range, header.mask))
    }

    /// Whether a short message can wait where it is until it is all there. Not if it is text of which something has come
    /// that may be bad (RFC 6455 8.1): that is looked at at once, and what is ASCII was.
    #[inline(never)]
    fn waits<S: Storage>(
        &mut self,
        inbox: &Inbox<S>,
        kind: Kind,
        key: Option<[u8; 4]>,
        header_len: usize,
    ) -> bool {
        const { assert!(DIRECT <= u16::MAX as usize, "what is counted by `seen`") };
        if kind == Kind::Binary {
            return true;
        }
        let seen = usize::from(self.seen);
        let new = inbox.unread().get(header_len + seen..).unwrap_or_default();
        self.seen += new.len() as u16;
        is_masked_ascii(new, rotate(key.unwrap_or_default(), seen))
    }
}

/// A message that was set aside, unmasked where it is; `text` is looked at meanwhile.
#[inline(always)]
fn unmasked<S: Storage>(
    inbox: &mut Inbox<S>,
    kind: FoundKind,
    range: Range<usize>,
    key: Option<[u8; 4]>,
    text: bool,
) -> Found {
    let source = if inbox.unmask(range.clone(), key, text) {
        inbox.set_text(range.clone());
        Source::Checked
    } else {
        Source::Received
    };
    Found { kind, range, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::config::ConnectionOptions;
    use crate::ws::mask::apply_mask;
    use crate::ws::message::Event;
    use crate::ws::negotiated::Negotiated;
    use alloc::string::String;
    use alloc::vec::Vec;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let payload_len = payload.len() as u64;
        let header = Header { fin: true, rsv: 0, opcode, mask: Some(KEY), payload_len };
        let (head, len) = header.encode();
        let mut frame = head[..len].to_vec();
        frame.extend_from_slice(payload);
        apply_mask(&mut frame[len..], KEY);
        frame
    }

    /// Feeds pieces; what came of it, and how many pieces it took.
    fn feed(frame: &[u8], piece: usize, owned: bool) -> (usize, Result<Option<Message>, ProtocolError>) {
        let mut receiver = Receiver::new(Role::Server, &Negotiated::default(), &ConnectionOptions::new());
        let mut inbox = Inbox::new();
        for (n, bytes) in frame.chunks(piece).enumerate() {
            assert_eq!(inbox.extend(bytes), bytes.len());
            let next = if owned {
                receiver.next_owned(&mut inbox)
            } else {
                receiver.next_event(&mut inbox).map(|event| {
                    event.map(|event| match event {
                        Event::Text(text) => Message::Text(text.into()),
                        Event::Binary(payload) => Message::Binary(payload.to_vec().into()),
                        event => panic!("{event:?}"),
                    })
                })
            };
            if !matches!(next, Ok(None)) {
                return (n + 1, next);
            }
            // A header is at most 8 bytes long here, and none is waited for beyond the frame.
            let fed = (n + 1) * piece;
            assert!(inbox.needed() > 0 && (fed < 8 || fed + inbox.needed() == frame.len()));
        }
        (frame.len(), Ok(None))
    }

    #[test]
    fn a_short_message_waits_until_it_is_there_and_a_bad_byte_does_not() {
        for len in [1, 125, 126, 1_000, DIRECT - 1, DIRECT, DIRECT + 1] {
            let head = frame(Opcode::Text, &vec![b'a'; len]).len() - len;
            for owned in [true, false] {
                for piece in [1, 7, 500] {
                    for text in [vec![b'a'; len], "\u{e9}".repeat(len).into_bytes()] {
                        let text = &text[..len / 2 * 2];
                        let all = frame(Opcode::Text, text);
                        let expected = Message::Text(String::from_utf8(text.to_vec()).unwrap().into());
                        assert_eq!(feed(&all, piece, owned), (all.len().div_ceil(piece), Ok(Some(expected))));
                        let all = frame(Opcode::Binary, text);
                        let expected = Message::Binary(text.to_vec().into());
                        assert_eq!(feed(&all, piece, owned), (all.len().div_ceil(piece), Ok(Some(expected))));
                    }
                    for bad in [0, len / 2, len - 1] {
                        let mut text = vec![b'a'; len];
                        text[bad] = 0xff;
                        let (pieces, outcome) = feed(&frame(Opcode::Text, &text), piece, owned);
                        assert_eq!(outcome, Err(ProtocolError::InvalidUtf8));
                        assert_eq!(pieces, (head + bad + 1).div_ceil(piece), "{len} {piece} {bad}");
                    }
                }
            }
        }
    }
}
