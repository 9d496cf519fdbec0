//! The memory under an inbox: that grows, or is fixed.

use alloc::vec::Vec;
use core::ops::Range;

/// The memory of an [`Inbox`](super::Inbox): grows (`Vec<u8>`) or is fixed (`[u8; N]`, `&mut [u8]`).
///
/// The trait is sealed.
///
/// ```
/// use pushline::{Inbox, Storage};
///
/// /// Takes an inbox in a buffer on the stack and one that grows alike.
/// fn waits_for<S: Storage>(inbox: &Inbox<S>) -> usize {
///     inbox.needed()
/// }
/// assert_eq!(waits_for(&Inbox::over([0; 512])), 0);
/// ```
pub trait Storage: sealed::Storage {}

mod sealed {
    use alloc::vec::Vec;
    use core::ops::Range;

    pub trait Storage {
        /// Whether it can grow.
        const GROWS: bool;
        /// The bytes that have a value.
        fn bytes(&self) -> &[u8];
        fn bytes_mut(&mut self) -> &mut [u8];
        /// How many bytes there is memory for.
        fn capacity(&self) -> usize;
        /// Gives the first `len` bytes, of its capacity, a value.
        fn init(&mut self, len: usize);
        /// Writes at `at`, within its capacity. The bytes before have a value.
        fn write(&mut self, at: usize, bytes: &[u8]);
        /// Makes room for `len` bytes, if it can grow.
        fn grow(&mut self, len: usize);
        /// Goes over to memory for `len` bytes; only the first `held` matter.
        fn shrink(&mut self, held: usize, len: usize);
        /// Hands its memory out, if it can get other, for the bytes that it is to keep.
        fn take(&mut self, keep: Range<usize>) -> Option<Vec<u8>>;
    }
}

impl Storage for Vec<u8> {}
impl sealed::Storage for Vec<u8> {
    const GROWS: bool = true;
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    #[inline]
    fn capacity(&self) -> usize {
        self.capacity()
    }
    #[inline]
    fn init(&mut self, len: usize) {
        if self.len() < len {
            self.resize(len, 0);
        }
    }
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let n = bytes.len().min(self.len() - at);
        self[at..at + n].copy_from_slice(&bytes[..n]);
        self.extend_from_slice(&bytes[n..]);
    }
    fn grow(&mut self, len: usize) {
        // The inbox asks for twice what it holds: doubled once more, that would be four times.
        self.reserve_exact(len.saturating_sub(self.len()));
    }
    fn shrink(&mut self, held: usize, len: usize) {
        let mut less = Self::with_capacity(len);
        less.extend_from_slice(&self[..held]);
        *self = less;
    }
    fn take(&mut self, keep: Range<usize>) -> Option<Vec<u8>> {
        let kept = self[keep].to_vec();
        Some(core::mem::replace(self, kept))
    }
}

macro_rules! fixed {
    ([$($parameter:tt)*] $storage:ty) => {
        impl<$($parameter)*> Storage for $storage {}
        impl<$($parameter)*> sealed::Storage for $storage {
            const GROWS: bool = false;
            fn bytes(&self) -> &[u8] {
                &self[..]
            }
            fn bytes_mut(&mut self) -> &mut [u8] {
                &mut self[..]
            }
            fn capacity(&self) -> usize {
                self.len()
            }
            fn init(&mut self, _: usize) {}
            fn write(&mut self, at: usize, bytes: &[u8]) {
                self[at..at + bytes.len()].copy_from_slice(bytes);
            }
            fn grow(&mut self, _: usize) {}
            fn shrink(&mut self, _: usize, _: usize) {}
            fn take(&mut self, _: Range<usize>) -> Option<Vec<u8>> {
                None
            }
        }
    };
}

fixed!([] &mut [u8]);
fixed!([const N: usize] [u8; N]);
