//! `http:` and `https:` URLs, and what a `Location` makes of them (RFC 3986 5, RFC 9110 4.2, 10.2.2).
#![allow(clippy::arithmetic_side_effects, reason = "places in a URL that is in memory")]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use super::url::{Fault, Location, is_plain};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// An `http:` or `https:` URL.
///
/// ```
/// use pushline::http1::Url;
///
/// let url = Url::parse("http://example.com/feeds/news?from=1")?;
/// assert_eq!((url.host(), url.port(), url.target()), ("example.com", 80, "/feeds/news?from=1"));
/// let moved = url.join("../live#top")?;
/// assert_eq!(moved.to_string(), "http://example.com/live");
/// assert!(moved.same_origin(&url));
/// # Ok::<(), pushline::http1::InvalidUrl>(())
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
            return Self::parse(&format!("{scheme}:{reference}"));
        }
        let (given, given_query) = reference.split_once('?').map_or((reference, None), |(p, q)| (p, Some(q)));
        let (path, query) = if given.is_empty() {
            (String::from(path), given_query.or(query))
        } else if given.starts_with('/') {
            (without_dots(given), given_query)
        } else {
            let directory = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            (without_dots(&format!("{directory}{given}")), given_query)
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self::parse(&format!("{scheme}://{}{path}{query}", self.host_field()))
    }

    /// Where a `Location` field leads from here (Fetch 2.2.3, RFC 9110 10.2.2). What should have been percent-encoded is:
    /// blanks, `|`, braces, bytes beyond ASCII, a percent sign that encodes nothing. Backslashes count as slashes, and tabs
    /// are dropped, as in browsers (URL 4.4).
    ///
    /// ```
    /// use pushline::http1::Url;
    ///
    /// let url = Url::parse("http://example.com/feed")?;
    /// let moved = url.join_location("/caf\u{e9} |100%".as_bytes())?;
    /// assert_eq!(moved.target(), "/caf%C3%A9%20%7C100%25");
    /// # Ok::<(), pushline::http1::InvalidUrl>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), for what cannot be mended: another scheme, a malformed host or port, user information.
    pub fn join_location(&self, location: &[u8]) -> Result<Self, InvalidUrl> {
        let location = location.trim_ascii().split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut in_query = false;
        let plain: Vec<u8> = location
            .iter()
            .filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'))
            .map(|&byte| {
                in_query |= byte == b'?';
                if byte == b'\\' && !in_query { b'/' } else { byte }
            })
            .collect();
        let (authority, rest) = plain.split_at(authority_end(&plain));
        let authority = core::str::from_utf8(authority).map_err(|_| InvalidUrl::Authority)?;
        self.join(&format!("{authority}{}", encoded(rest)))
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
    /// use pushline::http1::Url;
    ///
    /// assert_eq!(Url::parse("http://[::1]:8080/events")?.address(), ("::1", 8080));
    /// # Ok::<(), pushline::http1::InvalidUrl>(())
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

/// The reason why a URL was refused.
///
/// ```
/// use pushline::http1::{InvalidUrl, Url};
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

impl core::error::Error for InvalidUrl {}

/// RFC 3986 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// How much of a reference is scheme and authority: nothing, of a path.
fn authority_end(reference: &[u8]) -> usize {
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?');
    let scheme = match reference.iter().position(|byte| is_end(byte) || *byte == b':') {
        Some(colon) if reference[colon] == b':' => colon + 1,
        _ => 0,
    };
    let Some(authority) = reference[scheme..].strip_prefix(b"//") else { return scheme };
    scheme + 2 + authority.iter().position(is_end).unwrap_or(authority.len())
}

/// Percent-encodes what may not stand in a path or a query as it is (RFC 3986 2.1).
fn encoded(text: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        let is_code = byte == b'%'
            && text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_code || byte != b'%' && is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
    out
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
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

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
            assert_eq!(Url::parse(&format!("http://h{target}")), Err(InvalidUrl::Byte), "{target:?}");
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

    /// Fetch 2.2.3: what browsers follow.
    #[test]
    fn locations_are_mended() {
        let base = Url::parse("http://a/b/c?q").unwrap();
        for (location, url) in [
            (&b"d"[..], "http://a/b/d"),
            (b"", "http://a/b/c?q"),
            (b" /x \t", "http://a/x"),
            (b"/a b", "http://a/a%20b"),
            (b"/a|b{c}`^\"<>", "http://a/a%7Cb%7Bc%7D%60%5E%22%3C%3E"),
            (b"/\xc3\xa9?\xe9", "http://a/%C3%A9?%E9"),
            (b"/100%", "http://a/100%25"),
            (b"/%4%41%zz", "http://a/%254%41%25zz"),
            (b"/a\tb#c d", "http://a/ab"),
            (b"\\x\\y?\\z", "http://a/x/y?%5Cz"),
            (b"//h:81/ ?  ", "http://h:81/%20?"),
            (b"https:\\\\h\\x", "https://h/x"),
            (b"HTTP://h?a b", "http://h/?a%20b"),
            (b"x:y", ""),
            (b"http://h h/", ""),
            (b"http://\xc3\xa9/", ""),
            (b"http://u:p@h/", ""),
            (b"ftp://h/", ""),
            (b"http:///", ""),
        ] {
            let found = base.join_location(location).map(|found| found.to_string());
            assert_eq!(found.unwrap_or_default(), url, "{:?}", String::from_utf8_lossy(location));
        }
    }

    /// Whatever a server sends, what is followed is a URL that can be asked for.
    #[test]
    fn every_byte_is_mended_or_refused() {
        let base = Url::parse("http://a/b").unwrap();
        for byte in 0..=255 {
            for location in [&[b'/', byte, b'x'][..], &[byte], &[b'?', byte], &[b'/', b'/', byte]] {
                if let Ok(url) = base.join_location(location) {
                    assert_eq!(Url::parse(&url.to_string()), Ok(url));
                }
            }
        }
    }
}
