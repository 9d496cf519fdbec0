//! JSON as the frameworks need it (RFC 8259): checked for form and depth, lent as text, never made into a tree.
//!
//! What is relayed to others must be checked even if nobody here reads it: a client that takes a message that is no
//! JSON gives its connection up. [`check`] reads a text once, without recursion and without allocating; the
//! [`Value`] it gives is the text, and [`Value::array`] and [`Value::object`] walk it in raw slices.
//!
//! ```
//! use pushline::json::{self, Error};
//!
//! let value = json::check(r#" ["message", {"text": "caf\u00e9", "n": 1}] "#)?;
//! let mut items = value.array().expect("an array");
//! assert!(items.next().and_then(|name| name.string()).is_some_and(|name| name.is("message")));
//! let object = items.next().and_then(|item| item.object()).expect("an object");
//! assert_eq!(object.get("n").map(|n| n.as_str()), Some("1"));
//! let text = object.get("text").and_then(|text| text.string()).expect("a string");
//! assert_eq!(text.to_cow(), "café");
//!
//! assert_eq!(json::check("[1,]"), Err(Error::Syntax { at: 3 }));
//! # Ok::<(), Error>(())
//! ```
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod scan;
mod string;

use core::fmt;

pub use string::{Chars, Str, push_string, write_string};

/// Arrays and objects inside one another at most: 128, as in serde_json, so that what is accepted here is accepted by
/// those who read it with a parser that recurses. Without a limit one message ends the process of whoever does.
///
/// ```
/// use pushline::json::{Error, MAX_DEPTH, check};
///
/// let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
/// assert!(check(&nested(MAX_DEPTH)).is_ok());
/// assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(Error::TooDeep { at: MAX_DEPTH }));
/// ```
pub const MAX_DEPTH: usize = 128;

/// Why a text was refused.
///
/// ```
/// assert_eq!(pushline::json::check("tru").unwrap_err().to_string(), "not JSON at byte 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is not JSON.
    Syntax {
        /// The byte where it stops to be, or where the text ends too early.
        at: usize,
    },
    /// More than [`MAX_DEPTH`] arrays and objects are inside one another.
    TooDeep {
        /// The byte that opens one too many.
        at: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at } => write!(f, "not JSON at byte {at}"),
            Self::TooDeep { at } => write!(f, "JSON nested too deep at byte {at}"),
        }
    }
}

impl core::error::Error for Error {}

/// Checks that `text` is one JSON value, perhaps between white space (RFC 8259 2).
///
/// Accepts what the grammar says and nothing more: numbers of any size, strings with lone surrogates as escapes, an
/// object with the same key twice.
///
/// # Errors
///
/// [`Error`], with the byte at which the text went wrong.
///
/// ```
/// assert_eq!(pushline::json::check(" [1, 2] ")?.as_str(), "[1, 2]");
/// # Ok::<(), pushline::json::Error>(())
/// ```
pub fn check(text: &str) -> Result<Value<'_>, Error> {
    let bytes = text.as_bytes();
    let start = scan::space(bytes, 0);
    let end = scan::value(bytes, start)?;
    let at = scan::space(bytes, end);
    if at < text.len() {
        return Err(Error::Syntax { at });
    }
    Ok(Value { text: text.get(start..end).unwrap_or_default() })
}

/// A JSON value: text that was checked, without white space around it.
///
/// ```
/// use pushline::json::{Value, check};
///
/// let value = check("[true, 7, -1.5e0, null]")?;
/// let items: Vec<Value> = value.array().unwrap().collect();
/// assert_eq!((items[0].as_bool(), items[1].as_u64(), items[2].as_f64()), (Some(true), Some(7), Some(-1.5)));
/// assert!(items[3].is_null() && items[2].as_u64().is_none());
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    text: &'a str,
}

impl<'a> Value<'a> {
    /// What was checked before.
    #[cfg(feature = "socketio")]
    pub(crate) const fn checked(text: &'a str) -> Self {
        Self { text }
    }

    /// The string at the front of an array, if there is no escape in it, and how far behind it one is then.
    #[cfg(feature = "socketio")]
    pub(crate) fn first_plain(&self) -> Option<(&'a str, usize)> {
        let inside = self.text.strip_prefix("[\"")?;
        let end = scan::plain(inside.as_bytes());
        (inside.as_bytes().get(end) == Some(&b'"')).then_some((inside.get(..end)?, end.saturating_add(3)))
    }

    /// The elements; of what is no array, none.
    #[cfg(feature = "socketio")]
    pub(crate) fn items(&self) -> Array<'a> {
        self.array().unwrap_or(Array { text: "[]", at: 1 })
    }

    /// The text of the value, as it came.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The string, if it is one.
    #[must_use]
    pub fn string(&self) -> Option<Str<'a>> {
        Str::new(self.text)
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn array(&self) -> Option<Array<'a>> {
        self.text.starts_with('[').then_some(Array { text: self.text, at: 1 })
    }

    /// The fields, if it is an object.
    #[must_use]
    pub fn object(&self) -> Option<Object<'a>> {
        self.text.starts_with('{').then_some(Object { text: self.text, at: 1 })
    }

    /// The number, if it is one that is written in digits only and fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        // `parse` takes a plus sign, but JSON has none at the front.
        self.text.parse().ok()
    }

    /// The number, if it is one; the nearest that there is.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.is_number().then(|| self.text.parse().ok())?
    }

    /// `true` or `false`, if it is one of them.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.text.parse().ok()
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text == "null"
    }

    /// Whether it is a number.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }
}

/// The elements of an array ([`Value::array`]): an iterator.
///
/// ```
/// let value = pushline::json::check("[1, [2, 3], {}]")?;
/// let items: Vec<&str> = value.array().unwrap().map(|item| item.as_str()).collect();
/// assert_eq!(items, ["1", "[2, 3]", "{}"]);
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Array<'a> {
    text: &'a str,
    /// Behind the opening bracket, or an element.
    at: usize,
}

impl<'a> Array<'a> {
    /// How far it has come.
    #[cfg(feature = "socketio")]
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// What is left of a checked array behind what another iterator has gone through.
    #[cfg(feature = "socketio")]
    pub(crate) const fn from_position(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// The text that is left, from the next element on; the closing bracket is part of it.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        let bytes = self.text.as_bytes();
        let start = scan::item(bytes, self.at).unwrap_or_else(|| scan::space(bytes, self.at));
        self.text.get(start..).unwrap_or_default()
    }
}

impl<'a> Iterator for Array<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let start = scan::item(self.text.as_bytes(), self.at)?;
        next_value(self.text, start, &mut self.at)
    }
}

/// The fields of an object ([`Value::object`]): an iterator of keys and values, in the order of the text.
///
/// ```
/// let value = pushline::json::check(r#"{"a": 1, "\u0062": [2], "a": 3}"#)?;
/// let object = value.object().unwrap();
/// let fields: Vec<_> = object.clone().map(|(key, value)| (key.to_cow(), value.as_str())).collect();
/// assert_eq!(fields, [("a".into(), "1"), ("b".into(), "[2]"), ("a".into(), "3")]);
/// assert_eq!(object.get("b").map(|value| value.as_str()), Some("[2]"));
/// assert_eq!(object.get("a").map(|value| value.as_str()), Some("3")); // the last one, as in JavaScript
/// assert_eq!(object.get("c"), None);
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Object<'a> {
    text: &'a str,
    /// Behind the opening brace, or a field.
    at: usize,
}

impl<'a> Object<'a> {
    /// The value of the field `key`; if there are several, the last one's. Keys are compared after unescaping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.clone().filter(|(name, _)| name.is(key)).map(|(_, value)| value).last()
    }
}

impl<'a> Iterator for Object<'a> {
    type Item = (Str<'a>, Value<'a>);

    fn next(&mut self) -> Option<(Str<'a>, Value<'a>)> {
        let bytes = self.text.as_bytes();
        let start = scan::item(bytes, self.at)?;
        let key = next_value(self.text, start, &mut self.at)?.string()?;
        let start = scan::after_colon(bytes, self.at);
        Some((key, next_value(self.text, start, &mut self.at)?))
    }
}

/// The value that starts here in a checked text, and where it ends.
#[inline]
fn next_value<'a>(text: &'a str, start: usize, end: &mut usize) -> Option<Value<'a>> {
    *end = scan::value(text.as_bytes(), start).ok()?;
    Some(Value { text: text.get(start..*end)? })
}
