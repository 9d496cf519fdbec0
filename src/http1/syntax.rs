//! The character classes that every HTTP field shares: tokens, field values, optional whitespace (RFC 9110 5.5, 5.6).
#![allow(clippy::arithmetic_side_effects, reason = "lengths of what is in memory")]
#![allow(
    clippy::indexing_slicing,
    reason = "tables of 256 entries, asked by a byte; bytes that were counted"
)]

/// RFC 9110 5.6.2: the bytes a token is made of.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// Whether `byte` may stand in a token (RFC 9110 5.6.2).
///
/// ```
/// use pushline::raw::is_token_byte;
/// assert!(is_token_byte(b'x') && !is_token_byte(b' ') && !is_token_byte(b':'));
/// ```
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `bytes` is a token: at least one byte, each of them a `tchar` (RFC 9110 5.6.2).
///
/// ```
/// use pushline::raw::is_token;
/// assert!(is_token(b"permessage-deflate"));
/// assert!(!is_token(b"") && !is_token(b"a b") && !is_token(b"a,b"));
/// ```
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// How many bytes at the front are of the class. Eight are looked up for one branch, since most names are longer.
pub(crate) fn leading(bytes: &[u8], class: &[bool; 256]) -> usize {
    let is_in = |byte: &u8| class[usize::from(*byte)];
    let are_in = |eight: &&[u8]| eight.iter().fold(true, |all, byte| all & is_in(byte));
    let whole = bytes.chunks_exact(8).take_while(are_in).count() * 8;
    whole + bytes[whole..].iter().take_while(|byte| is_in(byte)).count()
}

/// How many bytes at the front may stand in a token.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    leading(bytes, &TOKEN)
}

/// Whether `bytes` may be sent as a field value: no control byte but the tab (RFC 9110 5.5), so that neither a
/// line end nor a NUL can be smuggled in.
///
/// ```
/// use pushline::raw::is_field_value;
/// assert!(is_field_value(b"text/html; charset=utf-8"));
/// assert!(!is_field_value(b"a\r\nSet-Cookie: b") && !is_field_value(b"a\0b"));
/// ```
#[must_use]
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// `bytes` without optional whitespace (SP, HTAB) at either end (RFC 9110 5.6.3).
///
/// ```
/// assert_eq!(pushline::raw::trim(b" \t a b\t"), b"a b");
/// ```
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a field name is `known`, ignoring case (RFC 9110 5.1); fastest if it is written in the same way.
///
/// ```
/// assert!(pushline::raw::is_name("content-length", "Content-Length"));
/// ```
#[must_use]
pub fn is_name(name: &str, known: &str) -> bool {
    // Of names as long most begin otherwise.
    let first = |name: &str| name.as_bytes().first().map(u8::to_ascii_lowercase);
    first(name) == first(known) && (name == known || name.eq_ignore_ascii_case(known))
}

/// The elements of a comma-separated list, each without surrounding whitespace (RFC 9110 5.6.1). Empty elements
/// are handed out too: most lists ignore them, some refuse them. Not for lists whose elements may be quoted.
///
/// ```
/// let elements: Vec<_> = pushline::raw::elements(b"keep-alive,, Upgrade").collect();
/// assert_eq!(elements, [&b"keep-alive"[..], b"", b"Upgrade"]);
/// ```
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Whether a comma-separated list has the element `token`, ignoring case.
///
/// ```
/// use pushline::raw::contains_token;
/// assert!(contains_token(b"keep-alive, UPGRADE", "upgrade"));
/// assert!(!contains_token(b"not-upgrade", "upgrade"));
/// ```
#[must_use]
#[inline]
pub fn contains_token(value: &[u8], token: &str) -> bool {
    // The whole list is this one element in nearly every message.
    value == token.as_bytes() || has_element(value, token.as_bytes())
}

fn has_element(list: &[u8], token: &[u8]) -> bool {
    elements(list).any(|element| element.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_where_the_first_other_byte_is() {
        let other =
            |at: usize| core::array::from_fn::<u8, 40, _>(|index| if index == at { b',' } else { b'x' });
        for (at, len) in (0..=40).flat_map(|at| (0..=40).map(move |len| (at, len))) {
            assert_eq!(token_len(&other(at)[..len]), at.min(len));
        }
    }
}
