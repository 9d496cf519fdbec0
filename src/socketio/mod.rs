//! Socket.IO 5 over Engine.IO 4: what `socket.io-client` 3 and 4 and its relatives in other languages speak.
//!
//! Two state machines, without I/O: an [`engine::EngineSession`] carries messages over polling, WebSocket and the way from one
//! to the other; a [`ServerConnection`] makes namespaces, events and answers of them. `adapter::socketio` serves them behind
//! hyper and axum (features `hyper` and `socketio`).
//!
//! | file | what |
//! |---|---|
//! | `packet.rs` | a packet, checked and borrowed: [`Packet`] |
//! | `payload.rs` | arguments as they came, attachments by reference: [`Payload`] |
//! | `placeholder.rs` | where in the JSON an attachment belongs: [`placeholder`] |
//! | `encode.rs` | packets to be sent, to one or to many: [`Encoded`], [`Arguments`] |
//! | `connection.rs` | a client's namespaces, packets and awaited answers: [`ServerConnection`] |
//! | `client.rs` | a client and the namespaces that it wants to be in: [`ClientConnection`] |
//! | `recovery.rs` | clients that come back, and what they missed: [`Recovery`] |
//! | `typed.rs` | arguments from and into types of one's own: `Json`, `Payload::parse` (feature `serde`) |
//! | `config.rs` | its limits and times: [`SocketIoLimits`] |
//! | `engine/` | Engine.IO: [`engine`] |
//!
//! ```
//! use pushline::socketio::engine::{self, Data, EngineSession, records};
//! use pushline::socketio::{SocketIoLimits, ServerConnection, Incoming};
//! use std::time::Duration;
//!
//! let now = Duration::ZERO; // a virtual clock
//! let mut session = EngineSession::polling("a secret", engine::EngineOptions::new(), now);
//! let mut connection = ServerConnection::new(SocketIoLimits::new(), now);
//!
//! // A POST with the packets "40" and "42[...]".
//! let post = session.post(now);
//! for packet in records("40\u{1e}42[\"hello\",\"you\"]") {
//!     let Some(Data::Text(text)) = session.packet(post, packet, now) else { continue };
//!     match connection.receive_text(text)? {
//!         Some(Incoming::Connect { namespace, .. }) => {
//!             let answer = connection.accept(&namespace, "no secret", None).expect("it asked");
//!             session.send_all(answer.into_messages())?;
//!         }
//!         Some(Incoming::Event { payload, .. }) => assert!(payload.name().unwrap().is("hello")),
//!         _ => {}
//!     }
//! }
//! session.posted(post);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![doc = include_str!("../../docs/socketio.md")]

mod client;
mod config;
mod connection;
mod encode;
pub mod engine;
mod packet;
mod payload;
mod placeholder;
mod recovery;
#[cfg(feature = "serde")]
mod typed;

pub use client::{ClientConnection, FromServer};
pub use config::SocketIoLimits;
pub use connection::{Fault, Incoming, ServerConnection};
pub use encode::{ArgumentWriter, Arguments, Encoded};
#[cfg(feature = "hyper")]
pub(crate) use packet::is_reserved;
pub use packet::{InvalidPacket, Packet, PacketKind, PacketLimits};
pub use payload::Payload;
pub use placeholder::placeholder;
pub use recovery::{Audience, Recovered, Recovery, RecoveryOptions};
#[cfg(feature = "serde")]
pub use typed::Json;
