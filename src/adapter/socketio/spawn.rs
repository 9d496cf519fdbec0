//! Handlers that are done at once cost no task.

use core::pin::Pin;
use core::task::{Context, Waker};
use std::boxed::Box;

/// Runs a future as far as it comes, and the rest of it on a task. So handlers begin in the order of what they handle.
pub(super) fn start(future: impl Future<Output = ()> + Send + 'static) {
    let mut future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    // Its waker is another's once it is spawned.
    if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(future);
    }
}
