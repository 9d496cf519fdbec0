//! What an application has seen of its sessions.

use crate::wire::until;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Seen<S>(Arc<Mutex<Known<S>>>);

pub struct Known<S> {
    pub senders: Vec<S>,
    pub heard: Vec<String>,
    pub ended: usize,
}

impl<S> Clone for Seen<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for Seen<S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { senders: Vec::new(), heard: Vec::new(), ended: 0 })))
    }
}

impl<S: Clone> Seen<S> {
    pub fn know(&self) -> MutexGuard<'_, Known<S>> {
        self.0.lock().unwrap()
    }

    pub fn begun(&self) -> usize {
        self.know().senders.len()
    }

    /// What sends to the session that began as the one of this number.
    pub fn sender(&self, number: usize) -> S {
        until("the application", || self.begun() > number);
        self.know().senders[number].clone()
    }

    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.know().heard)
    }

    /// Waits until this is heard, and nothing else.
    #[track_caller]
    pub fn hears(&self, all: &[&str]) {
        let mut heard = Vec::new();
        until("what is said is heard", || {
            heard.extend(self.heard());
            heard.len() >= all.len()
        });
        assert_eq!(heard, all);
    }

    /// Waits until the application has seen so many sessions end.
    pub fn ended(&self, count: usize) {
        until("the application's end", || self.know().ended == count);
    }
}
