//! permessage-deflate on whole connections: the PD rows of the checklist, limits, order of faults, memory.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::{Buf, Bytes};
use pushline::raw::Deflater;
use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams, WindowBits};
use pushline::ws::{
    Connection, ConnectionOptions, Event, Message, Negotiated, Opcode, Prepared, ProtocolError, UsageError,
};
// The shared modules name these as the crate does.
use pushline::{Inbox, ws};

#[path = "common/allocations.rs"]
mod allocations;
mod common;
#[path = "common/deflate.rs"]
mod deflate;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;
#[path = "../src/fuzzing/ws/observe.rs"]
mod observe;

use allocations::memory;
use common::{every_cut, unhex};
use deflate::{Writer, largest_distance, noise};
use model::{Frame, Rules, Token, decode, encode};
use observe::{Front, KEY, Observed, observe};

const FRONTS: [Front; 3] = [Front::Lent, Front::Owned, Front::Parts];

fn bits(n: u8) -> WindowBits {
    WindowBits::new(n).unwrap()
}

/// Everything is compressed.
fn options() -> DeflateOptions {
    DeflateOptions::new(Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 })
        .level(6)
        .threshold(0)
}

fn no_takeover() -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateParams::default()
    }
}

fn connection(
    server: bool,
    params: DeflateParams,
    options: DeflateOptions,
    config: ConnectionOptions,
) -> Connection {
    let negotiated = Negotiated::with_deflate(params, options);
    if server {
        Connection::server(negotiated, config)
    } else {
        Connection::client(negotiated, config, || KEY)
    }
}

fn rules(server: bool, takeover: bool) -> Rules {
    Rules { deflate: Some(takeover), ..Rules::defaults(server) }
}

/// Frames as the peer of `server` sends them: first byte, payload.
fn stream(server: bool, frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| encode(*first, server.then_some(KEY), payload)).collect()
}

/// Unmasked hex of a row, made what the peer of `server` sends.
fn row(server: bool, hex: &str) -> Vec<u8> {
    let frames = decode(&unhex(hex)).unwrap();
    frames.iter().flat_map(|frame| encode(frame.first, server.then_some(KEY), &frame.payload)).collect()
}

/// What is seen of `bytes`, the same through every front end and in every cut; replies left out.
fn seen(rules: &Rules, bytes: &[u8]) -> Vec<Token> {
    let whole = observe(rules, Front::Lent, &[bytes]);
    for front in FRONTS {
        every_cut(bytes, |pieces| {
            let seen = observe(rules, front, pieces);
            assert_eq!((&seen.tokens, seen.error), (&whole.tokens, whole.error), "{front:?}");
        });
    }
    let events = whole.tokens.into_iter();
    events.filter(|token| !matches!(token, Token::Wrote(_) | Token::Finished)).collect()
}

fn text(text: &str) -> Token {
    Token::Text(text.into())
}

/// One message, compressed by itself.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Deflater::new(no_takeover().server(), &options()).deflate(message, &mut payload, true);
    payload
}

fn written(connection: &mut Connection) -> Vec<Frame> {
    let outgoing = connection.outgoing();
    decode(&outgoing.copy_to_bytes(outgoing.remaining())).unwrap()
}

/// All that `connection` has to say, as `peer` hears it.
fn carry(connection: &mut Connection, peer: &mut Connection, inbox: &mut Inbox) -> Vec<Token> {
    let outgoing = connection.outgoing();
    let bytes = outgoing.copy_to_bytes(outgoing.remaining());
    assert_eq!(inbox.extend(&bytes), bytes.len());
    let mut seen = Observed::default();
    while let Some(event) = peer.next_event(inbox).unwrap() {
        let token = seen.lent(&event);
        seen.tokens.extend(token);
    }
    seen.tokens
}

#[test]
fn pd_01_to_08_what_the_rfc_shows() {
    let hello = text("Hello");
    let (once, twice) = ([hello.clone()], [hello.clone(), hello.clone()]);
    for server in [true, false] {
        for takeover in [true, false] {
            let seen = |hex: &str| seen(&rules(server, takeover), &row(server, hex));
            assert_eq!(seen("c107f248cdc9c90700"), once);
            assert_eq!(seen("4103f248cd 8004c9c90700"), once);
            let referring = seen("c107f248cdc9c90700 c105f200110000");
            let expected = [hello.clone(), Token::Fail(1007)];
            assert_eq!(referring, if takeover { twice.clone() } else { expected });
            assert_eq!(seen("c10b000500faff48656c6c6f00"), once);
            assert_eq!(seen("c108f348cdc9c9070000 c107f248cdc9c90700"), twice);
            assert_eq!(seen("c10df24805000000ffffcac9c90700"), once);
            assert_eq!(seen("c10100"), [text("")]);
        }
    }
}

#[test]
fn pd_09_to_12_where_rsv1_may_stand() {
    for server in [true, false] {
        let seen = |hex: &str| seen(&rules(server, true), &row(server, hex));
        assert_eq!(seen("810548656c6c6f"), [text("Hello")]);
        // Between compressed messages, and not part of their context.
        let between = "c107f248cdc9c90700 8102aabb 890141 c105f200110000";
        let between = between.replace("8102aabb", "82020102");
        let expected = [text("Hello"), Token::Binary(vec![1, 2]), Token::Ping(b"A".to_vec()), text("Hello")];
        assert_eq!(seen(&between), expected);
        assert_eq!(seen("4103f248cd c004c9c90700"), [Token::Fail(1002)]);
        for control in ["c900", "ca00", "c800"] {
            assert_eq!(seen(control), [Token::Fail(1002)]);
        }
        for first in ["e1", "d1", "f1", "a1", "91"] {
            assert_eq!(seen(&format!("{first}07f248cdc9c90700")), [Token::Fail(1002)]);
        }
        // A compressed message cannot begin inside another.
        assert_eq!(seen("4103f248cd c107f248cdc9c90700"), [Token::Fail(1002)]);
        // Nor can anything be compressed that was not agreed to.
        let none = observe(&Rules::defaults(server), Front::Lent, &[&row(server, "c107f248cdc9c90700")]);
        assert_eq!(none.error, Some(ProtocolError::ReservedBits));
    }
}

/// Control frames between the fragments of a compressed message, and inside its characters.
#[test]
fn control_frames_between_compressed_fragments() {
    let message = "\u{1f600}\u{e4}b".repeat(40);
    let payload = compressed(message.as_bytes());
    for server in [true, false] {
        for cut in 1..payload.len() {
            let (head, tail) = payload.split_at(cut);
            let frames: [(u8, &[u8]); 5] =
                [(0x41, head), (0x89, b"ping"), (0x00, b""), (0x8a, b""), (0x80, tail)];
            let bytes = stream(server, &frames);
            for front in FRONTS {
                for pieces in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(7).collect()] {
                    let mut tokens = observe(&rules(server, true), front, &pieces).tokens;
                    tokens.retain(|token| !matches!(token, Token::Wrote(_)));
                    let expected = [Token::Ping(b"ping".to_vec()), Token::Pong(Vec::new()), text(&message)];
                    assert_eq!(tokens, expected, "{front:?} {cut}");
                }
            }
        }
    }
}

#[test]
fn pd_13_14_damage_and_truncation() {
    for server in [true, false] {
        let seen = |hex: &str| seen(&rules(server, true), &row(server, hex));
        assert_eq!(seen("c103ffffff"), [Token::Fail(1007)]);
        assert_eq!(seen("c103f248cd"), [Token::Fail(1007)]);
        assert_eq!(seen("c100"), [Token::Fail(1007)]);
        // In a message, after a message.
        assert_eq!(seen("c107f248cdc9c90700 4103f248cd 8001ff"), [text("Hello"), Token::Fail(1007)]);
    }
}

/// U8-18, and that what comes first is found first: bad text, then the fault behind it.
#[test]
fn u8_18_text_is_checked_inflated() {
    for server in [true, false] {
        let rules = rules(server, true);
        let seen = |payload: &[u8]| seen(&rules, &stream(server, &[(0xc1, payload)]));
        assert_eq!(seen(&compressed(b"\xff")), [Token::Fail(1007)]);
        assert_eq!(seen(&compressed(b"abc\xe2\x82")), [Token::Fail(1007)]);
        assert_eq!(seen(&compressed("a\u{20ac}".as_bytes())), [text("a\u{20ac}")]);
        // Binary is not checked.
        let binary = observe(&rules, Front::Lent, &[&stream(server, &[(0xc2, &compressed(b"\xff"))])]);
        assert_eq!(binary.tokens, [Token::Binary(vec![0xff])]);

        let mut small = rules;
        small.max_message = 10;
        let bad_then_long = compressed(b"ab\xffdefghijklmnopqrstuvwxyz");
        let long_then_bad = compressed(b"abcdefghijklmnopqrst\xffuvwxyz");
        let mut bad_then_damaged = compressed(b"ab\xffdef");
        bad_then_damaged.truncate(bad_then_damaged.len() - 1);
        bad_then_damaged.extend([0xff; 8]);
        for (rules, payload, error) in [
            (&small, &bad_then_long, ProtocolError::InvalidUtf8),
            (&small, &long_then_bad, ProtocolError::MessageTooLarge),
            (&rules, &bad_then_damaged, ProtocolError::InvalidUtf8),
        ] {
            let bytes = stream(server, &[(0xc1, payload)]);
            for front in FRONTS {
                every_cut(&bytes, |pieces| {
                    assert_eq!(observe(rules, front, pieces).error, Some(error), "{front:?}");
                });
            }
        }
    }
}

#[test]
fn pd_15_to_17_the_limit_is_exact_on_what_is_inflated() {
    const LIMIT: usize = 64 * 1024;
    for server in [true, false] {
        for front in FRONTS {
            let mut rules = rules(server, false);
            rules.max_message = LIMIT as u64;
            for over in [-1, 0, 1, 2] {
                let message = vec![1; LIMIT.strict_add_signed(over)];
                let payload = compressed(&message);
                let half = payload.len() / 2;
                let whole = stream(server, &[(0xc2, &payload)]);
                let halves = stream(server, &[(0x42, &payload[..half]), (0x80, &payload[half..])]);
                let expected = if over > 0 { Token::Fail(1009) } else { Token::Binary(message) };
                for bytes in [whole, halves] {
                    for pieces in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(10).collect()] {
                        assert_eq!(observe(&rules, front, &pieces).tokens[0], expected, "{front:?} {over}");
                    }
                }
            }
            // A small one that inflates to a mebibyte.
            let bomb = stream(server, &[(0xc2, &compressed(&vec![0; 1 << 20]))]);
            assert!(bomb.len() < 1_100);
            assert_eq!(observe(&rules, front, &[&bomb]).tokens[0], Token::Fail(1009));
            // Sixty-four fragments of 16 KiB.
            let mut deflater = Deflater::new(no_takeover().server(), &options());
            let mut frames = Vec::new();
            for n in 0..64 {
                let mut payload = Vec::new();
                deflater.deflate(&[7; 16 * 1024], &mut payload, n == 63);
                frames.push((if n == 0 { 0x42 } else { u8::from(n == 63) << 7 }, payload));
            }
            let frames: Vec<(u8, &[u8])> =
                frames.iter().map(|(first, payload)| (*first, &payload[..])).collect();
            let four = stream(server, &frames[..4]);
            assert_eq!(observe(&rules, front, &[&four]).tokens, []);
            assert_eq!(
                observe(&rules, front, &[&four, &stream(server, &frames[4..])]).tokens[0],
                Token::Fail(1009)
            );
        }
    }
}

/// Bytes that come to nothing are counted on the wire: one eighth and 1 KiB more than a message may have.
#[test]
fn pd_18_empty_blocks_are_counted() {
    const LIMIT: usize = 8_000;
    let most = LIMIT + LIMIT / 8 + 1024;
    for server in [true, false] {
        for front in FRONTS {
            for over in [-1, 0, 1] {
                let mut rules = rules(server, false);
                rules.max_message = LIMIT as u64;
                let blocks = [0, 0, 0, 0xff, 0xff].repeat(most);
                let (head, tail) = blocks[..most.strict_add_signed(over)].split_at(most / 2);
                let frames = stream(server, &[(0x42, head), (0x00, tail)]);
                for pieces in [vec![&frames[..]], frames.chunks(100).collect()] {
                    let error = observe(&rules, front, &pieces).error;
                    assert_eq!(
                        error,
                        (over > 0).then_some(ProtocolError::MessageTooLarge),
                        "{front:?} {over}"
                    );
                }
            }
            let mebibyte = stream(server, &[(0xc2, &[0, 0, 0, 0xff, 0xff].repeat(210_000))]);
            let mut rules = rules(server, false);
            rules.max_message = 64 * 1024;
            // Refused by its header.
            let seen = observe(&rules, front, &[&mebibyte[..if server { 14 } else { 10 }]]);
            assert_eq!(seen.tokens[0], Token::Fail(1009));
        }
    }
}

/// PD-08, PD-19: what stands on the wire, from both ends.
#[test]
fn pd_19_a_sender_leaves_the_tail_out() {
    for server in [true, false] {
        let mut connection = connection(server, no_takeover(), options(), ConnectionOptions::new());
        connection.send("Hello").unwrap();
        connection.send(Message::from("Hello")).unwrap();
        connection.send(&Prepared::text("Hello")).unwrap();
        connection.send("").unwrap();
        connection.send(Message::Binary(Bytes::new())).unwrap();
        connection.send(&Prepared::binary(b"")).unwrap();
        let hello = unhex("f248cdc9c90700");
        let key = (!server).then_some(KEY);
        let frame = |first, payload: &[u8]| Frame { first, key, payload: payload.to_vec() };
        let frames = written(&mut connection);
        assert_eq!(frames[..3], [frame(0xc1, &hello), frame(0xc1, &hello), frame(0xc1, &hello)]);
        assert_eq!(frames[3..], [frame(0xc1, &[0]), frame(0xc2, &[0]), frame(0xc2, &[0])]);
    }
}

/// PD-20: fragments of the caller's, with control frames between; and those that a sender makes of a long
/// message.
#[test]
fn pd_20_fragments_keep_the_tail_but_the_last() {
    for server in [true, false] {
        for params in [DeflateParams::default(), no_takeover()] {
            let ours = || connection(server, params, options(), ConnectionOptions::new());
            let mut peer = connection(!server, params, options(), ConnectionOptions::new());
            let mut inbox = Inbox::new();
            let mut connection = ours();
            connection.send_fragment(Opcode::Text, false, b"Hel").unwrap();
            assert_eq!(connection.send("no"), Err(UsageError::MessageInProgress));
            assert_eq!(connection.send(&Prepared::text("no")), Err(UsageError::MessageInProgress));
            assert!(connection.send_plain(Message::from("no")).is_err());
            connection.ping(b"now").unwrap();
            connection.send_fragment(Opcode::Continuation, false, b"").unwrap();
            connection.send_fragment(Opcode::Continuation, true, b"lo").unwrap();
            // Nothing in it, and nothing at its end.
            connection.send_fragment(Opcode::Text, false, b"").unwrap();
            connection.send_fragment(Opcode::Continuation, true, b"").unwrap();
            connection.send_fragment(Opcode::Text, false, b"a").unwrap();
            connection.send_fragment(Opcode::Continuation, true, b"").unwrap();
            let mut tokens = carry(&mut connection, &mut peer, &mut inbox);
            tokens.retain(|token| !matches!(token, Token::Ping(_)));
            assert_eq!(tokens, [text("Hello"), text(""), text("a")]);

            let mut connection = ours();
            connection.send_fragment(Opcode::Text, false, b"Hel").unwrap();
            connection.send_fragment(Opcode::Continuation, true, b"lo").unwrap();
            let frames = written(&mut connection);
            assert_eq!((frames[0].first, frames[1].first), (0x41, 0x80));
            assert!(frames[0].payload.ends_with(&[0, 0, 0xff, 0xff]));
            assert!(!frames[1].payload.ends_with(&[0, 0, 0xff, 0xff]));
        }
        let small = ConnectionOptions::new().fragment_size(125);
        let mut ours = connection(server, no_takeover(), options(), small);
        let mut peer = connection(!server, no_takeover(), options(), ConnectionOptions::new());
        let mut inbox = Inbox::new();
        let long: String = (0..3_000).map(|n| format!("{n}\u{20ac}")).collect();
        for by_reference in [false, true] {
            if by_reference {
                ours.send(Message::from(long.clone())).unwrap();
            } else {
                ours.send(&long).unwrap();
            }
            let outgoing = ours.outgoing();
            let bytes = outgoing.copy_to_bytes(outgoing.remaining());
            let frames = decode(&bytes).unwrap();
            assert!(frames.len() > 3 && frames[0].first == 0x41 && frames.last().unwrap().first == 0x80);
            assert!(frames[1..].iter().all(|frame| frame.first & 0x70 == 0));
            assert_eq!(inbox.extend(&bytes), bytes.len());
            assert_eq!(peer.next_event(&mut inbox), Ok(Some(Event::Text(&long))));
        }
    }
}

/// PD-22: by message and by length.
#[test]
fn pd_22_what_is_not_compressed() {
    for server in [true, false] {
        let options = || options().threshold(5);
        let mut ours = connection(server, DeflateParams::default(), options(), ConnectionOptions::new());
        let mut peer = connection(!server, DeflateParams::default(), options(), ConnectionOptions::new());
        let mut inbox = Inbox::new();
        for expected in [0x40, 0x40] {
            ours.send(Message::from("Hello")).unwrap();
            ours.send_plain(Message::from("Hello")).unwrap();
            ours.send_plain(Message::Binary(vec![7; 5_000].into())).unwrap();
            ours.send("Hell").unwrap();
            ours.send(&Prepared::text("Hell")).unwrap();
            ours.send(&Prepared::text("Hello")).unwrap();
            let outgoing = ours.outgoing();
            let bytes = outgoing.copy_to_bytes(outgoing.remaining());
            let rsv: Vec<u8> = decode(&bytes).unwrap().iter().map(|frame| frame.first & 0x70).collect();
            assert_eq!(rsv, [expected, 0, 0, 0, 0, 0x40]);
            assert_eq!(inbox.extend(&bytes), bytes.len());
            let mut seen = Observed::default();
            while let Some(event) = peer.next_event(&mut inbox).unwrap() {
                let token = seen.lent(&event).unwrap();
                seen.tokens.push(token);
            }
            let five = Token::Binary(vec![7; 5_000]);
            let (hello, hell) = (text("Hello"), text("Hell"));
            assert_eq!(seen.tokens, [hello.clone(), hello.clone(), five, hell.clone(), hell, hello]);
        }
    }
}

/// What does not compress gets longer; the queue is bounded all the same, and one message fits if it is
/// empty.
#[test]
fn what_gets_longer_stays_within_the_queue() {
    const MOST: usize = 10_000;
    for server in [true, false] {
        for level in 0..=9 {
            for memory_level in [1, 4, 9] {
                let window_bits = WindowBits::MAX;
                let options = DeflateOptions::new(Compression::Dedicated { window_bits, memory_level })
                    .level(level)
                    .threshold(0);
                let mut ours = connection(
                    server,
                    DeflateParams::default(),
                    options,
                    ConnectionOptions::new().max_outgoing(MOST),
                );
                // High bytes take nine bits where codes are fixed.
                let mut state = 1_u32;
                let mut noise = |len: usize| -> Vec<u8> {
                    (0..len)
                        .map(|_| {
                            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                            (state >> 24) as u8 | 0x90
                        })
                        .collect()
                };
                for len in [1, 10, 100, 127, 1_000, 3_000] {
                    while ours.send(&noise(len)[..]) == Ok(()) {
                        assert!(ours.queued() <= MOST, "{level} {memory_level} {len}: {}", ours.queued());
                    }
                    assert_eq!(
                        ours.send_fragment(Opcode::Binary, false, &noise(MOST)),
                        Err(UsageError::Full)
                    );
                    written(&mut ours);
                }
                assert_eq!(ours.send(&noise(2 * MOST)[..]), Ok(()));
            }
        }
    }
}

/// PN-26: a client keeps to the window that the server chose; the messages are as long as a sender's windows
/// reach.
#[test]
fn pn_26_the_agreed_window_is_kept() {
    let message = noise(600).repeat(7);
    for server in [true, false] {
        for n in 8..=15 {
            let params = DeflateParams {
                server_max_window_bits: bits(n),
                client_max_window_bits: bits(n),
                ..no_takeover()
            };
            let mut ours = connection(server, params, options(), ConnectionOptions::new());
            ours.send(&message).unwrap();
            let frames = written(&mut ours);
            let stream = [&frames[0].payload[..], &[0, 0, 0xff, 0xff]].concat();
            let largest = largest_distance(&stream);
            assert!(largest <= 1 << n, "{n}: {largest}");
            assert_eq!(largest >= 600, n >= 10, "{n}: {largest}");
        }
    }
}

/// PD-23: inside one message the window is 32 KiB whatever was agreed; from earlier messages no more is kept
/// than was agreed, where a window is all that is kept.
#[test]
fn pd_23_beyond_the_agreed_window() {
    let inside = Writer::default().fixed(false).literals(&noise(300)).copy(300, 100).end().message();
    let before = Writer::default().fixed(false).literals(&noise(300)).end().message();
    let back = |distance| Writer::default().fixed(false).copy(distance, 10).end().message();
    let window_bits = WindowBits::MAX;
    for server in [true, false] {
        for (policy, keeps) in [
            (Compression::Shared, 256),
            (Compression::Compact { window_bits }, 256),
            (Compression::Dedicated { window_bits, memory_level: 4 }, 300),
        ] {
            let params = DeflateParams {
                server_max_window_bits: bits(8),
                client_max_window_bits: bits(8),
                ..DeflateParams::default()
            };
            let last = |frames: &[(u8, &[u8])]| {
                let mut ours =
                    connection(server, params, DeflateOptions::new(policy), ConnectionOptions::new());
                let mut inbox = Inbox::new();
                let bytes = stream(server, frames);
                assert_eq!(inbox.extend(&bytes), bytes.len());
                let mut last = 0;
                while let Some(event) = ours.next_event(&mut inbox)? {
                    last = if let Event::Binary(payload) = event { payload.len() } else { 0 };
                }
                Ok(last)
            };
            assert_eq!(last(&[(0xc2, &inside)]), Ok(400));
            assert_eq!(last(&[(0xc2, &before), (0xc2, &back(256))]), Ok(10));
            let further = last(&[(0xc2, &before), (0xc2, &back(300))]);
            assert_eq!(further.is_ok(), keeps == 300, "{policy:?}");
            assert!(matches!(further, Ok(10) | Err(ProtocolError::InvalidDeflate)));
        }
    }
}

/// A connection's own messages and prepared ones in turn, with every policy: nothing refers to what the
/// other end does not have.
#[test]
fn prepared_and_own_messages_in_turn() {
    let window_bits = bits(9);
    for compression in [
        Compression::Shared,
        Compression::Compact { window_bits },
        Compression::Dedicated { window_bits, memory_level: 2 },
    ] {
        for takeover in [true, false] {
            let mut params = if takeover { DeflateParams::default() } else { no_takeover() };
            params.server_max_window_bits = window_bits;
            let options = DeflateOptions::new(compression).threshold(0);
            let mut server = connection(true, params, options.clone(), ConnectionOptions::new());
            let mut client = connection(false, params, options, ConnectionOptions::new());
            let mut inbox = Inbox::new();
            for n in 0..50_usize {
                let said = format!("the same words again and again, {}", n % 3).repeat(1 + n % 20);
                let sent = match n * n % 7 {
                    0 | 1 => server.send(&Prepared::text(&said)),
                    2 => server.send_plain(Message::from(said.clone())),
                    _ => server.send(&said),
                };
                assert_eq!(sent, Ok(()));
                assert_eq!(carry(&mut server, &mut client, &mut inbox), [text(&said)]);
            }
        }
    }
}

/// An owned message that was inflated keeps no memory to speak of besides its own, and a queued one neither.
#[test]
fn owned_and_queued_messages_hold_what_they_are() {
    let rules = rules(false, false);
    let large = stream(false, &[(0xc2, &compressed(&[1; 60_000]))]);
    let small = stream(false, &[(0xc2, &compressed(&[2; 17_000]))]);
    let mut client = observe::connection(&rules, ConnectionOptions::new());
    let mut inbox = Inbox::with_read_size(1_024);
    assert_eq!(inbox.extend(&large), large.len());
    assert!(client.next_owned(&mut inbox).unwrap().is_some());
    assert_eq!(client.next_owned(&mut inbox).unwrap(), None);
    let mut message = None;
    let (_, held) = memory(|| {
        assert_eq!(inbox.extend(&small), small.len());
        message = client.next_owned(&mut inbox).unwrap();
        assert_eq!(client.next_owned(&mut inbox).unwrap(), None);
    });
    assert!(matches!(&message, Some(Message::Binary(payload)) if payload.len() == 17_000));
    assert!(held < 35_000, "{held}");

    // Noise in what compresses well: 6 KiB on the wire of 60.
    let mut payload = vec![b' '; 60_000];
    let mut state = 1_u32;
    payload[..6_000].fill_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mut server = connection(true, no_takeover(), options(), ConnectionOptions::new());
    server.send(&payload).unwrap();
    let (_, held) = memory(|| {
        for _ in 0..16 {
            server.send(&payload).unwrap();
        }
    });
    assert!(held < 16 * 7_500, "{held}");
}

/// A mebibyte on the wire that would inflate to a gibibyte, at the usual limit of a mebibyte.
#[test]
fn a_bomb_costs_less_than_four_mebibytes() {
    let mut deflater = Deflater::new(no_takeover().server(), &options().level(9));
    let mut part = Vec::new();
    deflater.deflate(&vec![0; 8 << 20], &mut part, false);
    let payload = part.repeat(130);
    assert!((1 << 20..1_100_000).contains(&payload.len()));
    for server in [true, false] {
        let frame = stream(server, &[(0xc2, &payload)]);
        for takeover in [true, false] {
            for read in [16 * 1024, 1 << 20] {
                let mut tokens = Vec::new();
                let (peak, _) = memory(|| {
                    let rules = Rules { max_message: 1 << 20, ..rules(server, takeover) };
                    let mut connection = observe::connection(&rules, ConnectionOptions::new());
                    let mut inbox = Inbox::with_read_size(read);
                    for piece in frame.chunks(read) {
                        assert_eq!(inbox.extend(piece), piece.len());
                        if let Err(error) = connection.next_event(&mut inbox) {
                            tokens.push(error.close_code().0);
                            break;
                        }
                    }
                    let close = written(&mut connection);
                    assert_eq!((close[0].first, &close[0].payload[..]), (0x88, &[0x03, 0xf1][..]));
                });
                assert_eq!(tokens, [1009]);
                assert!(peak < 4 << 20, "{peak}");
            }
        }
    }
}

/// A header takes nothing, a message a state, which goes back; and a large message leaves little behind.
#[test]
fn memory_follows_what_was_received() {
    let message = vec![b'a'; 10 << 20];
    for server in [true, false] {
        let rules = Rules { deflate: Some(false), ..Rules::defaults(server) };
        let frame = stream(server, &[(0xc1, &compressed(&message))]);
        let header = if server { 8 } else { 4 };
        for front in [Front::Lent, Front::Parts] {
            let parts = front == Front::Parts;
            let mut connection = observe::connection(&rules, ConnectionOptions::new().parts(parts));
            let mut inbox = Inbox::with_read_size(16 * 1024);
            let feed = |connection: &mut Connection, inbox: &mut Inbox, bytes: &[u8]| {
                let mut len = 0;
                for piece in bytes.chunks(16 * 1024) {
                    assert_eq!(inbox.extend(piece), piece.len());
                    while let Some(event) = connection.next_event(inbox).unwrap() {
                        len += match event {
                            Event::Text(text) | Event::TextPart { text, .. } => text.len(),
                            other => panic!("{other:?}"),
                        };
                    }
                }
                len
            };
            assert!(inbox.space().len() >= 256);
            let (peak, _) = memory(|| assert_eq!(feed(&mut connection, &mut inbox, &frame[..header]), 0));
            assert_eq!(peak, 0, "{front:?}");
            let (peak, held) = memory(|| {
                assert_eq!(feed(&mut connection, &mut inbox, &frame[header..]), message.len());
            });
            // The pool's state and the inbox's room; in parts there was never more than one of them.
            assert!(held < 180 * 1024, "{front:?} {held}");
            assert!(!parts || peak < 300 * 1024, "{front:?} {peak}");
            let (peak, _) = memory(|| {
                for _ in 0..2 {
                    assert_eq!(feed(&mut connection, &mut inbox, &frame), message.len());
                }
            });
            assert!(!parts || peak < 64 * 1024, "{front:?} {peak}");
        }
    }
}
