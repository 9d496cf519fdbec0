//! Messages that wait to be sent, or to be acknowledged.
#![allow(clippy::arithmetic_side_effects, reason = "counts what is held, which a limit bounds")]

use super::packet::{EngineMessage, SEPARATOR};
use super::words::SendError;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    messages: VecDeque<EngineMessage>,
    bytes: usize,
}

impl Queue {
    /// With room for this one: most sessions have no more at a time.
    pub(super) fn of(message: EngineMessage) -> Self {
        Self { bytes: message.size(), messages: [message].into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The bytes of all messages.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &EngineMessage> {
        self.messages.iter()
    }

    pub(super) fn push(&mut self, message: EngineMessage) {
        self.bytes += message.size();
        self.messages.push_back(message);
    }

    /// All of the messages, or none: if the session is on polling, those with a separator cannot be sent.
    pub(super) fn push_all(
        &mut self,
        messages: impl IntoIterator<Item = EngineMessage>,
        polling: bool,
    ) -> Result<(), SendError> {
        let (length, bytes) = (self.messages.len(), self.bytes);
        for message in messages {
            if polling && message.has_separator() {
                self.messages.truncate(length);
                self.bytes = bytes;
                return Err(SendError::Separator);
            }
            self.push(message);
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<EngineMessage> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }

    /// What was taken out comes back, in front of the others.
    pub(super) fn put_back(&mut self, mut before: Self) {
        before.messages.append(&mut self.messages);
        before.bytes += self.bytes;
        *self = before;
    }

    /// Writes a payload ("HTTP long-polling"): so many messages, of so many bytes, at most; one at least, if there is one.
    /// They are taken out.
    pub(super) fn write_payload(&mut self, messages: usize, mut bytes: usize, out: &mut Vec<u8>) -> Self {
        let mut written = Self::default();
        while let Some(size) = self.messages.front().map(EngineMessage::record_size)
            && (written.is_empty() || size <= bytes && written.len() < messages)
            && let Some(message) = self.pop()
        {
            if !written.is_empty() {
                out.push(SEPARATOR);
            }
            bytes = bytes.saturating_sub(size);
            message.write_record(out);
            written.push(message);
        }
        written
    }
}
