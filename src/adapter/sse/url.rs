//! `http:` and `https:` URLs, and what a `Location` makes of them (RFC 3986 5, RFC 9110 4.2, 10.2.2).

use crate::http1::url::{Fault, Location};
use core::fmt;
use std::string::String;
use std::vec::Vec;

/// Where an event stream is.
///
/// ```
/// use pushline::adapter::sse::Url;
///
/// let url = Url::parse("http://example.com/feeds/news?from=1")?;
/// assert_eq!((url.host(), url.port(), url.target()), ("example.com", 80, "/feeds/news?from=1"));
/// let moved = url.join("../live#top")?;
/// assert_eq!(moved.to_string(), "http://example.com/live");
/// assert!(moved.same_origin(&url));
/// # Ok::<(), pushline::adapter::sse::InvalidUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// The host in lower case.
    location: Location,
}

impl Url {
    /// Reads a URL. A fragment is dropped, for it is never sent.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for another scheme than `http` and `https`, user information (RFC 9110 4.2.4), a malformed host or
    /// port, bytes that RFC 3986 wants percent-encoded, line ends and spaces among them, and a percent sign that encodes
    /// nothing.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let url = url.split('#').next().unwrap_or_default();
        let (mut location, user_info) =
            Location::parse(url, ["http", "https"]).map_err(|fault| match fault {
                Fault::Scheme => InvalidUrl::Scheme,
                Fault::Authority => InvalidUrl::Authority,
                Fault::Byte => InvalidUrl::Byte,
            })?;
        if user_info.is_some() {
            return Err(InvalidUrl::Authority);
        }
        location.host.make_ascii_lowercase();
        Ok(Self { location })
    }

    /// Where `reference` leads from here: a URL, or part of one (RFC 3986 5.2).
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn join(&self, reference: &str) -> Result<Self, InvalidUrl> {
        let reference = reference.split('#').next().unwrap_or_default();
        let scheme = self.scheme();
        let (path, query) =
            self.target().split_once('?').map_or((self.target(), None), |(p, q)| (p, Some(q)));
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&std::format!("{scheme}:{reference}"));
        }
        let (given, given_query) = reference.split_once('?').map_or((reference, None), |(p, q)| (p, Some(q)));
        let (path, query) = if given.is_empty() {
            (String::from(path), given_query.or(query))
        } else if given.starts_with('/') {
            (without_dots(given), given_query)
        } else {
            let directory = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            (without_dots(&std::format!("{directory}{given}")), given_query)
        };
        let query = query.map(|query| std::format!("?{query}")).unwrap_or_default();
        Self::parse(&std::format!("{scheme}://{}{path}{query}", self.host_field()))
    }

    /// Whether the scheme is `https`: the connection goes over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.location.secure
    }

    /// The host, in lower case: an IPv6 address has its brackets. To connect, see [`address`](Self::address).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.location.host
    }

    /// The port: 80 for `http` and 443 for `https` unless given.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.location.port
    }

    /// What to connect to, as `TcpStream::connect` takes it: the host, an IPv6 address without its brackets, and the
    /// port. The host is also the name to be found in the certificate of an `https` server.
    ///
    /// ```
    /// use pushline::adapter::sse::Url;
    ///
    /// assert_eq!(Url::parse("http://[::1]:8080/events")?.address(), ("::1", 8080));
    /// # Ok::<(), pushline::adapter::sse::InvalidUrl>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        self.location.address()
    }

    /// The value of the `Host` field: the port is left out if it is the scheme's default.
    #[must_use]
    pub fn host_field(&self) -> String {
        self.location.host_field()
    }

    /// The request target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.location.target
    }

    /// Whether scheme, host and port are the same (RFC 6454 5).
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.is_secure(), self.host(), self.port()) == (other.is_secure(), other.host(), other.port())
    }

    fn scheme(&self) -> &'static str {
        if self.is_secure() { "https" } else { "http" }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host_field(), self.target())
    }
}

impl core::str::FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        Self::parse(url)
    }
}

/// Why a URL was refused.
///
/// ```
/// use pushline::adapter::sse::{InvalidUrl, Url};
///
/// assert_eq!(Url::parse("ftp://example.com/"), Err(InvalidUrl::Scheme));
/// assert_eq!(Url::parse("http://example.com/a b"), Err(InvalidUrl::Byte));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Neither `http://` nor `https://`.
    Scheme,
    /// Host or port is missing or malformed, or there is user information.
    Authority,
    /// The path or query has a byte that must be percent-encoded, or a percent sign that encodes nothing.
    Byte,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "not an http: or https: URL",
            Self::Authority => "the URL's host or port is malformed",
            Self::Byte => "the URL has a byte that must be percent-encoded",
        })
    }
}

impl std::error::Error for InvalidUrl {}

/// RFC 3986 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// RFC 3986 5.2.4: removes dot segments from an absolute path.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    std::format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn urls() {
        for (text, host, port, target) in [
            ("http://h", "h", 80, "/"),
            ("HTTPS://H?a=b#c", "h", 443, "/?a=b"),
            ("http://[::1]:8080/a/b?c#d", "[::1]", 8080, "/a/b?c"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
        }
        for text in ["", "h", "ws://h/", "http:/h", "http://", "http://u@h/", "http://h:0/", "http://h:x/"] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
        for target in ["/ ", "/\r\nx: y", "/\u{e9}", "/\0", "/<", "/%4"] {
            assert_eq!(Url::parse(&std::format!("http://h{target}")), Err(InvalidUrl::Byte), "{target:?}");
        }
    }

    /// RFC 3986 5.4.
    #[test]
    fn references() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, target) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"),
        ] {
            assert_eq!(base.join(reference).unwrap().target(), target, "{reference:?}");
            assert!(base.join(reference).unwrap().same_origin(&base));
        }
        assert_eq!(base.join("//g/x").unwrap().to_string(), "http://g/x");
        assert_eq!(base.join("https://g:8443").unwrap().to_string(), "https://g:8443/");
        assert_eq!(base.join("mailto:x"), Err(InvalidUrl::Scheme));
        assert!(!base.join("http://a:81/").unwrap().same_origin(&base));
        assert!(!base.join("https://a/").unwrap().same_origin(&base));
    }
}
