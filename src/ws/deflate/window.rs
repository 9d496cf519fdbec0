//! The last bytes that went through one direction: what a match of a later block may refer to.
#![allow(clippy::arithmetic_side_effects, reason = "at most two windows of 32 KiB")]
#![allow(clippy::indexing_slicing, reason = "the last bytes, at most a window of them")]

use alloc::collections::VecDeque;

/// At most the last `limit` bytes pushed, in memory that grows with them.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<u8>);

impl Window {
    /// Appends, forgetting what is older than the last `limit` bytes.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) {
        let bytes = &bytes[bytes.len().saturating_sub(limit)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(limit);
        self.0.drain(..excess);
        let len = self.0.len() + bytes.len();
        if len > self.0.capacity() {
            // Doubling, but never past the limit, which is a power of two.
            self.0.reserve_exact(len.next_power_of_two().min(limit) - self.0.len());
        }
        self.0.extend(bytes);
    }

    /// The bytes, oldest first.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (old, new) = self.0.as_slices();
        [old, new].into_iter().filter(|piece| !piece.is_empty())
    }

    /// Forgets the bytes and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use alloc::vec::Vec;

    #[test]
    fn holds_the_last_bytes_and_no_more_memory() {
        for limit in [1, 2, 256, 512] {
            for step in 1..600 {
                let mut window = Window::default();
                let mut all: Vec<u8> = Vec::new();
                for n in 0..20_u8 {
                    let bytes: Vec<u8> = (0..step).map(|i| (i as u8) ^ n).collect();
                    window.push(&bytes, limit);
                    all.extend(&bytes);
                    let held: Vec<u8> = window.pieces().flatten().copied().collect();
                    assert_eq!(held, all[all.len().saturating_sub(limit)..]);
                    assert!(window.0.capacity() <= limit);
                }
            }
        }
    }
}
