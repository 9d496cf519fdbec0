//! What waits: in a channel, by number and bytes, and of an answer to a poll.

use crate::socketio::engine::{EnginePacket, InvalidEnginePacket, records};
use std::string::String;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Something of some size, with the room that it takes up until it is dropped.
#[derive(Debug)]
pub(super) struct Held<T>(pub(super) T, #[expect(dead_code, reason = "it is dropped")] pub(super) Taken);

/// Room that is taken up.
#[derive(Debug, Default)]
pub(super) struct Taken(#[expect(dead_code, reason = "it is dropped")] Option<OwnedSemaphorePermit>);

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

    fn size(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(self.kibibytes)
    }

    /// Waits until there is room for so many bytes.
    pub(super) async fn take(&self, bytes: usize) -> Taken {
        match self.size(bytes) {
            0 => Taken::default(),
            // It is never closed.
            some => Taken(Arc::clone(&self.free).acquire_many_owned(some).await.ok()),
        }
    }

    /// The same, if there is room now.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Taken> {
        match self.size(bytes) {
            0 => Some(Taken::default()),
            some => Some(Taken(Some(Arc::clone(&self.free).try_acquire_many_owned(some).ok()?))),
        }
    }
}

/// The records of an answer to a poll, one at a time.
#[derive(Debug, Default)]
pub(super) struct Records {
    text: String,
    /// Where the next one begins, if there is one.
    at: Option<usize>,
}

/// One of them.
pub(super) struct Record<'a>(&'a str);

impl Record<'_> {
    pub(super) fn parse(&self) -> Result<EnginePacket<'_>, InvalidEnginePacket> {
        records(self.0).next().unwrap_or(Err(InvalidEnginePacket))
    }
}

impl Records {
    pub(super) const fn new(text: String) -> Self {
        Self { text, at: Some(0) }
    }

    pub(super) fn next(&mut self) -> Option<Record<'_>> {
        let at = self.at.take()?;
        let rest = self.text.get(at..)?;
        let (record, more) = match rest.split_once('\u{1e}') {
            Some((record, more)) => (record, Some(more)),
            None => (rest, None),
        };
        self.at = more.map(|more| self.text.len().saturating_sub(more.len()));
        Some(Record(record))
    }
}
