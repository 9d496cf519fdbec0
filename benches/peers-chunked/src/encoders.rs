//! The encoders: one chunk per write.

use crate::Contender;

/// A body written in pieces of `chunk` bytes.
pub struct Input {
    pub body: Vec<u8>,
    pub chunk: usize,
}

pub const ALL: &[Contender<Input>] = &[
    ("pushline, payload lent", pushline_lent),
    ("pushline, into a buffer", pushline_put),
    ("chunked_transfer", chunked_transfer),
    ("shiguredo_http11", shiguredo_http11),
    ("write! into a buffer", formatted),
];

type Sink<'s> = &'s mut dyn FnMut(&[u8]);

fn pushline_lent(input: &Input, sink: Sink<'_>) {
    let mut encoder = pushline::http1::chunked::ChunkedEncoder::chunked();
    for data in input.body.chunks(input.chunk) {
        for slice in encoder.chunk(data).unwrap().slices() {
            sink(slice);
        }
    }
}

fn pushline_put(input: &Input, sink: Sink<'_>) {
    let mut encoder = pushline::http1::chunked::ChunkedEncoder::chunked();
    let mut out = Vec::with_capacity(input.chunk + 20);
    for data in input.body.chunks(input.chunk) {
        out.clear();
        encoder.put(data, &mut out).unwrap();
        sink(&out);
    }
}

fn chunked_transfer(input: &Input, sink: Sink<'_>) {
    use std::io::Write;
    struct Out<'s>(Sink<'s>);
    impl Write for Out<'_> {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            (self.0)(data);
            Ok(data.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut encoder = ::chunked_transfer::Encoder::with_chunks_size(Out(sink), input.chunk);
    for data in input.body.chunks(input.chunk) {
        encoder.write_all(data).unwrap();
        encoder.flush().unwrap();
    }
    // Its end, which is no part of the comparison, is written when it is dropped.
    std::mem::forget(encoder);
}

fn shiguredo_http11(input: &Input, sink: Sink<'_>) {
    for data in input.body.chunks(input.chunk) {
        sink(&::shiguredo_http11::encode_chunk(data));
    }
}

fn formatted(input: &Input, sink: Sink<'_>) {
    use std::io::Write;
    let mut out = Vec::with_capacity(input.chunk + 20);
    for data in input.body.chunks(input.chunk) {
        out.clear();
        write!(out, "{:x}\r\n", data.len()).unwrap();
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
        sink(&out);
    }
}
