//! tokio-websockets.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::tokio_websockets::{ClientBuilder, Message, ServerBuilder, WebSocketStream};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

pub const ROW: Row = Row {
    name: "tokio-websockets",
    class: Class::Peer,
    receive: Some(|wire, _| Box::new(ServerBuilder::new().serve(wire))),
    send: Some(|wire, client| {
        Box::new(if client { ClientBuilder::new().take_over(wire) } else { ServerBuilder::new().serve(wire) })
    }),
};

impl Receive for WebSocketStream<Wire> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let message = self.next().await.expect("no end").expect("valid frames");
                tally.message(message.as_payload());
            }
        });
    }
}

impl Send for WebSocketStream<Wire> {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        run(async {
            for n in 1..=messages {
                self.feed(Message::binary(payload.clone())).await.expect("open");
                if n % flush_every == 0 {
                    self.flush().await.expect("memory");
                }
            }
        });
    }
}
