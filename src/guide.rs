//! Guides: what to build with, by task. Their code is compiled, and most of it run, by the tests.
//!
// The first definition of a link counts: here it is a page of this documentation, in the files behind it a file.

/// A WebSocket server: tokio, axum, hyper, threads; who may connect.
///
/// [broadcast]: crate::guide::broadcast
///
#[doc = include_str!("../docs/guide/server.md")]
pub mod server {}

/// An event stream server: a feed that nobody misses anything of, a stream for one client.
///
/// [broadcast]: crate::guide::broadcast
///
#[doc = include_str!("../docs/guide/events.md")]
pub mod events {}

/// Clients: WebSocket and event streams.
#[doc = include_str!("../docs/guide/client.md")]
pub mod client {}

/// One message for many connections, slow readers, back-pressure.
#[doc = include_str!("../docs/guide/broadcast.md")]
pub mod broadcast {}

/// Limits and memory.
///
/// [compression]: crate::guide::compression
///
#[doc = include_str!("../docs/guide/limits.md")]
pub mod limits {}

/// Compression: policies, what they cost, when not to use it.
#[doc = include_str!("../docs/guide/compression.md")]
pub mod compression {}

/// Deploying: proxies, files, shutdown, what to watch.
///
#[cfg_attr(feature = "comet", doc = "[transports]: crate::comet")]
///
#[doc = include_str!("../docs/guide/deploying.md")]
pub mod deploying {}

/// Writing an adapter for another runtime.
#[doc = include_str!("../docs/guide/adapter.md")]
pub mod adapter {}

/// Coming from tungstenite and tokio-tungstenite.
///
/// [compression]: crate::guide::compression
///
#[doc = include_str!("../docs/migrating/tungstenite.md")]
pub mod from_tungstenite {}

/// Coming from fastwebsockets.
///
/// [tungstenite]: crate::guide::from_tungstenite
///
#[doc = include_str!("../docs/migrating/fastwebsockets.md")]
pub mod from_fastwebsockets {}

/// Coming from axum's `ws` and `sse`.
#[doc = include_str!("../docs/migrating/axum.md")]
pub mod from_axum {}

/// Coming from eventsource-stream and reqwest-eventsource.
#[doc = include_str!("../docs/migrating/event-streams.md")]
pub mod from_eventsource {}
