//! How received bytes are cut makes no difference: the same events, the same output, the same error.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::Inbox;
use pushline::ws::header::HeaderError;
use pushline::ws::{Config, Connection, Event, Negotiated, ProtocolError, Role};

mod common;
use common::every_cut;

fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Server => Connection::server(Negotiated::default(), config),
        Role::Client => Connection::client(Negotiated::default(), config, || [1, 2, 3, 4]),
    }
}

/// A header with several faults is refused for the one whose byte comes first.
#[test]
fn faults_are_found_in_the_order_of_their_bytes() {
    let not_minimal = ProtocolError::Header(HeaderError::LengthNotMinimal);
    let top_bit = ProtocolError::Header(HeaderError::LengthTopBit);
    let cases: [(Role, &[u8], ProtocolError); 9] = [
        (Role::Server, &[0x82, 0x7e, 0, 1], ProtocolError::UnmaskedFrame),
        (Role::Server, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnmaskedFrame),
        (Role::Client, &[0x82, 0xfe, 0, 1], ProtocolError::MaskedFrame),
        (Role::Server, &[0x80, 0xfe, 0, 1], ProtocolError::UnexpectedContinuation),
        (Role::Client, &[0x80, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnexpectedContinuation),
        (Role::Client, &[0x01, 0x00, 0x82, 0x7e, 0, 1], ProtocolError::ExpectedContinuation),
        (Role::Server, &[0x88, 0x81], ProtocolError::TruncatedCloseCode),
        (Role::Server, &[0x82, 0xfe, 0, 1], not_minimal),
        (Role::Client, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], top_bit),
    ];
    for (role, bytes, expected) in cases {
        every_cut(bytes, |pieces| {
            let mut connection = connection(role, Config::new());
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
            let mut connection = connection(Role::Client, Config::new().parts(true));
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
