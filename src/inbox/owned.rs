//! Messages taken out of an inbox in memory of their own, and the inbox's memory lent by its thread.

use super::Inbox;
#[cfg(feature = "tokio")]
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::ops::Range;

/// From this length on a payload is split off: below, a copy costs less than sharing and never pins
/// the block that it was received in.
const SPLIT: usize = 16 * 1024;

impl Inbox<BytesMut> {
    /// The inflated message; without a copy if it is long and fills the most of its memory.
    pub(crate) fn take_inflated(&mut self) -> Bytes {
        if self.inflated.len() < SPLIT.max(self.inflated.capacity() / 2) {
            return Bytes::copy_from_slice(&self.inflated);
        }
        core::mem::take(&mut self.inflated).into()
    }

    /// The assembled bytes of `range`, split off; without a copy if they are many.
    pub(crate) fn take(&mut self, range: Range<usize>) -> Bytes {
        if range.len() < SPLIT {
            return Bytes::copy_from_slice(&self.storage[range]);
        }
        let gone = range.end;
        let mut head = self.storage.split_to(gone);
        self.start = 0;
        self.assembled = 0;
        self.read -= gone;
        self.end -= gone;
        self.text = 0..0;
        head.split_off(range.start).freeze()
    }

    /// Room to read into, without a value yet: appended to, and then [`appended`](Self::appended).
    #[cfg(feature = "tokio")]
    pub(crate) fn spare(&mut self) -> bytes::buf::Limit<&mut BytesMut> {
        let offer = self.offer();
        self.storage.truncate(self.end);
        bytes::BufMut::limit(&mut self.storage, offer)
    }

    /// What was appended to [`spare`](Self::spare) was received: how many bytes.
    #[cfg(feature = "tokio")]
    pub(crate) fn appended(&mut self) -> usize {
        let n = self.storage.len() - self.end;
        self.filled(n);
        n
    }

    /// Puts memory into an inbox that has none.
    #[cfg(feature = "tokio")]
    pub(crate) fn set_memory(&mut self, (storage, inflated): (BytesMut, Vec<u8>)) {
        debug_assert_eq!(self.capacity(), 0, "only into an inbox without memory");
        self.storage = storage;
        if self.inflated.capacity() == 0 {
            self.inflated = inflated;
        }
    }

    /// Takes the memory out, and leaves what is held in memory of its own size.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_memory(&mut self) -> (BytesMut, Vec<u8>) {
        let mut held = BytesMut::new();
        held.extend_from_slice(&self.storage[self.message()]);
        held.extend_from_slice(self.unread());
        let message = self.message().len();
        (self.start, self.assembled, self.read, self.end) = (0, message, message, held.len());
        self.text = 0..0;
        let inflated =
            if self.inflated.is_empty() { core::mem::take(&mut self.inflated) } else { Vec::new() };
        (core::mem::replace(&mut self.storage, held), inflated)
    }
}
