//! Every limit at N - 1, N and N + 1, and memory that stays bounded whatever the peer does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::{Buf, Bytes};
use pushline::ws::{Config, Connection, Message, Negotiated, Opcode, Prepared, Role, UsageError};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Server => Connection::server(Negotiated::default(), config),
        Role::Client => Connection::client(Negotiated::default(), config, || [1, 2, 3, 4]),
    }
}

/// Length of a frame on the wire, by RFC 6455 5.2.
fn frame_len(role: Role, payload: usize) -> usize {
    let header = match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    payload + header + if role == Role::Client { 4 } else { 0 }
}

/// `max_outgoing`: what is queued never exceeds it, to the byte, by whatever call.
#[test]
fn max_outgoing_holds_to_the_byte() {
    type Send = fn(&mut Connection, usize) -> Result<(), UsageError>;
    let sends: [(&str, Send); 7] = [
        ("text", |c, len| c.send_text(&"x".repeat(len))),
        ("binary", |c, len| c.send_binary(&vec![0; len])),
        ("message", |c, len| c.send(Message::Binary(vec![0; len].into())).map_err(|refused| refused.error)),
        ("text message", |c, len| c.send(Message::Text("x".repeat(len))).map_err(|refused| refused.error)),
        ("prepared", |c, len| c.send_prepared(&Prepared::binary(&vec![0; len]))),
        ("fragment", |c, len| c.send_fragment(Opcode::Binary, false, &vec![0; len])),
        ("ping", |c, len| c.ping(&vec![0; len])),
    ];
    for role in ROLES {
        for (name, send) in sends {
            for len in [0, 1, 125, 126, 4_096, 65_535, 65_536] {
                if name == "ping" && len > 125 {
                    continue;
                }
                let exact = frame_len(role, 10) + frame_len(role, len);
                for (max, taken) in [(exact - 1, false), (exact, true), (exact + 1, true)] {
                    let mut connection = connection(role, Config::new().max_outgoing(max));
                    connection.send_binary(&[0; 10]).expect("one message fits");
                    let queued = connection.queued();
                    let result = send(&mut connection, len);
                    assert_eq!(
                        result,
                        if taken { Ok(()) } else { Err(UsageError::Full) },
                        "{name} {len} {max}"
                    );
                    assert_eq!(connection.queued(), if taken { exact } else { queued });
                }
            }
        }
    }
}

/// A message in several frames counts with all their headers.
#[test]
fn max_outgoing_counts_every_fragment() {
    for role in ROLES {
        for (len, fragment) in [(1_000, 125), (1_000, 500), (1_001, 500), (999, 500), (200_000, 70_000)] {
            let config = Config::new().fragment_size(fragment);
            let mut free = connection(role, config);
            free.send_binary(&[0; 10]).expect("one message fits");
            free.send_binary(&vec![0; len]).expect("far below the limit");
            let exact = free.queued();
            for (max, taken) in [(exact - 1, false), (exact, true)] {
                let mut connection = connection(role, config.max_outgoing(max));
                connection.send_binary(&[0; 10]).expect("one message fits");
                assert_eq!(connection.send_binary(&vec![0; len]).is_ok(), taken, "{len} {fragment} {max}");
            }
        }
    }
}

/// Into an empty queue one message always fits, however small the limit; what is refused comes back.
#[test]
fn one_message_fits_into_an_empty_queue() {
    for role in ROLES {
        let mut connection = connection(role, Config::new().max_outgoing(0));
        for round in 0..3_u8 {
            let payload = Bytes::from(vec![round; 100_000]);
            assert_eq!(connection.send(Message::Binary(payload.clone())), Ok(()));
            let refused =
                connection.send(Message::Binary(payload.clone())).expect_err("the queue is not empty");
            assert_eq!((refused.error, refused.message), (UsageError::Full, Message::Binary(payload)));
            let queued = connection.queued();
            connection.outgoing().advance(queued);
        }
    }
}
