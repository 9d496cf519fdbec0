//! Echo servers, one a crate, for `echo` and `idle`: a task (or a thread) a connection, written as the
//! crate's examples have it. The batched ones feed what has arrived and flush once.

mod limits;
mod peers;
mod pushline;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::net::TcpStream;

pub struct Server {
    pub name: &'static str,
    pub class: Class,
    spawn: Spawn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Pushline,
    Peer,
    /// What is possible: not a crate.
    Limit,
    /// As `Limit`, and sends back bytes, not messages.
    Raw,
}

enum Spawn {
    Task(fn(TcpStream)),
    Thread(fn(std::net::TcpStream) -> Option<()>),
}

/// What the future of the last connection takes.
pub static FUTURE: AtomicUsize = AtomicUsize::new(0);

/// What the threads that are done have taken, in nanoseconds.
pub static THREADS: AtomicU64 = AtomicU64::new(0);

const fn task(name: &'static str, class: Class, spawn: fn(TcpStream)) -> Server {
    Server { name, class, spawn: Spawn::Task(spawn) }
}

const fn thread(name: &'static str, class: Class, serve: fn(std::net::TcpStream) -> Option<()>) -> Server {
    Server { name, class, spawn: Spawn::Thread(serve) }
}

pub const SERVERS: &[Server] = &[
    task("pushline tokio", Class::Pushline, |stream| spawn(pushline::tokio(stream))),
    task("pushline split", Class::Pushline, |stream| spawn(pushline::split(stream, false))),
    task("pushline split, batched", Class::Pushline, |stream| spawn(pushline::split(stream, true))),
    task("pushline outbox", Class::Pushline, |stream| spawn(pushline::outbox(stream))),
    thread("pushline blocking", Class::Pushline, pushline::blocking),
    thread("tungstenite", Class::Peer, peers::tungstenite),
    task("tokio-tungstenite", Class::Peer, |stream| spawn(peers::tokio_tungstenite(stream, false))),
    task("tokio-tungstenite, batched", Class::Peer, |stream| spawn(peers::tokio_tungstenite(stream, true))),
    task("fastwebsockets", Class::Peer, |stream| spawn(peers::fastwebsockets(stream))),
    task("tokio-websockets", Class::Peer, |stream| spawn(peers::tokio_websockets(stream, false))),
    task("tokio-websockets, batched", Class::Peer, |stream| spawn(peers::tokio_websockets(stream, true))),
    task("yawc", Class::Peer, |stream| spawn(peers::yawc(stream, false))),
    task("yawc, batched", Class::Peer, |stream| spawn(peers::yawc(stream, true))),
    task("sockudo-ws", Class::Peer, |stream| spawn(peers::sockudo(stream, false))),
    task("sockudo-ws, batched", Class::Peer, |stream| spawn(peers::sockudo(stream, true))),
    task("soketto", Class::Peer, |stream| spawn(peers::soketto(stream))),
    task("wtx", Class::Peer, |stream| spawn(peers::wtx(stream))),
    task("web-socket", Class::Peer, |stream| spawn(peers::web_socket(stream))),
    task("hand-written", Class::Limit, |stream| spawn(limits::hand_written(stream))),
    task("raw TCP", Class::Raw, |stream| spawn(limits::raw_tcp(stream))),
];

fn spawn(future: impl Future<Output = Option<()>> + Send + 'static) {
    FUTURE.store(size_of_val(&future), Ordering::Relaxed);
    tokio::spawn(future);
}

impl Server {
    /// Serves one connection.
    pub fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        match self.spawn {
            Spawn::Task(spawn) => spawn(stream),
            Spawn::Thread(serve) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
                    serve(stream);
                    THREADS.fetch_add(thread_cpu(), Ordering::Relaxed);
                })?;
            }
        }
        Ok(())
    }
}

/// CPU time of the calling thread in nanoseconds.
pub fn thread_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Keeps the calling thread, and those it starts, on one CPU.
pub fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        eprintln!("not pinned to CPU {cpu}: {error}");
    }
}

/// The request that all load generators send.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The answer to it.
pub const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A masked binary message of `len` bytes.
pub fn message(len: usize) -> Vec<u8> {
    let mut message = vec![0x82];
    match len {
        0..126 => message.push(0x80 | len as u8),
        126..0x1_0000 => {
            message.push(0xfe);
            message.extend((len as u16).to_be_bytes());
        }
        _ => {
            message.push(0xff);
            message.extend((len as u64).to_be_bytes());
        }
    }
    message.extend([1, 2, 3, 4]);
    message.resize(message.len() + len, 7);
    message
}
