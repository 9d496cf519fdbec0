//! The sending side over a stream, the same for a whole WebSocket and for its writing half.

use super::super::Error;
use super::timed::Timed;
use super::times::Times;
use super::transport::Transport;
use crate::ws::{Sender, State, UsageError};
use bytes::Buf;

/// Queues with `queue`, writing first for as long as that says that the queue is full.
pub(super) fn queue<S: Transport>(
    stream: &mut Timed<S>,
    sender: &mut Sender,
    times: &Times,
    mut queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
) -> Result<(), Error> {
    loop {
        match queue(sender) {
            Err(UsageError::Full) => write(stream, sender, times)?,
            done => return Ok(done?),
        }
    }
}

/// Writes until nothing is queued: one call of the operating system, if it takes all.
pub(super) fn flush<S: Transport>(
    stream: &mut Timed<S>,
    sender: &mut Sender,
    times: &mut Times,
) -> Result<(), Error> {
    if sender.queued() == 0 {
        return Ok(());
    }
    if sender.state() != State::Open {
        times.start_closing();
    }
    while sender.queued() > 0 {
        write(stream, sender, times)?;
    }
    Ok(stream.flush()?)
}

/// Nothing more can be written: what is queued is dropped.
pub(super) fn give_up(sender: &mut Sender) {
    sender.receive_eof();
    let outgoing = sender.outgoing();
    outgoing.advance(outgoing.len());
}

fn write<S: Transport>(stream: &mut Timed<S>, sender: &mut Sender, times: &Times) -> Result<(), Error> {
    let wait = times.for_write().map_err(Error::TimedOut)?;
    if stream.write(sender.outgoing(), wait)? {
        Ok(())
    } else {
        Err(Error::TimedOut(times.write_timed_out()))
    }
}

/// Whether the stream does not wait: a call to be repeated later. Nothing was lost.
pub(super) fn is_not_ready(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
