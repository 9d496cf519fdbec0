//! What a frame header may say to this role, in this place, within these limits (RFC 6455 5.1, 5.2, 5.4, 10.4). What no
//! header may say is refused by [`Header::parse`].
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sizes and counts that were compared with their limit before"
)]
#![allow(clippy::indexing_slicing, reason = "behind the header, which is complete by then")]

use super::found::FoundKind;
use super::{Frame, Kind, Receiver};
use crate::inbox::{Inbox, Storage};
use crate::ws::config::Role;
use crate::ws::error::ProtocolError;
use crate::ws::header::{Header, MASK, Opcode, RSV, RSV1, len_before_key};

impl Receiver {
    /// Reads a frame header, if it is whole, and makes it the current frame.
    #[inline]
    pub(super) fn begin<S: Storage>(&mut self, inbox: &mut Inbox<S>) -> Result<Option<Frame>, ProtocolError> {
        let bytes = inbox.unread();
        let [first, rest @ ..] = bytes else {
            inbox.need(2);
            return Ok(None);
        };
        // Faults in the order of their bytes, so that it makes no difference how those are cut: what
        // is wrong with the length comes last.
        self.check_reserved_bits(*first)?;
        let parsed = match Header::parse_before_key(bytes) {
            Err(error) if !error.is_of_length() => return Err(error.into()),
            parsed => parsed,
        };
        self.check_fragmentation(*first)?;
        if let [second, ..] = rest {
            self.check_masking(*second)?;
        }
        let Some((header, before_key)) = parsed? else {
            inbox.need(len_before_key(bytes) - bytes.len());
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
        inbox.take_header(len);
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
    pub(super) fn first_fragment<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        kind: Kind,
        header: &Header,
    ) -> Frame {
        inbox.release(0);
        self.message = Some(kind);
        self.compressed = header.rsv != 0;
        self.fragments = 1;
        self.size = self.remaining;
        self.unfinished = 0;
        Frame::Data { fin: header.fin }
    }

    /// RFC 6455 5.2: the reserved bits MUST be 0 unless an extension is negotiated that defines them. RFC 7692 6: RSV1 on
    /// the first frame of a message says that it is compressed.
    #[inline]
    fn check_reserved_bits(&self, first: u8) -> Result<(), ProtocolError> {
        #[cfg(feature = "deflate")]
        let negotiated = self.inflating.is_some();
        #[cfg(not(feature = "deflate"))]
        let negotiated = false;
        match first & RSV {
            0 => Ok(()),
            RSV1 if negotiated && matches!(Opcode::new(first), Some(Opcode::Text | Opcode::Binary)) => Ok(()),
            _ => Err(ProtocolError::ReservedBits),
        }
    }

    /// RFC 6455 5.4: continuation frames within a message and only there. Seen from the first byte.
    #[inline]
    fn check_fragmentation(&self, first: u8) -> Result<(), ProtocolError> {
        match Opcode::new(first) {
            Some(Opcode::Continuation) if self.message.is_none() => {
                Err(ProtocolError::UnexpectedContinuation)
            }
            Some(Opcode::Text | Opcode::Binary) if self.message.is_some() => {
                Err(ProtocolError::ExpectedContinuation)
            }
            _ => Ok(()),
        }
    }

    /// RFC 6455 5.1: a client masks every frame, a server none. Seen from the second byte.
    #[inline]
    fn check_masking(&self, second: u8) -> Result<(), ProtocolError> {
        match (self.role, second & MASK != 0) {
            (Role::Server, false) if !self.accept_unmasked => Err(ProtocolError::UnmaskedFrame),
            (Role::Client, true) => Err(ProtocolError::MaskedFrame),
            _ => Ok(()),
        }
    }

    /// RFC 6455 10.4: the limits, as soon as the length is known. A message in progress counts.
    #[inline]
    pub(super) fn check_limits(&self, payload_len: u64, compressed: bool) -> Result<(), ProtocolError> {
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
}

/// The most bytes of a compressed message on the wire. What does not compress gets a little longer;
/// what goes on and on without standing for anything must end, too.
const fn compressed_limit(max_message: usize) -> usize {
    max_message.saturating_add(max_message / 8).saturating_add(1024)
}
