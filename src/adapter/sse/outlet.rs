//! The sending side: events to chunks, one each, in a queue.

use super::{Error, EventResponse};
use crate::http1::chunked::ChunkedEncoder;
use crate::http1::head::Version;
use crate::outgoing::Outgoing;
use crate::sse::{Block, KEEP_ALIVE, PreparedEvent};
use std::vec::Vec;

/// From this length on a prepared event is queued by reference.
const SHARED: usize = 1024;

/// A larger buffer for encoding is not kept.
const LARGEST_KEPT: usize = 4096;

/// A response under way, and what of it waits to be written.
#[derive(Debug)]
pub(in crate::adapter) struct Outlet {
    pub(in crate::adapter) queue: Outgoing,
    encoder: ChunkedEncoder,
    /// One event, while it is encoded.
    encoded: Vec<u8>,
}

impl Outlet {
    /// Queues the head.
    pub(in crate::adapter) fn new(version: Version, response: &EventResponse) -> Self {
        let encoder = match version {
            Version::Http10 => ChunkedEncoder::until_close(),
            Version::Http11 => ChunkedEncoder::chunked(),
        };
        let mut queue = Outgoing::default();
        queue.push(&response.head(version), b"");
        Self { queue, encoder, encoded: Vec::new() }
    }

    pub(in crate::adapter) fn push(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.encoded.clear();
        block.encode(&mut self.encoded)?;
        let frame = self.encoder.frame(self.encoded.len() as u64)?;
        self.queue.push(frame.head(), &self.encoded);
        self.queue.push(frame.tail(), b"");
        self.encoded.shrink_to(LARGEST_KEPT);
        Ok(())
    }

    pub(in crate::adapter) fn push_prepared(&mut self, event: &PreparedEvent) -> Result<(), Error> {
        let bytes = event.bytes();
        let frame = self.encoder.frame(bytes.len() as u64)?;
        if bytes.len() < SHARED {
            self.queue.push(frame.head(), bytes);
        } else {
            self.queue.push_shared(frame.head(), bytes.clone());
        }
        self.queue.push(frame.tail(), b"");
        Ok(())
    }

    pub(in crate::adapter) fn push_keep_alive(&mut self) -> Result<(), Error> {
        let frame = self.encoder.frame(KEEP_ALIVE.len() as u64)?;
        self.queue.push(frame.head(), KEEP_ALIVE);
        self.queue.push(frame.tail(), b"");
        Ok(())
    }

    /// Ends the body, once.
    pub(in crate::adapter) fn finish(&mut self) -> Result<(), Error> {
        let mut end = Vec::new();
        self.encoder.finish(&[], &mut end)?;
        self.queue.push(&end, b"");
        Ok(())
    }

    #[cfg(feature = "tokio")]
    pub(in crate::adapter) fn is_finished(&self) -> bool {
        self.encoder.is_finished()
    }
}
