//! fastwebsockets. It writes each frame at once.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::fastwebsockets::{FragmentCollector, Frame, Payload, Role, WebSocket};
use bytes::Bytes;

pub const ROW: Row = Row {
    name: "fastwebsockets",
    class: Class::Peer,
    receive: Some(|wire, _| Box::new(Fast::new(wire, false))),
    send: Some(|wire, client| Box::new(Fast::new(wire, client))),
};

struct Fast {
    socket: FragmentCollector<Wire>,
    client: bool,
    scratch: Vec<u8>,
}

impl Fast {
    fn new(wire: Wire, client: bool) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        let socket = FragmentCollector::new(WebSocket::after_handshake(wire, role));
        Self { socket, client, scratch: Vec::new() }
    }
}

impl Receive for Fast {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let frame = self.socket.read_frame().await.expect("valid frames");
                tally.message(&frame.payload);
            }
        });
    }
}

impl Send for Fast {
    fn send(&mut self, messages: usize, _: usize, payload: &Bytes) {
        // A client masks in place: without a copy to give away, it would allocate one.
        run(async {
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
