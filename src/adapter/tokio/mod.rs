//! The async adapter, over any `AsyncRead + AsyncWrite`: a TCP stream, a TLS stream, a pipe.
//!
//! An idle connection holds no buffer: it borrows its thread's while it has bytes in hand.
//!
//! | to | there is |
//! |---|---|
//! | serve on a stream on which nothing was read yet | [`accept`], [`accept_with`]; [`receive`] for a decision that takes time |
//! | connect | [`connect`]; over any other stream, [`client`] |
//! | connect, and come back after each loss | [`Reconnecting`] |
//! | take over what an HTTP server or client has upgraded | [`WebSocket::server`], [`WebSocket::client`] |
//! | read and write on different tasks | [`WebSocket::split`], [`WebSocket::split_with`] |
//! | send to a connection from other tasks, or to many | [`QueuedSocket`], [`Outbox`], [`Broadcast`] |
//! | close all connections of a server and wait for them | [`Broadcast::shutdown`] |
//! | have a task for each client of a server that calls a function with what they say | [`Mailboxes`] |
//! | write and read event streams | [`sse`] |
//! | answer polls and streams of older clients | `comet` (feature `comet`) |
//!
//! # Behind an HTTP server
//!
//! For hyper, axum and what stands on them, see `adapter::hyper` and `adapter::axum` (features of these names). Behind
//! another HTTP server, `ws::handshake::accept_http` takes a request of the `http` crate, and
//! [`accept`](crate::ws::handshake::accept) the fields of any; [`WebSocket::server`] takes the stream that was upgraded.
#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod client_stream;
#[cfg(feature = "comet")]
pub mod comet;
mod connect;
mod dial;
mod given;
mod guarded;
mod handshake;
mod inlet;
mod io;
mod mailboxes;
mod outbox;
mod outlet;
mod reconnecting;
mod scratch;
mod split;
pub mod sse;
mod wait;
mod websocket;

pub use client_stream::{ClientReadHalf, ClientStream, ClientWriteHalf};
pub use connect::{connect, connect_with_response};
#[cfg(all(feature = "socketio", feature = "hyper"))]
pub(in crate::adapter) use dial::dial;
pub use guarded::Guarded;
pub use handshake::{PendingSocket, accept, accept_with, client, receive};
pub use mailboxes::{Mailbox, MailboxError, Mailboxes};
pub use outbox::{
    Broadcast, Lagging, Outbox, OutboxError, OutboxItem, OutboxOptions, OutboxStream, Post, QueuedSocket,
};
pub use reconnecting::{Loss, ReconnectEvent, ReconnectOptions, Reconnecting, Unsent};
pub use split::{Reader, Writer};
pub use websocket::WebSocket;
