//! Adapters: the only files that read, write, look at a clock or ask for randomness. They move bytes
//! between a transport and the state machines and make no protocol decision.
//!
//! # Compression
//!
//! permessage-deflate (feature `deflate`) is a matter of the handshake, so both adapters take it with its options:
//! [`ServerOptions::deflate`](crate::ws::handshake::ServerOptions::deflate) for `accept`,
//! [`ClientOptions::deflate`](crate::ws::handshake::ClientOptions::deflate) for `connect`. Off unless asked for. What
//! is agreed is used for every message of [a length that pays](crate::ws::deflate::DeflateOptions::threshold), but not
//! for those that are sent with `send_plain`.
//!
//! ```
//! use pushline::adapter::blocking::{accept, connect};
//! use pushline::adapter::Options;
//! use pushline::ws::Message;
//! use pushline::ws::deflate::{Compression, DeflateOptions};
//! use pushline::ws::handshake::{ClientOptions, ServerOptions};
//!
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//! let server = std::thread::spawn(move || -> Result<(), pushline::adapter::Error> {
//!     // One for the whole server: its connections share codec states.
//!     let options = ServerOptions::new().deflate(DeflateOptions::new(Compression::Shared));
//!     let mut socket = accept(listener.accept()?.0, &options, &Options::new())?;
//!     while let Some(message) = socket.next()? {
//!         if message.is_data() {
//!             socket.send(message)?;
//!         }
//!     }
//!     Ok(())
//! });
//! let options = ClientOptions::new().deflate(DeflateOptions::new(Compression::Shared));
//! let mut socket = connect(&url, options, &Options::new())?;
//! let long = Message::from("again and ".repeat(1000));
//! socket.send(long.clone())?;
//! assert_eq!(socket.next()?, Some(long));
//! // A secret beside text that somebody else chose must not be seen through the length of both.
//! socket.send_plain("secret")?;
//! assert_eq!(socket.next()?, Some(Message::from("secret")));
//! socket.close(1000, "")?;
//! while socket.next()?.is_some() {}
//! # server.join().unwrap()?;
//! # Ok::<(), pushline::adapter::Error>(())
//! ```

#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod options;
#[cfg(feature = "std")]
mod random;
#[cfg(feature = "std")]
mod slot;
#[cfg(feature = "std")]
pub mod sse;
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(feature = "std")]
pub use error::{Error, HandshakeError, TimedOut};
#[cfg(feature = "std")]
pub use options::Options;
#[cfg(feature = "std")]
pub use random::nonce;
