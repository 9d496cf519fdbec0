//! wtx, its payloads lent (`WebSocketPayloadOrigin::Adaptive`). It writes each frame at once.

use super::{Class, Receive, Row, Send, Tally, run};
use crate::wire::Wire as Memory;
use ::wtx::collection::Vector;
use ::wtx::rng::Xorshift64;
use ::wtx::stream::{StreamReader, StreamWriter};
use ::wtx::web_socket::{Frame, OpCode, WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin};
use bytes::Bytes;
use std::io::{IoSlice, Read, Write};

pub const ROW: Row = Row {
    name: "wtx",
    class: Class::Peer,
    receive: Some(|wire, _| Box::new(Wtx::<false>::new(wire))),
    send: Some(
        |wire, client| {
            if client { Box::new(Wtx::<true>::new(wire)) } else { Box::new(Wtx::<false>::new(wire)) }
        },
    ),
};

struct Wire(Memory);

impl StreamReader for Wire {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        Ok(self.0.read(bytes)?)
    }
}

impl StreamWriter for Wire {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        Ok(self.0.write_all(bytes)?)
    }

    async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
        let mut slices = [IoSlice::new(&[]); 8];
        for (slice, bytes) in slices.iter_mut().zip(bytes) {
            *slice = IoSlice::new(bytes);
        }
        let written = self.0.write_vectored(&slices[..bytes.len()])?;
        assert_eq!(written, bytes.iter().map(|bytes| bytes.len()).sum());
        Ok(())
    }
}

struct Wtx<const CLIENT: bool> {
    socket: WebSocketOwned<(), Xorshift64, Wire, CLIENT>,
    buffer: Vector<u8>,
    scratch: Vec<u8>,
}

impl<const CLIENT: bool> Wtx<CLIENT> {
    fn new(wire: Memory) -> Self {
        let random = Xorshift64::new(0x9e37_79b9_7f4a_7c15);
        let socket = WebSocketOwned::new((), false, random, Wire(wire), WebSocketBuffer::new());
        Self { socket, buffer: Vector::new(), scratch: Vec::new() }
    }
}

impl<const CLIENT: bool> Receive for Wtx<CLIENT> {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        run(async {
            while tally.messages < messages {
                let frame = self
                    .socket
                    .read_frame(&mut self.buffer, WebSocketPayloadOrigin::Adaptive)
                    .await
                    .expect("valid frames");
                tally.message(frame.payload());
            }
        });
    }
}

impl<const CLIENT: bool> Send for Wtx<CLIENT> {
    fn send(&mut self, messages: usize, _: usize, payload: &Bytes) {
        run(async {
            self.scratch.clear();
            for _ in 0..messages {
                // A client masks in place and needs a new copy each time; a server keeps its own.
                if CLIENT || self.scratch.is_empty() {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(payload);
                }
                let mut frame = Frame::new_fin(OpCode::Binary, &mut self.scratch[..]);
                self.socket.write_frame(&mut frame).await.expect("memory");
            }
        });
    }
}
