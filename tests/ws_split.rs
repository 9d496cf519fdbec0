//! How received bytes are cut makes no difference: the same events, the same output, the same error.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::raw::Deflater;
use pushline::ws::HeaderError;
use pushline::ws::deflate::{Compression, DeflateOptions, Direction, WindowBits};
use pushline::ws::{ConnectionOptions, Event, ProtocolError};
// The shared modules name these as the crate does.
use pushline::{Inbox, ws};

mod common;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;
#[path = "../src/fuzzing/ws/observe.rs"]
mod observe;

use common::every_cut;
use model::{Rules, Token, encode, receive, with_replies};
use observe::{Front, KEY, connection, observe};

const SERVER: bool = true;
const CLIENT: bool = false;

/// A header with several faults is refused for the one whose byte comes first.
#[test]
fn faults_are_found_in_the_order_of_their_bytes() {
    let not_minimal = ProtocolError::Header(HeaderError::LengthNotMinimal);
    let top_bit = ProtocolError::Header(HeaderError::LengthTopBit);
    let cases: [(bool, &[u8], ProtocolError); 9] = [
        (SERVER, &[0x82, 0x7e, 0, 1], ProtocolError::UnmaskedFrame),
        (SERVER, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnmaskedFrame),
        (CLIENT, &[0x82, 0xfe, 0, 1], ProtocolError::MaskedFrame),
        (SERVER, &[0x80, 0xfe, 0, 1], ProtocolError::UnexpectedContinuation),
        (CLIENT, &[0x80, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnexpectedContinuation),
        (CLIENT, &[0x01, 0x00, 0x82, 0x7e, 0, 1], ProtocolError::ExpectedContinuation),
        (SERVER, &[0x88, 0x81], ProtocolError::TruncatedCloseCode),
        (SERVER, &[0x82, 0xfe, 0, 1], not_minimal),
        (CLIENT, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], top_bit),
    ];
    for (server, bytes, expected) in cases {
        every_cut(bytes, |pieces| {
            let mut connection = connection(&Rules::defaults(server), ConnectionOptions::new());
            let mut inbox = Inbox::new();
            let error = pieces.iter().find_map(|piece| {
                assert_eq!(inbox.extend(piece), piece.len());
                connection.next_event(&mut inbox).err()
            });
            assert_eq!(error, Some(expected), "{bytes:02x?} in {pieces:02x?}");
        });
    }
}

/// Text before a bad byte is delivered in parts mode, however it came.
#[test]
fn the_text_before_a_bad_byte_is_delivered() {
    let cases: [(&[u8], &str); 8] = [
        (b"\x81\x03ab\xff", "ab"),
        (b"\x81\x05ab\xed\xa0c", "ab"),
        (b"\x81\x04ab\xed\xa0", "ab"),
        (b"\x81\x04\xc3\xa4b\xc3", "\u{e4}b"),
        (b"\x01\x03ab\xc3\x80\x01c", "ab"),
        (b"\x01\x03ab\xc3\x00\x01\xa4\x80\x01\xff", "ab\u{e4}"),
        (b"\x01\x02ab\x00\x02c\xf5", "abc"),
        (b"\x81\x01\x80", ""),
    ];
    for (bytes, expected) in cases {
        every_cut(bytes, |pieces| {
            let mut connection = connection(&Rules::defaults(CLIENT), ConnectionOptions::new().parts(true));
            let (mut inbox, mut seen, mut error) = (Inbox::new(), String::new(), None);
            for piece in pieces {
                assert_eq!(inbox.extend(piece), piece.len());
                loop {
                    match connection.next_event(&mut inbox) {
                        Ok(Some(Event::TextPart { text, fin })) => {
                            seen.push_str(text);
                            assert!(!fin || error.is_none());
                        }
                        Ok(Some(other)) => panic!("{other:?}"),
                        Ok(None) => break,
                        Err(found) => {
                            error = Some(found);
                            break;
                        }
                    }
                }
            }
            assert_eq!(seen, expected, "{bytes:02x?} in {pieces:02x?}");
            assert!(error.is_some());
        });
    }
}

/// A frame as a peer might send it, or something that is none.
#[derive(Clone, Debug)]
struct Piece {
    /// What is sent, with a message in progress or without one.
    first: u8,
    continuation: u8,
    payload: Vec<u8>,
    key: [u8; 4],
    /// A bit to turn over, counted from the start of the frame: mostly beyond its end.
    flip: usize,
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let text = |characters: &'static str| {
        proptest::string::string_regex(characters).expect("a pattern").prop_map(String::into_bytes).boxed()
    };
    let lengths =
        prop_oneof![0_usize..20, 120_usize..132, 0_usize..2_000, 16_380_usize..16_390, 65_530_usize..65_540];
    prop_oneof![
        8 => text("[a-z\u{e4}\u{20ac}\u{1f600}]{0,40}"),
        2 => text("\\PC{0,300}"),
        // Half a character at the end, to be completed by the next fragment or not at all.
        2 => (text("[\u{e4}\u{20ac}\u{1f600}]{1,9}"), 1_usize..4).prop_map(|(mut text, cut)| {
            text.truncate(text.len() - cut.min(text.len()));
            text
        }),
        3 => proptest::collection::vec(any::<u8>(), 0..140),
        1 => (lengths, any::<u8>()).prop_map(|(len, byte)| vec![byte & 0x7f; len]),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let first = prop_oneof![
        4 => (prop::bool::ANY, 1_u8..=2).prop_map(|(fin, opcode)| (u8::from(fin) << 7 | opcode, u8::from(fin) << 7)),
        2 => prop_oneof![Just(0x89), Just(0x8a)].prop_map(|first| (first, first)),
        1 => prop_oneof![Just((0x88, 0x88)), Just((0x80, 0x00)), (any::<u8>(), any::<u8>())],
    ];
    let key = prop_oneof![Just([0; 4]), any::<[u8; 4]>()];
    (first, payload(), key, 0_usize..6_000).prop_map(|((first, continuation), mut payload, key, flip)| {
        if first & 0x08 != 0 {
            payload.truncate(125);
        }
        if first == 0x88 && payload.len() >= 2 {
            payload.splice(..2, [0x03, 0xe8]);
        }
        Piece { first, continuation, payload, key, flip }
    })
}

/// The bytes of all the pieces.
fn stream(pieces: &[Piece], server: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut in_progress = false;
    for piece in pieces {
        let first = if in_progress && piece.first & 0x08 == 0 { piece.continuation } else { piece.first };
        if first & 0x08 == 0 {
            in_progress = first & 0x80 == 0;
        }
        let mut frame = encode(first, server.then_some(piece.key), &piece.payload);
        if let Some(byte) = frame.get_mut(piece.flip / 8) {
            *byte ^= 1 << (piece.flip % 8);
        }
        stream.append(&mut frame);
    }
    stream
}

/// Streams of messages, some of them compressed, in fragments, perhaps with control frames between and a bit
/// turned over.
fn compressed_stream(
    server: bool,
    takeover: bool,
    messages: &[(String, bool, u8, usize)],
    flip: Option<usize>,
) -> Vec<u8> {
    let direction = Direction { context_takeover: takeover, window_bits: WindowBits::MAX };
    let window_bits = WindowBits::MAX;
    let policy = Compression::Dedicated { window_bits, memory_level: 4 };
    let mut deflater = Deflater::new(direction, &DeflateOptions::new(policy).level(6));
    let mut stream = Vec::new();
    for (text, compress, opcode, cut) in messages {
        let cut = cut % (text.len() + 1);
        for (n, piece) in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]].into_iter().enumerate() {
            let mut payload = Vec::new();
            match compress {
                true => deflater.deflate(piece, &mut payload, n == 1),
                false => payload.extend_from_slice(piece),
            }
            let first = match n {
                0 => *opcode | if *compress { 0x40 } else { 0 },
                _ => 0x80,
            };
            stream.extend(encode(first, server.then_some(KEY), &payload));
            if cut % 3 == n {
                stream.extend(encode(0x89, server.then_some(KEY), b"ping"));
            }
        }
    }
    if let Some(flip) = flip {
        let at = flip / 8 % stream.len();
        stream[at] ^= 1 << (flip % 8);
    }
    stream
}

fn rules() -> impl Strategy<Value = Rules> {
    let limit = |most: u64| prop_oneof![Just(1 << 24), 0..most];
    (any::<bool>(), any::<bool>(), limit(3_000), limit(6_000), limit(6)).prop_map(
        |(server, unmasked, max_frame, max_message, max_fragments)| Rules {
            server,
            accept_unmasked: server && unmasked,
            max_frame,
            max_message,
            max_fragments,
            deflate: None,
        },
    )
}

/// Cuts at all the places that lie inside.
fn cut<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Streams of frames, good and bad, under any limits: every front end and every cut shows what the naive
    /// receiver shows, and the same error.
    #[test]
    fn no_cut_and_no_front_end_makes_a_difference(
        rules in rules(),
        pieces in proptest::collection::vec(piece(), 1..12),
        places in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let stream = stream(&pieces, rules.server);
        let model = receive(&rules, &stream);
        let expected = with_replies(&rules, model.tokens.iter().map(|(_, token)| token.clone()), KEY);
        let whole = observe(&rules, Front::Lent, &[&stream]);
        prop_assert_eq!(&whole.tokens, &expected);
        // Just enough for a message within the limits, and a control frame besides.
        let fixed = Front::Fixed(stream.len().min(rules.max_message as usize) + 125 + 14);
        for front in [Front::Lent, fixed, Front::Owned, Front::Parts] {
            for pieces in [cut(&stream, &places), vec![&stream]] {
                let seen = observe(&rules, front, &pieces);
                prop_assert_eq!(&seen.tokens, &expected, "{:?}", front);
                prop_assert_eq!(seen.error, whole.error);
                if front == Front::Parts {
                    prop_assert_eq!(&seen.partial, &model.partial);
                }
            }
        }
    }

    /// As the first, with compression.
    #[test]
    fn no_cut_makes_a_difference_to_what_is_compressed(
        rules in rules(),
        takeover in any::<bool>(),
        messages in proptest::collection::vec(
            (prop_oneof!["[a-c\u{e4}\u{20ac}\u{1f600}]{0,30}", "[ab]{0,4}", "(abcdefgh){0,600}"],
             any::<bool>(), 1_u8..=2, any::<usize>()),
            1..8,
        ),
        flip in proptest::option::of(any::<usize>()),
        places in proptest::collection::vec(any::<usize>(), 0..30),
    ) {
        let rules = Rules { deflate: Some(takeover), ..rules };
        let stream = compressed_stream(rules.server, takeover, &messages, flip);
        let model = receive(&rules, &stream);
        let expected = with_replies(&rules, model.tokens.iter().map(|(_, token)| token.clone()), KEY);
        let whole = observe(&rules, Front::Lent, &[&stream]);
        prop_assert_eq!(&whole.tokens, &expected);
        let fixed = Front::Fixed(stream.len().min(rules.max_message as usize) + 125 + 14);
        for front in [Front::Lent, fixed, Front::Owned, Front::Parts] {
            for pieces in [cut(&stream, &places), vec![&stream], stream.chunks(1).collect()] {
                let seen = observe(&rules, front, &pieces);
                prop_assert_eq!(&seen.tokens, &expected, "{:?}", front);
                prop_assert_eq!(seen.error, whole.error);
                if front == Front::Parts {
                    prop_assert_eq!(&seen.partial, &model.partial);
                }
            }
        }
        // At the same bytes, too.
        let seen = observe(&rules, Front::Parts, &stream.chunks(1).collect::<Vec<_>>());
        let events = seen.at.iter().zip(seen.tokens);
        let events = events.filter(|(_, token)| !matches!(token, Token::Wrote(_) | Token::Finished));
        prop_assert_eq!(&events.map(|(at, token)| (*at, token)).collect::<Vec<_>>(), &model.tokens);
    }

    /// Byte by byte every event and every error is there as soon as its last byte is.
    #[test]
    fn nothing_waits_for_a_byte_too_many(rules in rules(), pieces in proptest::collection::vec(piece(), 1..6)) {
        let mut stream = stream(&pieces, rules.server);
        stream.truncate(4_000);
        let model = receive(&rules, &stream);
        for front in [Front::Lent, Front::Owned, Front::Parts] {
            let seen = observe(&rules, front, &stream.chunks(1).collect::<Vec<_>>());
            let events = seen.at.iter().zip(seen.tokens);
            let events = events.filter(|(_, token)| !matches!(token, Token::Wrote(_) | Token::Finished));
            prop_assert_eq!(&events.map(|(at, token)| (*at, token)).collect::<Vec<_>>(), &model.tokens);
        }
    }
}
