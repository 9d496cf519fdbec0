//! The deadlines of all sessions of a server, on one task.

use super::engine::{Engine, Layer, Link};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::vec::Vec;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A deadline, and a number that tells those at the same instant apart.
pub(super) type Key = (Instant, u64);

/// Whom to look at when, and the last number given.
type Due<L> = (BTreeMap<Key, Weak<Link<L>>>, u64);

pub(super) struct Timer<L: Layer> {
    due: Mutex<Due<L>>,
    earlier: Arc<Notify>,
    started: AtomicBool,
}

impl<L: Layer> Timer<L> {
    pub(super) fn new() -> Self {
        Self {
            due: Mutex::new((BTreeMap::new(), 0)),
            earlier: Arc::new(Notify::new()),
            started: AtomicBool::new(false),
        }
    }

    /// Has a session looked at, then and not at the time that was set before.
    pub(super) fn arm(&self, at: Instant, link: &Arc<Link<L>>, before: Option<Key>) -> Key {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before {
            due.0.remove(&before);
        }
        due.1 += 1;
        let number = due.1;
        let first = due.0.first_key_value().is_none_or(|((first, _), _)| at < *first);
        due.0.insert((at, number), Arc::downgrade(link));
        drop(due);
        if first {
            self.earlier.notify_one();
        }
        (at, number)
    }

    /// A session has ended: nothing is left of it, however many come and go.
    pub(super) fn disarm(&self, key: Key) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&key);
    }

    /// The sessions whose deadline is over, and the next deadline.
    fn take(&self) -> (Vec<Arc<Link<L>>>, Option<Instant>) {
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = Vec::new();
        while let Some(first) = due.0.first_entry() {
            let (at, _) = *first.key();
            if at > now {
                return (links, Some(at));
            }
            links.extend(first.remove().upgrade());
        }
        (links, None)
    }

    /// Spawns the task, unless it runs. It ends with the server.
    pub(super) fn start(&self, engine: &Arc<Engine<L>>) {
        if self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        let (engine, earlier) = (Arc::downgrade(engine), Arc::clone(&self.earlier));
        tokio::spawn(async move {
            loop {
                let Some(alive) = engine.upgrade() else { return };
                let (links, next) = alive.timer.take();
                drop(alive);
                for link in links {
                    link.fire();
                }
                match next {
                    Some(at) => drop(timeout_at(at, earlier.notified()).await),
                    None => earlier.notified().await,
                }
            }
        });
    }
}

impl<L: Layer> Drop for Timer<L> {
    fn drop(&mut self) {
        self.earlier.notify_one();
    }
}
