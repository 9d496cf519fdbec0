//! Frames and messages (RFC 6455, 7692), against the machine itself.

use crate::cost::{KIB, MIB, linear_bytes};
use bytes::Buf;
use pushline::Inbox;
use pushline::raw::Deflater;
use pushline::raw::Sender;
use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams, Direction, WindowBits};
use pushline::ws::handshake::{ServerOptions, accept};
use pushline::ws::{Connection, ConnectionOptions, Negotiated, ProtocolError};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server(config: ConnectionOptions) -> Connection {
    Connection::server(Negotiated::default(), config)
}

/// A client's frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Reads of `read` bytes; how many events there were, and the end.
fn feed(connection: &mut Connection, bytes: &[u8], read: usize) -> (usize, Option<ProtocolError>) {
    let mut inbox = Inbox::new();
    let mut events = 0;
    let mut rest = bytes;
    loop {
        match connection.next_event(&mut inbox) {
            Ok(Some(_)) => events += 1,
            Ok(None) if rest.is_empty() => return (events, None),
            Ok(None) => {
                let space = inbox.space();
                let length = space.len().min(read).min(rest.len());
                space[..length].copy_from_slice(&rest[..length]);
                inbox.filled(length);
                rest = &rest[length..];
            }
            Err(error) => return (events, Some(error)),
        }
    }
}

/// All that is to be written.
fn written(connection: &mut Connection) -> Vec<u8> {
    let outgoing = connection.outgoing();
    let mut bytes = vec![0; outgoing.remaining()];
    outgoing.copy_to_slice(&mut bytes);
    bytes
}

fn close(code: u16) -> Vec<u8> {
    [&[0x88, 2][..], &code.to_be_bytes()].concat()
}

#[test]
fn claimed_lengths_cost_nothing() {
    for (length, config, code) in [
        (1_u64 << 62, ConnectionOptions::new(), Some(1009)),
        ((16 << 20) + 1, ConnectionOptions::new(), Some(1009)),
        // Believed, but not a reason to take memory.
        (i64::MAX as u64, ConnectionOptions::new().max_frame(usize::MAX).max_message(usize::MAX), None),
        (1 << 63, ConnectionOptions::new().max_frame(usize::MAX).max_message(usize::MAX), Some(1002)),
    ] {
        let bytes = [&[0x82, 0xff][..], &length.to_be_bytes(), &KEY, &[0; 64]].concat();
        let (held, _) = crate::allocations::memory(|| {
            let mut connection = server(config);
            let (events, error) = feed(&mut connection, &bytes, 16);
            assert_eq!((events, error.map(|error| u16::from(error.close_code()))), (0, code), "{length}");
            assert_eq!(written(&mut connection), code.map(close).unwrap_or_default());
        });
        assert!(held < 40 * KIB as isize, "{held}");
    }
}

#[test]
fn fragment_floods() {
    for (name, payload) in [("fragments of a byte", &b"x"[..]), ("empty fragments", b"")] {
        let flood = |count: usize| [frame(1, payload), frame(0, payload).repeat(count - 1)].concat();
        let config = ConnectionOptions::new().max_fragments(u32::MAX);
        linear_bytes(name, 4 * KIB, 512 * KIB * crate::cost::scale(), flood, |bytes| {
            assert_eq!(feed(&mut server(config), bytes, 1460), (0, None));
        });
        // One less, as many, one more than the default.
        for (count, code) in [(131_071, None), (131_072, None), (131_073, Some(1008))] {
            let mut connection = server(ConnectionOptions::new());
            let (events, error) = feed(&mut connection, &flood(count), 16 * KIB);
            assert_eq!((events, error.map(|error| u16::from(error.close_code()))), (0, code));
            assert_eq!(written(&mut connection), code.map(close).unwrap_or_default());
        }
    }
}

/// Pings to a peer that never reads, each read by itself: the answer to the latest is kept, and nothing else.
#[test]
fn ping_floods() {
    for payload in [&[][..], &[7; 125]] {
        linear_bytes(
            "pings",
            4 * KIB,
            64 * KIB,
            |count| frame(0x89, payload).repeat(count),
            |bytes| {
                let mut connection = server(ConnectionOptions::new());
                let (pings, error) = feed(&mut connection, bytes, 1460);
                assert_eq!((pings, error), (bytes.len() / frame(0x89, payload).len(), None));
                assert!(connection.queued() <= Sender::CONTROL_ROOM);
                let pong = [&[0x8a, payload.len() as u8][..], payload].concat();
                assert!(written(&mut connection).ends_with(&pong));
            },
        );
    }
}

#[test]
fn a_byte_at_a_time() {
    for make in [
        (|size| frame(0x81, "\u{20ac}".repeat(size / 3).as_bytes())) as fn(usize) -> Vec<u8>,
        |size| frame(0x82, &vec![0xff; size]),
        |size| frame(0x82, &[1; 10]).repeat(size / 16),
    ] {
        linear_bytes("reads of a byte", 16 * KIB, 512 * KIB * crate::cost::scale(), make, |bytes| {
            let (events, error) = feed(&mut server(ConnectionOptions::new()), bytes, 1);
            assert!(events > 0 && error.is_none());
        });
    }
}

const DIRECTION: Direction = Direction { context_takeover: true, window_bits: WindowBits::MAX };

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let options = DeflateOptions::new(Compression::Shared).level(9);
    Deflater::new(Direction { context_takeover: false, ..DIRECTION }, &options).deflate(
        message,
        &mut payload,
        true,
    );
    payload
}

fn deflating(config: ConnectionOptions) -> Connection {
    let options = DeflateOptions::new(Compression::Shared);
    let params = DeflateParams::default();
    Connection::server(Negotiated::with_deflate(params, options), config)
}

/// Frames that inflate to a thousand times their size: in whole and in parts, 1009 at the limit.
#[test]
fn zip_bombs() {
    let bomb = frame(0xc2, &deflated(&vec![0; 32 * MIB]));
    assert!(bomb.len() < 40 * KIB);
    for limit in [64 * KIB, MIB] {
        for read in [1, 1460, usize::MAX] {
            let (held, _) = crate::allocations::memory(|| {
                let mut connection = deflating(ConnectionOptions::new().max_message(limit));
                let (events, error) = feed(&mut connection, &bomb, read);
                assert_eq!((events, error), (0, Some(ProtocolError::MessageTooLarge)));
                assert_eq!(written(&mut connection), close(1009));
            });
            // What was inflated, moved as it grows; a window and a state; a read.
            assert!(held <= 2 * limit as isize + 160 * KIB as isize, "{limit} {read}: {held}");
        }
    }
}

/// Bombs of which each is within the limit cost what they inflate to, each as much as the first.
#[test]
fn many_small_zip_bombs() {
    let bomb = frame(0xc2, &deflated(&vec![0; 64 * KIB]));
    linear_bytes(
        "bombs of 64 KiB",
        8,
        360 * KIB,
        |count| bomb.repeat(count),
        |bytes| {
            let mut connection = deflating(ConnectionOptions::new().max_message(64 * KIB));
            assert_eq!(feed(&mut connection, bytes, 1460), (bytes.len() / bomb.len(), None));
        },
    );
}

/// What was inflated is a message, and not inflated again.
#[test]
fn nested_zip_bombs() {
    let inner = deflated(&vec![0; 32 * MIB]);
    let outer = frame(0xc2, &deflated(&inner));
    let (held, _) = crate::allocations::memory(|| {
        let mut connection = deflating(ConnectionOptions::new().max_message(64 * KIB));
        assert_eq!(feed(&mut connection, &outer, 1460), (1, None));
    });
    assert!(held <= 300 * KIB as isize, "{held}");
}

/// Empty blocks: a message that is never any longer and does not end.
#[test]
fn blocks_without_data() {
    let mut connection = deflating(ConnectionOptions::new().max_message(64 * KIB));
    let block = [0, 0, 0, 0xff, 0xff].repeat(200);
    let flood = [frame(0x42, &block), frame(0, &block).repeat(200)].concat();
    assert_eq!(feed(&mut connection, &flood, 1460), (0, Some(ProtocolError::MessageTooLarge)));
}

#[test]
fn extension_offers() {
    let ask = |offer: &str| {
        let deflate = DeflateOptions::new(Compression::Shared);
        let options = ServerOptions::new().deflate(deflate);
        let accepted = accept(
            &options,
            "GET",
            [
                ("Host", &b"h"[..]),
                ("Upgrade", b"websocket"),
                ("Connection", b"Upgrade"),
                ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Version", b"13"),
                ("Sec-WebSocket-Extensions", offer.as_bytes()),
            ],
        );
        accepted
            .map(|accepted| accepted.negotiated().deflate().is_some())
            .map_err(|rejection| rejection.status())
    };
    // 32 offers, 16 parameters each.
    let offers = |count: usize| vec!["permessage-deflate; server_max_window_bits=7"; count].join(", ");
    for (count, answer) in [(31, Ok(false)), (32, Ok(false)), (33, Err(400))] {
        assert_eq!(ask(&offers(count)), answer);
    }
    let parameters = |count: usize| format!("x{}, permessage-deflate", "; y".repeat(count));
    for (count, answer) in [(15, Ok(true)), (16, Ok(true)), (17, Err(400))] {
        assert_eq!(ask(&parameters(count)), answer);
    }
    for broken in ["x; y=\"", "x; y=\"\\", "x; y=\"x; z=\"\"\"", "x; =", "((((", "x;;y", ";"] {
        assert_eq!(ask(broken), Err(400), "{broken}");
    }
    let quoted = |length: usize| format!("x; y=\"{}\"", "\\a".repeat(length)).into_bytes();
    linear_bytes("quoted parameters", 64 * KIB, 16 * MIB * crate::cost::scale(), quoted, |offer| {
        let _ = ask(std::str::from_utf8(offer).unwrap());
    });
    let many = |count: usize| "x; y; z, ".repeat(count).into_bytes();
    linear_bytes("offers", 16 * KIB, MIB * crate::cost::scale(), many, |offer| {
        assert_eq!(ask(std::str::from_utf8(offer).unwrap()), Err(400));
    });
}

/// One close frame is answered. All behind it is looked at no more.
#[test]
fn close_storms_and_data_behind_close() {
    let closes = |count| frame(0x88, &1000_u16.to_be_bytes()).repeat(count);
    let data = |count| [frame(0x88, &1000_u16.to_be_bytes()), frame(0x82, &[0; 100]).repeat(count)].concat();
    for (name, make) in [("close frames", &closes as &dyn Fn(usize) -> Vec<u8>), ("data behind close", &data)]
    {
        linear_bytes(name, 2 * KIB, 2 * MIB * crate::cost::scale(), make, |bytes| {
            let mut connection = server(ConnectionOptions::new());
            assert_eq!(feed(&mut connection, bytes, 1460), (1, None), "the first close frame");
            assert_eq!(written(&mut connection), close(1000), "one answer");
        });
    }
}

#[test]
fn what_breaks_the_grammar_is_answered_once() {
    for (bytes, code) in [
        (vec![0x81, 0x05, b'H', b'e', b'l', b'l', b'o'], 1002), // not masked
        (frame(0xb1, b""), 1002),                               // a reserved bit
        (frame(0x83, b""), 1002),                               // a reserved opcode
        (frame(0x09, b""), 1002),                               // a fragmented ping
        (frame(0x80, b""), 1002),                               // nothing to continue
        (frame(0x89, &[0; 126]), 1002),                         // a long ping
        ([frame(1, b""), frame(1, b"")].concat(), 1002),
        (frame(0x88, &[3]), 1002),
        (frame(0x88, &1005_u16.to_be_bytes()), 1002),
        (frame(0x81, &[0xff]), 1007),
        (frame(0x88, &[3, 0xe8, 0xff]), 1007),
    ] {
        let mut connection = server(ConnectionOptions::new());
        // Whatever follows, nothing more is said.
        let flood = [bytes, frame(0x89, b"late").repeat(1000)].concat();
        let (_, error) = feed(&mut connection, &flood, 1460);
        assert_eq!(error.map(|error| u16::from(error.close_code())), Some(code));
        assert_eq!(written(&mut connection), close(code));
    }
}
