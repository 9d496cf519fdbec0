//! Engine.IO sessions and Socket.IO connections over a virtual clock: tables, scripts, and the models of the fuzz
//! targets on random bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::socketio;
use pushline::socketio::engine::{
    EngineClient, EngineClientOptions, EngineMessage, EngineOptions, EngineOutput, EnginePacket,
    EngineSession, SendError, records,
};
use pushline::socketio::{PacketLimits, ServerConnection};
use std::time::Duration;

#[path = "../src/fuzzing/socketio.rs"]
mod model;

/// `tests/cases/socketio-packets.tsv`: what is a packet, and what each part of it is.
#[test]
fn packets() {
    let mut rows = 0;
    for line in include_str!("cases/socketio-packets.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (text, expected) = line.split_once('\t').expect("two columns");
        let actual = match socketio::Packet::parse(text, &PacketLimits::new()) {
            Err(error) => format!("{error:?}").split('(').next().unwrap().to_owned(),
            Ok(packet) => format!(
                "{:?} {} {} {} {}",
                packet.kind,
                packet.attachments,
                packet.namespace,
                packet.id.map_or("-".into(), |id| id.to_string()),
                packet.data.map_or("-", |data| data.as_str())
            ),
        };
        assert_eq!(actual, expected, "{text}");
        rows += 1;
    }
    assert!(rows > 50);
}

/// What an answer has taken along counts until it has arrived: a client that polls and goes makes nothing grow.
#[test]
fn answers_that_are_cut() {
    let now = Duration::ZERO;
    let mut session = EngineSession::polling("S", EngineOptions::new().max_queued_bytes(1000), now);
    let poll = session.poll(now);
    assert_eq!(session.next_answer(now).unwrap().ticket(), poll);
    session.cut(poll);
    for _ in 0..100 {
        while session.send(EngineMessage::text(&"x".repeat(99))).is_ok() {}
        let poll = session.poll(now);
        assert_eq!(session.next_answer(now).unwrap().ticket(), poll);
        session.cut(poll);
        assert!(session.queued_bytes() <= 1000 + 100);
    }
    session.poll(now);
    assert!(session.next_answer(now).is_some());
    assert_eq!(session.send(EngineMessage::text("x")), Err(SendError::Full), "it may not have arrived");
    session.poll(now);
    assert_eq!(session.queued_bytes(), 0);
    assert_eq!(session.send(EngineMessage::text("x")), Ok(()));
}

/// `tests/cases/engineio-sessions.txt`: scripts of requests, frames and time. A line is what happens, or (indented) what
/// comes of it.
#[test]
fn sessions() {
    for script in include_str!("cases/engineio-sessions.txt").split("\n== ").skip(1) {
        let (name, lines) = script.split_once('\n').unwrap();
        let mut now = Duration::ZERO;
        let mut session = EngineSession::polling("S", EngineOptions::new(), now);
        let (mut tickets, mut sockets) = (Vec::new(), Vec::new());
        let mut out = String::new();
        for line in lines.lines().filter(|line| !line.starts_with([' ', '#']) && !line.is_empty()) {
            let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
            let text = argument.replace("<RS>", "\u{1e}");
            out += line;
            out += "\n";
            let socket = |name: &str| sockets[name.parse::<usize>().unwrap() - 1];
            match command {
                "poll" => tickets.push(session.poll(now)),
                "post" => {
                    let post = session.post(now);
                    tickets.push(post);
                    for packet in records(&text) {
                        if let Some(data) = session.packet(post, packet, now) {
                            out += &format!("  received {data:?}\n");
                        }
                    }
                    session.posted(post);
                }
                "begin-post" => tickets.push(session.post(now)),
                "too-large" => session.too_large(tickets[argument.parse::<usize>().unwrap() - 1]),
                "cut" => session.cut(tickets[argument.parse::<usize>().unwrap() - 1]),
                "socket" => match session.socket(now) {
                    Some(socket) => sockets.push(socket),
                    None => out += "  refused\n",
                },
                "frame" => {
                    let (name, text) = text.split_once(' ').unwrap_or((&text, ""));
                    if let Some(data) = session.frame(socket(name), EnginePacket::parse(text), now) {
                        out += &format!("  received {data:?}\n");
                    }
                }
                "gone" => session.socket_closed(socket(argument), now),
                "send" => match session.send(EngineMessage::text(&text)) {
                    Ok(()) => {}
                    Err(error) => out += &format!("  {error:?}\n"),
                },
                "close" => session.close(now),
                "at" => {
                    now = Duration::from_millis(argument.parse().unwrap());
                    session.tick(now);
                }
                other => panic!("{name}: {other}"),
            }
            while let Some(answer) = session.next_answer(now) {
                let number = tickets.iter().position(|ticket| *ticket == answer.ticket()).unwrap() + 1;
                let body = std::str::from_utf8(answer.body()).unwrap().replace('\u{1e}', "<RS>");
                // The handshake is the same everywhere.
                let body = body.replace(HANDSHAKE, "0{}");
                out += &format!("  request {number}: {} {body}", answer.status());
                out.truncate(out.trim_end().len());
                out += "\n";
            }
            for (at, socket) in sockets.clone().into_iter().enumerate() {
                while let Some(outgoing) = session.next_frame(socket) {
                    let EngineOutput::Message(message) = outgoing else {
                        if sockets[at] == socket && session.has_socket(socket) || session.closed().is_some() {
                            out += &format!("  socket {}: closed\n", at + 1);
                        }
                        break;
                    };
                    let mut record = Vec::new();
                    message.write_record(&mut record);
                    let record = String::from_utf8(record).unwrap().replace('\u{1e}', "<RS>");
                    out += &format!("  socket {}: {record}\n", at + 1);
                }
            }
            if let Some(reason) = session.closed() {
                out += &format!("  session: {}\n", reason.as_str());
            }
        }
        let expected: Vec<&str> =
            lines.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let actual: Vec<&str> = out.lines().collect();
        assert_eq!(actual, expected, "{name}");
    }
}

const HANDSHAKE: &str =
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// Each limit at N-1, N and N+1.
#[test]
fn limits() {
    let now = Duration::ZERO;
    // A message is taken as long as less than the bound is queued.
    for (bound, expected) in [(9, Err(SendError::Full)), (10, Err(SendError::Full)), (11, Ok(()))] {
        let (mut session, socket) =
            EngineSession::websocket("S", EngineOptions::new().max_queued_bytes(bound), now);
        session.next_frame(socket);
        session.send(EngineMessage::text("123456789")).unwrap();
        assert_eq!(session.send(EngineMessage::text("")), expected);
    }
    for (bound, expected) in [(1, Err(SendError::Full)), (2, Ok(())), (3, Ok(()))] {
        let (mut session, socket) =
            EngineSession::websocket("S", EngineOptions::new().max_queued(bound), now);
        session.next_frame(socket);
        session.send(EngineMessage::text("a")).unwrap();
        assert_eq!(session.send(EngineMessage::text("b")), expected);
    }
    for (count, open) in [(2, true), (3, true), (4, false)] {
        let mut session = EngineSession::polling("S", EngineOptions::new().max_packets(3), now);
        let post = session.post(now);
        for _ in 0..count {
            session.packet(post, EnginePacket::parse("6"), now);
        }
        assert_eq!(session.is_open(), open);
    }
    for (count, answers) in [(15, 1), (16, 1), (17, 2)] {
        let mut session = EngineSession::polling("S", EngineOptions::new(), now);
        session.poll(now);
        session.next_answer(now).unwrap(); // the handshake
        (0..count).for_each(|_| session.send(EngineMessage::text("a")).unwrap());
        let mut polls = 0;
        session.poll(now);
        while let Some(answer) = session.next_answer(now) {
            assert!(records(std::str::from_utf8(answer.body()).unwrap()).count() <= 16);
            polls += 1;
            session.poll(now);
        }
        assert_eq!(polls, answers);
    }
    let limits = PacketLimits::new();
    for (count, fits) in [(9, true), (10, true), (11, false)] {
        assert_eq!(socketio::Packet::parse(&format!("5{count}-[\"a\"]"), &limits).is_ok(), fits);
    }
    for (length, fits) in [(255, true), (256, true), (257, false)] {
        let text = format!("0/{}", "a".repeat(length - 1));
        assert_eq!(socketio::Packet::parse(&text, &limits).is_ok(), fits);
    }
    let config = socketio::SocketIoLimits::new().namespaces(2).acks(2).attachment_bytes(3);
    let mut connection = ServerConnection::new(config, now);
    for (name, fits) in [("/a", true), ("/b", true), ("/c", false)] {
        assert_eq!(connection.receive_text(&format!("0{name}")).is_ok(), fits);
    }
    assert!(connection.accept("/a", "s", None).is_some());
    for expected in [Some(0), Some(1), None] {
        assert_eq!(connection.expect_ack("/a", Duration::from_secs(1), now), expected);
    }
    for (length, fits) in [(2, true), (3, true), (4, false)] {
        let mut connection = connection.clone();
        connection.receive_text("51-/a,[\"x\"]").unwrap();
        assert_eq!(connection.receive_binary(vec![0; length].into()).is_ok(), fits);
    }
}

/// Answers that are late, that nobody awaits, that come twice.
#[test]
fn acks() {
    let at = Duration::from_secs;
    let mut connection = ServerConnection::new(socketio::SocketIoLimits::new(), at(0));
    connection.receive_text("0").unwrap();
    assert!(connection.accept("/", "s", None).is_some() && connection.accept("/", "s", None).is_none());
    assert_eq!(connection.expect_ack("/", at(5), at(0)), Some(0));
    assert_eq!(connection.expect_ack("/", at(3), at(0)), Some(1));
    assert_eq!(connection.next_deadline(), Some(at(3)));
    assert!(connection.receive_text("37[]").unwrap().is_none());
    assert!(connection.next_expired(at(2)).is_none());
    assert_eq!(connection.next_expired(at(3)), Some(("/".into(), 1)));
    assert!(connection.receive_text("31[]").unwrap().is_none());
    assert!(matches!(
        connection.receive_text("300[1]").unwrap(),
        Some(socketio::Incoming::Ack { id: 0, .. })
    ));
    assert!(connection.receive_text("30[1]").unwrap().is_none());
    assert_eq!(connection.next_deadline(), None);
    // In no namespace any more, it has its time to join one again.
    connection.receive_text("1").unwrap();
    connection.tick(at(10));
    assert_eq!(connection.next_deadline(), Some(at(55)));
    assert!(!connection.is_expired(at(54)) && connection.is_expired(at(55)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_message_once_and_in_order(data in prop::collection::vec(any::<u8>(), 0..300)) {
        model::upgrade(&data);
    }

    #[test]
    fn bounded_whatever_comes(data in prop::collection::vec(any::<u8>(), 0..300)) {
        model::session(&data);
    }

    #[test]
    fn packets_as_by_hand(text in r#"[0-7]([0-9]{1,2}-)?(/[a-z]{0,3},?)?[0-9]{0,3}(\["[a-z]{1,3}"(,[0-9]{1,2}|,\{\})*\]|\{\})?"#) {
        model::packet(text.as_bytes());
    }
}

#[test]
fn clients_can_wait_for_the_longest_times() {
    let config = EngineOptions::new().ping_interval(Duration::MAX).ping_timeout(Duration::MAX);
    let mut session = EngineSession::polling("sid", config, Duration::ZERO);
    session.poll(Duration::ZERO);
    let answer = session.next_answer(Duration::ZERO).unwrap();
    let text = core::str::from_utf8(answer.body()).unwrap();
    let time = |name: &str| -> u64 {
        let value = text.split_once(name).unwrap().1.trim_start_matches("\":");
        value.split(',').next().unwrap().parse().unwrap()
    };
    // JavaScript's timers, to which clients set the sum.
    assert!(time("pingInterval") + time("pingTimeout") <= i32::MAX as u64, "{text}");
    let mut client = EngineClient::new(EngineClientOptions::new(), Duration::ZERO);
    client.packet(records(text).next().unwrap(), Duration::ZERO);
    assert!(client.is_open());
}
