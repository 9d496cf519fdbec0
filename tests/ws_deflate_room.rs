//! A room in which some compress and some do not: each gets what it has agreed to, and reads what was said.
//! And what a thousand connections hold while nobody says anything.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Buf;
use pushline::Inbox;
use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams, WindowBits};
use pushline::ws::{Connection, ConnectionOptions, Event, Negotiated, Prepared};

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/deflate.rs"]
mod deflate;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;

use allocations::{allocations, memory};
use deflate::largest_distance;
use model::decode;

fn bits(n: u8) -> WindowBits {
    WindowBits::new(n).unwrap()
}

fn agreed(server_bits: u8, takeover: bool) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: bits(server_bits),
        ..DeflateParams::default()
    }
}

/// A server's end and its client's.
struct Member {
    name: &'static str,
    agreed: Option<DeflateParams>,
    server: Connection,
    client: Connection,
    inbox: Inbox,
}

impl Member {
    fn new(name: &'static str, agreed: Option<DeflateParams>, compression: Compression) -> Self {
        let options = DeflateOptions::new(compression).threshold(0).level(6);
        let negotiated = || match agreed {
            Some(params) => Negotiated::with_deflate(params, options.clone()),
            None => Negotiated::default(),
        };
        Self {
            name,
            agreed,
            server: Connection::server(negotiated(), ConnectionOptions::new()),
            client: Connection::client(negotiated(), ConnectionOptions::new(), || [1, 2, 3, 4]),
            inbox: Inbox::new(),
        }
    }

    /// What the client reads, and the payloads that stand on the wire.
    fn hear(&mut self) -> (Vec<String>, Vec<Vec<u8>>) {
        let outgoing = self.server.outgoing();
        let bytes = outgoing.copy_to_bytes(outgoing.remaining());
        assert_eq!(self.inbox.extend(&bytes), bytes.len());
        let mut heard = Vec::new();
        while let Some(event) = self.client.next_event(&mut self.inbox).unwrap() {
            match event {
                Event::Text(text) => heard.push(text.to_owned()),
                other => panic!("{}: {other:?}", self.name),
            }
        }
        let frames = decode(&bytes).unwrap();
        let compressed = self.agreed.is_some();
        assert!(frames.iter().all(|frame| frame.first == if compressed { 0xc1 } else { 0x81 }));
        (heard, frames.into_iter().map(|frame| frame.payload).collect())
    }
}

fn room() -> Vec<Member> {
    let window_bits = WindowBits::MAX;
    let dedicated = Compression::Dedicated { window_bits, memory_level: 8 };
    vec![
        Member::new("plain", None, Compression::Off),
        Member::new("window 8", Some(agreed(8, false)), Compression::Shared),
        Member::new("window 9", Some(agreed(9, false)), Compression::Shared),
        Member::new(
            "window 9, takeover",
            Some(agreed(9, true)),
            Compression::Compact { window_bits: bits(9) },
        ),
        Member::new("window 15", Some(agreed(15, false)), Compression::Shared),
        Member::new("window 15, a state held", Some(agreed(15, true)), dedicated),
        Member::new("window 15, a window held", Some(agreed(15, true)), Compression::Compact { window_bits }),
        Member::new("window 15, no context", Some(agreed(15, false)), dedicated),
    ]
}

/// What is worth referring to, further back than 512 bytes and 256.
fn said(n: usize) -> String {
    let mut text = String::new();
    for line in 0..n * 13 % 40 {
        text += &format!("line {} of what was said at {n}: {}\u{20ac}; ", line % 17, line * line % 23);
    }
    text + "done"
}

#[test]
fn each_reads_what_was_said_in_what_it_agreed_to() {
    let mut room = room();
    for n in 0..60 {
        let to_all = said(n);
        let prepared = Prepared::text(&to_all);
        for (place, member) in room.iter_mut().enumerate() {
            // Somebody hears a word of his own before, or after.
            let own = format!("to {} alone: {}", member.name, said(n / 2));
            let mut expected = vec![to_all.clone()];
            if (n + place) % 3 == 0 {
                member.server.send(&own).unwrap();
                expected.insert(0, own.clone());
            }
            member.server.send(&prepared).unwrap();
            if (n + place) % 2 == 0 {
                member.server.send(&own).unwrap();
                expected.push(own);
            }
            let (heard, payloads) = member.hear();
            assert_eq!(heard, expected, "{} {n}", member.name);
            let Some(params) = member.agreed.filter(|params| params.server_no_context_takeover) else {
                continue;
            };
            for payload in payloads {
                let stream = [&payload[..], &[0, 0, 0xff, 0xff]].concat();
                let window_len = 1 << params.server_max_window_bits.get();
                assert!(largest_distance(&stream) <= window_len, "{} {n}", member.name);
            }
        }
    }
}

/// The same bytes for all that agreed alike, and not a copy: the second one to get them takes no memory.
#[test]
fn a_prepared_message_is_compressed_once_for_a_window() {
    let prepared = Prepared::text(&said(3).repeat(50));
    let mut room: Vec<Member> = (0..10)
        .map(|n| Member::new("one of ten", Some(agreed(9 + 6 * (n % 2), false)), Compression::Shared))
        .collect();
    let mut sent = [Vec::new(), Vec::new()];
    for (n, member) in room.iter_mut().enumerate() {
        let held = memory(|| member.server.send(&prepared).unwrap()).1;
        let count = allocations(|| member.server.send(&prepared).unwrap());
        assert!(count <= 1, "{count}");
        // The list of the queue; the frames are the room's.
        assert!(n < 2 || held < 600, "{n}: {held}");
        let (heard, payloads) = member.hear();
        assert_eq!(heard, vec![said(3).repeat(50); 2]);
        assert_eq!(payloads[0], payloads[1]);
        sent[n % 2].push(payloads.into_iter().next().unwrap());
    }
    assert!(sent.iter().all(|payloads| payloads.windows(2).all(|pair| pair[0] == pair[1])));
    assert!(sent[0][0].len() > sent[1][0].len(), "a larger window finds more");
}

/// PD-21 and what the README says: bytes of an idle connection, server's side, after a conversation.
#[test]
fn pd_21_what_an_idle_connection_holds() {
    const CONNECTIONS: usize = 100;
    let dedicated = |n| Compression::Dedicated { window_bits: bits(n), memory_level: 4 };
    let compact = |n| Compression::Compact { window_bits: bits(n) };
    println!("{:40} {:>10} {:>10}", "", "unused", "idle");
    for (name, compression, window, takeover) in [
        ("Off", Compression::Off, None, false),
        ("Shared", Compression::Shared, Some(15), false),
        ("Compact, 9 bits", compact(9), Some(9), true),
        ("Compact, 12 bits", compact(12), Some(12), true),
        ("Compact, 15 bits", compact(15), Some(15), true),
        ("Dedicated, 9 bits, memory level 4", dedicated(9), Some(9), true),
        ("Dedicated, 12 bits, memory level 4", dedicated(12), Some(12), true),
        ("Dedicated, 15 bits, memory level 4", dedicated(15), Some(15), true),
    ] {
        let options = DeflateOptions::new(compression);
        let params = |n| DeflateParams { client_max_window_bits: bits(n), ..agreed(n, takeover) };
        let negotiated = || match window {
            Some(n) => Negotiated::with_deflate(params(n), options.clone()),
            None => Negotiated::default(),
        };
        // What the other end and the thread need is there before.
        let message = said(3).repeat(50);
        let mut client = Connection::client(negotiated(), ConnectionOptions::new(), || [1, 2, 3, 4]);
        let mut inbox = Inbox::new();
        client.send(&message).unwrap();
        let outgoing = client.outgoing();
        let bytes = outgoing.copy_to_bytes(outgoing.remaining());
        let mut servers: Vec<Connection> = Vec::with_capacity(CONNECTIONS);
        let talk = |server: &mut Connection, inbox: &mut Inbox| {
            assert_eq!(inbox.extend(&bytes), bytes.len());
            assert_eq!(server.next_event(inbox), Ok(Some(Event::Text(&message))));
            assert_eq!(server.next_event(inbox), Ok(None));
            server.send(&message).unwrap();
            let outgoing = server.outgoing();
            outgoing.advance(outgoing.remaining());
            outgoing.release();
        };
        talk(&mut Connection::server(negotiated(), ConnectionOptions::new()), &mut inbox);
        let (_, unused) = memory(|| {
            servers
                .extend((0..CONNECTIONS).map(|_| Connection::server(negotiated(), ConnectionOptions::new())));
        });
        let (_, idle) = memory(|| servers.iter_mut().for_each(|server| talk(server, &mut inbox)));
        let unused = size_of::<Connection>() + unused as usize / CONNECTIONS;
        let idle = unused as isize + idle / CONNECTIONS as isize;
        println!("{name:40} {unused:10} {idle:10}");
        let own = match compression {
            Compression::Compact { window_bits } => 2 << window_bits.get(),
            Compression::Dedicated { window_bits, .. } => match window_bits.get() {
                9 => 48_224 + 143_624,
                12 => 51_808 + 157_960,
                _ => 80_480 + 272_648,
            },
            _ => 0,
        };
        assert!(unused < 1_200, "{name}: {unused}");
        assert!((idle - own).unsigned_abs() < 1_500, "{name}: {idle}");
    }
}
