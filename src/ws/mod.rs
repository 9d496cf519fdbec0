//! WebSocket (RFC 6455).

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod handshake;
