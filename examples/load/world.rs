//! What all clients share: where the nodes are, what is said, what has happened.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::ledger::Ledger;
use crate::node::Node;
use crate::options::Options;

/// Different errors that are told apart.
const MOST_ERRORS: usize = 30;

/// What all clients share.
#[derive(Debug)]
pub struct World {
    pub options: Options,
    pub nodes: Vec<Node>,
    pub ledger: Ledger,
    /// What the names of this run begin with.
    pub run: String,
    /// One for each client that is on its way in.
    pub joining: Arc<Semaphore>,
    pub counts: Counts,
    errors: Mutex<BTreeMap<String, u64>>,
    random: AtomicU64,
    source: AtomicU64,
}

/// What has happened.
#[derive(Debug, Default)]
pub struct Counts {
    pub joined: AtomicU64,
    /// Came back and got what they had missed.
    pub resumed: AtomicU64,
    /// Came back and the server no longer had all that they had missed.
    pub not_resumed: AtomicU64,
    /// Connections that ended without an order.
    pub broken: AtomicU64,
    /// Attempts that came to no connection.
    pub failed: AtomicU64,
    /// Events that came once more on the wire and were known by their number.
    pub seen_again: AtomicU64,
}

impl World {
    pub fn new(options: Options, nodes: Vec<Node>, seed: u64) -> Self {
        let random = AtomicU64::new(seed);
        let run = format!("load{:08x}", next_random(&random) >> 32);
        Self {
            ledger: Ledger::new(run.clone(), &options),
            nodes,
            run,
            joining: Arc::new(Semaphore::new(options.joining)),
            counts: Counts::default(),
            errors: Mutex::default(),
            random,
            source: AtomicU64::new(0),
            options,
        }
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        next_random(&self.random)
    }

    /// A random number below `end`, 0 if that is 0.
    pub fn random_below(&self, end: usize) -> usize {
        ((u128::from(self.random()) * end as u128) >> 64) as usize
    }

    /// Any node but this one, unless it is the only one: what a load balancer without sticky sessions gives.
    pub fn any_node(&self, but: Option<usize>) -> usize {
        match but.filter(|_| self.nodes.len() > 1) {
            Some(but) => (but + 1 + self.random_below(self.nodes.len() - 1)) % self.nodes.len(),
            None => self.random_below(self.nodes.len()),
        }
    }

    /// Where a node is, as host and port.
    pub fn authority(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| &node.authority)
    }

    /// A connection to a node. When it is dropped, it is cut: reset, and no port waits for its end.
    pub async fn connect(&self, node: usize) -> io::Result<TcpStream> {
        let address = self.nodes.get(node).ok_or(io::ErrorKind::NotFound)?.address;
        let stream = match address {
            SocketAddr::V4(to) if to.ip().is_loopback() => {
                let socket = TcpSocket::new_v4()?;
                let number = self.source.fetch_add(1, Relaxed) % u64::from(self.options.sources());
                let source = Ipv4Addr::new(127, 0, 0, 1 + number as u8);
                socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
                socket.connect(address).await?
            }
            _ => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
        Ok(stream)
    }

    /// The room, as a part of a query behind another one.
    pub fn room(&self) -> String {
        self.options.room.as_ref().map(|room| format!("&room={room}")).unwrap_or_default()
    }

    pub fn welcomed(&self, again: bool, resumed: bool) {
        let counts = &self.counts;
        let count = match (again, resumed) {
            (false, _) => &counts.joined,
            (true, true) => &counts.resumed,
            (true, false) => &counts.not_resumed,
        };
        count.fetch_add(1, Relaxed);
    }

    pub fn seen_again(&self) {
        self.counts.seen_again.fetch_add(1, Relaxed);
    }

    /// A connection ended, or came to nothing.
    pub fn note(&self, error: &(dyn std::error::Error + 'static), was_open: bool) {
        let count = if was_open { &self.counts.broken } else { &self.counts.failed };
        count.fetch_add(1, Relaxed);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let room = errors.len() < MOST_ERRORS;
        let text = error.to_string();
        if room || errors.contains_key(&text) {
            *errors.entry(text).or_default() += 1;
        }
    }

    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// SplitMix64: enough for what is to be spread out and not to be guessed.
fn next_random(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bits = state.fetch_add(STEP, Relaxed).wrapping_add(STEP);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
