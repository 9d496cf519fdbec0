//! Queries and forms, which carry envelopes too (Bayeux 1.0, 6 Transport), and the answer as a script.
#![allow(clippy::arithmetic_side_effects, reason = "capacities: a little more than what is in memory")]

use crate::comet::form;
use crate::comet::jsonp::Callback;
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// The fields of a query or of a body `application/x-www-form-urlencoded` (the URL standard, 5.1): names and values.
/// What is not UTF-8 becomes U+FFFD.
///
/// ```
/// use pushline::raw::form;
///
/// let fields: Vec<_> = form::fields("jsonp=f&message=%5B%7B%7D%5D&x=a+b").collect();
/// assert_eq!(fields[1], ("message".into(), "[{}]".into()));
/// assert_eq!(fields[2], ("x".into(), "a b".into()));
/// ```
pub fn fields(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let decoded = |bytes| match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    };
    form::pairs(text.as_bytes()).map(move |(name, value)| (decoded(name), decoded(value)))
}

/// The answer as a script that calls a function: `/**/f(JSON.parse("…"));`.
///
/// As a literal of JavaScript, the same text could mean something else (`__proto__`) or nothing at all (that name twice),
/// and one client's message would break the others.
///
/// ```
/// use pushline::raw::form;
/// use pushline::comet::jsonp::Callback;
///
/// let callback = Callback::parse("_cometd_jsonp_0")?;
/// assert_eq!(form::script(callback, r#"["</script>"]"#), r#"/**/_cometd_jsonp_0(JSON.parse("[\"\u003c/script\u003e\"]"));"#);
/// # Ok::<(), pushline::comet::jsonp::InvalidCallback>(())
/// ```
#[must_use]
pub fn script(callback: Callback<'_>, json: &str) -> String {
    let mut out = Vec::with_capacity(json.len() + json.len() / 4 + 100);
    for part in ["/**/", callback.as_str(), "(JSON.parse("] {
        out.extend_from_slice(part.as_bytes());
    }
    crate::comet::write_literal(json, &mut out);
    out.extend_from_slice(b"));");
    // All of it was text when it was written.
    String::from_utf8(out).unwrap_or_default()
}
