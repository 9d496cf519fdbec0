//! A request that an HTTP server has read, and the response that it is to write: what the frameworks' routes take and
//! give.

use super::form;
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
use crate::http1::authority::Authority;
use crate::http1::syntax::is_field_value;
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
use crate::ws::handshake::OriginPolicy;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// A request, lent: method, path and query, fields, body.
///
/// ```
/// use pushline::comet::HttpRequest;
///
/// let fields = [("Origin", &b"https://app.example"[..])];
/// let request = HttpRequest::new("GET", "/0/abc/jsonp?c=_jp.a%62c", &fields, b"");
/// assert_eq!((request.path, request.query), ("/0/abc/jsonp", "c=_jp.a%62c"));
/// assert_eq!(request.field("origin"), Some("https://app.example"));
/// assert_eq!(request.parameter("c").as_deref(), Some("_jp.abc"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'r> {
    /// The method, in capitals.
    pub method: &'r str,
    /// The path below the framework's own, as sent: its percent signs are still there.
    pub path: &'r str,
    /// What follows the question mark; empty if there is none.
    pub query: &'r str,
    /// Names and values of the fields.
    pub fields: &'r [(&'r str, &'r [u8])],
    /// The whole body. Bound it before: nothing here does.
    pub body: &'r [u8],
}

impl<'r> HttpRequest<'r> {
    /// A request to `target`: a path, and perhaps a query.
    #[must_use]
    pub fn new(method: &'r str, target: &'r str, fields: &'r [(&'r str, &'r [u8])], body: &'r [u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path, query, fields, body }
    }

    /// The first field of this name, if it is text that may be sent back.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'r str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        core::str::from_utf8(value).ok().filter(|value| is_field_value(value.as_bytes()))
    }

    /// A parameter of the query, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'r, str>> {
        form::value(self.query.as_bytes(), name)
    }

    /// Whether the body is a form by its `Content-Type`.
    #[must_use]
    pub fn is_form(&self) -> bool {
        let essence = self.field("content-type").and_then(|value| value.split(';').next());
        essence.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    }
}

/// A response: what an HTTP server writes. `Content-Length`, and what concerns the connection, is the server's.
///
/// ```
/// use pushline::comet::HttpResponse;
///
/// let response = HttpResponse::text(404, "no such session\n");
/// assert_eq!(response.field("content-type"), Some("text/plain; charset=UTF-8"));
/// assert_eq!((response.status, &response.body[..]), (404, &b"no such session\n"[..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names and values of the fields. No value has a line end in it.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// The body, or what a body that goes on starts with.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// A response without fields and without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new() }
    }

    /// A response of this text.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        let mut response = Self::new(status).with("Content-Type", "text/plain; charset=UTF-8");
        response.body = text.as_bytes().to_vec();
        response
    }

    /// The value of a field that the response has.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The response with one more field. A value that may not stand in a field is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        if is_field_value(value.as_bytes()) {
            self.fields.push((name, value));
        }
        self
    }
}

/// Whether a page of the request's origin may use the service.
#[cfg(any(feature = "sockjs", feature = "atmosphere", feature = "pushlet"))]
pub(super) fn may(origins: &OriginPolicy, request: &HttpRequest<'_>) -> bool {
    let find = |name: &str| {
        let mut values = request.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        (values.next().map(|(_, value)| *value), values.next().is_some())
    };
    let ((origin, is_doubled), (host, _)) = (find("origin"), find("host"));
    !is_doubled && origins.allows(origin, host.and_then(Authority::parse))
}

/// The response, readable to pages of the origins that may use the service. Fetch 3.3: with credentials the origin must
/// be named, and `null` is a name as well.
#[cfg(any(feature = "sockjs", feature = "atmosphere"))]
pub(super) fn cors(
    origins: &OriginPolicy,
    request: &HttpRequest<'_>,
    response: HttpResponse,
) -> HttpResponse {
    let Some(origin) = request.field("origin") else {
        return response.with("Access-Control-Allow-Origin", "*");
    };
    let response = response.with("Vary", "Origin");
    if !may(origins, request) {
        return response;
    }
    let response = response
        .with("Access-Control-Allow-Origin", String::from(origin))
        .with("Access-Control-Allow-Credentials", "true");
    match request.field("access-control-request-headers") {
        Some(names) if !names.is_empty() => {
            response.with("Access-Control-Allow-Headers", String::from(names))
        }
        _ => response,
    }
}

/// The bytes as hexadecimal digits.
#[cfg(any(feature = "pushlet", feature = "sockjs"))]
pub(super) fn hex<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> String {
    let digits = bytes.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_line_end_is_no_field() {
        let response = HttpResponse::new(200).with("Set-Cookie", "a\r\nb: c");
        assert_eq!(response.fields, []);
        let fields = [("cookie", &b"a\0"[..])];
        assert_eq!(HttpRequest::new("GET", "/", &fields, b"").field("Cookie"), None);
    }
}
