//! WebSockets on another runtime, smol, from the machines alone: a socket of one's own in one file, for both roles, with the
//! handshake, pings, deadlines and the closing handshake. The example is an echo server on it.
//!
//! `cargo run --example smol_echo -- 127.0.0.1:9001`
#![allow(clippy::disallowed_methods)] // a program may read the clock

use bytes::Buf;
use pushline::Inbox;
use pushline::ws::handshake::{
    ClientHandshake, ClientOptions, Decide, Opening, OpeningStep, ServerOptions, Uri,
};
use pushline::ws::{
    Connection, ConnectionOptions, End, Life, Message, Outbound, Side, Step, Times, UsageError,
};
use pushline::ws::{Negotiated, OsKeys};
use smol::Timer;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::TcpListener;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// So many messages are kept while one is written; then only that goes on.
const MAX_WAITING: usize = 64;

/// A WebSocket over any stream of smol's.
pub struct Socket<S> {
    stream: S,
    inbox: Inbox,
    connection: Connection,
    life: Life<Instant>,
    timer: Timer,
    /// Messages that came while something was written.
    waiting: VecDeque<Message>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A server's handshake.
    pub async fn accept(stream: S, options: &ServerOptions) -> io::Result<Self> {
        let decide: Decide = |_, _| Ok(());
        Self::open(stream, Opening::server(options, decide), |agreed| {
            Connection::server(agreed, ConnectionOptions::new())
        })
        .await
    }

    /// A client's.
    pub async fn connect(stream: S, uri: &Uri) -> io::Result<Self> {
        let client = ClientHandshake::new(ClientOptions::new(), uri, pushline::adapter::nonce()?);
        let make = |agreed| Connection::client(agreed, ConnectionOptions::new(), OsKeys);
        Self::open(stream, Opening::client(client), make).await
    }

    async fn open(
        mut stream: S,
        mut opening: Opening<'_, Instant>,
        make: impl FnOnce(Negotiated) -> Connection,
    ) -> io::Result<Self> {
        let mut inbox = Inbox::with_read_size(pushline::READ_SIZE);
        loop {
            let step = opening.step(&mut inbox, Instant::now());
            let until = opening.deadline();
            let done = async {
                match step {
                    OpeningStep::Read => match stream.read(inbox.space()).await? {
                        0 => opening.receive_eof(),
                        n => inbox.filled(n),
                    },
                    OpeningStep::Write => {
                        let n = stream.write(opening.outgoing()).await?;
                        opening.written(n);
                    }
                    OpeningStep::Flush => {
                        stream.flush().await?;
                        opening.flushed();
                    }
                    OpeningStep::Shutdown => {
                        stream.close().await?;
                        opening.shut_down();
                    }
                    OpeningStep::Done => return Ok(true),
                }
                io::Result::Ok(false)
            };
            // At the deadline it goes on: the machine says what follows.
            let timeout = async {
                until.map_or_else(Timer::never, Timer::at).await;
                Ok(false)
            };
            if smol::future::or(done, timeout).await? {
                break;
            }
        }
        let opened = opening.finish().map_err(io::Error::other)?;
        let connection = make(opened.negotiated);
        let life = Life::new(Times::new(), connection.role(), Instant::now());
        Ok(Self { stream, inbox, connection, life, timer: Timer::never(), waiting: VecDeque::new() })
    }

    /// The next message; at the end, how it ended.
    pub async fn next(&mut self) -> Result<Message, End> {
        match self.waiting.pop_front() {
            Some(message) => Ok(message),
            None => poll_fn(|cx| self.poll(Side::Reading, cx)).await,
        }
    }

    /// Sends, and waits until it is written. What comes meanwhile is kept, within a bound: two peers that both send would
    /// otherwise wait for each other.
    pub async fn send(&mut self, message: impl Into<Outbound<'_>>) -> Result<(), UsageError> {
        self.connection.send(message)?;
        poll_fn(|cx| {
            while self.connection.queued() > 0 {
                let mut done = self.poll(Side::Writing, cx);
                // Read only while the peer takes nothing: a close frame is answered at once, and ends sending.
                if done.is_pending() && self.connection.queued() > 0 && self.waiting.len() < MAX_WAITING {
                    done = self.poll(Side::Reading, cx);
                }
                match done {
                    Poll::Ready(Ok(message)) => self.waiting.push_back(message),
                    // Meanwhile it may have left, and the connection have ended after it.
                    _ if self.connection.queued() == 0 => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(UsageError::Closed)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Says goodbye; the end comes with [`next`](Self::next).
    pub fn close(&mut self, code: u16) -> Result<(), UsageError> {
        self.connection.close(code, "")
    }

    /// Does what the machine says until there is a message, or nothing more can be done.
    fn poll(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Result<Message, End>> {
        let Self { stream, inbox, connection, life, timer, .. } = self;
        life.ready();
        loop {
            if side == Side::Reading && !life.drains() {
                match connection.next_owned(inbox) {
                    Ok(Some(message)) => {
                        life.sync(connection.sender());
                        return Poll::Ready(Ok(message));
                    }
                    Ok(None) => {}
                    Err(fault) => life.failed(fault),
                }
            }
            life.sync(connection.sender());
            match life.step(side) {
                Step::Write => match Pin::new(&mut *stream).poll_write(cx, connection.outgoing().chunk()) {
                    Poll::Ready(Ok(n)) => {
                        connection.outgoing().advance(n);
                        life.written();
                    }
                    Poll::Ready(Err(_)) => life.write_failed(),
                    Poll::Pending => life.write_blocked(),
                },
                step @ (Step::Read | Step::Drain) => {
                    match Pin::new(&mut *stream).poll_read(cx, inbox.space()) {
                        Poll::Ready(Ok(0)) => {
                            life.eof();
                            connection.receive_eof();
                        }
                        Poll::Ready(Ok(n)) => {
                            inbox.filled(n);
                            life.received(n);
                            if step == Step::Drain {
                                inbox.clear();
                            }
                        }
                        Poll::Ready(Err(_)) => life.read_failed(),
                        Poll::Pending => life.read_blocked(),
                    }
                }
                Step::Ping => {
                    let _ = connection.ping(b""); // Closed: then nobody needs it
                    life.pinged();
                }
                Step::Shutdown => match Pin::new(&mut *stream).poll_close(cx) {
                    Poll::Ready(_) => life.shut(),
                    Poll::Pending => life.write_blocked(),
                },
                Step::Clock => life.tick(side, Instant::now()),
                Step::Wait(until) => {
                    if let Some(until) = until {
                        timer.set_at(until);
                        if Pin::new(&mut *timer).poll(cx).is_ready() {
                            life.tick(side, Instant::now());
                            life.ready();
                            continue;
                        }
                    }
                    return Poll::Pending;
                }
                Step::Over(end) => return Poll::Ready(Err(end)),
                step => unreachable!("{step:?}: a machine of a later version"),
            }
        }
    }
}

/// Says back what it hears, until the connection ends.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<End> {
    let mut socket = Socket::accept(stream, &ServerOptions::new()).await?;
    loop {
        match socket.next().await {
            Ok(message) if message.is_data() => socket.send(message).await.map_err(io::Error::other)?,
            Ok(_) => {} // pings and closes are answered already
            Err(end) => return Ok(end),
        }
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".to_owned());
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind(address).await?;
        println!("echo on ws://{}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            let task = async move {
                match echo(stream).await {
                    Ok(end) => println!("{peer}: {end:?}"),
                    Err(error) => println!("{peer}: {error}"),
                }
            };
            executor.spawn(task).detach();
        }
    }))
}
