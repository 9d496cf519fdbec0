//! The sending side over a stream, the same for a whole WebSocket and for its writing half.

use super::super::Error;
use super::super::send::send_slot;
use super::{io, scratch};
use crate::ws::{Message, Sender, UsageError};
use core::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Queues with `queue`, writing first for as long as that says that the queue is full.
pub(super) fn poll_queue<W: AsyncWrite + Unpin>(
    stream: &mut W,
    sender: &mut Sender,
    cx: &mut Context<'_>,
    mut queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
) -> Poll<Result<(), Error>> {
    scratch::lend_to_outgoing(sender.outgoing());
    loop {
        match queue(sender) {
            Err(UsageError::Full) => ready!(io::poll_write(stream, sender.outgoing(), cx))?,
            done => return Poll::Ready(done.map_err(Error::Usage)),
        }
    }
}

/// Queues the message that a sink holds, if any.
pub(super) fn poll_held<W: AsyncWrite + Unpin>(
    stream: &mut W,
    sender: &mut Sender,
    held: &mut Option<Message>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    if held.is_none() {
        return Poll::Ready(Ok(()));
    }
    poll_queue(stream, sender, cx, |sender| send_slot(sender, held))
}

/// Writes until nothing is queued, and gives the queue's memory back.
pub(super) fn poll_flush<W: AsyncWrite + Unpin>(
    stream: &mut W,
    sender: &mut Sender,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    let flushed = io::poll_flush(stream, sender.outgoing(), cx);
    scratch::take_from_outgoing(sender.outgoing());
    flushed.map_err(Error::Io)
}
