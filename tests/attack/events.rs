//! Event streams (WHATWG HTML 9.2), against the decoder itself.

use crate::cost::{KIB, MIB, linear_bytes, scale};
use pushline::sse::{DecodeError, EventDecoder, EventLimits, Input, ReplayLog, Resume};

fn decode(limits: EventLimits, bytes: &[u8], read: usize) -> Result<usize, DecodeError> {
    let mut decoder = EventDecoder::with_limits(limits);
    let mut items = 0;
    for part in bytes.chunks(read) {
        let mut input = Input::new(part);
        while decoder.decode(&mut input)?.is_some() {
            items += 1;
        }
    }
    Ok(items)
}

/// Nothing is held of lines that say nothing, and each byte is looked at a few times at most.
#[test]
fn lines_that_say_nothing() {
    let free = EventLimits::new().max_event(usize::MAX).max_id(usize::MAX);
    let flood = |text: &'static str| move |count: usize| text.repeat(count).into_bytes();
    for (name, line) in [
        ("comments", ":\n"),
        ("comments with text", ": keep-alive\r\n"),
        ("empty lines", "\n"),
        ("carriage returns", "\r"),
        ("empty fields", "data\n\n"),
        ("unknown fields", "x: y\n"),
        ("retry", "retry: 99999999999999999999\n"),
    ] {
        for read in [1, 1460] {
            linear_bytes(name, 2 * KIB, 256 * KIB * scale(), flood(line), |bytes| {
                assert!(decode(free, bytes, read).is_ok());
            });
        }
    }
}

#[test]
fn endless_comments_and_lines() {
    for start in [":", "data:", "id:", "event:", "x"] {
        let line = |size: usize| [start.as_bytes(), &b"x".repeat(size)].concat();
        let free = EventLimits::new().max_event(usize::MAX).max_id(usize::MAX).max_type(usize::MAX);
        linear_bytes("an endless line", 64 * KIB, 2 * MIB * scale(), line, |bytes| {
            assert_eq!(decode(free, bytes, 1460), Ok(0));
        });
        let error = decode(EventLimits::new(), &line(5 * MIB), 16 * KIB).err();
        assert!(error.is_some(), "{start}");
    }
}

#[test]
fn ids_of_a_mebibyte() {
    let stream = |size: usize| [b"id: ", &b"x".repeat(size)[..], b"\ndata\n\n"].concat();
    assert_eq!(decode(EventLimits::new(), &stream(MIB), 1460), Err(DecodeError::IdTooLong));
    let free = EventLimits::new().max_id(usize::MAX).max_event(usize::MAX);
    linear_bytes("an id", 128 * KIB, 6 * MIB * scale(), stream, |bytes| {
        assert_eq!(decode(free, bytes, 1460), Ok(1));
    });
    // As a cursor it is nobody's, and costs no more than a look.
    let mut log = ReplayLog::new(10, MIB);
    log.push(pushline::sse::Block::new().id("1").data("x").prepare().unwrap());
    let cursors = |size: usize| b"x".repeat(size);
    linear_bytes("a cursor", 128 * KIB, KIB, cursors, |id| {
        assert!(matches!(log.resume(Some(id)), Resume::Gone));
    });
}
