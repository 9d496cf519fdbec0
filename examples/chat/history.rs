//! The room's memory: the last events, and the ids of the last messages. Both bounded.

use std::collections::{HashSet, VecDeque};

/// The last events, numbered from 1 without a gap, bounded by count and by bytes.
#[derive(Debug)]
pub struct History<E> {
    epoch: String,
    events: VecDeque<(usize, E)>,
    bytes: usize,
    last: u64,
    most_events: usize,
    most_bytes: usize,
    newcomer: usize,
}

/// What a cursor gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Resume<E> {
    /// All events after the cursor.
    From(Vec<E>),
    /// There was no cursor: the newest events.
    Fresh(Vec<E>),
    /// The cursor is older than the history, or not one of this room's: the newest events.
    Gone(Vec<E>),
}

impl<E: Clone> History<E> {
    /// An empty history. `epoch` tells this run of the room from every other; who has no valid cursor gets `newcomer`
    /// events.
    pub fn new(epoch: String, most_events: usize, most_bytes: usize, newcomer: usize) -> Self {
        Self { epoch, events: VecDeque::new(), bytes: 0, last: 0, most_events, most_bytes, newcomer }
    }

    /// What tells this run from every other.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The number of the newest event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Keeps the event numbered `last() + 1`, of so many bytes, and forgets the oldest beyond the bounds.
    pub fn push(&mut self, event: E, bytes: usize) {
        self.last += 1;
        self.bytes += bytes;
        self.events.push_back((bytes, event));
        while self.events.len() > self.most_events || self.bytes > self.most_bytes {
            let Some((bytes, _)) = self.events.pop_front() else { break };
            self.bytes -= bytes;
        }
    }

    /// The events that the holder of `cursor` (`EPOCH.SEQ`) has not seen.
    pub fn since(&self, cursor: Option<&str>) -> Resume<E> {
        let some = || self.newest(self.events.len().min(self.newcomer));
        let Some(cursor) = cursor else { return Resume::Fresh(some()) };
        let missed = self.sequence(cursor).and_then(|seen| self.last.checked_sub(seen));
        match missed.and_then(|missed| usize::try_from(missed).ok()) {
            Some(missed) if missed <= self.events.len() => Resume::From(self.newest(missed)),
            _ => Resume::Gone(some()),
        }
    }

    fn sequence(&self, cursor: &str) -> Option<u64> {
        let (epoch, sequence) = cursor.rsplit_once('.')?;
        let digits = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
        (epoch == self.epoch && digits).then(|| sequence.parse().ok()).flatten()
    }

    fn newest(&self, count: usize) -> Vec<E> {
        self.events.range(self.events.len() - count..).map(|(_, event)| event.clone()).collect()
    }
}

/// The last ids, each once.
#[derive(Debug)]
pub struct Seen {
    order: VecDeque<String>,
    set: HashSet<String>,
    most: usize,
}

impl Seen {
    /// Remembers `most` ids, at least one.
    pub fn new(most: usize) -> Self {
        Self { order: VecDeque::new(), set: HashSet::new(), most: most.max(1) }
    }

    /// Whether the id is remembered.
    pub fn contains(&self, id: &str) -> bool {
        self.set.contains(id)
    }

    /// Remembers the id and forgets the oldest beyond the bound.
    pub fn insert(&mut self, id: &str) {
        if !self.set.insert(id.to_owned()) {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(count: u64, most_events: usize, most_bytes: usize) -> History<u64> {
        let mut history = History::new("e".to_owned(), most_events, most_bytes, 7);
        for sequence in 1..=count {
            history.push(sequence, 10);
        }
        history
    }

    #[test]
    fn a_cursor_gives_exactly_what_followed_it() {
        let history = history(5, 100, 1000);
        assert_eq!(history.since(Some("e.5")), Resume::From(vec![]));
        assert_eq!(history.since(Some("e.3")), Resume::From(vec![4, 5]));
        assert_eq!(history.since(Some("e.0")), Resume::From(vec![1, 2, 3, 4, 5]));
        assert_eq!(history.since(None), Resume::Fresh(vec![1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_cursor_of_nowhere_gives_all_there_is() {
        let history = history(2, 100, 1000);
        for cursor in
            ["", "e", "e.", "e.x", "e.+1", "e.-1", "e. 1", "f.1", "e.3", "e.18446744073709551616", ".1", "1"]
        {
            assert_eq!(history.since(Some(cursor)), Resume::Gone(vec![1, 2]), "{cursor}");
        }
    }

    #[test]
    fn the_count_is_bounded() {
        for (count, kept) in [(3, vec![1, 2, 3]), (4, vec![1, 2, 3, 4]), (5, vec![2, 3, 4, 5])] {
            assert_eq!(history(count, 4, 1000).since(None), Resume::Fresh(kept));
        }
        let history = history(9, 4, 1000);
        assert_eq!(history.since(Some("e.5")), Resume::From(vec![6, 7, 8, 9]));
        assert_eq!(history.since(Some("e.4")), Resume::Gone(vec![6, 7, 8, 9]));
    }

    #[test]
    fn a_newcomer_gets_the_newest_events() {
        assert_eq!(history(9, 100, 1000).since(None), Resume::Fresh(vec![3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(history(9, 100, 1000).since(Some("f.8")), Resume::Gone(vec![3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(history(9, 100, 1000).since(Some("e.1")), Resume::From(vec![2, 3, 4, 5, 6, 7, 8, 9]));
    }

    #[test]
    fn the_bytes_are_bounded() {
        assert_eq!(history(9, 100, 39).since(None), Resume::Fresh(vec![7, 8, 9]));
        assert_eq!(history(9, 100, 40).since(None), Resume::Fresh(vec![6, 7, 8, 9]));
        assert_eq!(history(9, 100, 41).since(None), Resume::Fresh(vec![6, 7, 8, 9]));
        // One event larger than all the room is not kept at all, and the numbering goes on.
        let mut history = history(2, 100, 40);
        history.push(3, 41);
        assert_eq!((history.last(), history.since(Some("e.2"))), (3, Resume::Gone(vec![])));
        assert_eq!(history.since(Some("e.3")), Resume::From(vec![]));
    }

    #[test]
    fn ids_are_remembered_up_to_the_bound() {
        let mut seen = Seen::new(2);
        seen.insert("a");
        seen.insert("b");
        seen.insert("b");
        assert!(seen.contains("a") && seen.contains("b"));
        seen.insert("c");
        assert!(!seen.contains("a") && seen.contains("b") && seen.contains("c"));
    }
}
