//! What compression changes in sending, if it was agreed (RFC 7692 6, 7.2.1); without the feature, nothing.

use super::Sender;
#[cfg(feature = "deflate")]
use super::frame::{BY_REFERENCE, COMPRESSED};
use crate::ws::header::Opcode;
use crate::ws::prepared::Prepared;
#[cfg(feature = "deflate")]
use alloc::vec::Vec;
use bytes::Bytes;

impl Sender {
    /// Compresses and queues a message in one step, if compression was agreed and pays: whether it
    /// was.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(super) fn push_compressed(&mut self, opcode: Opcode, payload: &[u8]) -> bool {
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
    pub(super) fn push_compressed(&mut self, _: Opcode, _: &[u8]) -> bool {
        false
    }

    /// Whether a message of this length is compressed.
    #[inline]
    pub(super) fn compresses(&self, len: usize) -> bool {
        #[cfg(feature = "deflate")]
        return self.compressor.as_ref().is_some_and(|compressor| compressor.options.is_worthwhile(len));
        #[cfg(not(feature = "deflate"))]
        return {
            let _ = len;
            false
        };
    }

    /// The frame of a prepared message for this connection.
    pub(super) fn prepared_frame(&mut self, prepared: &Prepared) -> Bytes {
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

    /// The most bytes that `len` bytes become. Compressed, they are bytes of at worst nine bits and the
    /// headers of blocks.
    #[inline]
    pub(super) const fn longest(&self, len: usize) -> usize {
        #[cfg(feature = "deflate")]
        if self.compressor.is_some() {
            return len.saturating_add(len / 8).saturating_add(16);
        }
        len
    }
}
