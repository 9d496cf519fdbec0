//! The WebSocket core without I/O: receiving in both roles, sending in both, masking, and one message
//! for many connections. Beside its peers it stands in `benches/peers`.
#![allow(clippy::unwrap_used)]

use bytes::{Buf, Bytes};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pushline::Inbox;
use pushline::raw::Header;
use pushline::raw::apply_mask;
use pushline::ws::Opcode;
use pushline::ws::OsKeys;
use pushline::ws::{Connection, ConnectionOptions, Message, Negotiated, Prepared, Role};
use std::hint::black_box;
use std::time::Duration;

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];
/// Payload bytes of one iteration, at least; the throughput is that of the payload.
const BATCH: usize = 64 << 10;

fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn connection(role: Role) -> Connection {
    match role {
        Role::Server => Connection::server(Negotiated::default(), ConnectionOptions::default()),
        Role::Client => Connection::client(Negotiated::default(), ConnectionOptions::default(), OsKeys),
    }
}

fn receive(criterion: &mut Criterion) {
    for (role, kind, name) in [
        (Role::Server, Opcode::Text, "receive/server/text"),
        (Role::Server, Opcode::Binary, "receive/server/binary"),
        (Role::Client, Opcode::Text, "receive/client/text"),
        (Role::Client, Opcode::Binary, "receive/client/binary"),
    ] {
        let mut group = group(criterion, name);
        for len in SIZES {
            let key = (role == Role::Server).then_some([0x37, 0xfa, 0x21, 0x3d]);
            let header = Header { fin: true, rsv: 0, opcode: kind, mask: key, payload_len: len as u64 };
            let (head, head_len) = header.encode();
            let mut frame = head[..head_len].to_vec();
            frame.resize(head_len + len, b'x');
            apply_mask(&mut frame[head_len..], key.unwrap_or_default());
            let count = BATCH.div_ceil(len);
            let wire = frame.repeat(count);

            let mut connection = connection(role);
            let mut inbox = Inbox::new();
            group.throughput(Throughput::Bytes((count * len) as u64));
            group.bench_with_input(BenchmarkId::from_parameter(len), &wire, |bencher, wire| {
                bencher.iter(|| {
                    let (mut rest, mut events) = (&wire[..], 0);
                    while !rest.is_empty() {
                        let space = inbox.space();
                        let n = space.len().min(rest.len());
                        rest.copy_to_slice(&mut space[..n]);
                        inbox.filled(n);
                        while let Some(event) = connection.next_event(&mut inbox).unwrap() {
                            black_box(event);
                            events += 1;
                        }
                    }
                    assert_eq!(events, count);
                });
            });
        }
    }
}

/// A server hands large payloads out by reference: their bytes are not touched.
fn send(criterion: &mut Criterion) {
    for (role, name) in [(Role::Server, "send/server"), (Role::Client, "send/client")] {
        let mut group = group(criterion, name);
        for len in SIZES {
            let payload = Bytes::from(vec![b'x'; len]);
            let count = BATCH.div_ceil(len);
            let mut connection = connection(role);
            group.throughput(Throughput::Bytes((count * len) as u64));
            group.bench_with_input(BenchmarkId::from_parameter(len), &payload, |bencher, payload| {
                bencher.iter(|| {
                    for _ in 0..count {
                        if len < 4096 {
                            connection.send(&payload[..]).unwrap();
                        } else {
                            connection.send(Message::Binary(payload.clone())).unwrap();
                        }
                    }
                    write_all(&mut connection);
                });
            });
        }
    }
}

fn mask(criterion: &mut Criterion) {
    let mut group = group(criterion, "mask");
    for len in SIZES {
        // Many payloads in a row, as in a receive buffer: to mask the same one again and again measures
        // how stores are forwarded to loads.
        let count = BATCH.div_ceil(len);
        let mut payloads = vec![b'x'; count * len];
        group.throughput(Throughput::Bytes(payloads.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                for payload in black_box(&mut payloads).chunks_exact_mut(len) {
                    apply_mask(payload, [1, 2, 3, 4]);
                }
            });
        });
    }
}

/// One message, encoded once, to each of a thousand connections, by reference.
fn broadcast(criterion: &mut Criterion) {
    let mut room: Vec<Connection> = (0..1_000).map(|_| connection(Role::Server)).collect();
    let mut group = group(criterion, "broadcast/1000");
    for len in SIZES {
        let text = "x".repeat(len);
        group.throughput(Throughput::Bytes((room.len() * len) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &text, |bencher, text| {
            bencher.iter(|| {
                let message = Prepared::text(text);
                for connection in &mut room {
                    connection.send(&message).unwrap();
                }
                room.iter_mut().for_each(write_all);
            });
        });
    }
}

/// As if a socket took all at once; it would read the bytes, which is its affair.
fn write_all(connection: &mut Connection) {
    let outgoing = connection.outgoing();
    while outgoing.has_remaining() {
        let n = black_box(outgoing.chunk()).len();
        outgoing.advance(n);
    }
}

criterion_group!(benches, receive, send, mask, broadcast);
criterion_main!(benches);
