//! tungstenite, blocking. Its read buffer is zero-filled for each read: "a larger buffer, e.g. 128
//! KiB" for large reads, a smaller one, e.g. 4 KiB, else.

use super::{Class, Receive, Row, Send, Tally};
use crate::wire::Wire;
use ::tungstenite::protocol::{Role, WebSocketConfig};
use ::tungstenite::{Message, WebSocket};
use bytes::Bytes;

pub const ROW: Row = Row {
    name: "tungstenite",
    class: Class::Peer,
    receive: Some(|wire, read| {
        let config = WebSocketConfig::default().read_buffer_size(read.next_power_of_two().max(4096));
        Box::new(WebSocket::from_raw_socket(wire, Role::Server, Some(config)))
    }),
    send: Some(|wire, client| {
        let role = if client { Role::Client } else { Role::Server };
        Box::new(WebSocket::from_raw_socket(wire, role, None))
    }),
};

impl Receive for WebSocket<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        while tally.messages < messages {
            match self.read().expect("valid frames") {
                Message::Text(text) => tally.message(text.as_str().as_bytes()),
                Message::Binary(payload) => tally.message(&payload),
                message => panic!("{message:?}"),
            }
        }
    }
}

impl Send for WebSocket<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        for n in 1..=messages {
            self.write(Message::Binary(payload.clone())).expect("open");
            if n % flush_every == 0 {
                self.flush().expect("memory");
            }
        }
    }
}
