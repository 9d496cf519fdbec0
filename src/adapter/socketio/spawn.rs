//! Handlers that are done at once cost no task.

use core::pin::Pin;
use core::task::{Context, Waker};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a handler as far as it comes, and the rest of it on a task. So handlers begin in the order of what they handle.
///
/// One that panics is over, as a task would be: who has called it has other clients to look after.
pub(super) fn start<F: Future<Output = ()> + Send + 'static>(handler: impl FnOnce() -> F) {
    let begin = || {
        let mut future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(handler());
        // Its waker is another's once it is spawned.
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending().then_some(future)
    };
    if let Ok(Some(future)) = catch_unwind(AssertUnwindSafe(begin)) {
        tokio::spawn(future);
    }
}
