//! What a peer can make this crate do: for each class of attack, work that is linear in the bytes sent, memory under a
//! stated bound, and the right answer on the wire. SECURITY.md has the table.
//!
//! `PUSHLINE_ATTACK=N` makes the attacks N times as long; with `--nocapture` each prints what a byte of it costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

#[path = "common/allocations.rs"]
mod allocations;

#[path = "attack/adapters.rs"]
mod adapters;
#[path = "attack/bayeux.rs"]
mod bayeux;
#[path = "attack/comet.rs"]
mod comet;
#[path = "attack/cost.rs"]
mod cost;
#[path = "attack/events.rs"]
mod events;
#[path = "attack/exchange.rs"]
mod exchange;
#[path = "attack/frameworks.rs"]
mod frameworks;
#[path = "attack/http.rs"]
mod http;
#[path = "attack/promises.rs"]
mod promises;
#[path = "attack/random.rs"]
mod random;
#[path = "attack/servers.rs"]
mod servers;
#[path = "attack/socketio.rs"]
mod socketio;
#[path = "attack/websocket.rs"]
mod websocket;
