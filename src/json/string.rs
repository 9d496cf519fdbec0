//! Strings (RFC 8259 7): read without the escapes, and written with them.
#![allow(clippy::arithmetic_side_effects, reason = "two surrogates that were matched; a place in the text")]

use super::scan::plain;
use alloc::borrow::Cow;
use alloc::string::String;
use bytes::BufMut;

/// A string in a checked text, as it is written there.
///
/// ```
/// let value = pushline::json::check(r#""a\n\ud83d\ude00""#)?;
/// let string = value.string().expect("a string");
/// assert_eq!(string.escaped(), r"a\n\ud83d\ude00");
/// assert_eq!(string.to_cow(), "a\n😀");
/// assert!(string.is("a\n😀") && !string.is("a"));
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Str<'a> {
    inside: &'a str,
}

impl<'a> Str<'a> {
    /// The string that a checked value is, if it is one.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        text.strip_prefix('"')?.strip_suffix('"').map(|inside| Self { inside })
    }

    /// The text between the quotes, escapes and all.
    #[must_use]
    pub const fn escaped(&self) -> &'a str {
        self.inside
    }

    /// The text without an allocation, if there is no escape in it.
    #[must_use]
    pub fn plain(&self) -> Option<&'a str> {
        (plain(self.inside.as_bytes()) == self.inside.len()).then_some(self.inside)
    }

    /// The text; owned only if there are escapes in it. Half a surrogate pair, which no Rust string can hold, becomes
    /// U+FFFD.
    #[must_use]
    pub fn to_cow(&self) -> Cow<'a, str> {
        self.plain().map_or_else(|| Cow::Owned(self.chars().collect::<String>()), Cow::Borrowed)
    }

    /// Whether the text is `text`, after unescaping.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        if self.inside == text && !text.contains('\\') {
            return true;
        }
        self.inside.len() > text.len() && self.plain().is_none() && self.chars().eq(text.chars())
    }

    /// The characters, after unescaping.
    #[must_use]
    pub fn chars(&self) -> Chars<'a> {
        Chars { rest: self.inside }
    }
}

/// The characters of a [`Str`]: an iterator.
///
/// ```
/// let value = pushline::json::check(r#""\u00e9\ud800!""#)?;
/// assert_eq!(value.string().unwrap().chars().collect::<Vec<_>>(), ['é', '\u{fffd}', '!']);
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    rest: &'a str,
}

impl Chars<'_> {
    fn pop(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        self.rest = chars.as_str();
        Some(first)
    }

    /// The unit behind `\u`.
    fn unit(&mut self) -> u32 {
        (0..4).fold(0, |unit, _| unit << 4 | self.pop().and_then(|digit| digit.to_digit(16)).unwrap_or(0))
    }

    /// RFC 8259 7: a character beyond the BMP is two escapes.
    fn unicode(&mut self) -> char {
        let high = self.unit();
        if (0xd800..0xdc00).contains(&high)
            && let Some(rest) = self.rest.strip_prefix("\\u")
        {
            let mut ahead = Chars { rest };
            let low = ahead.unit();
            if (0xdc00..0xe000).contains(&low) {
                *self = ahead;
                let character = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.pop()? {
            '\\' => Some(match self.pop()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.unicode(),
                quoted => quoted,
            }),
            plain => Some(plain),
        }
    }
}

/// Appends `text` as a JSON string with its quotes, as `JSON.stringify` writes it: quotes, backslashes and control
/// characters are escaped, and nothing else. For text inside HTML see `comet::write_literal`.
///
/// # Panics
///
/// If `out` cannot grow and has not the room: six bytes for each byte of the text, and two.
///
/// ```
/// let mut out = Vec::new();
/// pushline::json::write_string("\"a\"\n\u{1e}é", &mut out);
/// assert_eq!(out, r#""\"a\"\n\u001eé""#.as_bytes());
/// ```
pub fn write_string(text: &str, out: &mut impl BufMut) {
    out.put_u8(b'"');
    escape(text, |piece| out.put_slice(piece.as_bytes()));
    out.put_u8(b'"');
}

/// The same as [`write_string`], into a `String`.
///
/// ```
/// let mut out = String::from("42[");
/// pushline::json::push_string("a\tb", &mut out);
/// assert_eq!(out, r#"42["a\tb""#);
/// ```
pub fn push_string(text: &str, out: &mut String) {
    out.push('"');
    if plain(text.as_bytes()) == text.len() {
        out.push_str(text);
    } else {
        escape(text, |piece| out.push_str(piece));
    }
    out.push('"');
}

/// The escapes of control characters: two characters where JSON has them, six for the others.
const CONTROLS: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b", "\\t",
    "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013",
    "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c",
    "\\u001d", "\\u001e", "\\u001f",
];

#[inline]
fn escape(text: &str, mut write: impl FnMut(&str)) {
    let mut rest = text;
    while let Some((plain, special)) = rest.split_at_checked(plain(rest.as_bytes())) {
        write(plain);
        let Some(&byte) = special.as_bytes().first() else { break };
        write(match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            _ => CONTROLS.get(usize::from(byte)).copied().unwrap_or_default(),
        });
        rest = special.get(1..).unwrap_or_default();
    }
}
