//! `http:` and `https:` URLs, and what a `Location` makes of them (RFC 3986 5, RFC 9110 4.2, 10.2.2).

use crate::http1::authority::{Authority, without_brackets};
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
    secure: bool,
    /// With brackets around an IPv6 address, in lower case.
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Reads a URL. A fragment is dropped, for it is never sent.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for another scheme than `http` and `https`, user information (RFC 9110 4.2.4), a malformed host or
    /// port, and bytes that RFC 3986 wants percent-encoded, line ends and spaces among them.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ => return Err(InvalidUrl::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::parse(authority.as_bytes()).ok_or(InvalidUrl::Authority)?;
        let port = authority.port().unwrap_or(default_port(secure));
        if port == 0 {
            return Err(InvalidUrl::Authority);
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err(InvalidUrl::Byte);
        }
        // RFC 9110 4.2.3: an empty path is "/".
        let target = if target.starts_with('/') { target.into() } else { std::format!("/{target}") };
        Ok(Self { secure, host: authority.host().to_ascii_lowercase(), port, target })
    }

    /// Where `reference` leads from here: a URL, or part of one (RFC 3986 5.2).
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn join(&self, reference: &str) -> Result<Self, InvalidUrl> {
        let reference = reference.split('#').next().unwrap_or_default();
        let scheme = if self.secure { "https" } else { "http" };
        let (path, query) = self.target.split_once('?').map_or((&*self.target, None), |(p, q)| (p, Some(q)));
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
        self.secure
    }

    /// The host, in lower case: an IPv6 address has its brackets. To connect, see [`address`](Self::address).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 80 for `http` and 443 for `https` unless given.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
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
        (without_brackets(self.host()), self.port())
    }

    /// The value of the `Host` field: the port is left out if it is the scheme's default.
    #[must_use]
    pub fn host_field(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            std::format!("{}:{}", self.host, self.port)
        }
    }

    /// The request target: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether scheme, host and port are the same (RFC 6454 5).
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_field(), self.target)
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
    /// The path or query has a byte that must be percent-encoded.
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

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

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
        for target in ["/ ", "/\r\nx: y", "/\u{e9}", "/\0", "/<"] {
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
