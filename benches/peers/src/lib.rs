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
