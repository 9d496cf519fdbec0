//! JSONP: a poll's answer as a script that calls a function of the page, for clients that can only load scripts.
//!
//! The page names the function in the URL (`?callback=app.news`), so the name goes into a script and is checked
//! by grammar, length and where it leads. Whatever it names is called with one argument, an object: functions that would run a string
//! as code (`setTimeout`) get `[object Object]` to run. A script has no status that the page could see, so every
//! answer is 200 and has a body, an empty one too. Any origin can load a script: put nothing private behind it
//! without a secret in the URL.

use super::long_poll::CometAnswer;
use super::{NO_STORE, NOSNIFF};
use bytes::BufMut;
use core::fmt;

/// The fields of the answer. The type keeps a browser from reading it as anything but a script, the charset from
/// reading it as UTF-7.
///
/// ```
/// assert_eq!(pushline::comet::jsonp::FIELDS[2], ("X-Content-Type-Options", "nosniff"));
/// ```
pub const FIELDS: [(&str, &str); 3] = [("Content-Type", "text/javascript; charset=utf-8"), NO_STORE, NOSNIFF];

/// The longest callback name, in bytes.
///
/// Without a limit the name carries a whole program of an attacker's in an alphabet of letters and digits, which is
/// what files that are scripts and something else at once are made of.
pub const MAX_CALLBACK: usize = 64;

/// The name of a function: ASCII identifiers joined by dots, such as `app.news` or `jQuery321_7`.
///
/// ```
/// use pushline::comet::jsonp::{Callback, InvalidCallback};
///
/// assert_eq!(Callback::parse("app.news")?.as_str(), "app.news");
/// assert_eq!(Callback::parse("alert(1)//"), Err(InvalidCallback));
/// # Ok::<(), InvalidCallback>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Callback<'c>(&'c str);

impl<'c> Callback<'c> {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`InvalidCallback`] if it is longer than [`MAX_CALLBACK`] or not `identifier *("." identifier)`, where an
    /// identifier is of ASCII letters, digits, `_` and `$`, does not start with a digit, the first is not a
    /// reserved word (ECMA-262 12.7.2): `import({})` is no call of a function; and none leads to another window, to
    /// the document or out of an object into its class (`opener`, `parent`, `top`, `document`, `constructor`, …).
    /// `opener.document.activeElement.click` is a chain of plain names, too, and presses a button of the page that the
    /// attacker has opener show by then.
    pub fn parse(name: &'c str) -> Result<Self, InvalidCallback> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let is_identifier = |part: &str| {
            part.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && part.bytes().all(is_word)
        };
        let mut parts = name.split('.');
        let first_is_free = parts.clone().next().is_some_and(|first| !RESERVED.contains(&first));
        let stays = |part: &str| is_identifier(part) && !WAYS_OUT.contains(&part);
        if name.len() <= MAX_CALLBACK && first_is_free && parts.all(stays) {
            Ok(Self(name))
        } else {
            Err(InvalidCallback)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'c str {
        self.0
    }
}

/// Properties that lead from a page's functions to other windows, to elements, and to code.
const WAYS_OUT: [&str; 16] = [
    "__proto__",
    "activeElement",
    "constructor",
    "contentDocument",
    "contentWindow",
    "defaultView",
    "document",
    "frames",
    "history",
    "location",
    "navigation",
    "opener",
    "ownerDocument",
    "parent",
    "prototype",
    "top",
];

/// ECMA-262 12.7.2, and the two names that strict code reserves besides.
const RESERVED: [&str; 47] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// A callback is not the name of a function: answer 400.
///
/// ```
/// use pushline::comet::jsonp::{Callback, InvalidCallback};
///
/// assert_eq!(Callback::parse(""), Err(InvalidCallback));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCallback;

impl fmt::Display for InvalidCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("callback is not the name of a function")
    }
}

impl core::error::Error for InvalidCallback {}

/// Appends the body of the response, `/**/app.news({"cursor":14,"messages":[…]});`, to `out`; status 200 always.
///
/// The comment keeps the first bytes of the file from being the client's.
///
/// # Panics
///
/// If `out` cannot grow and has not the room: the name and 7 bytes more than [`CometAnswer::write_json`].
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::jsonp::{self, Callback};
/// use pushline::comet::{CometOptions, CometSession};
///
/// let mut session = CometSession::new(CometOptions::new().hold(Duration::ZERO), Duration::ZERO);
/// let _ = session.poll(0, Duration::ZERO);
/// let answer = session.next_answer(Duration::ZERO).expect("short polling");
/// let mut body = Vec::new();
/// jsonp::write(Callback::parse("app.news")?, &answer, &mut body);
/// assert_eq!(body, br#"/**/app.news({"cursor":0,"messages":[]});"#);
/// # Ok::<(), jsonp::InvalidCallback>(())
/// ```
pub fn write(callback: Callback<'_>, answer: &CometAnswer<'_>, out: &mut impl BufMut) {
    out.put_slice(b"/**/");
    out.put_slice(callback.0.as_bytes());
    out.put_slice(b"(");
    answer.write_json(out);
    out.put_slice(b");");
}
