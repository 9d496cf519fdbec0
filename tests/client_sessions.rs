//! The clients against servers that misbehave, over sockets: each byte of the server's is the test's. What a client tells its
//! application, what it puts on the wire, how long it takes, what it holds.
//!
//! Each test has a server of its own. Nothing is waited for by the clock but where a client's own time is what is tested.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

#[path = "client_sessions/events.rs"]
mod events;
#[path = "common/scripted.rs"]
mod scripted;
#[path = "client_sessions/socketio.rs"]
mod socketio;
#[path = "client_sessions/websocket.rs"]
mod websocket;
