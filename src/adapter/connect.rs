//! In which order the addresses of a host are tried, and when (RFC 8305); how an attempt that failed is told. Reads no clock
//! and no socket.

use super::{Error, TlsError};
use crate::http1::TunnelError;
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::collections::VecDeque;
use std::format;
use std::io;
use std::net::SocketAddr;
use std::string::String;

/// RFC 8305 5: how long an attempt has the line to itself before the next address is tried beside it.
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most addresses of a host that are tried: 16. Without it, a resolver could have hundreds of connections opened.
const MAX_ADDRESSES: usize = 16;

/// The addresses in the order in which they are tried: the resolver's first one first, then the families in turn (RFC
/// 8305 4), so that a family that leads nowhere costs one attempt's delay.
pub(super) fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (v6, v4): (VecDeque<_>, VecDeque<_>);
    let mut addresses = addresses.into_iter().peekable();
    let v6_first = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    (v6, v4) = addresses.partition(SocketAddr::is_ipv6);
    let (mut next, mut other) = if v6_first { (v6, v4) } else { (v4, v6) };
    let mut ordered = VecDeque::new();
    while ordered.len() < MAX_ADDRESSES && !(next.is_empty() && other.is_empty()) {
        ordered.extend(next.pop_front());
        core::mem::swap(&mut next, &mut other);
    }
    ordered
}

/// The error, with where the connection was to lead. Of a URL only host and port are told: nothing else may stand in a log.
pub(super) fn failed_at((host, port): (&str, u16), error: io::Error) -> io::Error {
    let to = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match TlsError::within(error) {
        Ok(error) => error.with_detail(|error| Box::new(FailedAt { to, error })).into_io(),
        // It speaks of the proxy, and is found again by its type.
        Err(error) if error.get_ref().is_some_and(|inner| inner.is::<TunnelError>()) => error,
        Err(error) => io::Error::new(error.kind(), FailedAt { to, error }),
    }
}

/// The same for the handshake that follows.
pub(super) fn handshake_failed_at(address: (&str, u16), error: Error) -> Error {
    match error {
        Error::Io(error) => failed_at(address, error).into(),
        Error::Tls(error) => failed_at(address, error.into_io()).into(),
        error => error,
    }
}

#[derive(Debug)]
struct FailedAt<E> {
    to: String,
    error: E,
}

impl<E: fmt::Display> fmt::Display for FailedAt<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connecting to {}: {}", self.to, self.error)
    }
}

impl<E: std::error::Error> std::error::Error for FailedAt<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source() // it has spoken for itself already
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn an_error_says_where_to() {
        use crate::adapter::TlsFault;
        use std::string::ToString;
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (host, text) in [
            ("example.com", "connecting to example.com:443: connection refused"),
            ("::1", "connecting to [::1]:443: connection refused"),
        ] {
            let error = Error::from(failed_at((host, 443), refused()));
            assert_eq!(error.to_string(), text);
            assert!(matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused));
        }
        let error = Error::from(failed_at(("h", 1), TlsError::from(TlsFault::Ended).into_io()));
        assert_eq!(error.to_string(), "connecting to h:1: the peer left within the TLS handshake");
        assert!(matches!(error, Error::Tls(error) if error.fault() == TlsFault::Ended));
        let error = failed_at(("h", 1), crate::adapter::proxy::into_io(TunnelError::Unauthorized));
        assert!(matches!(Error::from(error), Error::Proxy(TunnelError::Unauthorized)));
    }

    #[test]
    fn families_take_turns() {
        let order = |addresses: &[&str]| -> Vec<String> {
            let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 1));
            in_turn(addresses).iter().map(|address| std::format!("{}", address.ip())).collect()
        };
        assert_eq!(order(&[]), [""; 0]);
        assert_eq!(order(&["::1", "::2", "1.1.1.1", "1.1.1.2"]), ["::1", "1.1.1.1", "::2", "1.1.1.2"]);
        assert_eq!(order(&["1.1.1.1", "1.1.1.2", "::1"]), ["1.1.1.1", "::1", "1.1.1.2"]);
        assert_eq!(order(&["1.1.1.1", "1.1.1.2"]), ["1.1.1.1", "1.1.1.2"]);
        for count in [MAX_ADDRESSES - 1, MAX_ADDRESSES, MAX_ADDRESSES + 1] {
            let addresses = (0..count as u16).map(|port| SocketAddr::from(([1, 1, 1, 1], port)));
            assert_eq!(in_turn(addresses).len(), count.min(MAX_ADDRESSES));
        }
    }
}
