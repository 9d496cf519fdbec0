//! Queuing as both adapters do it: a message that finds no room waits for it, a close that has begun is no error.

use crate::ws::{CloseCode, Message, Outbound, Sender, UsageError};

/// Queues the message in `slot`, if there is one; a full queue leaves it there.
pub(super) fn send_slot(sender: &mut Sender, slot: &mut Option<Message>) -> Result<(), UsageError> {
    queue(sender, slot, Sender::send)
}

/// As [`send_slot`], never compressed.
pub(super) fn send_plain_slot(sender: &mut Sender, slot: &mut Option<Message>) -> Result<(), UsageError> {
    queue(sender, slot, Sender::send_plain)
}

/// Queues a message, or keeps it in `slot`, which must be empty, until there is room.
#[cfg(feature = "tokio")]
pub(super) fn send_or_hold(
    sender: &mut Sender,
    slot: &mut Option<Message>,
    message: Message,
) -> Result<(), UsageError> {
    debug_assert!(slot.is_none(), "a sink is ready before it takes the next message");
    *slot = Some(message);
    match send_slot(sender, slot) {
        Err(UsageError::Full) => Ok(()),
        done => done,
    }
}

/// Queues a close frame, unless the connection is closing already.
pub(super) fn close(sender: &mut Sender, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
    match sender.close(code, reason) {
        Err(UsageError::Closed) => Ok(()),
        done => done,
    }
}

fn queue(
    sender: &mut Sender,
    slot: &mut Option<Message>,
    send: fn(&mut Sender, Outbound<'static>) -> Result<(), UsageError>,
) -> Result<(), UsageError> {
    let Some(message) = slot.take() else { return Ok(()) };
    let message = Outbound::Message(message);
    if sender.has_room(&message) {
        return send(sender, message);
    }
    if let Outbound::Message(message) = message {
        *slot = Some(message);
    }
    Err(UsageError::Full)
}
