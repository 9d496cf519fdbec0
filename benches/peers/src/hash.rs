//! FNV-1a over messages with their lengths, to see that all peers gave the same ones.

pub const START: u64 = 0xcbf2_9ce4_8422_2325;

pub fn message(hash: u64, payload: &[u8]) -> u64 {
    let len = (payload.len() as u64).to_le_bytes();
    len.iter().chain(payload).fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
