//! Compressed payload as it arrives (RFC 7692 6, 7.2.2).
#![allow(clippy::arithmetic_side_effects, reason = "no more than was taken of what is left")]
#![allow(clippy::indexing_slicing, reason = "what was just inflated")]

use super::Receiver;
use super::found::{Found, Source};
use super::payload::Arrived;
use crate::inbox::{Inbox, Storage};
use crate::ws::deflate::{InflateError, Inflater};
use crate::ws::error::ProtocolError;
use crate::ws::mask::rotate;

/// The inflater, and how it stands with the current frame.
#[derive(Debug)]
pub(super) struct Inflating {
    inflater: Inflater,
    /// Payload bytes that are unmasked and wait for it.
    ahead: usize,
    /// Whether it has put out all that the others stand for.
    done: bool,
}

impl Inflating {
    pub(super) const fn new(inflater: Inflater) -> Self {
        Self { inflater, ahead: 0, done: true }
    }
}

impl Receiver {
    /// Inflates what is there of a compressed frame's payload (RFC 7692 7.2.2).
    pub(super) fn inflate<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        fin: bool,
        parts: bool,
    ) -> Result<Option<Found>, ProtocolError> {
        /// The most that a part is inflated to, in bytes. With what is left of a character and doubled it
        /// is still within what an inbox keeps.
        const PART: usize = 32 * 1024 - 4;
        let Some(inflating) = self.inflating.as_deref_mut() else { return Err(ProtocolError::ReservedBits) };
        let Inflating { inflater, ahead, done } = inflating;
        let n = self.remaining.min(inbox.unread().len());
        if n == 0 && self.remaining > 0 && *done {
            // A header alone is no reason to take a state.
            return Ok(None);
        }
        inbox.unmask_unread(*ahead..n, self.key);
        self.key = self.key.map(|key| rotate(key, n - *ahead));
        let before = inbox.apart().len();
        let end = fin && n == self.remaining;
        *done = false;
        let inflated = inbox.inflate(n, |input, output| {
            let progress = inflater.inflate(input, output, if parts { PART } else { usize::MAX }, end)?;
            *done = progress.done;
            self.remaining -= progress.consumed;
            *ahead = n - progress.consumed;
            Ok(progress.consumed)
        });
        let fault = inflated.err().map(|error| match error {
            InflateError::TooBig | InflateError::Ratio => ProtocolError::MessageTooLarge,
            _ => ProtocolError::InvalidDeflate,
        });
        let len = inbox.apart().len();
        let whole = self.remaining == 0 && *done;
        let arrived =
            Arrived { message: 0..len, source: Source::Apart, new: len - before, whole, ascii: false };
        // What was inflated before the fault comes first, as it would have had it come alone: text that is
        // bad, and a part, after which the fault is found again.
        let found = self.arrived(arrived, inbox, fin, parts)?;
        match fault {
            Some(error) if found.is_none() => Err(error),
            _ => Ok(found),
        }
    }
}
