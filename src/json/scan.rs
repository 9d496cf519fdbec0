//! The grammar (RFC 8259 2 to 7): each rule is a function from where something starts in a text to where it ends. A byte
//! at a time; strings eight at a time.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "a place in a text that is in memory, depth up to its limit, a word of eight bytes"
)]

use super::{Error, MAX_DEPTH};

/// One bit a level: whether it is an object.
type Levels = u128;
const _: () = assert!(MAX_DEPTH == Levels::BITS as usize);

/// RFC 8259 2: `ws`.
#[inline]
pub(super) fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// RFC 8259 3: one value, whatever is inside it.
#[inline]
pub(super) fn value(text: &[u8], at: usize) -> Result<usize, Error> {
    match text.get(at) {
        Some(b'[' | b'{') => nested(text, at),
        _ => scalar(text, at),
    }
}

/// RFC 8259 4 and 5: an object or an array.
#[inline(never)] // what it keeps in hand would slow down the others
fn nested(text: &[u8], mut at: usize) -> Result<usize, Error> {
    // Whether the innermost level is an object; those around it; how many there are.
    let (mut object, mut outer, mut depth): (bool, Levels, usize) = (false, 0, 0);
    loop {
        if object {
            at = key(text, at)?;
        }
        at = match text.get(at) {
            Some(open @ (b'[' | b'{')) => {
                if depth == MAX_DEPTH {
                    return Err(Error::TooDeep { at });
                }
                depth += 1;
                outer = outer << 1 | Levels::from(object);
                object = *open == b'{';
                at = space(text, at + 1);
                if !closes(text, at, object) {
                    continue;
                }
                at
            }
            _ => scalar(text, at)?,
        };
        // A value has ended, or an empty array or object is about to.
        loop {
            at = space(text, at);
            if text.get(at) == Some(&b',') {
                at = space(text, at + 1);
                break;
            }
            if !closes(text, at, object) {
                return Err(Error::Syntax { at });
            }
            at += 1;
            depth -= 1;
            if depth == 0 {
                return Ok(at);
            }
            object = outer & 1 == 1;
            outer >>= 1;
        }
    }
}

/// RFC 8259 3: what has no values inside it.
#[inline(always)] // most values are short: calls are what they cost
fn scalar(text: &[u8], at: usize) -> Result<usize, Error> {
    match text.get(at) {
        Some(b'"') => string(text, at),
        Some(b'-' | b'0'..=b'9') => number(text, at),
        Some(b't') => word(text, at, b"true"),
        Some(b'f') => word(text, at, b"false"),
        Some(b'n') => word(text, at, b"null"),
        _ => Err(Error::Syntax { at }),
    }
}

fn closes(text: &[u8], at: usize, object: bool) -> bool {
    text.get(at) == Some(if object { &b'}' } else { &b']' })
}

/// RFC 8259 4: a member's name and its colon, up to its value.
fn key(text: &[u8], at: usize) -> Result<usize, Error> {
    let at = space(text, string(text, at)?);
    Ok(space(text, byte(text, at, b':')?))
}

fn byte(text: &[u8], at: usize, byte: u8) -> Result<usize, Error> {
    if text.get(at) == Some(&byte) { Ok(at + 1) } else { Err(Error::Syntax { at }) }
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Error> {
    word.iter().try_fold(at, |at, &letter| byte(text, at, letter))
}

/// RFC 8259 6.
fn number(text: &[u8], mut at: usize) -> Result<usize, Error> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at) {
        Some(b'0') => at + 1, // no digit after a leading zero
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Ok(at)
}

fn digits(text: &[u8], mut at: usize) -> Result<usize, Error> {
    let Some(b'0'..=b'9') = text.get(at) else { return Err(Error::Syntax { at }) };
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    Ok(at)
}

/// RFC 8259 7, from quote to quote.
#[inline(always)] // as above
fn string(text: &[u8], at: usize) -> Result<usize, Error> {
    let mut at = byte(text, at, b'"')?;
    loop {
        at += plain(text.get(at..).unwrap_or_default());
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(text, at + 1)?,
            _ => return Err(Error::Syntax { at }), // a control character, or the end
        }
    }
}

/// RFC 8259 7: what is behind a backslash.
fn escape(text: &[u8], at: usize) -> Result<usize, Error> {
    match text.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => (at + 1..at + 5).try_fold(at + 1, |at, _| match text.get(at) {
            Some(digit) if digit.is_ascii_hexdigit() => Ok(at + 1),
            _ => Err(Error::Syntax { at }),
        }),
        _ => Err(Error::Syntax { at }),
    }
}

/// How many bytes at the front stand in a string as they are.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    for word in text.as_chunks::<8>().0 {
        let found = special(*word);
        if found != 0 {
            return at + place(found);
        }
        at += 8;
    }
    // What is left, and some of what was looked at; or there was less than a word.
    if let Some(word) = text.last_chunk::<8>() {
        return text.len() - 8 + place(special(*word));
    }
    if let (Some([a, b, c, d]), Some([e, f, g, h])) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let found = place(special([*a, *b, *c, *d, *e, *f, *g, *h]));
        return if found < 4 { found } else { text.len() + found - 8 };
    }
    let is_special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    text.iter().position(is_special).unwrap_or(text.len())
}

/// In a checked array or object: the start of the next item, if there is one.
pub(super) fn item(text: &[u8], at: usize) -> Option<usize> {
    let mut at = space(text, at);
    if text.get(at) == Some(&b',') {
        at = space(text, at + 1);
    }
    (!matches!(text.get(at), Some(b']' | b'}') | None)).then_some(at)
}

/// In a checked object, behind a key: the start of its value.
pub(super) fn after_colon(text: &[u8], at: usize) -> usize {
    space(text, space(text, at) + 1)
}

/// The high bits of the bytes that end the plain part of a string: quotes, backslashes, control characters. Behind the
/// first one others may have it, too, by the borrow.
const fn special(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_le_bytes(word);
    // A quote, 0x22, becomes 0x20, and what is less stays so; a blank and 0x21 become more.
    let low = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (low | backslash) & !word & HIGHS
}

/// The place of the first of them; 8 if there is none.
const fn place(special: u64) -> usize {
    special.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::plain;
    use std::vec;

    /// Each byte at each place of texts of each length, beside others that stand near the special ones.
    #[test]
    fn plain_is_what_its_naive_twin_says() {
        for length in 0..27_usize {
            for at in 0..length {
                for byte in 0..=255 {
                    for around in [b'!', b'#', b'[', b']', b' ', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                        let mut text = vec![around; length];
                        text[at] = byte;
                        let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
                        let twin = text.iter().position(special).unwrap_or(length);
                        assert_eq!(plain(&text), twin, "{text:?}");
                    }
                }
            }
        }
    }
}
