//! Messages to frames in the queue: the header, masking, fragmentation (RFC 6455 5.2, 5.3, 5.4).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "a header of at most 14 bytes in an array of 14")]

use super::Sender;
use crate::ws::header::{FIN, Header, MASK, MAX_CONTROL_LEN, Opcode, header_len};
use crate::ws::mask::{apply_mask, copy_masked, copy_short, extend_masked};
use alloc::vec::Vec;
use bytes::Bytes;

/// From this length on a payload goes by reference: writing a second piece then costs less than
/// the copy.
pub(super) const BY_REFERENCE: usize = 4 * 1024;

/// The longest frame with a length in seven bits.
pub(super) const MAX_SHORT_FRAME: usize = 6 + MAX_CONTROL_LEN;

/// The reserved bits of a header: none, or RSV1 on the first frame of a compressed message
/// (RFC 7692 6).
pub(super) const PLAIN: u8 = 0;
#[cfg(feature = "deflate")]
pub(super) const COMPRESSED: u8 = 4;

impl Sender {
    /// Queues a message in as many frames as the fragment size asks for.
    #[inline]
    pub(super) fn push_fragments(&mut self, mut opcode: Opcode, mut rsv: u8, payload: &[u8]) {
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
    pub(super) fn push_by_reference(&mut self, mut opcode: Opcode, mut rsv: u8, mut payload: Bytes) {
        loop {
            let fragment = payload.split_to(payload.len().min(self.fragment_size));
            let fin = payload.is_empty();
            let mask = self.keys.as_mut().map(|keys| keys.next_key());
            let header = Header { fin, rsv, opcode, mask, payload_len: fragment.len() as u64 };
            let (head, len) = header.encode();
            match (mask, fragment) {
                (None, fragment) => self.outgoing.push_shared(&head[..len], fragment),
                // If nobody else holds the payload, it is masked in place, otherwise in the copy.
                (Some(key), fragment) => match fragment.try_into_mut() {
                    Ok(mut masked) => {
                        apply_mask(&mut masked, key);
                        self.outgoing.push_shared(&head[..len], masked.freeze());
                    }
                    Err(shared) => {
                        let buffer = self.outgoing.open_run(len + shared.len());
                        append(buffer, &header, &shared);
                    }
                },
            }
            if fin {
                return;
            }
            (opcode, rsv) = (Opcode::Continuation, PLAIN);
        }
    }

    #[inline]
    pub(super) fn push_frame(&mut self, opcode: Opcode, rsv: u8, fin: bool, payload: &[u8]) {
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        let len = header_len(payload.len() as u64, mask.is_some()) + payload.len();
        let header = Header { fin, rsv, opcode, mask, payload_len: payload.len() as u64 };
        append(self.outgoing.open_run(len), &header, payload);
    }

    /// A frame of at most 125 bytes, in one piece, put together where it is wanted: handed back by value it would be
    /// copied, and the copy would wait for each of the small writes that it is made of.
    #[inline]
    pub(super) fn short_frame<'a>(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        frame: &'a mut [u8; MAX_SHORT_FRAME],
    ) -> &'a [u8] {
        frame[0] = FIN | opcode as u8;
        frame[1] = payload.len() as u8;
        let start = match &mut self.keys {
            None => {
                copy_short(&mut frame[2..2 + payload.len()], payload);
                2
            }
            Some(keys) => {
                let key = keys.next_key();
                frame[1] |= MASK;
                frame[2..6].copy_from_slice(&key);
                copy_masked(&mut frame[6..6 + payload.len()], payload, key);
                6
            }
        };
        &frame[..start + payload.len()]
    }
}

/// Appends a frame, or the beginning of one: its header, and what there is of its payload.
#[inline(always)] // most often all but the payload is known
pub(super) fn append(buffer: &mut Vec<u8>, header: &Header, payload: &[u8]) {
    let first = (header.fin as u8) << 7 | header.rsv << 4 | header.opcode as u8;
    match header.mask {
        // The short form needs no more than two bytes and no loop.
        None if payload.len() <= MAX_CONTROL_LEN => {
            buffer.reserve(2 + payload.len());
            buffer.extend_from_slice(&[first, payload.len() as u8]);
            buffer.extend_from_slice(payload);
        }
        Some(key @ [a, b, c, d]) if payload.len() <= MAX_CONTROL_LEN => {
            buffer.reserve(6 + payload.len());
            buffer.extend_from_slice(&[first, 0x80 | payload.len() as u8, a, b, c, d]);
            extend_masked(buffer, payload, key);
        }
        mask => {
            let (head, len) = header.encode();
            buffer.reserve(len + payload.len());
            buffer.extend_from_slice(&head[..len]);
            append_payload(buffer, mask, payload);
        }
    }
}

/// Appends a payload, or what is left of it.
#[inline]
pub(super) fn append_payload(buffer: &mut Vec<u8>, mask: Option<[u8; 4]>, payload: &[u8]) {
    match mask {
        None => buffer.extend_from_slice(payload),
        Some(key) => extend_masked(buffer, payload, key),
    }
}
