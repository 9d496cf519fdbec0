//! Writing heads: field lines that cannot be made to say more than they should, status lines, request lines.
#![allow(clippy::arithmetic_side_effects, reason = "three digits of a status")]

use alloc::vec::Vec;
use core::fmt;

use crate::http1::syntax::{is_field_value, is_token};

/// Field lines, ready to be written. What goes in has been checked, so that no name or value can end its line and
/// start another (response splitting, request splitting).
///
/// ```
/// use pushline::http1::head::{FieldLines, InvalidField};
///
/// let mut fields = FieldLines::new();
/// fields.push("Content-Type", "text/event-stream")?;
/// assert_eq!(fields.push("X", "a\r\nSet-Cookie: b"), Err(InvalidField::Value));
/// assert_eq!(fields.push("a b", ""), Err(InvalidField::Name));
/// assert_eq!(fields.as_bytes(), b"Content-Type: text/event-stream\r\n");
/// assert_eq!(fields.iter().collect::<Vec<_>>(), [("Content-Type", &b"text/event-stream"[..])]);
/// assert_eq!(fields.get("content-type"), Some(&b"text/event-stream"[..]));
/// # Ok::<(), InvalidField>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldLines {
    lines: Vec<u8>,
}

impl FieldLines {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a field behind the others, also if its name is there already.
    ///
    /// # Errors
    ///
    /// [`InvalidField::Name`] for a name that is not a token (RFC 9110 5.1), [`InvalidField::Value`] for a value with a
    /// control byte other than the tab: CR, LF and NUL among them (RFC 9110 5.5). Nothing is added then.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        let value = value.as_ref();
        if !is_token(name.as_bytes()) {
            return Err(InvalidField::Name);
        }
        if !is_field_value(value) {
            return Err(InvalidField::Value);
        }
        for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(piece);
        }
        Ok(())
    }

    /// The lines as they stand on the wire, each with its CR LF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The value of the first field of this name, ignoring case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.lines.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == b':')?)?;
            Some((str::from_utf8(name).ok()?, value.strip_prefix(b": ")?))
        })
    }
}

/// Without what is secret: the values of credentials and cookies.
impl fmt::Debug for FieldLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            match SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
                true => map.entry(&name, &format_args!("..")),
                false => map.entry(&name, &format_args!("\"{}\"", value.escape_ascii())),
            };
        }
        map.finish()
    }
}

/// The reason why a field may not be written.
///
/// ```
/// use pushline::http1::head::{FieldLines, InvalidField};
///
/// assert_eq!(FieldLines::new().push("X", "a\nb"), Err(InvalidField::Value));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidField {
    /// The name is not a token.
    Name,
    /// The value has a control byte: CR, LF, NUL or another one.
    Value,
    /// The field is written by the handshake itself, or would change where the message ends.
    Reserved,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the field name is not a token",
            Self::Value => "the field value has a control byte",
            Self::Reserved => "the field is not the caller's to set",
        })
    }
}

impl core::error::Error for InvalidField {}

/// Appends a request head of HTTP/1.1 to `out`.
///
/// # Errors
///
/// [`InvalidHead`] for a method that is not a token, or a target that is empty or has a byte that is not visible ASCII;
/// nothing is written then.
///
/// ```
/// use pushline::http1::head::{FieldLines, write_request};
///
/// let mut fields = FieldLines::new();
/// fields.push("Host", "example.com")?;
/// let mut out = Vec::new();
/// write_request(&mut out, "GET", "/events", &fields)?;
/// assert_eq!(out, b"GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_request(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    fields: &FieldLines,
) -> Result<(), InvalidHead> {
    if !is_token(method.as_bytes()) {
        return Err(InvalidHead::Method);
    }
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidHead::Target);
    }
    for piece in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a response head of HTTP/1.1 to `out`, with the reason phrase that goes with the status.
///
/// # Errors
///
/// [`InvalidHead::Status`] for a status outside of 100 to 999; nothing is written then.
///
/// ```
/// use pushline::http1::head::{FieldLines, write_response};
///
/// let mut out = Vec::new();
/// write_response(&mut out, 404, &FieldLines::new())?;
/// assert_eq!(out, b"HTTP/1.1 404 Not Found\r\n\r\n");
/// # Ok::<(), pushline::http1::head::InvalidHead>(())
/// ```
pub fn write_response(out: &mut Vec<u8>, status: u16, fields: &FieldLines) -> Result<(), InvalidHead> {
    write_status_line(out, status)?;
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `HTTP/1.1 STATUS REASON`: RFC 9112 4 wants the second space even if there is no reason phrase.
pub(crate) fn write_status_line(out: &mut Vec<u8>, status: u16) -> Result<(), InvalidHead> {
    if !(100..=999).contains(&status) {
        return Err(InvalidHead::Status);
    }
    let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    for piece in [b"HTTP/1.1 ", &digits[..], b" ", reason_phrase(status).as_bytes(), b"\r\n"] {
        out.extend_from_slice(piece);
    }
    Ok(())
}

/// The reason phrase that goes with a status (RFC 9110 15); empty for one that has none.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The reason why a start line may not be written.
///
/// ```
/// use pushline::http1::head::{FieldLines, InvalidHead, write_request};
///
/// let refused = write_request(&mut Vec::new(), "GET", "/a b", &FieldLines::new());
/// assert_eq!(refused, Err(InvalidHead::Target));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidHead {
    /// The method is not a token.
    Method,
    /// The target is empty or has a byte that is not visible ASCII.
    Target,
    /// The status does not have three digits.
    Status,
}

impl fmt::Display for InvalidHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the method is not a token",
            Self::Target => "the request target has a byte that is not visible ASCII",
            Self::Status => "the status does not have three digits",
        })
    }
}

impl core::error::Error for InvalidHead {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_injected() {
        let mut fields = FieldLines::new();
        for name in ["", "a b", "a:", "a\r\nb", "a\0", "\u{e9}"] {
            assert_eq!(fields.push(name, "v"), Err(InvalidField::Name), "{name:?}");
        }
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\x7f", "\x01"] {
            assert_eq!(fields.push("a", value), Err(InvalidField::Value), "{value:?}");
        }
        assert!(fields.is_empty());
        let mut out = Vec::new();
        assert_eq!(write_request(&mut out, "GET", "/a\r\nX: y", &fields), Err(InvalidHead::Target));
        assert_eq!(write_request(&mut out, "GET", "/a b", &fields), Err(InvalidHead::Target));
        assert_eq!(write_request(&mut out, "GET", "", &fields), Err(InvalidHead::Target));
        assert_eq!(write_request(&mut out, "GET /", "/", &fields), Err(InvalidHead::Method));
        assert_eq!(write_response(&mut out, 99, &fields), Err(InvalidHead::Status));
        assert_eq!(write_response(&mut out, 1000, &fields), Err(InvalidHead::Status));
        assert!(out.is_empty());
    }

    #[test]
    fn fields_come_back_as_they_went_in() {
        let mut fields = FieldLines::new();
        let pairs = [("A", &b"1"[..]), ("b", b""), ("C", b" x: y\t"), ("d", b"\xff\xfe"), ("A", b"2")];
        for (name, value) in pairs {
            fields.push(name, value).unwrap();
        }
        assert_eq!(fields.iter().collect::<Vec<_>>(), pairs);
    }

    #[test]
    fn logs_show_fields_and_no_secrets() {
        let mut fields = FieldLines::new();
        for (name, value) in [("Server", "a\"b"), ("AUTHORIZATION", "Bearer x"), ("Set-Cookie", "s=x")] {
            fields.push(name, value).unwrap();
        }
        assert_eq!(
            alloc::format!("{fields:?}"),
            r#"{"Server": "a\"b", "AUTHORIZATION": .., "Set-Cookie": ..}"#
        );
        assert_eq!(fields.get("set-cookie"), Some(&b"s=x"[..]));
        assert_eq!(fields.get("Cookie"), None);
    }
}
