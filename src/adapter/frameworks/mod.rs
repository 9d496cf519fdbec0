//! The Comet frameworks' servers over hyper, and so behind axum and tower: a function from their request to their
//! response.
//!
//! | framework | see |
//! |---|---|
//! | SockJS | `SockJs`, `examples/sockjs` |
//! | Atmosphere | `Atmosphere`, `examples/atmosphere` |
//! | Pushlet | `Pushlet`, `examples/pushlet` |
//!
//! Each is a `tower_service::Service`, which axum's `Router::route_service` takes: `SockJs` at its path and at `PATH/{*rest}`, the
//! others at their paths. A function of hyper's or a handler calls `serve`.
//!
//! A response that waits for news is a [`FrameworkBody`], which hyper polls while its client is there and drops when it has left.
#![allow(clippy::disallowed_methods)] // this is where the clock is read

#[cfg(feature = "atmosphere")]
mod atmosphere;
mod body;
#[cfg(any(feature = "atmosphere", feature = "sockjs"))]
mod held;
mod http;
#[cfg(feature = "pushlet")]
mod pushlet;
#[cfg(any(feature = "atmosphere", feature = "sockjs"))]
mod sessions;
#[cfg(feature = "sockjs")]
mod sockjs;

#[cfg(feature = "atmosphere")]
pub use atmosphere::{Atmosphere, AtmospherePeer, AtmosphereSender};
pub use body::FrameworkBody;
#[cfg(feature = "pushlet")]
pub use pushlet::Pushlet;
#[cfg(feature = "sockjs")]
pub use sockjs::{SockJs, SockJsSender, SockJsSocket};
