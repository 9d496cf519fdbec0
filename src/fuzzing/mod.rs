//! Bodies of the fuzz targets: each compares the real thing with a small naive model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub
)]

#[cfg(feature = "bayeux")]
pub mod bayeux;
pub mod chunked;
#[cfg(feature = "comet")]
pub mod comet;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(all(feature = "atmosphere", feature = "pushlet", feature = "sockjs"))]
pub mod frameworks;
pub mod handshake;
pub mod head;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "socketio")]
pub mod socketio;
#[cfg(feature = "socketio")]
pub mod socketio_client;
pub mod sse;
pub mod tunnel;
pub mod ws;
