//! What a run has shown: a bar while it goes on, a table or JSON at its end.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use crate::ledger::{CONFIRMED, RESUMED};
use crate::node::Usage;
use crate::options::Transport;
use crate::world::World;

/// How often a progress line is printed where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a run has shown.
#[derive(Debug, Serialize)]
pub struct Report {
    pub clients: usize,
    pub nodes: usize,
    pub seconds: f64,
    pub seed: u64,
    /// Messages, and how many of them the server has confirmed.
    pub messages: u32,
    pub confirmed: u32,
    pub delivered: u64,
    /// The faults: what did not come, and what came twice or too late.
    pub missing: u64,
    pub repeated: u64,
    /// Known by their number when they came once more; no fault.
    pub seen_again: u64,
    pub cut: u64,
    pub vanished: u64,
    pub nodes_killed: u64,
    /// Connections that ended without an order, and attempts that came to none.
    pub broken: u64,
    pub failed: u64,
    pub resumed: u64,
    pub not_resumed: u64,
    pub errors: BTreeMap<String, u64>,
    pub join_seconds: f64,
    pub latencies: Vec<Latency>,
    pub server: Option<Server>,
    /// This process: the whole of it.
    pub load_memory: u64,
    pub load_cpu_seconds: f64,
}

/// Of one kind of deliveries, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub of: &'static str,
    pub deliveries: u64,
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// What all nodes together used.
#[derive(Debug, Serialize)]
pub struct Server {
    /// Bytes before the first client, with all of them, and at the end.
    pub memory_before: u64,
    pub memory_joined: u64,
    pub memory_end: u64,
    /// What all clients took, divided by their number.
    pub memory_a_client: u64,
    /// For joining: microseconds a client.
    pub cpu_a_join_us: f64,
    /// While messages were sent, all else that happened included: seconds, and microseconds a delivery.
    pub cpu_seconds: f64,
    pub cpu_a_delivery_us: f64,
}

impl Latency {
    fn new(of: &'static str, histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        let (deliveries, max) = (histogram.len(), histogram.max() as f64 / 1000.0);
        Self { of, deliveries, p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max }
    }

    /// Of each transport, of all that hold a connection open, of what came with one that resumed, and of confirmations.
    pub fn all(world: &World) -> Vec<Self> {
        let class = |transport: &Transport| *transport as usize;
        let used = |(transport, _): &(Transport, usize)| {
            Self::new(transport.name(), &world.ledger.latencies([class(transport)]))
        };
        let pushed = Transport::ALL.iter().filter(|transport| **transport != Transport::Polling).map(class);
        let mut all: Vec<_> = world.options.mix.iter().map(used).collect();
        all.push(Self::new("all but polling", &world.ledger.latencies(pushed)));
        all.push(Self::new("by resuming", &world.ledger.latencies([RESUMED])));
        all.push(Self::new("to confirm", &world.ledger.latencies([CONFIRMED])));
        all.retain(|latency| latency.deliveries > 0);
        all
    }
}

/// The server's figures at the stations of a run: before it, when all are in, when messages begin and end.
pub fn server(world: &World, delivered: u64, stations: [Option<Usage>; 4]) -> Option<Server> {
    let [before, joined, began, ended] = stations;
    let (before, joined, began, ended) = (before?, joined?, began?, ended?);
    let clients = world.options.clients as u64;
    let cpu = ended.cpu.saturating_sub(began.cpu);
    Some(Server {
        memory_before: before.memory,
        memory_joined: joined.memory,
        memory_end: ended.memory,
        memory_a_client: joined.memory.saturating_sub(before.memory) / clients,
        cpu_a_join_us: joined.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / clients as f64,
        cpu_seconds: cpu.as_secs_f64(),
        cpu_a_delivery_us: cpu.as_secs_f64() * 1e6 / delivered.max(1) as f64,
    })
}

impl Report {
    /// Whether each client has each message once and in order.
    pub fn is_good(&self) -> bool {
        self.missing == 0 && self.repeated == 0 && self.confirmed == self.messages
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{} clients on {} node(s), joined in {:.1} s; seed {}",
            self.clients, self.nodes, self.join_seconds, self.seed
        )?;
        writeln!(
            f,
            "{} messages in {:.0} s, {} confirmed; {} deliveries",
            self.messages, self.seconds, self.confirmed, self.delivered
        )?;
        writeln!(
            f,
            "missing {}, repeated {}; seen again and known {}",
            self.missing, self.repeated, self.seen_again
        )?;
        writeln!(
            f,
            "cut {}, vanished {}, nodes killed {}; broken {}, failed attempts {}; resumed {}, not resumed {}",
            self.cut,
            self.vanished,
            self.nodes_killed,
            self.broken,
            self.failed,
            self.resumed,
            self.not_resumed
        )?;
        for (error, times) in &self.errors {
            writeln!(f, "  {times} times: {error}")?;
        }
        writeln!(
            f,
            "\n{:<16} {:>11} {:>9} {:>9} {:>9} {:>9}",
            "latency, ms", "deliveries", "p50", "p99", "p99.9", "max"
        )?;
        for Latency { of, deliveries, p50, p99, p99_9, max } in &self.latencies {
            writeln!(f, "{of:<16} {deliveries:>11} {p50:>9.1} {p99:>9.1} {p99_9:>9.1} {max:>9.1}")?;
        }
        if let Some(server) = &self.server {
            writeln!(
                f,
                "\nserver: {:.1} MiB of memory before, {:.1} with all clients, {:.1} at the end: {:.1} KiB a client",
                mebibytes(server.memory_before),
                mebibytes(server.memory_joined),
                mebibytes(server.memory_end),
                server.memory_a_client as f64 / 1024.0
            )?;
            writeln!(
                f,
                "server: {:.2} s of CPU, {:.2} us a delivery; {:.0} us to join",
                server.cpu_seconds, server.cpu_a_delivery_us, server.cpu_a_join_us
            )?;
        }
        write!(f, "load:   {:.1} MiB, {:.2} s of CPU", mebibytes(self.load_memory), self.load_cpu_seconds)
    }
}

/// A bar, redrawn in its place, or a line from time to time.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    is_quiet: bool,
    line: Option<Instant>,
}

impl Progress {
    pub fn new(is_quiet: bool) -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), is_quiet, line: None }
    }

    /// So much of a phase is done.
    pub fn show(&mut self, phase: &str, done: f64, world: &World) {
        let now = Instant::now();
        let is_due = self.line.is_none_or(|line| now.duration_since(line) >= LINE_EVERY);
        if self.is_quiet || !self.is_terminal && !is_due {
            return;
        }
        self.line = Some(now);
        let (ledger, counts) = (&world.ledger, &world.counts);
        let mut text = format!("{phase:<9} [");
        let width = 30;
        for column in 0..width {
            text.push(if f64::from(column) < done * f64::from(width) { '#' } else { '.' });
        }
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "] {:3.0} %  joined {} delivered {} missing {} repeated {} resumed {}",
            done * 100.0,
            counts.joined.load(Relaxed),
            ledger.delivered.load(Relaxed),
            ledger.missing.load(Relaxed),
            ledger.repeated.load(Relaxed),
            counts.resumed.load(Relaxed)
        );
        let mut out = std::io::stderr().lock();
        // Nobody looks: no reason to stop.
        let _ = if self.is_terminal { write!(out, "\r{text}\x1b[K") } else { writeln!(out, "{text}") };
    }

    /// The next phase.
    pub fn end(&mut self) {
        if self.is_terminal && !self.is_quiet {
            eprintln!();
        }
        self.line = None;
    }
}
