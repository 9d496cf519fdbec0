//! Placeholders (Socket.IO 5, "Packet encoding"): where in the JSON an attachment belongs.
#![allow(clippy::arithmetic_side_effects, reason = "a place in a text that is in memory")]

use crate::json::{self, Value};
use alloc::vec::Vec;

/// The number of the attachment that stands here, if this is a placeholder: `{"_placeholder":true,"num":0}`.
///
/// ```
/// use pushline::{json, socketio::placeholder};
///
/// let value = json::check(r#"{"_placeholder":true,"num":1}"#)?;
/// assert_eq!(placeholder(value), Some(1));
/// assert_eq!(placeholder(json::check(r#"{"num":1}"#)?), None);
/// # Ok::<(), json::Error>(())
/// ```
#[must_use]
pub fn placeholder(value: Value<'_>) -> Option<usize> {
    let object = value.object()?;
    object.get("_placeholder")?.as_bool().filter(|&is| is)?;
    object.get("num")?.as_u64()?.try_into().ok()
}

/// What is known of an object, or an array, that is not over yet.
#[derive(Clone, Copy, Default)]
struct Level {
    object: bool,
    marked: bool,
    number: Option<u64>,
}

/// What the key before a value was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Mark,
    Number,
    Other,
}

/// Whether every placeholder in a checked text has its attachment. One pass, no recursion: those that it is relayed to
/// hang up on one that has none.
pub(super) fn all_resolve(value: Value<'_>, attachments: usize) -> bool {
    let text = value.as_str();
    let bytes = text.as_bytes();
    let mut levels: Vec<Level> = Vec::new();
    let (mut at, mut key, mut expects_key) = (0, Key::Other, false);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                // A mark on what is no scalar is none.
                if let (Key::Mark, Some(level)) = (key, levels.last_mut()) {
                    level.marked = false;
                }
                expects_key = byte == b'{';
                levels.push(Level { object: expects_key, ..Level::default() });
                key = Key::Other;
            }
            b'}' | b']' => {
                let Some(level) = levels.pop() else { return false };
                if level.marked && level.number.is_none_or(|number| number >= attachments as u64) {
                    return false;
                }
                key = Key::Other;
            }
            b',' => {
                expects_key = levels.last().is_some_and(|level| level.object);
                key = Key::Other;
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                at = if byte == b'"' { end_of_string(bytes, at) } else { end_of_word(bytes, at) };
                let scalar = text.get(start..at).unwrap_or_default();
                if expects_key {
                    let name = json::check(scalar).ok().and_then(|name| name.string());
                    key = match name {
                        Some(name) if name.is("_placeholder") => Key::Mark,
                        Some(name) if name.is("num") => Key::Number,
                        _ => Key::Other,
                    };
                    expects_key = false;
                } else if let Some(level) = levels.last_mut() {
                    match key {
                        Key::Mark => level.marked = scalar == "true",
                        Key::Number => level.number = scalar.parse().ok(),
                        Key::Other => {}
                    }
                }
            }
        }
    }
    true
}

/// Behind the closing quote, `at` being behind the opening one.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .take_while(|&&byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_needs_its_attachment() {
        for (text, attachments, expected) in [
            (r#"["a"]"#, 0, true),
            (r#"[{"_placeholder":true,"num":0}]"#, 1, true),
            (r#"[{"_placeholder":true,"num":1}]"#, 1, false),
            (r#"[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, 1, true),
            (r#"[{"num":5 , "_placeholder" : true }]"#, 5, false),
            (r#"[{"num":5 , "_placeholder" : true }]"#, 6, true),
            (r#"[{"_placeholder":true}]"#, 9, false),
            (r#"[{"_placeholder":true,"num":"0"}]"#, 9, false),
            (r#"[{"_placeholder":true,"num":-1}]"#, 9, false),
            (r#"[{"_placeholder":true,"num":0.5}]"#, 9, false),
            (r#"[{"_placeholder":"true","num":9}]"#, 1, true),
            (r#"[{"_placeholder":false,"num":9}]"#, 1, true),
            (r#"[{"_placeholder":true,"_placeholder":null,"num":9}]"#, 1, true),
            (r#"[{"_placeholder":true,"_placeholder":[],"num":9}]"#, 1, true),
            (r#"[{"\u005fplaceholder":true,"n\u0075m":9}]"#, 1, false),
            (r#"[{"a":{"b":[{"_placeholder":true,"x":{"num":0},"num":3}]}}]"#, 3, false),
            (r#"[{"_placeholder":true,"x":{"num":9},"num":0}]"#, 1, true),
            (r#"["_placeholder",true,"num",9]"#, 1, true),
            (r#"[{"a\"":"_placeholder","b":"{\"_placeholder\":true}"}]"#, 0, true),
        ] {
            let value = json::check(text).unwrap();
            assert_eq!(all_resolve(value, attachments), expected, "{text} {attachments}");
        }
    }
}
