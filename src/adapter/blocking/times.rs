//! The times of one connection, on the system's clock.

use super::super::{Options, TimedOut};
use crate::heartbeat::Instant as _;
use crate::heartbeat::{Beat, Deadline, Heartbeat};
use core::time::Duration;
use std::time::Instant;

/// Heartbeat, close deadline, and how long a write may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    heartbeat: Option<Heartbeat<Instant>>,
    closing: Deadline<Instant>,
    close_timeout: Duration,
    /// The longest that a peer may take nothing of what is written: as long as it may be silent.
    patience: Option<Duration>,
}

/// What the time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// A ping is due.
    Ping,
    /// The peer took too long.
    TimedOut(TimedOut),
}

impl Times {
    pub(super) fn new(options: &Options) -> Self {
        let now = Instant::now();
        Self {
            heartbeat: options
                .ping_interval
                .map(|interval| Heartbeat::new(interval, options.ping_timeout, now)),
            closing: Deadline::default(),
            close_timeout: options.close_timeout,
            patience: options.ping_interval.map(|interval| interval.saturating_add(options.ping_timeout)),
        }
    }

    /// Bytes have arrived.
    pub(super) fn touch(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.touch(Instant::now());
        }
    }

    /// The closing handshake is under way: from now on only its deadline counts.
    pub(super) fn start_closing(&mut self) {
        if self.closing.next_deadline().is_none() {
            self.heartbeat = None;
            self.closing.start(Instant::now(), self.close_timeout);
        }
    }

    /// When the close timeout is over, once it runs.
    pub(super) fn close_deadline(&self) -> Instant {
        self.closing.next_deadline().unwrap_or_else(|| Instant::now().saturating_add(self.close_timeout))
    }

    /// How long a read may wait: `None` for ever.
    pub(super) fn for_read(&self) -> Result<Option<Duration>, TimedOut> {
        match (self.closing.next_deadline(), &self.heartbeat) {
            (Some(_), _) => self.for_close().map(Some),
            // What is over already is waited for no longer: but what has arrived is read before the peer is given up.
            (None, Some(heartbeat)) => {
                Ok(Some(heartbeat.next_deadline().saturating_duration_since(Instant::now())))
            }
            (None, None) => Ok(None),
        }
    }

    /// How long a write may wait: `None` for ever.
    pub(super) fn for_write(&self) -> Result<Option<Duration>, TimedOut> {
        if self.closing.next_deadline().is_some() { self.for_close().map(Some) } else { Ok(self.patience) }
    }

    /// A write has waited for that long.
    pub(super) fn write_timed_out(&self) -> TimedOut {
        if self.closing.next_deadline().is_some() { TimedOut::Close } else { TimedOut::Write }
    }

    /// What is due, after a read that has waited in vain.
    pub(super) fn poll(&mut self) -> Option<Tick> {
        let now = Instant::now();
        if self.closing.is_over(now) {
            return Some(Tick::TimedOut(TimedOut::Close));
        }
        match self.heartbeat.as_mut()?.poll(now)? {
            Beat::Send => Some(Tick::Ping),
            Beat::Dead => Some(Tick::TimedOut(TimedOut::Ping)),
        }
    }

    /// What is left of the close timeout, if it runs. A peer that goes on and on does not make it longer.
    fn for_close(&self) -> Result<Duration, TimedOut> {
        let left = self.close_deadline().saturating_duration_since(Instant::now());
        if left.is_zero() { Err(TimedOut::Close) } else { Ok(left) }
    }
}
