//! Text as a string literal that JavaScript and JSON read alike and that HTML does not see (ECMA-262 12.9.4,
//! RFC 8259 7, HTML 4.12.1.3).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "capacities: a little more than what is in memory; twenty digits of a number of 64 bits"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "tables of 256 entries, asked by a byte; the rest up to a place that was found in it"
)]

use alloc::vec::Vec;
use bytes::{BufMut, Bytes};

/// A message as every transport here sends it, made once and shared by all that receive it.
///
/// It holds the text as [`write_literal`] writes it; a clone is a reference.
///
/// ```
/// use pushline::comet::CometMessage;
///
/// let message = CometMessage::text("it's <b>\"bold\"</b>\n");
/// assert_eq!(message.literal(), br#""it's \u003cb\u003e\"bold\"\u003c/b\u003e\n""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CometMessage {
    literal: Bytes,
}

impl CometMessage {
    /// A message of this text. Allocates for the text and for counting who shares it; what is sent of the message, to
    /// however many, allocates no more.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut literal = Vec::with_capacity(text.len() + text.len() / 8 + 2);
        write_literal(text, &mut literal);
        Self { literal: literal.into() }
    }

    /// The text as a string literal, its quotes included.
    #[must_use]
    pub fn literal(&self) -> &[u8] {
        &self.literal
    }

    /// Bytes that a log holds for it.
    pub(super) fn size(&self) -> usize {
        self.literal.len()
    }

    /// Appends `{"id":14,"data":"…"}`, and answers how long that was.
    pub(super) fn write_event(&self, id: u64, out: &mut impl BufMut) -> usize {
        out.put_slice(b"{\"id\":");
        let digits = write_number(id, out);
        out.put_slice(b",\"data\":");
        out.put_slice(&self.literal);
        out.put_slice(b"}");
        digits + self.literal.len() + 15
    }

    /// How long [`write_event`](Self::write_event) is at most.
    pub(super) fn event_length(&self) -> usize {
        self.literal.len() + 36
    }
}

/// Appends `text` as a string literal, in double quotes, to `out`.
///
/// The literal is good in a script, in JSON and inside `<script>`: besides what both languages ask for, it escapes
/// `<`, `>` and `&` (so that neither `</script>` nor `<!--` nor an entity can stand in it), control characters, and
/// U+2028 and U+2029, which end a line in older JavaScript.
///
/// # Panics
///
/// If `out` cannot grow and has not the room: six times the text and 2 always suffice.
///
/// ```
/// let mut script = b"show(".to_vec();
/// pushline::comet::write_literal("</script>\u{2028}", &mut script);
/// script.extend_from_slice(b");");
/// assert_eq!(script, br#"show("\u003c/script\u003e\u2028");"#);
/// ```
pub fn write_literal(text: &str, out: &mut impl BufMut) {
    let mut rest = text.as_bytes();
    out.put_u8(b'"');
    while let Some(plain) = rest.iter().position(|&byte| SPECIAL[usize::from(byte)]) {
        let (before, from) = rest.split_at(plain);
        out.put_slice(before);
        let length = match from {
            [b'\n', ..] => short(b'n', out),
            [b'\r', ..] => short(b'r', out),
            [b'\t', ..] => short(b't', out),
            [b'"' | b'\\', ..] => short(from[0], out),
            [0xe2, 0x80, 0xa8, ..] => code(0x2028, 3, out),
            [0xe2, 0x80, 0xa9, ..] => code(0x2029, 3, out),
            // Another character of that first byte.
            [0xe2, ..] => {
                out.put_u8(0xe2);
                1
            }
            _ => code(u16::from(from[0]), 1, out),
        };
        rest = &from[length..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// Bytes at which [`write_literal`] looks closer.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    let mut others: &[u8] = b"\"\\<>&\x7f\xe2";
    while let [byte, rest @ ..] = others {
        table[*byte as usize] = true;
        others = rest;
    }
    table
};

fn short(letter: u8, out: &mut impl BufMut) -> usize {
    out.put_slice(&[b'\\', letter]);
    1
}

fn code(unit: u16, length: usize, out: &mut impl BufMut) -> usize {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 15)];
    out.put_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    length
}

/// Appends a number in decimal, and answers how many digits that were.
pub(super) fn write_number(mut number: u64, out: &mut impl BufMut) -> usize {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            out.put_slice(&digits[start..]);
            return digits.len() - start;
        }
    }
}
