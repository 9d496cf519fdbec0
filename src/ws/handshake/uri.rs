//! `ws:` and `wss:` URLs (RFC 6455 3).

use core::fmt;

use alloc::string::String;

use crate::http1::basic;
use crate::http1::url::{Fault, Location};

/// A `ws:` or `wss:` URL: where to connect, and what to ask for there.
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
    location: Location,
    host_field: String,
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
        let (before, fragment) = uri.split_once('#').map_or((uri, None), |(uri, rest)| (uri, Some(rest)));
        let (location, user_info) = Location::parse(before, ["ws", "wss"]).map_err(|fault| match fault {
            Fault::Scheme => InvalidUri::Scheme,
            Fault::Authority => InvalidUri::Authority,
            Fault::Byte => InvalidUri::Byte,
        })?;
        // RFC 6455 3: fragments are meaningless here and must not be used.
        if fragment.is_some() {
            return Err(InvalidUri::Fragment);
        }
        if user_info.is_some_and(|user_info| basic::credentials(user_info).is_none()) {
            return Err(InvalidUri::UserInfo);
        }
        Ok(Self { host_field: location.host_field(), location, user_info: user_info.map(String::from) })
    }

    /// Whether the scheme is `wss`: the connection goes over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.location.secure
    }

    /// The host, as written: an IPv6 address has its brackets. To connect, see [`address`](Self::address).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.location.host
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` unless given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.location.port
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
        self.location.address()
    }

    /// The value of Host: the port is left out if it is the scheme's default.
    #[must_use]
    pub fn host_field(&self) -> &str {
        &self.host_field
    }

    /// The request target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.location.target
    }

    /// What stood before `@`, not decoded.
    #[must_use]
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }

    /// The value of `Authorization` that sends the user information as basic credentials (RFC 7617): see
    /// [`ClientOptions::authorize`](super::ClientOptions::authorize).
    ///
    /// ```
    /// use pushline::ws::handshake::Uri;
    ///
    /// let uri = Uri::parse("ws://Aladdin:open%20sesame@example.com/")?;
    /// assert_eq!(uri.authorization().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    /// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        self.user_info.as_deref().filter(|user_info| !user_info.is_empty()).and_then(basic::credentials)
    }
}

/// The reason why a URL was refused.
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
    /// The user information cannot be sent as basic credentials: a colon in the name or a control byte, both
    /// percent-encoded (RFC 7617 2).
    UserInfo,
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
            Self::UserInfo => "the URL's user information cannot be sent",
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
        assert_eq!(Uri::parse("ws://@h/").unwrap().authorization(), None);
        assert_eq!(Uri::parse("ws://h/").unwrap().authorization(), None);
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
            ("ws://a%3ab:p@h/", UserInfo),
            ("ws://a:%0d%0ap@h/", UserInfo),
            ("ws://a%7f@h/", UserInfo),
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
