//! The credentials of the Basic scheme, made of a URL's user information (RFC 7617, RFC 3986 3.2.1).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;

/// The field value for `user [":" password]`, which are percent-encoded. `None` if it has a byte that the scheme cannot
/// send.
pub(crate) fn credentials(user_info: &str) -> Option<String> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let (user, password) = (decode(user)?, decode(password)?);
    // RFC 7617 2: a colon ends the user-id, and neither has control characters.
    if user.contains(&b':') || user.iter().chain(&password).any(u8::is_ascii_control) {
        return None;
    }
    let pair = [&user[..], b":", &password].concat();
    let mut text = vec![0; pair.len().div_ceil(3) * 4];
    let length = STANDARD.encode_slice(pair, &mut text).ok()?;
    Some(String::from("Basic ") + str::from_utf8(text.get(..length)?).ok()?)
}

/// RFC 3986 2.1.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { digit(bytes.next()?)? << 4 | digit(bytes.next()?)? } else { byte });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password() {
        for (user_info, value) in [
            // RFC 7617 2, 2.1.
            ("Aladdin:open%20sesame", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            ("test:123%c2%A3", Some("Basic dGVzdDoxMjPCow==")),
            ("token", Some("Basic dG9rZW46")),
            ("a:b:c", Some("Basic YTpiOmM=")),
            ("a%3Ab:c", None),
            ("a:%00", None),
            ("a%0a:b", None),
            ("%", None),
            ("%4", None),
            ("%+4", None),
        ] {
            assert_eq!(credentials(user_info).as_deref(), value, "{user_info}");
        }
    }
}
