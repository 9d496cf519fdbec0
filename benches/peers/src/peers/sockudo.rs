//! sockudo-ws: its stream over tokio, and the state machine that its documentation calls the
//! "zero-allocation hot path".

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::{SEGMENT, Wire};
use ::sockudo_ws::protocol::Protocol;
use ::sockudo_ws::{Config, Message, Role, WebSocketStream};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use std::io::Write;

pub const STREAM: Row = Row {
    name: "sockudo-ws",
    class: Class::Peer,
    receive: Some(|wire, _| Box::new(run(async { WebSocketStream::server(wire, Config::default()) }))),
    send: Some(|wire, client| {
        Box::new(run(async {
            if client {
                WebSocketStream::client(wire, Config::default())
            } else {
                WebSocketStream::server(wire, Config::default())
            }
        }))
    }),
};

pub const PROTOCOL: Row = Row {
    name: "sockudo-ws Protocol",
    class: Class::Bare,
    receive: Some(|wire, read| Box::new(Bare::new(wire, Role::Server, read))),
    send: Some(|wire, client| Box::new(Bare::new(wire, if client { Role::Client } else { Role::Server }, 0))),
};

impl Receive for WebSocketStream<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let message = self.next().await.expect("no end").expect("valid frames");
                tally.message(message.as_bytes());
            }
        });
    }
}

impl Send for WebSocketStream<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        run(async {
            for n in 1..=messages {
                self.feed(Message::Binary(payload.clone())).await.expect("open");
                if n % flush_every == 0 {
                    self.flush().await.expect("memory");
                }
            }
        });
    }
}

struct Bare {
    wire: Wire,
    read: usize,
    buffer: BytesMut,
    protocol: Protocol,
    messages: Vec<Message>,
}

impl Bare {
    fn new(wire: Wire, role: Role, read: usize) -> Self {
        let protocol = Protocol::new(role, 16 << 20, 64 << 20);
        Self { wire, read, buffer: BytesMut::new(), protocol, messages: Vec::new() }
    }
}

impl Receive for Bare {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        while tally.messages < messages {
            self.buffer.reserve(self.read);
            for segment in self.wire.next_read(self.read).chunks(SEGMENT) {
                self.buffer.extend_from_slice(segment);
            }
            self.protocol.process_into(&mut self.buffer, &mut self.messages).expect("valid frames");
            for message in self.messages.drain(..) {
                tally.message(message.as_bytes());
            }
        }
    }
}

impl Send for Bare {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        for n in 1..=messages {
            let message = Message::Binary(payload.clone());
            self.protocol.encode_message(&message, &mut self.buffer).expect("open");
            if n % flush_every == 0 || self.buffer.len() > 64 * 1024 {
                self.wire.write_all(&self.buffer).expect("memory");
                self.buffer.clear();
            }
        }
    }
}
