//! WebSocket (RFC 6455): the opening [`handshake`], then a [`Connection`], fed from an [`Inbox`](crate::Inbox).
//!
//! Those who want no state machine but a socket find one in [`adapter`](crate::adapter). `examples/own_loop.rs` is the
//! other end: a server on an event loop of its own, from the request to the last byte, with all its times.
//!
//! | RFC 6455 | file |
//! |---|---|
//! | 1.3, 4 opening handshake | [`handshake`] |
//! | 5.2 frame header | [`raw::Header`](crate::raw::Header) |
//! | 5.3 masking | [`raw::apply_mask`](crate::raw::apply_mask) |
//! | 5.4 fragmentation, 6.2 receiving | [`raw::Receiver`](crate::raw::Receiver) in `receiver/` |
//! | 5.4 fragmentation, 6.1 sending | [`raw::Sender`](crate::raw::Sender) in `sender/` |
//! | 5.5 control frames | [`Connection`] in `connection.rs`, `sender/` |
//! | 5.5.1, 7.4 close payload and codes | [`CloseFrame`], [`CloseCode`] in `close.rs` |
//! | 7 closing handshake | [`State`] in `state.rs` |
//! | 5.5.2, 7.1: time, half-closing, how it ended | [`Life`] in `life.rs`, [`Step`] and [`End`] in `step.rs`, [`Times`] in `times.rs` |
//! | 7.2.3: a client that comes back | [`redial`] |
//! | 8.1 UTF-8 | `utf8.rs` |
//! | 10.3 masking keys | [`MaskSource`] in `mask.rs` |
//! | 10.4 limits | [`ConnectionOptions`] in `config.rs` |
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod handshake;
pub(crate) mod header;
pub(crate) mod mask;
pub mod redial;
pub(crate) mod state;

mod close;
mod config;
mod connection;
mod error;
mod life;
pub(crate) mod message;
mod negotiated;
mod outbound;
mod prepared;
pub(crate) mod receiver;
pub(crate) mod sender;
mod step;
mod times;
pub(crate) mod utf8;

pub use crate::inbox::Text;
pub use close::{CloseCode, CloseFrame, MAX_REASON_LEN};
pub use config::{ConnectionOptions, Role};
pub use connection::Connection;
pub use error::{ProtocolError, UsageError};
pub use header::{HeaderError, MAX_CONTROL_LEN, Opcode};
pub use life::{Life, MAX_DRAIN};
pub use mask::MaskSource;
#[cfg(feature = "std")]
pub use mask::OsKeys;
#[cfg(feature = "std")]
pub(crate) use message::Reply;
pub use message::{Event, Message};
pub use negotiated::Negotiated;
pub use outbound::Outbound;
pub use prepared::Prepared;
#[cfg(feature = "std")]
pub(crate) use receiver::{Found, Receiver};
#[cfg(feature = "tokio")]
pub(crate) use receiver::{Wanted, Whole};
#[cfg(feature = "tokio")]
pub(crate) use sender::Handover;
#[cfg(feature = "std")]
pub(crate) use sender::Sender;
pub use state::State;
pub use step::{End, Side, Step};
#[cfg(feature = "std")]
pub(crate) use times::Millis;
pub use times::{CLOSE_LIMIT, TimedOut, Times};
