//! Atmosphere: requests as rows, sessions on a virtual clock, and random histories read as its clients read them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::comet::HttpRequest;
use pushline::comet::atmosphere::{
    AtmosphereOptions, AtmosphereReply, AtmosphereService, AtmosphereSession, AtmosphereTicket,
    AtmosphereTransport, Listen, TooSlow,
};
use pushline::ws::handshake::OriginPolicy;
use std::time::Duration;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The rows: method, query, and what becomes of it.
const ROUTES: &str = "\
GET tracking-id=0&Framework=5.0.7&Transport=websocket => listen - WebSocket
GET tracking-id=0&Framework=5.0.7&Transport=websocket&atmo-protocol=true => listen - WebSocket greet
GET tracking-id=abc-1&Framework=5.0.7&Transport=sse&atmo-protocol=true => listen abc-1 Sse greet
GET tracking-id=abc-1&Framework=3.1.3-javascript&Transport=sse&atmo-protocol=true => listen abc-1 Sse
GET tracking-id=abc-1&Framework=5.0.7&Transport=long-polling&TrackMessageSize=true => listen abc-1 LongPolling track
GET tracking-id=0&Framework=5.0.7&Transport=long-polling&atmo-protocol=true => listen - LongPolling greet
GET tracking-id=abc&Framework=3.1.3-javascript&Transport=long-polling&TrackMessageSize=true => listen abc LongPolling track blank
GET tracking-id=abc&Framework=3.1.3-javascript&Transport=long-polling => listen abc LongPolling
GET tracking-id=0&Framework=2.2.1-jquery&Transport=streaming&TrackMessageSize=true => listen - Streaming track
GET Transport=streaming&TrackMessageSize=false => listen - Streaming
GET Transport=sse&Heartbeat-Server=60 => listen - Sse 60
GET Transport=sse&Heartbeat-Server=1 => listen - Sse 5
GET Transport=sse&Heartbeat-Server=4000000 => listen - Sse 3600
GET Transport=sse&Heartbeat-Server=x => listen - Sse
GET Framework=2.2.0&Transport=sse => 501
GET Framework=2.1.9&Transport=sse => 501
GET Framework=x&Transport=sse => 501
GET Transport=webtransport => 501
GET Transport=jsonp => 501
GET Transport=%0d%0aa => 501
GET tracking-id=0 => 400
GET tracking-id=a%20b&Transport=sse => 400
GET tracking-id=a%7c1&Transport=sse => 400
GET tracking-id=abc&Transport=close => close abc
GET tracking-id=0&Transport=close => 400
POST tracking-id=abc&Transport=sse => message abc
POST tracking-id=0&Transport=sse => message -
POST tracking-id=../x => 400
OPTIONS tracking-id=0 => 204
PUT tracking-id=0 => 405
CONNECT tracking-id=0&Framework=5.0.7&Transport=websocket&atmo-protocol=true => listen - WebSocket greet
CONNECT tracking-id=0&Framework=5.0.7&Transport=sse => 405
CONNECT tracking-id=0&Framework=2.1.9&Transport=websocket => 501
CONNECT tracking-id=0 => 405";

fn outcome(reply: AtmosphereReply<'_>) -> String {
    match reply {
        AtmosphereReply::Response(response) => response.status.to_string(),
        AtmosphereReply::Close { id, .. } => format!("close {id}"),
        AtmosphereReply::Message { id, text, .. } => {
            assert_eq!(text, "body");
            format!("message {}", id.as_deref().unwrap_or("-"))
        }
        AtmosphereReply::Listen(listen) => {
            let mut text = format!("listen {} {:?}", listen.id.as_deref().unwrap_or("-"), listen.transport);
            text += if listen.greet { " greet" } else { "" };
            text += if listen.track { " track" } else { "" };
            text += if listen.blank { " blank" } else { "" };
            text + &listen.heartbeat.map_or(String::new(), |time| format!(" {}", time.as_secs()))
        }
    }
}

#[test]
fn routes() {
    for row in ROUTES.lines() {
        let (request, expected) = row.split_once(" => ").unwrap();
        let (method, query) = request.split_once(' ').unwrap();
        let named: Vec<(String, &str)> = query
            .split('&')
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                let prefix = match name {
                    "atmo-protocol" | "Heartbeat-Server" => "X-",
                    _ => "X-Atmosphere-",
                };
                (format!("{prefix}{name}"), value)
            })
            .collect();
        let target =
            named.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let target = format!("?{target}");
        assert_eq!(
            outcome(AtmosphereService::new().route(&HttpRequest::new(method, &target, &[], b"body"))),
            expected,
            "{row}"
        );
        // As fields they say the same, unless they have escapes.
        if !query.contains('%') {
            let fields: Vec<_> =
                named.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            assert_eq!(
                outcome(AtmosphereService::new().route(&HttpRequest::new(method, "/", &fields, b"body"))),
                expected,
                "{row}"
            );
        }
    }
}

#[test]
fn origins() {
    let fields = [("Host", &b"a.example"[..]), ("Origin", &b"https://b.example"[..])];
    let request = HttpRequest::new("GET", "?X-Atmosphere-Transport=sse", &fields, b"");
    assert_eq!(outcome(AtmosphereService::new().route(&request)), "403");
    let open = AtmosphereService::new().origins(OriginPolicy::list(["https://b.example"]));
    let AtmosphereReply::Listen(listen) = open.route(&request) else { panic!("it is allowed") };
    assert_eq!(listen.head.field("access-control-allow-origin"), Some("https://b.example"));
    assert_eq!(listen.head.field("access-control-allow-credentials"), Some("true"));
}

fn listen(transport: AtmosphereTransport, greet: bool, track: bool) -> Listen {
    let AtmosphereReply::Listen(listen) =
        AtmosphereService::new().route(&HttpRequest::new("GET", "?X-Atmosphere-Transport=sse", &[], b""))
    else {
        panic!("it listens")
    };
    Listen { transport, greet, track, ..listen }
}

fn frame(
    session: &mut AtmosphereSession<Duration>,
    ticket: AtmosphereTicket,
    now: Duration,
) -> Option<(String, bool)> {
    let mut out = Vec::new();
    let last = session.next_frame(ticket, now, &mut out)?;
    Some((String::from_utf8(out).unwrap(), last))
}

#[test]
fn what_each_transport_writes() {
    for (transport, track, expected) in [
        (AtmosphereTransport::WebSocket, true, ["10|id|7000|~|", "5|a\r\n😀", "1|~"]),
        (AtmosphereTransport::WebSocket, false, ["id|7000|~|", "a\r\n😀", "~"]),
        (
            AtmosphereTransport::Sse,
            true,
            ["data: 10|id|7000|~|\n\n", "data: 4|a\ndata: 😀\n\n", "data: 1|~\n\n"],
        ),
        (AtmosphereTransport::Streaming, true, ["10|id|7000|~|", "5|a\r\n😀", "1|~"]),
        (AtmosphereTransport::LongPolling, true, ["10|id|7000|~|", "5|a\r\n😀", "1|~"]),
    ] {
        let config = AtmosphereOptions::new().client_heartbeat(at(7)).padding('~').heartbeat(at(30));
        let mut session = AtmosphereSession::new("id", config, at(0));
        session.send("a\r\n😀".into(), at(0)).unwrap();
        let mut ticket = session.receive(&listen(transport, true, track), at(0));
        let is_poll = transport == AtmosphereTransport::LongPolling;
        let mut now = at(0);
        for (number, text) in expected.into_iter().enumerate() {
            if number == 2 {
                assert_eq!(frame(&mut session, ticket, now), None);
                now = at(30);
            }
            assert_eq!(frame(&mut session, ticket, now), Some((text.to_owned(), is_poll)), "{transport:?}");
            if is_poll {
                ticket = session.receive(&listen(transport, false, track), now);
            }
        }
    }
}

#[test]
fn polls_without_lengths_have_one_message() {
    for (track, bodies) in [(false, ["one", "two"].as_slice()), (true, &["3|one3|two"])] {
        let mut session = AtmosphereSession::new("id", AtmosphereOptions::new(), at(0));
        session.send("one".into(), at(0)).unwrap();
        session.send("two".into(), at(0)).unwrap();
        for body in bodies {
            let ticket = session.receive(&listen(AtmosphereTransport::LongPolling, false, track), at(0));
            assert_eq!(frame(&mut session, ticket, at(0)), Some(((*body).into(), true)));
        }
    }
}

#[test]
fn a_poll_of_an_older_client_starts_with_a_blank() {
    let mut session = AtmosphereSession::new("id", AtmosphereOptions::new(), at(0));
    let poll = Listen { blank: true, ..listen(AtmosphereTransport::LongPolling, false, true) };
    let ticket = session.receive(&poll, at(0));
    assert_eq!(frame(&mut session, ticket, at(0)), Some((" ".into(), false)));
    assert_eq!(frame(&mut session, ticket, at(0)), None);
    session.send("one".into(), at(0)).unwrap();
    assert_eq!(frame(&mut session, ticket, at(0)), Some(("3|one".into(), true)));
}

#[test]
fn after_a_cut_a_poll_has_one_message() {
    let mut session = AtmosphereSession::new("id", AtmosphereOptions::new(), at(0));
    let poll = listen(AtmosphereTransport::LongPolling, false, true);
    for is_noticed in [true, false] {
        let ticket = session.receive(&poll, at(0));
        if is_noticed {
            session.cut(ticket, at(0));
        }
        for text in ["one", "two", "three"] {
            session.send(text.into(), at(0)).unwrap();
        }
        for body in ["3|one", "3|two5|three"] {
            let ticket = session.receive(&poll, at(0));
            assert_eq!(frame(&mut session, ticket, at(0)), Some((body.into(), true)));
        }
    }
}

#[test]
fn a_newer_connection_takes_the_place_of_the_older() {
    let mut session = AtmosphereSession::new("id", AtmosphereOptions::new(), at(0));
    let older = session.receive(&listen(AtmosphereTransport::WebSocket, false, true), at(0));
    let newer = session.receive(&listen(AtmosphereTransport::Sse, false, true), at(0));
    session.send("x".into(), at(0)).unwrap();
    assert_eq!(frame(&mut session, older, at(0)), Some((String::new(), true)));
    session.cut(older, at(0)); // it is none of its business
    assert_eq!(frame(&mut session, newer, at(0)), Some(("data: 1|x\n\n".into(), false)));
}

#[test]
fn times_and_the_end() {
    let mut session = AtmosphereSession::new("id", AtmosphereOptions::new().timeout(at(60)), at(0));
    assert!(!session.is_expired(at(60) - Duration::from_nanos(1)) && session.is_expired(at(60)));
    let ticket = session.receive(&listen(AtmosphereTransport::Streaming, false, true), at(1));
    assert!(!session.is_expired(at(50)));
    session.cut(ticket, at(2));
    assert_eq!((session.next_deadline(), session.is_expired(at(62))), (Some(at(62)), true));
    let ticket = session.receive(&listen(AtmosphereTransport::Streaming, false, true), at(3));
    session.send("bye".into(), at(0)).unwrap();
    session.close(at(4));
    assert_eq!(frame(&mut session, ticket, at(4)), Some(("3|bye".into(), false)));
    assert_eq!(frame(&mut session, ticket, at(4)), Some((String::new(), true)));
    assert!(session.is_expired(at(4)));
    session.close(at(5));
    assert_eq!(session.send("late".into(), at(5)), Err(TooSlow));
}

/// A response that takes nothing holds no session: not from what waits first on, be it a message, the end or a heartbeat.
#[test]
fn a_response_that_stands_still() {
    const INSTANT: Duration = Duration::from_nanos(1);
    for heartbeat in [Duration::ZERO, at(30), Duration::MAX] {
        let config = AtmosphereOptions::new().heartbeat(heartbeat).stall_timeout(at(7));
        let begin = |transport| {
            let mut session = AtmosphereSession::new("id", config, at(0));
            let ticket = session.receive(&listen(transport, false, true), at(0));
            assert_eq!(frame(&mut session, ticket, at(0)), None);
            (session, ticket)
        };
        // The message is no older than it is, however long nothing was said before.
        let (mut session, ticket) = begin(AtmosphereTransport::Streaming);
        session.send("one".into(), at(20)).unwrap();
        session.send("two".into(), at(25)).unwrap();
        session.close(at(26));
        assert!(!session.is_expired(at(27) - INSTANT) && session.is_expired(at(27)), "{heartbeat:?}");
        // It takes a piece, and has time for the next.
        assert_eq!(frame(&mut session, ticket, at(26)), Some(("3|one".into(), false)));
        assert!(!session.is_expired(at(33) - INSTANT) && session.is_expired(at(33)), "{heartbeat:?}");
        // What waits is gone, and so is who takes the rest.
        session.give_up(at(33));
        assert_eq!(session.queued(), 0);
        assert_eq!(frame(&mut session, ticket, at(34)), Some((String::new(), true)));
        // One that has all that there is stays, unless heartbeats show that it is gone.
        let (session, _) = begin(AtmosphereTransport::Sse);
        assert!(!session.is_expired(at(37) - INSTANT), "{heartbeat:?}");
        assert_eq!(session.is_expired(at(1000)), heartbeat == at(30));
        // A WebSocket has a time of its own for that.
        let (mut session, _) = begin(AtmosphereTransport::WebSocket);
        session.send("late".into(), at(0)).unwrap();
        assert!(!session.is_expired(at(1000)));
    }
    // The head that no client takes.
    let mut session = AtmosphereSession::new("id", AtmosphereOptions::new(), at(0));
    session.receive(&listen(AtmosphereTransport::Streaming, false, true), at(1));
    assert!(!session.is_expired(at(51) - INSTANT) && session.is_expired(at(51)));
}

#[test]
fn limits_at_their_edges() {
    for (limit, fits) in [(1, false), (2, true), (3, true)] {
        let mut session = AtmosphereSession::new("id", AtmosphereOptions::new().max_messages(limit), at(0));
        session.send("a".into(), at(0)).unwrap();
        assert_eq!(session.send("a".into(), at(0)), if fits { Ok(()) } else { Err(TooSlow) });
        let mut session = AtmosphereSession::new("id", AtmosphereOptions::new().max_bytes(limit), at(0));
        session.send("a".into(), at(0)).unwrap();
        assert_eq!(session.send("a".into(), at(0)), if fits { Ok(()) } else { Err(TooSlow) });
    }
}

#[test]
fn signs_of_life() {
    let config = AtmosphereOptions::new();
    assert!(!config.is_heartbeat("X"), "clients are asked for none");
    let config = config.client_heartbeat(at(20));
    assert!(config.is_heartbeat("X") && !config.is_heartbeat("XX") && !config.is_heartbeat(""));
    assert_eq!(config.padding('|'), config);
}

/// Reads what came, as the client does.
fn read(wire: &str) -> Vec<String> {
    let units: Vec<u16> = wire.encode_utf16().collect();
    let mut rest = &units[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let bar = rest.iter().position(|&unit| unit == u16::from(b'|')).unwrap();
        let length: usize = String::from_utf16(&rest[..bar]).unwrap().parse().unwrap();
        messages.push(String::from_utf16(&rest[bar + 1..bar + 1 + length]).unwrap());
        rest = &rest[bar + 1 + length..];
    }
    messages
}

proptest! {
    /// Whatever transports a client moves between, it has all messages once and in order, if no connection was cut
    /// with something written to it; and those that are away wait.
    #[test]
    fn histories(steps in proptest::collection::vec((0..6u8, 0..4u8, "[a|😀\\n1]{0,4}"), 0..60)) {
        let mut session = AtmosphereSession::new("id", AtmosphereOptions::new().max_messages(5), at(0));
        let mut open: Option<(AtmosphereTicket, AtmosphereTransport, String)> = None;
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        for (action, transport, text) in steps {
            match action {
                0 | 1 => {
                    let transport = [AtmosphereTransport::WebSocket, AtmosphereTransport::Sse, AtmosphereTransport::Streaming, AtmosphereTransport::LongPolling]
                        [usize::from(transport)];
                    let ticket = session.receive(&listen(transport, false, true), at(0));
                    open = Some((ticket, transport, String::new()));
                }
                2 => if let Some((ticket, ..)) = open.take() { session.cut(ticket, at(0)) },
                3 => match session.send(text.as_str().into(), at(0)) {
                    Ok(()) => sent.push(text),
                    Err(TooSlow) => prop_assert_eq!(session.queued(), 5),
                },
                _ => if let Some((ticket, transport, _)) = open {
                    let Some((wire, last)) = frame(&mut session, ticket, at(0)) else { continue };
                    let wire = match transport {
                        AtmosphereTransport::Sse => {
                            let lines: Vec<_> = wire.trim_end_matches('\n').split('\n').map(|line| line.strip_prefix("data: ").unwrap()).collect();
                            lines.join("\n")
                        }
                        _ => wire,
                    };
                    got.extend(read(&wire));
                    prop_assert_eq!(last, transport == AtmosphereTransport::LongPolling);
                    if last { open = None }
                },
            }
            prop_assert!(sent.starts_with(&got));
        }
        prop_assert_eq!(sent.len(), got.len() + session.queued());
    }
}
