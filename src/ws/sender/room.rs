//! Whether a message may be queued now: the state of the connection, and the room there is.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use super::Sender;
use crate::ws::error::UsageError;
use crate::ws::header::{MAX_CONTROL_LEN, header_len};

impl Sender {
    /// Whether a whole message may be queued now.
    #[inline]
    pub(super) fn check_data(&self, len: usize) -> Result<(), UsageError> {
        if !self.state.may_send() {
            return Err(UsageError::Closed);
        }
        if self.fragmented.is_some() {
            return Err(UsageError::MessageInProgress);
        }
        // One always fits into an empty queue, and a short one is known to without working out how long it gets.
        let queued = self.outgoing.ordinary_len();
        let at_most = len.saturating_mul(2).saturating_add(32);
        if queued == 0
            || (at_most <= self.fragment_size && at_most.saturating_add(queued) <= self.max_outgoing)
        {
            return Ok(());
        }
        self.check_room(self.message_len(self.longest(len)))
    }

    /// Whether `len` more bytes of the wire may be queued. With no other in the queue one message always
    /// fits.
    #[inline]
    pub(super) fn check_room(&self, len: usize) -> Result<(), UsageError> {
        let queued = self.outgoing.ordinary_len();
        if queued != 0 && len.saturating_add(queued) > self.max_outgoing {
            return Err(UsageError::Full);
        }
        Ok(())
    }

    /// How long a frame with `len` bytes of payload is on the wire.
    #[inline]
    pub(super) fn frame_len(&self, len: usize) -> usize {
        header_len(len as u64, self.keys.is_some()).saturating_add(len)
    }

    /// How long a message of `len` bytes is on the wire, in as many frames as it takes.
    #[inline]
    pub(super) fn message_len(&self, len: usize) -> usize {
        if len <= self.fragment_size {
            return self.frame_len(len);
        }
        let last = (len - 1) % self.fragment_size + 1;
        let full = (len - last) / self.fragment_size;
        full.saturating_mul(self.frame_len(self.fragment_size)).saturating_add(self.frame_len(last))
    }

    pub(super) fn check_control(&self, payload: &[u8]) -> Result<(), UsageError> {
        // RFC 6455 5.5.1: after a close there is nothing more to say, a pong neither.
        if !self.state.may_send() {
            return Err(UsageError::Closed);
        }
        // 5.5: control frames carry at most 125 bytes.
        if payload.len() > MAX_CONTROL_LEN {
            return Err(UsageError::ControlTooLong);
        }
        Ok(())
    }

    pub(super) fn check_ping(&self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        let queued = self.outgoing.urgent_len();
        if queued + self.frame_len(payload.len()) > Self::CONTROL_ROOM {
            return Err(UsageError::Full);
        }
        Ok(())
    }
}
