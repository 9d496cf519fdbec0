//! Masking (RFC 6455 5.3): XOR with a four-byte key, at any phase of the key and any alignment of
//! the payload; and where keys come from.
//!
//! This is the one file with `unsafe` in it: the loop is compiled once more for AVX2 and for
//! AVX-512, and the call into a version chosen at run time is what Rust calls unsafe.

/// XORs `payload` with `key`, in place. Masking and unmasking are the same.
///
/// The first byte meets `key[0]`; for a payload that arrives in pieces, hand in the key turned by
/// [`rotate`].
///
/// ```
/// use pushline::ws::mask::apply_mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58"; // RFC 6455 5.7
/// apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply_mask(payload: &mut [u8], key: [u8; 4]) {
    if payload.len() < WIDE {
        return narrow(payload, key);
    }
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    return x86::wide(payload, key);
    #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
    wide::<32>(payload, key)
}

/// The key as it stands after `len` bytes: what the next byte meets comes first.
///
/// ```
/// use pushline::ws::mask::{apply_mask, rotate};
///
/// let key = [1, 2, 3, 4];
/// let (mut whole, mut head, mut tail) = ([0; 7], [0; 3], [0; 4]);
/// apply_mask(&mut whole, key);
/// apply_mask(&mut head, key);
/// apply_mask(&mut tail, rotate(key, 3));
/// assert_eq!(whole[..], [&head[..], &tail[..]].concat());
/// ```
#[inline]
#[must_use]
pub const fn rotate(key: [u8; 4], len: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (len as u32 & 3)).to_le_bytes()
}

/// Where a client's masking keys come from: one fresh key a frame.
///
/// RFC 6455 5.3 wants them unpredictable: derived from a strong source of entropy. With the feature
/// `std`, [`OsKeys`] is such a source. A closure will do for tests.
pub trait MaskSource: Send {
    /// The key of the next frame.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskSource for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// Masking keys from the operating system's random generator, fetched 256 at a time by each thread
/// and used once.
///
/// ```
/// use pushline::ws::mask::{MaskSource, OsKeys};
///
/// let (first, second) = (OsKeys.next_key(), OsKeys.next_key());
/// # let _ = (first, second);
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct OsKeys;

#[cfg(feature = "std")]
impl MaskSource for OsKeys {
    /// # Panics
    ///
    /// If the operating system has no random bytes to give: a client must not go on without.
    fn next_key(&mut self) -> [u8; 4] {
        use core::cell::RefCell;

        struct Pool {
            keys: [[u8; 4]; 256],
            left: usize,
        }
        std::thread_local! {
            static POOL: RefCell<Pool> = const { RefCell::new(Pool { keys: [[0; 4]; 256], left: 0 }) };
        }
        POOL.with_borrow_mut(|pool| {
            if pool.left == 0 {
                if let Err(error) = getrandom::fill(pool.keys.as_flattened_mut()) {
                    panic!("the operating system gives no random bytes: {error}");
                }
                pool.left = pool.keys.len();
            }
            pool.left -= 1;
            core::mem::take(&mut pool.keys[pool.left])
        })
    }
}

/// From this length on the wide loop pays for its dispatch.
const WIDE: usize = 64;

/// XORs blocks of `N` bytes, then the rest; `N` is a multiple of four, so the key's phase holds.
#[inline(always)]
fn blocks<const N: usize>(payload: &mut [u8], key: [u8; 4]) -> &mut [u8] {
    let mut pattern = [0; N];
    for (byte, key) in pattern.iter_mut().zip(key.into_iter().cycle()) {
        *byte = key;
    }
    let (blocks, rest) = payload.as_chunks_mut::<N>();
    for block in blocks {
        for (byte, pattern) in block.iter_mut().zip(pattern) {
            *byte ^= pattern;
        }
    }
    rest
}

#[inline(always)]
fn narrow(payload: &mut [u8], key: [u8; 4]) {
    let rest = blocks::<16>(payload, key);
    let rest = blocks::<4>(rest, key);
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[inline(always)]
fn wide<const N: usize>(payload: &mut [u8], key: [u8; 4]) {
    let rest = blocks::<N>(payload, key);
    narrow(rest, key);
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86 {
    use super::wide as portable;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn avx512(payload: &mut [u8], key: [u8; 4]) {
        portable::<128>(payload, key);
    }

    #[target_feature(enable = "avx2")]
    fn avx2(payload: &mut [u8], key: [u8; 4]) {
        portable::<64>(payload, key);
    }

    #[allow(unsafe_code)]
    pub(super) fn wide(payload: &mut [u8], key: [u8; 4]) {
        use std::arch::is_x86_feature_detected as detected;
        if detected!("avx512f") && detected!("avx512bw") && detected!("avx512vl") {
            // SAFETY: the processor has the features that the function was compiled for: just asked.
            return unsafe { avx512(payload, key) };
        }
        if detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(payload, key) };
        }
        portable::<32>(payload, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(payload: &[u8], key: [u8; 4], phase: usize) -> alloc::vec::Vec<u8> {
        payload.iter().enumerate().map(|(at, byte)| byte ^ key[(at + phase) % 4]).collect()
    }

    #[test]
    fn every_length_and_alignment_equals_the_naive_loop() {
        let bytes: alloc::vec::Vec<u8> = (0..1_000_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for offset in 0..64 {
            for len in 0..=320 {
                let phase = (offset + len) % 4;
                let mut buffer = bytes.clone();
                apply_mask(&mut buffer[offset..offset + len], rotate(key, phase));
                assert_eq!(buffer[offset..offset + len], naive(&bytes[offset..offset + len], key, phase));
                assert_eq!(buffer[..offset], bytes[..offset]);
                assert_eq!(buffer[offset + len..], bytes[offset + len..]);
            }
        }
    }

    #[test]
    fn every_implementation_equals_the_naive_loop() {
        for len in [0, 1, 63, 64, 65, 127, 128, 129, 1_023, 4_096, 70_001] {
            let bytes: alloc::vec::Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
            let key = [1, 2, 4, 0x80];
            let expected = naive(&bytes, key, 0);
            for implementation in [apply_mask, narrow, wide::<32>, wide::<64>, wide::<128>] {
                let mut buffer = bytes.clone();
                implementation(&mut buffer, key);
                assert_eq!(buffer, expected, "{len}");
            }
        }
    }

    #[test]
    fn rotating_by_any_length_keeps_the_phase() {
        for len in 0..12 {
            let turned = rotate([0, 1, 2, 3], len);
            assert_eq!(usize::from(turned[0]), len % 4);
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn keys_do_not_repeat_but_by_chance() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            seen.insert(OsKeys.next_key());
        }
        // Birthday bound: 1,000 draws of 32 bits collide once in 8,600 such runs; three never.
        assert!(seen.len() >= 998, "{} distinct keys", seen.len());
    }
}
