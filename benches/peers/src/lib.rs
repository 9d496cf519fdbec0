//! What the binaries share: an in-memory transport, and each crate behind two traits.

pub mod hash;
pub mod peers;
pub mod wire;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ascii,
    Chinese,
    Binary,
}
