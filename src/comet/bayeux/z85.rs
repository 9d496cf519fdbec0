//! Bytes in JSON, as the extension binary sends them: Z85 (ZeroMQ RFC 32), with a shorter last group.
//!
//! Four bytes are five characters. One, two or three bytes at the end are as many characters and one more.
#![allow(clippy::arithmetic_side_effects, reason = "groups of at most five digits")]
#![allow(
    clippy::indexing_slicing,
    reason = "tables of 256 entries, asked by a byte, or by a remainder of 85"
)]

use std::string::String;
use std::vec::Vec;

const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Where each byte stands among the digits; 85 if it does not.
static VALUES: [u8; 256] = {
    let mut values = [85; 256];
    let mut at = 0;
    while at < DIGITS.len() {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Appends the bytes to `out` as Z85 (ZeroMQ RFC 32).
///
/// ```
/// use pushline::raw::z85;
///
/// let mut text = String::new();
/// z85::encode(&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b], &mut text);
/// assert_eq!(text, "HelloWorld"); // ZeroMQ RFC 32
/// ```
pub fn encode(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(4) {
        let mut value = group.iter().fold(0, |value, &byte| value << 8 | u32::from(byte));
        value <<= 8 * (4 - group.len());
        let mut characters = ['0'; 5];
        for character in characters.iter_mut().rev() {
            *character = char::from(DIGITS[(value % 85) as usize]);
            value /= 85;
        }
        out.extend(characters.iter().take(group.len() + 1));
    }
}

/// Decodes Z85 (ZeroMQ RFC 32): the bytes that the text stands for; `None` if it stands for none.
///
/// ```
/// use pushline::raw::z85;
///
/// assert_eq!(z85::decode("HelloWorld").unwrap(), [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]);
/// assert_eq!((z85::decode("Hello\""), z85::decode("H"), z85::decode("#####")), (None, None, None));
/// ```
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 5 * 4 + 4);
    for group in text.as_bytes().chunks(5) {
        // Nothing is one character long.
        let length = group.len().checked_sub(1).filter(|&length| length > 0)?;
        let mut value = 0u32;
        for at in 0..5 {
            // What is missing is the greatest digit: rounded up, it gives back the bytes that were rounded down.
            let digit = group.get(at).map_or(84, |&byte| VALUES[usize::from(byte)]);
            let digit = Some(digit).filter(|&digit| digit < 85)?;
            value = value.checked_mul(85)?.checked_add(u32::from(digit))?;
        }
        out.extend(value.to_be_bytes().iter().take(length));
    }
    Some(out)
}
