//! Writing what is queued, in steps short enough to look at what else happens.

use super::super::end;
use super::super::stats::{ConnectionStats, Tally};
use super::timed::Timed;
use super::transport::Transport;
use crate::heartbeat::Instant as _;
use crate::ws::{Life, Sender};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::time::Instant;

/// How long the first write waits that the transport does not take at once.
const FIRST_PACE: Duration = Duration::from_millis(10);

/// The longest that a write waits before it is looked whether the connection still lives.
const LONGEST_PACE: Duration = Duration::from_millis(250);

/// A time of writing without a look at anything else, to a peer that takes a little all the time: until the call's time is up, and
/// no longer than [`LONGEST_PACE`].
pub(super) struct Spell {
    until: Option<Instant>,
    end: Option<Instant>,
}

impl Spell {
    pub(super) const fn new(until: Option<Instant>) -> Self {
        Self { until, end: None }
    }

    /// Whether it is over, to be asked after each write that has left something.
    pub(super) fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let end = *self.end.get_or_insert_with(|| {
            let longest = now.saturating_add(LONGEST_PACE);
            self.until.map_or(longest, |until| until.min(longest))
        });
        now >= end
    }
}

/// A sender over its stream.
#[derive(Debug)]
pub(super) struct Outlet<S> {
    pub(super) stream: Timed<S>,
    pub(super) sender: Sender,
    /// The stream has taken bytes that it may not have passed on.
    unflushed: bool,
    /// Something that was queued will never be written.
    lost: bool,
    /// How long a write waits.
    pace: Duration,
    /// What was sent and is not yet in the tally, which is under another lock if the socket is split.
    pub(super) sent: ConnectionStats,
}

/// What a write has led to.
#[derive(Debug)]
pub(super) enum Wrote {
    Some,
    /// The transport takes nothing for now.
    Blocked,
    Failed(io::Error),
}

impl<S> Outlet<S> {
    pub(super) fn new(stream: Timed<S>, sender: Sender) -> Self {
        let sent = ConnectionStats::default();
        Self { stream, sender, unflushed: false, lost: false, pace: FIRST_PACE, sent }
    }

    pub(super) fn into_parts(self) -> (Timed<S>, Sender) {
        (self.stream, self.sender)
    }

    /// Whether all that was queued has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.sender.queued() == 0 && !self.unflushed
    }

    /// Whether something that was queued will never be written.
    pub(super) const fn has_lost(&self) -> bool {
        self.lost
    }

    /// Tells the sender of the end of the peer's direction.
    pub(super) fn receive_eof(&mut self) {
        self.lost |= end::receive_eof(&mut self.sender);
    }

    /// Something that was queued is gone.
    pub(super) const fn lose(&mut self) {
        self.lost = true;
    }

    /// The peer sends, and may do nothing else before that is read: the next write does not wait long.
    pub(super) const fn received(&mut self) {
        self.pace = FIRST_PACE;
    }

    /// Tells the life of the connection how the sender stands, and the tally what was sent.
    pub(super) fn sync(&mut self, life: &mut Life<Instant>, tally: &mut Tally) {
        life.sync_with(&self.sender, usize::from(self.unflushed));
        tally.add_sent(&mut self.sent);
    }

    /// How long to wait for something else while the transport takes nothing.
    pub(super) const fn pace(&self) -> Duration {
        self.pace
    }

    /// What is queued will never be written.
    pub(super) fn give_up(&mut self) {
        self.lost |= !self.is_flushed();
        self.unflushed = false;
        self.sender.abort();
    }
}

impl<S: Transport> Outlet<S> {
    /// Writes once.
    pub(super) fn write(&mut self) -> Wrote {
        let written = if self.sender.queued() > 0 {
            self.unflushed = true;
            let queued = self.sender.queued();
            let written = self.stream.write(self.sender.outgoing(), Some(self.pace));
            self.sent.bytes_sent += (queued - self.sender.queued()) as u64;
            written
        } else {
            self.stream.flush().map(|()| {
                self.unflushed = false;
                true
            })
        };
        match written {
            Ok(true) => {
                self.pace = FIRST_PACE;
                Wrote::Some
            }
            Ok(false) => {
                self.pace = (self.pace * 2).min(LONGEST_PACE);
                Wrote::Blocked
            }
            // TimedOut: of a flush that has waited.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Wrote::Blocked
            }
            Err(error) => Wrote::Failed(error),
        }
    }
}
