//! websocket-sans-io, a codec: no messages, no rules, std's check of UTF-8; payloads where they are in
//! the read buffer.

use super::{Class, Receive, Row, Send, Tally};
use crate::wire::Wire;
use ::websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent,
};
use bytes::Bytes;
use std::io::{IoSlice, Read, Write};

pub const ROW: Row = Row {
    name: "websocket-sans-io",
    class: Class::Bare,
    receive: Some(|wire, read| {
        let (decoder, buffer) = (WebsocketFrameDecoder::new(), vec![0; read]);
        Box::new(Decoder { wire, decoder, buffer, filled: 0..0, message: Vec::new() })
    }),
    send: Some(|wire, client| {
        Box::new(Encoder { wire, client, encoder: WebsocketFrameEncoder::new(), queue: Vec::new() })
    }),
};

struct Decoder {
    wire: Wire,
    decoder: WebsocketFrameDecoder,
    buffer: Vec<u8>,
    filled: std::ops::Range<usize>,
    message: Vec<u8>,
}

impl Receive for Decoder {
    fn receive(&mut self, messages: usize, tally: &mut Tally) {
        let mut len = 0;
        while tally.messages < messages {
            let bytes = &mut self.buffer[self.filled.clone()];
            let step = self.decoder.add_data(bytes).expect("infallible");
            self.filled.start += step.consumed_bytes;
            match step.event {
                Some(WebsocketFrameEvent::Start { frame_info, .. }) => {
                    assert!(frame_info.is_reasonable() && frame_info.fin && frame_info.mask.is_some());
                    len = frame_info.payload_length;
                    self.message.clear();
                }
                Some(WebsocketFrameEvent::PayloadChunk { original_opcode }) => {
                    let chunk = &bytes[..step.consumed_bytes];
                    if chunk.len() as u64 == len {
                        tally.unchecked(original_opcode == Opcode::Text, chunk);
                    } else {
                        self.message.extend_from_slice(chunk);
                    }
                }
                Some(WebsocketFrameEvent::End { original_opcode, .. }) => {
                    if !self.message.is_empty() {
                        tally.unchecked(original_opcode == Opcode::Text, &self.message);
                        self.message.clear();
                    }
                }
                None => {
                    let n = self.wire.read(&mut self.buffer).expect("memory");
                    self.filled = 0..n;
                }
            }
        }
    }
}

struct Encoder {
    wire: Wire,
    client: bool,
    encoder: WebsocketFrameEncoder,
    queue: Vec<u8>,
}

impl Send for Encoder {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes) {
        for n in 1..=messages {
            let head = self.encoder.start_frame(&FrameInfo {
                opcode: Opcode::Binary,
                payload_length: payload.len() as u64,
                mask: self.client.then(|| fastrand::u32(..).to_ne_bytes()),
                fin: true,
                reserved: 0,
            });
            self.queue.extend_from_slice(&head);
            if !self.client && payload.len() >= 4096 {
                let slices = [IoSlice::new(&self.queue), IoSlice::new(payload)];
                let written = self.wire.write_vectored(&slices).expect("memory");
                assert_eq!(written, self.queue.len() + payload.len());
                self.queue.clear();
                continue;
            }
            let start = self.queue.len();
            self.queue.extend_from_slice(payload);
            self.encoder.transform_frame_payload(&mut self.queue[start..]);
            if n % flush_every == 0 || self.queue.len() > 64 * 1024 {
                self.wire.write_all(&self.queue).expect("memory");
                self.queue.clear();
            }
        }
    }
}
