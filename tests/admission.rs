//! How many are let in, of each address and in all: one fewer than the bound, as many, and one more.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used)]

use pushline::adapter::Admission;
use std::net::IpAddr;

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[test]
fn each_address_is_bounded() {
    for bound in [1, 2, 5] {
        let admission = Admission::new(bound, usize::MAX);
        let mut admitted: Vec<_> = (1..bound).map(|_| admission.enter(address(1)).unwrap()).collect();
        admitted.extend(admission.enter(address(1)));
        assert_eq!(admitted.len(), bound);
        assert!(admission.enter(address(1)).is_none());
        assert!(admission.enter(address(2)).is_some());
        admitted.pop();
        assert!(admission.enter(address(1)).is_some());
    }
    assert!(Admission::new(0, 9).enter(address(1)).is_none());
}

#[test]
fn all_together_are_bounded() {
    for bound in [1_u8, 2, 5] {
        let admission = Admission::new(1, bound.into());
        let mut admitted: Vec<_> = (1..bound).map(|last| admission.enter(address(last)).unwrap()).collect();
        admitted.extend(admission.enter(address(bound)));
        assert_eq!((admitted.len(), admission.count()), (bound.into(), bound.into()));
        assert!(admission.enter(address(200)).is_none());
        admitted.pop();
        assert!(admission.enter(address(200)).is_some());
    }
    assert!(Admission::new(9, 0).enter(address(1)).is_none());
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let admission = Admission::new(2, 9);
    let addresses =
        ["2001:db8::1", "2001:db8::2", "2001:db8::3:4", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1"];
    let admitted = addresses.map(|address| admission.enter(address.parse().unwrap()));
    assert_eq!(admitted.each_ref().map(Option::is_some), [true, true, false, true, true, true]);
    assert!(admission.enter(address(1)).is_none());
    assert_eq!(admission.addresses(), 3);
}

#[test]
fn nothing_is_left_of_those_who_have_gone() {
    let admission = Admission::new(3, 100);
    let same = admission.clone();
    let admitted: Vec<_> =
        (0..50).flat_map(|last| [same.enter(address(last)), same.enter(address(last))]).collect();
    assert_eq!((admission.count(), admission.addresses()), (100, 50));
    drop(admitted);
    assert_eq!((admission.count(), admission.addresses()), (0, 0));
}
