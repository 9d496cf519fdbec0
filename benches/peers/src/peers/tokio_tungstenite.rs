//! tokio-tungstenite, with the buffers of the tungstenite row.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::tokio_tungstenite::WebSocketStream;
use ::tungstenite::Message;
use ::tungstenite::protocol::{Role, WebSocketConfig};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

pub const ROW: Row = Row {
    name: "tokio-tungstenite",
    class: Class::Peer,
    receive: Some(|wire, read| {
        let config = WebSocketConfig::default().read_buffer_size(read.next_power_of_two().max(4096));
        Box::new(run(WebSocketStream::from_raw_socket(wire, Role::Server, Some(config))))
    }),
    send: Some(|wire, client| {
        let role = if client { Role::Client } else { Role::Server };
        Box::new(run(WebSocketStream::from_raw_socket(wire, role, None)))
    }),
};

impl Receive for WebSocketStream<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                match self.next().await.expect("no end").expect("valid frames") {
                    Message::Text(text) => tally.message(text.as_str().as_bytes()),
                    Message::Binary(payload) => tally.message(&payload),
                    message => panic!("{message:?}"),
                }
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
