//! Echo, idle connections and a broadcast over loopback TCP, server by server, turn by turn.
//!
//! `pushline-peers-socketio [--rounds N] [--ms N] [--sockets N] [--server TEXT]`. Each server is a process of its own on CPU
//! 0; the load, by hand over WebSocket, is on CPU 1. What counts is the CPU time of the server's threads, the minimum of the
//! interleaved rounds; each echo and each delivery is counted by its bytes. npm's socket.io has to be there (`npm ci`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const CONNECTIONS: usize = 32;
const SERVERS: [&str; 3] = ["pushline", "socketioxide", "socket.io"];
const TEXT: &str = "an echo of exactly thirty-two by";

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        match name {
            "socket.io" => command.args(["node", "server.mjs"]).current_dir(env!("CARGO_MANIFEST_DIR")),
            _ => command.arg(std::env::current_exe().expect("a path").with_file_name("server")).arg(name),
        };
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut address = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut address).expect("its address");
        Self { process, address: address.trim().into() }
    }

    /// Nanoseconds that its threads have run.
    fn cpu(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs");
        let times = tasks.map(|task| {
            let path = task.expect("a thread").path().join("schedstat");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0)
        });
        times.sum()
    }

    /// Bytes of its resident set.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident set");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A masked text frame of up to 125 bytes; the key is zero.
fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A client in the namespace `/`.
async fn connect(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a TCP stream");
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    assert!(receive(&mut stream).await.starts_with('0'));
    stream.write_all(&frame("40")).await.expect("a packet");
    let mut joined = receive(&mut stream).await;
    if joined == "2" {
        // socketioxide's first ping comes at once.
        stream.write_all(&frame("3")).await.expect("a packet");
        joined = receive(&mut stream).await;
    }
    assert!(joined.starts_with("40{"), "{joined}");
    stream
}

async fn receive(stream: &mut TcpStream) -> String {
    let _ = stream.read_u8().await.expect("a frame");
    let length = match stream.read_u8().await.expect("a length") {
        126 => stream.read_u16().await.expect("a length").into(),
        length => usize::from(length),
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await.expect("a payload");
    String::from_utf8(text).expect("text")
}

/// One connection that keeps some messages in flight. How many came back.
async fn load(address: &str, window: usize, until: Instant) -> u64 {
    let mut stream = connect(address).await;
    let message = frame(&format!("42[\"message\",\"{TEXT}\"]"));
    let echo = message.len() - 4 + "-back".len();
    stream.write_all(&message.repeat(window)).await.expect("messages");
    let (mut buffer, mut batch) = (vec![0; 64 * 1024], Vec::new());
    let (mut partial, mut count) = (0, 0);
    while Instant::now() < until {
        let n = stream.read(&mut buffer).await.expect("echoes");
        assert!(n > 0, "the server has closed the connection");
        partial += n;
        let echoes = partial / echo;
        partial %= echo;
        count += echoes as u64;
        batch.clear();
        (0..echoes).for_each(|_| batch.extend_from_slice(&message));
        stream.write_all(&batch).await.expect("messages");
    }
    count
}

/// Server CPU an echo, in nanoseconds.
async fn echo(name: &str, window: usize, time: Duration) -> f64 {
    let server = Server::start(name);
    // It has warmed up, a just-in-time compiler too.
    let mut result = 0.0;
    for time in [time / 2, time] {
        let before = server.cpu();
        let until = Instant::now() + time;
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let address = server.address.clone();
                tokio::spawn(async move { load(&address, window, until).await })
            })
            .collect();
        let mut count = 0;
        for load in loads {
            count += load.await.expect("no panic");
        }
        result = (server.cpu() - before) as f64 / count.max(1) as f64;
    }
    result
}

/// What an idle connection adds to the resident set, and the server CPU a delivery when one says something to all.
async fn crowd(name: &str, sockets: usize) -> (f64, f64) {
    let server = Server::start(name);
    let mut speaker = connect(&server.address).await;
    // What the first connections make it allocate is none of the idle ones'.
    drop(connect(&server.address).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = server.memory();
    let said = frame(&format!("42[\"said\",\"{TEXT}\"]")).len() as u64 - 4;
    let (received, news) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let mut streams = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        streams.push(connect(&server.address).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = server.memory().saturating_sub(before) as f64 / sockets as f64;
    for mut stream in streams {
        let (received, news) = (Arc::clone(&received), Arc::clone(&news));
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                received.fetch_add(n as u64, Ordering::Relaxed);
                news.notify_one();
            }
        });
    }
    let say = frame(&format!("42[\"say\",\"{TEXT}\"]"));
    let mut best = f64::MAX;
    for _ in 0..10 {
        received.store(0, Ordering::Relaxed);
        let before = server.cpu();
        speaker.write_all(&say).await.expect("a message");
        while received.load(Ordering::Relaxed) < said * sockets as u64 {
            let waited = tokio::time::timeout(Duration::from_secs(60), news.notified()).await;
            waited.expect("all is delivered");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = receive(&mut speaker).await;
        best = best.min((server.cpu() - before) as f64 / (sockets + 1) as f64);
    }
    (idle, best)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut rounds, mut time, mut sockets) = (5, Duration::from_millis(800), 10_000);
    let mut servers = SERVERS.to_vec();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for option in words.chunks(2) {
        match option {
            ["--rounds", n] => rounds = n.parse().expect("a number"),
            ["--ms", n] => time = Duration::from_millis(n.parse().expect("a number")),
            ["--sockets", n] => sockets = n.parse().expect("a number"),
            ["--server", part] => servers.retain(|server| server.contains(part)),
            _ => panic!("[--rounds N] [--ms N] [--sockets N] [--server TEXT]"),
        }
    }
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(1);
    rustix::thread::sched_setaffinity(None, &cpus).expect("a second CPU");

    let mut best = vec![[f64::MAX; 4]; servers.len()];
    for round in 0..rounds {
        for turn in 0..servers.len() {
            let row = (round + turn) % servers.len();
            eprintln!("round {round}: {}", servers[row]);
            let mut cells =
                [echo(servers[row], 1, time).await, echo(servers[row], 16, time).await, f64::MAX, f64::MAX];
            // These take their time, and vary less.
            if round < 3 && sockets > 0 {
                let (idle, delivery) = crowd(servers[row], sockets).await;
                (cells[2], cells[3]) = (idle, delivery);
            }
            for (best, cell) in best[row].iter_mut().zip(cells) {
                *best = best.min(cell);
            }
        }
    }
    println!("| | echo, 1 in flight | 16 in flight | idle connection | delivery to {sockets} |");
    println!("|---|--:|--:|--:|--:|");
    for (server, cells) in servers.iter().zip(best) {
        print!("| {server} |");
        for (value, (scale, unit)) in
            cells.iter().zip([(1e3, "us"), (1e3, "us"), (1024.0, "KiB"), (1e3, "us")])
        {
            match *value {
                f64::MAX => print!(" |"),
                value => print!(" {:.2} {unit} |", value / scale),
            }
        }
        println!();
    }
}
