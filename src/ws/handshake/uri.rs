//! `ws:` and `wss:` URLs (RFC 6455 3).

use core::fmt;

use alloc::string::String;

use crate::http1::authority::{Authority, without_brackets};

/// Where to connect, and what to ask for there.
///
/// ```
/// use pushline::ws::handshake::Uri;
///
/// let uri = Uri::parse("wss://example.com/chat?room=1")?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("example.com", 443));
/// assert_eq!((uri.host_field(), uri.target()), ("example.com", "/chat?room=1"));
/// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    secure: bool,
    /// With brackets around an IPv6 address.
    host: String,
    port: u16,
    /// What goes into Host.
    host_field: String,
    target: String,
    user_info: Option<String>,
}

impl Uri {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`InvalidUri`] for another scheme than `ws` and `wss` (`http` and `https` too), a fragment (RFC 6455 3), an empty
    /// or malformed host or port, and any byte that RFC 3986 wants percent-encoded: spaces, control bytes and line
    /// ends above all, which would let the path write into the request. Square brackets are let through.
    pub fn parse(uri: &str) -> Result<Self, InvalidUri> {
        let (scheme, rest) = uri.split_once("://").ok_or(InvalidUri::Scheme)?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(InvalidUri::Scheme),
        };
        // RFC 6455 3: fragments are meaningless here and must not be used.
        if rest.contains('#') {
            return Err(InvalidUri::Fragment);
        }
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !is_encoded(resource) {
            return Err(InvalidUri::Byte);
        }
        let (user_info, authority) = match authority.split_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, authority),
        };
        let authority = Authority::parse(authority.as_bytes()).ok_or(InvalidUri::Authority)?;
        let default_port = if secure { 443 } else { 80 };
        let port = authority.port().unwrap_or(default_port);
        if port == 0 || !user_info.is_none_or(is_encoded) {
            return Err(InvalidUri::Authority);
        }
        let host = String::from(authority.host());
        // RFC 6455 4.1: the port is left out if it is the default.
        let host_field = if port == default_port { host.clone() } else { alloc::format!("{host}:{port}") };
        // RFC 6455 3: an empty path is "/".
        let target = if resource.starts_with('/') { resource.into() } else { alloc::format!("/{resource}") };
        Ok(Self { secure, host, port, host_field, target, user_info: user_info.map(String::from) })
    }

    /// Whether the scheme is `wss`: the connection goes over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, as written: an IPv6 address has its brackets. To connect, see [`address`](Self::address).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` unless given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What to connect to, as `TcpStream::connect` takes it: the host, an IPv6 address without its brackets, and the
    /// port. The host is also the name to be found in the certificate of a `wss` server.
    ///
    /// ```
    /// use pushline::ws::handshake::Uri;
    ///
    /// assert_eq!(Uri::parse("wss://[::1]/chat")?.address(), ("::1", 443));
    /// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (without_brackets(self.host()), self.port())
    }

    /// The value of Host: the port is left out if it is the scheme's default.
    #[must_use]
    pub fn host_field(&self) -> &str {
        &self.host_field
    }

    /// The request target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What stood before `@`, not decoded. It is never sent; a caller who wants to can make an `Authorization` of it.
    #[must_use]
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }
}

/// RFC 3986 3: all bytes may stand in a URI, and percent signs are followed by two hex digits.
fn is_encoded(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    let encoded = |piece: &str| {
        piece.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.bytes().all(visible) && text.split('%').skip(1).all(encoded)
}

/// Why a URL was refused.
///
/// ```
/// use pushline::ws::handshake::{InvalidUri, Uri};
///
/// assert_eq!(Uri::parse("ws://example.com/#top"), Err(InvalidUri::Fragment));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidUri {
    /// Neither `ws://` nor `wss://`.
    Scheme,
    /// The host is empty, or host, port or user information is malformed.
    Authority,
    /// A fragment: RFC 6455 3 forbids it.
    Fragment,
    /// The path or query has a byte that must be percent-encoded, or a percent sign that encodes nothing.
    Byte,
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL is neither ws:// nor wss://",
            Self::Authority => "the URL's host or port is malformed",
            Self::Fragment => "the URL has a fragment",
            Self::Byte => "the URL has a byte that must be percent-encoded",
        })
    }
}

impl core::error::Error for InvalidUri {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (uri, secure, host_field, port, target) in [
            ("ws://h", false, "h", 80, "/"),
            ("wss://h/", true, "h", 443, "/"),
            ("WS://H", false, "H", 80, "/"),
            ("ws://h:80/", false, "h", 80, "/"),
            ("wss://h:80/", true, "h:80", 80, "/"),
            ("ws://h:8080/", false, "h:8080", 8080, "/"),
            ("ws://h:/", false, "h", 80, "/"),
            ("ws://h?x", false, "h", 80, "/?x"),
            ("ws://h/a?x=1&y=%20", false, "h", 80, "/a?x=1&y=%20"),
            ("ws://h/a//b/../c?[]", false, "h", 80, "/a//b/../c?[]"),
            ("ws://[::1]:9000/", false, "[::1]:9000", 9000, "/"),
            ("ws://u:p@h/x@y", false, "h", 80, "/x@y"),
            ("ws://h/a://b", false, "h", 80, "/a://b"),
        ] {
            let parsed = Uri::parse(uri);
            let parts =
                parsed.as_ref().map(|uri| (uri.is_secure(), uri.host_field(), uri.port(), uri.target()));
            assert_eq!(parts, Ok((secure, host_field, port, target)), "{uri}");
        }
        assert_eq!(Uri::parse("ws://u:p@h/").unwrap().user_info(), Some("u:p"));
        assert_eq!(Uri::parse("ws://h/").unwrap().user_info(), None);
    }

    #[test]
    fn refusals() {
        use InvalidUri::*;
        for (uri, error) in [
            ("", Scheme),
            ("h", Scheme),
            ("ws:h", Scheme),
            ("ws:/h", Scheme),
            ("ftp://h/", Scheme),
            ("http://h/", Scheme),
            (" ws://h/", Scheme),
            ("ws://h/a#frag", Fragment),
            ("ws://h#", Fragment),
            ("ws://", Authority),
            ("ws:///a", Authority),
            ("ws://:80/", Authority),
            ("ws://u@/", Authority),
            ("ws://u@v@h/", Authority),
            ("ws://h:0/", Authority),
            ("ws://h:65536/", Authority),
            ("ws://h:+80/", Authority),
            ("ws://h:8a/", Authority),
            ("ws://a b/", Authority),
            ("ws://h\r\n/", Authority),
            ("ws://\u{fc}/", Authority),
            ("ws://::1/", Authority),
            ("ws://[::1/", Authority),
            ("ws://u\r\n:p@h/", Authority),
            ("ws://h/a b", Byte),
            ("ws://h/a\r\nX: y", Byte),
            ("ws://h/\0", Byte),
            ("ws://h/\x7f", Byte),
            ("ws://h/\u{fc}", Byte),
            ("ws://h/\\", Byte),
            ("ws://h/%", Byte),
            ("ws://h/%2", Byte),
            ("ws://h/%2x", Byte),
            ("ws://h?a b", Byte),
        ] {
            assert_eq!(Uri::parse(uri), Err(error), "{uri:?}");
        }
    }
}
