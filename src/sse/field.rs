//! One line of an event stream: which field it is, and its value (HTML 9.2.6). Knows no blocks.
#![allow(clippy::arithmetic_side_effects, reason = "a digit that was matched")]

/// A line that is not empty, by what it says. Every value is a suffix of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'l> {
    Data(&'l str),
    Event(&'l str),
    Id(&'l str),
    /// Milliseconds.
    Retry(u64),
    Comment(&'l str),
    /// An unknown name, or a value that makes the line void.
    Ignored,
}

impl<'l> Field<'l> {
    /// Reads a line without its end. Names are compared byte by byte: case matters.
    #[inline(always)]
    pub(super) fn parse(line: &'l str) -> Self {
        if let Some(value) = line.strip_prefix("data: ") {
            return Self::Data(value);
        }
        let field = match line.as_bytes().first() {
            Some(b'd') => value(line, "data").map(Field::Data),
            Some(b'e') => value(line, "event").map(Field::Event),
            // A value with U+0000 makes the line void.
            Some(b'i') => value(line, "id").filter(|id| !id.as_bytes().contains(&0)).map(Field::Id),
            Some(b'r') => value(line, "retry").and_then(milliseconds).map(Field::Retry),
            Some(b':') => Some(Field::Comment(&line[1..])),
            _ => None,
        };
        field.unwrap_or(Field::Ignored)
    }
}

/// The value of a line if its field name is `name`: what follows the first colon less one space, or
/// nothing if there is no colon.
#[inline]
fn value<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(name)?;
    match rest.as_bytes() {
        [b':', b' ', ..] => Some(&rest[2..]),
        [b':', ..] => Some(&rest[1..]),
        [] => Some(rest),
        _ => None,
    }
}

/// ASCII digits and nothing else, as a number; too large a one saturates.
fn milliseconds(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_space_after_the_colon_is_dropped() {
        assert_eq!(Field::parse("data:x"), Field::Data("x"));
        assert_eq!(Field::parse("data: x"), Field::Data("x"));
        assert_eq!(Field::parse("data:  x"), Field::Data(" x"));
        assert_eq!(Field::parse("data:\tx"), Field::Data("\tx"));
        assert_eq!(Field::parse("data"), Field::Data(""));
        assert_eq!(Field::parse("data:"), Field::Data(""));
    }

    #[test]
    fn a_name_is_exact() {
        for line in ["Data:x", "dat:x", "dataa:x", "data :x", " data:x", "\0data:x", "x", "\u{feff}data:x"] {
            assert_eq!(Field::parse(line), Field::Ignored, "{line:?}");
        }
    }

    #[test]
    fn a_comment_keeps_its_space() {
        assert_eq!(Field::parse(": x"), Field::Comment(" x"));
        assert_eq!(Field::parse(":"), Field::Comment(""));
    }

    #[test]
    fn a_void_line_is_ignored() {
        assert_eq!(Field::parse("id: a\0"), Field::Ignored);
        let void =
            ["retry", "retry:", "retry:+5", "retry:  5", "retry:5 ", "retry:1.5", "retry:0x1", "retry:٣"];
        for line in void {
            assert_eq!(Field::parse(line), Field::Ignored, "{line:?}");
        }
    }

    #[test]
    fn retry_saturates() {
        assert_eq!(Field::parse("retry: 03000"), Field::Retry(3000));
        assert_eq!(Field::parse("retry:18446744073709551615"), Field::Retry(u64::MAX));
        assert_eq!(Field::parse("retry:18446744073709551616"), Field::Retry(u64::MAX));
        assert_eq!(Field::parse(&["retry:", &"9".repeat(40)].concat()), Field::Retry(u64::MAX));
    }
}
