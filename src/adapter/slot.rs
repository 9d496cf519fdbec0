//! A message that waits for room in the queue.

use crate::ws::{Message, Sender, UsageError};

/// Queues the message in `slot`, if there is one; a full queue leaves it there.
pub(super) fn send_slot(sender: &mut Sender, slot: &mut Option<Message>) -> Result<(), UsageError> {
    let Some(message) = slot.take() else { return Ok(()) };
    sender.send(message).map_err(|refused| {
        if refused.error == UsageError::Full {
            *slot = Some(refused.message);
        }
        refused.error
    })
}
