//! Attributes of XML (XML 1.0): names, and values between quotes.

use super::put;
use alloc::vec::Vec;

/// Appends a value between quotes (2.3, 3.3.3): what is no character of a document (2.2) becomes U+FFFD, and line ends
/// are kept.
pub(super) fn write_attribute(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in value.chars() {
        let mut bytes = [0; 4];
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\t' => "&#9;",
            '\n' => "&#10;",
            '\r' => "&#13;",
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            other => other.encode_utf8(&mut bytes),
        };
        put(out, &[escaped]);
    }
    out.push(b'"');
}

/// Whether it may be an attribute's name (2.3), of ASCII and at most 64 bytes.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_value_has_no_mark_up_and_no_forbidden_character() {
        let mut out = Vec::new();
        write_attribute("<a b='\"&\t\r\n\0\u{1f}\u{fffe}é\u{1f600}", &mut out);
        let written = String::from_utf8(out).expect("text");
        let expected = "\"&lt;a b=&#39;&quot;&amp;&#9;&#13;&#10;\u{fffd}\u{fffd}\u{fffd}é\u{1f600}\"";
        assert_eq!(written, expected);
    }

    #[test]
    fn a_name_is_one_of_xml() {
        for name in ["a", "_", "p_event", "a-b.c1", "xm", &"n".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "-a", ".a", "a b", "a=", "é", "xml", "XmLa", &"n".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
