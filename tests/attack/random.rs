//! Bytes that mean nothing, and bytes that nearly mean something: to every reader, for `PUSHLINE_ATTACK` seconds.

use crate::cost::{KIB, scale};
use pushline::http1::chunked;
use pushline::http1::head::{HeadLimits, HeadReader, Slots};
use pushline::ws::{Connection, ConnectionOptions, Negotiated};
use pushline::{Inbox, json, sse};
use std::time::{Duration, Instant};

/// SplitMix64: the same bytes from the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Bytes of all values, or words of the grammars.
    pub fn bytes(&mut self, words: bool) -> Vec<u8> {
        const WORDS: [&[u8]; 24] = [
            b"GET / HTTP/1.1\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"Host: h\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b"0\r\n",
            b"5;a=b\r\nhello\r\n",
            b"data: x\n",
            b"id: 1\n",
            b": \n",
            b"retry: 5\n",
            b"\x81\x85",
            b"\x89\x80\0\0\0\0",
            b"\x01\x80\0\0\0\0",
            b"\x80\x80\0\0\0\0",
            b"\x88\x82\0\0\0\0\x03\xe8",
            b"{\"a\":",
            b"[",
            b"]",
            b"\"\\u12",
            b"Transfer-Encoding: chunked\r\n",
            b"\xef\xbb\xbf",
            b"\xff",
        ];
        let mut bytes = Vec::new();
        for _ in 0..self.number() % 64 {
            if words && !self.number().is_multiple_of(4) {
                bytes.extend_from_slice(WORDS[self.number() as usize % WORDS.len()]);
            } else {
                bytes.extend(self.number().to_le_bytes());
            }
        }
        bytes
    }
}

#[test]
fn random_bytes() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    println!("SEED={seed}");
    let mut random = Random(seed);
    // A second, and no fewer than some rounds on a machine that is slow.
    let until = Instant::now() + Duration::from_secs(scale() as u64);
    let mut rounds = 0;
    while rounds < 200 || Instant::now() < until {
        rounds += 1;
        let bytes = random.bytes(rounds % 2 == 0);
        let read = 1 + random.number() as usize % 40;
        let (held, _) = crate::allocations::memory(|| all(&bytes, read));
        assert!(held < 200 * KIB as isize, "{held}");
    }
    println!("{rounds} rounds");
}

fn all(bytes: &[u8], read: usize) {
    for server in [true, false] {
        let mut connection = if server {
            Connection::server(Negotiated::default(), ConnectionOptions::new())
        } else {
            Connection::client(Negotiated::default(), ConnectionOptions::new(), || [1, 2, 3, 4])
        };
        let mut inbox = Inbox::new();
        'parts: for part in bytes.chunks(read) {
            assert_eq!(inbox.extend(part), part.len());
            loop {
                match connection.next_event(&mut inbox) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'parts,
                }
            }
        }
    }
    for is_request in [true, false] {
        let mut reader = HeadReader::new(HeadLimits::default());
        for end in (0..=bytes.len()).step_by(read) {
            let mut slots = Slots::new();
            let is_over = if is_request {
                reader.read_request(&bytes[..end], &mut slots).map(|head| head.is_some())
            } else {
                reader.read_response(&bytes[..end], &mut slots).map(|head| head.is_some())
            };
            if is_over != Ok(false) {
                break;
            }
        }
    }
    let mut decoder = chunked::ChunkedDecoder::new(chunked::ChunkedLimits::default());
    'all: for part in bytes.chunks(read) {
        let mut rest = part;
        while !rest.is_empty() {
            match decoder.decode(rest) {
                Ok((_, Some(chunked::Piece::End))) | Err(_) => break 'all,
                Ok((taken, _)) => rest = &rest[taken..],
            }
        }
    }
    let mut decoder = sse::EventDecoder::new();
    for part in bytes.chunks(read) {
        let mut input = sse::Input::new(part);
        while let Ok(Some(_)) = decoder.decode(&mut input) {}
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = json::check(text);
        let _ = pushline::socketio::Packet::parse(text, &pushline::socketio::PacketLimits::new());
        pushline::socketio::engine::records(text).for_each(drop);
        let _ = pushline::comet::sockjs::SockJsMessages::parse(text);
        let _ = pushline::comet::bayeux::BayeuxMessage::parse(text);
        let _ = pushline::comet::jsonp::Callback::parse(text);
    }
    let mut decoder = pushline::comet::flash::FlashDecoder::new(KIB);
    let mut rest = bytes;
    while let Ok(Some(_)) = decoder.decode(&mut rest) {}
}
