//! Adapters: the only files that read, write, look at a clock or ask for randomness. They move bytes
//! between a transport and the state machines and make no protocol decision.
//!
//! | adapter | over | feature |
//! |---|---|---|
//! | `blocking` | `Read + Write`, a thread or two for a connection | `std` |
//! | `tokio` | `AsyncRead + AsyncWrite` | `tokio` |
//! | `hyper` | what hyper has upgraded, over HTTP/1.1 and HTTP/2 | `hyper` |
//! | `axum` | the same, as an extractor | `axum` |
//! | `socketio` | requests and responses of hyper's, so axum's, too | `hyper` and `socketio` |
//! | `bayeux` | the same, for CometD's and Faye's clients | `hyper` and `bayeux` |
//! | `frameworks` | the same, for SockJS's, Atmosphere's and Pushlet's clients | `hyper` and `sockjs`, `atmosphere`, `pushlet` |
//!
//! Their clients go over TLS (feature `rustls`) and through a `Proxy` where the URL and the `Options` say so.
//!
//! The first two have `accept`, `connect`, a `WebSocket` that splits into a `Reader` and a `Writer`, and event streams and their client under `sse`;
//! they take the same `Options` and give the same `Error`.
#![cfg_attr(feature = "deflate", doc = "")]
#![cfg_attr(feature = "deflate", doc = include_str!("compression.md"))]

#[cfg(feature = "std")]
mod admission;
#[cfg(feature = "std")]
mod ahead;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(all(feature = "bayeux", feature = "hyper"))]
pub mod bayeux;
#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod connect;
#[cfg(feature = "std")]
mod end;
#[cfg(feature = "std")]
mod error;
#[cfg(all(feature = "hyper", any(feature = "atmosphere", feature = "pushlet", feature = "sockjs")))]
pub mod frameworks;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "std")]
mod options;
#[cfg(feature = "std")]
mod owed;
#[cfg(feature = "std")]
mod proxy;
#[cfg(feature = "std")]
mod random;
#[cfg(feature = "std")]
mod route;
#[cfg(all(
    feature = "hyper",
    any(
        feature = "atmosphere",
        feature = "bayeux",
        feature = "pushlet",
        feature = "socketio",
        feature = "sockjs"
    )
))]
mod service;
#[cfg(all(feature = "hyper", feature = "socketio"))]
pub mod socketio;
#[cfg(feature = "std")]
pub mod sse;
#[cfg(feature = "std")]
mod stats;
#[cfg(feature = "std")]
mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "std")]
mod trace;

#[cfg(feature = "std")]
pub use crate::ws::TimedOut;
#[cfg(feature = "std")]
pub use crate::ws::handshake::HandshakeError;
#[cfg(feature = "std")]
pub use admission::{Admission, Admitted};
#[cfg(feature = "std")]
pub use error::Error;
#[cfg(feature = "std")]
pub use options::Options;
#[cfg(feature = "std")]
pub use proxy::Proxy;
#[cfg(feature = "std")]
pub use random::nonce;
#[cfg(feature = "std")]
pub use stats::{ConnectionStats, Stats, StatsSnapshot};
#[cfg(feature = "std")]
pub use tls::{TlsError, TlsFault};
