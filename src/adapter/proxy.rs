//! Which proxy a client goes through to which server.

use crate::http1::{InvalidUrl, ProxyUrl, TunnelError};
use core::net::IpAddr;
use std::io;
use std::string::String;
use std::vec::Vec;

/// The proxies of a client: which one it goes through to which server. It asks the proxy for a tunnel (CONNECT, RFC
/// 9110 9.3.6), also to `ws:` and `http:` servers, so that nothing on the way reads along or changes anything.
///
/// ```
/// use pushline::adapter::{Options, Proxy};
///
/// let proxy = Proxy::all("http://user:secret@proxy.example:3128")?.bypass("localhost, .intern.example, 10.0.0.0/8");
/// assert!(proxy.select(true, "chat.example", 443).is_some());
/// assert!(proxy.select(true, "10.1.2.3", 443).is_none());
/// let options = Options::new().proxy(proxy);
/// # let _ = options;
/// # Ok::<(), pushline::http1::InvalidUrl>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Proxy {
    plain: Option<ProxyUrl>,
    secure: Option<ProxyUrl>,
    direct: Vec<Direct>,
}

/// Where no proxy is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Everywhere,
    /// This host and those below it.
    Host(String, Option<u16>),
    /// The addresses that begin with so many bits of this one.
    Net(IpAddr, u8),
}

impl Proxy {
    /// This proxy for all servers. For the form of the URL see [`ProxyUrl::parse`].
    ///
    /// # Errors
    ///
    /// As [`ProxyUrl::parse`].
    pub fn all(url: &str) -> Result<Self, InvalidUrl> {
        let proxy = ProxyUrl::parse(url)?;
        Ok(Self { plain: Some(proxy.clone()), secure: Some(proxy), direct: Vec::new() })
    }

    /// What the environment says: `HTTPS_PROXY` for `wss:` and `https:`, `HTTP_PROXY` for `ws:` and `http:`, `ALL_PROXY` for
    /// what has none of its own, `NO_PROXY` for where none is needed ([`bypass`](Self::bypass)). The names in small letters
    /// count first. Empty ones count as not set. Nothing is read but by this call.
    ///
    /// `HTTP_PROXY` is left out in a CGI program, where a client's `Proxy` field would be its value.
    ///
    /// # Errors
    ///
    /// As [`ProxyUrl::parse`], for any of the URLs: to go without a proxy that was meant would tell what should not be told.
    pub fn from_env() -> Result<Self, InvalidUrl> {
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`from_env`](Self::from_env), from variables of another origin.
    ///
    /// ```
    /// use pushline::adapter::Proxy;
    ///
    /// let proxy = Proxy::from_variables(|name| (name == "https_proxy").then(|| "proxy.example:3128".into()))?;
    /// assert_eq!(proxy.select(true, "chat.example", 443).unwrap().address(), ("proxy.example", 3128));
    /// assert_eq!(proxy.select(false, "chat.example", 80), None);
    /// # Ok::<(), pushline::http1::InvalidUrl>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidUrl> {
        let first =
            |names: &[&str]| names.iter().find_map(|name| get(name).filter(|value| !value.is_empty()));
        let proxy = |names: &[&str]| first(names).map(|url| ProxyUrl::parse(&url)).transpose();
        let http: &[&str] =
            if get("REQUEST_METHOD").is_some() { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        let all = proxy(&["all_proxy", "ALL_PROXY"])?;
        let plain = proxy(http)?.or_else(|| all.clone());
        let secure = proxy(&["https_proxy", "HTTPS_PROXY"])?.or(all);
        let direct = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Ok(Self { plain, secure, direct: Vec::new() }.bypass(&direct))
    }

    /// Hosts to which no proxy is needed, between commas: names, which count for all below them, with or without a dot or
    /// `*.` in front; addresses and networks (`10.0.0.0/8`, `fd00::/8`); any of them with a port; `*` for all hosts. Names
    /// are not looked up: a network counts for hosts that are given as addresses.
    pub fn bypass(mut self, list: &str) -> Self {
        self.direct.extend(list.split([',', ' ']).filter(|entry| !entry.is_empty()).map(Direct::parse));
        self
    }

    /// The proxy on the way to this server; `None` if there is none. `secure` says whether it is asked for `wss:` or `https:`.
    #[must_use]
    pub fn select(&self, secure: bool, host: &str, port: u16) -> Option<&ProxyUrl> {
        let proxy = if secure { &self.secure } else { &self.plain };
        let is_direct = || self.direct.iter().any(|direct| direct.has(host, port));
        proxy.as_ref().filter(|_| !is_direct())
    }
}

impl Direct {
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::Everywhere;
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let Some(address) = ip(address)
            && let Ok(bits) = bits.parse()
            && bits <= width(address)
        {
            return Self::Net(address, bits);
        }
        if let Some(address) = ip(entry) {
            return Self::Net(address, width(address));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (entry, None),
        };
        let host = host.strip_prefix('*').unwrap_or(host);
        Self::Host(plain_name(host.trim_start_matches('.')).to_ascii_lowercase(), port)
    }

    fn has(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Net(net, bits) => ip(host).is_some_and(|address| in_net(address, *net, *bits)),
            Self::Host(name, only) => {
                let host = plain_name(host).to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                only.is_none_or(|only| only == port)
                    && !name.is_empty()
                    && below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
        }
    }
}

/// Without its brackets, and without the dot of the root.
fn plain_name(host: &str) -> &str {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host)
}

fn ip(host: &str) -> Option<IpAddr> {
    let address: IpAddr = plain_name(host).parse().ok()?;
    Some(address.to_canonical())
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn in_net(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let (address, net, width) = match (address, net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => (address.to_bits().into(), net.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(net)) => (address.to_bits(), net.to_bits(), 128u32),
        _ => return false,
    };
    let differing: u128 = address ^ net;
    differing.checked_shr(width.saturating_sub(bits.into())).unwrap_or(0) == 0
}

/// As an error of the stream that did not come about: there it is found again.
pub(super) fn into_io(error: TunnelError) -> io::Error {
    let kind = match error {
        TunnelError::InvalidTarget => io::ErrorKind::InvalidInput,
        TunnelError::Unauthorized => io::ErrorKind::PermissionDenied,
        TunnelError::Refused(_) => io::ErrorKind::ConnectionRefused,
        TunnelError::Ended => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    fn from(variables: &[(&str, &str)]) -> Result<Proxy, InvalidUrl> {
        Proxy::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn variables() {
        let select = |variables: &[(&str, &str)]| {
            let proxy = from(variables).unwrap();
            [false, true].map(|secure| {
                proxy.select(secure, "h", 1).map_or(String::new(), |proxy| proxy.address().0.to_string())
            })
        };
        assert_eq!(select(&[]), ["", ""]);
        assert_eq!(select(&[("HTTP_PROXY", "a")]), ["a", ""]);
        assert_eq!(select(&[("HTTPS_PROXY", "http://b:1/")]), ["", "b"]);
        assert_eq!(select(&[("ALL_PROXY", "c"), ("HTTPS_PROXY", "b")]), ["c", "b"]);
        assert_eq!(select(&[("http_proxy", "s"), ("HTTP_PROXY", "a")]), ["s", ""]);
        assert_eq!(select(&[("http_proxy", ""), ("HTTP_PROXY", "a")]), ["a", ""]);
        // A client's `Proxy` field.
        assert_eq!(select(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil")]), ["", ""]);
        assert_eq!(select(&[("ALL_PROXY", "c"), ("NO_PROXY", "g,h")]), ["", ""]);
        assert_eq!(select(&[("ALL_PROXY", "c"), ("no_proxy", "*")]), ["", ""]);
        assert_eq!(from(&[("ALL_PROXY", "socks5://c:1080")]), Err(InvalidUrl::Scheme));
        assert_eq!(from(&[("HTTPS_PROXY", "http://c d")]), Err(InvalidUrl::Authority));
    }

    #[test]
    fn where_none_is_needed() {
        for (list, host, port, direct) in [
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com.", 80, true),
            ("example.com", "a.example.com", 80, true),
            (".example.com", "a.example.com", 80, true),
            ("*.example.com", "a.b.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            ("example.com", "example.com.evil.net", 80, false),
            ("example.com:81", "example.com", 80, false),
            ("example.com:81", "example.com", 81, true),
            ("a, b ,c", "b", 1, true),
            ("", "b", 1, false),
            (".", "b", 1, false),
            (",", "", 1, false),
            ("127.0.0.1", "127.0.0.1", 1, true),
            ("127.0.0.1", "127.0.0.11", 1, false),
            ("::1", "::1", 1, true),
            ("[::1]", "[::1]", 1, true),
            ("10.0.0.0/8", "10.255.0.1", 1, true),
            ("10.0.0.0/8", "11.0.0.1", 1, false),
            ("10.0.0.0/31", "10.0.0.1", 1, true),
            ("10.0.0.0/31", "10.0.0.2", 1, false),
            ("10.0.0.0/32", "10.0.0.1", 1, false),
            ("0.0.0.0/0", "1.2.3.4", 1, true),
            ("0.0.0.0/0", "::1", 1, false),
            ("::/0", "fe80::1", 1, true),
            ("fd00::/8", "fd12::1", 1, true),
            ("fd00::/8", "fe12::1", 1, false),
            ("10.0.0.0/33", "10.0.0.0", 1, false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", 1, true),
            ("*", "anything", 1, true),
        ] {
            let proxy = Proxy::all("p:1").unwrap().bypass(list);
            assert_eq!(proxy.select(true, host, port).is_none(), direct, "{list:?} {host} {port}");
        }
        assert_eq!(format!("{:?}", Proxy::all("u:secret@p").unwrap()).matches("secret").count(), 0);
    }
}
