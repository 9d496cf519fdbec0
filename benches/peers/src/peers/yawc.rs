//! yawc, tuned as in its own comparison: a read buffer of 128 KiB and a write boundary of 64 KiB.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::yawc::{Frame, OpCode, Options, Role, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt;

pub const ROW: Row = Row {
    name: "yawc",
    class: Class::Peer,
    receive: Some(|wire, _| Box::new(socket(wire, Role::Server))),
    send: Some(|wire, client| Box::new(socket(wire, if client { Role::Client } else { Role::Server }))),
};

fn socket(wire: Wire, role: Role) -> WebSocket<Wire> {
    let options = Options::default()
        .with_utf8()
        .with_limits(16 << 20, 32 << 20)
        .with_read_buffer_capacity(128 * 1024)
        .with_backpressure_boundary(64 * 1024);
    WebSocket::from_stream(wire, role, options).expect("no extensions")
}

impl Receive for WebSocket<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let frame = self.next_frame().await.expect("valid frames");
                assert!(matches!(frame.opcode(), OpCode::Text | OpCode::Binary));
                tally.message(frame.payload());
            }
        });
    }
}

impl Send for WebSocket<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        run(async {
            for n in 1..=messages {
                self.feed(Frame::binary(payload.clone())).await.expect("open");
                if n % flush_every == 0 {
                    self.flush().await.expect("memory");
                }
            }
        });
    }
}
