//! RFC 7692 7.2: the codec's rows of the checklist (PD), windows on the wire, streams that no compressor
//! would write.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/deflate.rs"]
mod deflate;

use common::{every_cut, rows, unhex};
use deflate::{Writer, largest_distance, noise};
use proptest::prelude::*;
use pushline::raw::{Deflater, InflateError, Inflater};
use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams, Direction, Pool, WindowBits};
use std::num::NonZeroU32;

const NO_LIMIT: usize = usize::MAX;
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn bits(n: u8) -> WindowBits {
    WindowBits::new(n).unwrap()
}

fn direction(window_bits: u8, context_takeover: bool) -> Direction {
    Direction { context_takeover, window_bits: bits(window_bits) }
}

/// Every policy, with windows as large as agreed.
fn policies(window_bits: u8) -> [DeflateOptions; 3] {
    let window_bits = bits(window_bits);
    [
        DeflateOptions::new(Compression::Shared),
        DeflateOptions::new(Compression::Compact { window_bits }),
        DeflateOptions::new(Compression::Dedicated { window_bits, memory_level: 8 }),
    ]
}

fn inflater(context_takeover: bool) -> Inflater {
    Inflater::new(direction(15, context_takeover), &policies(15)[2], NO_LIMIT)
}

/// Inflates one message, its payload cut as given.
fn inflate_pieces(inflater: &mut Inflater, pieces: &[&[u8]]) -> Result<Vec<u8>, InflateError> {
    let mut output = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let progress = inflater.inflate(piece, &mut output, NO_LIMIT, i + 1 == pieces.len())?;
        assert_eq!((progress.consumed, progress.done), (piece.len(), true));
    }
    Ok(output)
}

fn inflate(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, InflateError> {
    inflate_pieces(inflater, &[payload])
}

fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    deflater.deflate(message, &mut payload, true);
    payload
}

/// The messages of a checklist row, as payloads of unmasked frames: (fin, payload).
fn frames(hex: &str) -> Vec<(bool, Vec<u8>)> {
    let bytes = unhex(hex);
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let [first, len, tail @ ..] = rest {
        let (payload, behind) = tail.split_at(usize::from(*len));
        frames.push((first & 0x80 != 0, payload.to_vec()));
        rest = behind;
    }
    frames
}

/// What a row's frames say, message by message, up to the first error.
fn row(id: &str, context_takeover: bool) -> Vec<Result<String, InflateError>> {
    let table = include_str!("cases/rfc6455-checklist.tsv");
    let row = rows(table).find(|row| row[0] == id).unwrap();
    let hex: String = row[4].chars().skip_while(|c| !c.is_ascii_digit() && *c != 'c').collect();
    let hex = hex.trim_end_matches(" (client)");
    let frames = frames(hex);
    let mut inflater = inflater(context_takeover);
    let mut messages = Vec::new();
    let mut message = Vec::new();
    for (fin, payload) in &frames {
        match inflater.inflate(payload, &mut message, NO_LIMIT, *fin) {
            Ok(progress) => assert!(progress.done),
            Err(error) => {
                messages.push(Err(error));
                break;
            }
        }
        if *fin {
            messages.push(Ok(String::from_utf8(std::mem::take(&mut message)).unwrap()));
        }
    }
    messages
}

#[test]
fn pd_01_to_08_the_examples_of_the_rfc() {
    let hello = || Ok("Hello".to_owned());
    for context_takeover in [true, false] {
        assert_eq!(row("PD-01", context_takeover), [hello()]);
        assert_eq!(row("PD-02", context_takeover), [hello()]);
        assert_eq!(row("PD-05", context_takeover), [hello()]);
        assert_eq!(row("PD-06", context_takeover), [hello(), hello()]);
        assert_eq!(row("PD-07", context_takeover), [hello()]);
        assert_eq!(row("PD-08", context_takeover), [Ok(String::new())]);
    }
    assert_eq!(row("PD-03", true), [hello(), hello()]);
}

#[test]
fn pd_04_no_context_takeover_refuses_what_refers_back() {
    let referring = [0xf2, 0x00, 0x11, 0x00, 0x00];
    for options in policies(15) {
        let mut inflater = Inflater::new(direction(15, false), &options, NO_LIMIT);
        assert_eq!(inflate(&mut inflater, &HELLO).unwrap(), b"Hello");
        assert_eq!(inflate(&mut inflater, &referring), Err(InflateError::Data));
        // The peer may have promised not to, and yet be free to: then it works.
        let mut inflater = Inflater::new(direction(15, true), &options, NO_LIMIT);
        for payload in [&HELLO[..], &referring, &referring] {
            assert_eq!(inflate(&mut inflater, payload).unwrap(), b"Hello");
        }
    }
}

#[test]
fn pd_06_what_follows_a_final_block_may_refer_back_beyond_it() {
    let payload = |distance| {
        let first = Writer::default().fixed(true).literals(b"Hello").end().align();
        first.fixed(true).copy(distance, 5).end().align().message()
    };
    for options in policies(15) {
        for context_takeover in [true, false] {
            let new = || Inflater::new(direction(15, context_takeover), &options, NO_LIMIT);
            every_cut(&payload(5), |pieces| {
                assert_eq!(inflate_pieces(&mut new(), pieces).unwrap(), b"HelloHello");
            });
            assert_eq!(inflate(&mut new(), &payload(6)), Err(InflateError::Data));
            // And beyond the message.
            let mut inflater = new();
            assert_eq!(inflate(&mut inflater, &payload(5)).unwrap(), b"HelloHello");
            let expected =
                if context_takeover { Ok(b"HelloHelloHello".to_vec()) } else { Err(InflateError::Data) };
            let again = Writer::default().fixed(true).copy(10, 10).end().align();
            assert_eq!(inflate(&mut inflater, &again.fixed(false).copy(5, 5).end().message()), expected);
        }
    }
}

#[test]
fn a_final_block_may_be_completed_by_the_tail() {
    let mut inflater = inflater(true);
    // An empty stored block with BFINAL; then the next message.
    let payload = Writer::default().fixed(false).literals(b"Hello").end().stored(&[], true).bytes();
    assert_eq!(inflate(&mut inflater, &payload[..payload.len() - 4]).unwrap(), b"Hello");
    assert_eq!(inflate(&mut inflater, &[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap(), b"Hello");
}

#[test]
fn pd_08_19_empty_messages_and_tails() {
    for options in policies(15) {
        for context_takeover in [true, false] {
            let mut deflater = Deflater::new(direction(15, context_takeover), &options);
            let mut inflater = Inflater::new(direction(15, context_takeover), &options, NO_LIMIT);
            for message in ["", "Hello", "", "", "Hello", "a"] {
                let payload = deflate(&mut deflater, message.as_bytes());
                assert!(!payload.ends_with(&[0x00, 0x00, 0xff, 0xff]));
                if message.is_empty() {
                    assert_eq!(payload, [0x00]);
                }
                assert_eq!(inflate(&mut inflater, &payload).unwrap(), message.as_bytes());
            }
        }
    }
}

#[test]
fn context_takeover_is_used_when_agreed() {
    let message = noise(200);
    for (policy, options) in policies(15).iter().enumerate() {
        for context_takeover in [true, false] {
            let mut deflater = Deflater::new(direction(15, context_takeover), options);
            let first = deflate(&mut deflater, &message);
            let second = deflate(&mut deflater, &message);
            // `Shared` (0) never refers back: it is free not to.
            if context_takeover && policy > 0 {
                assert!(second.len() < 20);
            } else {
                assert_eq!(first, second);
            }
        }
    }
}

#[test]
fn pd_13_corrupt_data_fails_for_good() {
    let lengths_differ = [0x00, 0x05, 0x00, 0x00, 0x00];
    for payload in [&[0xff, 0xff, 0xff][..], &[0x06], &lengths_differ, &[0x05, 0x05]] {
        let mut inflater = inflater(true);
        assert_eq!(inflate(&mut inflater, &HELLO).unwrap(), b"Hello");
        let error = inflate(&mut inflater, payload).unwrap_err();
        assert!(matches!(error, InflateError::Data | InflateError::Truncated), "{error:?}");
        assert_eq!(inflate(&mut inflater, &HELLO), Err(error));
    }
}

#[test]
fn pd_14_truncated_data_is_an_error_at_every_place() {
    let message: Vec<u8> = noise(700).into_iter().flat_map(|byte| [byte % 16, byte % 3]).collect();
    for level in [1, 6] {
        let options = policies(15)[2].clone().level(level);
        let payload = deflate(&mut Deflater::new(direction(15, true), &options), &message);
        for cut in 0..payload.len() {
            let mut inflater = inflater(true);
            assert_eq!(
                inflate(&mut inflater, &payload[..cut]),
                Err(InflateError::Truncated),
                "{level} {cut}"
            );
            assert_eq!(inflate(&mut inflater, &payload), Err(InflateError::Truncated));
        }
    }
    // The tail left in, so that there are two of them: the empty block behind it lacks its first byte.
    let mut payload = HELLO.to_vec();
    payload.extend([0x00, 0x00, 0xff, 0xff]);
    assert_eq!(inflate(&mut inflater(true), &payload), Err(InflateError::Truncated));
}

#[test]
fn pd_15_16_17_the_limit_is_exact_on_inflated_bytes() {
    for options in policies(15) {
        for limit in [0, 1, 4, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 200_000] {
            for size in [limit.max(1) - 1, limit, limit + 1, limit + 2, limit + 100_000] {
                let payload = deflate(&mut Deflater::new(direction(15, true), &options), &vec![1; size]);
                let expected = if size > limit { Err(InflateError::TooBig) } else { Ok(vec![1; size]) };
                let new = || Inflater::new(direction(15, true), &options, limit);
                assert_eq!(inflate(&mut new(), &payload), expected, "{limit} {size}");
                // In fragments, and again for a second message.
                let mut inflater = new();
                let pieces: Vec<&[u8]> = payload.chunks(3).collect();
                assert_eq!(inflate_pieces(&mut inflater, &pieces), expected, "{limit} {size}");
                assert_eq!(inflate(&mut inflater, &payload), expected, "{limit} {size}");
            }
        }
    }
}

#[test]
fn the_limit_comes_before_what_is_wrong_behind_it() {
    // Ten bytes, then a block of type 3.
    let mut payload = Writer::default().fixed(false).literals(b"0123456789").end().align().bytes();
    *payload.last_mut().unwrap() |= 0x80;
    payload.extend([0xff; 8]);
    for (limit, expected) in [(8, InflateError::TooBig), (9, InflateError::TooBig), (10, InflateError::Data)]
    {
        every_cut(&payload, |pieces| {
            let mut inflater = Inflater::new(direction(15, true), &policies(15)[0], limit);
            assert_eq!(inflate_pieces(&mut inflater, pieces), Err(expected));
        });
    }
}

#[test]
fn pd_18_a_mebibyte_of_empty_blocks_is_bounded_work() {
    for block in [&[0x00, 0x00, 0x00, 0xff, 0xff][..], &[0x03, 0x00], &[0x01, 0x00, 0x00, 0xff, 0xff]] {
        for context_takeover in [true, false] {
            let mut inflater = inflater(context_takeover);
            // With a full window to be put back behind each final block.
            let full = deflate(&mut Deflater::new(direction(15, true), &policies(15)[0]), &noise(40_000));
            assert_eq!(inflate(&mut inflater, &full).unwrap().len(), 40_000);
            let mut payload = block.repeat((1 << 20) / block.len());
            payload.push(0x00);
            assert_eq!(inflate(&mut inflater, &payload).unwrap(), b"");
            assert_eq!(inflate(&mut inflater, &HELLO).unwrap(), b"Hello");
        }
    }
}

#[test]
fn pd_20_fragments_keep_the_tail_but_the_last() {
    for options in policies(15) {
        for context_takeover in [true, false] {
            let mut deflater = Deflater::new(direction(15, context_takeover), &options);
            let mut inflater = Inflater::new(direction(15, context_takeover), &options, NO_LIMIT);
            for message in
                [&["Hel", "lo"][..], &["", "Hel", "", "lo"], &["Hel", "lo", ""], &["", ""], &["Hello"]]
            {
                let mut payloads = Vec::new();
                for (i, fragment) in message.iter().enumerate() {
                    let mut payload = Vec::new();
                    let end = i + 1 == message.len();
                    deflater.deflate(fragment.as_bytes(), &mut payload, end);
                    let flushed = payload.ends_with(&[0x00, 0x00, 0xff, 0xff]);
                    assert_eq!(flushed, !end && !fragment.is_empty());
                    payloads.push(payload);
                }
                // What has been sent of a message can be inflated before its end.
                let mut output = Vec::new();
                let mut so_far = String::new();
                for (i, payload) in payloads.iter().enumerate() {
                    let end = i + 1 == payloads.len();
                    assert!(inflater.inflate(payload, &mut output, NO_LIMIT, end).unwrap().done);
                    so_far += message[i];
                    assert_eq!(output, so_far.as_bytes());
                }
            }
        }
    }
}

#[test]
fn windows_are_honoured_when_sending() {
    for window_bits in 8..=15 {
        let window_len = 1_usize << window_bits;
        // zlib's matches stay 262 bytes within the window it makes, of at least 512.
        let reach = window_len.max(512) - 262;
        let distances = [100, 200, 250, 300, 600, 1200, 2500, 5000, 10_000, 20_000, 32_000];
        for options in policies(window_bits) {
            for distance in distances {
                for level in if distance < 2000 { 1..=9 } else { 1..=1 } {
                    let options = options.clone().level(level);
                    let message = noise(distance).repeat(2);
                    let mut deflater = Deflater::new(direction(window_bits, true), &options);
                    // In one message, and over two.
                    let mut stream = Vec::new();
                    deflater.deflate(&message, &mut stream, false);
                    deflater.deflate(&message[..distance], &mut stream, false);
                    let largest = largest_distance(&stream);
                    assert!(largest <= window_len, "{window_bits} {distance} {level}: {largest}");
                    // By chance a few bytes of noise stand somewhere else again.
                    let expected = if distance <= reach { distance } else { 0 };
                    assert!(largest >= expected, "{window_bits} {distance} {level}: {largest}");
                    if distance > reach {
                        assert!(stream.len() > 3 * distance, "{window_bits} {distance} {level}");
                    }
                }
            }
        }
    }
}

#[test]
fn windows_reach_over_messages_and_no_further_when_sending() {
    for window_bits in 8..=15 {
        for options in &policies(window_bits)[1..] {
            for distance in [150, 240, 300, 700, 3000, 12_000] {
                let message = noise(distance);
                let mut deflater = Deflater::new(direction(window_bits, true), options);
                let first = deflate(&mut deflater, &message);
                let second = deflate(&mut deflater, &message);
                let reached = distance <= (1_usize << window_bits).max(512) - 262;
                assert_eq!(second.len() < first.len() / 2, reached, "{window_bits} {distance}");
                let mut stream = [first, vec![0, 0, 0xff, 0xff], second].concat();
                stream.extend([0, 0, 0xff, 0xff]);
                assert!(largest_distance(&stream) <= 1 << window_bits);
            }
        }
    }
}

#[test]
fn windows_are_honoured_when_receiving() {
    for window_bits in 8..=15 {
        let window_len = 1_usize << window_bits;
        let history = noise(window_len + 1);
        for options in policies(window_bits) {
            for (distance, fits) in [(window_len, true), (window_len + 1, false)] {
                let start = history.len() - distance;
                let mut inflater = Inflater::new(direction(window_bits, true), &options, NO_LIMIT);
                for piece in history.chunks(60_000) {
                    let message = Writer::default().stored(piece, false).message();
                    assert_eq!(inflate(&mut inflater, &message).unwrap(), piece);
                }
                let referring = Writer::default().fixed(false).copy(distance.min(32_768), 20).end().message();
                let start = if distance > 32_768 { continue } else { start };
                let expected = history[start..start + 20].to_vec();
                match inflate(&mut inflater, &referring) {
                    Ok(message) => assert_eq!(message, expected),
                    Err(error) => assert!(!fits && error == InflateError::Data),
                }
            }
        }
    }
}

#[test]
fn pd_23_beyond_the_window_is_an_error_once_the_bytes_are_gone() {
    // zlib-rs inflates with 32 KiB whatever was agreed; a policy that keeps the agreed window refuses more.
    let options = DeflateOptions::new(Compression::Compact { window_bits: bits(8) });
    let mut inflater = Inflater::new(direction(8, true), &options, NO_LIMIT);
    let history = noise(300);
    let message = Writer::default().stored(&history, false).message();
    assert_eq!(inflate(&mut inflater, &message).unwrap(), history);
    let near = Writer::default().fixed(false).copy(256, 5).end().message();
    assert_eq!(inflate(&mut inflater, &near).unwrap(), history[44..49]);
    let far = Writer::default().fixed(false).copy(300, 5).end().message();
    assert_eq!(inflate(&mut inflater, &far), Err(InflateError::Data));
    // Nobody reaches before the beginning, and 32 KiB is the end for all.
    for (distance, history) in [(1, 0), (5, 4), (32_768, 32_767)] {
        for options in policies(15) {
            let mut inflater = Inflater::new(direction(15, true), &options, NO_LIMIT);
            let history = Writer::default().stored(&noise(history), false);
            let message = history.fixed(false).copy(distance, 3).end().message();
            assert_eq!(inflate(&mut inflater, &message), Err(InflateError::Data));
        }
    }
}

#[test]
fn output_comes_in_steps_of_any_size() {
    let message: Vec<u8> = noise(3000).repeat(3).into_iter().chain([7; 20_000]).collect();
    for options in policies(15) {
        let payload = deflate(&mut Deflater::new(direction(15, true), &options), &message);
        for room in [1, 2, 255, 256, 257, 4096, 29_000, 29_001] {
            let mut inflater = Inflater::new(direction(15, true), &options, message.len());
            for _ in 0..2 {
                let (mut input, mut whole, mut part) = (&payload[..], Vec::new(), Vec::new());
                let mut calls = 0;
                loop {
                    let progress = inflater.inflate(input, &mut part, room, true).unwrap();
                    assert!(part.len() <= room);
                    input = &input[progress.consumed..];
                    whole.append(&mut part);
                    calls += 1;
                    if progress.done {
                        break;
                    }
                }
                assert_eq!(whole, message);
                assert!(input.is_empty() && calls <= message.len() / room + 1);
            }
        }
        let mut inflater = Inflater::new(direction(15, true), &options, message.len());
        let progress = inflater.inflate(&payload, &mut Vec::new(), 0, true).unwrap();
        assert_eq!((progress.consumed, progress.done), (0, false));
    }
}

#[test]
fn the_ratio_is_judged_alike_however_the_message_is_cut() {
    let ratio = |n| NonZeroU32::new(n).unwrap();
    // Noise, then zeros: 1:1 at first, hundreds to one in the end.
    let mut message = noise(3000);
    message.extend(vec![0; 3_000_000]);
    let options = policies(15)[1].clone().level(6);
    let payload = deflate(&mut Deflater::new(direction(15, true), &options), &message);
    let highest = message.len().div_ceil(payload.len()) as u32;
    assert!(highest > 400, "{highest}");
    for limit in [10, 100, highest / 2, highest, 1032] {
        let options = options.clone().max_ratio(ratio(limit));
        let new = || Inflater::new(direction(15, true), &options, NO_LIMIT);
        let expected = inflate(&mut new(), &payload);
        assert_eq!(expected.is_ok(), limit >= highest, "{limit}");
        for size in [1, 7, 1000, 1023, 1024, 1025, 2049] {
            let pieces: Vec<&[u8]> = payload.chunks(size).collect();
            assert_eq!(inflate_pieces(&mut new(), &pieces), expected);
        }
    }
    // Exactly at the ratio, one under, one over: with empty blocks up to and past the first whole KiB.
    for (zeros, fits) in [(4 * 1024 - 1, true), (4 * 1024, true), (4 * 1024 + 1, false)] {
        let mut writer = Writer::default().fixed(false).literals(&vec![0; zeros % 258]);
        for _ in 0..zeros / 258 {
            writer = writer.copy(1, 258);
        }
        let mut payload = writer.end().stored(&[], false).bytes();
        assert!(payload.len() < 1024);
        payload.extend([0x00, 0x00, 0x00, 0xff, 0xff].repeat(205));
        payload.push(0x00);
        let options = options.clone().max_ratio(ratio(4));
        let mut inflater = Inflater::new(direction(15, true), &options, NO_LIMIT);
        let expected = if fits { Ok(vec![0; zeros]) } else { Err(InflateError::Ratio) };
        assert_eq!(inflate(&mut inflater, &payload), expected);
    }
}

#[test]
fn states_given_back_lose_nothing_that_the_peer_may_refer_to() {
    let message = noise(500);
    for options in policies(15) {
        let options = options.pool(Pool::new(1));
        let mut deflater = Deflater::new(direction(15, true), &options);
        let mut inflater = Inflater::new(direction(15, true), &options, NO_LIMIT);
        // Another connection uses the same states in between.
        let mut other = (Deflater::new(direction(15, true), &options), inflater_like(&options));
        for round in 0..4 {
            let payload = deflate(&mut deflater, &message);
            assert_eq!(inflate(&mut inflater, &payload).unwrap(), message);
            let payload = deflate(&mut other.0, b"something else");
            assert_eq!(inflate(&mut other.1, &payload).unwrap(), b"something else");
            if round % 2 == 0 {
                inflater.release();
                deflater.release();
            }
        }
        // Inside a message nothing is given back.
        let mut payload = Vec::new();
        deflater.deflate(&message, &mut payload, false);
        deflater.release();
        deflater.deflate(&message, &mut payload, true);
        assert!(payload.len() < 600);
        let (head, tail) = payload.split_at(payload.len() / 2);
        let mut output = Vec::new();
        assert!(inflater.inflate(head, &mut output, NO_LIMIT, false).unwrap().done);
        inflater.release();
        assert!(inflater.inflate(tail, &mut output, NO_LIMIT, true).unwrap().done);
        assert_eq!(output, message.repeat(2));
    }
}

fn inflater_like(options: &DeflateOptions) -> Inflater {
    Inflater::new(direction(15, true), options, NO_LIMIT)
}

#[test]
fn a_pool_serves_different_windows_and_threads() {
    let options = DeflateOptions::new(Compression::Shared).pool(Pool::new(2));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let options = options.clone();
            scope.spawn(move || {
                for round in 0..50 {
                    let window_bits = 8 + (thread + round) % 8;
                    let message: Vec<u8> = noise(1000).into_iter().map(|byte| byte % 7 + thread).collect();
                    let mut deflater = Deflater::new(direction(window_bits, false), &options);
                    let payload = deflate(&mut deflater, &message);
                    let mut inflater = Inflater::new(direction(window_bits, false), &options, message.len());
                    assert_eq!(inflate(&mut inflater, &payload).unwrap(), message);
                }
            });
        }
    });
}

#[test]
fn params_name_the_directions() {
    let params = DeflateParams {
        server_no_context_takeover: true,
        client_max_window_bits: bits(9),
        ..DeflateParams::default()
    };
    assert_eq!(params.server(), direction(15, false));
    assert_eq!(params.client(), direction(9, true));
}

/// Messages with something to refer to, some of them empty, in fragments.
fn any_messages() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let fragment = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..3000_usize).prop_map(|(byte, len)| vec![byte; len]),
        (0..2000_usize).prop_map(noise),
        "[a-d]{0,300}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(proptest::collection::vec(fragment, 1..4), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is deflated inflates, with every policy on either side, however it is cut.
    #[test]
    fn what_is_deflated_inflates(
        messages in any_messages(),
        window_bits in 8..=15_u8,
        context_takeover: bool,
        level in 0..=9_u8,
        sender in 0..3_usize,
        receiver in 0..3_usize,
        cut in 1..2000_usize,
        room in 1..5000_usize,
    ) {
        let agreed = direction(window_bits, context_takeover);
        let mut deflater = Deflater::new(agreed, &policies(window_bits)[sender].clone().level(level));
        let mut inflater = Inflater::new(agreed, &policies(window_bits)[receiver], 9000);
        for fragments in messages {
            let mut payload = Vec::new();
            for (i, fragment) in fragments.iter().enumerate() {
                deflater.deflate(fragment, &mut payload, i + 1 == fragments.len());
            }
            let mut output = Vec::new();
            let mut pieces = payload.chunks(cut).peekable();
            while let Some(mut piece) = pieces.next() {
                loop {
                    let end = pieces.peek().is_none();
                    let progress = inflater.inflate(piece, &mut output, room, end).unwrap();
                    piece = &piece[progress.consumed..];
                    if progress.done {
                        break;
                    }
                }
            }
            prop_assert_eq!(output, fragments.concat());
        }
    }

    /// Whatever arrives, the outcome does not depend on how it is cut, and nothing panics.
    #[test]
    fn damage_is_the_same_however_it_is_cut(
        message in any_messages(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in 1..200_usize,
        room in 1..5000_usize,
    ) {
        let options = &policies(15)[1];
        let message = message.concat().concat();
        let mut payload = deflate(&mut Deflater::new(direction(15, true), options), &message);
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let new = || Inflater::new(direction(15, true), options, 9000);
        let whole = inflate(&mut new(), &payload);
        let (mut inflater, mut output, mut outcome) = (new(), Vec::new(), Ok(()));
        let mut pieces = payload.chunks(cut).peekable();
        'message: while let Some(mut piece) = pieces.next() {
            loop {
                match inflater.inflate(piece, &mut output, room, pieces.peek().is_none()) {
                    Ok(progress) if progress.done => break,
                    Ok(progress) => piece = &piece[progress.consumed..],
                    Err(error) => {
                        outcome = Err(error);
                        break 'message;
                    }
                }
            }
        }
        prop_assert_eq!(outcome.map(|()| output), whole);
    }
}
