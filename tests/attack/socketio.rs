//! Socket.IO and Engine.IO, against the machines and against the servers.

use crate::allocations::memory;
use crate::cost::{KIB, MIB, linear_bytes, scale};
use crate::exchange::{foreign, get, post, read, runtime, stalled};
use pushline::adapter::socketio::{EngineIo, SocketIo, SocketIoOptions};
use pushline::socketio::engine::{self, EngineOptions, EnginePacket, EngineSession, records};
use pushline::socketio::{self, Incoming, PacketLimits, ServerConnection};
use std::time::Duration;

const OPEN: &str = "/engine.io/?EIO=4&transport=polling";

fn echo(options: SocketIoOptions) -> EngineIo {
    EngineIo::new(options, |session, data| {
        if let engine::Data::Text(text) = data {
            let _ = session.send(engine::EngineMessage::text(text));
        }
    })
}

async fn open(io: &EngineIo) -> Result<String, u16> {
    let (status, body) = read(io.handle(get(OPEN)).await).await;
    if status != 200 {
        return Err(status);
    }
    let sid = body.split_once("\"sid\":\"").unwrap().1;
    Ok(sid.split('"').next().unwrap().to_owned())
}

fn session(sid: &str) -> String {
    format!("{OPEN}&sid={sid}")
}

/// Polls that open sessions, and nothing else (a million of them with `PUSHLINE_ATTACK=200`): as many are held as may be, each
/// costs little, and all are gone once their time is out.
#[test]
fn a_flood_of_sessions() {
    const MOST: usize = 1000;
    let runtime = runtime();
    let io = runtime.block_on(async { echo(SocketIoOptions::new().max_sessions(MOST)) });
    let (_, left) = memory(|| {
        let (held, _) = memory(|| {
            runtime.block_on(async {
                for number in 0..5 * MOST * scale() {
                    let opened = open(&io).await;
                    assert_eq!(opened.err(), (number >= MOST).then_some(503));
                }
                assert_eq!(io.sessions(), MOST);
            });
        });
        assert!(held <= (MOST * 2 * KIB) as isize, "{} bytes a session", held / MOST as isize);
        runtime.block_on(async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            assert_eq!(io.sessions(), 0);
            assert!(open(&io).await.is_ok());
        });
    });
    // The map of the sessions keeps its room.
    assert!(left <= 128 * KIB as isize, "{left}");
}

/// Sessions that are closed as soon as they are open leave nothing behind, however many they are.
#[test]
fn sessions_that_come_and_go() {
    let runtime = runtime();
    let io = runtime.block_on(async { echo(SocketIoOptions::new()) });
    let come_and_go = |count: usize| {
        memory(|| {
            runtime.block_on(async {
                for _ in 0..count {
                    let sid = open(&io).await.unwrap();
                    assert_eq!(read(io.handle(post(&session(&sid), "1")).await).await.0, 200);
                }
                assert_eq!(io.sessions(), 0);
            });
        })
        .0
    };
    come_and_go(10);
    let held = come_and_go(3000 * scale());
    assert!(held <= 64 * KIB as isize, "{held}");
}

/// What a POST may hold, and what it gets that holds more or something else.
#[test]
fn payloads() {
    let runtime = runtime();
    runtime.block_on(async {
        let io = echo(SocketIoOptions::new());
        let mut costs = Vec::new();
        for (what, body, status, lives) in [
            ("a million empty packets", "\u{1e}".repeat(999_999), 400, false),
            ("half a million packets", "6\u{1e}".repeat(500_000), 400, false),
            ("base64 that is none", format!("b{}", "!".repeat(999_999)), 400, false),
            ("base64 that is cut", format!("b{}", "A".repeat(999_997)), 400, false),
            ("an unknown packet", "9".into(), 400, false),
            ("one byte too many", "4".repeat(1_000_001), 413, true),
            ("packets of the server's", "0{}".into(), 200, true),
        ] {
            let sid = open(&io).await.unwrap();
            let begun = std::time::Instant::now();
            let answer = read(io.handle(post(&session(&sid), body)).await).await;
            costs.push((what, begun.elapsed()));
            assert_eq!(answer.0, status, "{what}: {answer:?}");
            let later = read(io.handle(post(&session(&sid), "6")).await).await;
            assert_eq!(later.0, if lives { 200 } else { 400 }, "{what}: {later:?}");
        }
        println!("{costs:?}");
    });
}

#[test]
fn records_are_linear() {
    for record in ["6\u{1e}", "\u{1e}", "4\u{1e}", "b!\u{1e}", "bAAAA\u{1e}"] {
        let payload = |count: usize| record.repeat(count).into_bytes();
        linear_bytes("records", 16 * KIB, KIB, payload, |payload| {
            records(std::str::from_utf8(payload).unwrap()).for_each(drop);
        });
    }
    let base64 = |size: usize| [b"b", &b"A".repeat(size / 4 * 4)[..]].concat();
    linear_bytes("base64", 64 * KIB, 2 * MIB * scale(), base64, |packet| {
        assert!(EnginePacket::parse(std::str::from_utf8(packet).unwrap()).is_ok());
    });
}

/// Packets whose numbers lie, and JSON that is deep: no memory is taken for them, and none recurses.
#[test]
fn packets_that_lie() {
    let limits = PacketLimits::new();
    for text in [
        "52147483648-[\"a\"]",
        "54294967296-[\"a\"]",
        "518446744073709551616-[\"a\"]",
        "511-[\"a\"]",
        "5-[\"a\"]",
        "42[\"a\"",
        "4abc",
        "218446744073709551616[\"a\"]",
        "2999999999999999999999[\"a\"]",
    ] {
        let (held, _) = memory(|| assert!(socketio::Packet::parse(text, &limits).is_err(), "{text}"));
        assert!(held < KIB as isize, "{text}: {held}");
    }
    for bomb in ["[", "{\"a\":", "[[],", "[{\"a\":["] {
        let text = |count: usize| [b"2[\"a\",", bomb.repeat(count).as_bytes()].concat();
        linear_bytes("deep JSON", 16 * KIB, 4 * KIB, text, |text| {
            assert!(socketio::Packet::parse(std::str::from_utf8(text).unwrap(), &limits).is_err());
        });
    }
    let flat = |count: usize| [&b"2[\"a\""[..], &b",0".repeat(count), b"]"].concat();
    linear_bytes("wide JSON", 16 * KIB, 4 * KIB, flat, |text| {
        assert!(socketio::Packet::parse(std::str::from_utf8(text).unwrap(), &limits).is_ok());
    });
}

fn connected() -> ServerConnection<Duration> {
    let mut connection = ServerConnection::new(socketio::SocketIoLimits::new(), Duration::ZERO);
    connection.receive_text("0").unwrap();
    assert!(connection.accept("/", "sid", None).is_some());
    connection
}

/// Answers that nobody asked for are dropped, and questions are the application's: neither is held.
#[test]
fn ack_floods() {
    let acks =
        |count: usize| (0..count).map(|id| format!("3{id}[]")).collect::<Vec<_>>().join("\n").into_bytes();
    linear_bytes("acknowledgements", 2 * KIB, 8 * KIB, acks, |flood| {
        let mut connection = connected();
        for text in std::str::from_utf8(flood).unwrap().lines() {
            assert!(matches!(connection.receive_text(text), Ok(None)));
        }
    });
    let asks = |count: usize| {
        (0..count).map(|id| format!("2{id}[\"a\"]")).collect::<Vec<_>>().join("\n").into_bytes()
    };
    linear_bytes("events that ask", 2 * KIB, 8 * KIB, asks, |flood| {
        let mut connection = connected();
        for text in std::str::from_utf8(flood).unwrap().lines() {
            assert!(matches!(connection.receive_text(text), Ok(Some(Incoming::Event { .. }))));
        }
    });
    // What the server itself waits for is bounded, too.
    let mut connection = connected();
    for number in 0..1001 {
        let id = connection.expect_ack("/", Duration::from_secs(1), Duration::ZERO);
        assert_eq!(id.is_some(), number < 1000);
    }
}

/// Attachments that are announced and do not come, or come too large.
#[test]
fn attachments() {
    let mut connection = connected();
    assert!(matches!(connection.receive_text("510-[\"a\"]"), Ok(None)));
    assert!(connection.receive_text("2[\"b\"]").is_err(), "a text in place of an attachment");
    let mut connection = connected();
    connection.receive_text("52-[\"a\"]").unwrap();
    assert!(connection.receive_binary(vec![0; 9 << 20].into()).is_ok());
    assert!(connection.receive_binary(vec![0; 9 << 20].into()).is_err(), "16 MiB in all");
    assert!(connected().receive_binary(vec![0].into()).is_err(), "an attachment of nothing");
}

/// Only one at a time may try; the other is closed, and nothing else happens.
#[test]
fn two_sockets_for_one_session() {
    let now = Duration::ZERO;
    let mut session = EngineSession::polling("S", EngineOptions::new(), now);
    session.poll(now);
    session.next_answer(now).unwrap();
    let first = session.socket(now).unwrap();
    for _ in 0..1000 {
        assert!(session.socket(now).is_none());
    }
    assert!(session.frame(first, EnginePacket::parse("2probe"), now).is_none());
    assert!(session.socket(now).is_none());
    assert!(session.frame(first, EnginePacket::parse("5"), now).is_none());
    assert!(session.socket(now).is_none(), "it has one");
    assert!(session.is_open() && session.has_socket(first));
    // One that says nothing is let go of, and the next may try.
    let mut session = EngineSession::polling("S", EngineOptions::new(), now);
    let silent = session.socket(now).unwrap();
    let later = Duration::from_secs(10);
    session.tick(later);
    assert!(!session.has_socket(silent) && session.socket(later).is_some() && session.is_open());
}

/// A body that stops in the middle is given up, with what came of it.
#[test]
fn slow_bodies() {
    let runtime = runtime();
    runtime.block_on(async {
        let io = echo(SocketIoOptions::new());
        let sid = open(&io).await.unwrap();
        let begun = tokio::time::Instant::now();
        let answer = read(io.handle(stalled(post(&session(&sid), "4hello"))).await).await;
        assert_eq!((answer.0, begun.elapsed().as_secs()), (408, 15));
        assert_eq!(io.sessions(), 0);
    });
}

/// Pages of other sites get nothing, on either transport, and open no session.
#[test]
fn forged_origins() {
    let runtime = runtime();
    runtime.block_on(async {
        let io = echo(SocketIoOptions::new());
        let sid = open(&io).await.unwrap();
        let answer = read(io.handle(foreign(get(OPEN))).await).await;
        assert_eq!(answer, (403, r#"{"code":4,"message":"Forbidden"}"#.into()));
        assert_eq!(read(io.handle(foreign(post(&session(&sid), "4hello"))).await).await.0, 403);
        for upgrade in [
            "/engine.io/?EIO=4&transport=websocket".to_owned(),
            format!("/engine.io/?EIO=4&transport=websocket&sid={sid}"),
        ] {
            let mut request = foreign(get(&upgrade));
            for (name, value) in [
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ] {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            assert_eq!(read(io.handle(request).await).await.0, 403);
        }
        // A host that is not the page's own, and two origins.
        let mut request = get(OPEN);
        request
            .headers_mut()
            .insert("origin", format!("https://{}.evil.example", crate::exchange::HOST).parse().unwrap());
        assert_eq!(read(io.handle(request).await).await.0, 403);
        let mut request = get(OPEN);
        for _ in 0..2 {
            request
                .headers_mut()
                .append("origin", format!("https://{}", crate::exchange::HOST).parse().unwrap());
        }
        assert_eq!(read(io.handle(request).await).await.0, 403);
        assert_eq!(io.sessions(), 1);
    });
}

/// Namespaces that are unknown: each is refused, and none is held.
#[test]
fn namespace_floods() {
    let runtime = runtime();
    runtime.block_on(async {
        let io = SocketIo::new(SocketIoOptions::new());
        let sid = {
            let (_, body) = read(io.handle(get(OPEN)).await).await;
            body.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap().to_owned()
        };
        let flood: Vec<_> = (0..1000).map(|number| format!("40/n{number},")).collect();
        let answer = read(io.handle(post(&session(&sid), flood.join("\u{1e}"))).await).await;
        assert_eq!(answer, (200, "ok".into()));
        // The handshake was the last answer; then refusals, at most 16 at a time.
        let mut refused = 0;
        while refused < 1000 {
            let (status, told) = read(io.handle(get(&session(&sid))).await).await;
            let count = told.matches("Invalid namespace").count();
            assert!(status == 200 && (1..=16).contains(&count), "{told}");
            refused += count;
        }
    });
}
