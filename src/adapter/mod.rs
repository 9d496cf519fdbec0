//! Adapters: the only files that read, write, look at a clock or ask for randomness. They move bytes
//! between a transport and the state machines and make no protocol decision.
#![cfg_attr(feature = "deflate", doc = "")]
#![cfg_attr(feature = "deflate", doc = include_str!("compression.md"))]

#[cfg(feature = "std")]
mod answer;
#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod options;
#[cfg(feature = "std")]
mod owed;
#[cfg(feature = "std")]
mod random;
#[cfg(feature = "std")]
mod send;
#[cfg(feature = "std")]
pub mod sse;
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(feature = "std")]
pub use error::{Error, HandshakeError, TimedOut};
#[cfg(feature = "std")]
pub use options::Options;
#[cfg(feature = "std")]
pub use random::nonce;
