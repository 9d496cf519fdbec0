//! `host [ ":" port ]`, as it stands in Host, in an Origin and in a URL (RFC 3986 3.2, RFC 9110 7.2).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums and differences of lengths of what is in memory; digits that were matched"
)]
#![allow(clippy::indexing_slicing, reason = "tables of 256 entries, asked by a byte; the host's own length")]

use core::net::Ipv6Addr;

use super::syntax::leading;

/// A host and, if given, its port.
///
/// ```
/// use pushline::http1::authority::Authority;
///
/// let authority = Authority::parse(b"[::1]:9000").unwrap();
/// assert_eq!((authority.host(), authority.port()), ("[::1]", Some(9000)));
/// assert_eq!(Authority::parse(b"user@example.com"), None);
/// assert_eq!(Authority::parse(b""), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authority<'a> {
    /// ASCII.
    text: &'a [u8],
    host_len: usize,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a host name, an IPv4 address or an IPv6 address in brackets, with or without a port. `None` if it is
    /// anything else: user information, an empty host, a port past 65535. An empty port is no port.
    #[must_use]
    #[inline]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (host_len, port) = parts(text)?;
        Some(Self { text, host_len, port })
    }

    /// The host, as written: an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        str::from_utf8(&self.text[..self.host_len]).unwrap_or_default()
    }

    /// All of it, as written.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.text
    }

    /// The port, if one was given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// How long the host is, and the port.
fn parts(text: &[u8]) -> Option<(usize, Option<u16>)> {
    let host_end = match text.strip_prefix(b"[") {
        // RFC 3986 3.2.2: IP-literal.
        Some(inside) => {
            let address = inside.split(|&byte| byte == b']').next()?;
            str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
            address.len() + 2
        }
        None => reg_name_len(text),
    };
    let port = match text.get(host_end..)? {
        [] | [b':'] => None,
        [b':', digits @ ..] => Some(port(digits)?),
        _ => return None,
    };
    (host_end > 0).then_some((host_end, port))
}

/// RFC 3986 3.2.3: digits only; no general integer parser, which would take a sign.
fn port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |port, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}

/// RFC 3986 3.2.2: reg-name = *( unreserved / pct-encoded / sub-delims ). Where it ends in the text.
fn reg_name_len(text: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let rest = text.get(len..).unwrap_or_default();
        len += leading(rest, &PLAIN);
        match text.get(len..).unwrap_or_default() {
            // RFC 3986 2.1: pct-encoded = "%" HEXDIG HEXDIG.
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => len += 3,
            _ => return len,
        }
    }
}

/// The bytes of a reg-name that stand for themselves.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"-._~!$&'()*+,;=";
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("h", "h", None),
            ("h:", "h", None),
            ("h:80", "h", Some(80)),
            ("h:65535", "h", Some(65535)),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::7]:443", "[2001:db8::7]", Some(443)),
            ("a%20b", "a%20b", None),
            ("%C3%a4:1", "%C3%a4", Some(1)),
            ("long-name%2d.example.com:8080", "long-name%2d.example.com", Some(8080)),
            ("%41%42%43", "%41%42%43", None),
        ] {
            let authority = Authority::parse(text.as_bytes());
            assert_eq!(authority.map(|a| (a.host(), a.port())), Some((host, port)), "{text}");
        }
        for text in [
            "",
            ":80",
            "h:65536",
            "h:+80",
            "h: 80",
            "h:80:80",
            "h/",
            "h ",
            " h",
            "u@h",
            "h\0",
            "h#",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[g::]",
            "::1",
            "\u{e9}",
            "h?x",
            "%",
            "h%",
            "%4",
            "%4:1",
            "%zz",
            "a%20%2",
            "long-name%2.example",
            "long-name.example%",
            "%41%4g",
            "[%41::]",
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
