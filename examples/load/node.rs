//! The nodes of the server: where they listen, their processes, what these use.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::options::{Named, Options};

/// The kernel counts a process's time in these, on every Linux: `getconf CLK_TCK`.
const TICKS_A_SECOND: u64 = 100;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Host and port.
    pub authority: String,
    pub address: SocketAddr,
    pid: Option<u32>,
    /// The last figures of one that was killed.
    last: Mutex<Option<Usage>>,
    /// The process, if it was started here: it ends with this.
    child: Option<Mutex<Child>>,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// User and system time.
    pub cpu: Duration,
}

impl Node {
    /// The nodes that were named, or those that are started here.
    ///
    /// # Errors
    /// There is no such host; the command does not start a server.
    pub fn all(options: &Options) -> io::Result<Vec<Self>> {
        match &options.spawn {
            Some(command) => (0..options.nodes).map(|_| Self::spawn(command)).collect(),
            None => options.named.iter().map(|named| Self::new(named, None)).collect(),
        }
    }

    fn new(named: &Named, child: Option<Child>) -> io::Result<Self> {
        let address = named.authority.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let pid = named.pid;
        let child = child.map(Mutex::new);
        Ok(Self { authority: named.authority.clone(), address, pid, last: Mutex::new(None), child })
    }

    /// Starts a server, and waits until it says where it listens.
    fn spawn(command: &str) -> io::Result<Self> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or_else(|| io::Error::other("--spawn: no command"))?;
        let mut child = Command::new(program)
            .args(words)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let authority =
            line.split_once("http://").map(|(_, rest)| rest.trim().trim_end_matches('/').to_owned());
        let Some(authority) = authority else {
            let _ = child.kill();
            return Err(io::Error::other(format!("{command}: it does not say where it listens: {line:?}")));
        };
        let pid = Some(child.id());
        Self::new(&Named { authority, pid }, Some(child))
    }

    /// What it uses; `None` if its process is not known.
    pub fn usage(&self) -> Option<Usage> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.or_else(|| Usage::of(&self.pid?.to_string()))
    }

    pub fn is_killed(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Kills it, as a crash would; `false` if its process is not known.
    pub fn kill(&self) -> bool {
        let Some((pid, usage)) = self.pid.zip(self.usage()) else { return false };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
        match &self.child {
            Some(child) => {
                let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
                child.kill().and_then(|()| child.wait()).is_ok()
            }
            None => {
                let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
                killed.is_ok_and(|status| status.success())
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Usage {
    /// Of a process: its number, or `self`.
    pub fn of(process: &str) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = memory.trim().split(' ').next()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name, which may hold anything: state is the third field, utime and stime are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks: u64 = ticks.sum::<Result<_, _>>().ok()?;
        let cpu = Duration::from_millis(ticks * 1000 / TICKS_A_SECOND);
        Some(Self { memory: kilobytes * 1024, cpu })
    }
}
