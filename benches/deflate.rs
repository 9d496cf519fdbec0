//! The deflate codec against its back end used by hand: JSON messages in turn, nanoseconds each, and the
//! ratio of the two. Rows are interleaved in one process and the best of many rounds is kept, so that
//! ratios hold on a busy machine. `compact` has no counterpart by hand: its ratio is what it costs to hold
//! a window instead of a state. `connection` is a whole one: to encode, from a text to the bytes to write; to decode,
//! from the bytes read to a text, checked. At the end, a room of ten thousand: one prepared message for all against a
//! message compressed for each.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use bytes::Buf;
use pushline::Inbox;
use pushline::raw::Header;
use pushline::raw::{Deflater, Inflater};
use pushline::ws::Opcode;
use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams, Direction, WindowBits};
use pushline::ws::{Connection, ConnectionOptions, Event, Negotiated, Prepared};
use std::hint::black_box;
use std::time::{Duration, Instant};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const MEMORY_LEVEL: u8 = 4;

fn json(seed: u64, len: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut state = 12_345 + seed;
    for id in 0.. {
        if text.len() >= len {
            break;
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (user, price, cents, tag) =
            ((state >> 33) % 1000, (state >> 20) % 10_000, (state >> 40) % 100, (state >> 50) % 7);
        text += &format!(
            r#"{{"id":{id},"user":"user{user}","price":{price}.{cents},"ok":{},"tags":["a{tag}","b"]}},"#,
            state & 1 == 0
        );
    }
    text.truncate(len);
    text.into_bytes()
}

/// One row: a name, the back end by hand, the codec.
type Row<'a> = (String, Box<dyn FnMut() + 'a>, Box<dyn FnMut() + 'a>);

fn engine(level: u8) -> Deflate {
    Deflate::new_with_config(DeflateConfig {
        level: level.into(),
        window_bits: -15,
        mem_level: MEMORY_LEVEL.into(),
        ..DeflateConfig::default()
    })
}

/// One after the other, for ever.
fn in_turn<'a>(messages: &'a [Vec<u8>]) -> impl FnMut() -> &'a [u8] {
    let mut messages = messages.iter().cycle();
    move || messages.next().unwrap()
}

fn agreed(context_takeover: bool) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: !context_takeover,
        client_no_context_takeover: !context_takeover,
        ..DeflateParams::default()
    }
}

fn server(context_takeover: bool, options: DeflateOptions) -> Connection {
    Connection::server(Negotiated::with_deflate(agreed(context_takeover), options), ConnectionOptions::new())
}

/// Whole connections against the back end.
fn connections<'a>(messages: &'a [Vec<u8>], payloads: &'a [Vec<u8>], frames: &'a [Vec<u8>]) -> Vec<Row<'a>> {
    let window_bits = WindowBits::MAX;
    let dedicated = Compression::Dedicated { window_bits, memory_level: MEMORY_LEVEL };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (name, policy, takeover) in [("shared", Compression::Shared, false), ("dedicated", dedicated, true)] {
        let len = messages[0].len();
        for level in [1, 6] {
            let mut bare = engine(level);
            let mut space = vec![0; len * 2 + 1000];
            let mut next = in_turn(messages);
            let by_hand = move || {
                if !takeover {
                    bare.reset();
                }
                let start = bare.total_out();
                bare.compress(next(), &mut space, DeflateFlush::SyncFlush).unwrap();
                black_box(&space[..(bare.total_out() - start) as usize - TAIL.len()]);
            };
            let mut server = server(takeover, DeflateOptions::new(policy).level(level));
            let mut next = in_turn(messages);
            let connection = move || {
                server.send(str::from_utf8(next()).unwrap()).unwrap();
                while server.outgoing().has_remaining() {
                    let n = black_box(server.outgoing().chunk()).len();
                    server.outgoing().advance(n);
                }
            };
            rows.push((
                format!("connection, encode, level {level}, {name}"),
                Box::new(by_hand),
                Box::new(connection),
            ));
        }
        let mut bare = Inflate::new(false, 15);
        let mut space = vec![0; len + 64];
        let mut next = in_turn(payloads);
        let by_hand = move || {
            if !takeover {
                bare.reset(false);
            }
            bare.decompress(next(), &mut space, InflateFlush::SyncFlush).unwrap();
            bare.decompress(&TAIL, &mut [0; 8], InflateFlush::SyncFlush).unwrap();
            black_box(&space);
        };
        let negotiated = Negotiated::with_deflate(agreed(takeover), DeflateOptions::new(policy));
        let mut client = Connection::client(negotiated, ConnectionOptions::new(), || [0; 4]);
        let mut inbox = Inbox::new();
        let mut next = in_turn(frames);
        let connection = move || {
            let frame = black_box(next());
            assert_eq!(inbox.extend(frame), frame.len());
            match client.next_event(&mut inbox) {
                Ok(Some(Event::Text(text))) => black_box(text.len()),
                other => panic!("{other:?}"),
            };
        };
        rows.push((format!("connection, decode, {name}"), Box::new(by_hand), Box::new(connection)));
    }
    rows
}

/// One message to ten thousand connections: compressed for each, and once for all.
fn room(rounds: usize) {
    const CONNECTIONS: usize = 10_000;
    let options = DeflateOptions::new(Compression::Shared);
    let mut room: Vec<Connection> = (0..CONNECTIONS).map(|_| server(false, options.clone())).collect();
    let written = |connection: &mut Connection| {
        let n = connection.queued();
        black_box(connection.outgoing()).advance(n);
    };
    for len in [256, 4096, 65_536] {
        let message = String::from_utf8(json(1, len)).unwrap();
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..rounds.min(5) {
            let each = time(
                &mut || {
                    for connection in &mut room {
                        connection.send(black_box(&message)).unwrap();
                        written(connection);
                    }
                },
                1,
            );
            let once = time(
                &mut || {
                    let prepared = Prepared::text(black_box(&message));
                    for connection in &mut room {
                        connection.send(&prepared).unwrap();
                        written(connection);
                    }
                },
                1,
            );
            best = (best.0.min(each), best.1.min(once));
        }
        let (each, once) = (best.0.as_micros(), best.1.as_micros());
        println!(
            "{len:6} bytes to {CONNECTIONS}: for each {each} us, once {once} us, {:.0} times",
            each as f64 / once as f64
        );
    }
}

fn rows<'a>(messages: &'a [Vec<u8>], payloads: &'a [Vec<u8>]) -> Vec<Row<'a>> {
    let window_bits = WindowBits::MAX;
    let twelve = WindowBits::new(12).unwrap();
    let len = messages[0].len();
    let policies = [
        ("shared", Compression::Shared, Direction { context_takeover: false, window_bits }),
        (
            "dedicated",
            Compression::Dedicated { window_bits, memory_level: MEMORY_LEVEL },
            Direction { context_takeover: true, window_bits },
        ),
        (
            "compact 12",
            Compression::Compact { window_bits: twelve },
            Direction { context_takeover: true, window_bits: twelve },
        ),
        (
            "compact 15",
            Compression::Compact { window_bits },
            Direction { context_takeover: true, window_bits },
        ),
    ];
    let mut rows: Vec<Row<'_>> = Vec::new();
    for level in [1, 6] {
        for (name, policy, direction) in policies {
            let options = DeflateOptions::new(policy).level(level);
            let mut bare = engine(level);
            let mut space = vec![0; len * 2 + 1000];
            let mut next = in_turn(messages);
            let by_hand = move || {
                if !direction.context_takeover {
                    bare.reset();
                }
                let start = bare.total_out();
                bare.compress(next(), &mut space, DeflateFlush::SyncFlush).unwrap();
                black_box(&space[..(bare.total_out() - start) as usize - TAIL.len()]);
            };
            let mut deflater = Deflater::new(direction, &options);
            let mut output = Vec::new();
            let mut next = in_turn(messages);
            let codec = move || {
                output.clear();
                deflater.deflate(next(), &mut output, true);
                black_box(&output);
            };
            rows.push((format!("encode, level {level}, {name}"), Box::new(by_hand), Box::new(codec)));
        }
    }
    for (name, policy, direction) in policies {
        let options = DeflateOptions::new(policy);
        let mut bare = Inflate::new(false, 15);
        let mut space = vec![0; len + 64];
        let mut next = in_turn(payloads);
        let by_hand = move || {
            if !direction.context_takeover {
                bare.reset(false);
            }
            bare.decompress(next(), &mut space, InflateFlush::SyncFlush).unwrap();
            bare.decompress(&TAIL, &mut [0; 8], InflateFlush::SyncFlush).unwrap();
            black_box(&space);
        };
        let mut inflater = Inflater::new(direction, &options, 1 << 20);
        let mut output = Vec::new();
        let mut next = in_turn(payloads);
        let codec = move || {
            output.clear();
            let _ = inflater.inflate(next(), &mut output, usize::MAX, true).unwrap();
            black_box(&output);
        };
        rows.push((format!("decode, {name}"), Box::new(by_hand), Box::new(codec)));
    }
    rows
}

fn time(work: &mut dyn FnMut(), times: u32) -> Duration {
    let start = Instant::now();
    (0..times).for_each(|_| work());
    start.elapsed() / times
}

fn main() {
    // `cargo test --benches` only looks whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 40 } else { 1 };
    for len in [256, 4096, 65_536] {
        // More than a window holds, lest a message be one match.
        let count = (128 * 1024 / len).max(16) as u64;
        let messages: Vec<Vec<u8>> = (0..count).map(|seed| json(seed, len)).collect();
        // They stand by themselves, and so inflate with any policy.
        let fresh = Direction { context_takeover: false, window_bits: WindowBits::MAX };
        let mut deflater = Deflater::new(fresh, &DeflateOptions::new(Compression::Shared).level(6));
        let payloads: Vec<Vec<u8>> = messages
            .iter()
            .map(|message| {
                let mut payload = Vec::new();
                deflater.deflate(message, &mut payload, true);
                payload
            })
            .collect();
        let frames: Vec<Vec<u8>> = payloads
            .iter()
            .map(|payload| {
                let payload_len = payload.len() as u64;
                let header = Header { fin: true, rsv: 4, opcode: Opcode::Text, mask: None, payload_len };
                let (head, head_len) = header.encode();
                [&head[..head_len], payload].concat()
            })
            .collect();
        let mut rows = rows(&messages, &payloads);
        rows.extend(connections(&messages, &payloads, &frames));
        let mut best = vec![(Duration::MAX, Duration::MAX); rows.len()];
        let times = if rounds == 1 { 1 } else { (400_000 / len as u32).clamp(6, 200) };
        for _ in 0..rounds {
            for ((_, by_hand, codec), best) in rows.iter_mut().zip(&mut best) {
                best.0 = best.0.min(time(by_hand, times));
                best.1 = best.1.min(time(codec, times));
            }
        }
        println!("{len} bytes of JSON{:26} by hand      codec   ratio", "");
        for ((name, ..), (by_hand, codec)) in rows.iter().zip(best) {
            let (by_hand, codec) = (by_hand.as_nanos(), codec.as_nanos());
            let ratio = codec as f64 / by_hand as f64;
            println!("  {name:38} {by_hand:9} {codec:10} {ratio:7.2}");
        }
    }
    room(rounds);
}
