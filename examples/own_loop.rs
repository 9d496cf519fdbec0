//! An echo server on an event loop of its own: many connections, one thread, no runtime. What a loop over epoll, kqueue
//! or io_uring does when a socket is ready, this one does by asking all of them in turn.
//!
//! `cargo run --release --example own_loop -- 127.0.0.1:9001`
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program may read the clock and use sockets

use bytes::Buf;
use pushline::Inbox;
use pushline::ws::handshake::{Decide, Opening, OpeningStep, ServerOptions};
use pushline::ws::{Connection, ConnectionOptions, Event, Life, Side, Step, Times, UsageError};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// One client, whose socket does not block.
struct Client<'a> {
    socket: TcpStream,
    inbox: Inbox,
    opening: Option<Opening<'a, Instant>>,
    open: Option<(Connection, Life<Instant>)>,
}

impl Client<'_> {
    /// Does all that can be done now. Until when the client may then be left alone; `None` if it is done with.
    fn turn(&mut self, now: Instant) -> io::Result<Option<Instant>> {
        while let Some(opening) = &mut self.opening {
            let done = match opening.step(&mut self.inbox, now) {
                OpeningStep::Read => self.socket.read(self.inbox.space()).map(|n| match n {
                    0 => opening.receive_eof(),
                    n => self.inbox.filled(n),
                }),
                OpeningStep::Write => self.socket.write(opening.outgoing()).map(|n| opening.written(n)),
                OpeningStep::Flush => self.socket.flush().map(|()| opening.flushed()),
                OpeningStep::Shutdown => self.socket.shutdown(Shutdown::Write).map(|()| opening.shut_down()),
                OpeningStep::Done => {
                    let opened = self.opening.take().and_then(|opening| opening.finish().ok());
                    self.open = opened.map(|opened| {
                        let connection = Connection::server(opened.negotiated, ConnectionOptions::new());
                        let life = Life::new(Times::new(), connection.role(), now);
                        (connection, life)
                    });
                    continue;
                }
            };
            match done {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(opening.deadline()),
                done => done?,
            }
        }
        let Some((connection, life)) = &mut self.open else { return Ok(None) };
        life.ready();
        loop {
            echo(connection, &mut self.inbox, life)?;
            life.sync(connection.sender());
            match life.step(Side::Reading) {
                Step::Write => match self.socket.write(connection.outgoing().chunk()) {
                    Ok(n) => {
                        connection.outgoing().advance(n);
                        life.written();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => life.write_blocked(),
                    Err(_) => life.write_failed(),
                },
                step @ (Step::Read | Step::Drain) => match self.socket.read(self.inbox.space()) {
                    Ok(0) => {
                        life.eof();
                        connection.receive_eof();
                    }
                    Ok(n) => {
                        self.inbox.filled(n);
                        life.received(n);
                        if step == Step::Drain {
                            self.inbox.clear();
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => life.read_blocked(),
                    Err(_) => life.read_failed(),
                },
                Step::Ping => {
                    connection.ping(b"").map_err(io::Error::other)?;
                    life.pinged();
                }
                Step::Shutdown => {
                    self.socket.shutdown(Shutdown::Write)?;
                    life.shut();
                }
                Step::Wait(Some(until)) if until > now => return Ok(Some(until)),
                Step::Clock | Step::Wait(_) => life.tick(Side::Reading, now),
                _ => return Ok(None), // it is over
            }
        }
    }
}

/// What the server is for. An error is a client that goes on sending and does not read.
fn echo(connection: &mut Connection, inbox: &mut Inbox, life: &mut Life<Instant>) -> io::Result<()> {
    while !life.drains() {
        let sent = match connection.next_event(inbox) {
            Ok(Some(Event::Text(text))) => connection.send(text),
            Ok(Some(Event::Binary(payload))) => connection.send(payload),
            Ok(Some(_)) => Ok(()), // pings and closes are answered already
            Ok(None) => break,
            Err(fault) => {
                life.failed(fault);
                Ok(())
            }
        };
        match sent {
            Ok(()) | Err(UsageError::Closed) => life.sync(connection.sender()),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("echo on ws://{}", listener.local_addr()?);
    serve(&listener)
}

/// Serves all who connect, for ever.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let options = ServerOptions::new();
    let mut clients: Vec<Client<'_>> = Vec::new();
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                let opening = Some(Opening::server(&options, (|_, _| Ok(())) as Decide));
                clients.push(Client { socket, inbox: Inbox::new(), opening, open: None });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => eprintln!("{error}"),
        }
        // A client that is lost is dropped, and that is all.
        let now = Instant::now();
        clients.retain_mut(|client| matches!(client.turn(now), Ok(Some(_))));
        // In place of this, a real loop sleeps until a socket is ready or the first instant is there.
        std::thread::sleep(Duration::from_millis(1));
    }
}
