//! pushline beside its peers: every cell of every table is the minimum of interleaved rounds in one
//! process. Before any time is taken, each peer's messages are counted and hashed.
//!
//! `cargo run --release [-- [--rounds N] [TABLE...]]`, TABLE a part of a table's name.

#![allow(clippy::disallowed_methods, reason = "it takes time")]

mod hash;
mod peers;
mod wire;

use peers::{NAMES, Tally};
use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};
use wire::{Stream, Wire};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ascii,
    Chinese,
    Binary,
}

const SIZES: [(usize, &str); 6] = [
    (16, "16 B"),
    (125, "125 B"),
    (1 << 10, "1 KiB"),
    (16 << 10, "16 KiB"),
    (64 << 10, "64 KiB"),
    (1 << 20, "1 MiB"),
];

/// Nanoseconds a message, of each peer.
type Cell = [f64; NAMES.len()];

fn main() {
    let mut rounds = 100;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().and_then(|n| n.parse().ok()).expect("--rounds N");
        } else {
            wanted.push(argument);
        }
    }
    let table = |title: &str, cell: &dyn Fn(usize) -> Cell| {
        if wanted.is_empty() || wanted.iter().any(|part| title.contains(part.as_str())) {
            print(title, &SIZES.map(|(len, _)| cell(len)));
        }
    };
    for (kind, name) in
        [(Kind::Ascii, "text-ascii"), (Kind::Chinese, "text-chinese"), (Kind::Binary, "binary")]
    {
        for (read, reads) in [(64 * 1024, "64 KiB reads"), (1460, "1460 B reads")] {
            table(&format!("receive: {name}, {reads}"), &|len| receive(kind, read, len, rounds));
        }
    }
    table("send: server, flush every 1", &|len| send(false, 1, len, rounds));
    table("send: server, flush every 32", &|len| send(false, 32, len, rounds));
    table("send: client, flush every 1", &|len| send(true, 1, len, rounds));
    table("send: client, flush every 32", &|len| send(true, 32, len, rounds));
}

/// The best of several placements: how the addresses that a copy reads and writes lie to each other
/// modulo the page size makes up to twice the time, and nobody's merit.
fn receive(kind: Kind, read: usize, len: usize, rounds: usize) -> Cell {
    let starts = [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500];
    let cells = starts.map(|start| receive_at(start, kind, read, len, rounds / starts.len()));
    std::array::from_fn(|peer| cells.iter().map(|cell| cell[peer]).fold(f64::MAX, f64::min))
}

fn receive_at(start: usize, kind: Kind, read: usize, len: usize, rounds: usize) -> Cell {
    let stream = Stream::new(kind, len, start);
    let mut peers = peers::receivers(|| Wire::incoming(&stream, read), read);
    for (peer, name) in peers.iter_mut().zip(NAMES) {
        let mut tally = Tally { hash: Some(hash::START), ..Tally::default() };
        peer.receive(stream.messages, &mut tally);
        assert_eq!(
            (tally.messages, tally.bytes, tally.hash),
            (stream.messages, stream.messages * len, Some(stream.hash)),
            "{name} received something else"
        );
    }
    interleave(rounds, stream.messages, |peer| {
        let mut tally = Tally::default();
        let start = Instant::now();
        peers[peer].receive(stream.messages, &mut tally);
        let time = start.elapsed();
        assert_eq!((tally.messages, tally.bytes), (stream.messages, stream.messages * len));
        black_box(tally);
        time
    })
}

fn send(client: bool, flush_every: usize, len: usize, rounds: usize) -> Cell {
    // A multiple of 32, so that all is written at the end.
    let messages = (256 * 1024 / (len + 8)).max(4).next_multiple_of(32);
    let payload = bytes::Bytes::from(wire::payload(Kind::Binary, len, &mut 0x9e37_79b9_7f4a_7c15));
    let expected = (0..messages).fold(hash::START, |all, _| hash::message(all, &payload));
    for (peer, name) in NAMES.iter().enumerate() {
        let record = Rc::new(RefCell::new(Vec::new()));
        let mut peers = peers::senders(|| Wire::outgoing(Some(record.clone())), client);
        peers[peer].send(messages, flush_every, &payload);
        let sent = wire::hash_of_frames(&record.borrow(), client);
        assert_eq!(sent, (messages, expected), "{name} sent something else");
    }
    let mut peers = peers::senders(|| Wire::outgoing(None), client);
    interleave(rounds, messages, |peer| {
        let start = Instant::now();
        peers[peer].send(messages, flush_every, &payload);
        start.elapsed()
    })
}

/// The minimum of the rounds for each peer; every round takes them in another order.
fn interleave(rounds: usize, messages: usize, mut round: impl FnMut(usize) -> Duration) -> Cell {
    let mut best = [Duration::MAX; NAMES.len()];
    for n in 0..rounds {
        for turn in 0..NAMES.len() {
            let peer = (n + turn) % NAMES.len();
            best[peer] = best[peer].min(round(peer));
        }
    }
    best.map(|time| time.as_nanos() as f64 / messages as f64)
}

fn print(title: &str, cells: &[Cell]) {
    println!("**{title}** (ns a message; in brackets, against the fastest peer)\n");
    println!("| |{}", SIZES.map(|(_, size)| format!(" {size} |")).concat());
    println!("|---|{}", "--:|".repeat(SIZES.len()));
    for (peer, name) in NAMES.iter().enumerate() {
        let row = cells.iter().map(|cell| {
            // pushline is measured against the others, not against itself.
            let best = cell[1..].iter().copied().fold(f64::MAX, f64::min);
            let ns = match cell[peer] {
                ns if ns < 100.0 => format!("{ns:.1}"),
                ns => format!("{ns:.0}"),
            };
            format!(" {ns} ({:.2}x) |", cell[peer] / best)
        });
        println!("| {name} |{}", row.collect::<String>());
    }
    println!();
}
