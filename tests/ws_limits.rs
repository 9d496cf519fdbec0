//! Every limit at N - 1, N and N + 1, and memory that stays bounded whatever the peer does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::{Buf, Bytes};
use pushline::raw::Sender;
use pushline::ws::{
    Connection, ConnectionOptions, Event, Message, Opcode, Outbound, Prepared, ProtocolError, Role,
    UsageError,
};
// The shared modules name these as the crate does.
use pushline::{Inbox, ws};

mod common;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;
#[path = "../src/fuzzing/ws/observe.rs"]
mod observe;

use common::every_cut;
use model::{Frame, Rules, Token, decode, encode};
use observe::{Front, KEY, observe};

const ROLES: [Role; 2] = [Role::Server, Role::Client];
const FRONTS: [Front; 3] = [Front::Lent, Front::Owned, Front::Parts];

fn connection(role: Role, config: ConnectionOptions) -> Connection {
    observe::connection(&Rules::defaults(role == Role::Server), config)
}

/// The key of a frame that is sent to this end.
fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(KEY)
}

/// Feeds frames in every cut through every front end; they end in `expected`, whatever came before.
fn receives(rules: &Rules, frames: &[(u8, Vec<u8>)], expected: Result<&Token, ProtocolError>) {
    let stream: Vec<u8> = frames
        .iter()
        .flat_map(|(first, payload)| encode(*first, rules.server.then_some(KEY), payload))
        .collect();
    for front in FRONTS {
        every_cut(&stream, |pieces| {
            let seen = observe(rules, front, pieces);
            match expected {
                Ok(token) => assert_eq!((seen.tokens.last(), seen.error), (Some(token), None), "{rules:?}"),
                Err(error) => assert_eq!(seen.error, Some(error), "{rules:?}"),
            }
        });
    }
}

/// `max_frame` is for each frame, and for its payload alone.
#[test]
fn max_frame() {
    for limit in [0_usize, 1, 125, 126, 300] {
        for role in ROLES {
            let mut rules = Rules::defaults(role == Role::Server);
            rules.max_frame = limit as u64;
            for len in limit.saturating_sub(1)..=limit {
                receives(&rules, &[(0x82, vec![7; len])], Ok(&Token::Binary(vec![7; len])));
                let twice = [(0x01, vec![b'a'; len]), (0x80, vec![b'b'; len])];
                let whole = [vec![b'a'; len], vec![b'b'; len]].concat();
                receives(&rules, &twice, Ok(&Token::Text(whole)));
            }
            receives(&rules, &[(0x82, vec![7; limit + 1])], Err(ProtocolError::FrameTooLarge));
            receives(
                &rules,
                &[(0x02, vec![]), (0x80, vec![7; limit + 1])],
                Err(ProtocolError::FrameTooLarge),
            );
        }
    }
}

/// `max_message` is for all fragments together, and seen from the header that crosses it.
#[test]
fn max_message() {
    for limit in [0_usize, 1, 10, 126] {
        for role in ROLES {
            let mut rules = Rules::defaults(role == Role::Server);
            rules.max_message = limit as u64;
            for len in limit.saturating_sub(1)..=limit + 1 {
                let whole = Token::Binary(vec![7; len]);
                let expected = if len <= limit { Ok(&whole) } else { Err(ProtocolError::MessageTooLarge) };
                receives(&rules, &[(0x82, vec![7; len])], expected);
                for cut in [0, len / 2, len] {
                    let fragments = [(0x02, vec![7; cut]), (0x89, vec![1; 125]), (0x80, vec![7; len - cut])];
                    receives(&rules, &fragments, expected);
                }
            }
            // It starts again with every message.
            let full = [(0x82, vec![7; limit]), (0x82, vec![7; limit])];
            receives(&rules, &full, Ok(&Token::Binary(vec![7; limit])));
        }
    }
}

/// `max_fragments` counts empty fragments, and no control frames.
#[test]
fn max_fragments() {
    for limit in [0_usize, 1, 2, 5] {
        for role in ROLES {
            let mut rules = Rules::defaults(role == Role::Server);
            rules.max_fragments = limit as u64;
            for count in limit.saturating_sub(1).max(1)..=limit + 1 {
                let mut fragments = Vec::new();
                for n in 0..count {
                    let opcode = if n == 0 { 0x02 } else { 0x00 };
                    fragments.push((opcode | u8::from(n + 1 == count) << 7, vec![]));
                    fragments.push((0x8a, vec![]));
                }
                fragments.pop();
                let empty = Token::Binary(Vec::new());
                let expected = if count <= limit { Ok(&empty) } else { Err(ProtocolError::TooManyFragments) };
                receives(&rules, &fragments, expected);
            }
        }
    }
}

/// The defaults: 16 MiB a frame and a message, 131,072 fragments. Refused from the header alone.
#[test]
fn defaults() {
    const LIMIT: u64 = 16 << 20;
    for role in ROLES {
        for (len, error) in
            [(LIMIT - 1, None), (LIMIT, None), (LIMIT + 1, Some(ProtocolError::FrameTooLarge))]
        {
            let mask = if role == Role::Server { 0x80 } else { 0 };
            let header = [&[0x82, mask | 127][..], &len.to_be_bytes()].concat();
            let mut rules = Rules::defaults(role == Role::Server);
            assert_eq!(observe(&rules, Front::Lent, &[&header]).error, error);
            rules.max_frame = u64::MAX;
            let error = error.map(|_| ProtocolError::MessageTooLarge);
            assert_eq!(observe(&rules, Front::Lent, &[&header]).error, error);
        }

        let mut connection = connection(role, ConnectionOptions::new());
        let mut inbox = Inbox::new();
        for n in 0..131_073 {
            let fragment = encode(if n == 0 { 0x02 } else { 0x00 }, key(role), &[]);
            assert_eq!(inbox.extend(&fragment), fragment.len());
            let expected = if n < 131_072 { Ok(None) } else { Err(ProtocolError::TooManyFragments) };
            assert_eq!(connection.next_event(&mut inbox), expected);
        }
    }
}

/// A limit of more than there is memory for does not overflow.
#[test]
fn no_limit_at_all() {
    for server in [true, false] {
        let mut rules = Rules::defaults(server);
        (rules.max_frame, rules.max_message) = (u64::MAX, u64::MAX);
        rules.max_fragments = u64::from(u32::MAX);
        let frame = |first: u8, len: u64| {
            let mask = if server { 0x80 } else { 0 };
            [&[first, mask | 127][..], &len.to_be_bytes(), &[0; 4][..if server { 4 } else { 0 }]].concat()
        };
        // The longest that a machine can hold at all; what it cannot is refused, whatever the limit.
        let long = |first: u8| frame(first, (usize::MAX >> 1) as u64);
        let error = (usize::BITS < 64).then_some(ProtocolError::FrameTooLarge);
        assert_eq!(observe(&rules, Front::Lent, &[&frame(0x02, u64::MAX >> 1)]).error, error);
        let seen = observe(&rules, Front::Lent, &[&long(0x02)]);
        assert_eq!((seen.tokens, seen.error), (vec![], None));
        // A second frame as long cannot be: the first would have to end.
        let small = encode(0x02, server.then_some(KEY), &[7; 10]);
        let seen = observe(&rules, Front::Parts, &[&small, &long(0x00), &[1, 2, 3]]);
        assert_eq!((seen.tokens, seen.error), (vec![], None));
        assert_eq!(seen.partial.map(|(_, bytes)| bytes.len()), Some(13));
    }
}

/// RFC 6455 5.5: 125 bytes, both ways.
#[test]
fn control_payloads() {
    for role in ROLES {
        for len in [124, 125, 126] {
            let payload = vec![b'x'; len];
            let rules = Rules::defaults(role == Role::Server);
            let pong = Token::Pong(payload.clone());
            let too_long = ProtocolError::Header(ws::HeaderError::ControlTooLong);
            let expected = if len <= 125 { Ok(&pong) } else { Err(too_long) };
            receives(&rules, &[(0x8a, payload.clone())], expected);

            let mut connection = connection(role, ConnectionOptions::new());
            let expected = if len <= 125 { Ok(()) } else { Err(UsageError::ControlTooLong) };
            assert_eq!(connection.ping(&payload), expected);
            assert_eq!(connection.pong(&payload), expected);
            let refused = connection.send(Message::Ping(payload.into()));
            assert_eq!(refused, expected);
            assert_eq!(connection.queued() == 0, len > 125);
        }
    }
}

/// 5.5.1: a reason of 123 bytes.
#[test]
fn close_reasons() {
    for role in ROLES {
        for len in [122, 123, 124] {
            let reason = "r".repeat(len);
            let mut connection = connection(role, ConnectionOptions::new());
            let sent = connection.close(1000, &reason);
            assert_eq!(sent, if len <= 123 { Ok(()) } else { Err(UsageError::ReasonTooLong) });
            assert_eq!(connection.queued(), if len <= 123 { frame_len(role, 2 + len) } else { 0 });
        }
    }
}

/// `fragment_size`: no frame is longer, all but the last are as long; 125 at least.
#[test]
fn fragment_size() {
    for role in ROLES {
        for (set, size) in [(0, 125), (124, 125), (125, 125), (126, 126), (5_000, 5_000)] {
            for len in [0, 1, size - 1, size, size + 1, 3 * size, 3 * size + 1] {
                let mut connection = connection(role, ConnectionOptions::new().fragment_size(set));
                let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
                connection.send(&payload).expect("an empty queue");
                let copied = written(&mut connection);
                connection.send(Message::Binary(payload.clone().into())).expect("an empty queue");
                assert_eq!(written(&mut connection), copied);
                let (last, others) = copied.split_last().expect("one frame at least");
                assert!(others.iter().all(|frame| frame.payload.len() == size && frame.first & 0x80 == 0));
                assert!(last.payload.len() <= size && last.first & 0x80 != 0);
                assert_eq!(copied.len(), len.div_ceil(size).max(1));
                assert!(
                    copied
                        .iter()
                        .enumerate()
                        .all(|(n, frame)| frame.first & 0x0f == if n == 0 { 2 } else { 0 })
                );
                assert_eq!(
                    copied.iter().flat_map(|frame| frame.payload.clone()).collect::<Vec<_>>(),
                    payload
                );
            }
        }
    }
}

fn written(connection: &mut Connection) -> Vec<Frame> {
    let outgoing = connection.outgoing();
    let bytes = outgoing.copy_to_bytes(outgoing.remaining());
    decode(&bytes).expect("whole frames")
}

/// Length of a frame on the wire, by RFC 6455 5.2.
fn frame_len(role: Role, payload: usize) -> usize {
    let header = match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    payload + header + if role == Role::Client { 4 } else { 0 }
}

/// `max_outgoing`: what is queued never exceeds it, to the byte, by whatever call.
#[test]
fn max_outgoing_holds_to_the_byte() {
    type Send = fn(&mut Connection, usize) -> Result<(), UsageError>;
    let sends: [(&str, Send); 6] = [
        ("text", |c, len| c.send(&*"x".repeat(len))),
        ("binary", |c, len| c.send(&vec![0; len][..])),
        ("message", |c, len| c.send(Message::Binary(vec![0; len].into()))),
        ("text message", |c, len| c.send(Message::text("x".repeat(len)))),
        ("prepared", |c, len| c.send(&Prepared::binary(&vec![0; len]))),
        ("fragment", |c, len| c.send_fragment(Opcode::Binary, false, &vec![0; len])),
    ];
    for role in ROLES {
        for (name, send) in sends {
            for len in [0, 1, 125, 126, 4_096, 65_535, 65_536] {
                let exact = frame_len(role, 10) + frame_len(role, len);
                for (max, taken) in [(exact - 1, false), (exact, true), (exact + 1, true)] {
                    let mut connection = connection(role, ConnectionOptions::new().max_outgoing(max));
                    connection.send(&[0; 10]).expect("one message fits");
                    let queued = connection.queued();
                    let result = send(&mut connection, len);
                    assert_eq!(
                        result,
                        if taken { Ok(()) } else { Err(UsageError::Full) },
                        "{name} {len} {max}"
                    );
                    assert_eq!(connection.queued(), if taken { exact } else { queued });
                }
            }
        }
    }
}

/// A message in several frames counts with all their headers.
#[test]
fn max_outgoing_counts_every_fragment() {
    for role in ROLES {
        for (len, fragment) in [(1_000, 125), (1_000, 500), (1_001, 500), (999, 500), (200_000, 70_000)] {
            let config = ConnectionOptions::new().fragment_size(fragment);
            let mut free = connection(role, config);
            free.send(&[0; 10]).expect("one message fits");
            free.send(&vec![0; len][..]).expect("far below the limit");
            let exact = free.queued();
            for (max, taken) in [(exact - 1, false), (exact, true)] {
                let mut connection = connection(role, config.max_outgoing(max));
                connection.send(&[0; 10]).expect("one message fits");
                assert_eq!(connection.send(&vec![0; len][..]).is_ok(), taken, "{len} {fragment} {max}");
            }
        }
    }
}

/// Into an empty queue one message always fits, however small the limit; of what is refused nothing is queued.
#[test]
fn one_message_fits_into_an_empty_queue() {
    for role in ROLES {
        let mut connection = connection(role, ConnectionOptions::new().max_outgoing(0));
        for round in 0..3_u8 {
            let payload = Bytes::from(vec![round; 100_000]);
            assert_eq!(connection.ping(b"control frames do not count"), Ok(()));
            let message = Outbound::from(payload.clone());
            assert!(connection.has_room(&message));
            assert_eq!(connection.send(message), Ok(()));
            let queued = connection.queued();
            assert!(!connection.has_room(&Outbound::from("")));
            assert_eq!(connection.send(payload), Err(UsageError::Full));
            assert_eq!(connection.queued(), queued);
            connection.outgoing().advance(queued);
        }
    }
}

/// `Sender::CONTROL_ROOM`: pings find room behind a full queue, 1 KiB of them and of pongs, to the byte; pongs and the
/// close always.
#[test]
fn control_frames_have_room_of_their_own() {
    for role in ROLES {
        let frame = |len: usize| frame_len(role, len);
        for (more, taken) in [(-1, true), (0, true), (1, false)] {
            let mut connection = connection(role, ConnectionOptions::new().max_outgoing(0));
            connection.send(&[0; 5_000]).expect("an empty queue");
            connection.pong(&[0; 125]).expect("open");
            let mut left = Sender::CONTROL_ROOM - frame(125);
            while left > 2 * frame(125) {
                connection.ping(&[0; 100]).expect("room");
                left -= frame(100);
            }
            let (first, second) = (left / 2, left - left / 2);
            connection.ping(&vec![0; first - frame(0)]).expect("room");
            let last = vec![0; (second - frame(0)).strict_add_signed(more)];
            let queued = connection.queued();
            let message = Message::Ping(last.clone().into());
            assert_eq!(connection.has_room(&message.clone().into()), taken, "{more}");
            assert_eq!(connection.send(message), if taken { Ok(()) } else { Err(UsageError::Full) });
            assert_eq!(connection.queued(), queued + if taken { frame(last.len()) } else { 0 });
            assert!(connection.unwritten_ping());
            assert_eq!(connection.pong(&[1; 125]), Ok(()));
            assert!(connection.has_room(&Message::Close(None).into()));
            assert_eq!(connection.close(1000, ""), Ok(()));
            assert!(connection.close_unwritten());
            let frames = written(&mut connection);
            assert_eq!(frames.last().map(|frame| frame.first), Some(0x88));
            assert!(!connection.unwritten_ping() && !connection.close_unwritten());
        }
    }
}

/// A ping is unwritten up to its last byte, whatever is before or behind it; so is a close.
#[test]
fn a_ping_is_unwritten_to_its_last_byte() {
    for role in ROLES {
        let mut connection = connection(role, ConnectionOptions::new());
        connection.send(&[0; 300]).expect("room");
        connection.outgoing().advance(1);
        connection.pong(b"pong").expect("open");
        assert!(!connection.unwritten_ping());
        connection.ping(b"ping").expect("open");
        connection.send(&[0; 300]).expect("room");
        // The message that has begun, then the ping.
        let until = frame_len(role, 300) - 1 + frame_len(role, 4);
        for _ in 0..until {
            assert!(connection.unwritten_ping());
            connection.outgoing().advance(1);
        }
        assert!(!connection.unwritten_ping());
        connection.close(1000, "bye").expect("open");
        while connection.queued() > 0 {
            assert!(connection.close_unwritten());
            connection.outgoing().advance(1);
        }
        assert!(!connection.close_unwritten());
    }
}

/// A fixed inbox: a message that fits to the byte is received; one byte more is 1009, and no read is offered that would
/// look like the end of the stream.
#[test]
fn a_fixed_inbox_that_is_full_is_a_message_too_large() {
    for (len, fits) in [(105, true), (106, true), (107, false)] {
        for step in [1, 7, 1_000] {
            let mut wire = &encode(0x82, Some(KEY), &vec![7; len])[..];
            // Headers are taken out as they come: the payload counts.
            let mut inbox = Inbox::over([0; 106]);
            let mut connection = connection(Role::Server, ConnectionOptions::new());
            let end = loop {
                match connection.next_event(&mut inbox) {
                    Ok(None) => {
                        let space = inbox.space();
                        assert!(!space.is_empty(), "looks like the end of the stream");
                        let n = space.len().min(step).min(wire.len());
                        space[..n].copy_from_slice(&wire[..n]);
                        inbox.filled(n);
                        wire = &wire[n..];
                    }
                    Ok(Some(event)) => break Ok(event == Event::Binary(&vec![7; len])),
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(
                end,
                if fits { Ok(true) } else { Err(ProtocolError::MessageTooLarge) },
                "{len} {step}"
            );
            let close = written(&mut connection);
            assert_eq!(close.first().map(|frame| &frame.payload[..2]), (!fits).then_some(&[0x03, 0xf1][..]));
        }
    }
}

/// Of a message of which parts were delivered, `next_owned` gives the rest, and nothing twice; and parts follow what
/// `next_owned` has not delivered.
#[test]
fn parts_and_owned_messages_mix() {
    for (payload, opcode) in [("abcdefghij", 0x81), ("aßcdéfghiü", 0x81), ("abcdefghij", 0x82)] {
        let wire = encode(opcode, Some(KEY), payload.as_bytes());
        for first in 0..wire.len() {
            for second in first..wire.len() {
                for owned_at in 0..3 {
                    let config = ConnectionOptions::new().parts(true);
                    let mut connection = connection(Role::Server, config);
                    let mut inbox = Inbox::with_read_size(256);
                    let mut seen = Vec::new();
                    for (n, piece) in
                        [&wire[..first], &wire[first..second], &wire[second..]].into_iter().enumerate()
                    {
                        assert_eq!(inbox.extend(piece), piece.len());
                        if n == owned_at {
                            while let Some(message) = connection.next_owned(&mut inbox).expect("valid") {
                                seen.extend_from_slice(message.payload());
                            }
                        }
                        while n != owned_at
                            && let Some(event) = connection.next_event(&mut inbox).expect("valid")
                        {
                            match event {
                                Event::TextPart { text, .. } => seen.extend_from_slice(text.as_bytes()),
                                Event::BinaryPart { payload, .. } => seen.extend_from_slice(payload),
                                event => panic!("{event:?}"),
                            }
                        }
                    }
                    assert_eq!(seen, payload.as_bytes(), "{first} {second} {owned_at}");
                }
            }
        }
    }
}
