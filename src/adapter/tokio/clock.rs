//! The times of one connection, on tokio's clock.

use super::super::{Options, TimedOut};
use crate::heartbeat::{Beat, Deadline, Heartbeat};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::boxed::Box;
use tokio::time::{Instant, Sleep, sleep_until};

/// Heartbeat and close deadline, and the one timer that serves both.
///
/// The timer is not moved when bytes arrive: it fires at a time that was right once, and is then
/// set anew. So a busy connection does not touch the runtime's timer wheel.
#[derive(Debug)]
pub(super) struct Clock {
    heartbeat: Option<Heartbeat<Instant>>,
    closing: Deadline<Instant>,
    close_timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What the time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// A ping is due.
    Ping,
    /// The peer took too long.
    TimedOut(TimedOut),
}

impl Clock {
    pub(super) fn new(options: &Options) -> Self {
        let now = Instant::now();
        Self {
            heartbeat: options
                .ping_interval
                .map(|interval| Heartbeat::new(interval, options.ping_timeout, now)),
            closing: Deadline::default(),
            close_timeout: options.close_timeout,
            timer: None,
        }
    }

    pub(super) const fn close_timeout(&self) -> Duration {
        self.close_timeout
    }

    /// Bytes have arrived.
    #[inline]
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

    /// Waits for the next thing that the time brings.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Tick> {
        loop {
            let beat = self.heartbeat.as_ref().map(Heartbeat::next_deadline);
            let Some(deadline) = self.closing.next_deadline().or(beat) else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if self.closing.is_over(now) {
                return Poll::Ready(Tick::TimedOut(TimedOut::Close));
            }
            match self.heartbeat.as_mut().and_then(|heartbeat| heartbeat.poll(now)) {
                Some(Beat::Send) => return Poll::Ready(Tick::Ping),
                Some(Beat::Dead) => return Poll::Ready(Tick::TimedOut(TimedOut::Ping)),
                // The timer was set before the last bytes arrived.
                None => timer.as_mut().reset(deadline),
            }
        }
    }
}
