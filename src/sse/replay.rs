//! Recent events of a server, kept so that a client that comes back gets what it missed (HTML 9.2.4).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::encode::PreparedEvent;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The last events of a stream, each as it was sent: bounded by count and by bytes, the oldest going first.
///
/// An ID may be any text, in any order: the log only asks whether two are equal. Events without an ID can
/// be in the log, too; they are replayed, but nobody resumes from them. Events are shared, not copied.
///
/// ```
/// use pushline::sse::{Block, ReplayLog, Resume};
///
/// let mut log = ReplayLog::new(100, 1 << 20);
/// for id in ["1", "2", "3"] {
///     log.push(Block::new().id(id).data("x").prepare()?);
/// }
/// // The `Last-Event-ID` field of a request, if it has one:
/// match log.resume(Some(b"1")) {
///     Resume::From(missed) => assert_eq!(missed.count(), 2),
///     Resume::Fresh => println!("a new client: goes on with what comes next"),
///     Resume::Gone => println!("what it missed is lost: must load the whole state anew"),
/// }
/// assert!(matches!(log.resume(None), Resume::Fresh));
/// assert!(matches!(log.resume(Some(b"x")), Resume::Gone));
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReplayLog {
    events: VecDeque<PreparedEvent>,
    /// What the events come to.
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// The ID after which the oldest event of the log was sent: a client that has seen just that one has
    /// missed nothing but what the log has.
    before: Option<Vec<u8>>,
}

/// The answer of a [`ReplayLog`] to a client that names its last event ID.
///
/// ```
/// use pushline::sse::{Block, ReplayLog, Resume};
///
/// let mut log = ReplayLog::new(1, 1 << 20);
/// log.push(Block::new().id("1").data("x").prepare()?);
/// log.push(Block::new().id("2").data("y").prepare()?);
/// // Event 1 is no more in the log, but all that came after it is.
/// let Resume::From(missed) = log.resume(Some(b"1")) else { panic!() };
/// assert_eq!(missed.map(|event| event.id()).collect::<Vec<_>>(), [Some(b"2".as_slice())]);
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub enum Resume<'l> {
    /// It missed these events, maybe none.
    From(Missed<'l>),
    /// It named no ID: it has missed nothing.
    Fresh,
    /// The log does not go back as far, or has never seen the ID: what was missed cannot be told.
    Gone,
}

/// The events after one, oldest first; made by [`ReplayLog::resume`].
///
/// ```
/// use pushline::sse::{Block, ReplayLog, Resume};
///
/// let mut log = ReplayLog::new(10, 1 << 20);
/// log.push(Block::new().id("1").data("x").prepare()?);
/// let Resume::From(missed) = log.resume(Some(b"1")) else { panic!() };
/// assert_eq!(missed.len(), 0);
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Missed<'l>(alloc::collections::vec_deque::Iter<'l, PreparedEvent>);

impl<'l> Iterator for Missed<'l> {
    type Item = &'l PreparedEvent;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Missed<'_> {}

impl ReplayLog {
    /// The count of events that the default log keeps: 1024.
    pub const MAX_EVENTS: usize = 1024;
    /// The bytes that the default log keeps: 1 MiB.
    pub const MAX_BYTES: usize = 1 << 20;

    /// An empty log that keeps at most `max_events` events of at most `max_bytes` encoded bytes in all. It
    /// starts without memory, and grows with what is pushed.
    ///
    /// The bounds are what keeps a stream that never ends from taking all memory: by count for many small
    /// events, by bytes for large ones.
    #[must_use]
    pub const fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, max_events, max_bytes, before: None }
    }

    /// Adds the newest event. The oldest go for it; if it alone exceeds the bounds, all of them go, and it
    /// is not kept either.
    pub fn push(&mut self, event: PreparedEvent) {
        let len = event.bytes().len();
        while !self.events.is_empty()
            && (self.events.len() >= self.max_events || self.bytes.saturating_add(len) > self.max_bytes)
        {
            self.drop_oldest();
        }
        if self.max_events == 0 || len > self.max_bytes {
            self.remember(&event);
        } else {
            self.bytes += len;
            self.events.push_back(event);
        }
    }

    /// How many events are in the log.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event is in the log.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many encoded bytes the events have in all.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a client has missed whose `Last-Event-ID` is this. No such field, or an empty one, is a client
    /// that starts anew. If several events have the ID, the newest is meant.
    ///
    /// The search starts with the newest event: for a client that was away for a moment it is short, and
    /// never longer than the log.
    pub fn resume(&self, last_event_id: Option<&[u8]>) -> Resume<'_> {
        let Some(id) = last_event_id.filter(|id| !id.is_empty()) else { return Resume::Fresh };
        let from = match self.events.iter().rposition(|event| event.id() == Some(id)) {
            Some(last_seen) => last_seen + 1,
            None if self.before.as_deref() == Some(id) => 0,
            None => return Resume::Gone,
        };
        Resume::From(Missed(self.events.range(from..)))
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.bytes().len();
            self.remember(&event);
        }
    }

    /// This event is the one before the oldest of the log.
    fn remember(&mut self, event: &PreparedEvent) {
        // An event without an ID leaves the client's ID as it was, yet a client with that ID may not
        // have seen this event: nobody can resume from here any more.
        let before = self.before.take();
        self.before = event.id().map(|id| {
            let mut bytes = before.unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(id);
            bytes
        });
    }
}

impl Default for ReplayLog {
    fn default() -> Self {
        Self::new(Self::MAX_EVENTS, Self::MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Block;
    use alloc::string::ToString;

    fn event(id: Option<u32>) -> PreparedEvent {
        let id = id.map(|id| id.to_string());
        let block = Block::new().data("x");
        id.as_ref().map_or(block, |id| block.id(id)).prepare().unwrap()
    }

    fn log(max_events: usize, max_bytes: usize, ids: impl IntoIterator<Item = Option<u32>>) -> ReplayLog {
        let mut log = ReplayLog::new(max_events, max_bytes);
        ids.into_iter().for_each(|id| log.push(event(id)));
        log
    }

    /// The IDs that a client gets, 0 for none; `None` if the log says that they are gone.
    fn missed(log: &ReplayLog, id: u32) -> Option<Vec<u32>> {
        match log.resume(Some(id.to_string().as_bytes())) {
            Resume::From(events) => Some(
                events
                    .map(|event| {
                        event.id().map_or(0, |id| core::str::from_utf8(id).unwrap().parse().unwrap())
                    })
                    .collect(),
            ),
            Resume::Gone => None,
            Resume::Fresh => panic!("an ID was given"),
        }
    }

    #[test]
    fn the_count_bounds_the_log() {
        for pushed in [2, 3, 4] {
            let log = log(3, 1 << 20, (1..=pushed).map(Some));
            assert_eq!(log.len(), pushed.min(3) as usize);
            assert_eq!(missed(&log, pushed), Some([].into()));
            assert_eq!(missed(&log, 1), Some((2..=pushed).collect()));
        }
        let log = log(3, 1 << 20, (1..=9).map(Some));
        assert_eq!(missed(&log, 6), Some([7, 8, 9].into()), "just before the oldest");
        assert_eq!(missed(&log, 5), None);
        assert_eq!(missed(&log, 10), None, "never sent");
    }

    #[test]
    fn the_bytes_bound_the_log() {
        let size = event(Some(1)).bytes().len();
        for (max, kept) in [(3 * size - 1, 2), (3 * size, 3), (3 * size + 1, 3)] {
            let log = log(100, max, (1..=5).map(Some));
            assert_eq!((log.len(), log.bytes()), (kept, kept * size));
        }
    }

    #[test]
    fn what_is_too_large_alone_empties_the_log() {
        let mut log = log(10, 40, [Some(1), Some(2)]);
        log.push(Block::new().id("3").data(&"x".repeat(40)).prepare().unwrap());
        assert!(log.is_empty());
        assert_eq!(log.bytes(), 0);
        assert_eq!(missed(&log, 2), None);
        assert_eq!(missed(&log, 3), Some([].into()), "who has seen it missed nothing");
        log.push(event(Some(4)));
        assert_eq!(missed(&log, 3), Some([4].into()));
    }

    #[test]
    fn events_without_id_are_replayed_but_no_place_to_resume() {
        let all = log(10, 1 << 20, [Some(1), None, Some(2), None]);
        assert_eq!(missed(&all, 1), Some([0, 2, 0].into()));
        // The event without ID that followed 1 is dropped: a client with ID 1 may lack it.
        assert_eq!(missed(&log(2, 1 << 20, [Some(1), None, Some(2), None]), 1), None);
        assert_eq!(missed(&log(3, 1 << 20, [Some(1), None, Some(2), None]), 1), Some([0, 2, 0].into()));
    }

    #[test]
    fn the_newest_of_equal_ids_counts() {
        let log = log(10, 1 << 20, [Some(1), Some(2), Some(1), Some(3)]);
        assert_eq!(missed(&log, 1), Some([3].into()));
    }

    #[test]
    fn no_id_is_a_fresh_client() {
        let mut log = log(10, 1 << 20, [Some(1)]);
        assert!(matches!(log.resume(None), Resume::Fresh));
        assert!(matches!(log.resume(Some(b"")), Resume::Fresh));
        // An event that unsets the client's ID is no place to resume from either.
        log.push(Block::new().id("").data("x").prepare().unwrap());
        assert!(matches!(log.resume(Some(b"")), Resume::Fresh));
    }
}
