//! The wire side of browser <-> server real time, without I/O.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code, unreachable_pub)]

extern crate alloc;

pub mod heartbeat;
mod inbox;
mod outgoing;

#[cfg(feature = "comet")]
pub mod comet;
pub mod http1;
pub mod sse;
pub mod ws;

pub mod adapter;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use inbox::{Inbox, READ_SIZE, Storage};
pub use outgoing::Outgoing;
