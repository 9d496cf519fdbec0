//! Once its buffers have grown, the event stream codec allocates nothing per event, either way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use pushline::sse::{
    Block, EventDecoder, EventLimits, EventStorage, Input, Item, KEEP_ALIVE, ReplayLog, Resume,
};
use std::time::Duration;

/// Streams of the shapes that take different ways through the decoder.
fn streams() -> Vec<Vec<u8>> {
    vec![
        "data: {\"delta\":\"token\"}\n\n".repeat(500).into_bytes(),
        "data:1\n\n".repeat(500).into_bytes(),
        format!("{}\n", "data: line after line\n".repeat(64)).repeat(20).into_bytes(),
        "event: price\r\nid: 12345678\r\nretry: 3000\r\ndata: 1\r\ndata: 2\r\n\r\n".repeat(200).into_bytes(),
        ":keep-alive\n\nid: 1\n\nid\nevent: x\n\ndata\rdata\r\r".repeat(200).into_bytes(),
        b"data: \xff\xff\n:\xe2\x82\nid: \xf0\nevent: \x80\ndata: x\n\n".repeat(200),
    ]
}

fn decode<S: EventStorage>(decoder: &mut EventDecoder<S>, stream: &[u8], read: usize) -> usize {
    let mut events = 0;
    for part in stream.chunks(read) {
        let mut input = Input::new(part);
        while let Some(item) = decoder.decode(&mut input).unwrap() {
            events += usize::from(matches!(item, Item::Event(_)));
        }
    }
    events
}

#[test]
fn counts_at_all() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

#[test]
fn decoding_in_steady_state() {
    for stream in streams() {
        for read in [1, 7, 1460, 16 << 10, stream.len()] {
            let mut decoder = EventDecoder::new();
            let events = decode(&mut decoder, &stream, read);
            assert!(events >= 20);
            let count = allocations(|| {
                assert_eq!(decode(&mut decoder, &stream, read), events);
                decoder.receive_eof();
                assert_eq!(decode(&mut decoder, &stream, read), events, "on the next connection");
            });
            assert_eq!(count, 0, "reads of {read}: {}", stream[..20].escape_ascii());
        }
    }
}

#[test]
fn decoding_whole_events_of_one_line_from_the_start() {
    let stream = &streams()[0];
    let count = allocations(|| {
        assert_eq!(decode(&mut EventDecoder::new(), stream, stream.len()), 500);
    });
    assert_eq!(count, 0, "even the first is lent");
    let mut decoder = EventDecoder::new();
    let mut input = Input::new(stream);
    while let Some(item) = decoder.decode(&mut input).unwrap() {
        let Item::Event(event) = item else { panic!("{item:?}") };
        assert!(stream.as_ptr_range().contains(&event.data.as_ptr()), "copied");
    }
}

#[test]
fn decoding_in_a_buffer_from_the_start() {
    let mut buffer = [0; 4096];
    for stream in streams() {
        for read in [1, 7, 1460, stream.len()] {
            let expected = decode(&mut EventDecoder::new(), &stream, read);
            let count = allocations(|| {
                let limits = EventLimits::new().max_id(16).max_type(16);
                let mut decoder = EventDecoder::in_buffer(&mut buffer, limits);
                assert_eq!(decode(&mut decoder, &stream, read), expected);
            });
            assert_eq!(count, 0, "reads of {read}");
        }
    }
}

#[test]
fn encoding_into_a_buffer_with_room() {
    let lines = "line after line\r\n".repeat(64);
    let mut out = Vec::with_capacity(64 << 10);
    let mut room = [0; 4096];
    let count = allocations(|| {
        for number in 0..1000 {
            let token = Block::new().data("{\"delta\":\"token\"}");
            let all = Block::new()
                .comment("several\nlines")
                .event_type("price")
                .id("12345678")
                .retry(Duration::from_millis(number))
                .data(&lines);
            for block in [token, all] {
                out.clear();
                block.encode(&mut out).unwrap();
                assert_eq!(out.len(), block.encoded_len());
                block.encode(&mut room.as_mut_slice()).unwrap();
                assert!(room.starts_with(&out));
            }
            out.extend_from_slice(KEEP_ALIVE);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_prepared_event_is_shared_not_copied() {
    let mut log = ReplayLog::new(64, 1 << 20);
    let events: Vec<_> = (0..64)
        .map(|number| Block::new().id(&number.to_string()).data("for all").prepare().unwrap())
        .collect();
    // Twice, so that old ones have gone.
    events.iter().chain(&events).cloned().for_each(|event| log.push(event));
    let count = allocations(|| {
        for event in &events {
            log.push(event.clone());
            let Resume::From(missed) = log.resume(Some(b"7")) else { panic!("7 is always there") };
            for event in missed {
                let queued = event.clone();
                assert_eq!(queued.bytes().as_ptr(), event.bytes().as_ptr());
            }
        }
    });
    assert_eq!(count, 0);
}
