//! What the WebSocket core takes of memory: nothing per small message, little for an idle connection, and
//! never more than was received or the limits allow.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;

use allocations::{allocations, memory};
use bytes::Buf;
use model::encode;
use pushline::raw::Sender;
use pushline::ws::{
    Connection, ConnectionOptions, Event, Negotiated, Opcode, Prepared, ProtocolError, Role, UsageError,
};
use pushline::{Inbox, READ_SIZE};
use std::hint::black_box;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const ROLES: [Role; 2] = [Role::Server, Role::Client];
const TEXT: &str = "sixty-four bytes of text, as a chat message might well have them";
/// Text of characters of one to four bytes, to be cut inside of them.
const WIDE: &str = "n\u{ef}ve \u{1f600} \u{20ac} 5, na\u{ef}ver \u{1f600}\u{1f600}, \u{65e5}\u{672c}\u{8a9e}";

fn connection(role: Role, config: ConnectionOptions) -> Connection {
    match role {
        Role::Server => Connection::server(Negotiated::default(), config),
        Role::Client => Connection::client(Negotiated::default(), config, || KEY),
    }
}

/// A frame that is sent to this end.
fn frame_for(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    encode(first, (role == Role::Server).then_some(KEY), payload)
}

/// Reads as an adapter does, and takes all events.
fn receive(connection: &mut Connection, inbox: &mut Inbox, mut bytes: &[u8]) -> usize {
    let mut events = 0;
    while !bytes.is_empty() {
        let room = inbox.space();
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        inbox.filled(n);
        bytes = &bytes[n..];
        while let Ok(Some(event)) = connection.next_event(inbox) {
            black_box(event);
            events += 1;
        }
    }
    events
}

fn write_all(connection: &mut Connection) {
    while connection.outgoing().has_remaining() {
        let n = black_box(connection.outgoing().chunk()).len();
        connection.outgoing().advance(n);
    }
}

#[test]
fn a_small_message_is_received_without_an_allocation() {
    assert_eq!(TEXT.len(), 64);
    for role in ROLES {
        for config in [ConnectionOptions::new(), ConnectionOptions::new().parts(true)] {
            for first in [0x81, 0x82, 0x89, 0x8a] {
                let frame = frame_for(role, first, TEXT.as_bytes());
                for in_flight in [1, 16, 300] {
                    let stream = frame.repeat(in_flight);
                    let mut connection = connection(role, config);
                    let mut inbox = Inbox::new();
                    let mut run = |rounds: usize| {
                        for _ in 0..rounds {
                            // A read may end inside a message: then that is two parts.
                            assert!(receive(&mut connection, &mut inbox, &stream) >= in_flight);
                            // The pongs, if any.
                            write_all(&mut connection);
                        }
                    };
                    run(20);
                    assert_eq!(allocations(|| run(1_000 / in_flight)), 0, "{role:?} {first:x} {in_flight}");
                }
            }
        }
    }
}

/// Fragments, and reads that end anywhere in a frame.
#[test]
fn a_message_in_pieces_is_received_without_an_allocation() {
    for (role, text) in ROLES.into_iter().flat_map(|role| [(role, TEXT), (role, WIDE)]) {
        let (head, tail) = text.as_bytes().split_at(10);
        let mut stream = frame_for(role, 0x01, head);
        stream.extend(frame_for(role, 0x89, b"ping"));
        stream.extend(frame_for(role, 0x80, tail));
        let stream = stream.repeat(7);
        for read in [1, 5, 61, 500] {
            let mut connection = connection(role, ConnectionOptions::new());
            let mut inbox = Inbox::new();
            let mut run = |rounds: usize| {
                for _ in 0..rounds {
                    let mut events = 0;
                    for piece in stream.chunks(read) {
                        events += receive(&mut connection, &mut inbox, piece);
                        write_all(&mut connection);
                    }
                    assert_eq!(events, 2 * 7);
                }
            };
            run(30);
            assert_eq!(allocations(|| run(100)), 0, "{role:?} {read}");
        }
    }
}

/// An owned message takes its own memory, once.
#[test]
fn a_small_owned_message_takes_one_allocation() {
    for first in [0x81, 0x82] {
        let frame = frame_for(Role::Server, first, TEXT.as_bytes());
        let mut connection = connection(Role::Server, ConnectionOptions::new());
        let mut inbox = Inbox::with_read_size(READ_SIZE);
        let mut run = |rounds: u64| {
            for _ in 0..rounds {
                assert_eq!(inbox.extend(&frame), frame.len());
                assert!(black_box(connection.next_owned(&mut inbox)).expect("valid").is_some());
                assert_eq!(connection.next_owned(&mut inbox), Ok(None));
            }
        };
        run(1_000);
        assert_eq!(allocations(|| run(1_000)), 1_000, "{first:x}");
    }
}

#[test]
fn a_small_message_is_sent_without_an_allocation() {
    type Send = fn(&mut Connection, &Prepared) -> Result<(), UsageError>;
    let sends: [(&str, Send); 7] = [
        ("text", |c, _| c.send(TEXT)),
        ("binary", |c, _| c.send(TEXT.as_bytes())),
        ("prepared", |c, prepared| c.send(prepared)),
        ("ping", |c, _| c.ping(&TEXT.as_bytes()[..10])),
        ("pong", |c, _| c.pong(TEXT.as_bytes())),
        ("fragments", |c, _| {
            c.send_fragment(Opcode::Text, false, &TEXT.as_bytes()[..10])?;
            c.send_fragment(Opcode::Continuation, true, &TEXT.as_bytes()[10..])
        }),
        ("all", |c, prepared| {
            c.send(TEXT)?;
            c.ping(&TEXT.as_bytes()[..10])?;
            c.send(prepared)?;
            c.send(TEXT.as_bytes())?;
            c.pong(TEXT.as_bytes())
        }),
    ];
    for role in ROLES {
        for (name, send) in sends {
            for in_flight in [1, 16, 300] {
                let pings = matches!(name, "ping" | "all");
                if pings && in_flight == 300 {
                    continue; // more than there is room for
                }
                let prepared = Prepared::text(TEXT);
                let mut connection = connection(role, ConnectionOptions::new());
                let mut run = |rounds: usize| {
                    for _ in 0..rounds {
                        for _ in 0..in_flight {
                            assert_eq!(send(&mut connection, &prepared), Ok(()));
                        }
                        write_all(&mut connection);
                    }
                };
                run(20);
                assert_eq!(allocations(|| run(20)), 0, "{role:?} {name} {in_flight}");
            }
        }
    }
}

/// A writer that never catches up costs nothing per message either.
#[test]
fn a_queue_that_is_never_empty_does_not_grow() {
    for role in ROLES {
        let mut connection = connection(role, ConnectionOptions::new());
        connection.send(TEXT).expect("open");
        let mut run = |rounds: usize| {
            for _ in 0..rounds {
                connection.send(TEXT).expect("open");
                connection.pong(TEXT.as_bytes()).expect("open");
                // One byte less than what was added at least stays.
                let n = connection.queued() - 30;
                connection.outgoing().advance(n);
            }
        };
        run(2_000);
        let (mut peak, mut after) = (0, 0);
        assert_eq!(allocations(|| (peak, after) = memory(|| run(10_000))), 0);
        assert_eq!((peak, after), (0, 0));
    }
}

/// A large payload goes by reference: sending takes the list entry at most, never the payload again.
#[test]
fn a_large_message_is_not_copied() {
    let payload = bytes::Bytes::from(vec![7; 1 << 20]);
    let mut connection = connection(Role::Server, ConnectionOptions::new().fragment_size(64 * 1024));
    let mut run = || {
        connection.send(payload.clone()).expect("an empty queue");
        write_all(&mut connection);
    };
    run();
    let (peak, after) = memory(&mut run);
    assert!(peak < 4_096 && after == 0, "{peak} {after}");

    let prepared = Prepared::binary(&payload);
    let (peak, _) = memory(|| {
        for _ in 0..100 {
            let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
            connection.send(&prepared).expect("an empty queue");
            write_all(&mut connection);
        }
    });
    assert!(peak < 4_096, "{peak}");
}

/// An idle server connection: no more than 192 bytes in all, whatever it did before.
#[test]
fn an_idle_server_connection_takes_192_bytes_at_most() {
    let size = size_of::<Connection>() as isize;
    let mut idle = None;
    let (_, heap) = memory(|| {
        let mut connection = connection(Role::Server, ConnectionOptions::new());
        let mut inbox = Inbox::new();
        for first in [0x81, 0x89, 0x82] {
            assert_eq!(
                receive(&mut connection, &mut inbox, &frame_for(Role::Server, first, TEXT.as_bytes())),
                1
            );
        }
        connection.send(TEXT).expect("open");
        connection.send(vec![7; 100_000]).expect("open");
        connection.ping(b"ping").expect("open");
        write_all(&mut connection);
        connection.outgoing().release();
        assert!(inbox.is_empty());
        idle = Some(connection);
    });
    assert!(idle.is_some());
    assert!(size + heap <= 192, "{size} bytes and {heap} on the heap");
    assert_eq!(heap, 0);
}

/// LM-04, FR-16: a length in a header takes no memory, whether it is refused or allowed.
#[test]
fn a_length_is_no_reason_to_take_memory() {
    let headers = [
        ("82ff4000000000000000", 1 << 62),
        ("82ff0000000000f00000", 0xf0_0000),
        ("82ff7fffffffffffffff", u64::MAX >> 1),
    ];
    for (header, len) in headers {
        let header = [&unhex(header)[..], &KEY].concat();
        for limit in [16 << 20, usize::MAX] {
            for parts in [false, true] {
                let config = ConnectionOptions::new().max_frame(limit).max_message(limit).parts(parts);
                let mut connection = connection(Role::Server, config);
                let mut inbox = Inbox::new();
                let (peak, _) = memory(|| {
                    let _ = receive(&mut connection, &mut inbox, &header);
                });
                // A read, and the close frame if it is refused.
                assert!(peak <= READ_SIZE as isize + 8, "{peak} for {len}");
                let refused = connection.next_event(&mut inbox) == Err(ProtocolError::FrameTooLarge);
                assert_eq!(refused, len > limit as u64);
                if refused {
                    continue;
                }
                // With what is received it grows, twice as much at most.
                let received = 100_000;
                let (peak, _) = memory(|| {
                    let _ = receive(&mut connection, &mut inbox, &vec![7; received]);
                });
                let payload = received as isize;
                assert!(peak - payload <= if parts { 0 } else { 2 * payload }, "{peak}");
            }
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// FG-16: fragments are held as bytes; empty ones not at all. Text is cut inside of characters.
#[test]
fn small_fragments_take_no_more_than_their_bytes() {
    for (first, payload, count) in
        [(0x02, "\x07", 100_000), (0x02, "", 131_000), (0x01, "a", 100_000), (0x01, "\u{ef}", 50_000)]
    {
        let len = payload.len();
        let start = frame_for(Role::Server, first, &[]);
        let next: Vec<u8> = match payload.len() {
            0 => frame_for(Role::Server, 0x00, &[]),
            _ => payload.bytes().flat_map(|byte| frame_for(Role::Server, 0x00, &[byte])).collect(),
        };
        for per_read in [1, 1_000] {
            let batch = next.repeat(per_read);
            let (peak, _) = memory(|| {
                let mut connection = connection(Role::Server, ConnectionOptions::new());
                let mut inbox = Inbox::new();
                receive(&mut connection, &mut inbox, &start);
                for _ in 0..count / per_read {
                    receive(&mut connection, &mut inbox, &batch);
                }
                assert_eq!(connection.next_event(&mut inbox), Ok(None));
            });
            let bound = 2 * len * count + READ_SIZE;
            assert!(peak <= bound as isize, "{peak} bytes for {count} fragments of {len}, {per_read} a read");
        }
    }
}

/// A peer that sends and never reads: one pong, and what the limit allows.
#[test]
fn a_peer_that_never_reads_costs_a_bounded_queue() {
    for role in ROLES {
        let ping = frame_for(role, 0x89, &[7; 125]);
        let (peak, _) = memory(|| {
            let mut connection = connection(role, ConnectionOptions::new());
            let mut inbox = Inbox::new();
            for _ in 0..20_000 {
                receive(&mut connection, &mut inbox, &ping);
            }
            assert_eq!(connection.queued(), if role == Role::Server { 127 } else { 131 });
        });
        assert!(peak <= (READ_SIZE + 1_024) as isize, "{peak}");

        let limit = 100_000;
        let (peak, _) = memory(|| {
            let mut connection = connection(role, ConnectionOptions::new().max_outgoing(limit));
            let text = "x".repeat(1_000);
            while connection.send(&text) == Ok(()) {}
            assert!(connection.queued() <= limit && connection.queued() > limit - 1_010);
            while connection.ping(b"ping") == Ok(()) {}
            assert!(connection.queued() <= limit + Sender::CONTROL_ROOM);
        });
        assert!(peak <= 3 * limit as isize, "{peak}");
    }
}

/// A message in parts takes one read, however long it is.
#[test]
fn parts_take_one_read() {
    let frame = frame_for(Role::Client, 0x02, &vec![7; 200_000]);
    let next = frame_for(Role::Client, 0x00, &vec![7; 200_000]);
    let config = ConnectionOptions::new().parts(true).max_message(usize::MAX);
    let (peak, _) = memory(|| {
        let mut connection = connection(Role::Client, config);
        let mut inbox = Inbox::new();
        receive(&mut connection, &mut inbox, &frame);
        for _ in 0..50 {
            assert!(receive(&mut connection, &mut inbox, &next) > 0);
        }
    });
    assert!(peak <= 2 * READ_SIZE as isize, "{peak}");
}

/// An event is lent: the message is where it was received.
#[test]
fn a_message_that_lies_whole_in_the_inbox_is_not_copied() {
    let frame = frame_for(Role::Client, 0x82, &[7; 1_000]);
    let mut connection = connection(Role::Client, ConnectionOptions::new());
    let mut inbox = Inbox::new();
    let room = inbox.space();
    room[..frame.len()].copy_from_slice(&frame);
    let received = room.as_ptr() as usize;
    inbox.filled(frame.len());
    let Ok(Some(Event::Binary(payload))) = connection.next_event(&mut inbox) else { panic!("a message") };
    assert_eq!(payload.as_ptr() as usize, received + 4);
}
