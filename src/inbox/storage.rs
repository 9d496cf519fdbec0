//! The memory under an inbox: that grows, or is fixed.

use alloc::vec::Vec;
use bytes::BytesMut;

/// The memory of an [`Inbox`](super::Inbox): grows (`Vec<u8>`, [`BytesMut`]) or is fixed (`[u8; N]`, `&mut [u8]`).
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
    pub trait Storage {
        fn bytes(&self) -> &[u8];
        fn bytes_mut(&mut self) -> &mut [u8];
        /// Makes room for `len` bytes, if it can grow.
        fn grow(&mut self, len: usize);
    }
}

impl Storage for Vec<u8> {}
impl sealed::Storage for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn grow(&mut self, len: usize) {
        // The inbox asks for twice what it holds: doubled once more, that would be four times.
        self.reserve_exact(len.saturating_sub(self.len()));
        self.resize(len, 0);
    }
}

impl Storage for BytesMut {}
impl sealed::Storage for BytesMut {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn grow(&mut self, len: usize) {
        self.resize(len, 0);
    }
}

impl Storage for &mut [u8] {}
impl sealed::Storage for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn grow(&mut self, _: usize) {}
}

impl<const N: usize> Storage for [u8; N] {}
impl<const N: usize> sealed::Storage for [u8; N] {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn grow(&mut self, _: usize) {}
}
