//! Event streams: 100 KB of events of each shape, decoded from reads of 16 KiB, and encoded.
#![allow(clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pushline::sse::{Block, EventDecoder, Input, Item};
use std::hint::black_box;

const STREAM: usize = 100_000;
const READ: usize = 16 << 10;

/// A name, the event, and the line end in the stream.
fn shapes() -> [(&'static str, Block<'static>, &'static str); 4] {
    const TOKEN: &str = "{\"id\":\"chatcmpl-9f3b2c7d\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
                         \"model\":\"m-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}}]}";
    let lines = "the quick brown fox jumps over the lazy dog, then again\n".repeat(64).leak();
    let price = Block::new().event_type("price").id("00000042").data("{\"symbol\":\"ACME\",\"bid\":101.25}");
    [
        ("llm", Block::new().data(TOKEN), "\n"),
        ("tiny", Block::new().data("1"), "\n"),
        ("multi-line", Block::new().data(lines), "\n"),
        ("crlf", price, "\r\n"),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sse-decode");
    for (name, block, line_end) in shapes() {
        let event = String::from_utf8(block.prepare().unwrap().bytes().to_vec()).unwrap();
        let event = event.replace('\n', line_end);
        let count = STREAM / event.len();
        let stream = event.repeat(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (mut decoder, mut events) = (EventDecoder::new(), 0);
                for read in stream.as_bytes().chunks(READ) {
                    let mut input = Input::new(black_box(read));
                    while let Some(item) = decoder.decode(&mut input).unwrap() {
                        if let Item::Event(event) = item {
                            black_box(event.data);
                            events += 1;
                        }
                    }
                }
                assert_eq!(events, count);
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sse-encode");
    group.throughput(Throughput::Elements(1));
    for (name, block, _) in shapes() {
        let mut out = Vec::with_capacity(READ);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(block).encode(&mut out).unwrap();
                black_box(out.len());
            });
        });
    }
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
