//! The chunked codec: a body of 1 MiB in chunks of each size, decoded from reads of 16 KiB, and encoded.
#![allow(clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pushline::http1::chunked::{ChunkedDecoder, ChunkedEncoder, ChunkedLimits, Piece};
use std::hint::black_box;

const BODY: usize = 1 << 20;
const READ: usize = 16 << 10;
const CHUNKS: [usize; 5] = [16, 256, 1 << 10, 4 << 10, 64 << 10];

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked-decode");
    for chunk in CHUNKS {
        let mut wire = Vec::new();
        let mut encoder = ChunkedEncoder::chunked();
        for data in vec![b'x'; BODY].chunks(chunk) {
            encoder.put(data, &mut wire).unwrap();
        }
        encoder.finish(&[], &mut wire).unwrap();
        group.throughput(Throughput::Elements((BODY / chunk) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(chunk), &wire, |bencher, wire| {
            bencher.iter(|| {
                let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
                for mut input in wire.chunks(READ) {
                    while !input.is_empty() {
                        let (consumed, piece) = decoder.decode(input).unwrap();
                        input = &input[consumed..];
                        if let Some(Piece::Data(data)) = piece {
                            black_box(data);
                        }
                    }
                }
                assert!(decoder.is_finished());
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked-encode");
    let body = vec![b'x'; BODY];
    for chunk in CHUNKS {
        group.throughput(Throughput::Elements((BODY / chunk) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(chunk), &chunk, |bencher, &chunk| {
            let mut encoder = ChunkedEncoder::chunked();
            bencher.iter(|| {
                for data in body.chunks(chunk) {
                    black_box(encoder.chunk(data).unwrap().slices());
                }
            });
        });
    }
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
