//! The blocking adapter, over any [`Transport`]: a TCP stream, a Unix stream, a TLS stream, a pipe. One thread a
//! connection, or two: see [`WebSocket::split_with`].
//!
//! | to | there is |
//! |---|---|
//! | serve on a stream on which nothing was read yet | [`accept`], [`accept_with`] |
//! | connect | [`connect`]; over any other stream, [`client`] |
//! | serve over TLS | `TlsStream::server` (feature `rustls`), then [`accept`] |
//! | take over a stream on which the handshake was done | [`WebSocket::server`], [`WebSocket::client`] |
//! | read and write on different threads | `WebSocket::split`, [`WebSocket::split_with`] |
//! | write and read event streams | [`sse`] |
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // this is where the clock is read and sockets are used

mod client_stream;
mod connect;
mod dial;
mod driver;
mod handshake;
mod outlet;
mod split;
pub mod sse;
mod timed;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod websocket;

pub use client_stream::ClientStream;
pub use connect::{connect, connect_with_response};
pub use handshake::{accept, accept_with, client};
pub use split::{Reader, Writer};
#[cfg(feature = "rustls")]
pub use tls::TlsStream;
pub use transport::{Transport, Untimed};
pub use websocket::WebSocket;
