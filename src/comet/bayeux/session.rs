//! One client's session: what waits for it, what it has acknowledged, and its `/meta/connect` that is held.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::broker::Link;
use super::config::BrokerOptions;
use super::reply::TimeSync;
use crate::ws::Prepared;
use core::time::Duration;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct CometSession<I> {
    /// Each with the batch that it was sent in; 0 if it was not.
    queue: VecDeque<(u64, Prepared)>,
    bytes: usize,
    /// The extension ack is on: a batch is kept until it is acknowledged.
    pub(super) ack: bool,
    /// The last batch sent.
    pub(super) batch: u64,
    pub(super) held: Option<Held>,
    /// The WebSocket that the client is on.
    pub(super) socket: Option<Link>,
    /// When the held connect is due, or the session over.
    pub(super) deadline: I,
    /// When it is looked at: then, or earlier.
    pub(super) scheduled: Option<I>,
    /// Sorted.
    pub(super) subscriptions: Vec<Box<str>>,
    /// The number of the last publication, so that a client hears it once however many of its patterns match.
    pub(super) heard: u64,
}

/// A `/meta/connect` that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) link: Link,
    /// As it came.
    pub(super) id: Option<Box<str>>,
    pub(super) timesync: Option<TimeSync>,
    /// To be answered whether there is news or not.
    pub(super) due: bool,
    pub(super) browser: Option<u128>,
    pub(super) multiple: bool,
}

/// The client's queue is full.
#[derive(Debug)]
pub(super) struct Overflow;

impl<I: Copy> CometSession<I> {
    pub(super) const fn new(ack: bool, deadline: I) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            ack,
            batch: 0,
            held: None,
            socket: None,
            deadline,
            scheduled: Some(deadline),
            subscriptions: Vec::new(),
            heard: 0,
        }
    }

    /// A message for the client. Answers who is to ask for it, if anybody waits.
    pub(super) fn push(&mut self, event: Prepared, config: &BrokerOptions) -> Result<Option<Link>, Overflow> {
        self.bytes += event.payload().len();
        self.queue.push_back((0, event));
        if self.queue.len() > config.max_queue || self.bytes > config.max_queue_bytes {
            return Err(Overflow);
        }
        Ok(match &self.held {
            _ if self.is_direct() => self.socket,
            Some(held) => Some(held.link),
            None => None,
        })
    }

    /// Over a WebSocket messages need no `/meta/connect`, unless the batches are counted.
    pub(super) fn is_direct(&self) -> bool {
        self.socket.is_some() && !self.ack
    }

    /// The client has all batches up to this one. What it was sent later was lost, and is to be sent again.
    pub(super) fn acknowledge(&mut self, batch: u64) {
        while let Some((sent, event)) = self.queue.front()
            && *sent != 0
            && *sent <= batch
        {
            self.bytes -= event.payload().len();
            self.queue.pop_front();
        }
        for (sent, _) in self.queue.iter_mut().take_while(|(sent, _)| *sent != 0) {
            *sent = 0;
        }
    }

    /// Whether a connect is held on this link, and is to be answered. Without one, what waits goes on waiting.
    pub(super) fn is_due(&self, link: Link) -> bool {
        let has_news = || !self.is_direct() && self.queue.back().is_some_and(|(sent, _)| *sent == 0);
        self.held.as_ref().is_some_and(|held| held.link == link && (held.due || has_news()))
    }

    /// Messages that it has not acknowledged, or not been sent.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The next message for a WebSocket.
    pub(super) fn pop(&mut self) -> Option<Prepared> {
        let (_, event) = self.queue.pop_front()?;
        self.bytes -= event.payload().len();
        Some(event)
    }

    /// Appends what fits into one answer, behind commas as needed; with ack it stays until it is acknowledged.
    pub(super) fn write_batch(&mut self, config: &BrokerOptions, out: &mut Vec<u8>) {
        self.batch += 1;
        let mut room = config.max_answer;
        let mut first = true;
        let mut taken = 0;
        for (sent, event) in self.queue.iter_mut().skip_while(|(sent, _)| *sent != 0) {
            // A frame of its own is an array of one.
            let json = event.payload();
            let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
            if !first && json.len() > room {
                break;
            }
            first = false;
            room = room.saturating_sub(json.len());
            super::reply::separate(out);
            out.extend_from_slice(json);
            *sent = self.batch;
            taken += 1;
        }
        if !self.ack {
            (0..taken).for_each(|_| drop(self.pop()));
        }
    }

    /// How long the session lives without a connect.
    pub(super) fn patience(config: &BrokerOptions) -> Duration {
        config.interval.saturating_add(config.max_interval)
    }
}
