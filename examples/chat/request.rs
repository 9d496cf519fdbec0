//! A request, read whole: what of its head matters here, its query decoded, its body.

use pushline::http1::head::{Limits, MAX_FIELDS, RequestHead, Version};
#[cfg(test)]
use pushline::http1::head::{Reader, Slots};

use crate::protocol::MAX_REQUEST;

/// A JSONP message travels in the request line, each byte of it as `%XX` at worst; a page splits nothing.
pub const LIMITS: Limits = Limits { head: MAX_REQUEST + 16 * 1024, line: MAX_REQUEST, fields: MAX_FIELDS };

/// A request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    query: Vec<(String, String)>,
    fields: Vec<(String, Vec<u8>)>,
    host: Option<Vec<u8>>,
    pub body: Vec<u8>,
    /// Whether the connection may serve another request.
    pub keep: bool,
    /// Whether the peer knows chunks.
    pub chunked: bool,
}

impl Request {
    /// What of a head matters here.
    pub fn new(head: &RequestHead<'_, '_>) -> Self {
        let noted = |name: &str| {
            ["origin", "last-event-id", "access-control-request-method", "access-control-request-headers"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        };
        let fields = head.fields().filter(|(name, _)| noted(name));
        let is_11 = head.version() == Version::Http11;
        Self {
            method: head.method().to_owned(),
            path: head.path().to_owned(),
            query: decode(head.query().unwrap_or_default()),
            fields: fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect(),
            host: head.authority().map(|authority| authority.as_bytes().to_vec()),
            body: Vec::new(),
            keep: is_11 && head.keep_alive(),
            chunked: is_11,
        }
    }

    /// The first field of this name, in lower case, of those that are noted.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The query's value of this name; empty if there is none.
    pub fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Whom the request is for.
    pub fn host(&self) -> Option<&[u8]> {
        self.host.as_deref()
    }

    #[cfg(test)]
    pub fn read(head: &[u8]) -> Self {
        Self::new(&Reader::new(LIMITS).read_request(head, &mut Slots::new()).unwrap().unwrap())
    }
}

/// Names and values of `application/x-www-form-urlencoded` (the URL standard, 5.1).
fn decode(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// `%XX` and `+` decoded; a percent sign with anything else behind it stands for itself.
fn text(raw: &str) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| {
            after.get(at).and_then(|&byte| char::from(byte).to_digit(16)).map(|digit| digit as u8)
        };
        let (byte, length) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => (high * 16 + low, 3),
            (b'+', ..) => (b' ', 1),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let request =
            Request::read(b"GET /p?a=b+c%20d&e=%F0%9F%8C%BF&f&a=second&g=%zz%4 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(
            ["a", "e", "f", "g", "h"].map(|name| request.query(name)),
            ["b c d", "🌿", "", "%zz%4", ""]
        );
        assert_eq!(request.path, "/p");
    }

    #[test]
    fn what_does_not_matter_is_not_kept() {
        let request =
            Request::read(b"GET / HTTP/1.0\r\nHost: h:1\r\nORIGIN: http://a\r\nCookie: secret\r\n\r\n");
        assert_eq!(request.field("origin"), Some(&b"http://a"[..]));
        assert_eq!(request.field("cookie"), None);
        assert_eq!((request.host(), request.keep, request.chunked), (Some(&b"h:1"[..]), false, false));
    }
}
