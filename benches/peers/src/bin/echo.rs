//! Echo over loopback TCP: the server's CPU time per message.
//!
//! `echo [--rounds N] [--ms N] [--cell LENxWINDOW] [--server TEXT]`. Each server runs on a thread of its
//! own on one CPU, with tokio's current-thread runtime (the blocking ones: a thread a connection); on the
//! other CPU 32 connections keep some messages in flight. Rounds are interleaved, the minimum of each cell
//! counts, every echoed byte is counted. `echo serve NAME` only serves, and prints its address, and
//! `echo load ADDRESS LENxWINDOW` is the load: for `strace -c -f`.

#![allow(clippy::disallowed_methods, reason = "it takes time")]

use pushline_peers::servers::{Class, REQUEST, SERVERS, Server, THREADS, message, pin, thread_cpu};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const CONNECTIONS: usize = 32;

/// Bytes of a message, messages in flight.
const CELLS: [(usize, usize); 6] = [(32, 1), (32, 16), (1024, 1), (1024, 16), (65536, 1), (65536, 4)];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn listen(server: &Server, listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            server.serve(stream).expect("a socket and a thread");
        }
    }
}

/// One connection of the load generator: echoes, until the time is over. It reads while it writes, so
/// that nobody waits for the other with full buffers.
async fn load(
    address: SocketAddr,
    raw: bool,
    (len, window): (usize, usize),
    until: Instant,
) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(REQUEST).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let message = message(len);
    let batch = message.repeat(window);
    let echoed = message.len() - if raw { 0 } else { 4 };
    let (mut reader, mut writer) = stream.split();
    let (mut messages, mut partial, mut buffer) = (0, 0, vec![0; 256 * 1024]);
    // What is owed ends where a message does.
    let mut owed = batch.len();
    while Instant::now() < until {
        let written = owed.div_ceil(message.len()) * message.len() - owed;
        tokio::select! {
            biased;
            n = reader.read(&mut buffer) => {
                let n = n?;
                if n == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                partial += n;
                messages += (partial / echoed) as u64;
                owed += partial / echoed * message.len();
                partial %= echoed;
            }
            n = writer.write(&batch[written..written + owed.min(batch.len() - written)]), if owed > 0 => owed -= n?,
        }
    }
    Ok(messages)
}

fn loads(address: SocketAddr, raw: bool, cell: (usize, usize), time: Duration) -> u64 {
    runtime().block_on(async {
        let until = Instant::now() + time;
        let loads: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(load(address, raw, cell, until))).collect();
        let mut messages = 0;
        for load in loads {
            messages += load.await.expect("no panic").expect("no error");
        }
        messages
    })
}

/// Server CPU in nanoseconds per message.
fn measure(server: &'static Server, cell: (usize, usize), time: Duration) -> f64 {
    let (address, get_address) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let before = THREADS.load(Ordering::Relaxed);
    let thread = std::thread::spawn(move || {
        pin(0);
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address.send(listener.local_addr().expect("its address")).expect("the load is there");
            let before = thread_cpu();
            tokio::select! {
                () = listen(server, listener) => {}
                _ = stopped => {}
            }
            thread_cpu() - before
        })
    });
    let address = get_address.recv().expect("the server is there");
    let messages = loads(address, server.class == Class::Raw, cell, time);
    // The connections are closed now: a thread of a blocking server sees that and ends.
    std::thread::sleep(Duration::from_millis(20));
    let _ = stop.send(());
    let cpu = thread.join().expect("no panic") + THREADS.load(Ordering::Relaxed) - before;
    cpu as f64 / messages.max(1) as f64
}

fn serve(name: &str) {
    let server = SERVERS.iter().find(|server| server.name == name).expect("a server's name");
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("its address"));
        listen(server, listener).await;
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", name] => return serve(name),
        ["load", address, cell] => {
            let address = address.parse().expect("an address");
            let (len, window) = cell.split_once('x').expect("LENxWINDOW");
            let cell = (len.parse().expect("a number"), window.parse().expect("a number"));
            println!("{} messages", loads(address, false, cell, Duration::from_secs(1)));
            return;
        }
        _ => {}
    }
    let (mut rounds, mut time) = (5, Duration::from_millis(600));
    let (mut servers, mut cells): (Vec<&'static Server>, _) = (SERVERS.iter().collect(), CELLS.to_vec());
    for option in words.chunks(2) {
        match option {
            ["--rounds", n] => rounds = n.parse().expect("a number"),
            ["--ms", n] => time = Duration::from_millis(n.parse().expect("a number")),
            ["--server", part] => servers.retain(|server| server.name.contains(part)),
            ["--cell", cell] => cells.retain(|(len, window)| format!("{len}x{window}") == *cell),
            _ => panic!("echo [--rounds N] [--ms N] [--cell LENxWINDOW] [--server TEXT]"),
        }
    }
    pin(1);
    let mut best = vec![vec![f64::MAX; cells.len()]; servers.len()];
    for round in 0..rounds {
        for (column, &cell) in cells.iter().enumerate() {
            for turn in 0..servers.len() {
                let row = (round + turn) % servers.len();
                best[row][column] = best[row][column].min(measure(servers[row], cell, time));
            }
        }
    }
    print(&servers, &cells, &best);
}

fn print(servers: &[&Server], cells: &[(usize, usize)], best: &[Vec<f64>]) {
    println!("Server CPU, ns a message; in brackets as a multiple of the best peer's.\n");
    let cell = |(len, window): (usize, usize)| format!("{len} B, {window} in flight");
    println!("| |{}", cells.iter().map(|&at| format!(" {} |", cell(at))).collect::<String>());
    println!("|---|{}", "--:|".repeat(cells.len()));
    let mut behind = Vec::new();
    for (server, row) in servers.iter().zip(best) {
        print!("| {} |", server.name);
        for (column, cpu) in row.iter().enumerate() {
            let peers = servers.iter().zip(best).filter(|(server, _)| server.class == Class::Peer);
            let ratio = cpu / peers.map(|(_, row)| row[column]).fold(f64::NAN, f64::min);
            print!(" {cpu:.0} ({ratio:.2}x) |");
            if server.class == Class::Pushline && ratio > 1.05 {
                behind.push(format!("{}, {}: {ratio:.2}", server.name, cell(cells[column])));
            }
        }
        println!();
    }
    println!(
        "\nBehind by more than 5 %: {}.",
        if behind.is_empty() { "none".into() } else { behind.join("; ") }
    );
}
