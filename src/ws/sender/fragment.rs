//! A message in fragments of the caller's choice (RFC 6455 5.4).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "pieces of at most `fragment_size` of a payload that is longer")]

use super::Sender;
#[cfg(feature = "deflate")]
use super::frame::COMPRESSED;
use super::frame::PLAIN;
use crate::ws::error::UsageError;
use crate::ws::header::Opcode;
use crate::ws::utf8;
#[cfg(feature = "deflate")]
use alloc::vec::Vec;

/// An own message of which the last fragment is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fragmented {
    Binary,
    /// Text, with the bytes of its unfinished last character and their number.
    Text([u8; 4], u8),
}

impl Sender {
    /// Queues one fragment of a message, a frame of its own: first [`Opcode::Text`] or
    /// [`Opcode::Binary`], then [`Opcode::Continuation`], `fin` on the last (RFC 6455 5.4).
    ///
    /// Control frames may be sent between fragments, other messages not. A character of a text may
    /// be cut by the end of a fragment, but not by the end of the message.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`UsageError::NoMessageInProgress`],
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
