//! Masking (RFC 6455 5.3): XOR with a four-byte key, at any phase of the key and any alignment of
//! the payload; and where keys come from.
//!
//! One of two files with `unsafe` in it (the other is `inbox/text.rs`): the loops are compiled once more for AVX2 and for
//! AVX-512, and the call into a version chosen at run time is what Rust calls unsafe; and a masked copy is written to memory
//! that has no value before: a box, or the end of a vector whose length is set then.
#![allow(clippy::arithmetic_side_effects, reason = "rotations by less than 32 bits, blocks of a fixed size")]
#![allow(clippy::indexing_slicing, reason = "up to the next aligned byte, which is in the payload")]

use alloc::boxed::Box;
use alloc::vec::Vec;
#[cfg(feature = "std")]
use chacha20::ChaCha12Rng;
#[cfg(feature = "std")]
use chacha20::rand_core::{Rng as _, SeedableRng as _};
#[cfg(feature = "std")]
use core::mem::ManuallyDrop;
use core::mem::MaybeUninit;

/// XORs `payload` with `key`, in place. Masking and unmasking are the same.
///
/// The first byte meets `key[0]`; for a payload that arrives in pieces, hand in the key turned by
/// [`rotate`].
///
/// ```
/// use pushline::raw::apply_mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58"; // RFC 6455 5.7
/// apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply_mask(payload: &mut [u8], key: [u8; 4]) {
    mask::<false>(payload, key);
}

/// As [`apply_mask`], and says whether all of `payload` is ASCII then: next to free on the way. What it says is relied upon
/// by `inbox/text.rs`.
pub(crate) fn unmask_is_ascii(payload: &mut [u8], key: [u8; 4]) -> bool {
    mask::<true>(payload, key)
}

/// Appends `payload` to `buffer`, masked on the way.
#[inline]
pub(crate) fn extend_masked(buffer: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
    copy::<false>(buffer, payload, key);
}

/// As [`extend_masked`], the other way, and says whether all that is appended is ASCII, which is relied upon by
/// `inbox/text.rs`.
#[inline]
pub(crate) fn extend_unmasked(buffer: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) -> bool {
    copy::<true>(buffer, payload, key)
}

/// A payload unmasked into memory of its own, and whether it is ASCII, which is relied upon by `inbox/text.rs`.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn unmasked(payload: &[u8], key: [u8; 4]) -> (Box<[u8]>, bool) {
    if payload.len() < WIDE {
        let mut bytes = Box::<[u8]>::from(payload);
        let ascii = narrow(&mut bytes, key);
        return (bytes, ascii);
    }
    let mut bytes = Box::new_uninit_slice(payload.len());
    let ascii = wide_copy::<true>(&mut bytes, payload, key);
    // SAFETY: each byte was given a value: see `copy_blocks`.
    (unsafe { bytes.assume_init() }, ascii)
}

/// Copies a short payload, masked on the way, into a place of its length.
#[inline]
pub(crate) fn copy_masked(to: &mut [u8], payload: &[u8], key: [u8; 4]) {
    copy_short(to, payload);
    narrow(to, key);
}

/// Copies a short payload into a place of its length, for less than the call of a function.
#[inline]
pub(crate) fn copy_short(to: &mut [u8], payload: &[u8]) {
    for (to, byte) in to.iter_mut().zip(payload) {
        *to = *byte;
    }
}

/// Whether a masked payload is ASCII; it stays as it is. If it is not, that is most often seen at its beginning.
pub(crate) fn is_masked_ascii(payload: &[u8], key: [u8; 4]) -> bool {
    let pattern = u64::from(u32::from_ne_bytes(key)) * 0x1_0000_0001;
    let (start, rest) = payload.split_at(payload.len().min(WIDE));
    [start, rest].into_iter().all(|piece| {
        let (words, rest) = piece.as_chunks();
        let bits = words.iter().fold(0, |bits, word| bits | (u64::from_ne_bytes(*word) ^ pattern));
        let rest = rest.iter().zip(key.iter().cycle()).fold(0, |bits, (byte, key)| bits | (byte ^ key));
        bits & 0x8080_8080_8080_8080 == 0 && rest.is_ascii()
    })
}

/// The key as it stands after `len` bytes: what the next byte meets comes first.
///
/// ```
/// use pushline::raw::{apply_mask, rotate};
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

/// A source of a client's masking keys: one fresh key a frame.
///
/// RFC 6455 5.3 wants them unpredictable: derived from a strong source of entropy. With the feature
/// `std`, `OsKeys` is such a source. A closure will do for tests.
///
/// ```
/// use pushline::ws::MaskSource;
///
/// /// Keys from a generator of one's own, say a hardware one: without `std` there is no other.
/// struct Keys<R>(R);
///
/// impl<R: FnMut() -> u32 + Send> MaskSource for Keys<R> {
///     fn next_key(&mut self) -> [u8; 4] {
///         (self.0)().to_ne_bytes()
///     }
/// }
/// # assert_eq!(Keys(|| 0).next_key(), [0; 4]);
/// ```
pub trait MaskSource: Send {
    /// The key of the next frame.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskSource for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// Masking keys from a generator of the thread's own, ChaCha with 12 rounds, that the operating system's random generator
/// seeds, and seeds anew every 65,536 keys. A connection holds nothing.
///
/// A process that was forked off seeds its own: it notices within 1,024 keys, of which parent and child have the same.
///
/// ```
/// use pushline::ws::{MaskSource, OsKeys};
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
        std::thread_local! {
            static GENERATOR: core::cell::RefCell<Option<Generator>> = const { core::cell::RefCell::new(None) };
        }
        GENERATOR.with_borrow_mut(|generator| match generator {
            Some(Generator { rng, left: left @ 1.., .. }) => {
                *left -= 1;
                rng.next_u32().to_ne_bytes()
            }
            _ => Generator::renew(generator).rng.next_u32().to_ne_bytes(),
        })
    }
}

/// A thread's generator of masking keys.
#[cfg(feature = "std")]
struct Generator {
    /// Not dropped, which frees nothing: so keys can be had while the thread's other data is.
    rng: ManuallyDrop<ChaCha12Rng>,
    /// Keys until the next look at the process.
    left: u16,
    /// Such looks until the next seed.
    looks: u16,
    process: u32,
}

#[cfg(feature = "std")]
impl Generator {
    /// Keys between two looks at whether the process is still the same: a system call.
    const KEYS_A_LOOK: u16 = 1024;
    const LOOKS_A_SEED: u16 = 64;

    #[cold]
    fn renew(place: &mut Option<Self>) -> &mut Self {
        let process = std::process::id();
        let generator = match place.take() {
            Some(known) if known.process == process && known.looks > 1 => {
                Self { looks: known.looks - 1, ..known }
            }
            _ => {
                let mut seed = [0; 32];
                if let Err(error) = getrandom::fill(&mut seed) {
                    panic!("the operating system gives no random bytes: {error}");
                }
                let rng = ManuallyDrop::new(ChaCha12Rng::from_seed(seed));
                Self { rng, left: 0, looks: Self::LOOKS_A_SEED, process }
            }
        };
        place.insert(Self { left: Self::KEYS_A_LOOK - 1, ..generator })
    }
}

/// Bytes in a block that any processor XORs at once.
const BLOCK: usize = 16;

/// From this length on the wide loop pays for its dispatch. Also its longest block.
const WIDE: usize = 64;

/// From this length on it pays to start at an aligned address: no store then crosses a cache line.
const ALIGNED: usize = 256;

/// XORs. If `ASCII`, says whether the outcome is.
#[inline]
fn mask<const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
    if payload.len() < WIDE { narrow(payload, key) } else { wide::<ASCII>(payload, key) }
}

/// XORs in words, which a short payload would not be seen to consist of; where the last one is not whole, it overlaps with
/// the one before. Says whether the outcome is ASCII.
#[inline]
fn narrow(payload: &mut [u8], key: [u8; 4]) -> bool {
    macro_rules! words {
        ($word:ty) => {{
            const SIZE: usize = size_of::<$word>();
            let pattern = |key: [u8; 4]| {
                <$word>::MAX / <$word>::from(u32::MAX) * <$word>::from(u32::from_ne_bytes(key))
            };
            let turned = rotate(key, payload.len());
            let last =
                payload.last_chunk::<SIZE>().map(|last| <$word>::from_ne_bytes(*last) ^ pattern(turned));
            let mut bits = 0;
            for word in payload.as_chunks_mut::<SIZE>().0 {
                let plain = <$word>::from_ne_bytes(*word) ^ pattern(key);
                bits |= plain;
                *word = plain.to_ne_bytes();
            }
            if let (Some(last), Some(place)) = (last, payload.last_chunk_mut()) {
                bits |= last;
                *place = last.to_ne_bytes();
            }
            bits & (<$word>::MAX / 0xff * 0x80) == 0
        }};
    }
    match payload.len() {
        16.. => words!(u128),
        8.. => words!(u64),
        4.. => words!(u32),
        _ => {
            let mut bits = 0;
            for (byte, key) in payload.iter_mut().zip(key) {
                *byte ^= key;
                bits |= *byte;
            }
            bits.is_ascii()
        }
    }
}

/// Appends a masked copy. If `ASCII`, says whether that is.
#[inline]
#[allow(unsafe_code)]
fn copy<const ASCII: bool>(buffer: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) -> bool {
    let (at, len) = (buffer.len(), payload.len());
    if len < BLOCK {
        buffer.extend_from_slice(payload);
        return narrow(&mut buffer[at..], key);
    }
    buffer.reserve(len);
    let to = &mut buffer.spare_capacity_mut()[..len];
    let ascii = if len < WIDE {
        copy_blocks::<BLOCK, ASCII>(to, payload, key)
    } else {
        wide_copy::<ASCII>(to, payload, key)
    };
    // SAFETY: there is room for so many bytes behind the first `at`, and each was given a value: see `copy_blocks`.
    unsafe { buffer.set_len(at + len) };
    ascii
}

/// XORs blocks of `N` bytes on their way to `to`, which is as long as `payload`: the first `N` and the last `N`, and all
/// between them at aligned places, so that no store crosses a cache line. So each byte of `to` is given a value. There must
/// be at least `N`, and `N` is a multiple of four, so that the key's phase holds.
#[inline(always)]
fn copy_blocks<const N: usize, const ASCII: bool>(
    to: &mut [MaybeUninit<u8>],
    payload: &[u8],
    key: [u8; 4],
) -> bool {
    assert!(to.len() == payload.len() && to.len() >= N, "each byte is given a value");
    let mut bits = [0; N];
    let mut xor = |place: &mut [MaybeUninit<u8>; N], block: &[u8; N], key: [u8; 4]| {
        let mut pattern = [0; N];
        for word in pattern.as_chunks_mut().0 {
            *word = key;
        }
        for (((place, byte), pattern), bits) in place.iter_mut().zip(block).zip(pattern).zip(&mut bits) {
            let byte = byte ^ pattern;
            *bits |= byte;
            place.write(byte);
        }
    };
    if let (Some(place), Some(start)) = (to.first_chunk_mut(), payload.first_chunk()) {
        xor(place, start, key);
    }
    if let (Some(place), Some(end)) = (to.last_chunk_mut(), payload.last_chunk()) {
        xor(place, end, rotate(key, payload.len()));
    }
    let odd = to.as_ptr().addr().wrapping_neg() % N;
    let turned = rotate(key, odd);
    for (place, block) in to[odd..].as_chunks_mut().0.iter_mut().zip(payload[odd..].as_chunks().0) {
        xor(place, block, turned);
    }
    ASCII && is_ascii(&bits)
}

/// Whether no bit of the highest is set: in words, since byte by byte it would cost a short payload more than the rest.
#[inline(always)]
fn is_ascii<const N: usize>(bits: &[u8; N]) -> bool {
    let (words, _) = bits.as_chunks();
    words.iter().fold(0, |all, word| all | u32::from_ne_bytes(*word)) & 0x8080_8080 == 0
}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
fn wide_copy<const ASCII: bool>(to: &mut [MaybeUninit<u8>], payload: &[u8], key: [u8; 4]) -> bool {
    copy_blocks::<BLOCK, ASCII>(to, payload, key)
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[allow(unsafe_code)]
fn wide_copy<const ASCII: bool>(to: &mut [MaybeUninit<u8>], payload: &[u8], key: [u8; 4]) -> bool {
    #[target_feature(enable = "avx2")]
    fn avx2<const ASCII: bool>(to: &mut [MaybeUninit<u8>], payload: &[u8], key: [u8; 4]) -> bool {
        copy_blocks::<64, ASCII>(to, payload, key)
    }

    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function was compiled for: just asked.
        return unsafe { avx2::<ASCII>(to, payload, key) };
    }
    copy_blocks::<BLOCK, ASCII>(to, payload, key)
}

/// XORs blocks of `N` bytes, and the first and last `N` bytes for what is left over. There must be
/// that many, and `N` is a multiple of four, so that the key's phase holds.
#[inline(always)]
fn blocks<const N: usize, const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
    let mut bits = [0; N];
    let mut xor = |block: &[u8; N], key: [u8; 4]| {
        let (mut block, mut pattern) = (*block, [0; N]);
        for word in pattern.as_chunks_mut().0 {
            *word = key;
        }
        for ((byte, pattern), bits) in block.iter_mut().zip(pattern).zip(&mut bits) {
            *byte ^= pattern;
            *bits |= *byte;
        }
        block
    };
    // Read before the blocks that overlap them are written.
    let start = payload.first_chunk().map(|start| xor(start, key));
    let end = payload.last_chunk().map(|end| xor(end, rotate(key, payload.len())));
    let odd = if payload.len() < ALIGNED { 0 } else { payload.as_ptr().addr().wrapping_neg() % N };
    for block in payload[odd..].as_chunks_mut().0 {
        *block = xor(block, rotate(key, odd));
    }
    if let (Some(start), Some(place)) = (start, payload.first_chunk_mut()) {
        *place = start;
    }
    if let (Some(end), Some(place)) = (end, payload.last_chunk_mut()) {
        *place = end;
    }
    ASCII && is_ascii(&bits)
}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
fn wide<const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
    blocks::<BLOCK, ASCII>(payload, key)
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[allow(unsafe_code)]
fn wide<const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
    use std::arch::is_x86_feature_detected as detected;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn avx512<const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
        blocks::<64, ASCII>(payload, key)
    }

    #[target_feature(enable = "avx2")]
    fn avx2<const ASCII: bool>(payload: &mut [u8], key: [u8; 4]) -> bool {
        blocks::<32, ASCII>(payload, key)
    }

    if detected!("avx512f") && detected!("avx512bw") && detected!("avx512vl") {
        // SAFETY: the processor has the features that the function was compiled for: just asked.
        return unsafe { avx512::<ASCII>(payload, key) };
    }
    if detected!("avx2") {
        // SAFETY: as above.
        return unsafe { avx2::<ASCII>(payload, key) };
    }
    blocks::<BLOCK, ASCII>(payload, key)
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
    fn every_implementation_equals_the_naive_loop_and_sees_ascii() {
        type Implementation = fn(&mut [u8], [u8; 4]) -> bool;
        let implementations: [(usize, Implementation); 6] = [
            (0, mask::<true>),
            (0, narrow),
            (64, wide::<true>),
            (16, blocks::<16, true>),
            (32, blocks::<32, true>),
            (64, blocks::<64, true>),
        ];
        let key = [1, 2, 4, 0x80];
        for len in [0_usize, 1, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 65, 127, 128, 129, 1_023, 4_096, 70_001] {
            let ascii: alloc::vec::Vec<u8> = (0..len).map(|n| (n * 31 % 128) as u8).collect();
            let not_ascii = [0, len / 2, len.wrapping_sub(1)].map(|at| {
                let mut bytes = ascii.clone();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte |= 0x80;
                }
                bytes
            });
            for bytes in not_ascii.iter().chain([&ascii]) {
                let masked = naive(bytes, key, 0);
                for (least, implementation) in implementations {
                    // Further into the buffer each time: the wide ones align themselves.
                    for offset in (0..64).step_by(9).filter(|_| len >= least) {
                        let mut buffer = alloc::vec![0; offset];
                        buffer.extend_from_slice(&masked);
                        assert_eq!(implementation(&mut buffer[offset..], key), bytes.is_ascii(), "{len}");
                        assert_eq!(buffer[offset..], bytes[..], "{len}");
                    }
                }
            }
        }
    }

    type Copy = fn(&mut [MaybeUninit<u8>], &[u8], [u8; 4]) -> bool;

    /// Over bytes that all have a value, and none the right one: what is not written is seen.
    #[allow(unsafe_code)]
    fn appended(buffer: &mut Vec<u8>, payload: &[u8], key: [u8; 4], copy: Copy) -> bool {
        let mut to: Vec<_> = naive(payload, key, 0).iter().map(|byte| MaybeUninit::new(!byte)).collect();
        let ascii = copy(&mut to, payload, key);
        for byte in to {
            // SAFETY: it was made with a value.
            buffer.push(unsafe { byte.assume_init() });
        }
        ascii
    }

    #[test]
    fn a_masked_copy_equals_the_naive_loop_and_sees_ascii() {
        type Implementation = fn(&mut Vec<u8>, &[u8], [u8; 4]) -> bool;
        let implementations: [(usize, Implementation); 4] = [
            (0, extend_unmasked),
            (16, |buffer, payload, key| appended(buffer, payload, key, copy_blocks::<16, true>)),
            (32, |buffer, payload, key| appended(buffer, payload, key, copy_blocks::<32, true>)),
            (64, |buffer, payload, key| appended(buffer, payload, key, wide_copy::<true>)),
        ];
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in (0..300).chain([1_023, 2_047, 2_048, 2_049, 3_071, 4_096, 4_100, 70_001]) {
            let ascii: Vec<u8> = (0..len).map(|n: usize| (n * 31 % 128) as u8).collect();
            let not_ascii = [0, len / 2, len.wrapping_sub(1)].map(|at| {
                let mut bytes = ascii.clone();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte |= 0x80;
                }
                bytes
            });
            for bytes in not_ascii.iter().chain([&ascii]) {
                let payload = naive(bytes, key, 0);
                for (_, copy) in implementations.iter().filter(|(least, _)| len >= *least) {
                    for ahead in [0, 1, 6] {
                        let mut buffer = alloc::vec![0x99; ahead];
                        assert_eq!(copy(&mut buffer, &payload, key), bytes.is_ascii(), "{len}");
                        assert_eq!(buffer[..ahead], [0x99; 6][..ahead]);
                        assert_eq!(buffer[ahead..], bytes[..], "{len}");
                    }
                }
                assert_eq!(is_masked_ascii(&payload, key), bytes.is_ascii());
                let mut buffer = Vec::new();
                extend_masked(&mut buffer, bytes, key);
                assert_eq!(buffer, payload);
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

    #[cfg(feature = "std")]
    #[test]
    fn a_generator_is_seeded_anew_in_time_and_in_another_process() {
        fn renewed(place: &mut Option<Generator>) -> (u16, [u8; 32]) {
            let generator = Generator::renew(place);
            (generator.looks, generator.rng.get_seed())
        }
        let mut place = None;
        let (looks, first) = renewed(&mut place);
        assert_eq!(looks, Generator::LOOKS_A_SEED);
        for looks in (1..Generator::LOOKS_A_SEED).rev() {
            assert_eq!(renewed(&mut place), (looks, first));
        }
        let (looks, second) = renewed(&mut place);
        assert!(looks == Generator::LOOKS_A_SEED && second != first, "its time is over");
        // The child of a fork, which has all that the parent has.
        place.as_mut().expect("seeded").process ^= 1;
        let (looks, third) = renewed(&mut place);
        assert!(looks == Generator::LOOKS_A_SEED && third != second);
        assert_eq!(place.as_ref().map(|generator| generator.process), Some(std::process::id()));
    }
}
