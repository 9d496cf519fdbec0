//! Bytes that go ahead of whatever has not begun: items that stay, and a last one that a later one may replace.
#![allow(clippy::indexing_slicing, reason = "items that this file keeps count of")]

use alloc::vec::Vec;

/// Written bytes are kept up to this number, so that the rest is rarely moved.
pub(super) const SLACK: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Urgent {
    bytes: Vec<u8>,
    /// Bytes that were written.
    at: usize,
    /// Where the last item ends that is not replaceable.
    end: usize,
    /// The length of the replaceable item, the last; 0 if there is none.
    replaceable: u8,
}

impl Urgent {
    /// Whether there is nothing, nor was since it was empty last.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that are left.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What is left.
    #[inline]
    pub(super) fn left(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Whether it has begun to be written.
    #[inline]
    pub(super) const fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Whether an item that is not replaceable is left, or its end.
    #[inline]
    pub(super) const fn holds_items(&self) -> bool {
        self.end > self.at
    }

    /// Bytes of memory.
    #[cfg(any(test, feature = "tokio"))]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends an item, ahead of the replaceable one.
    pub(super) fn push(&mut self, item: &[u8]) {
        self.compact();
        self.bytes.extend_from_slice(item);
        let replaceable = usize::from(self.replaceable);
        if replaceable + item.len() <= self.len() {
            let start = self.bytes.len() - item.len() - replaceable;
            self.bytes[start..].rotate_right(item.len());
        } else {
            self.replaceable = 0; // it has begun to be written
        }
        self.end = self.bytes.len() - usize::from(self.replaceable);
    }

    /// Appends an item in the place of the last replaceable one, if that one has not begun to be written.
    pub(super) fn replace(&mut self, item: &[u8]) {
        self.compact();
        let replaceable = usize::from(self.replaceable);
        if replaceable <= self.len() {
            self.bytes.truncate(self.bytes.len() - replaceable);
        }
        debug_assert!(item.len() <= 255, "a control frame");
        self.replaceable = item.len() as u8;
        self.bytes.extend_from_slice(item);
    }

    /// Drops most of the bytes that were written. One stays: it says that they have begun.
    fn compact(&mut self) {
        if self.at > SLACK {
            let gone = self.at - 1;
            self.bytes.drain(..gone);
            self.at = 1;
            self.end = self.end.saturating_sub(gone);
        }
    }

    /// Takes up to `n` bytes off; what is left of `n`.
    pub(super) fn advance(&mut self, n: usize) -> usize {
        let left = self.len();
        if n < left {
            self.at += n;
            return 0;
        }
        self.bytes.clear();
        (self.at, self.end, self.replaceable) = (0, 0, 0);
        n - left
    }
}
