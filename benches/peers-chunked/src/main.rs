//! Chunked coding, side by side: `cargo run --release` prints nanoseconds a chunk, the least of interleaved
//! rounds, and the ratio to pushline. Every decoder's output is compared with the body first.
//!
//! Each decoder is handed a window of the bytes received and not yet consumed, one read longer each time, and
//! gives its data to a sink: lent slices where its interface can lend, else whatever it copies into.

mod decoders;
mod encoders;

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A name, and a run over a whole input that hands data to the sink.
type Contender<I> = (&'static str, fn(&I, &mut dyn FnMut(&[u8])));

/// One chunked body, received in reads of `read` bytes.
pub struct Input {
    wire: Vec<u8>,
    read: usize,
}

impl Input {
    /// The windows: `feed` gets what is unconsumed and answers how much it took.
    pub fn each_read(&self, mut feed: impl FnMut(&[u8]) -> usize) {
        let mut start = 0;
        let mut end = 0;
        while end < self.wire.len() {
            end = (end + self.read).min(self.wire.len());
            start += feed(&self.wire[start..end]);
        }
    }
}

const BODY: usize = 1 << 20;
const ROUNDS: usize = 25;
/// Timed passes over an input, one after the other, in a round.
const PASSES: usize = 5;

fn body() -> Vec<u8> {
    let mut state = 1_u32;
    (0..BODY)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn hash(state: &mut (u64, usize), data: &[u8]) {
    for byte in data {
        state.0 = (state.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    state.1 += data.len();
}

fn table<I>(
    title: &str,
    contenders: &[Contender<I>],
    inputs: &[(String, usize, I)],
    expected: impl Fn(&I) -> Vec<u8>,
) {
    println!("\n**{title}**\n");
    let names: Vec<&str> = inputs.iter().map(|(name, ..)| name.as_str()).collect();
    println!("| | {} |\n|---|{}", names.join(" | "), "--:|".repeat(inputs.len()));
    let mut cells = vec![vec![Duration::MAX; inputs.len()]; contenders.len()];
    for (column, (name, _, input)) in inputs.iter().enumerate() {
        let mut expected_hash = (0, 0);
        hash(&mut expected_hash, &expected(input));
        for (peer, run) in contenders {
            let mut actual = (0, 0);
            run(input, &mut |data| hash(&mut actual, data));
            assert_eq!(actual, expected_hash, "{peer}, {name}: other bytes");
        }
        for _ in 0..ROUNDS {
            for (row, (_, run)) in contenders.iter().enumerate() {
                // After one pass the caches and predictors are this contender's own again.
                for pass in 0..=PASSES {
                    let start = Instant::now();
                    run(black_box(input), &mut |data| {
                        black_box(data);
                    });
                    if pass > 0 {
                        cells[row][column] = cells[row][column].min(start.elapsed());
                    }
                }
            }
        }
    }
    for (row, (peer, _)) in contenders.iter().enumerate() {
        print!("| {peer} |");
        for (column, (_, chunks, _)) in inputs.iter().enumerate() {
            let per_chunk = |cell: Duration| cell.as_nanos() as f64 / *chunks as f64;
            let (own, this) = (per_chunk(cells[0][column]), per_chunk(cells[row][column]));
            print!(" {this:.1} ({:.2}x) |", this / own);
        }
        println!();
    }
}

fn main() {
    // One of the peers wants a task set around it, though nothing here is asynchronous.
    let tasks = tokio::task::LocalSet::new();
    let _inside = tasks.enter();
    let body = body();
    for read in [16 << 10, 1460] {
        let inputs: Vec<(String, usize, Input)> = [16, 256, 1024, 4096, 65536]
            .into_iter()
            .map(|chunk| {
                let mut wire = Vec::new();
                for data in body.chunks(chunk) {
                    wire.extend(format!("{:x}\r\n", data.len()).bytes());
                    wire.extend_from_slice(data);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\n\r\n");
                (format!("{chunk} B"), BODY / chunk, Input { wire, read })
            })
            .collect();
        let title = format!("decode: ns a chunk, reads of {read} bytes");
        table(&title, decoders::ALL, &inputs, |_| body.clone());
    }
    // One peer panics at sizes of more than four digits.
    let inputs: Vec<(String, usize, encoders::Input)> = [16, 256, 1024, 4096, 32768]
        .into_iter()
        .map(|chunk| (format!("{chunk} B"), BODY / chunk, encoders::Input { body: body.clone(), chunk }))
        .collect();
    table("encode: ns a chunk", encoders::ALL, &inputs, |input| {
        let mut wire = Vec::new();
        for data in input.body.chunks(input.chunk) {
            wire.extend(format!("{:x}\r\n", data.len()).bytes());
            wire.extend_from_slice(data);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    });
}
