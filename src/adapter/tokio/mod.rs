//! The async adapter, over any `AsyncRead + AsyncWrite`: a TCP stream, a TLS stream, a pipe.
//!
//! An idle connection holds no buffer: it borrows its thread's while it has bytes in hand.
//!
//! | to | there is |
//! |---|---|
//! | serve on a stream on which nothing was read yet | [`accept`], [`accept_with`] |
//! | connect | [`connect`]; over TLS or a proxy, [`client`] |
//! | take over what an HTTP server or client has upgraded | [`WebSocket::server`], [`WebSocket::client`] |
//! | read and write on different tasks | [`WebSocket::split`], [`WebSocket::split_with`] |
//! | write and read event streams | [`sse`] |
//!
//! # Behind an HTTP server
//!
//! hyper, and axum on top of it, read the request and write the response; the connection is then theirs to hand over.
//! With the feature `http`, `ws::handshake::accept_http` takes their request, and what it accepts or refuses becomes
//! their response. Behind an HTTP library of other types, [`accept`](crate::ws::handshake::accept) takes the fields.
//!
//! ```
//! use http::{Request, Response};
//! use pushline::adapter::{Error, Options, tokio::WebSocket};
//! use pushline::ws::handshake::{ServerOptions, accept_http};
//! use tokio::io::{AsyncRead, AsyncWrite};
//!
//! /// `upgrade`: `hyper::upgrade::on(&mut request)`, its outcome in a `hyper_util::rt::TokioIo`.
//! fn answer<B, S>(
//!     options: &ServerOptions,
//!     request: &Request<B>,
//!     upgrade: impl Future<Output = std::io::Result<S>> + Send + 'static,
//! ) -> Response<()>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
//! {
//!     let accepted = match accept_http(options, request) {
//!         Ok(accepted) => accepted,
//!         Err(rejection) => return Response::from(&rejection),
//!     };
//!     let negotiated = accepted.negotiated();
//!     // The stream is there once the server has sent the response.
//!     tokio::spawn(async move {
//!         let mut socket = WebSocket::server(upgrade.await?, negotiated, &Options::new());
//!         while let Some(message) = socket.next().await {
//!             println!("{:?}", message?);
//!         }
//!         Ok::<(), Error>(())
//!     });
//!     Response::from(&accepted)
//! }
//! ```
//!
//! `examples/axum` is a whole program, with an event stream beside the WebSocket.
#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod clock;
mod connect;
mod driver;
mod handshake;
mod io;
mod outlet;
mod scratch;
mod split;
pub mod sse;
mod websocket;

pub use connect::{connect, connect_with_response};
pub use handshake::{accept, accept_with, client};
pub use split::{Reader, Writer};
pub use websocket::WebSocket;
