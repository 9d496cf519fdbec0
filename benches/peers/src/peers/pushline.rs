//! pushline: the state machine with lent and with owned messages, and both adapters.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use bytes::{Buf, Bytes};
use pushline::adapter::{Options, blocking, tokio};
use pushline::ws::OsKeys;
use pushline::ws::{Connection, ConnectionOptions, Event, Negotiated, Outbound, Role};
use pushline::{Inbox, READ_SIZE};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

pub const CORE: Row = Row {
    name: "pushline core",
    class: Class::Core,
    receive: Some(|wire, _| {
        Box::new(Core { wire, inbox: Inbox::with_read_size(READ_SIZE), connection: connection(false) })
    }),
    send: Some(|wire, client| {
        Box::new(Core { wire, inbox: Inbox::with_read_size(READ_SIZE), connection: connection(client) })
    }),
};

pub const OWNED: Row = Row {
    name: "pushline owned",
    class: Class::Adapter,
    receive: Some(|wire, _| {
        Box::new(Owned { wire, inbox: Inbox::with_read_size(READ_SIZE), connection: connection(false) })
    }),
    send: None,
};

pub const TOKIO: Row = Row {
    name: "pushline tokio",
    class: Class::Adapter,
    receive: Some(|wire, _| {
        Box::new(run(async { tokio::WebSocket::server(wire, Negotiated::default(), &Options::new()) }))
    }),
    send: Some(|wire, client| {
        let (negotiated, options) = (Negotiated::default(), Options::new());
        Box::new(run(async {
            if client {
                tokio::WebSocket::client(wire, negotiated, &options)
            } else {
                tokio::WebSocket::server(wire, negotiated, &options)
            }
        }))
    }),
};

pub const BLOCKING: Row = Row {
    name: "pushline blocking",
    class: Class::Adapter,
    receive: Some(|wire, _| {
        Box::new(blocking::WebSocket::server(wire, Negotiated::default(), &Options::new()))
    }),
    send: Some(|wire, client| {
        let (negotiated, options) = (Negotiated::default(), Options::new());
        Box::new(if client {
            blocking::WebSocket::client(wire, negotiated, &options)
        } else {
            blocking::WebSocket::server(wire, negotiated, &options)
        })
    }),
};

/// Below this length a copy costs less than a piece of its own, in memory.
const SHORT: usize = 512;

/// From this length on payloads are handed over.
const BY_REFERENCE: usize = 4096;

/// A small payload is copied into the queue, a large one handed over.
fn outbound(payload: &Bytes) -> Outbound<'_> {
    if payload.len() < BY_REFERENCE { Outbound::from(&payload[..]) } else { Outbound::from(payload.clone()) }
}

fn connection(client: bool) -> Connection {
    let (negotiated, config) = (Negotiated::default(), ConnectionOptions::new());
    if client {
        Connection::client(negotiated, config, OsKeys)
    } else {
        Connection::server(negotiated, config)
    }
}

struct Core {
    wire: Wire,
    inbox: Inbox,
    connection: Connection,
}

impl Core {
    fn flush(&mut self) {
        let outgoing = self.connection.outgoing();
        while outgoing.has_remaining() {
            let chunk = outgoing.chunk();
            let written = if chunk.len() == outgoing.len() {
                self.wire.write(chunk)
            } else {
                let mut slices = [IoSlice::new(&[]); 32];
                let count = outgoing.chunks_vectored(&mut slices);
                self.wire.write_vectored(&slices[..count])
            };
            outgoing.advance(written.expect("memory"));
        }
    }
}

impl Receive for Core {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        while tally.messages < messages {
            match self.connection.next_event(&mut self.inbox).expect("valid frames") {
                Some(Event::Text(text)) => tally.message(text.as_bytes()),
                Some(Event::Binary(payload)) => tally.message(payload),
                Some(event) => panic!("{event:?}"),
                None => read(&mut self.wire, &mut self.inbox),
            }
        }
    }
}

impl Send for Core {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        // The peers write out by themselves above 8 KiB (tokio-websockets) or 128 KiB (tungstenite).
        let full = 64 * 1024;
        // A client's message is copied in any case, and a server's queued while that costs less than a piece of its own; one that
        // is written by itself, and short, needs no queue, and a long one that is full.
        let alone = flush_every == 1;
        let through = match self.connection.role() {
            Role::Client => alone && payload.len() <= 125 || payload.len() > full,
            Role::Server => alone || payload.len() >= SHORT,
        };
        for n in 1..=messages {
            let Self { wire, connection, .. } = self;
            if through {
                let write = |head: &[u8], payload: &[u8]| {
                    let slices = [IoSlice::new(head), IoSlice::new(payload)];
                    wire.write_vectored(&slices[..2 - usize::from(payload.is_empty())]).expect("memory")
                };
                connection.send_through(&payload[..], 0, write).expect("open");
            } else {
                connection.send(&payload[..]).expect("open");
            }
            if n % flush_every == 0 || connection.queued() > full {
                self.flush();
            }
        }
    }
}

struct Owned {
    wire: Wire,
    inbox: Inbox,
    connection: Connection,
}

impl Receive for Owned {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        while tally.messages < messages {
            if let Some(message) = self.connection.next_owned(&mut self.inbox).expect("valid frames") {
                tally.message(message.payload());
            } else {
                read(&mut self.wire, &mut self.inbox);
            }
        }
    }
}

/// Reads while there is more and too little to be worth a look, as the adapter over tokio does.
fn read(wire: &mut Wire, inbox: &mut Inbox) {
    let mut received = 0;
    loop {
        let n = wire.read(inbox.space()).expect("memory");
        inbox.filled(n);
        received += n;
        if inbox.needed() == 0 || received >= READ_SIZE {
            return;
        }
    }
}

impl Receive for tokio::WebSocket<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let message = self.next().await.expect("no end").expect("valid frames");
                tally.message(message.payload());
            }
        });
    }
}

impl Send for tokio::WebSocket<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        run(async {
            for n in 1..=messages {
                // A small payload is copied into the queue, a large one written from where it lies, whoever owns it.
                if flush_every == 1 {
                    tokio::WebSocket::send(self, &payload[..]).await.expect("open");
                } else {
                    self.feed(&payload[..]).await.expect("open");
                }
                if flush_every > 1 && n % flush_every == 0 {
                    self.flush().await.expect("memory");
                }
            }
        });
    }
}

impl blocking::Transport for Wire {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

impl Receive for blocking::WebSocket<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        while tally.messages < messages {
            let message = self.next().expect("valid frames").expect("no end");
            tally.message(message.payload());
        }
    }
}

impl Send for blocking::WebSocket<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        for n in 1..=messages {
            if flush_every == 1 {
                blocking::WebSocket::send(self, outbound(payload)).expect("open");
                continue;
            }
            self.feed(outbound(payload)).expect("open");
            if n % flush_every == 0 {
                self.flush().expect("memory");
            }
        }
    }
}
