//! soketto, over buffered streams as in its examples.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire;
use ::soketto::connection::{Builder, Mode, Receiver, Sender};
use ::soketto::{Data, Incoming};
use bytes::Bytes;
use futures_util::io::{BufReader, BufWriter};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

pub const ROW: Row = Row {
    name: "soketto",
    class: Class::Unchecked,
    receive: Some(|wire, _| Box::new(Soketto::new(wire, Mode::Server))),
    send: Some(|wire, client| Box::new(Soketto::new(wire, if client { Mode::Client } else { Mode::Server }))),
};

type Buffered = BufReader<BufWriter<Compat<Wire>>>;

struct Soketto {
    sender: Sender<Buffered>,
    receiver: Receiver<Buffered>,
    message: Vec<u8>,
}

impl Soketto {
    fn new(wire: Wire, mode: Mode) -> Self {
        let stream = BufReader::new(BufWriter::new(wire.compat()));
        let (sender, receiver) = Builder::new(stream, mode).finish();
        Self { sender, receiver, message: Vec::new() }
    }
}

impl Receive for Soketto {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                self.message.clear();
                let incoming = self.receiver.receive(&mut self.message).await.expect("valid frames");
                let Incoming::Data(data) = incoming else { panic!("{incoming:?}") };
                tally.unchecked(matches!(data, Data::Text(_)), &self.message);
            }
        });
    }
}

impl Send for Soketto {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        run(async {
            for n in 1..=messages {
                self.sender.send_binary(payload).await.expect("open");
                if n % flush_every == 0 {
                    self.sender.flush().await.expect("memory");
                }
            }
        });
    }
}
