//! Queues in front of connections, for messages that come from other tasks: one for a connection, and sets of them.
//!
//! ```
//! use pushline::adapter::Error;
//! use pushline::adapter::tokio::{Broadcast, OutboxOptions, QueuedSocket, WebSocket};
//! use pushline::ws::Prepared;
//! use tokio::net::TcpStream;
//!
//! /// A chat room: what one says, all hear.
//! async fn chat(socket: WebSocket<TcpStream>, room: Broadcast) -> Result<(), Error> {
//!     let mut socket = QueuedSocket::new(socket, OutboxOptions::new());
//!     room.join(socket.outbox());
//!     while let Some(message) = socket.next().await {
//!         if let Some(text) = message?.as_text() {
//!             room.send(Prepared::text(text)); // encoded once, queued by reference
//!         }
//!     }
//!     Ok(())
//! }
//! # let _ = chat;
//! ```

mod broadcast;
mod queue;
mod socket;
mod stream;

pub use broadcast::Broadcast;
pub(super) use queue::Shared;
pub use queue::{Lagging, Outbox, OutboxError, OutboxItem, OutboxOptions};
pub use socket::{Post, QueuedSocket};
pub use stream::OutboxStream;
