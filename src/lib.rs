//! WebSocket (RFC 6455, 7692), Server-Sent Events (WHATWG HTML 9.2) and HTTP/1.1 chunked streaming (RFC 9112 7.1) for servers and
//! clients: state machines without I/O, and adapters for tokio, threads, hyper and axum.
//!
//! The state machines turn received bytes into events, and messages into bytes. They open no socket, read no clock and draw no
//! random number, so they serve any runtime, a proxy or a fuzzer. The adapters do the I/O. On top of both are the older push
//! transports, and servers for the clients of Socket.IO, CometD, Faye, SockJS, Atmosphere and Pushlet.
//!
//! # Where to start
//!
//! | for | see |
//! |---|---|
//! | guides by task, and how to come from other crates | [`guide`] |
//! | WebSocket on tokio: server, client, in two halves | [`adapter::tokio`] |
//! | a WebSocket client that comes back | [`adapter::tokio::Reconnecting`]; [`ws::redial`] without I/O |
//! | WebSocket behind hyper, over HTTP/1.1 and HTTP/2 | [`adapter::hyper`] |
//! | WebSocket on axum | [`adapter::axum`] |
//! | WebSocket on threads | [`adapter::blocking`] |
//! | WebSocket on your own event loop | [the loop](#the-loop), [`ws`], `examples/own_loop.rs` |
//! | a message for many | [`ws::Prepared`], [`sse::PreparedEvent`]; on tokio, [`adapter::tokio::Outbox`], [`adapter::tokio::Broadcast`] |
//! | an event stream to serve | [`adapter::tokio::sse`], [`adapter::blocking::sse`]; [`sse::Block`] for the bytes alone |
//! | an event stream to read | the same; [`sse::EventDecoder`] for the bytes alone, [`sse::Reconnect`] for when to come back |
//! | chunked bodies, heads | [`http1`] |
//! | clients that have neither, and which transport when | [`comet`] |
//! | Socket.IO's clients | [`adapter::socketio`]; [`socketio`] without I/O |
//! | CometD's and Faye's clients | [`adapter::bayeux`]; [`comet::bayeux`] without I/O |
//! | SockJS's, Atmosphere's and Pushlet's clients | [`adapter::frameworks`]; [`comet::sockjs`], [`comet::atmosphere`], [`comet::pushlet`] without I/O |
//!
//! # The loop
//!
//! ```
//! use bytes::Buf;
//! use pushline::Inbox;
//! use pushline::ws::{ConnectionOptions, Connection, Event, Negotiated};
//! use std::io::{Read, Write};
//!
//! /// Serves one WebSocket after its handshake: shouts back what it hears.
//! fn serve(mut socket: impl Read + Write) -> std::io::Result<()> {
//!     let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
//!     let mut inbox = Inbox::new();
//!     while !connection.is_finished() {
//!         // In: the caller reads into the inbox, and gets events that borrow from it.
//!         let n = socket.read(inbox.space())?;
//!         inbox.filled(n);
//!         if n == 0 {
//!             connection.receive_eof();
//!         }
//!         while let Ok(Some(event)) = connection.next_event(&mut inbox) {
//!             if let Event::Text(text) = event {
//!                 let _ = connection.send(&text.to_uppercase()); // or Full: a slow reader
//!             }
//!         }
//!         // Out: everything that this read has caused leaves together.
//!         while connection.outgoing().has_remaining() {
//!             let n = socket.write(connection.outgoing().chunk())?;
//!             connection.outgoing().advance(n);
//!         }
//!     }
//!     Ok(())
//! }
//! # let mut socket = std::io::Cursor::new(b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0".to_vec());
//! # serve(&mut socket)?;
//! # assert_eq!(&socket.into_inner()[14..], b"\x81\x02HI\x88\x00");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The handshake before it is a machine as well, [`ws::handshake::Opening`], and so is what this loop leaves out: pings,
//! deadlines, half-closing and how it ended, [`ws::Life`]. `examples/own_loop.rs` has all of it, for many connections on
//! one thread.
//!
//! # How data flows
//!
//! ```text
//!            received                                          lent until the next call
//!  socket --------------> Inbox ---> Connection::next_event ------------------> Event<'_>
//!                                        |  its answers: pongs, closes              |
//!                                        v                                          v
//!  socket <-------------- Outgoing <--- send, ping, close <-------------------- application
//!            chunks, advance
//!
//!  clock  ---> ws::Life::tick, step ---> write, ping, read, half-close, wait until, give up
//! ```
//!
//! # Map
//!
//! | module | what | after |
//! |---|---|---|
//! | [`ws`] | WebSocket: handshake, frames, messages, close, compression | RFC 6455, 7692 |
//! | [`sse`] | Server-Sent Events | WHATWG HTML 9.2 |
//! | [`http1`] | message heads, the chunked coding, URLs, tunnels through proxies | RFC 9112 |
//! | [`heartbeat`] | instants, keep-alives and deadlines as data | |
//! | [`backoff`] | how long a client waits before it comes back | |
//! | [`comet`] | long polling, JSONP, XHR and iframe streaming, CORS; SockJS, Atmosphere, Pushlet | |
//! | [`comet::bayeux`] | CometD's and Faye's protocol | Bayeux 1.0 |
//! | [`socketio`] | Socket.IO over polling and WebSocket | Engine.IO 4, Socket.IO 5 |
//! | [`json`] | JSON checked for form and depth, lent as text | RFC 8259 |
//! | [`raw`] | low-level pieces, for tests, fuzzers and what is built anew | |
//! | [`adapter`] | blocking, tokio, hyper, axum, and the frameworks' servers | |
//! | [`guide`] | guides by task, and how to come from other crates | |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `std` | yes | the blocking adapter, OS randomness, SIMD chosen at run time |
//! | `tokio` | | the async adapter, over any `AsyncRead + AsyncWrite` |
//! | `deflate` | | permessage-deflate, on zlib-rs |
//! | `http` | | the handshake over the types of the `http` crate, event streams as its responses |
//! | `hyper` | | WebSockets over what hyper has upgraded, HTTP/1.1 and HTTP/2, and event streams as bodies |
//! | `axum` | | the same as an extractor and a response |
//! | `rustls` | | TLS for clients, `wss:` and `https:`, over tokio and blocking; TLS streams for blocking servers |
//! | `tracing` | | events and spans: handshakes, closes, timeouts; never payloads |
//! | `comet` | | the older push transports |
//! | `socketio` | | Socket.IO and Engine.IO; with `hyper`, `adapter::socketio` |
//! | `bayeux` | | the Bayeux protocol, of CometD and Faye; with `hyper`, `adapter::bayeux` |
//! | `sockjs` | | SockJS: `comet::sockjs`; with `hyper` its server |
//! | `atmosphere` | | Atmosphere: `comet::atmosphere`; with `hyper` its server |
//! | `pushlet` | | Pushlet: `comet::pushlet`; with `hyper` its server |
//! | `redis` | | Socket.IO on several nodes that share a Redis |
//! | `serde` | | Socket.IO's arguments from and into your own types |
//! | `json` | | the JSON checker of the frameworks, which turn it on |
//!
//! Without `std` the crate is `no_std` with `alloc`. A feature never changes what is there without it.
//!
//! # Promises
//!
//! Nothing that a peer sends makes it panic, allocate on the peer's word, loop without progress or
//! grow without a bound; every limit has a name and a default ([`ws::ConnectionOptions`]). However the bytes
//! are cut, the events are the same. There is `unsafe` in two places: the call of the masking loop that was compiled for
//! the processor at hand, and text that was checked where it was received and is not looked at again.
//!
// Where its feature is off, a name leads to the table of features.
#![cfg_attr(not(feature = "tokio"), doc = "[`adapter::tokio`]: #features")]
#![cfg_attr(not(feature = "tokio"), doc = "[`adapter::tokio::Reconnecting`]: #features")]
#![cfg_attr(not(feature = "tokio"), doc = "[`adapter::tokio::Outbox`]: #features")]
#![cfg_attr(not(feature = "tokio"), doc = "[`adapter::tokio::Broadcast`]: #features")]
#![cfg_attr(not(feature = "tokio"), doc = "[`adapter::tokio::sse`]: #features")]
#![cfg_attr(not(feature = "hyper"), doc = "[`adapter::hyper`]: #features")]
#![cfg_attr(not(feature = "axum"), doc = "[`adapter::axum`]: #features")]
#![cfg_attr(not(feature = "std"), doc = "[`adapter::blocking`]: #features")]
#![cfg_attr(not(feature = "std"), doc = "[`adapter::blocking::sse`]: #features")]
#![cfg_attr(not(feature = "comet"), doc = "[`comet`]: #features")]
#![cfg_attr(not(all(feature = "socketio", feature = "hyper")), doc = "[`adapter::socketio`]: #features")]
#![cfg_attr(not(feature = "socketio"), doc = "[`socketio`]: #features")]
#![cfg_attr(not(all(feature = "bayeux", feature = "hyper")), doc = "[`adapter::bayeux`]: #features")]
#![cfg_attr(not(feature = "bayeux"), doc = "[`comet::bayeux`]: #features")]
#![cfg_attr(
    not(all(feature = "hyper", any(feature = "atmosphere", feature = "pushlet", feature = "sockjs"))),
    doc = "[`adapter::frameworks`]: #features"
)]
#![cfg_attr(not(feature = "sockjs"), doc = "[`comet::sockjs`]: #features")]
#![cfg_attr(not(feature = "atmosphere"), doc = "[`comet::atmosphere`]: #features")]
#![cfg_attr(not(feature = "pushlet"), doc = "[`comet::pushlet`]: #features")]
#![cfg_attr(not(feature = "json"), doc = "[`json`]: #features")]
#![cfg_attr(not(all(feature = "axum", feature = "deflate")), doc = "[`guide`]: #features")]
#![cfg_attr(not(feature = "std"), no_std)]
// docs.rs, which has nightly, says of each item which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code)]
#![deny(clippy::expect_used, clippy::unwrap_used)]
// Each file that indexes says why it cannot fail; what reads a peer's bytes says so of its arithmetic, too.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;

pub mod backoff;
pub mod heartbeat;
mod inbox;
mod outgoing;
#[cfg(feature = "comet")]
mod settings;

#[cfg(feature = "comet")]
pub mod comet;
pub mod http1;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "socketio")]
pub mod socketio;
pub mod sse;
pub mod ws;

pub mod adapter;
pub mod raw;

// Only documentation, whose code needs these features.
#[cfg(all(any(doc, doctest), feature = "axum", feature = "deflate"))]
pub mod guide;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use inbox::{Inbox, READ_SIZE, Storage};
pub use outgoing::Outgoing;
