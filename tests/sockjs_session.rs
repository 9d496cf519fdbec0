//! SockJS sessions on a virtual clock: frames, times, limits, and random histories against a list of what was sent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::comet::sockjs::{
    Busy, NotTaken, SockJsMessage, SockJsMessages, SockJsOptions, SockJsSession, SockJsTicket,
    SockJsTransport,
};
use std::time::Duration;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The next frame as text, and whether it was the last.
fn frame(session: &mut SockJsSession<Duration>, now: Duration) -> Option<(String, bool)> {
    let mut out = Vec::new();
    let sent = session.next_frame(now, &mut out)?;
    Some((String::from_utf8(out).unwrap(), sent.last))
}

fn open(config: SockJsOptions, transport: SockJsTransport) -> (SockJsSession<Duration>, SockJsTicket) {
    let mut session = SockJsSession::new(config, at(0));
    let ticket = session.receive(transport.clone(), at(0)).unwrap();
    while frame(&mut session, at(0)).is_some() {}
    let ticket = if transport.is_polling() { session.receive(transport, at(0)).unwrap() } else { ticket };
    (session, ticket)
}

#[test]
fn heartbeats() {
    let config = SockJsOptions::new().heartbeat(at(25));
    let (mut session, _) = open(config, SockJsTransport::XhrStreaming);
    assert_eq!(session.next_deadline(), Some(at(25)));
    assert_eq!(frame(&mut session, at(25) - Duration::from_nanos(1)), None);
    assert_eq!(frame(&mut session, at(25)), Some(("h\n".into(), false)));
    assert_eq!(frame(&mut session, at(49)), None);
    session.send(SockJsMessage::text("news"), at(0)).unwrap();
    assert_eq!(frame(&mut session, at(49)), Some(("a[\"news\"]\n".into(), false)));
    assert_eq!(session.next_deadline(), Some(at(74)));
    // It answers a poll.
    let (mut session, _) = open(config, SockJsTransport::Xhr);
    assert_eq!(frame(&mut session, at(25)), Some(("h\n".into(), true)));
    // A plain WebSocket has pings instead.
    let (mut session, _) = open(config, SockJsTransport::RawWebSocket);
    assert_eq!((session.next_deadline(), frame(&mut session, at(1000))), (None, None));
}

#[test]
fn the_time_out_runs_without_a_receiver() {
    let mut session = SockJsSession::new(SockJsOptions::new().timeout(at(5)), at(0));
    assert_eq!(session.next_deadline(), Some(at(5)));
    session.receive(SockJsTransport::Xhr, at(4)).unwrap();
    assert!(!session.is_expired(at(10)));
    assert_eq!(frame(&mut session, at(10)), Some(("o\n".into(), true)));
    assert!(!session.is_expired(at(15) - Duration::from_nanos(1)) && session.is_expired(at(15)));
    // A closed session is not kept by asking for its close frame.
    session.close(3000, "bye", at(12));
    for now in [12, 14, 16] {
        session.receive(SockJsTransport::Xhr, at(now)).unwrap();
        assert_eq!(frame(&mut session, at(now)), Some(("c[3000,\"bye\"]\n".into(), true)));
    }
    assert!(!session.is_expired(at(16)) && session.is_expired(at(17)));
}

/// A response that takes nothing holds no session: not from what waits first on, be it a message, the end or a heartbeat.
#[test]
fn a_response_that_stands_still() {
    const INSTANT: Duration = Duration::from_nanos(1);
    let stream = SockJsTransport::XhrStreaming;
    for heartbeat in [Duration::ZERO, at(25), Duration::MAX] {
        let config = SockJsOptions::new().heartbeat(heartbeat).stall_timeout(at(7));
        // The message is no older than it is, however long nothing was said before.
        let (mut session, _) = open(config, stream.clone());
        session.send(SockJsMessage::text("one"), at(20)).unwrap();
        session.send(SockJsMessage::text("two"), at(25)).unwrap();
        session.close(3000, "Go away!", at(26));
        assert!(!session.is_expired(at(27) - INSTANT) && session.is_expired(at(27)), "{heartbeat:?}");
        // It takes a piece, and has time for the next.
        assert_eq!(frame(&mut session, at(26)), Some(("a[\"one\",\"two\"]\n".into(), false)));
        assert!(!session.is_expired(at(33) - INSTANT) && session.is_expired(at(33)), "{heartbeat:?}");
        // What waits is gone, and who takes the rest is told so.
        let (mut session, _) = open(config, stream.clone());
        session.send(SockJsMessage::text("lost"), at(0)).unwrap();
        session.give_up(at(7));
        assert_eq!((session.queued(), session.is_closed()), (0, true));
        let end = "c[1002,\"Connection interrupted\"]\n".into();
        assert_eq!(frame(&mut session, at(8)), Some((end, true)));
        // One that has all that there is stays, unless heartbeats show that it is gone.
        let (mut session, _) = open(config, stream.clone());
        assert_eq!(frame(&mut session, at(0)), None);
        assert!(!session.is_expired(at(32) - INSTANT), "{heartbeat:?}");
        assert_eq!(session.is_expired(at(1000)), heartbeat == at(25));
        // A WebSocket has a time of its own for that.
        let (mut session, _) = open(config, SockJsTransport::WebSocket);
        session.send(SockJsMessage::text("late"), at(0)).unwrap();
        assert!(!session.is_expired(at(1000)));
    }
    // The head that no client takes.
    let mut session = SockJsSession::new(SockJsOptions::new(), at(0));
    session.receive(stream, at(1)).unwrap();
    assert!(!session.is_expired(at(51) - INSTANT) && session.is_expired(at(51)));
}

/// One that is taken slowly has the time to ask again.
#[test]
fn a_closed_session_has_its_time_behind_its_last_message() {
    let (mut session, _) = open(SockJsOptions::new().response_limit(3), SockJsTransport::XhrStreaming);
    session.send(SockJsMessage::text("long"), at(0)).unwrap();
    session.close(3000, "Go away!", at(1));
    assert_eq!(frame(&mut session, at(20)), Some(("a[\"long\"]\n".into(), true)));
    assert!(!session.is_expired(at(24)) && session.is_expired(at(25)));
}

#[test]
fn what_was_sent_before_the_close_comes_before_it() {
    let mut session = SockJsSession::new(SockJsOptions::new(), at(0));
    session.send(SockJsMessage::text("early"), at(0)).unwrap();
    session.close(3000, "\"bye\"\u{2028}", at(0));
    session.close(4000, "too late", at(0));
    assert_eq!(session.closed(), Some((3000, "\"bye\"\u{2028}")));
    let mut bodies = Vec::new();
    for _ in 0..4 {
        session.receive(SockJsTransport::Xhr, at(0)).unwrap();
        bodies.push(frame(&mut session, at(0)).unwrap().0);
    }
    let close = "c[3000,\"\\\"bye\\\"\\u2028\"]\n";
    assert_eq!(bodies, ["o\n", "a[\"early\"]\n", close, close]);
    assert!(matches!(session.send(SockJsMessage::text("late"), at(0)), Err(NotTaken::Closed(_))));
}

#[test]
fn one_receiver_and_its_ticket() {
    let (mut session, first) = open(SockJsOptions::new(), SockJsTransport::XhrStreaming);
    assert_eq!(session.receive(SockJsTransport::Xhr, at(0)), Err(Busy));
    session.send(SockJsMessage::text("lost"), at(0)).unwrap();
    session.cut(first, at(1));
    assert_eq!((session.is_closed(), session.queued()), (true, 0));
    let second = session.receive(SockJsTransport::Xhr, at(1)).unwrap();
    assert_ne!(first, second);
    session.cut(first, at(1)); // it is none of its business
    assert_eq!(frame(&mut session, at(1)).unwrap().0, "c[1002,\"Connection interrupted\"]\n");
}

#[test]
fn the_response_limit_at_its_edges() {
    // The open frame is 2 bytes, a message of n letters n + 6.
    for (letters, last) in [(91, false), (92, true), (93, true)] {
        let mut session = SockJsSession::new(SockJsOptions::new().response_limit(100), at(0));
        session.receive(SockJsTransport::XhrStreaming, at(0)).unwrap();
        assert_eq!(frame(&mut session, at(0)).unwrap().0.len(), 2049); // does not count
        assert_eq!(frame(&mut session, at(0)).unwrap(), ("o\n".into(), false));
        session.send(SockJsMessage::text(&"x".repeat(letters)), at(0)).unwrap();
        assert_eq!(frame(&mut session, at(0)).unwrap().1, last, "{letters}");
    }
    let (mut session, _) = open(SockJsOptions::new().response_limit(1), SockJsTransport::WebSocket);
    session.send(SockJsMessage::text("no limit here"), at(0)).unwrap();
    assert_eq!(frame(&mut session, at(0)), Some(("a[\"no limit here\"]".into(), false)));
}

#[test]
fn queue_limits_at_their_edges() {
    for (limit, fits) in [(2, false), (3, true), (4, true)] {
        let mut session = SockJsSession::new(SockJsOptions::new().max_messages(limit), at(0));
        (0..2).for_each(|_| session.send(SockJsMessage::text("x"), at(0)).unwrap());
        assert_eq!(session.send(SockJsMessage::text("x"), at(0)).is_ok(), fits, "{limit} messages");
    }
    // Three literals of three bytes.
    for (limit, fits) in [(8, false), (9, true), (10, true)] {
        let mut session = SockJsSession::new(SockJsOptions::new().max_bytes(limit), at(0));
        (0..2).for_each(|_| session.send(SockJsMessage::text("x"), at(0)).unwrap());
        let third = session.send(SockJsMessage::text("x"), at(0));
        assert_eq!(third.is_ok(), fits, "{limit} bytes");
        if let Err(NotTaken::Full(message)) = third {
            assert_eq!(message, SockJsMessage::text("x"));
        }
    }
}

#[test]
fn plain_websockets_carry_texts() {
    let (mut session, _) = open(SockJsOptions::new(), SockJsTransport::RawWebSocket);
    for text in ["", "\"\\\u{2028}", "two"] {
        session.send(SockJsMessage::text(text), at(0)).unwrap();
    }
    session.close(3000, "bye", at(0));
    for text in ["", "\"\\\u{2028}", "two"] {
        assert_eq!(frame(&mut session, at(0)), Some((text.into(), false)));
    }
    assert_eq!(frame(&mut session, at(0)), Some((String::new(), true)));
}

#[test]
fn messages_of_clients() {
    for (text, messages) in [
        ("", Some(vec![])),
        ("[]", Some(vec![])),
        (" [ ] ", Some(vec![])),
        ("\"a\"", Some(vec!["a"])),
        ("[\"a\",\"\\u0062\\ud83d\\ude00\"]", Some(vec!["a", "b😀"])),
        ("[\"\\ud800\"]", Some(vec!["\u{fffd}"])),
        ("[1]", None),
        ("[[\"a\"]]", None),
        ("{\"a\":\"b\"}", None),
        ("null", None),
        ("[\"a\",]", None),
        ("[\"a\"", None),
        ("[\"a\"] x", None),
        ("[\"\n\"]", None),
    ] {
        let parsed = SockJsMessages::parse(text).ok();
        let parsed = parsed.as_ref().map(|parsed| parsed.iter().map(String::from).collect::<Vec<_>>());
        assert_eq!(parsed, messages.map(|list| list.into_iter().map(String::from).collect()), "{text}");
    }
    let bomb = "[".repeat(100_000);
    assert!(SockJsMessages::parse(&*bomb).is_err());
}

/// What may happen to a session.
#[derive(Clone, Debug)]
enum Step {
    Receive(u8),
    Cut,
    Send(String),
    Read,
    Wait(u8),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8).prop_map(Step::Receive),
        1 => Just(Step::Cut),
        4 => "[a-c\"<%\\\\\u{2028}]{0,5}".prop_map(Step::Send),
        5 => Just(Step::Read),
        2 => (0..30u8).prop_map(Step::Wait),
        1 => Just(Step::Close),
    ]
}

fn transport(number: u8) -> SockJsTransport {
    match number {
        0 => SockJsTransport::Xhr,
        1 => SockJsTransport::XhrStreaming,
        2 => SockJsTransport::EventSource,
        3 => SockJsTransport::HtmlFile("cb".into()),
        4 => SockJsTransport::Jsonp("cb".into()),
        _ => SockJsTransport::WebSocket,
    }
}

/// The frame inside what a transport wrote, by means other than those that wrote it.
fn unwrapped(transport: &SockJsTransport, written: &str) -> String {
    let between = |start: &str, end: &str| written.strip_prefix(start).unwrap().strip_suffix(end).unwrap();
    match transport {
        SockJsTransport::Xhr | SockJsTransport::XhrStreaming => between("", "\n").into(),
        SockJsTransport::EventSource => between("data: ", "\r\n\r\n").replace("%25", "%"),
        SockJsTransport::HtmlFile(_) => {
            serde_json::from_str(between("<script>\np(", ");\n</script>\r\n")).unwrap()
        }
        SockJsTransport::Jsonp(_) => serde_json::from_str(between("/**/cb(", ");\r\n")).unwrap(),
        _ => written.into(),
    }
}

proptest! {
    /// Over whatever transports: `o` first and once, then all that was sent, once and in order, unless a response was
    /// cut; nothing after the close but the close.
    #[test]
    fn histories(steps in proptest::collection::vec(step(), 0..60)) {
        let config = SockJsOptions::new().response_limit(40).max_messages(4);
        let mut session = SockJsSession::new(config, at(0));
        let mut now = at(0);
        let (mut open, mut closed, mut cut) = (false, false, false);
        let mut receiver: Option<(SockJsTicket, SockJsTransport, bool)> = None;
        let (mut sent, mut got) = (Vec::<String>::new(), Vec::<String>::new());
        for step in steps {
            match step {
                Step::Receive(number) => match session.receive(transport(number), now) {
                    Ok(ticket) => {
                        prop_assert!(receiver.is_none());
                        receiver = Some((ticket, transport(number), false));
                    }
                    Err(Busy) => prop_assert!(receiver.is_some()),
                },
                Step::Cut => if let Some((ticket, ..)) = receiver.take() {
                    session.cut(ticket, now);
                    (open, cut, closed) = (true, true, true);
                },
                Step::Send(text) => match session.send(SockJsMessage::text(&text), at(0)) {
                    Ok(()) => sent.push(text),
                    Err(NotTaken::Closed(_)) => prop_assert!(closed),
                    Err(_) => prop_assert_eq!(session.queued(), 4),
                },
                Step::Read => {
                    let mut out = Vec::new();
                    let Some(written) = session.next_frame(now, &mut out) else { continue };
                    let (ticket, transport, begun) = receiver.as_mut().unwrap();
                    prop_assert_eq!(written.ticket, *ticket);
                    let mut prelude = Vec::new();
                    if !std::mem::replace(begun, true) && transport.write_prelude(&mut prelude) {
                        prop_assert_eq!(out, prelude);
                        continue;
                    }
                    let frame = unwrapped(transport, &String::from_utf8(out).unwrap());
                    match frame.split_at(1) {
                        ("o", "") => prop_assert!(!std::mem::replace(&mut open, true)),
                        ("h", "") => prop_assert!(open && !closed),
                        ("a", list) => {
                            prop_assert!(open);
                            got.extend(serde_json::from_str::<Vec<String>>(list).unwrap());
                        }
                        ("c", _) => prop_assert!(open && closed && written.last),
                        _ => prop_assert!(false, "{}", frame),
                    }
                    prop_assert!(written.last || !transport.is_polling());
                    if written.last { receiver = None; }
                }
                Step::Wait(seconds) => now += at(u64::from(seconds)),
                Step::Close => { session.close(3000, "bye", now); closed = true; }
            }
            prop_assert_eq!(session.is_closed(), closed);
            prop_assert!(sent.starts_with(&got));
        }
        if !cut {
            prop_assert_eq!(sent.len(), got.len() + session.queued());
        }
    }
}
