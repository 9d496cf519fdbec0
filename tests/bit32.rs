//! Lengths that do not fit into 32 bits, as a peer announces them: refused or counted, never cut off. Means most where `usize` has
//! 32 bits; `.ci/run 32bit` runs it there.

use pushline::Inbox;
use pushline::http1::chunked;
use pushline::http1::head::{BodyFraming, HeadError, HeadLimits, HeadReader, Slots};
use pushline::ws::{Connection, ConnectionOptions, Negotiated, ProtocolError};

/// 2^32 and a little, which cut off would be a little.
const LENGTHS: [u64; 4] = [1 << 32, (1 << 32) + 5, (1 << 32) + (1 << 31), (1 << 62) + 5];

#[test]
fn frames() {
    for length in LENGTHS {
        for limit in [1 << 20, usize::MAX] {
            let mut connection = Connection::server(
                Negotiated::default(),
                ConnectionOptions::new().max_frame(limit).max_message(limit),
            );
            let mut inbox = Inbox::new();
            let frame = [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4], b"hello"].concat();
            assert_eq!(inbox.extend(&frame), frame.len());
            let event = connection.next_event(&mut inbox).map(|event| event.is_some());
            if u64::try_from(limit).unwrap_or(u64::MAX) < length {
                assert_eq!(event, Err(ProtocolError::FrameTooLarge), "{length} {limit}");
            } else {
                assert_eq!(event, Ok(false), "{length} {limit}");
            }
        }
    }
}

#[test]
fn chunks_and_bodies() {
    for length in LENGTHS {
        let wire = format!("{length:x}\r\nhello");
        let mut decoder = chunked::ChunkedDecoder::new(chunked::ChunkedLimits::default());
        let (taken, piece) = decoder.decode(wire.as_bytes()).unwrap();
        assert_eq!((taken, piece), (wire.len(), Some(chunked::Piece::Data(b"hello"))));
        assert!(decoder.receive_eof().is_err(), "there is more to come");
        let mut decoder = chunked::ChunkedDecoder::new(chunked::ChunkedLimits::default().max_body(1 << 31));
        assert_eq!(decoder.decode(wire.as_bytes()).err(), Some(chunked::ChunkedError::BodyTooLong));

        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        let mut slots = Slots::new();
        let read = HeadReader::new(HeadLimits::default()).read_request(head.as_bytes(), &mut slots);
        assert_eq!(read.map(|head| head.map(|head| head.body())), Ok(Some(BodyFraming::Length(length))));
    }
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1{}\r\n\r\n", u64::MAX);
    let mut slots = Slots::new();
    let read = HeadReader::new(HeadLimits::default()).read_request(head.as_bytes(), &mut slots);
    assert_eq!(read.err(), Some(HeadError::BadContentLength));
}
