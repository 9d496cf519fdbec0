//! How many there are, from each address and in all: what is beyond the limits is not let in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A count for each address, bounded.
pub struct Counts {
    per_address: usize,
    all: usize,
    now: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One that was let in, until it is dropped.
pub struct Counted(Arc<Counts>, IpAddr);

impl Counts {
    pub fn new(per_address: usize, all: usize) -> Arc<Self> {
        Arc::new(Self { per_address, all, now: Mutex::default() })
    }

    /// `None`: there are too many. Whoever has an address of IPv6 has all of its network (RFC 6177), which counts as one.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Counted> {
        let from = match from.to_canonical() {
            IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
            from => from,
        };
        let mut now = self.lock();
        let (all, each) = &mut *now;
        let count = each.get(&from).copied().unwrap_or_default();
        if *all >= self.all || count >= self.per_address {
            return None;
        }
        *all += 1;
        each.insert(from, count + 1);
        Some(Counted(Arc::clone(self), from))
    }

    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<IpAddr, usize>)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.0 = now.0.saturating_sub(1);
        match now.1.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(now.1.remove(&self.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_all_together_are_bounded() {
        let counts = Counts::new(2, 3);
        let [a, b] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = counts.enter(a).unwrap();
        let second = counts.enter(a);
        assert!(second.is_some() && counts.enter(a).is_none());
        let other = counts.enter(b).unwrap();
        assert!(counts.enter(b).is_none());
        drop((first, second));
        assert!(counts.enter(b).is_some());
        drop(other);
        assert_eq!(*counts.lock(), (0, HashMap::new()));
        let network =
            ["2001:db8::1", "2001:db8::2", "2001:db8::3:4", "::ffff:127.0.0.1"].map(|ip| ip.parse().unwrap());
        let entered = network.map(|ip| counts.enter(ip));
        assert_eq!(entered.each_ref().map(Option::is_some), [true, true, false, true]);
        drop(entered);
    }
}
