//! The wire side of browser <-> server real time, without I/O.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code)]
#![deny(clippy::expect_used, clippy::unwrap_used)]

extern crate alloc;

pub mod heartbeat;
mod inbox;
mod outgoing;

pub mod http1;
pub mod sse;
pub mod ws;

pub mod adapter;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use inbox::{Inbox, READ_SIZE, Storage};
pub use outgoing::Outgoing;
