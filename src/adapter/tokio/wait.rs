//! Waiting: one timer a task, and wake-ups for two tasks that share a connection.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is moved lazily: it fires at a time that was right once, and is then set anew. So a busy connection does
/// not touch the runtime's timer wheel.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready at the deadline, or earlier: look what time it is, then ask again.
    pub(super) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let set = sleep.deadline();
        if set > deadline || (set < deadline && sleep.is_elapsed()) {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

/// Whose task it is that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Reader,
    Writer,
}

/// The tasks that wait for one connection: one, mostly; two, if it is split.
///
/// A transport keeps one waker for each direction. When one task does what the other waits for, a waker goes there that
/// wakes both, so that neither depends on the other's being polled again.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    both: Option<Arc<Both>>,
}

#[derive(Debug, Default)]
struct Both(Mutex<[Option<Waker>; 2]>);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wakers {
    /// The task will wait.
    #[inline]
    pub(super) fn register(&mut self, who: Who, cx: &Context<'_>) {
        let slot = self.slot(who);
        match slot {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => *slot = Some(cx.waker().clone()),
        }
    }

    /// The task waits no longer, and may not for long.
    #[inline]
    pub(super) fn forget(&mut self, who: Who) {
        *self.slot(who) = None;
    }

    /// Something has changed that the other task may wait for.
    pub(super) fn wake_other(&self, who: Who) {
        if let Some(waker) = self.other(who) {
            waker.wake_by_ref();
        }
    }

    /// What to hand to the transport or the timer, if that is not the task's own waker: another task waits, too.
    #[inline]
    pub(super) fn for_transport(&mut self, who: Who, cx: &Context<'_>) -> Option<Waker> {
        if self.other(who).is_none() { None } else { self.for_both(who, cx) }
    }

    /// As [`Timer::poll`], of a timer that all who wait may have in common.
    #[inline]
    pub(super) fn poll_timer(
        &mut self,
        timer: &mut Timer,
        deadline: Option<Instant>,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.register(who, cx);
        match self.for_transport(who, cx) {
            None => timer.poll(deadline, cx),
            Some(waker) => timer.poll(deadline, &mut Context::from_waker(&waker)),
        }
    }

    #[cold] // most connections have one task
    fn for_both(&mut self, who: Who, cx: &Context<'_>) -> Option<Waker> {
        if self.other(who)?.will_wake(cx.waker()) {
            return None;
        }
        let pair = [Some(cx.waker().clone()), self.other(who).cloned()];
        let both = self.both.get_or_insert_default();
        *both.0.lock().unwrap_or_else(PoisonError::into_inner) = pair;
        Some(Waker::from(Arc::clone(both)))
    }

    const fn slot(&mut self, who: Who) -> &mut Option<Waker> {
        match who {
            Who::Reader => &mut self.reader,
            Who::Writer => &mut self.writer,
        }
    }

    const fn other(&self, who: Who) -> Option<&Waker> {
        match who {
            Who::Reader => self.writer.as_ref(),
            Who::Writer => self.reader.as_ref(),
        }
    }
}
