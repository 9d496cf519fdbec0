//! What the binaries share: an in-memory transport, and each crate behind two traits.

#![allow(clippy::disallowed_types, reason = "it opens sockets")]

pub mod hash;
pub mod peers;
pub mod servers;
pub mod wire;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ascii,
    Chinese,
    Binary,
}

/// The least of what several processes of this program print as the `times` of their rows, one after the other: where one has
/// its stack and its memory is nobody's merit.
pub fn least_of_processes(processes: usize, times: usize, arguments: &[&str]) -> Vec<f64> {
    let mut best = vec![f64::MAX; times];
    for _ in 0..processes {
        let this = std::env::current_exe().expect("the path of this program");
        let output = std::process::Command::new(this).args(arguments).output().expect("this program again");
        let printed = String::from_utf8(output.stdout).expect("numbers");
        let printed: Vec<f64> = printed.lines().map(|ns| ns.parse().expect("a number")).collect();
        assert_eq!(printed.len(), times, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        for (best, ns) in best.iter_mut().zip(printed) {
            *best = best.min(ns);
        }
    }
    best
}
