//! The chunked codec neither allocates nor copies payloads in steady state.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use bytes::Buf;
use pushline::http1::chunked::{ChunkedDecoder, ChunkedEncoder, ChunkedLimits, Piece};

#[test]
fn counts_at_all() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

#[test]
fn a_message_of_1_kib_as_a_chunk_is_not_copied_and_allocates_nothing() {
    let payload = vec![b'x'; 1024];
    let mut encoder = ChunkedEncoder::chunked();
    let count = allocations(|| {
        for _ in 0..1000 {
            let chunk = encoder.chunk(&payload).unwrap();
            let [head, body, tail] = chunk.slices();
            assert_eq!((head, tail), (&b"400\r\n"[..], &b"\r\n"[..]));
            assert_eq!(body.as_ptr(), payload.as_ptr(), "the payload was copied");
            assert_eq!(body.len(), 1024);
            assert_eq!(chunk.remaining(), 1024 + 7);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn decoding_lends_the_input_and_allocates_nothing() {
    let mut wire = Vec::new();
    let mut encoder = ChunkedEncoder::chunked();
    for length in [1, 16, 1024, 65536, 3] {
        encoder.put(&vec![b'x'; length], &mut wire).unwrap();
    }
    // Extensions are checked and thrown away without being stored.
    wire.extend_from_slice(b"5;name=\"quoted \\\" value\" ; other=token\r\nhello\r\n");
    encoder.finish(&[], &mut wire).unwrap();
    for read in [1, 7, 1460, wire.len()] {
        let count = allocations(|| {
            let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
            for _ in 0..3 {
                decoder.reset();
                for mut input in wire.chunks(read) {
                    loop {
                        let bounds = input.as_ptr_range();
                        let (consumed, piece) = decoder.decode(input).unwrap();
                        match piece {
                            Some(Piece::Data(data)) => {
                                assert!(bounds.contains(&data.as_ptr()), "data is not lent");
                            }
                            Some(Piece::End) => break,
                            None => break,
                        }
                        input = &input[consumed..];
                    }
                }
                assert!(decoder.is_finished());
            }
        });
        assert_eq!(count, 0, "reads of {read}");
    }
}

#[test]
fn memory_for_trailers_is_kept_for_the_next_body() {
    let body = b"0\r\nServer-Timing: total;dur=12\r\nDigest: abc\r\n\r\n";
    let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
    decoder.decode(body).unwrap();
    let count = allocations(|| {
        for _ in 0..10 {
            decoder.reset();
            assert_eq!(decoder.decode(body), Ok((body.len(), Some(Piece::End))));
            assert_eq!(decoder.trailers().count(), 2);
        }
    });
    assert_eq!(count, 0);
}
