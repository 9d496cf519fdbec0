//! Tables, and what they say: in which cells pushline is ahead, level or behind.

use pushline_peers::peers::{Class, Row};
use std::process::Command;

/// Within so much of the best peer's time is level.
const LEVEL: f64 = 0.05;

pub struct Table {
    pub title: String,
    pub rows: Vec<&'static Row>,
    /// For each size the nanoseconds a message of each row.
    pub cells: Vec<Vec<f64>>,
}

impl Table {
    /// The fastest peer of a cell, and its time: of all, or of those that do I/O and check messages.
    fn best(&self, size: usize, all: bool) -> Option<(&'static str, f64)> {
        let peers = self.rows.iter().zip(&self.cells[size]);
        let peers = peers.filter(|(row, _)| row.class == Class::Peer || all && !row.class.ours());
        peers.map(|(row, &ns)| (row.name, ns)).min_by(|left, right| left.1.total_cmp(&right.1))
    }

    fn ratio(&self, row: usize, size: usize, all: bool) -> f64 {
        self.best(size, all).map_or(f64::NAN, |(_, best)| self.cells[size][row] / best)
    }

    fn ours(&self) -> impl Iterator<Item = usize> {
        (0..self.rows.len()).filter(|&row| self.rows[row].class.ours())
    }

    /// Whether the row is compared with all.
    fn all(&self, row: usize) -> bool {
        self.rows[row].class == Class::Core
    }
}

pub struct Report {
    sizes: Vec<usize>,
    tables: Vec<Table>,
}

impl Report {
    pub const fn new(sizes: Vec<usize>) -> Self {
        Self { sizes, tables: Vec::new() }
    }

    /// Prints the table and keeps it for the summary.
    pub fn add(&mut self, table: Table) {
        println!("### {}\n", table.title);
        self.head("");
        for (row, Row { name, class, .. }) in table.rows.iter().enumerate() {
            let mark = match class {
                Class::Core | Class::Adapter | Class::Peer => "",
                Class::Unchecked => " *",
                Class::Bare => " **",
            };
            let cells = (0..self.sizes.len()).map(|size| {
                format!(" {} ({:.2}x) |", ns(table.cells[size][row]), table.ratio(row, size, false))
            });
            println!("| {name}{mark} |{}", cells.collect::<String>());
        }
        println!();
        self.tables.push(table);
    }

    fn head(&self, first: &str) {
        println!(
            "| {first}|{}",
            self.sizes.iter().map(|&size| format!(" {} |", bytes(size))).collect::<String>()
        );
        println!("|---|{}", "--:|".repeat(self.sizes.len()));
    }

    /// Our times as multiples of the best peer's; how many cells are ahead, level, behind; and which
    /// are behind.
    pub fn summary(&self) {
        let mut ours: Vec<&str> = Vec::new();
        for table in &self.tables {
            for row in table.ours() {
                if !ours.contains(&table.rows[row].name) {
                    ours.push(table.rows[row].name);
                }
            }
        }
        println!("### Summary\n");
        println!(
            "| ahead / level within 5 % / behind | best that does I/O and checks messages | best of all |"
        );
        println!("|---|--:|--:|");
        for name in &ours {
            for half in ["receive", "send"] {
                let count = |all| {
                    let mut counts = [0; 3];
                    self.each(name, half, |table, row, size| {
                        let ratio = table.ratio(row, size, all);
                        counts[usize::from(ratio >= 1.0 - LEVEL) + usize::from(ratio > 1.0 + LEVEL)] += 1;
                    });
                    counts
                };
                let (checked, all) = (count(false), count(true));
                if checked != [0; 3] {
                    let list = |[ahead, level, behind]: [usize; 3]| format!("{ahead} / {level} / {behind}");
                    println!("| {name}, {half} | {} | {} |", list(checked), list(all));
                }
            }
        }
        println!();
        for name in &ours {
            let compared = match name {
                &"pushline core" => "of all",
                _ => "that does I/O and checks messages",
            };
            println!("{name}, as a multiple of the time of the best {compared}:\n");
            self.head("");
            for table in &self.tables {
                for row in table.ours().filter(|&row| table.rows[row].name == *name) {
                    let cells =
                        (0..self.sizes.len()).map(|size| match table.ratio(row, size, table.all(row)) {
                            ratio if ratio > 1.0 + LEVEL => format!(" **{ratio:.2}** |"),
                            ratio => format!(" {ratio:.2} |"),
                        });
                    println!("| {} |{}", table.title, cells.collect::<String>());
                }
            }
            println!();
        }
        println!("Behind by more than 5 %, and whom:\n");
        for name in &ours {
            for table in &self.tables {
                for row in table.ours().filter(|&row| table.rows[row].name == *name) {
                    let behind: Vec<String> =
                        (0..self.sizes.len()).filter_map(|size| self.behind(table, row, size)).collect();
                    if !behind.is_empty() {
                        println!("- {name}, {}: {}", table.title, behind.join(", "));
                    }
                }
            }
        }
        println!();
    }

    fn behind(&self, table: &Table, row: usize, size: usize) -> Option<String> {
        let (best, _) = table.best(size, table.all(row))?;
        let ratio = table.ratio(row, size, table.all(row));
        (ratio > 1.0 + LEVEL).then(|| format!("{} {ratio:.2} ({best})", bytes(self.sizes[size])))
    }

    fn each(&self, name: &str, half: &str, mut visit: impl FnMut(&Table, usize, usize)) {
        for table in self.tables.iter().filter(|table| table.title.starts_with(half)) {
            for row in table.ours().filter(|&row| table.rows[row].name == name) {
                (0..self.sizes.len()).for_each(|size| visit(table, row, size));
            }
        }
    }
}

fn ns(ns: f64) -> String {
    if ns < 100.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

fn bytes(size: usize) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

/// Date, machine, versions, command.
pub fn preamble() {
    let output = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().map(|output| output.stdout);
        String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    println!(
        "Measured on {} with {}, on {cores} x {}.\n",
        output("date", "+%F"),
        output("rustc", "--version"),
        cpu.trim_start_matches([' ', '\t', ':'])
    );
    println!("Versions: {}.\n", versions().join(", "));
    println!(
        "```sh\ncargo run --release --bin pushline-peers -- {}\n```\n",
        std::env::args().skip(1).collect::<Vec<_>>().join(" ")
    );
}

/// Of the peers, as the lock file has them.
fn versions() -> Vec<String> {
    const PEERS: [&str; 10] = [
        "fastwebsockets",
        "sockudo-ws",
        "soketto",
        "tokio-tungstenite",
        "tokio-websockets",
        "tungstenite",
        "web-socket",
        "websocket-sans-io",
        "wtx",
        "yawc",
    ];
    let lock = include_str!("../Cargo.lock");
    let version = |name: &&str| {
        let at = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1)?;
        Some(format!("{name} {}", at.split('"').next()?))
    };
    PEERS.iter().filter_map(version).collect()
}
