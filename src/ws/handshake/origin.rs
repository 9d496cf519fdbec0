//! Which pages may connect: the server's defence against cross-site WebSocket hijacking (RFC 6455 4.2.2, 10.2).

use alloc::string::String;
use alloc::vec::Vec;

use crate::http1::authority::Authority;

/// The policy for `Origin`: which values a server accepts. A browser always sends the origin of the page that connects,
/// and it sends the user's cookies along: without this check any page can use the service in the name of whoever looks
/// at it.
///
/// The default is [`same_host`](Self::same_host). More than one Origin in a request is always refused.
///
/// ```
/// use pushline::http1::authority::Authority;
/// use pushline::ws::handshake::OriginPolicy;
///
/// let host = Authority::parse(b"example.com");
/// let policy = OriginPolicy::default();
/// assert!(policy.allows(Some(b"https://example.com"), host));
/// assert!(!policy.allows(Some(b"https://example.com.evil.net"), host));
///
/// let policy = OriginPolicy::list(["https://app.example"]).allow_absent(true);
/// assert!(policy.allows(Some(b"https://app.example"), host));
/// assert!(policy.allows(None, host));
///
/// // The server's own pages, and those of one other.
/// let policy = OriginPolicy::same_host().also(["https://app.example"]);
/// assert!(policy.allows(Some(b"https://example.com"), host));
/// assert!(policy.allows(Some(b"https://app.example"), host));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct OriginPolicy {
    accepted: Accepted,
    absent: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Accepted {
    Some { same_host: bool, listed: Vec<String> },
    Any,
}

impl OriginPolicy {
    /// Pages from the host and port that the request was sent to, over http or https: TLS may have ended before the
    /// server, so that it cannot know which it was. A request without Origin, which no browser sends, is accepted.
    ///
    /// A proxy in front of the server has to pass Host on unchanged.
    pub const fn same_host() -> Self {
        Self { accepted: Accepted::Some { same_host: true, listed: Vec::new() }, absent: true }
    }

    /// Exactly these origins, byte for byte as a browser writes them: lower case, no default port, no path. The server's
    /// own pages are not among them unless named; for those and others see [`also`](Self::also). A request without Origin is
    /// refused unless [allowed](Self::allow_absent).
    pub fn list<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        Self { accepted: Accepted::Some { same_host: false, listed: Vec::new() }, absent: false }
            .also(origins)
    }

    /// These origins besides, written as for [`list`](Self::list). Without effect on [`any`](Self::any), which has them.
    pub fn also<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        if let Accepted::Some { listed, .. } = &mut self.accepted {
            listed.extend(origins.into_iter().map(Into::into));
        }
        self
    }

    /// Every origin and none: for services that do not know their users by cookies or by their address.
    pub const fn any() -> Self {
        Self { accepted: Accepted::Any, absent: true }
    }

    /// Whether a request without Origin is accepted: such a client is not a browser, and could send any Origin it
    /// likes.
    pub fn allow_absent(mut self, allowed: bool) -> Self {
        self.absent = allowed;
        self
    }

    /// Whether a request to `host` with this Origin is accepted.
    #[must_use]
    pub fn allows(&self, origin: Option<&[u8]>, host: Option<Authority<'_>>) -> bool {
        let Some(origin) = origin else { return self.absent };
        match &self.accepted {
            // RFC 6454 7.1: one, not several in a field; nor several that were joined to one (RFC 9110 5.3).
            Accepted::Any => !origin.iter().any(|byte| matches!(byte, b' ' | b',')),
            // RFC 6455 10.2: the whole value; a prefix would let https://good.example.evil.net in.
            Accepted::Some { same_host, listed } => {
                listed.iter().any(|accepted| accepted.as_bytes() == origin)
                    || (*same_host && host.is_some_and(|host| is_same_host(origin, host)))
            }
        }
    }
}

#[cfg(feature = "sockjs")]
impl OriginPolicy {
    /// The directive that lets pages of these origins frame a document, and no others; `None` if all may (CSP 3,
    /// 6.4.2). What is no origin, such as `null`, cannot be named there.
    pub(crate) fn frame_ancestors(&self) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'.' | b'-');
        let mut directive = String::from("frame-ancestors 'self'");
        match &self.accepted {
            Accepted::Any => return None,
            Accepted::Some { listed, .. } => {
                for origin in listed.iter().filter(|origin| origin.contains("://")) {
                    if origin.bytes().all(is_plain) {
                        directive.push(' ');
                        directive.push_str(origin);
                    }
                }
            }
        }
        Some(directive)
    }
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self::same_host()
    }
}

/// RFC 6454 6.2: an origin is written `scheme "://" host [ ":" port ]`.
fn is_same_host(origin: &[u8], host: Authority<'_>) -> bool {
    let after = |scheme: &str| {
        let (start, authority) = origin.split_at_checked(scheme.len())?;
        let is_same = start == scheme.as_bytes() || start.eq_ignore_ascii_case(scheme.as_bytes());
        is_same.then_some(authority)
    };
    let (default_port, authority) = match (after("https://"), after("http://")) {
        (Some(authority), _) => (443, authority),
        (_, Some(authority)) => (80, authority),
        _ => return false,
    };
    // Written alike, as browsers do: then host and port are the same, whatever the default port.
    if authority == host.as_bytes() || authority.eq_ignore_ascii_case(host.as_bytes()) {
        return true;
    }
    Authority::parse(authority).is_some_and(|page| {
        page.host().eq_ignore_ascii_case(host.host())
            && page.port().unwrap_or(default_port) == host.port().unwrap_or(default_port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_host() {
        for (origin, host, same) in [
            ("https://example.com", "example.com", true),
            ("http://example.com", "example.com", true),
            ("https://EXAMPLE.com", "example.COM", true),
            ("http://localhost:8080", "localhost:8080", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com:80", "example.com", true),
            ("http://[::1]:9", "[::1]:9", true),
            ("https://example.com", "example.com:80", false),
            ("http://example.com", "example.com:8080", false),
            ("http://example.com:8080", "example.com", false),
            ("https://www.example.com", "example.com", false),
            ("https://example.com.evil.net", "example.com", false),
            ("https://evil.net/example.com", "example.com", false),
            ("https://evil.net#example.com", "example.com", false),
            ("https://example.com@evil.net", "example.com", false),
            ("https://evil.net@example.com", "example.com", false),
            ("https://example.com/", "example.com", false),
            ("https://example.com https://evil.net", "example.com", false),
            ("ftp://example.com", "example.com", false),
            ("chrome-extension://example.com", "example.com", false),
            ("example.com", "example.com", false),
            ("null", "null", false),
            ("", "example.com", false),
            ("https://", "example.com", false),
        ] {
            let host = Authority::parse(host.as_bytes());
            assert!(host.is_some());
            assert_eq!(
                OriginPolicy::same_host().allows(Some(origin.as_bytes()), host),
                same,
                "{origin} {host:?}"
            );
        }
        assert!(OriginPolicy::same_host().allows(None, Authority::parse(b"example.com")));
        assert!(
            !OriginPolicy::same_host().allow_absent(false).allows(None, Authority::parse(b"example.com"))
        );
        assert!(!OriginPolicy::same_host().allows(Some(b"https://example.com"), None));
    }

    #[test]
    fn lists_are_compared_whole() {
        let policy = OriginPolicy::list(["https://good.example", "null"]);
        for (origin, allowed) in [
            ("https://good.example", true),
            ("null", true),
            ("https://good.example.evil.net", false),
            ("https://good.exampl", false),
            ("https://good.example/", false),
            ("http://good.example", false),
            ("HTTPS://good.example", false),
            ("", false),
        ] {
            assert_eq!(policy.allows(Some(origin.as_bytes()), None), allowed, "{origin}");
        }
        assert!(!policy.allows(None, None));
        for several in [&b"https://a.example https://b.example"[..], b"https://a.example, null"] {
            assert!(!OriginPolicy::any().allows(Some(several), None));
        }
        assert!(OriginPolicy::any().allows(Some(b"null"), None) && OriginPolicy::any().allows(None, None));
    }
    #[test]
    fn the_same_host_and_others() {
        let host = Authority::parse(b"example.com");
        let policy = OriginPolicy::same_host().also(["https://a.example"]).also(["https://b.example"]);
        for (origin, allowed) in [
            ("https://example.com", true),
            ("https://a.example", true),
            ("https://b.example", true),
            ("https://c.example", false),
            ("https://a.example.evil.net", false),
            ("null", false),
        ] {
            assert_eq!(policy.allows(Some(origin.as_bytes()), host), allowed, "{origin}");
        }
        assert!(policy.allows(None, host));
        assert!(!policy.allow_absent(false).allows(None, host));
        // A list that has more than one part is a list: the own host is not in it.
        let list = OriginPolicy::list(["https://a.example"]).also(["https://b.example"]);
        assert_eq!(list, OriginPolicy::list(["https://a.example", "https://b.example"]));
        assert!(!list.allows(Some(b"https://example.com"), host) && !list.allows(None, host));
        assert_eq!(OriginPolicy::any().also(["https://a.example"]), OriginPolicy::any());
    }
}
