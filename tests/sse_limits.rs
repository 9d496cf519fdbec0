//! Each limit of the event stream decoder at N-1, N and N+1, in every cut; what comes after it; and that
//! hostile streams take work in proportion to their length, and memory within the limits.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;
mod common;

use allocations::{allocations, memory};
use common::every_cut;
use pushline::sse::{DecodeError, EventDecoder, EventLimits, EventStorage, Input, Item};

/// The events, type, ID and data joined by `|`; the error that came; the last event ID.
type Outcome = (Vec<String>, Result<(), DecodeError>, String);

/// Decodes up to the end or the first error.
fn run<S: EventStorage>(mut decoder: EventDecoder<S>, parts: &[&[u8]]) -> Outcome {
    let mut events = Vec::new();
    for part in parts {
        let mut input = Input::new(part);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(Item::Event(event))) => {
                    events.push([event.event_type, event.last_event_id, event.data].join("|"));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error), "the error does not stay");
                    assert_eq!(decoder.decode(&mut Input::new(b"data: x\n\n")), Err(error));
                    return (events, Err(error), decoder.last_event_id().to_owned());
                }
            }
        }
    }
    (events, Ok(()), decoder.last_event_id().to_owned())
}

/// Decodes to the end; each event that exceeds a limit is skipped and becomes a `!`.
fn run_skipping(mut decoder: EventDecoder, parts: &[&[u8]]) -> (Vec<String>, String) {
    let mut events = Vec::new();
    for part in parts {
        let mut input = Input::new(part);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(Item::Event(event))) => {
                    events.push([event.event_type, event.last_event_id, event.data].join("|"));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    events.push("!".to_owned());
                    decoder.skip_event();
                }
            }
        }
    }
    (events, decoder.last_event_id().to_owned())
}

/// `stream(n)` needs n of what `limit` allows.
fn at_the_edge(
    limit: impl Fn(EventLimits, usize) -> EventLimits,
    n: usize,
    stream: impl Fn(usize) -> String,
    error: DecodeError,
) {
    let limits = limit(EventLimits::new().max_type(64).max_id(64), n);
    let mut buffer = [0; 1024];
    for (needed, result) in [(n - 1, Ok(())), (n, Ok(())), (n + 1, Err(error))] {
        let stream = stream(needed).into_bytes();
        let whole = run(EventDecoder::with_limits(limits), &[&stream]);
        assert_eq!(whole.1, result, "{needed} of {n}");
        every_cut(&stream, |parts| {
            assert_eq!(run(EventDecoder::with_limits(limits), parts), whole);
            assert_eq!(run(EventDecoder::in_buffer(&mut buffer, limits), parts), whole);
        });
        // An error is no end: what stands before and after the event is seen, of itself and its ID nothing.
        let embedded =
            ["id: 1\ndata: x\n\nid: 2\n", core::str::from_utf8(&stream).unwrap(), "\n\ndata: y\n\n"];
        let wide = limit(limits, n + "id: 2\n".len());
        let embedded = embedded.concat().into_bytes();
        let all = run_skipping(EventDecoder::with_limits(wide), &[&embedded]);
        assert_eq!(all.0.first().map(String::as_str), Some("message|1|x"));
        assert!(all.0.last().unwrap().ends_with("|y"), "{all:?}");
        every_cut(&embedded, |parts| assert_eq!(run_skipping(EventDecoder::with_limits(wide), parts), all));
    }
}

fn x(count: usize) -> String {
    "x".repeat(count)
}

#[test]
fn max_event_of_one_line() {
    let error = DecodeError::EventTooLong;
    at_the_edge(EventLimits::max_event, 40, |n| format!("data: {}\n\n", x(n - 6)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("data:{}\r\r", x(n - 5)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("event:{}\r\n\r\n", x(n - 6)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("id:{}\n\n", x(n - 3)), error);
}

#[test]
fn max_event_of_lines_that_leave_nothing() {
    let error = DecodeError::EventTooLong;
    at_the_edge(EventLimits::max_event, 40, |n| format!(":{}\n", x(n - 1)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("{}\n", x(n)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("retry:{}\n", "1".repeat(n - 6)), error);
    at_the_edge(EventLimits::max_event, 40, |n| format!("id:\0{}\n", x(n - 4)), error);
    // They count while they come, not after.
    let lines = ":comment\nnothing\nretry:5\nid:\0\n".repeat(9);
    let limits = EventLimits::new().max_event(8 + 9);
    every_cut(["data: x\n", &lines, "data:xx\n\n"].concat().as_bytes(), |parts| {
        assert_eq!(
            run(EventDecoder::with_limits(limits), parts),
            (vec!["message||x\nxx".into()], Ok(()), "".into())
        );
    });
}

#[test]
fn max_event_of_all_lines() {
    let error = DecodeError::EventTooLong;
    // 8 and 8 bytes for the first lines and their ends, LF or not.
    at_the_edge(EventLimits::max_event, 40, |n| format!("data: x\nevent:y\n{}\n\n", data(n - 16)), error);
    at_the_edge(
        EventLimits::max_event,
        40,
        |n| format!("data: x\r\ndata: y\r\n{}\r\n\r\n", data(n - 16)),
        error,
    );
    at_the_edge(EventLimits::max_event, 40, |n| format!("id:1234\n{}\ndata: y\n\n", data(n - 16)), error);
    // Lines that say the same again count again.
    at_the_edge(EventLimits::max_event, 40, |n| format!("id:1234\nid:5678\n{}\n\n", data(n - 16)), error);
    // The smallest of lines.
    at_the_edge(
        EventLimits::max_event,
        4 + 5 * 9,
        |n| format!("{}{}\n\n", "data\n".repeat(9), data(n - 45)),
        error,
    );
}

/// So many bytes of a `data` line.
fn data(len: usize) -> String {
    format!("{:.len$}", format!("data:{}", x(len)))
}

#[test]
fn max_type_and_max_id() {
    let (long_type, long_id) = (DecodeError::TypeTooLong, DecodeError::IdTooLong);
    at_the_edge(EventLimits::max_type, 40, |n| format!("event: {}\ndata: x\n\n", x(n)), long_type);
    at_the_edge(EventLimits::max_type, 40, |n| format!("data: x\nevent:{}\r\n\r\n", x(n)), long_type);
    at_the_edge(EventLimits::max_id, 40, |n| format!("id: {}\ndata: x\n\n", x(n)), long_id);
    at_the_edge(EventLimits::max_id, 40, |n| format!("data: x\nid:{}\n\n", x(n)), long_id);

    let mut decoder = EventDecoder::with_limits(EventLimits::new().max_id(2));
    assert_eq!(decoder.set_last_event_id("12"), Ok(()));
    assert_eq!(decoder.set_last_event_id("123"), Err(long_id));
    assert_eq!(decoder.last_event_id(), "12");
}

#[test]
fn the_defaults() {
    let at = |stream: String| run(EventDecoder::new(), &[stream.as_bytes()]).1;
    assert_eq!(at(format!("event:{}\n", x(1 << 10))), Ok(()));
    assert_eq!(at(format!("event:{}\n", x((1 << 10) + 1))), Err(DecodeError::TypeTooLong));
    assert_eq!(at(format!("id:{}\n", x(1 << 10))), Ok(()));
    assert_eq!(at(format!("id:{}\n", x((1 << 10) + 1))), Err(DecodeError::IdTooLong));
    assert_eq!(at(x(4 << 20)), Ok(()));
    assert_eq!(at(x((4 << 20) + 1)), Err(DecodeError::EventTooLong));
}

/// What is not UTF-8 counts as the U+FFFD that it becomes.
#[test]
fn limits_count_text() {
    let limits = EventLimits::new().max_event(5 + 9).max_id(6);
    for (stream, result) in [
        (&b"data:\xff\xff\xff\n\n"[..], Ok(())),
        (b"data:\xff\xff\xffx\n\n", Err(DecodeError::EventTooLong)),
        (b"id:\xff\xff\n\n", Ok(())),
        (b"id:\xff\xffx\n\n", Err(DecodeError::IdTooLong)),
    ] {
        every_cut(stream, |parts| {
            assert_eq!(run(EventDecoder::with_limits(limits), parts).1, result, "{parts:?}");
        });
    }
}

#[test]
fn a_read_of_thousands_of_events_is_no_event() {
    let stream = "data: 0123456789\n\n".repeat(10_000);
    let limits = EventLimits::new().max_event(16);
    for parts in [vec![stream.as_bytes()], stream.as_bytes().chunks(1460).collect()] {
        assert_eq!(run(EventDecoder::with_limits(limits), &parts).0.len(), 10_000);
    }
}

#[test]
fn a_block_is_skipped_to_its_end_and_no_further() {
    let limits = EventLimits::new().max_event(14).max_type(3).max_id(3);
    for (stream, seen) in [
        ("data: quite long\nid: 1\ndata: a\n\ndata: b\n\n", "! message||b"),
        ("data: quite long\r\rdata: b\r\r", "! message||b"),
        ("data: quite long\r\n\r\ndata: b\r\n\r\n", "! message||b"),
        ("id: 1234\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n", "! message|2|b"),
        ("event: long\nevent: a\n\ndata: b\n\n", "! message||b"),
        ("data: a\ndata: b\ndata: c\n\ndata: d\n\n", "! message||d"),
        ("data: quite long\n\ndata: quite long\n\ndata: b\n\n", "! ! message||b"),
        ("id: 1\n:a comment that is long\ndata: a\n\ndata: b\n\n", "! message||b"),
        ("data: quite long", "!"),
        ("data: quite long\n\n", "!"),
    ] {
        every_cut(stream.as_bytes(), |parts| {
            let (events, _) = run_skipping(EventDecoder::with_limits(limits), parts);
            assert_eq!(events.join(" "), seen, "{stream:?} as {parts:?}");
        });
    }
    // Part of a BOM is part of the line that is skipped, be nothing else in it.
    let limits = EventLimits::new().max_event(1);
    every_cut(b"\xef\xbb\n:\n:\n\n:\n\n", |parts| {
        let mut decoder = EventDecoder::with_limits(limits);
        let (mut errors, mut comments) = (0, 0);
        for part in parts {
            let mut input = Input::new(part);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(_)) => comments += 1,
                    Ok(None) => break,
                    Err(_) => {
                        errors += 1;
                        decoder.skip_event();
                    }
                }
            }
        }
        assert_eq!((errors, comments), (1, 1), "{parts:?}");
    });
}

#[test]
fn a_skipped_event_does_not_outlive_its_connection() {
    let mut decoder = EventDecoder::with_limits(EventLimits::new().max_event(8));
    assert!(decoder.decode(&mut Input::new(b"data: quite long")).is_err());
    decoder.skip_event();
    assert_eq!(decoder.decode(&mut Input::new(b"data: quite long")), Ok(None));
    decoder.receive_eof();
    assert_eq!(run(decoder.clone(), &[b"data: x\n\n"]).0, ["message||x"]);
    assert!(decoder.decode(&mut Input::new(b"data: quite long")).is_err());
    decoder.receive_eof();
    assert_eq!(run(decoder, &[b"\xef\xbb\xbfdata: x\n\n"]).0, ["message||x"]);
}

/// What it took to decode a stream.
#[derive(Debug, Default)]
struct Cost {
    items: usize,
    /// Calls of `decode`.
    calls: usize,
    allocations: u64,
    /// Bytes held at most.
    peak: isize,
    result: Option<DecodeError>,
}

fn cost(limits: EventLimits, read: usize, stream: &[u8]) -> Cost {
    let mut cost = Cost::default();
    let Cost { items, calls, allocations: count, peak, result } = &mut cost;
    let mut work = || {
        let mut decoder = EventDecoder::with_limits(limits);
        for part in stream.chunks(read) {
            let mut input = Input::new(part);
            loop {
                *calls += 1;
                let before = input.remaining().len();
                match decoder.decode(&mut input) {
                    Ok(Some(_)) => {
                        assert!(input.remaining().len() < before, "an item for nothing");
                        *items += 1;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        *result = Some(error);
                        return;
                    }
                }
            }
        }
    };
    *peak = memory(|| *count = allocations(&mut work)).0;
    cost
}

const MIB: usize = 1 << 20;

/// Lines that never end: what is held grows by doubling, so that each byte is copied a few times at most, and
/// no further than the limit.
#[test]
fn a_line_of_8_mib_and_an_endless_comment() {
    for name in ["data: ", ":", "", "event: "] {
        for filler in ["x", "\u{1f600}"] {
            let line = [name.as_bytes(), &filler.as_bytes().repeat(8 * MIB / filler.len())].concat();
            for read in [1460, 16 << 10, usize::MAX] {
                let cost = cost(EventLimits::new(), read, &line);
                assert_eq!(cost.result, Some(DecodeError::EventTooLong));
                assert!(cost.calls <= 4 * MIB / read.min(4 * MIB) + 2, "{cost:?}");
                assert!(cost.allocations <= 24, "{cost:?}");
                assert!(cost.peak <= 12 * MIB as isize, "old and new memory while it grows: {cost:?}");
            }
        }
    }
    let line = ["data: ", &x(8 * MIB), "\n\n"].concat();
    for read in [1460, 16 << 10, usize::MAX] {
        let cost = cost(EventLimits::new().max_event(16 * MIB), read, line.as_bytes());
        assert_eq!((cost.result, cost.items), (None, 1));
        assert!(cost.calls <= line.len() / read + 3 && cost.allocations <= 24, "{cost:?}");
    }
}

#[test]
fn bad_bytes() {
    const LEN: usize = 128 << 10;
    for stream in [
        b"\xff".repeat(LEN),
        b"\xff\n".repeat(LEN / 2),
        b"x\xff\r\n\r\n".repeat(LEN / 6),
        b"\xe2\x82\n\n".repeat(LEN / 4),
        [&b"x".repeat(80)[..], b"\xff\n"].concat().repeat(LEN / 82),
        [b"\xef\xbb\xbf".repeat(99), b"\n\xff\n".to_vec()].concat().repeat(LEN / 300),
    ] {
        for read in [1, 1460, 16 << 10, usize::MAX] {
            let cost = cost(EventLimits::new(), read, &stream);
            assert_eq!((cost.items, cost.result), (0, None));
            assert!(cost.calls <= stream.len().div_ceil(read), "{cost:?}");
            assert!(cost.allocations <= 24 && cost.peak <= 3 * 3 * LEN as isize, "{cost:?}");
        }
    }
}

/// A BOM first, then a stream that has one before every event, which is no BOM but part of a name.
#[test]
fn a_bom_first() {
    let stream = "\u{feff}data: x\n\n".repeat(10_000);
    for read in [1, 2, 1460, usize::MAX] {
        let cost = cost(EventLimits::new(), read, stream.as_bytes());
        assert_eq!((cost.items, cost.result), (1, None));
    }
}

/// A character that begins as a BOM does, over a limit after that byte: what follows is still there.
#[test]
fn a_limit_inside_of_what_might_be_a_bom_loses_nothing_behind_it() {
    use pushline::adapter::blocking::sse::EventReader;
    use pushline::http1::head::BodyFraming;

    let stream = "\u{fffd}a\nb\n\r\n0".as_bytes();
    let limits = EventLimits::new().max_event(0);
    let reader = EventReader::new(stream, BodyFraming::UntilClose).decoder(EventDecoder::with_limits(limits));
    assert_eq!(reader.filter(Result::is_err).count(), 2);
}
