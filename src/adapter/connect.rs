//! In which order the addresses of a host are tried, and when (RFC 8305). Reads no clock and no socket.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

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
