//! One read of an event stream: its lines, lent as text. Knows no fields but the commonest block.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use memchr::{memchr2, memchr2_iter};
use simdutf8::compat::from_utf8;

/// How many bytes a short value is copied as: a copy of known length needs no call.
pub(super) const SHORT: usize = 64;

/// The bytes of one read, of any size, and how far they have been decoded.
///
/// It holds what a bare slice could not: which part is known to be UTF-8. So text is checked once a
/// read, not once an event.
///
/// ```
/// use pushline::sse::{EventDecoder, Input};
///
/// let mut decoder = EventDecoder::new();
/// let mut input = Input::new(b"data: 1\n\ndata: 2\n\n");
/// assert!(decoder.decode(&mut input)?.is_some());
/// assert_eq!(input.remaining(), b"data: 2\n\n"); // one may stop here, and go on later
/// assert!(decoder.decode(&mut input)?.is_some());
/// assert!(decoder.decode(&mut input)?.is_none());
/// assert!(input.is_empty());
/// # Ok::<(), pushline::sse::DecodeError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Input<'i> {
    bytes: &'i [u8],
    /// What stands next, as far as it is known to be text.
    text: &'i str,
    /// How many bytes are left after `text`.
    after: usize,
    /// Whether all of it is known to be one line without an end.
    is_unended: bool,
}

/// A line of the input, without its end.
#[derive(Debug)]
pub(super) enum Line<'i> {
    Text(&'i str),
    /// A line that is not UTF-8.
    Bad(&'i [u8]),
}

impl<'i> Input<'i> {
    /// An input of which nothing is decoded yet.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'i [u8]) -> Self {
        Self { bytes, text: "", after: bytes.len(), is_unended: false }
    }

    /// As [`new`](Self::new), for what is known to be text.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn of_text(text: &'i str) -> Self {
        Self { bytes: text.as_bytes(), text, after: 0, is_unended: false }
    }

    /// The bytes not yet decoded.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> &'i [u8] {
        &self.bytes[self.bytes.len() - self.text.len() - self.after..]
    }

    /// Whether every byte is decoded.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty() && self.after == 0
    }

    /// Takes all that is left.
    pub(super) fn take_remaining(&mut self) -> &'i [u8] {
        core::mem::take(self).remaining()
    }

    /// Takes the next byte if it is `byte`.
    pub(super) fn take_byte(&mut self, byte: u8) -> bool {
        let rest = self.remaining().strip_prefix(&[byte]);
        if let Some(rest) = rest {
            *self = Self::new(rest);
        }
        rest.is_some()
    }

    /// Takes the next line and its end, text or not; `None` if its end has not come. `after_cr` is set if
    /// the end is a CR with nothing after it: an LF may yet belong to it.
    pub(super) fn take_bytes(&mut self, after_cr: &mut bool) -> Option<&'i [u8]> {
        let remaining = self.remaining();
        let (line, rest) = remaining.split_at(memchr2(b'\n', b'\r', remaining)?);
        *self = Self::new(match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [_, rest @ ..] => rest,
            [] => rest,
        });
        *after_cr |= rest == b"\r";
        Some(line)
    }

    /// Takes the next line and its end, as [`take_bytes`](Self::take_bytes) does.
    #[inline]
    pub(super) fn take_line(&mut self, after_cr: &mut bool) -> Option<Line<'i>> {
        if let Some(line) = self.take_text(after_cr) {
            return Some(Line::Text(line));
        }
        if self.after == 0 {
            return None;
        }
        self.look_for_text();
        match self.take_text(after_cr) {
            Some(line) => Some(Line::Text(line)),
            None if self.after == 0 => None,
            None => self.take_bytes(after_cr).map(Line::Bad),
        }
    }

    /// Takes the next line and its end if it is known to be text.
    #[inline]
    fn take_text(&mut self, after_cr: &mut bool) -> Option<&'i str> {
        let len = match self.text.as_bytes().first()? {
            b'\n' | b'\r' => 0,
            _ if self.is_unended => return None,
            _ => memchr2(b'\n', b'\r', self.text.as_bytes())?,
        };
        let (line, rest) = self.text.split_at_checked(len)?;
        if let Some(rest) = rest.strip_prefix('\n') {
            self.text = rest;
        } else {
            self.text = rest.strip_prefix("\r\n").or(rest.strip_prefix('\r'))?;
            *after_cr |= self.is_empty() && rest == "\r";
        }
        Some(line)
    }

    /// Sees how far what stands next is text. It stops at the first byte that is not, and the line with
    /// that byte is taken before anyone looks again, so no byte is looked at more than twice.
    #[cold]
    fn look_for_text(&mut self) {
        let remaining = self.remaining();
        self.text = from_utf8(remaining)
            .or_else(|error| from_utf8(&remaining[..error.valid_up_to()]))
            .unwrap_or_default();
        self.after = remaining.len() - self.text.len();
    }

    /// Takes the commonest of blocks: a line `data: VALUE`, at most `max` bytes long, then LF LF. Takes
    /// nothing if anything else stands next.
    #[inline]
    pub(super) fn take_data_block(&mut self, max: usize) -> Option<&'i str> {
        let value = self.text.strip_prefix("data: ")?;
        let Some(end) = memchr2(b'\n', b'\r', value.as_bytes()) else {
            self.is_unended = self.after == 0;
            return None;
        };
        let (value, rest) = value.split_at_checked(end)?;
        let rest = rest.strip_prefix("\n\n")?;
        if "data: ".len() + value.len() > max {
            return None;
        }
        self.text = rest;
        Some(value)
    }

    /// Takes lines `data: VALUE` LF for as long as they follow one another, with their LF, and `take`
    /// wants them. It is given the length of the line, the value with its LF, and the same with what
    /// follows if that makes [`SHORT`] bytes or more.
    #[inline]
    pub(super) fn take_data_lines(
        &mut self,
        mut take: impl FnMut(usize, &'i [u8], Option<&'i [u8; SHORT]>) -> bool,
    ) {
        let bytes = self.text.as_bytes();
        let mut start = 0;
        for end in memchr2_iter(b'\n', b'\r', bytes) {
            let Some(value) = bytes[start..=end].strip_prefix(b"data: ") else { break };
            let padded = bytes[start + "data: ".len()..].first_chunk();
            if bytes[end] != b'\n' || !take(end - start, value, padded) {
                break;
            }
            start = end + 1;
        }
        self.text = &self.text[start..];
    }
}

impl<'i> From<&'i [u8]> for Input<'i> {
    fn from(bytes: &'i [u8]) -> Self {
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A line, and whether it is text.
    type Found<'i> = (&'i [u8], bool);

    /// The lines of `bytes`, what is left, and whether that may yet begin with an LF to be dropped.
    fn lines(bytes: &[u8]) -> (Vec<Found<'_>>, &[u8], bool) {
        let (mut input, mut after_cr) = (Input::new(bytes), false);
        let mut lines = Vec::new();
        while let Some(line) = input.take_line(&mut after_cr) {
            lines.push(match line {
                Line::Text(line) => (line.as_bytes(), true),
                Line::Bad(line) => (line, false),
            });
        }
        (lines, input.take_remaining(), after_cr)
    }

    #[test]
    fn lines_end_with_cr_lf_or_both() {
        let found = lines(b"a\nb\rc\r\n\r\n\n\rd");
        let text: [&[u8]; 6] = [b"a", b"b", b"c", b"", b"", b""];
        assert_eq!(found, (text.map(|line| (line, true)).to_vec(), &b"d"[..], false));
        assert_eq!(lines(b"a\r"), ([(&b"a"[..], true)].to_vec(), &b""[..], true));
        assert_eq!(lines(b"\xff\r"), ([(&b"\xff"[..], false)].to_vec(), &b""[..], true));
    }

    #[test]
    fn a_bad_line_leaves_the_others_text() {
        let found = lines(b"a\nb\xff\r\n\xe2\x82\nc\rd\xf0\x9f\x98\x80\n\xe2\x82").0;
        let all: [Found<'_>; 5] = [
            (b"a", true),
            (b"b\xff", false),
            (b"\xe2\x82", false),
            (b"c", true),
            (b"d\xf0\x9f\x98\x80", true),
        ];
        assert_eq!(found, all);
    }

    #[test]
    fn a_cr_before_a_bad_byte_is_a_whole_line_end() {
        let found = lines(b"a\r\xff\n");
        assert_eq!(found, ([(&b"a"[..], true), (b"\xff", false)].to_vec(), &b""[..], false));
    }

    #[test]
    fn a_data_block_is_taken_whole_or_not_at_all() {
        for (bytes, max, taken) in [
            (&b"data: x\n\nrest"[..], 7, Some("x")),
            (b"data: x\n\nrest", 6, None),
            (b"data:x\n\n", 9, None),
            (b"data: x\n\r", 9, None),
            (b"data: x\r\n\r\n", 9, None),
            (b"data: x\n", 9, None),
            (b"data: x\nid\n\n", 9, None),
        ] {
            let mut input = Input::new(bytes);
            input.look_for_text();
            assert_eq!(input.take_data_block(max), taken, "{bytes:?}");
            let left = if taken.is_some() { b"rest" } else { bytes };
            assert_eq!(input.remaining(), left);
        }
    }
}
