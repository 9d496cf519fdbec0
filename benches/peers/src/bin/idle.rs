//! Memory that an idle connection takes: a server in a process of its own, what its resident set grew by
//! for each of many connections, after the handshake and after an echo of 1 KiB.
//!
//! `idle [--connections N] [--server TEXT]`. The server is a spawned task a connection: accept, then
//! next and send, as in `echo`. The limit of open files is raised as far as allowed; with fewer than asked
//! for, there are as many connections as it lets.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it opens sockets and waits")]

use pushline_peers::servers::{FUTURE, REQUEST, SERVERS, Server, message};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

const DEFAULT: [&str; 9] = [
    "pushline tokio",
    "pushline split",
    "pushline outbox",
    "fastwebsockets",
    "tokio-tungstenite",
    "tokio-websockets",
    "yawc",
    "sockudo-ws",
    "hand-written",
];

/// Raises the limit of open files; gives what it is then.
fn open_files() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    if raised { maximum } else { current }.map_or(usize::MAX, |files| files as usize)
}

fn serve(server: &Server) -> io::Result<()> {
    open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        let listener = socket.listen(4096)?;
        println!("{}", listener.local_addr()?);
        let mut first = true;
        loop {
            server.serve(listener.accept().await?.0)?;
            if std::mem::take(&mut first) {
                println!("{}", FUTURE.load(Ordering::Relaxed));
            }
        }
    })
}

/// The server's process, ended with this value.
struct Process(Child);

impl Process {
    /// Bytes of its resident set.
    fn resident(&self) -> io::Result<usize> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id()))?;
        let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        Ok(pages * rustix::param::page_size())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection that has done the handshake.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(REQUEST)?;
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(stream)
}

fn echo(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    let mut echoed = vec![0; message.len() - 4];
    stream.read_exact(&mut echoed)
}

/// Bytes a connection after the handshake and after an echo, and what the spawned future takes.
fn measure(server: &Server, connections: usize) -> io::Result<(f64, f64, String)> {
    let mut child =
        Command::new(std::env::current_exe()?).args(["serve", server.name]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
    let process = Process(child);
    let mut line = || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let port = line()?.parse::<SocketAddr>().map_err(io::Error::other)?.port();
    // Ports run out: 20,000 connections for each address of the server.
    let address = |n: usize| SocketAddr::from(([127, 0, 0, 1 + (n / 20_000) as u8], port));
    let message = message(1024);
    // What the first connections allocate for all is not counted.
    for _ in 0..16 {
        echo(&mut connect(address(0))?, &message)?;
    }
    let future = line()?;
    let settle = || std::thread::sleep(Duration::from_millis(300));
    settle();
    let before = process.resident()?;
    let mut streams = Vec::with_capacity(connections);
    for n in 0..connections {
        let stream = connect(address(n));
        streams.push(stream.map_err(|error| io::Error::new(error.kind(), format!("{n}: {error}")))?);
    }
    settle();
    let connected = process.resident()?;
    for stream in &mut streams {
        echo(stream, &message)?;
    }
    settle();
    let echoed = process.resident()?;
    let each = |bytes: usize| bytes.saturating_sub(before) as f64 / connections as f64;
    Ok((each(connected), each(echoed), future))
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", name] = words[..] {
        return serve(SERVERS.iter().find(|server| server.name == name).ok_or(io::ErrorKind::NotFound)?);
    }
    let mut connections = 10_000;
    let mut servers: Vec<&Server> = SERVERS.iter().filter(|server| DEFAULT.contains(&server.name)).collect();
    for option in words.chunks(2) {
        match option {
            ["--connections", n] => connections = n.parse().map_err(io::Error::other)?,
            ["--server", part] => servers.retain(|server| server.name.contains(part)),
            _ => panic!("idle [--connections N] [--server TEXT]"),
        }
    }
    let connections = connections.min(open_files().saturating_sub(100));
    println!("{connections} connections, bytes each (growth of the resident set):\n");
    println!("| | after the handshake | after an echo of 1 KiB | the spawned future |");
    println!("|---|--:|--:|--:|");
    for server in servers {
        let (connected, echoed, future) = measure(server, connections)?;
        println!("| {} | {connected:.0} | {echoed:.0} | {future} |", server.name);
    }
    Ok(())
}
