//! web-socket, over a buffered reader as in its examples. It writes each frame at once.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::web_socket::{DataType, Event, MessageType, WebSocket};
use bytes::Bytes;
use tokio::io::BufReader;

pub const ROW: Row = Row {
    name: "web-socket",
    class: Class::Unchecked,
    receive: Some(|wire, read| Box::new(WebSocket::server(BufReader::with_capacity(read.max(8192), wire)))),
    send: Some(|wire, client| {
        let wire = BufReader::new(wire);
        Box::new(if client { WebSocket::client(wire) } else { WebSocket::server(wire) })
    }),
};

impl Receive for WebSocket<BufReader<Wire>> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                match self.recv().await.expect("valid frames") {
                    Event::Data { ty: DataType::Complete(kind), data } => {
                        tally.unchecked(kind == MessageType::Text, &data);
                    }
                    event => panic!("{event:?}"),
                }
            }
        });
    }
}

impl Send for WebSocket<BufReader<Wire>> {
    fn send(&mut self, messages: usize, _: usize, payload: &Bytes) {
        run(async {
            for _ in 0..messages {
                WebSocket::send(self, &payload[..]).await.expect("memory");
            }
        });
    }
}
