//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it (RFC 6455 1.3, 4.1, 4.2.2).

use core::fmt;

use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::block_api::compress;

/// RFC 6455 1.3: what is appended to the key before it is hashed.
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What is hashed, without the key that comes first, as blocks of SHA-1: since all keys are of one length, the padding is
/// always the same (FIPS 180-4 5.1.1), and need not be made for each.
const MESSAGE: [[u8; 64]; 2] = {
    let mut blocks = [[0; 64]; 2];
    let (_, behind_key) = blocks[0].split_at_mut(24);
    behind_key.split_at_mut(GUID.len()).0.copy_from_slice(GUID);
    blocks[0][60] = 0x80;
    // The length in bits.
    [blocks[1][62], blocks[1][63]] = (60u16 * 8).to_be_bytes();
    blocks
};

/// FIPS 180-4 5.3.1: the initial hash value.
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The value of `Sec-WebSocket-Key`: 16 bytes in base64.
///
/// ```
/// use pushline::ws::handshake::Key;
///
/// let key = Key::from_nonce(*b"the sample nonce");
/// assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(key.accept().as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of these 16 bytes, which must be fresh and random for each connection (RFC 6455 4.1).
    #[must_use]
    pub fn from_nonce(nonce: [u8; 16]) -> Self {
        let mut text = [b'='; 24];
        // 16 bytes always make 24.
        let _ = STANDARD.encode_slice(nonce, &mut text);
        Self(text)
    }

    /// Reads a key as received. `None` if it is not the base64 of 16 bytes.
    ///
    /// The four bits that the last digit has too many are not looked at: the key that RFC 6455 11.3.1 itself gives as
    /// an example has one of them set.
    #[must_use]
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let key: [u8; 24] = text.try_into().ok()?;
        let (digits, padding) = key.split_at(22);
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/');
        // All of them, without stopping at the first that is none: that is faster for the 22 there are.
        let all_digits = digits.iter().fold(true, |all, &byte| all & is_digit(byte));
        (all_digits && padding == b"==").then_some(Self(key))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        text(&self.0)
    }

    /// The value that proves that a server has understood this key: a hash of the text, not of the 16 bytes
    /// (RFC 6455 4.2.2).
    #[must_use]
    pub fn accept(&self) -> AcceptKey {
        self.hash().accept_key()
    }

    /// The hash, for a caller that has something else to do before it needs it.
    #[inline(always)]
    pub(super) fn hash(self) -> Hash {
        let mut blocks = MESSAGE;
        blocks[0][..24].copy_from_slice(&self.0);
        let mut state = INITIAL;
        compress(&mut state, &blocks);
        Hash(state)
    }
}

/// The SHA-1 of a key and the GUID.
pub(super) struct Hash([u32; 5]);

impl Hash {
    /// RFC 6455 4.2.2 (5.4): its base64.
    #[inline(always)]
    pub(super) fn accept_key(self) -> AcceptKey {
        let mut digest = [0; 20];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.0) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut accept = [b'='; 28];
        // 20 bytes always make 28.
        let _ = STANDARD.encode_slice(digest, &mut accept);
        AcceptKey(accept)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_str()).finish()
    }
}

/// The value of `Sec-WebSocket-Accept`: see [`Key::accept`].
///
/// ```
/// use pushline::ws::handshake::Key;
///
/// let accept = Key::from_nonce([0; 16]).accept();
/// assert_eq!(accept.as_str().len(), 28);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AcceptKey([u8; 28]);

impl AcceptKey {
    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        text(&self.0)
    }

    /// The value as it is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AcceptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcceptKey").field(&self.as_str()).finish()
    }
}

/// Base64 is ASCII.
fn text(base64: &[u8]) -> &str {
    str::from_utf8(base64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest, Sha1};

    #[test]
    fn the_hash_is_sha_1() {
        for seed in 0..=255u8 {
            let key = Key::from_nonce(core::array::from_fn(|index| seed.wrapping_mul(index as u8 + 7)));
            let digest = Sha1::new().chain_update(key.0).chain_update(GUID).finalize();
            let mut text = [0; 28];
            assert_eq!(STANDARD.encode_slice(digest, &mut text), Ok(28));
            assert_eq!(key.accept().as_bytes(), text, "{key:?}");
        }
    }

    #[test]
    fn keys_are_16_bytes_of_base64() {
        // RFC 6455 4.1 and 11.3.1: the bytes 1 to 16, and how the RFC writes them.
        let canonical = core::array::from_fn(|index| index as u8 + 1);
        assert_eq!(Key::from_nonce(canonical).as_str(), "AQIDBAUGBwgJCgsMDQ4PEA==");
        assert!(Key::parse(b"AQIDBAUGBwgJCgsMDQ4PEC==").is_some());
        for bad in [
            "",
            "c2hvcnQ=",
            "!@#$%^&*()_+",
            "AQIDBAUGBwgJCgsMDQ4PEA=",
            "AQIDBAUGBwgJCgsMDQ4PEA===",
            "AQIDBAUGBwgJCgsMDQ4PEAAA",
            "AQIDBAUGBwgJCgsMDQ4P_A==",
            " QIDBAUGBwgJCgsMDQ4PEA==",
            "AQIDBAUGBwgJCgsMDQ4=====",
            "AQIDBAUGBwgJCgsMDQ4PEA=A",
        ] {
            assert_eq!(Key::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
