//! Socket.IO, and Engine.IO by itself, behind hyper and whatever has its requests: one method that takes any request of
//! any transport, [`SocketIo::handle`].
//!
//! ```
//! use pushline::adapter::socketio::{Body, Options, SocketIo};
//!
//! let io = SocketIo::new(Options::new());
//! io.of("/").on("message", |socket, event| async move {
//!     let _ = socket.emit("message-back", &event.payload);
//! });
//!
//! async fn service<B: http_body::Body>(io: SocketIo, request: http::Request<B>) -> http::Response<Body> {
//!     match request.uri().path().starts_with("/socket.io/") {
//!         true => io.handle(request).await,
//!         false => http::Response::new(Body::from(String::from("elsewhere"))),
//!     }
//! }
//! # let _ = service::<String>;
//! ```
#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod broadcast;
mod client;
mod connect;
mod engine;
mod engineio;
mod http;
mod members;
mod namespace;
mod options;
mod server;
mod socket;
mod spawn;
mod timer;
mod websocket;

pub use broadcast::Broadcast;
pub use client::{Client, ClientAck, ClientEvent, ClientOptions, Emitter};
pub use engineio::{EngineIo, EngineSession};
pub use http::Body;
pub use namespace::{Auth, Namespace};
pub use options::{Options, SlowClient};
pub use server::SocketIo;
pub use socket::{AckError, Event, Socket};
