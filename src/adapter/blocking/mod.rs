//! The blocking adapter, over any [`Transport`]: a TCP stream, a Unix stream, a TLS stream, a pipe. One thread a
//! connection, or two: see [`WebSocket::split_with`].
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // this is where the clock is read and sockets are used

mod driver;
mod handshake;
mod inlet;
mod outlet;
mod split;
pub mod sse;
mod timed;
mod times;
mod transport;
mod websocket;

pub use handshake::{accept, accept_with, client, connect};
pub use split::{Reader, Writer};
pub use transport::{Transport, Untimed};
pub use websocket::WebSocket;
