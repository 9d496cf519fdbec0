//! Each crate, used as its documentation recommends where speed matters.

use crate::hash;
use crate::wire::Wire;
use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use std::future::Future;
use std::hint::black_box;
use std::io::Write;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What was received.
#[derive(Default)]
pub struct Tally {
    pub messages: usize,
    pub bytes: usize,
    /// Hashed if asked for, not while time is taken.
    pub hash: Option<u64>,
}

impl Tally {
    #[inline(always)]
    fn message(&mut self, payload: &[u8]) {
        let payload = black_box(payload);
        self.messages += 1;
        self.bytes += payload.len();
        if let Some(hash) = &mut self.hash {
            *hash = hash::message(*hash, payload);
        }
    }
}

/// A server that receives.
pub trait Receive {
    fn receive(&mut self, messages: usize, tally: &mut Tally);
}

/// An end that sends binary messages.
pub trait Send {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes);
}

pub const NAMES: [&str; 4] = ["pushline", "tungstenite", "fastwebsockets", "tokio-websockets"];

pub fn receivers(wire: impl Fn() -> Wire, read: usize) -> [Box<dyn Receive>; 4] {
    use ::tungstenite::protocol::{Role, WebSocketConfig};
    [
        Box::new(Pushline::new(wire(), false, pushline::READ_SIZE)),
        // Its buffer is zero-filled for each read: "a larger buffer, e.g. 128 KiB" for large reads, a
        // smaller one, e.g. 4 KiB, else.
        Box::new(::tungstenite::WebSocket::from_raw_socket(
            wire(),
            Role::Server,
            Some(WebSocketConfig::default().read_buffer_size(read.next_power_of_two().max(4096))),
        )),
        Box::new(Fast::new(wire(), false)),
        Box::new(tokio_websockets::ServerBuilder::new().serve(wire())),
    ]
}

pub fn senders(wire: impl Fn() -> Wire, client: bool) -> [Box<dyn Send>; 4] {
    use ::tungstenite::protocol::Role;
    let role = if client { Role::Client } else { Role::Server };
    [
        Box::new(Pushline::new(wire(), client, pushline::READ_SIZE)),
        Box::new(::tungstenite::WebSocket::from_raw_socket(wire(), role, None)),
        Box::new(Fast::new(wire(), client)),
        if client {
            Box::new(tokio_websockets::ClientBuilder::new().take_over(wire()))
        } else {
            Box::new(tokio_websockets::ServerBuilder::new().serve(wire()))
        },
    ]
}

struct Pushline {
    wire: Wire,
    inbox: pushline::Inbox,
    connection: pushline::ws::Connection,
}

impl Pushline {
    fn new(wire: Wire, client: bool, read: usize) -> Self {
        use pushline::ws::{Config, Connection, Negotiated, mask::OsKeys};
        let config = Config::new();
        let connection = if client {
            Connection::client(Negotiated::default(), config, OsKeys)
        } else {
            Connection::server(Negotiated::default(), config)
        };
        Self { wire, inbox: pushline::Inbox::with_read_size(read), connection }
    }

    fn flush(&mut self) {
        let outgoing = self.connection.outgoing();
        while outgoing.has_remaining() {
            let chunk = outgoing.chunk();
            let written = if chunk.len() == outgoing.len() {
                self.wire.write(chunk)
            } else {
                let mut slices = [std::io::IoSlice::new(&[]); 32];
                let count = outgoing.chunks_vectored(&mut slices);
                self.wire.write_vectored(&slices[..count])
            };
            outgoing.advance(written.expect("memory"));
        }
    }
}

impl Receive for Pushline {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        use pushline::ws::Event;
        while tally.messages < messages {
            match self.connection.next_event(&mut self.inbox).expect("valid frames") {
                Some(Event::Text(text)) => tally.message(text.as_bytes()),
                Some(Event::Binary(payload)) => tally.message(payload),
                Some(event) => panic!("{event:?}"),
                None => {
                    let n = std::io::Read::read(&mut self.wire, self.inbox.space()).expect("memory");
                    self.inbox.filled(n);
                }
            }
        }
    }
}

impl Send for Pushline {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        // The peers write out by themselves above 8 KiB (tokio-websockets) or 128 KiB (tungstenite).
        let full = 64 * 1024;
        for n in 1..=messages {
            let sent = if payload.len() < 4096 {
                self.connection.send(&payload[..])
            } else {
                self.connection.send(payload.clone())
            };
            sent.expect("open");
            if n % flush_every == 0 || self.connection.queued() > full {
                self.flush();
            }
        }
    }
}

impl Receive for ::tungstenite::WebSocket<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        use ::tungstenite::Message;
        while tally.messages < messages {
            match self.read().expect("valid frames") {
                Message::Text(text) => tally.message(text.as_str().as_bytes()),
                Message::Binary(payload) => tally.message(&payload),
                message => panic!("{message:?}"),
            }
        }
    }
}

impl Send for ::tungstenite::WebSocket<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        for n in 1..=messages {
            self.write(::tungstenite::Message::Binary(payload.clone())).expect("open");
            if n % flush_every == 0 {
                self.flush().expect("memory");
            }
        }
    }
}

struct Fast {
    socket: fastwebsockets::FragmentCollector<Wire>,
    client: bool,
    scratch: Vec<u8>,
}

impl Fast {
    fn new(wire: Wire, client: bool) -> Self {
        use fastwebsockets::{FragmentCollector, Role, WebSocket};
        let role = if client { Role::Client } else { Role::Server };
        let socket = FragmentCollector::new(WebSocket::after_handshake(wire, role));
        Self { socket, client, scratch: Vec::new() }
    }
}

impl Receive for Fast {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        ready(async {
            while tally.messages < messages {
                let frame = self.socket.read_frame().await.expect("valid frames");
                tally.message(&frame.payload);
            }
        });
    }
}

impl Send for Fast {
    fn send(&mut self, messages: usize, _: usize, payload: &Bytes) {
        use fastwebsockets::{Frame, Payload};
        // It writes each frame at once. A client masks in place: without a copy to give away, it
        // would allocate one.
        ready(async {
            for _ in 0..messages {
                let payload = if self.client {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(payload);
                    Payload::BorrowedMut(&mut self.scratch)
                } else {
                    Payload::Borrowed(payload)
                };
                self.socket.write_frame(Frame::binary(payload)).await.expect("memory");
            }
        });
    }
}

impl Receive for tokio_websockets::WebSocketStream<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        ready(async {
            while tally.messages < messages {
                let message = self.next().await.expect("no end").expect("valid frames");
                tally.message(message.as_payload());
            }
        });
    }
}

impl Send for tokio_websockets::WebSocketStream<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        ready(async {
            for n in 1..=messages {
                self.feed(tokio_websockets::Message::binary(payload.clone())).await.expect("open");
                if n % flush_every == 0 {
                    self.flush().await.expect("memory");
                }
            }
            self.flush().await.expect("memory");
        });
    }
}

/// Runs a future that never waits.
fn ready(future: impl Future<Output = ()>) {
    let Poll::Ready(()) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("memory never makes one wait");
    };
}
