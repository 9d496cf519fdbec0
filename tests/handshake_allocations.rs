//! A server answers a browser's handshake without allocating, and nothing is allocated on a peer's word.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use pushline::http1::head::{HeadError, HeadLimits, HeadReader, Slots};
use pushline::ws::handshake::{ServerOptions, accept_request};

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    User-Agent: Mozilla/5.0\r\nOrigin: https://server.example.com\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

#[test]
fn counts_at_all() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

#[test]
fn a_request_is_answered_without_allocating() {
    let options = ServerOptions::new();
    let mut out = Vec::with_capacity(256);
    for read in [1, 100, REQUEST.len()] {
        let count = allocations(|| {
            out.clear();
            let mut reader = options.reader();
            for end in (read..REQUEST.len()).step_by(read).chain([REQUEST.len()]) {
                let mut slots = Slots::new();
                if let Some(head) = reader.read_request(&REQUEST[..end], &mut slots).unwrap() {
                    accept_request(&options, &head).unwrap().write_to(&mut out);
                }
            }
        });
        assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
        assert_eq!(count, 0, "in reads of {read}");
    }
}

#[test]
fn a_head_without_end_allocates_nothing() {
    let endless = [&b"GET / HTTP/1.1\r\n"[..], &vec![b'a'; 1 << 20]].concat();
    let count = allocations(|| {
        let refused = HeadReader::new(HeadLimits::default()).read_request(&endless, &mut Slots::new()).err();
        assert_eq!(refused, Some(HeadError::LineTooLong));
    });
    assert_eq!(count, 0);
}
