//! What waits in a channel, and how many bytes of it may.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Something of some size, with the room that it takes up until it is dropped.
#[derive(Debug)]
pub(super) struct Held<T>(
    pub(super) T,
    #[expect(dead_code, reason = "it is dropped")] Option<OwnedSemaphorePermit>,
);

/// Room for what waits: so many KiB, or one that is larger. What is smaller than one takes none, for a channel bounds the number.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    kibibytes: u32,
}

impl Room {
    pub(super) fn new(kibibytes: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(kibibytes as usize)), kibibytes }
    }

    /// Waits until there is room for so many bytes.
    pub(super) async fn hold<T>(&self, value: T, bytes: usize) -> Held<T> {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(self.kibibytes);
        let permit = match kibibytes {
            0 => None,
            // It is never closed.
            some => Arc::clone(&self.free).acquire_many_owned(some).await.ok(),
        };
        Held(value, permit)
    }
}
