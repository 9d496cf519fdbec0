//! An echo server on an event loop of its own: many connections, one thread, no runtime. What a loop over epoll, kqueue
//! or io_uring does when a socket is ready, this one does by asking all of them in turn.
//!
//! `cargo run --release --example own_loop -- 127.0.0.1:9001`
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program may read the clock and use sockets

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Buf;
use pushline::Inbox;
use pushline::heartbeat::{
    Beat, CLOSE_TIMEOUT, Deadline, HANDSHAKE_TIMEOUT, Heartbeat, PING_INTERVAL, PING_TIMEOUT,
};
use pushline::http1::head::{Reader, Slots};
use pushline::ws::handshake::{Rejection, ServerOptions, accept_request};
use pushline::ws::{Config, Connection, Event, State, UsageError};

/// The most reads in a turn, so that a client that never stops does not keep the others waiting.
const READS: usize = 16;

/// One client, whose socket does not block.
struct Client {
    socket: TcpStream,
    inbox: Inbox,
    stage: Stage,
    heartbeat: Heartbeat<Instant>,
    /// For the opening handshake, then for the closing one.
    deadline: Deadline<Instant>,
}

enum Stage {
    /// The request is being read.
    Handshake(Reader),
    Open(Connection),
    /// The answer that is still to be written.
    Refused(Vec<u8>),
    /// All was written. What still comes is read and dropped: closing with bytes unread would make the operating system
    /// reset the connection, and the client lose our last ones.
    Draining,
    Over,
}

impl Client {
    fn new(socket: TcpStream, options: &ServerOptions, now: Instant) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            inbox: Inbox::new(),
            stage: Stage::Handshake(options.reader()),
            heartbeat: Heartbeat::new(PING_INTERVAL, PING_TIMEOUT, now),
            deadline: Deadline::new(now, HANDSHAKE_TIMEOUT),
        })
    }

    /// The socket can be read. Each read is answered with one write.
    fn readable(&mut self, options: &ServerOptions, now: Instant) -> io::Result<()> {
        for _ in 0..READS {
            let Some(n) = ready(self.socket.read(self.inbox.space()))? else { break };
            self.inbox.filled(n);
            self.heartbeat.touch(now);
            if let Stage::Handshake(reader) = &mut self.stage {
                match answer(reader, &self.inbox, options) {
                    Ok(Some((connection, length))) => {
                        self.inbox.consume(length);
                        self.stage = Stage::Open(connection);
                        self.deadline = Deadline::default();
                    }
                    Ok(None) => {}
                    Err(rejection) => self.stage = Stage::Refused(rejection.to_bytes()),
                }
            }
            match &mut self.stage {
                Stage::Open(connection) => {
                    if echo(connection, &mut self.inbox).is_err() {
                        self.stage = Stage::Over;
                        break;
                    }
                    if n == 0 {
                        connection.receive_eof();
                    }
                }
                _ if n == 0 => self.stage = Stage::Over,
                Stage::Refused(_) | Stage::Draining => self.inbox.clear(),
                Stage::Handshake(_) | Stage::Over => {}
            }
            self.writable(now)?;
            if n == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The socket can be written.
    fn writable(&mut self, now: Instant) -> io::Result<()> {
        match &mut self.stage {
            Stage::Open(connection) => {
                while connection.outgoing().has_remaining() {
                    let Some(n) = ready(self.socket.write(connection.outgoing().chunk()))? else { break };
                    connection.outgoing().advance(n);
                }
                if connection.state() != State::Open {
                    self.deadline.start(now, CLOSE_TIMEOUT);
                }
                if connection.is_finished() {
                    self.drain(now)?;
                }
            }
            Stage::Refused(response) => {
                if let Some(n) = ready(self.socket.write(response))? {
                    response.drain(..n);
                }
                if response.is_empty() {
                    self.drain(now)?;
                }
            }
            Stage::Handshake(_) | Stage::Draining | Stage::Over => {}
        }
        Ok(())
    }

    fn drain(&mut self, now: Instant) -> io::Result<()> {
        self.stage = Stage::Draining;
        self.deadline.start(now, CLOSE_TIMEOUT);
        self.socket.shutdown(Shutdown::Write)
    }

    /// When [`tick`](Self::tick) is to be called: for how long a loop may sleep.
    fn next_deadline(&self) -> Instant {
        let beat = self.heartbeat.next_deadline();
        self.deadline.next_deadline().map_or(beat, |deadline| deadline.min(beat))
    }

    /// Time has passed.
    fn tick(&mut self, now: Instant) -> io::Result<()> {
        if self.deadline.is_over(now) {
            self.stage = Stage::Over;
        }
        match self.heartbeat.poll(now) {
            Some(Beat::Send) => {
                if let Stage::Open(connection) = &mut self.stage {
                    let _ = connection.ping(&[]); // or Full: then it has enough to read
                }
                self.writable(now)
            }
            Some(_) => {
                self.stage = Stage::Over;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The connection, whose first bytes to write are the response, and the length of the request; `None` until that is whole.
fn answer(
    reader: &mut Reader,
    inbox: &Inbox,
    options: &ServerOptions,
) -> Result<Option<(Connection, usize)>, Rejection> {
    let mut slots = Slots::new();
    let Some(head) = reader.read_request(inbox.unread(), &mut slots)? else { return Ok(None) };
    let accepted = accept_request(options, &head)?;
    Ok(Some((accepted.connection(Config::new()), head.len())))
}

/// What the server is for. An error is a client that goes on sending and does not read.
fn echo(connection: &mut Connection, inbox: &mut Inbox) -> Result<(), UsageError> {
    // The peer's fault ends the loop, too: the close frame that says so is queued then.
    while let Ok(Some(event)) = connection.next_event(inbox) {
        let sent = match event {
            Event::Text(text) => connection.send(text),
            Event::Binary(payload) => connection.send(payload),
            _ => Ok(()), // pings and closes are answered already
        };
        match sent {
            Ok(()) | Err(UsageError::Closed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `None` if the socket is not ready.
fn ready(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address)?;
    listener.set_nonblocking(true)?;
    println!("echo on ws://{}", listener.local_addr()?);
    let options = ServerOptions::new();
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let now = Instant::now();
        match listener.accept() {
            Ok((socket, _)) => clients.push(Client::new(socket, &options, now)?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => eprintln!("{error}"),
        }
        clients.retain_mut(|client| {
            let mut serve = || {
                client.readable(&options, now)?;
                client.writable(now)?;
                if client.next_deadline() <= now { client.tick(now) } else { Ok(()) }
            };
            // A client that is lost is dropped, and that is all.
            serve().is_ok() && !matches!(client.stage, Stage::Over)
        });
        // In place of this, a real loop sleeps until a socket is ready or the first deadline is there.
        std::thread::sleep(Duration::from_millis(1));
    }
}
