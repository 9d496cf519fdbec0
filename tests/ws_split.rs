//! How received bytes are cut makes no difference: the same events, the same output, the same error.

use pushline::Inbox;
use pushline::ws::header::HeaderError;
use pushline::ws::{Config, Connection, Negotiated, ProtocolError, Role};

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
    let cases: [(Role, &[u8], ProtocolError); 8] = [
        (Role::Server, &[0x82, 0x7e, 0, 1], ProtocolError::UnmaskedFrame),
        (Role::Server, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnmaskedFrame),
        (Role::Client, &[0x82, 0xfe, 0, 1], ProtocolError::MaskedFrame),
        (Role::Server, &[0x80, 0xfe, 0, 1], ProtocolError::UnexpectedContinuation),
        (Role::Client, &[0x80, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::UnexpectedContinuation),
        (Role::Client, &[0x01, 0x00, 0x82, 0x7e, 0, 1], ProtocolError::ExpectedContinuation),
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
