//! The decoders.

use crate::{Contender, Input};
use std::hint::black_box;

pub const ALL: &[Contender<Input>] = &[
    ("pushline", pushline),
    ("bare loop on httparse", httparse_loop),
    ("bare loop on http-chunked", http_chunked),
    ("nexus-web", nexus_web),
    ("chunked_transfer", chunked_transfer),
    ("ureq-proto", ureq_proto),
    ("actix-http", actix_http),
    ("httpcodec", httpcodec),
    ("shiguredo_http11", shiguredo_http11),
];

type Sink<'s> = &'s mut dyn FnMut(&[u8]);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn pushline(input: &Input, sink: Sink<'_>) {
    use pushline::http1::chunked::{ChunkedDecoder, ChunkedLimits, Piece};
    let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
    input.each_read(|window| {
        let mut at = 0;
        while at < window.len() {
            let (consumed, piece) = decoder.decode(&window[at..]).unwrap();
            at += consumed;
            if let Some(Piece::Data(data)) = piece {
                sink(data);
            }
        }
        at
    });
    assert!(decoder.is_finished());
}

/// The least that a careful user of the size parser writes: both bytes after data are looked at.
fn httparse_loop(input: &Input, sink: Sink<'_>) {
    let mut left = 0_u64;
    let mut tail = false;
    let mut done = false;
    input.each_read(|window| {
        let mut at = 0;
        while !done {
            let rest = &window[at..];
            if left > 0 {
                if rest.is_empty() {
                    break;
                }
                let length = (left as usize).min(rest.len());
                sink(&rest[..length]);
                left -= length as u64;
                at += length;
            } else if tail {
                if rest.len() < 2 {
                    break;
                }
                assert_eq!(&rest[..2], b"\r\n");
                tail = false;
                at += 2;
            } else {
                match httparse::parse_chunk_size(rest).unwrap() {
                    httparse::Status::Complete((_, 0)) => done = true,
                    httparse::Status::Complete((length, size)) => {
                        at += length;
                        left = size;
                        tail = true;
                    }
                    httparse::Status::Partial => break,
                }
            }
        }
        at
    });
    assert!(done);
}

fn http_chunked(input: &Input, sink: Sink<'_>) {
    use winnow::Parser;
    use winnow::error::ErrMode;
    use winnow::stream::Partial;
    let mut left = 0_usize;
    let mut tail = false;
    let mut done = false;
    input.each_read(|window| {
        let mut at = 0;
        while !done {
            let rest = &window[at..];
            if left > 0 {
                if rest.is_empty() {
                    break;
                }
                let length = left.min(rest.len());
                sink(&rest[..length]);
                left -= length;
                at += length;
            } else if tail {
                if rest.len() < 2 {
                    break;
                }
                assert_eq!(&rest[..2], b"\r\n");
                tail = false;
                at += 2;
            } else {
                let mut stream = Partial::new(rest);
                match ::http_chunked::parse_chunk_header.parse_next(&mut stream) {
                    Ok(0) => done = true,
                    Ok(size) => {
                        at += rest.len() - stream.len();
                        left = size;
                        tail = true;
                    }
                    Err(ErrMode::Incomplete(_)) => break,
                    // It finds a line cut short malformed at some places.
                    Err(_) if rest.len() < 20 => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        at
    });
    assert!(done);
}

fn nexus_web(input: &Input, sink: Sink<'_>) {
    let mut decoder = ::nexus_web::http::ChunkedDecoder::new();
    let mut output = vec![0; 64 << 10];
    input.each_read(|window| {
        let mut at = 0;
        while at < window.len() {
            let (consumed, produced) = decoder.decode(&window[at..], &mut output).unwrap();
            sink(&output[..produced]);
            at += consumed;
        }
        at
    });
    assert!(decoder.is_done());
}

fn chunked_transfer(input: &Input, sink: Sink<'_>) {
    use std::io::Read;
    struct Reads<'i>(&'i [u8], usize);
    impl Read for Reads<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let length = out.len().min(self.1);
            self.0.read(&mut out[..length])
        }
    }
    let mut decoder = ::chunked_transfer::Decoder::new(Reads(&input.wire, input.read));
    let mut output = vec![0; 64 << 10];
    loop {
        match decoder.read(&mut output).unwrap() {
            0 => break,
            length => sink(&output[..length]),
        }
    }
}

fn ureq_proto(input: &Input, sink: Sink<'_>) {
    use ::ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};
    let request = ::ureq_proto::http::Request::get("http://example.test/").body(()).unwrap();
    let mut call = Call::new(request).unwrap().proceed();
    call.write(&mut [0; 1024]).unwrap();
    let Ok(Some(SendRequestResult::RecvResponse(mut call))) = call.proceed() else { panic!("no response") };
    call.try_response(HEAD, true).unwrap();
    let Some(RecvResponseResult::RecvBody(mut call)) = call.proceed() else { panic!("no body") };
    let mut output = vec![0; 64 << 10];
    input.each_read(|window| {
        let mut at = 0;
        loop {
            let (consumed, produced) = call.read(&window[at..], &mut output).unwrap();
            sink(&output[..produced]);
            at += consumed;
            if consumed == 0 {
                return at;
            }
        }
    });
    assert!(call.can_proceed());
}

fn actix_http(input: &Input, sink: Sink<'_>) {
    use ::actix_http::h1::ClientCodec;
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;
    let mut codec = ClientCodec::default();
    let mut buffer = BytesMut::with_capacity(64 << 10);
    buffer.extend_from_slice(HEAD);
    codec.decode(&mut buffer).unwrap().unwrap();
    let mut codec = codec.into_payload_codec();
    let mut done = false;
    for read in input.wire.chunks(input.read) {
        buffer.extend_from_slice(read);
        while !done {
            match codec.decode(&mut buffer).unwrap() {
                Some(Some(data)) => sink(&data),
                Some(None) => done = true,
                None => break,
            }
        }
    }
    assert!(done);
}

fn httpcodec(input: &Input, sink: Sink<'_>) {
    use ::httpcodec::{BodyDecoder, ResponseDecoder};
    use bytecodec::bytes::RemainingBytesDecoder;
    use bytecodec::{Decode, Eos};
    let mut decoder = ResponseDecoder::new(BodyDecoder::<RemainingBytesDecoder>::default());
    assert_eq!(decoder.decode(HEAD, Eos::new(false)).unwrap(), HEAD.len());
    input.each_read(|window| {
        let mut at = 0;
        while at < window.len() {
            match decoder.decode(&window[at..], Eos::new(false)).unwrap() {
                0 => break,
                consumed => at += consumed,
            }
        }
        at
    });
    sink(decoder.finish_decoding().unwrap().body());
}

fn shiguredo_http11(input: &Input, sink: Sink<'_>) {
    use ::shiguredo_http11::{BodyProgress, DecoderLimits, ResponseDecoder};
    let mut decoder = ResponseDecoder::with_limits(DecoderLimits::unlimited());
    decoder.feed(HEAD).unwrap();
    black_box(decoder.decode_headers().unwrap().unwrap());
    let mut done = false;
    for read in input.wire.chunks(input.read) {
        decoder.feed(read).unwrap();
        while !done {
            let progress = match decoder.peek_body() {
                Some(data) => {
                    sink(data);
                    let length = data.len();
                    decoder.consume_body(length).unwrap()
                }
                None => decoder.progress().unwrap(),
            };
            match progress {
                BodyProgress::Advanced => {}
                BodyProgress::NeedData => break,
                BodyProgress::Complete { .. } => done = true,
            }
        }
    }
    assert!(done);
}
