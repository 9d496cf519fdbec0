//! Decoding and encoding event streams, side by side with other crates: one process, interleaved
//! rounds, the minimum of each cell. First of all, what each crate makes of every event is compared by
//! count and hash.
//!
//! `cargo run --release` in this directory; `cargo run --release -- 60` for other than 30 rounds.

mod decoders;
mod encoders;
mod workloads;

use std::hint::black_box;
use std::time::{Duration, Instant};
use workloads::{Tally, Workload};

/// Timed passes over a workload, one after the other, in a round.
const PASSES: usize = 5;

/// Times every contestant on every workload, rounds interleaved, and prints the table: nanoseconds an
/// event, and how many times as long as the first contestant takes.
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
    println!("\n**{title}** (ns an event; times the first row)\n\n| |{heads}");
    println!("|---|{}", "--:|".repeat(workloads.len()));
    let mut fastest = vec![f64::INFINITY; workloads.len()];
    for (row, name) in names.iter().enumerate() {
        print!("| {name} |");
        for (column, workload) in workloads.iter().enumerate() {
            let (time, right) = (nanoseconds(row, column), right(row, workload));
            let times = time / nanoseconds(0, column);
            print!(" {time:.1} ({times:.2}x){} |", if right { "" } else { " WRONG" });
            if row > 0 && right {
                fastest[column] = fastest[column].min(times);
            }
        }
        println!();
    }
    let cells: String = fastest.iter().map(|times| format!(" **{times:.2}x** |")).collect();
    println!("| fastest peer |{cells}");
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
    race(
        "encode",
        &encoders::ALL.map(|encoder| encoder.name),
        &workloads::all(16 * 1024),
        rounds,
        |row, workload| {
            let mut bytes = Vec::new();
            (encoders::ALL[row].pass)(workload)(&mut |event| bytes.extend_from_slice(event));
            Tally::of_stream(&bytes) == workload.tally()
        },
        |row, workload| {
            let pass = (encoders::ALL[row].pass)(workload);
            let start = Instant::now();
            pass(&mut |event| {
                black_box(event.len());
            });
            start.elapsed()
        },
    );
}
