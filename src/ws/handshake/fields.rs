//! What stands in `Sec-WebSocket-Extensions` and `Sec-WebSocket-Protocol`, for both roles: lists of extensions with
//! parameters, lists of subprotocols (RFC 6455 4.3, 9.1, 11.3.2, 11.3.4).
#![allow(clippy::arithmetic_side_effects, reason = "places in a field that is in memory")]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::http1::head::InvalidField;
use crate::http1::syntax::{elements, is_token, is_token_byte, token_len};

/// The most extensions that one field line may list: 32. Without it, a peer could have an offer of thousands of
/// entries negotiated one by one.
pub const MAX_EXTENSIONS: usize = 32;

/// The most parameters that one extension may have: 16. Without it, a check for repeated parameters could be made
/// to take quadratic time.
pub const MAX_PARAMETERS: usize = 16;

/// The most subprotocols that one side may offer: 32. Without it, the check for repeated names could be made to
/// take quadratic time.
pub const MAX_SUBPROTOCOLS: usize = 32;

/// The reason why a list of extensions or subprotocols was refused.
///
/// ```
/// use pushline::ws::handshake::ListError;
/// use pushline::raw::extensions;
///
/// let list: Vec<_> = extensions(br#"a; b="not a token", c; ="#).collect();
/// assert_eq!(list, [Err(ListError::ValueNotToken), Err(ListError::Malformed)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListError {
    /// The bytes do not follow the grammar of RFC 6455 9.1 or 11.3.4. Nothing after this place is read.
    Malformed,
    /// There are more than [`MAX_EXTENSIONS`], [`MAX_PARAMETERS`] or [`MAX_SUBPROTOCOLS`] entries. Nothing after this
    /// place is read.
    TooMany,
    /// A quoted parameter value is not a token once unquoted (RFC 6455 9.1). Reading goes on behind this extension, but
    /// the list is malformed: it fails the handshake in either role, whatever else is in it.
    ValueNotToken,
    /// A subprotocol was named twice (RFC 6455 4.1).
    Duplicate,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the list does not follow its grammar",
            Self::TooMany => "the list has too many entries",
            Self::ValueNotToken => "a quoted parameter value is not a token",
            Self::Duplicate => "a subprotocol is named twice",
        })
    }
}

impl core::error::Error for ListError {}

/// Reads one line of `Sec-WebSocket-Extensions`, in linear time and without allocating. Several lines are one list:
/// read them one after the other. Empty elements are skipped (RFC 9110 5.6.1.2).
///
/// # Errors
///
/// The iterator ends after [`ListError::Malformed`] and [`ListError::TooMany`], and goes on after
/// [`ListError::ValueNotToken`].
///
/// ```
/// use pushline::ws::handshake::ListError;
/// use pushline::raw::extensions;
///
/// let mut list = extensions(br#"permessage-deflate; server_max_window_bits="1\0"; client_max_window_bits, x-foo"#);
/// let first = list.next().unwrap().unwrap();
/// assert_eq!(first.name(), "permessage-deflate");
/// let parameters: Vec<_> = first.params().collect();
/// assert_eq!(parameters, [("server_max_window_bits", Some("10".into())), ("client_max_window_bits", None)]);
/// assert_eq!(list.next().unwrap().unwrap().name(), "x-foo");
/// assert_eq!(list.next(), None);
///
/// assert_eq!(extensions(b"a; =1").next(), Some(Err(ListError::Malformed)));
/// ```
pub fn extensions(value: &[u8]) -> Extensions<'_> {
    Extensions { rest: value, left: MAX_EXTENSIONS }
}

/// The extensions of one field line: see [`extensions`].
///
/// ```
/// assert_eq!(pushline::raw::extensions(b"a, b; c").count(), 2);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Extensions<'a> {
    rest: &'a [u8],
    /// How many more there may be.
    left: usize,
}

/// One extension, offered or accepted: a name and its parameters (RFC 6455 9.1). See [`extensions`].
///
/// ```
/// let extension = pushline::raw::extensions(b"a; b=c").next().unwrap()?;
/// assert_eq!((extension.name(), extension.params().count()), ("a", 1));
/// # Ok::<(), pushline::ws::handshake::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    name: &'a [u8],
    /// What stands behind the name; it has been read once without fault.
    params: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The extension's name, as sent.
    #[must_use]
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// The parameters in the order sent, repeated ones too: names and, where given, values, unquoted. Only a value
    /// with a backslash in it is copied.
    pub fn params(&self) -> ExtensionParams<'a> {
        ExtensionParams { rest: self.params }
    }
}

/// The parameters of one extension: see [`Extension::params`].
///
/// ```
/// let extension = pushline::raw::extensions(b"a; b=c").next().unwrap()?;
/// assert_eq!(extension.params().next(), Some(("b", Some("c".into()))));
/// # Ok::<(), pushline::ws::handshake::ListError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ExtensionParams<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ExtensionParams<'a> {
    type Item = (&'a str, Option<Cow<'a, str>>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = parameter(&mut self.rest).ok()??;
        Some((text(name), value.map(Value::unquote)))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let found = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                extension(&mut self.rest)
            }
            None => Err(ListError::TooMany),
        };
        if let Err(ListError::Malformed | ListError::TooMany) = found {
            self.rest = &[];
        }
        Some(found)
    }
}

/// RFC 6455 9.1: extension = token *( ";" token [ "=" ( token | quoted-string ) ] ). Reads up to the comma.
fn extension<'a>(rest: &mut &'a [u8]) -> Result<Extension<'a>, ListError> {
    let name = token(rest).ok_or(ListError::Malformed)?;
    let behind = *rest;
    let mut count = 0;
    let mut tokens = true;
    while let Some((_, value)) = parameter(rest)? {
        count += 1;
        if count > MAX_PARAMETERS {
            return Err(ListError::TooMany);
        }
        tokens &= value.is_none_or(Value::is_token);
    }
    if !tokens {
        return Err(ListError::ValueNotToken);
    }
    Ok(Extension { name, params: &behind[..behind.len() - rest.len()] })
}

/// The next parameter, or `None` at the end of the extension. RFC 6455 4.3: whitespace may stand between any two words.
fn parameter<'a>(rest: &mut &'a [u8]) -> Result<Option<Parameter<'a>>, ListError> {
    skip_whitespace(rest);
    match rest.first() {
        None | Some(b',') => return Ok(None),
        Some(b';') => *rest = &rest[1..],
        Some(_) => return Err(ListError::Malformed),
    }
    skip_whitespace(rest);
    let name = token(rest).ok_or(ListError::Malformed)?;
    skip_whitespace(rest);
    let Some(behind) = rest.strip_prefix(b"=") else {
        return Ok(Some((name, None)));
    };
    *rest = behind;
    skip_whitespace(rest);
    let value = match rest.strip_prefix(b"\"") {
        Some(inside) => {
            *rest = inside;
            Value::Quoted(quoted(rest).ok_or(ListError::Malformed)?)
        }
        None => Value::Token(token(rest).ok_or(ListError::Malformed)?),
    };
    Ok(Some((name, Some(value))))
}

/// A name and, if given, a value.
type Parameter<'a> = (&'a [u8], Option<Value<'a>>);

/// A parameter's value as it stands on the wire.
#[derive(Clone, Copy)]
enum Value<'a> {
    Token(&'a [u8]),
    /// Between the quotes, escapes and all.
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    fn is_token(self) -> bool {
        match self {
            Self::Token(_) => true,
            Self::Quoted(inside) => !inside.is_empty() && unescape(inside).all(is_token_byte),
        }
    }

    /// The value of one that [`Value::is_token`].
    fn unquote(self) -> Cow<'a, str> {
        match self {
            Self::Token(token) => Cow::Borrowed(text(token)),
            Self::Quoted(inside) if inside.contains(&b'\\') => {
                Cow::Owned(unescape(inside).map(char::from).collect())
            }
            Self::Quoted(inside) => Cow::Borrowed(text(inside)),
        }
    }
}

/// RFC 9110 5.6.4: the bytes of a quoted-string; a backslash stands for the byte behind it.
fn unescape(inside: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = inside.iter().copied();
    core::iter::from_fn(move || match bytes.next() {
        Some(b'\\') => bytes.next(),
        byte => byte,
    })
}

/// Takes a token off the front.
fn token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (token, behind) = rest.split_at(token_len(rest));
    *rest = behind;
    (!token.is_empty()).then_some(token)
}

/// Tokens are ASCII.
fn text(token: &[u8]) -> &str {
    str::from_utf8(token).unwrap_or_default()
}

/// Takes the inside of a quoted-string and its closing quote off the front; the opening quote has been taken.
fn quoted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        match rest.get(at)? {
            b'"' => {
                let inside = &rest[..at];
                *rest = &rest[at + 1..];
                return Some(inside);
            }
            // RFC 9110 5.6.4: what may be quoted by a backslash is what may stand in a field value.
            b'\\' if rest.get(at + 1).is_some_and(|&byte| is_text(byte)) => at += 2,
            b'\\' => return None,
            &byte if is_text(byte) => at += 1,
            _ => return None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn skip_whitespace(rest: &mut &[u8]) {
    while let [b' ' | b'\t', behind @ ..] = rest {
        *rest = behind;
    }
}

/// Adds one line of `Sec-WebSocket-Protocol` to the names offered so far. Several lines are one list (RFC 6455
/// 11.3.4). Empty elements are skipped (RFC 9110 5.6.1.2).
///
/// # Errors
///
/// [`ListError::Malformed`] for an element that is not a token or if there is none, [`ListError::Duplicate`] for a name that
/// stands there already, [`ListError::TooMany`] past [`MAX_SUBPROTOCOLS`].
///
/// ```
/// use pushline::ws::handshake::ListError;
/// use pushline::raw::subprotocols;
///
/// let mut offered = Vec::new();
/// subprotocols(b"chat, superchat", &mut offered).unwrap();
/// subprotocols(b"mqtt", &mut offered).unwrap();
/// assert_eq!(offered, ["chat", "superchat", "mqtt"]);
/// assert_eq!(subprotocols(b"chat", &mut offered), Err(ListError::Duplicate));
/// assert_eq!(subprotocols(b"a, b c", &mut offered), Err(ListError::Malformed));
/// ```
pub fn subprotocols<'a>(value: &'a [u8], offered: &mut Vec<&'a str>) -> Result<(), ListError> {
    let mut empty = true;
    for element in elements(value).filter(|element| !element.is_empty()) {
        empty = false;
        let name =
            str::from_utf8(element).ok().filter(|name| is_subprotocol(name)).ok_or(ListError::Malformed)?;
        if offered.contains(&name) {
            return Err(ListError::Duplicate);
        }
        if offered.len() == MAX_SUBPROTOCOLS {
            return Err(ListError::TooMany);
        }
        offered.push(name);
    }
    // RFC 9110 5.6.1.2: 1#token has at least one.
    if empty { Err(ListError::Malformed) } else { Ok(()) }
}

/// RFC 6455 4.1 (10): a name is a token.
pub(super) fn is_subprotocol(name: &str) -> bool {
    is_token(name.as_bytes())
}

/// RFC 6455 4.1 (10): one's own list of names is held to the rules for the peer's.
pub(super) fn check_subprotocols<N: Into<String>>(
    names: impl IntoIterator<Item = N>,
) -> Result<Vec<String>, ListError> {
    let mut checked: Vec<String> = Vec::new();
    for name in names.into_iter().map(Into::into) {
        if !is_subprotocol(&name) {
            return Err(ListError::Malformed);
        }
        if checked.contains(&name) {
            return Err(ListError::Duplicate);
        }
        if checked.len() == MAX_SUBPROTOCOLS {
            return Err(ListError::TooMany);
        }
        checked.push(name);
    }
    Ok(checked)
}

/// Refuses a field that is the handshake's own, or would change where the message ends: not for a caller to add.
pub(super) fn check_own_field(name: &str) -> Result<(), InvalidField> {
    const RESERVED: [&str; 6] =
        ["connection", "upgrade", "host", "origin", "content-length", "transfer-encoding"];
    let prefix = name.as_bytes().get(.."sec-websocket-".len());
    let is_reserved = prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"sec-websocket-"))
        || RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
    if is_reserved { Err(InvalidField::Reserved) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// One element a line: `name; param=value`, or the error.
    fn read(value: &[u8]) -> Vec<String> {
        let show = |extension: Extension<'_>| {
            let mut text = extension.name().to_string();
            for (name, value) in extension.params() {
                text += &alloc::format!("; {name}");
                if let Some(value) = value {
                    text += &alloc::format!("={value}");
                }
            }
            text
        };
        extensions(value)
            .map(|element| element.map_or_else(|error| alloc::format!("{error:?}"), show))
            .collect()
    }

    #[test]
    fn grammar() {
        assert_eq!(read(b""), [""; 0]);
        assert_eq!(read(b" ,\t, "), [""; 0]);
        assert_eq!(read(b"a"), ["a"]);
        assert_eq!(read(b"a,b ,\tc"), ["a", "b", "c"]);
        assert_eq!(read(b"a;b;c=1 , a ; b = \"2\" ;c"), ["a; b; c=1", "a; b=2; c"]);
        assert_eq!(read(br#"a; b="\1\0", c"#), ["a; b=10", "c"]);
    }

    #[test]
    fn malformed_ends_the_list() {
        for value in [
            "a;",
            "a; ",
            "a;;b",
            "a; =1",
            "a; b=",
            "a; b=,c",
            "a b",
            "a; b c",
            "a=1",
            "=",
            ";",
            "\"a\"",
            "a; b=\"1",
            "a; b=\"1\"2",
            "a; b=\"1\\",
            "a; b=\"\\",
            "a; b=\"\x01\"",
            "a; b=\"\\\x01\"",
            "a; b=\"\x7f\"",
            "a/b",
            "\u{e9}",
        ] {
            assert_eq!(read(value.as_bytes()), ["Malformed"], "{value}");
            assert_eq!(read(&[b"x, ", value.as_bytes()].concat()), ["x", "Malformed"], "{value}");
        }
    }

    #[test]
    fn a_value_that_is_no_token_spoils_only_its_extension() {
        assert_eq!(read(br#"a; b="1 0", c"#), ["ValueNotToken", "c"]);
        assert_eq!(read(br#"a; b="", c"#), ["ValueNotToken", "c"]);
        assert_eq!(read(br#"a; b="\"", c"#), ["ValueNotToken", "c"]);
        assert_eq!(read(br#"x; y=",permessage-deflate; client_max_window_bits,""#), ["ValueNotToken"]);
        assert_eq!(read(br#"a; b=",", c; d=;"#), ["ValueNotToken", "Malformed"]);
    }

    #[test]
    fn limits() {
        let list = |count: usize| ["a"].repeat(count).join(",").into_bytes();
        assert_eq!(read(&list(MAX_EXTENSIONS)).len(), MAX_EXTENSIONS);
        assert_eq!(read(&list(MAX_EXTENSIONS + 1))[MAX_EXTENSIONS], "TooMany");
        assert_eq!(read(&list(1000)).len(), MAX_EXTENSIONS + 1);
        let params = |count: usize| ["a"].repeat(count + 1).join(";").into_bytes();
        assert_eq!(
            extensions(&params(MAX_PARAMETERS)).next().map(|e| e.map(|e| e.params().count())),
            Some(Ok(16))
        );
        assert_eq!(read(&params(MAX_PARAMETERS + 1)), ["TooMany"]);

        let names: Vec<String> = (0..=MAX_SUBPROTOCOLS).map(|number| alloc::format!("p{number}")).collect();
        let (most, over) = (names[..MAX_SUBPROTOCOLS].join(","), names.join(","));
        assert_eq!(subprotocols(most.as_bytes(), &mut Vec::new()), Ok(()));
        assert_eq!(subprotocols(over.as_bytes(), &mut Vec::new()), Err(ListError::TooMany));
    }

    #[test]
    fn subprotocol_names_are_tokens() {
        for value in ["", ",", " ,\t,", "a b", ",a b", "\"a\"", "a/b", "\u{e9}"] {
            assert_eq!(subprotocols(value.as_bytes(), &mut Vec::new()), Err(ListError::Malformed), "{value}");
        }
        // RFC 9110 5.6.1.2.
        let mut names = Vec::new();
        assert_eq!(subprotocols(b",\t, ,  ,foo  ,,", &mut names), Ok(()));
        assert_eq!(names, ["foo"]);
        // RFC 6455 11.5: names are compared as they stand.
        assert_eq!(subprotocols(b"chat,Chat", &mut Vec::new()), Ok(()));
    }
}
