//! A message that waits for room in the queue.

use crate::ws::{Message, SendError, Sender, UsageError};

/// Queues the message in `slot`, if there is one; a full queue leaves it there.
pub(super) fn send_slot(sender: &mut Sender, slot: &mut Option<Message>) -> Result<(), UsageError> {
    queue(slot, |message| sender.send(message))
}

/// As [`send_slot`], never compressed.
pub(super) fn send_plain_slot(sender: &mut Sender, slot: &mut Option<Message>) -> Result<(), UsageError> {
    queue(slot, |message| sender.send_plain(message))
}

fn queue(
    slot: &mut Option<Message>,
    send: impl FnOnce(Message) -> Result<(), SendError>,
) -> Result<(), UsageError> {
    let Some(message) = slot.take() else { return Ok(()) };
    send(message).map_err(|refused| {
        if refused.error == UsageError::Full {
            *slot = Some(refused.message);
        }
        refused.error
    })
}
