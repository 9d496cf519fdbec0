//! The async adapter, over any `AsyncRead + AsyncWrite`: a TCP stream, a TLS stream, a pipe.
//!
//! An idle connection holds no buffer: it borrows its thread's while it has bytes in hand.
#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod clock;
mod driver;
mod handshake;
mod io;
mod outlet;
mod scratch;
mod split;
pub mod sse;
mod websocket;

pub use handshake::{accept, accept_with, client, connect};
pub use split::{Reader, Writer};
pub use websocket::WebSocket;
