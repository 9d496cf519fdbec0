//! The life of a connection: that it is a total function, and its rules one by one, by a virtual clock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "ws_life/host.rs"]
mod host;
#[path = "ws_life/rules.rs"]
mod rules;
#[path = "ws_life/total.rs"]
mod total;
