//! Load for the chat: thousands of clients on any mix of its transports, on one node or several; messages at a rate;
//! connections, clients and nodes killed at random. It shows whether each client got each message once and in order, how
//! soon, and what that cost the server: `load --spawn target/release/examples/chat`; `--help` tells the rest.
//!
//! | file | |
//! |---|---|
//! | `options.rs` | the command line |
//! | `world.rs` | what all clients share |
//! | `client.rs` | one client: who it is, how far it got, what it says; it comes back |
//! | `ws.rs` `sse.rs` `visit.rs` | its connection: WebSocket, Server-Sent Events, the kinds that poll or stream |
//! | `http.rs` | as much of an HTTP client as polling takes |
//! | `ledger.rs` | what was said and who has heard it |
//! | `node.rs` | the server's processes |
//! | `report.rs` | the bar, the table, the JSON |

mod client;
mod http;
mod ledger;
mod node;
mod options;
mod report;
mod sse;
mod visit;
mod world;
mod ws;

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::client::{Client, Order};
use crate::node::{Node, Usage};
use crate::options::{Options, Transport, USAGE};
use crate::report::{Latency, Progress, Report};
use crate::world::World;

/// How often it is looked how things stand.
const TICK: Duration = Duration::from_millis(50);

/// From the last client's arrival to the first message: what the server still had to do is done.
const SETTLE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let json = options.json;
    match run(options).await {
        Ok(report) => {
            match serde_json::to_string_pretty(&report) {
                Ok(text) if json => println!("{text}"),
                _ => println!("{report}"),
            }
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<Report, Box<dyn Error>> {
    let seed = options.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let nodes = Node::all(&options)?;
    let world = Arc::new(World::new(options, nodes, seed));
    let mut run = Run {
        progress: Progress::new(world.options.json),
        world,
        clients: Vec::new(),
        done: Done::default(),
    };
    let before = run.usage();
    let join_seconds = run.join().await?;
    sleep(SETTLE).await;
    let joined = run.usage();
    let began = Instant::now();
    run.talk(began).await;
    let ended = run.usage();
    run.progress.end();
    let seconds = began.elapsed().as_secs_f64();
    let Run { world, clients, done, .. } = run;
    let outstanding: u64 = clients.iter().map(|client| client.outstanding(&world)).sum();
    let (counts, ledger) = (&world.counts, &world.ledger);
    let delivered = ledger.delivered.load(Relaxed);
    let load = Usage::of("self").unwrap_or_default();
    Ok(Report {
        clients: world.options.clients,
        nodes: world.nodes.len(),
        seconds,
        seed,
        messages: ledger.total(),
        confirmed: ledger.confirmed(),
        delivered,
        missing: ledger.missing.load(Relaxed) + outstanding,
        repeated: ledger.repeated.load(Relaxed),
        seen_again: counts.seen_again.load(Relaxed),
        cut: done.cut,
        vanished: done.vanished,
        nodes_killed: done.nodes_killed,
        broken: counts.broken.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        resumed: counts.resumed.load(Relaxed),
        not_resumed: counts.not_resumed.load(Relaxed),
        errors: world.errors(),
        join_seconds,
        latencies: Latency::all(&world),
        server: report::server(&world, delivered, [before, joined, joined, ended]),
        load_memory: load.memory,
        load_cpu_seconds: load.cpu.as_secs_f64(),
    })
}

/// A run under way.
struct Run {
    world: Arc<World>,
    clients: Vec<Arc<Client>>,
    progress: Progress,
    done: Done,
}

/// What was done to clients and nodes.
#[derive(Default)]
struct Done {
    cut: u64,
    vanished: u64,
    nodes_killed: u64,
}

/// What happens at some moment.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Cut(usize),
    Vanish(usize),
    Node,
}

impl Run {
    /// Lets all clients in; the seconds that it took.
    async fn join(&mut self) -> Result<f64, Box<dyn Error>> {
        let began = Instant::now();
        let transports = self.world.options.transports();
        for transport in transports {
            self.add(transport, false);
        }
        let (all, within) = (self.clients.len(), self.world.options.within);
        loop {
            let joined = self.world.counts.joined.load(Relaxed);
            self.progress.show("joining", joined as f64 / all as f64, &self.world);
            if joined >= all as u64 {
                break;
            }
            if began.elapsed() > within {
                let errors = self.world.errors();
                return Err(format!("{joined} of {all} have joined in {within:?}; {errors:?}").into());
            }
            sleep(TICK).await;
        }
        let took = began.elapsed().as_secs_f64();
        self.progress.end();
        Ok(took)
    }

    fn add(&mut self, transport: Transport, is_newcomer: bool) {
        let client = Arc::new(Client::new(&self.world, self.clients.len(), transport, is_newcomer));
        self.clients.push(Arc::clone(&client));
        tokio::spawn(client.run(Arc::clone(&self.world)));
    }

    /// Has messages said and blows dealt, and waits until all have arrived, or no longer.
    async fn talk(&mut self, began: Instant) {
        let (world, total) = (Arc::clone(&self.world), self.world.ledger.total());
        let mut blows = self.plan(began);
        world.ledger.begin(began);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = 0;
        let end = began + world.options.time;
        loop {
            // A message is said when it is due, not at the next tick.
            let due = world.ledger.due(next).filter(|_| next < total);
            tokio::select! {
                _ = ticks.tick() => {}
                () = tokio::time::sleep_until(due.unwrap_or(end)), if due.is_some() => {}
            }
            let now = Instant::now();
            while next < total && world.ledger.due(next).is_some_and(|due| due <= now) {
                if let Some(speaker) = self.clients.get(world.ledger.speaker(next)) {
                    speaker.say(next);
                }
                next += 1;
            }
            while blows.last().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, blow)) = blows.pop() {
                    self.deal(blow);
                }
            }
            let passed = now.duration_since(began).as_secs_f64() / world.options.time.as_secs_f64();
            self.progress.show("talking", passed.min(1.0), &world);
            if now > end && (self.is_complete() || now > end + world.options.within) {
                return;
            }
        }
    }

    /// Whether all is confirmed and all have it.
    fn is_complete(&self) -> bool {
        let (ledger, world) = (&self.world.ledger, &self.world);
        ledger.confirmed() == ledger.total()
            && self.clients.iter().all(|client| client.outstanding(world) == 0)
    }

    /// What happens when, the last first.
    fn plan(&self, began: Instant) -> Vec<(Instant, Blow)> {
        let (world, options) = (&self.world, &self.world.options);
        let speakers = options.speakers();
        // Any order of all clients; those that speak are not killed, for somebody must say what they owe.
        let mut order: Vec<usize> = (0..self.clients.len()).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, world.random_below(index + 1));
        }
        let share = |percent: f64| (self.clients.len() as f64 * percent / 100.0).round() as usize;
        let at = |part: f64| began + options.time.mul_f64(part);
        let sometime = || at(0.9 * world.random_below(1 << 20) as f64 / f64::from(1 << 20));
        let vanish = order.iter().filter(|index| **index >= speakers).take(share(options.kill));
        let mut blows: Vec<_> = vanish.map(|index| (sometime(), Blow::Vanish(*index))).collect();
        let cut = order.iter().rev().take(share(options.cut));
        blows.extend(cut.map(|index| (sometime(), Blow::Cut(*index))));
        blows.extend(options.kill_node.map(|percent| (at(percent / 100.0), Blow::Node)));
        blows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        blows
    }

    fn deal(&mut self, blow: Blow) {
        match blow {
            Blow::Cut(index) => {
                self.clients[index].order(Order::Cut);
                self.done.cut += 1;
            }
            Blow::Vanish(index) => {
                self.clients[index].order(Order::Vanish);
                self.done.vanished += 1;
                self.add(self.clients[index].transport, true);
            }
            Blow::Node => {
                let alive: Vec<_> = self.world.nodes.iter().filter(|node| !node.is_killed()).collect();
                let node = alive.get(self.world.random_below(alive.len()));
                self.done.nodes_killed += u64::from(node.is_some_and(|node| node.kill()));
            }
        }
    }

    /// What all nodes use together; `None` if one of them is not known.
    fn usage(&self) -> Option<Usage> {
        let mut usages = self.world.nodes.iter().map(Node::usage);
        usages.try_fold(Usage::default(), |sum, usage| {
            let usage = usage?;
            Some(Usage { memory: sum.memory + usage.memory, cpu: sum.cpu + usage.cpu })
        })
    }
}
