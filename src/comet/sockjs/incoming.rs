//! What clients send: a JSON array of strings, or a single string.

use crate::json;
use alloc::borrow::Cow;
use core::fmt;

/// The messages that a client has sent, checked.
///
/// ```
/// use pushline::comet::sockjs::{BrokenJson, SockJsMessages};
///
/// let messages = SockJsMessages::parse(r#"["one", "t\u0077o"]"#)?;
/// assert_eq!(messages.iter().collect::<Vec<_>>(), ["one", "two"]);
/// assert_eq!(SockJsMessages::parse("\"single\"")?.iter().count(), 1);
/// assert!(SockJsMessages::parse("[1]").is_err());
/// # Ok::<(), BrokenJson>(())
/// ```
#[derive(Clone, Debug)]
pub struct SockJsMessages<'r>(Cow<'r, str>);

/// A client's text is no JSON, or not a string or an array of strings.
///
/// ```
/// use pushline::comet::sockjs::{BrokenJson, SockJsMessages};
///
/// assert_eq!(SockJsMessages::parse("[\"x").err(), Some(BrokenJson));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenJson;

impl fmt::Display for BrokenJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a JSON string or array of strings")
    }
}

impl core::error::Error for BrokenJson {}

impl<'r> SockJsMessages<'r> {
    /// Reads what came over a WebSocket, or in a body. An empty text, which the protocol has servers ignore, has no
    /// messages.
    ///
    /// # Errors
    ///
    /// [`BrokenJson`]; over a WebSocket, end the connection then.
    pub fn parse(text: impl Into<Cow<'r, str>>) -> Result<Self, BrokenJson> {
        let text = text.into();
        if !text.is_empty() {
            let value = json::check(&text).map_err(|_| BrokenJson)?;
            let is_string = value.string().is_some();
            let are_strings =
                value.array().is_some_and(|mut items| items.all(|item| item.string().is_some()));
            if !is_string && !are_strings {
                return Err(BrokenJson);
            }
        }
        Ok(Self(text))
    }

    /// The messages, in order. Half a surrogate pair in one becomes U+FFFD.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let value = json::check(&self.0).ok();
        let single = value.and_then(|value| value.string());
        let items = value.and_then(|value| value.array()).into_iter().flatten();
        single.into_iter().chain(items.filter_map(|item| item.string())).map(|text| text.to_cow())
    }
}
