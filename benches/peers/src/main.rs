//! pushline beside its peers: every cell of every table is the minimum of interleaved rounds, in one process or in several:
//! where one has its stack makes up to twice the time of a short message, and nobody's merit. Before any time is taken, each
//! peer's messages are counted and hashed.
//!
//! `cargo run --release --bin pushline-peers -- [OPTION...]`: see [`USAGE`].

#![allow(clippy::disallowed_methods, reason = "it takes time")]

mod report;

use pushline_peers::peers::{ROWS, Row, Tally};
use pushline_peers::wire::{self, Stream, Wire};
use pushline_peers::{Kind, hash, least_of_processes};
use report::{Report, Table};
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const USAGE: &str = "\
  --rounds N            rounds a cell and process, 100 if not told
  --processes N         processes a cell, 1 if not told
  --only receive|send   one half of the tables
  --filter TEXT         tables whose title contains TEXT, e.g. 'chinese, 1460' or 'client'
  --size N[,N...]       messages of N bytes only
  --rows TEXT[,TEXT...] rows whose name contains one of them, and pushline's
  --alone NAME          the row of that name only, for a profiler
  --bare                nothing but the nanoseconds of each row
  --markdown            with what a document needs: date, machine, versions, command";

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

struct Arguments {
    rounds: usize,
    processes: usize,
    only: Option<String>,
    filters: Vec<String>,
    sizes: Vec<usize>,
    rows: Vec<&'static Row>,
    /// The options that have chosen the rows.
    choice: Vec<String>,
    bare: bool,
    markdown: bool,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut this = Self {
            rounds: 100,
            processes: 1,
            only: None,
            filters: Vec::new(),
            sizes: SIZES.to_vec(),
            rows: ROWS.iter().collect(),
            choice: Vec::new(),
            bare: false,
            markdown: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let flag = match argument.as_str() {
                "--markdown" => Some(&mut this.markdown),
                "--bare" => Some(&mut this.bare),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value = arguments.next()?;
            if matches!(argument.as_str(), "--rows" | "--alone") {
                this.choice.extend([argument.clone(), value.clone()]);
            }
            match argument.as_str() {
                "--rounds" => this.rounds = value.parse().ok()?,
                "--processes" => this.processes = value.parse().ok()?,
                "--only" => this.only = Some(value),
                "--filter" => this.filters.push(value),
                "--size" => {
                    this.sizes = value.split(',').map(|size| size.parse().ok()).collect::<Option<_>>()?
                }
                "--rows" => this
                    .rows
                    .retain(|row| row.class.ours() || value.split(',').any(|part| row.name.contains(part))),
                "--alone" => this.rows.retain(|row| row.name == value),
                _ => return None,
            }
        }
        Some(this)
    }

    fn wants(&self, title: &str) -> bool {
        self.only.as_ref().is_none_or(|only| title.starts_with(only.as_str()))
            && (self.filters.is_empty() || self.filters.iter().any(|part| title.contains(part.as_str())))
    }
}

fn main() {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let mut report = Report::new(arguments.sizes.clone());
    if arguments.markdown {
        report::preamble();
    }
    for (kind, name) in
        [(Kind::Ascii, "text-ascii"), (Kind::Chinese, "text-chinese"), (Kind::Binary, "binary")]
    {
        for (read, reads) in [(64 * 1024, "64 KiB reads"), (1460, "1460 B reads")] {
            let rows = having(&arguments.rows, |row| row.receive.is_some());
            table(&arguments, &mut report, format!("receive: {name}, {reads}"), rows, &|rows, len| {
                receive(rows, kind, read, len, arguments.rounds)
            });
        }
    }
    for (client, end) in [(false, "server"), (true, "client")] {
        for flush_every in [1, 32] {
            let rows = having(&arguments.rows, |row| row.send.is_some());
            table(
                &arguments,
                &mut report,
                format!("send: {end}, flush every {flush_every}"),
                rows,
                &|rows, len| send(rows, client, flush_every, len, arguments.rounds),
            );
        }
    }
    if !arguments.bare {
        report.summary();
    }
}

fn having(rows: &[&'static Row], with: impl Fn(&Row) -> bool) -> Vec<&'static Row> {
    rows.iter().copied().filter(|row| with(row)).collect()
}

fn table(
    arguments: &Arguments,
    report: &mut Report,
    title: String,
    rows: Vec<&'static Row>,
    cell: &dyn Fn(&[&'static Row], usize) -> Vec<f64>,
) {
    if arguments.wants(&title) {
        let measure = |&len: &usize| match arguments.processes {
            ..=1 => cell(&rows, len),
            processes => {
                let (rounds, len) = (arguments.rounds.to_string(), len.to_string());
                let mut again = vec!["--bare", "--rounds", &rounds, "--filter", &title, "--size", &len];
                again.extend(arguments.choice.iter().map(String::as_str));
                least_of_processes(processes, rows.len(), &again)
            }
        };
        let cells: Vec<Vec<f64>> = arguments.sizes.iter().map(measure).collect();
        if arguments.bare {
            cells.iter().flatten().for_each(|ns| println!("{ns}"));
        } else {
            report.add(Table { title, rows, cells });
        }
    }
}

/// The best of several placements: how the addresses that a copy reads and writes lie to each other
/// modulo the page size makes up to twice the time, and nobody's merit.
fn receive(rows: &[&Row], kind: Kind, read: usize, len: usize, rounds: usize) -> Vec<f64> {
    let starts = [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500];
    let rounds = rounds.div_ceil(starts.len());
    let cells = starts.map(|start| receive_at(rows, start, kind, read, len, rounds));
    (0..rows.len()).map(|row| cells.iter().map(|cell| cell[row]).fold(f64::MAX, f64::min)).collect()
}

fn receive_at(rows: &[&Row], start: usize, kind: Kind, read: usize, len: usize, rounds: usize) -> Vec<f64> {
    let stream = Stream::new(kind, len, start);
    let mut peers: Vec<_> =
        rows.iter().filter_map(|row| Some(row.receive?(Wire::incoming(&stream, read), read))).collect();
    for (peer, row) in peers.iter_mut().zip(rows) {
        let mut tally = Tally { hash: Some(hash::START), ..Tally::default() };
        peer.receive(stream.messages, &mut tally);
        assert_eq!(
            (tally.messages, tally.bytes, tally.hash),
            (stream.messages, stream.messages * len, Some(stream.hash)),
            "{} received something else",
            row.name
        );
    }
    interleave(rows.len(), rounds, stream.messages, |peer| {
        let mut tally = Tally::default();
        let start = Instant::now();
        peers[peer].receive(stream.messages, &mut tally);
        let time = start.elapsed();
        assert_eq!((tally.messages, tally.bytes), (stream.messages, stream.messages * len));
        black_box(tally);
        time
    })
}

fn send(rows: &[&Row], client: bool, flush_every: usize, len: usize, rounds: usize) -> Vec<f64> {
    // A multiple of 32, so that all is written at the end.
    let messages = (256 * 1024 / (len + 8)).max(4).next_multiple_of(32);
    let payload = bytes::Bytes::from(wire::payload(Kind::Binary, len, &mut 0x9e37_79b9_7f4a_7c15));
    let expected = (0..messages).fold(hash::START, |all, _| hash::message(all, &payload));
    for row in rows {
        let Some(make) = row.send else { continue };
        let record = Arc::new(Mutex::new(Vec::new()));
        make(Wire::outgoing(Some(record.clone())), client).send(messages, flush_every, &payload);
        let sent = wire::hash_of_frames(&record.lock().expect("one thread"), client);
        assert_eq!(sent, (messages, expected), "{} sent something else", row.name);
    }
    let mut peers: Vec<_> =
        rows.iter().filter_map(|row| Some(row.send?(Wire::outgoing(None), client))).collect();
    interleave(rows.len(), rounds, messages, |peer| {
        let start = Instant::now();
        peers[peer].send(messages, flush_every, &payload);
        start.elapsed()
    })
}

/// The minimum of the rounds for each peer, in nanoseconds a message; every round takes them in
/// another order.
fn interleave(
    peers: usize,
    rounds: usize,
    messages: usize,
    mut round: impl FnMut(usize) -> Duration,
) -> Vec<f64> {
    let mut best = vec![Duration::MAX; peers];
    for n in 0..rounds {
        for turn in 0..peers {
            let peer = (n + turn) % peers;
            best[peer] = best[peer].min(round(peer));
        }
    }
    best.iter().map(|time| time.as_nanos() as f64 / messages as f64).collect()
}
