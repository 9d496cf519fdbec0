//! What a parser does with an inbox: takes headers off, unmasks and joins the payload behind them, lets go of what is
//! done with.

use super::{Inbox, READ_SIZE, Storage};
use crate::ws::mask::{apply_mask, unmask_is_ascii};
#[cfg(feature = "deflate")]
use alloc::vec::Vec;
use core::ops::Range;

/// Memory above this is not kept for the next message, but for the storage itself.
const LARGE: usize = 64 * 1024;

impl<S: Storage> Inbox<S> {
    /// Waits for `needed` more bytes.
    #[inline]
    pub(crate) const fn need(&mut self, needed: usize) {
        self.needed = needed;
    }

    /// The next `n` unread bytes, a header, are done with.
    #[inline]
    pub(crate) const fn take_header(&mut self, n: usize) {
        self.read += n;
    }

    /// Lets go of the message but for its last `keep` bytes; an empty one starts at the next
    /// unread byte.
    #[inline]
    pub(crate) fn release(&mut self, keep: usize) {
        self.text = 0..0;
        if !self.inflated.is_empty() {
            return self.release_inflated(keep);
        }
        if keep == 0 {
            self.assembled = self.read;
        }
        self.start = self.assembled - keep;
    }

    fn release_inflated(&mut self, keep: usize) {
        self.inflated.drain(..self.inflated.len() - keep);
        if self.inflated.capacity() > LARGE {
            self.inflated.shrink_to(READ_SIZE);
        }
        self.assembled = self.read;
        self.start = self.read;
    }

    /// Unmasks the unread bytes of a range, where they are.
    #[cfg(feature = "deflate")]
    pub(crate) fn unmask(&mut self, range: Range<usize>, key: Option<[u8; 4]>) {
        if let Some(key) = key {
            apply_mask(&mut self.storage.bytes_mut()[self.read + range.start..self.read + range.end], key);
        }
    }

    /// Hands the next `n` unread bytes to `inflate`, with the memory to append to; as many of them
    /// as it says are done with.
    #[cfg(feature = "deflate")]
    pub(crate) fn inflate<E>(
        &mut self,
        n: usize,
        inflate: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let input = &self.storage.bytes()[self.read..self.read + n];
        self.read += inflate(input, &mut self.inflated)?;
        self.assembled = self.read;
        self.start = self.read;
        Ok(())
    }

    /// What was inflated of the message under assembly.
    #[inline]
    pub(crate) fn inflated(&self) -> &[u8] {
        &self.inflated
    }

    /// Unmasks the next `n` unread bytes and appends them to the message; whether `text` is known to
    /// be ASCII.
    #[inline]
    pub(crate) fn assemble(&mut self, n: usize, key: Option<[u8; 4]>, text: bool) -> bool {
        let bytes = self.storage.bytes_mut();
        if self.assembled != self.read {
            bytes.copy_within(self.read..self.read + n, self.assembled);
        }
        let ascii = unmask(&mut bytes[self.assembled..self.assembled + n], key, text);
        self.assembled += n;
        self.read += n;
        ascii
    }

    /// Unmasks the next `n` unread bytes where they are and takes them out of the stream; whether `text` is known to
    /// be ASCII.
    #[inline]
    pub(crate) fn set_aside(&mut self, n: usize, key: Option<[u8; 4]>, text: bool) -> (Range<usize>, bool) {
        let range = self.read..self.read + n;
        let ascii = unmask(&mut self.storage.bytes_mut()[range.clone()], key, text);
        self.read += n;
        (range, ascii)
    }

    /// Where the message under assembly lies.
    #[inline]
    pub(crate) const fn message(&self) -> Range<usize> {
        self.start..self.assembled
    }

    /// The bytes of a range.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.storage.bytes()[range]
    }
}

/// Whether `text` is known to be ASCII: only what is masked is touched, and can be seen to be on the way.
#[inline]
fn unmask(bytes: &mut [u8], key: Option<[u8; 4]>, text: bool) -> bool {
    match key {
        Some(key) if text => unmask_is_ascii(bytes, key),
        Some(key) => {
            apply_mask(bytes, key);
            false
        }
        None => false,
    }
}
