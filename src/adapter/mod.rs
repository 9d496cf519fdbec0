//! Adapters: the only files that read, write, look at a clock or ask for randomness. They move bytes
//! between a transport and the state machines and make no protocol decision.
//!
//! | adapter | over | feature |
//! |---|---|---|
//! | `blocking` | `Read + Write`, a thread or two for a connection | `std` |
//! | `tokio` | `AsyncRead + AsyncWrite` | `tokio` |
//!
//! Both have `accept`, `connect`, a `WebSocket` that splits into a `Reader` and a `Writer`, and event streams under `sse`;
//! they take the same `Options` and give the same `Error`.
#![cfg_attr(feature = "deflate", doc = "")]
#![cfg_attr(feature = "deflate", doc = include_str!("compression.md"))]

#[cfg(feature = "std")]
mod answer;
#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod error;
#[cfg(all(feature = "hyper", any(feature = "atmosphere", feature = "pushlet", feature = "sockjs")))]
pub mod frameworks;
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
