//! `scheme "://" authority [ path ] [ "?" query ]`: what the URLs of HTTP and WebSocket share (RFC 3986 3).

use super::authority::Authority;
use alloc::format;
use alloc::string::String;

/// Where to connect, and what to ask for there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    /// Whether the scheme is the one that goes over TLS.
    pub(crate) secure: bool,
    /// As written: with brackets around an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) target: String,
}

/// What is wrong with a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Scheme,
    Authority,
    Byte,
}

impl Location {
    /// Reads a URL that has no fragment, with its user information. `schemes` are the plain one and the one over TLS.
    pub(crate) fn parse<'u>(url: &'u str, schemes: [&str; 2]) -> Result<(Self, Option<&'u str>), Fault> {
        let (scheme, rest) = url.split_once("://").ok_or(Fault::Scheme)?;
        let known = schemes.iter().position(|known| scheme.eq_ignore_ascii_case(known));
        let secure = known.ok_or(Fault::Scheme)? == 1;
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user_info, authority) = match authority.split_once('@') {
            Some((user_info, authority)) => (Some(user_info), authority),
            None => (None, authority),
        };
        let authority = Authority::parse(authority.as_bytes()).ok_or(Fault::Authority)?;
        let port = authority.port().unwrap_or(default_port(secure));
        if port == 0 || !user_info.is_none_or(is_encoded) {
            return Err(Fault::Authority);
        }
        if !is_encoded(resource) {
            return Err(Fault::Byte);
        }
        // RFC 6455 3, RFC 9110 4.2.3: an empty path is "/".
        let target = if resource.starts_with('/') { resource.into() } else { format!("/{resource}") };
        Ok((Self { secure, host: authority.host().into(), port, target }, user_info))
    }

    /// What to connect to: the host, an IPv6 address without its brackets, and the port.
    pub(crate) fn address(&self) -> (&str, u16) {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (host.unwrap_or(&self.host), self.port)
    }

    /// The value of Host. RFC 6455 4.1, RFC 9110 4.2.3: the port is left out if it is the default.
    pub(crate) fn host_field(&self) -> String {
        let Self { host, port, .. } = self;
        if *port == default_port(self.secure) { host.clone() } else { format!("{host}:{port}") }
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// RFC 3986 2: only visible bytes that need no encoding, and percent signs with two hex digits behind them. Square
/// brackets are let through, as everywhere.
fn is_encoded(text: &str) -> bool {
    let encoded = |piece: &str| {
        piece.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.bytes().all(is_plain) && text.split('%').skip(1).all(encoded)
}

/// A visible byte that needs no encoding, or a percent sign.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}
