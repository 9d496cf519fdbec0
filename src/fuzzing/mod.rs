//! Bodies of the fuzz targets: each compares the real thing with a small naive model.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "deflate")]
pub mod deflate;
