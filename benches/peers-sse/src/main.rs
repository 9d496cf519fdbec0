//! Decoding and encoding event streams, side by side with other crates: one process, interleaved
//! rounds, the minimum of each cell. First of all, what each crate makes of every event is compared by
//! count and hash.
//!
//! `cargo run --release` in this directory; `cargo run --release -- 60` for other than 30 rounds.

#![allow(clippy::disallowed_methods, reason = "it takes time")]

mod decoders;
mod encoders;
mod pushline;
mod workloads;

use std::hint::black_box;
use std::time::{Duration, Instant};
use workloads::{Tally, Workload};

/// Timed passes over a workload, one after the other, in a round.
const PASSES: usize = 5;

/// Times every contestant on every workload, rounds interleaved, and prints the table: nanoseconds an
/// event, and as a multiple of the fastest peer's.
///
/// `right(contestant, workload)` says whether the result is right, `pass` runs once and tells how long it
/// took.
fn race(
    title: &str,
    names: &[&str],
    workloads: &[Workload],
    rounds: usize,
    right: impl Fn(usize, &Workload) -> bool,
    pass: impl Fn(usize, &Workload) -> Duration,
) {
    let mut best = vec![vec![Duration::MAX; workloads.len()]; names.len()];
    for _ in 0..rounds {
        for (column, workload) in workloads.iter().enumerate() {
            for (row, best) in best.iter_mut().enumerate() {
                // After one pass the caches and predictors are this contestant's own again.
                pass(row, workload);
                for _ in 0..PASSES {
                    best[column] = best[column].min(pass(row, black_box(workload)));
                }
            }
        }
    }
    let nanoseconds = |row: usize, column: usize| {
        best[row][column].as_nanos() as f64 / workloads[column].events.len() as f64
    };
    let heads: String = workloads.iter().map(|workload| format!(" {} |", workload.name)).collect();
    println!("\n### {title} (ns an event; in brackets as a multiple of the fastest peer's)\n\n| |{heads}");
    println!("|---|{}", "--:|".repeat(workloads.len()));
    let ours = |row: usize| names[row].starts_with("pushline");
    let peer = |column: usize| {
        let peers = (0..names.len()).filter(|&row| !ours(row) && right(row, &workloads[column]));
        peers.map(|row| nanoseconds(row, column)).fold(f64::INFINITY, f64::min)
    };
    let mut behind = Vec::new();
    for (row, name) in names.iter().enumerate() {
        print!("| {name} |");
        for (column, workload) in workloads.iter().enumerate() {
            let (time, times) = (nanoseconds(row, column), nanoseconds(row, column) / peer(column));
            let mark = if right(row, workload) { "" } else { " WRONG" };
            print!(" {time:.1} ({times:.2}x){mark} |");
            if ours(row) && times > 1.05 {
                behind.push(format!("{name}, {}: {times:.2}", workload.name));
            }
        }
        println!();
    }
    println!(
        "\nBehind (more than 5 %): {}",
        if behind.is_empty() { "none".into() } else { behind.join("; ") }
    );
}

/// Runs a future on a runtime with timers.
fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(30);
    for size in [16 * 1024, 1460] {
        race(
            &format!("decode, reads of {size} B"),
            &decoders::ALL.map(|decoder| decoder.name),
            &workloads::all(size),
            rounds,
            |row, workload| {
                let mut tally = Tally::default();
                (decoders::ALL[row].run)(workload, &mut |event_type, id, data| {
                    tally.add(event_type, id, data)
                });
                tally == workload.tally()
            },
            |row, workload| {
                let start = Instant::now();
                (decoders::ALL[row].run)(workload, &mut |event_type, id, data| {
                    black_box((event_type.len(), id.len(), data.len()));
                });
                start.elapsed()
            },
        );
    }
    let bodies =
        [("encode", &encoders::ALONE[..]), ("encode into the body of a response", &encoders::BODIES)];
    for (title, encoders) in bodies {
        race(
            title,
            &encoders.iter().map(|encoder| encoder.name).collect::<Vec<_>>(),
            &workloads::all(16 * 1024),
            rounds,
            |row, workload| {
                let mut bytes = Vec::new();
                (encoders[row].pass)(workload)(&mut |event| bytes.extend_from_slice(event));
                Tally::of_stream(&bytes) == workload.tally()
            },
            |row, workload| {
                let pass = (encoders[row].pass)(workload);
                let start = Instant::now();
                pass(&mut |event| {
                    black_box(event.len());
                });
                start.elapsed()
            },
        );
    }
}
