//! CONNECT: the request for a tunnel through a proxy, and its answer (RFC 9110 9.3.6, 11.7; RFC 9112 3.2.3).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths of heads that are in memory; interim responses up to their limit"
)]

use super::basic;
use super::head::{FieldLines, HeadError, HeadLimits, HeadReader, MAX_INTERIM, Slots, write_request};
use super::url::{Fault, Location};
use super::{authority::Authority, http_url::InvalidUrl};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A client's way through a proxy: a request that asks for a tunnel, and its answer. Behind the answer's head all bytes
/// are the tunnel's, in both directions.
///
/// ```
/// use pushline::http1::{Tunnel, TunnelError};
///
/// let mut tunnel = Tunnel::new("example.com", 443, None)?;
/// assert_eq!(tunnel.request(), b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n");
/// // In: what the proxy says, in whatever pieces.
/// assert_eq!(tunnel.receive(b"HTTP/1.1 200 Connection est"), Ok(None));
/// let received = b"ablished\r\n\r\nand what the server said first";
/// let taken = tunnel.receive(received)?.expect("the tunnel is open");
/// assert_eq!(&received[taken..], b"and what the server said first");
/// # Ok::<(), TunnelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tunnel {
    request: Vec<u8>,
    reader: HeadReader,
    /// Of the head that is not whole yet.
    head: Vec<u8>,
    interim: usize,
    done: Option<Result<(), TunnelError>>,
}

impl Tunnel {
    /// Asks for a tunnel to this host, an IPv6 address without brackets or with, and port. `authorization` is the value of
    /// `Proxy-Authorization`, as [`ProxyUrl::authorization`] gives it.
    ///
    /// # Errors
    ///
    /// [`TunnelError::InvalidTarget`] for what is no host, or a value that cannot stand in a field.
    pub fn new(host: &str, port: u16, authorization: Option<&str>) -> Result<Self, TunnelError> {
        Self::with_limits(host, port, authorization, HeadLimits::default())
    }

    /// As [`new`](Self::new), with other [`HeadLimits`] of the answer's head than 16 KiB and 64 fields.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_limits(
        host: &str,
        port: u16,
        authorization: Option<&str>,
        limits: HeadLimits,
    ) -> Result<Self, TunnelError> {
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        // RFC 9112 3.2.3: the port is always there.
        let target = if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let authority = Authority::parse(target.as_bytes()).filter(|authority| authority.port().is_some());
        authority.ok_or(TunnelError::InvalidTarget)?;
        let mut fields = FieldLines::new();
        let pushed = fields.push("host", &target).and_then(|()| match authorization {
            Some(value) => fields.push("proxy-authorization", value),
            None => Ok(()),
        });
        pushed.map_err(|_| TunnelError::InvalidTarget)?;
        let mut request = Vec::new();
        write_request(&mut request, "CONNECT", &target, &fields).map_err(|_| TunnelError::InvalidTarget)?;
        Ok(Self { request, reader: HeadReader::new(limits), head: Vec::new(), interim: 0, done: None })
    }

    /// The request: to be written first.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Takes received bytes. `None`: all were taken, and more are needed. `Some`: the tunnel is open, and so many of them
    /// were the answer's; what is behind is the tunnel's.
    ///
    /// Answers of class 1xx are passed over, sixteen of them. `Content-Length` and `Transfer-Encoding` mean nothing here
    /// (RFC 9110 9.3.6).
    ///
    /// # Errors
    ///
    /// [`TunnelError`], as soon as it is certain; the same again if called again.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, TunnelError> {
        if let Some(done) = self.done {
            return done.map(|()| Some(0));
        }
        let before = self.head.len();
        let mut end = 0;
        self.head.extend_from_slice(bytes);
        loop {
            let mut slots = Slots::new();
            let head = self.reader.read_connect_response(&self.head, &mut slots);
            let (status, length) = match head.map(|head| head.map(|head| (head.status(), head.len()))) {
                Ok(None) => return Ok(None),
                Ok(Some(head)) => head,
                Err(error) => return Err(self.fail(TunnelError::Malformed(error))),
            };
            end += length;
            match status {
                200..=299 => {
                    self.done = Some(Ok(()));
                    self.head = Vec::new();
                    return Ok(Some(end.saturating_sub(before)));
                }
                // RFC 9110 15.2; 101 would be another protocol than was asked for.
                100 | 102..=199 if self.interim < MAX_INTERIM => {
                    self.interim += 1;
                    self.head.drain(..length);
                }
                407 => return Err(self.fail(TunnelError::Unauthorized)),
                status => return Err(self.fail(TunnelError::Refused(status))),
            }
        }
    }

    /// The proxy has ended the connection: as what that counts.
    #[must_use]
    pub fn receive_eof(&mut self) -> TunnelError {
        match self.done {
            Some(Err(error)) => error,
            _ => self.fail(TunnelError::Ended),
        }
    }

    /// Whether the tunnel is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.done, Some(Ok(())))
    }

    fn fail(&mut self, error: TunnelError) -> TunnelError {
        self.done = Some(Err(error));
        self.head = Vec::new();
        error
    }
}

/// The reason why there is no tunnel.
///
/// ```
/// use pushline::http1::{Tunnel, TunnelError};
///
/// let mut tunnel = Tunnel::new("example.com", 443, None)?;
/// let refused = tunnel.receive(b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n");
/// assert_eq!(refused, Err(TunnelError::Unauthorized));
/// # Ok::<(), TunnelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelError {
    /// The host or the credentials cannot stand in a request.
    InvalidTarget,
    /// 407: the proxy wants credentials, or others (RFC 9110 15.5.8).
    Unauthorized,
    /// The proxy said this status instead of one of class 2xx: 502, for example, if it cannot reach the server.
    Refused(u16),
    /// The answer's head breaks RFC 9112, or exceeds a limit.
    Malformed(HeadError),
    /// The proxy left before its answer was whole.
    Ended,
}

impl TunnelError {
    /// Whether it is no use to ask again: the credentials are wrong, or what was asked for is nothing.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::InvalidTarget | Self::Unauthorized)
    }
}

impl fmt::Display for TunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidTarget => f.write_str("the host or the proxy's credentials cannot be sent"),
            Self::Unauthorized => f.write_str("the proxy wants credentials, or others (407)"),
            Self::Refused(status) => write!(f, "the proxy refused the tunnel with status {status}"),
            Self::Malformed(error) => write!(f, "the proxy's answer: {error}"),
            Self::Ended => f.write_str("the proxy ended the connection instead of an answer"),
        }
    }
}

impl core::error::Error for TunnelError {}

/// The URL of a proxy, with the credentials for it: `http://[user[:password]@]host[:port]`.
///
/// ```
/// use pushline::http1::ProxyUrl;
///
/// let proxy = ProxyUrl::parse("http://Aladdin:open%20sesame@proxy.example:3128")?;
/// assert_eq!(proxy.address(), ("proxy.example", 3128));
/// assert_eq!(proxy.authorization(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
/// # Ok::<(), pushline::http1::InvalidUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl {
    location: Location,
    authorization: Option<String>,
}

impl ProxyUrl {
    /// Reads the URL of a proxy. A scheme is not needed, as in environment variables; the port is 80 unless given. What
    /// stands behind the host and port is of no account.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for another scheme than `http`: a proxy over TLS or SOCKS is not for this client; for a malformed
    /// host or port, and user information that cannot be sent (RFC 7617 2).
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let with_scheme;
        let url = if url.contains("://") {
            url
        } else {
            with_scheme = format!("http://{url}");
            &with_scheme
        };
        let (location, user_info) = Location::parse(url, ["http", "https"]).map_err(|fault| match fault {
            Fault::Scheme => InvalidUrl::Scheme,
            Fault::Authority => InvalidUrl::Authority,
            Fault::Byte => InvalidUrl::Byte,
        })?;
        if location.secure {
            return Err(InvalidUrl::Scheme);
        }
        let authorization = match user_info {
            None | Some("") => None,
            Some(user_info) => Some(basic::credentials(user_info).ok_or(InvalidUrl::Authority)?),
        };
        Ok(Self { location, authorization })
    }

    /// What to connect to: the host, an IPv6 address without its brackets, and the port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        self.location.address()
    }

    /// The value of `Proxy-Authorization` for the user information (RFC 7617).
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// Without the credentials.
impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.location.host, self.location.port);
        let user = if self.authorization.is_some() { "...@" } else { "" };
        write!(f, "ProxyUrl(http://{user}{host}:{port})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (host, target) in [
            ("h", Some("h:443")),
            ("::1", Some("[::1]:443")),
            ("[::1]", Some("[::1]:443")),
            ("127.0.0.1", Some("127.0.0.1:443")),
            ("", None),
            ("h:1", None),
            ("h\r\nx: y", None),
            ("u@h", None),
            ("h/", None),
            ("\u{e9}", None),
        ] {
            let tunnel = Tunnel::new(host, 443, None);
            let expected = target.map(|t| format!("CONNECT {t} HTTP/1.1\r\nhost: {t}\r\n\r\n"));
            assert_eq!(
                tunnel.ok().map(|t| t.request().to_vec()),
                expected.map(String::into_bytes),
                "{host:?}"
            );
        }
        assert_eq!(Tunnel::new("h", 1, Some("a\r\nb")).unwrap_err(), TunnelError::InvalidTarget);
    }

    #[test]
    fn proxies() {
        for (url, address) in [
            ("http://p:3128", Ok(("p", 3128))),
            ("http://p:3128/", Ok(("p", 3128))),
            ("p:3128", Ok(("p", 3128))),
            ("p", Ok(("p", 80))),
            ("u:p@[::1]:8080", Ok(("::1", 8080))),
            ("https://p", Err(InvalidUrl::Scheme)),
            ("socks5://p:1080", Err(InvalidUrl::Scheme)),
            ("http://p:0", Err(InvalidUrl::Authority)),
            ("http://u%3a:p@p", Err(InvalidUrl::Authority)),
            ("", Err(InvalidUrl::Authority)),
            ("p q", Err(InvalidUrl::Authority)),
        ] {
            let proxy = ProxyUrl::parse(url);
            assert_eq!(proxy.as_ref().map(ProxyUrl::address).map_err(|error| *error), address, "{url}");
        }
        let proxy = ProxyUrl::parse("http://user:secret@p:1").unwrap();
        assert_eq!(format!("{proxy:?}"), "ProxyUrl(http://...@p:1)");
    }
}
