//! The servers of the messaging frameworks behind hyper, over sockets: identifiers that are none, bodies at their limits and
//! cut off, readers that stop, clients that leave and come back, two requests at once, and times without an end or of zero.
//!
//! Each test has a server of its own. Nothing is waited for by the clock but where that nothing comes is what is tested.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

#[path = "framework_sessions/atmosphere.rs"]
mod atmosphere;
#[path = "framework_sessions/bayeux.rs"]
mod bayeux;
#[path = "framework_sessions/engineio.rs"]
mod engineio;
#[path = "framework_sessions/pushlet.rs"]
mod pushlet;
#[path = "common/raw_http.rs"]
mod raw_http;
#[path = "framework_sessions/seen.rs"]
mod seen;
#[path = "framework_sessions/socketio.rs"]
mod socketio;
#[path = "framework_sessions/sockjs.rs"]
mod sockjs;
#[path = "framework_sessions/wire.rs"]
mod wire;
