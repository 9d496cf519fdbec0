//! permessage-deflate (RFC 7692): what is agreed, and the codec that keeps to it.
//!
//! | RFC 7692 | here |
//! |---|---|
//! | 5, 7.1 offers, answers, their parameters | `offer.rs`, [`Terms`], [`DeflateParams`] |
//! | 7.2.1 compression | `deflater.rs` |
//! | 7.2.2 decompression, 8 its dangers | `inflater.rs` |
//!
//! Both halves of the codec work on payloads and know no frames: the receiver and the sender set and check
//! RSV1.
//!
//! # Memory
//!
//! Nothing is allocated before the first compressed message. What a connection holds afterwards, while
//! idle, is a matter of its [`Compression`]; bytes, inflating and deflating, once a whole window has
//! passed:
//!
//! | | inflating | deflating |
//! |---|--:|--:|
//! | [`Shared`](Compression::Shared) | 0 | 0 |
//! | [`Compact`](Compression::Compact), 9 bits | 512 | 512 |
//! | [`Compact`](Compression::Compact), 12 bits | 4,096 | 4,096 |
//! | [`Compact`](Compression::Compact), 15 bits | 32,768 | 32,768 |
//! | [`Dedicated`](Compression::Dedicated), 9 bits, memory level 4 | 48,224 | 143,624 |
//! | [`Dedicated`](Compression::Dedicated), 12 bits, memory level 4 | 51,808 | 157,960 |
//! | [`Dedicated`](Compression::Dedicated), 15 bits, memory level 4 | 80,480 | 272,648 |
//!
//! A message in progress borrows a state of that size from the [`Pool`], whatever the policy.
//!
//! # What the peer may do
//!
//! Inflating is bounded by the bytes received and by the limit of a message; what costs most for a byte
//! received is a final block, behind which the window is put back (0.6 us for 32 KiB). A match that reaches
//! further back than the agreed window is an error if it reaches beyond what is kept; zlib-rs inflates with
//! a window of 32 KiB whatever was agreed, so that [`Dedicated`](Compression::Dedicated) keeps that much.

use super::config::Role;
use super::negotiated::Negotiated;
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(crate) mod deflater;
pub(crate) mod inflater;
pub(crate) mod offer;
mod options;
mod params;
mod pool;
mod window;

pub(crate) use inflater::InflateError;
pub use offer::AnswerError;
#[cfg(fuzzing)]
pub(crate) use offer::{negotiate, offer, verify};
pub use options::{Compression, DeflateOptions};
pub use params::{DeflateParams, Direction, Terms, WindowBits};
pub use pool::Pool;
pub(crate) use {deflater::Deflater, inflater::Inflater};

impl Negotiated {
    /// What a receiver inflates with, if that was agreed.
    pub(super) fn inflater(&self, role: Role, max_message: usize) -> Option<Inflater> {
        let (params, options) = &**self.deflate.as_ref()?;
        let direction = match role {
            Role::Server => params.client(),
            Role::Client => params.server(),
        };
        Some(Inflater::new(direction, options, max_message))
    }

    /// What a sender deflates with, if that was agreed.
    pub(super) fn compressor(&self, role: Role) -> Option<Box<Compressor>> {
        let (params, options) = &**self.deflate.as_ref()?;
        let direction = match role {
            Role::Server => params.server(),
            Role::Client => params.client(),
        };
        Some(Box::new(Compressor {
            deflater: Deflater::new(direction, options),
            window_bits: direction.window_bits,
            options: options.clone(),
        }))
    }
}

/// A sender's side of the extension.
#[derive(Debug)]
pub(super) struct Compressor {
    pub(super) deflater: Deflater,
    pub(super) window_bits: WindowBits,
    pub(super) options: DeflateOptions,
}

impl Compressor {
    /// A message by itself, for all connections with these window bits: what [`Prepared`](super::Prepared) keeps.
    pub(super) fn stand_alone(&self, payload: &[u8]) -> Vec<u8> {
        let direction = Direction { context_takeover: false, window_bits: self.window_bits };
        let mut output = Vec::new();
        Deflater::new(direction, &self.options).deflate(payload, &mut output, true);
        output
    }
}

/// RFC 7692 7.2.1: how a flushed stream ends; left out at the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The most output asked of an engine at once, in bytes.
const MAX_STEP: usize = 64 * 1024;
