//! The receiving side over a stream, the same for a whole WebSocket and for its reading half.

use super::super::Error;
use super::timed::Timed;
use super::times::{Tick, Times};
use super::transport::Transport;
use crate::inbox::Inbox;
use bytes::BytesMut;

/// What a read has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes, or nothing yet: look, then read again.
    More,
    /// The heartbeat asks for a ping.
    PingDue,
    /// The end of the peer's direction.
    Eof,
}

/// Reads once, for as long as the times allow.
pub(super) fn read<S: Transport>(
    stream: &mut Timed<S>,
    inbox: &mut Inbox<BytesMut>,
    times: &mut Times,
) -> Result<Read, Error> {
    let wait = times.for_read().map_err(Error::TimedOut)?;
    match stream.read(inbox, wait)? {
        Some(0) => return Ok(Read::Eof),
        Some(_) => times.touch(),
        None => match times.poll() {
            Some(Tick::Ping) => return Ok(Read::PingDue),
            Some(Tick::TimedOut(what)) => return Err(Error::TimedOut(what)),
            None => {}
        },
    }
    Ok(Read::More)
}
