//! Messages that were read while a send waited, for the next calls that receive.

use crate::inbox::Inbox;
use crate::ws::{Message, ProtocolError, Receiver};
use std::boxed::Box;
use std::collections::VecDeque;

/// What a message counts beside its payload.
const MESSAGE_OVERHEAD: usize = 64;

/// Bytes that are read ahead at most of a connection that takes messages in parts: those cannot be put aside.
const IN_PARTS: usize = 64 * 1024;

/// Bytes that are read ahead at most: one message of the greatest length.
pub(super) const fn limit(receiver: &Receiver) -> usize {
    if receiver.takes_parts() { IN_PARTS } else { receiver.max_message() }
}

/// The next message to be put aside.
pub(super) fn next(receiver: &mut Receiver, inbox: &mut Inbox) -> Result<Option<Message>, ProtocolError> {
    if receiver.takes_parts() || receiver.is_ended() {
        return Ok(None);
    }
    receiver.next_owned(inbox)
}

/// Messages that were read ahead, in order. How many is the reader's to bound.
#[derive(Debug, Default)]
pub(super) struct Ahead(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    size: usize,
    /// The first message is lent: it goes with the next call.
    lent: bool,
}

impl Ahead {
    /// Bytes of all messages.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.size)
    }

    pub(super) fn push(&mut self, message: Message) {
        let queue = self.0.get_or_insert_default();
        queue.size += size(&message);
        queue.messages.push_back(message);
    }

    /// The next message.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Message> {
        if self.0.is_none() { None } else { self.take_first() }
    }

    #[cold]
    fn take_first(&mut self) -> Option<Message> {
        self.drop_lent();
        let first = self.pop();
        if first.is_none() {
            self.0 = None;
        }
        first
    }

    /// Whether there is a next message: it can be looked at until the next call.
    #[inline]
    pub(super) fn lend(&mut self) -> bool {
        self.drop_lent();
        let Some(queue) = &mut self.0 else { return false };
        queue.lent = !queue.messages.is_empty();
        let lent = queue.lent;
        if !lent {
            self.0 = None;
        }
        lent
    }

    /// The message that is lent.
    pub(super) fn lent(&self) -> Option<&Message> {
        self.0.as_ref().filter(|queue| queue.lent)?.messages.front()
    }

    fn drop_lent(&mut self) {
        if self.0.as_mut().is_some_and(|queue| core::mem::take(&mut queue.lent)) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Message> {
        let queue = self.0.as_mut()?;
        let message = queue.messages.pop_front()?;
        queue.size -= size(&message);
        Some(message)
    }
}

fn size(message: &Message) -> usize {
    message.payload().len() + MESSAGE_OVERHEAD
}
