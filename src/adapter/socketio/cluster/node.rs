//! A node of a cluster, without I/O: what it has to say, what it has read, and who else lives.

use super::options::ClusterOptions;
use super::record::{Action, Record, decode, encode, is_done, mark_done};
use crate::heartbeat::Instant;
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::vec::Vec;

/// Bytes of records that are written at once, besides one record.
const BATCH: usize = 1 << 20;
/// Nodes known at most; more do not take part in what is asked. Those that have died go when there are more: until then a
/// gap is seen if one of them comes back.
const NODES: usize = 1000;

pub(crate) struct Node<I> {
    id: u64,
    config: ClusterOptions,
    /// What was not read back yet, the oldest first.
    ours: VecDeque<Ours<I>>,
    bytes: usize,
    /// How many of them were written.
    written: usize,
    newest: u64,
    peers: HashMap<u64, Peer<I>>,
    position: u128,
    /// Our own first word was read back: what comes now is new.
    live: bool,
    away: bool,
    dropped: u64,
    beat: I,
}

struct Ours<I> {
    number: u64,
    at: I,
    record: Vec<u8>,
}

struct Peer<I> {
    number: u64,
    /// When it was last heard; never, if that was before we came.
    heard: Option<I>,
}

/// What follows from a record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// To be done, with the event's number; `None`: it is not to be kept.
    Do(Record, Option<u128>),
    /// Records before this position are missing.
    Gap(u128),
}

impl<I: Instant> Node<I> {
    pub(crate) fn new(id: u64, config: ClusterOptions, now: I) -> Self {
        let mut node = Self {
            id,
            config,
            ours: VecDeque::new(),
            bytes: 0,
            written: 0,
            newest: 0,
            peers: HashMap::new(),
            position: 0,
            live: false,
            away: false,
            dropped: 0,
            beat: now.saturating_add(config.heartbeat),
        };
        node.say(&Action::Beat(true), true, now);
        node
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn begin(&mut self, position: u128) {
        self.position = position;
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away
    }

    pub(crate) fn queued(&self) -> usize {
        self.ours.len()
    }

    #[cfg(fuzzing)]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The others that live.
    pub(crate) fn others(&self, now: I) -> impl Iterator<Item = u64> + '_ {
        let timeout = self.config.node_timeout;
        let lives = move |peer: &Peer<I>| peer.heard.is_some_and(|heard| heard.saturating_add(timeout) > now);
        self.peers.iter().filter(move |(_, peer)| lives(peer)).map(|(id, _)| *id)
    }

    /// Something for the others. `later`: our own clients are to get it when it is read back. `false`: they are to get it
    /// now, because the log is away, or because too much waits for it already or no node would take it (then the others do
    /// not get it at all).
    pub(crate) fn say(&mut self, action: &Action, later: bool, now: I) -> bool {
        let record = encode(self.id, self.newest + 1, action);
        let full = self.ours.len() >= self.config.queued
            || self.bytes.saturating_add(record.len()) > self.config.queued_bytes;
        if full || !action.is_sound() {
            self.dropped += 1;
            return false;
        }
        self.newest += 1;
        self.bytes += record.len();
        self.ours.push_back(Ours { number: self.newest, at: now, record });
        let later = later && !self.away;
        if !later && let Some(ours) = self.ours.back_mut() {
            mark_done(&mut ours.record);
        }
        later
    }

    /// What is to be written next, in order.
    pub(crate) fn batch(&self) -> Vec<Bytes> {
        let mut bytes = 0_usize;
        let fits = |ours: &&Ours<I>| {
            let fits = bytes == 0 || bytes + ours.record.len() <= BATCH;
            bytes += ours.record.len();
            fits
        };
        let new = self.ours.iter().skip(self.written).take_while(fits);
        new.map(|ours| Bytes::copy_from_slice(&ours.record)).collect()
    }

    /// Up to this number, ours were written.
    pub(crate) fn wrote(&mut self, count: usize, first: u64) {
        // Some may have been read back already.
        let end = first.saturating_add(count as u64);
        self.written = self.ours.iter().take_while(|ours| ours.number < end).count().max(self.written);
    }

    /// The number of the first in [`batch`](Self::batch).
    pub(crate) fn first(&self) -> u64 {
        self.ours.get(self.written).map_or(self.newest + 1, |ours| ours.number)
    }

    /// A record was read. What is no record is passed over.
    pub(crate) fn read(&mut self, position: u128, bytes: &Bytes, now: I) -> Vec<Read> {
        let mut reads = Vec::new();
        if position <= self.position {
            return reads;
        }
        self.position = position;
        let Some(record) = decode(bytes) else { return reads };
        if record.node == self.id {
            self.read_back(position, record, now, &mut reads);
            return reads;
        }
        if self.peers.len() >= NODES && !self.peers.contains_key(&record.node) {
            let others: HashSet<u64> = self.others(now).collect();
            self.peers.retain(|id, _| others.contains(id));
            if self.peers.len() >= NODES {
                return reads;
            }
        }
        let heard = self.live.then_some(now);
        let first = Peer { number: record.number.saturating_sub(1), heard };
        let peer = self.peers.entry(record.node).or_insert(first);
        peer.heard = heard.or(peer.heard);
        if record.number <= peer.number {
            return reads; // it was written twice
        }
        if record.number > peer.number.saturating_add(1) {
            reads.push(Read::Gap(position));
        }
        peer.number = record.number;
        if let (Action::Beat(true), true) = (&record.action, self.live) {
            self.say(&Action::Beat(false), true, now);
        }
        let kept = !record.done;
        reads.push(Read::Do(record, kept.then_some(position)));
        reads
    }

    fn read_back(&mut self, position: u128, record: Record, now: I, reads: &mut Vec<Read>) {
        if record.number > self.newest {
            return; // not ours, whoever says so
        }
        self.live = true;
        while self.ours.front().is_some_and(|ours| ours.number <= record.number) {
            let Some(ours) = self.ours.pop_front() else { break };
            self.bytes -= ours.record.len();
            self.written = self.written.saturating_sub(1);
            // It is back once nothing waits, or what comes back has not waited for long.
            let was_late = ours.at.saturating_add(self.config.patience) <= now;
            self.away = self.away && was_late && !self.ours.is_empty();
            let waits = !is_done(&ours.record);
            if ours.number == record.number {
                reads.extend(waits.then_some(Read::Do(record, Some(position))));
                break;
            }
            // The log has lost it.
            if waits && let Some(lost) = decode(&ours.record.into()) {
                reads.push(Read::Do(lost, None));
            }
        }
    }

    /// What is due at this time: a sign of life, and what our clients have waited for too long.
    pub(crate) fn tick(&mut self, now: I) -> Vec<Read> {
        if now >= self.beat {
            self.beat = now.saturating_add(self.config.heartbeat);
            // One that waits is enough.
            if self.ours.len() == self.written {
                self.say(&Action::Beat(false), true, now);
            }
        }
        let patience = self.config.patience;
        if self.away || self.ours.front().is_none_or(|ours| ours.at.saturating_add(patience) > now) {
            return Vec::new();
        }
        self.away = true;
        let mut reads = Vec::new();
        for ours in self.ours.iter_mut().filter(|ours| !is_done(&ours.record)) {
            reads.extend(decode(&Bytes::copy_from_slice(&ours.record)).map(|record| Read::Do(record, None)));
            mark_done(&mut ours.record);
        }
        reads
    }
}
