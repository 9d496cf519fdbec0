//! Bodies of the fuzz targets: each compares the real thing with a small naive model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod chunked;

#[cfg(feature = "comet")]
pub mod comet;

pub mod handshake;
pub mod head;
