//! Socket.IO, and Engine.IO by itself, behind hyper and whatever has its requests: one method that takes any request of
//! any transport, [`SocketIo::handle`].
//!
//! ```
//! use pushline::adapter::socketio::{SocketIoBody, SocketIoOptions, SocketIo};
//!
//! let io = SocketIo::new(SocketIoOptions::new());
//! io.of("/").on("message", |socket, event| async move {
//!     let _ = socket.emit("message-back", &event.payload);
//! });
//!
//! async fn service<B: http_body::Body>(io: SocketIo, request: http::Request<B>) -> http::Response<SocketIoBody> {
//!     match request.uri().path().starts_with("/socket.io/") {
//!         true => io.handle(request).await,
//!         false => http::Response::new(SocketIoBody::from(String::from("elsewhere"))),
//!     }
//! }
//! # let _ = service::<String>;
//! ```
#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod broadcast;
mod client;
pub(crate) mod cluster;
mod connect;
mod engine;
mod engineio;
mod http;
mod identity;
mod members;
mod namespace;
mod options;
mod server;
mod socket;
mod spawn;
mod timer;
mod websocket;

pub use broadcast::BroadcastOperator;
pub use client::{ClientAck, ClientEvent, Emitter, SocketIoClient, SocketIoClientOptions};
pub use cluster::options::{
    ClusterError, ClusterFuture, ClusterLog, ClusterOptions, ClusterStatus, FetchError, FoundSocket,
};
#[cfg(feature = "redis")]
pub use cluster::redis::RedisStreams;
pub use cluster::server_side::{ServerSideError, ServerSideEvent};
pub use engineio::{EngineIo, EngineIoSocket};
pub use http::SocketIoBody;
pub use namespace::{Auth, Namespace};
pub use options::{SlowClient, SocketIoOptions};
pub use server::SocketIo;
pub use socket::{AckError, SocketEvent, SocketRef};
