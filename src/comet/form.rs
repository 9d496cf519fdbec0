//! Queries, and bodies `application/x-www-form-urlencoded`: `a=b&c=d` (the URL standard, 5.1).
#![allow(clippy::arithmetic_side_effects, reason = "two hexadecimal digits")]

use alloc::borrow::Cow;
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
use alloc::string::String;
use alloc::vec::Vec;

/// Names and values, decoded, as they came: not all need be UTF-8.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    form.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let mut next = || decode(halves.next().unwrap_or_default());
        (next(), next())
    })
}

/// Names and values, in order: the parameters of a form, or what an event is made of.
#[cfg(feature = "pushlet")]
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'f>(pub(super) Vec<(Cow<'f, str>, Cow<'f, str>)>);

#[cfg(feature = "pushlet")]
impl<'f> Fields<'f> {
    /// The first parameters of a form, as far as they are UTF-8.
    pub(super) fn parse(form: &'f [u8], most: usize) -> Self {
        let pairs = pairs(form).take(most);
        Self(pairs.filter_map(|(name, value)| text(name).zip(text(value))).collect())
    }

    /// With one more, unless there is one of this name: the first counts.
    pub(super) fn with(mut self, name: impl Into<Cow<'f, str>>, value: impl Into<Cow<'f, str>>) -> Self {
        let name = name.into();
        if self.get(&name).is_none() {
            self.0.push((name, value.into()));
        }
        self
    }

    /// The value of the first of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }
}

/// The value of the first parameter of this name; `None` if there is none, or if it is not UTF-8.
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
pub(super) fn value<'f>(form: &'f [u8], name: &str) -> Option<Cow<'f, str>> {
    pairs(form).find(|(key, _)| **key == *name.as_bytes()).and_then(|(_, value)| text(value))
}

/// The text of these bytes, if they are UTF-8.
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
pub(super) fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => core::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Plus signs are blanks; a percent sign without two digits behind it is itself.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let (byte, length) = match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (b'+', ..) => (b' ', 1),
            _ => (*first, 1),
        };
        decoded.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(decoded)
}

#[cfg(all(test, any(feature = "sockjs", feature = "atmosphere", feature = "pushlet")))]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (form, decoded) in [
            ("d=a", Some("a")),
            ("x=1&d=a+b%20c&d=2", Some("a b c")),
            ("d=%5B%22x%22%5D", Some("[\"x\"]")),
            ("d=100%&x", Some("100%")),
            ("d=%4", Some("%4")),
            ("d=%zz%", Some("%zz%")),
            ("%64=y", Some("y")),
            ("d", Some("")),
            ("d=%ff", None),
            ("dd=1", None),
            ("", None),
        ] {
            assert_eq!(value(form.as_bytes(), "d").as_deref(), decoded, "{form}");
        }
    }
}
