//! Text to the lines of a block, and what must not stand in one (HTML 9.2.5). Knows no fields.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "places in text that is in memory; digits of a number of 64 bits"
)]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use bytes::BufMut;
use core::array;
use memchr::memchr2_iter;

#[inline]
pub(super) fn put_line<const N: usize>(out: &mut impl BufMut, name: &[u8; N], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(value);
    out.put_slice(b"\n");
}

/// Puts one line for each line of `text` that has an end, and gives back what follows the last end, be it
/// nothing.
#[inline]
pub(super) fn put_all_but_last_line<'t, const N: usize>(
    out: &mut impl BufMut,
    name: &[u8; N],
    text: &'t str,
) -> &'t [u8] {
    if may_have_ends(text) { put_ended_lines(out, name, text.as_bytes()) } else { text.as_bytes() }
}

/// Out of line: within, it costs the blocks that have no such lines.
#[inline(never)]
fn put_ended_lines<'t, const N: usize>(out: &mut impl BufMut, name: &[u8; N], text: &'t [u8]) -> &'t [u8] {
    let mut rest = text;
    while let Some(end) = find_end(rest) {
        let (line, ended) = rest.split_at(end);
        out.put_slice(name);
        if let [b'\n', after @ ..] = ended {
            // With its end, which is right already.
            out.put_slice(&rest[..=end]);
            rest = after;
        } else {
            out.put_slice(line);
            out.put_slice(b"\n");
            rest = ended.strip_prefix(b"\r\n").unwrap_or(&ended[1..]);
        }
    }
    rest
}

/// Where the first CR or LF stands. Lines are short: what a call to a search for long ones costs is more than
/// the search.
#[inline]
fn find_end(text: &[u8]) -> Option<usize> {
    const STEP: usize = 16;
    let mut at = 0;
    while let Some(step) = text[at..].first_chunk::<STEP>() {
        if any_low(step) {
            for word in step.chunks_exact(8) {
                let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                let ends = zeros(word ^ 0x0a0a_0a0a_0a0a_0a0a) | zeros(word ^ 0x0d0d_0d0d_0d0d_0d0d);
                if ends != 0 {
                    return Some(at + ends.trailing_zeros() as usize / 8);
                }
                at += 8;
            }
        } else {
            at += STEP;
        }
    }
    let end = text[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    Some(at + end)
}

/// A word whose lowest bit set is in the first byte that is zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

#[inline]
fn any_low<const N: usize>(step: &[u8; N]) -> bool {
    step.iter().fold(0, |any, &byte| any | u8::from(byte <= b'\r')) != 0
}

/// Whether any of `bad`, control characters up to CR, stands in `text`.
#[inline]
pub(super) fn has_any(text: &str, bad: &[u8]) -> bool {
    has_low(text.as_bytes()) && text.bytes().any(|byte| bad.contains(&byte))
}

/// Whether `text` may have more than one line. Text of many lines is known by how it starts.
#[inline]
pub(super) fn may_have_ends(text: &str) -> bool {
    let text = text.as_bytes();
    text.first_chunk::<256>().is_some_and(|start| has_low(start)) || has_low(text)
}

/// Whether any byte is as low as a CR, an LF or a NUL. That costs less to see than which byte it is, and
/// little text has any. In steps of fixed size, the last of which overlaps the one before, so that compilers
/// use vectors and a short text needs no loop.
#[inline]
fn has_low(text: &[u8]) -> bool {
    #[inline]
    fn in_steps<const N: usize>(text: &[u8]) -> Option<bool> {
        let last = *text.last_chunk::<N>()?;
        let steps = text.chunks_exact(N).filter_map(|step| step.first_chunk::<N>());
        let lowest = steps.fold(last, |lowest, step| array::from_fn(|at| step[at].min(lowest[at])));
        Some(any_low(&lowest))
    }
    in_steps::<32>(text)
        .or_else(|| in_steps::<16>(text))
        .or_else(|| in_steps::<8>(text))
        .unwrap_or_else(|| text.iter().any(|&byte| byte <= b'\r'))
}

/// How long `text` is as lines.
pub(super) fn lines_len(name: &str, text: Option<&str>) -> usize {
    text.map_or(0, |text| {
        let bytes = text.as_bytes();
        let ends = memchr2_iter(b'\n', b'\r', bytes);
        let (mut lines, mut cr_lf) = (1, 0);
        for end in ends {
            if bytes[end] == b'\n' && end > 0 && bytes[end - 1] == b'\r' {
                cr_lf += 1;
            } else {
                lines += 1;
            }
        }
        // Every line end in the text is one LF on the wire, and the last line gets one, too.
        text.len() - cr_lf + lines * name.len() + "\n".len()
    })
}

/// Puts a number in decimal digits, four at a time: they are made in a register and stored at once.
#[inline]
pub(super) fn put_decimal(out: &mut impl BufMut, number: u64) {
    const ASCII: u32 = u32::from_ne_bytes([b'0'; 4]);
    let mut unit = 1;
    while number / unit >= 10_000 {
        unit *= 10_000;
    }
    let first = four_digits((number / unit) as u32);
    match first.trailing_zeros() / 8 {
        0 => out.put_u32_le(first | ASCII),
        zeros => {
            let zeros = zeros.min(3);
            out.put_uint_le(((first | ASCII) >> (8 * zeros)).into(), 4 - zeros as usize);
        }
    }
    while unit > 1 {
        unit /= 10_000;
        out.put_u32_le(four_digits((number / unit % 10_000) as u32) | ASCII);
    }
}

/// The digits of a number below 10,000, the first in the lowest byte. Both halves are divided side by side.
#[inline]
const fn four_digits(number: u32) -> u32 {
    let hundreds = (number * 10_486) >> 20;
    let twos = hundreds | (number - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    tens | (twos - tens * 10) << 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn ends_are_found_as_by_looking_at_each_byte() {
        let near = [b'\n', b'\r', b'\t', 0x0b, 0x0c, 0x0e, 0, 0x8a, 0x8d, 0xff];
        for len in 0..40 {
            for at in 0..len {
                for (first, second) in near.iter().flat_map(|first| near.map(|second| (*first, second))) {
                    let mut text = [b'x'; 40];
                    (text[at], text[(at + 1) % len]) = (first, second);
                    let text = &text[..len];
                    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    assert_eq!(find_end(text), end, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn low_bytes_are_seen_wherever_they_stand() {
        for len in 0..100 {
            assert!(!has_low(&[0x0e, b'x', 0x8a, 0x80, 0xff].repeat(20)[..len]));
            for (at, low) in (0..len).flat_map(|at| [(at, 0), (at, b'\n'), (at, b'\r')]) {
                let mut text = [0x0e; 100];
                text[at] = low;
                assert!(has_low(&text[..len]), "{low} at {at} of {len}");
            }
        }
    }

    #[test]
    fn numbers() {
        let beside_powers = (0..20).flat_map(|digits| [10_u64.pow(digits) - 1, 10_u64.pow(digits)]);
        for number in (0..10_010).chain(beside_powers).chain([1_000_200_030_004, u64::MAX]) {
            let mut out = Vec::new();
            put_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
