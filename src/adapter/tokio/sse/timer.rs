//! The one timer of a connection.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use tokio::time::{Instant, Sleep, sleep_until};

/// Ready at a deadline, or earlier: at one that was waited for before, if the timer still stands at that. So a deadline
/// that moves on with each event does not move the timer.
pub(in crate::adapter::tokio) fn poll_timer(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() > deadline || timer.is_elapsed() {
        timer.as_mut().reset(deadline);
    }
    timer.as_mut().poll(cx)
}
