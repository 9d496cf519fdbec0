//! Where a decoder keeps what did not come whole in one read: on the heap, or in the caller's buffer.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "up to what was stored, within the buffer")]

use super::input::SHORT;
use alloc::vec::Vec;

/// Bytes that an [`EventDecoder`](super::EventDecoder) keeps: a `Vec<u8>`, which grows up to the decoder's limits, or
/// [`FixedStorage`], which never allocates. Sealed: there are no others.
///
/// ```
/// use pushline::sse::{EventDecoder, EventStorage};
///
/// /// Takes a decoder on the heap and one in a buffer alike.
/// fn last_seen<S: EventStorage>(decoder: &EventDecoder<S>) -> &str {
///     decoder.last_event_id()
/// }
/// assert_eq!(last_seen(&EventDecoder::new()), "");
/// ```
pub trait EventStorage: sealed::EventStorage {}

impl<S: sealed::EventStorage> EventStorage for S {}

pub(super) mod sealed {
    use super::{Full, SHORT};

    pub trait EventStorage: AsRef<[u8]> + AsMut<[u8]> {
        /// Appends all of `bytes`, or nothing.
        fn append(&mut self, bytes: &[u8]) -> Result<(), Full>;

        /// Appends the first `len` bytes of `padded`.
        fn append_short(&mut self, padded: &[u8; SHORT], len: usize) -> Result<(), Full>;

        /// Keeps the first `len` bytes, or appends zeros up to that length.
        fn resize(&mut self, len: usize) -> Result<(), Full>;
    }
}

/// No room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl sealed::EventStorage for Vec<u8> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn append_short(&mut self, padded: &[u8; SHORT], len: usize) -> Result<(), Full> {
        let end = self.len() + len;
        self.extend_from_slice(padded);
        self.truncate(end);
        Ok(())
    }

    #[inline]
    fn resize(&mut self, len: usize) -> Result<(), Full> {
        if len <= self.len() {
            self.truncate(len)
        } else {
            Vec::resize(self, len, 0)
        }
        Ok(())
    }
}

/// A storage inside the caller's buffer; see [`EventDecoder::in_buffer`](super::EventDecoder::in_buffer).
///
/// ```
/// use pushline::sse::{EventDecoder, FixedStorage, EventLimits};
///
/// let mut buffer = [0; 1024];
/// let decoder: EventDecoder<FixedStorage<'_>> = EventDecoder::in_buffer(&mut buffer, EventLimits::new().max_id(64).max_type(64));
/// ```
#[derive(Debug, Default)]
pub struct FixedStorage<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> FixedStorage<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }
}

impl AsRef<[u8]> for FixedStorage<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl AsMut<[u8]> for FixedStorage<'_> {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }
}

impl sealed::EventStorage for FixedStorage<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.buffer[self.len..].get_mut(..bytes.len()).ok_or(Full)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    fn append_short(&mut self, padded: &[u8; SHORT], len: usize) -> Result<(), Full> {
        self.append(&padded[..len])
    }

    fn resize(&mut self, len: usize) -> Result<(), Full> {
        self.buffer.get_mut(self.len..len.max(self.len)).ok_or(Full)?.fill(0);
        self.len = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::EventStorage as _;
    use super::*;

    #[test]
    fn a_buffer_takes_all_or_nothing() {
        let mut buffer = [9; 4];
        let mut storage = FixedStorage::new(&mut buffer);
        assert_eq!(storage.append(b"abc"), Ok(()));
        assert_eq!(storage.append(b"de"), Err(Full));
        assert_eq!(storage.as_ref(), b"abc");
        assert_eq!(storage.resize(5), Err(Full));
        assert_eq!(storage.resize(4), Ok(()));
        assert_eq!(storage.as_ref(), b"abc\0");
        assert_eq!(storage.resize(1), Ok(()));
        assert_eq!(storage.as_ref(), b"a");
    }
}
