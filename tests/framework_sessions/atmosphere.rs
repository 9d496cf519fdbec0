//! Atmosphere: event streams, streaming, long polling, WebSockets.

use crate::wire::{Client, Framing, Reply, Server, moment, text, until};
use pushline::adapter::Options;
use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer, AtmosphereSender};
use pushline::comet::atmosphere::AtmosphereOptions;
use std::time::Duration;

type Seen = crate::seen::Seen<AtmosphereSender>;

const STREAMS: [&str; 2] = ["sse", "streaming"];
const HTTP: [&str; 3] = ["sse", "streaming", "long-polling"];
const MISSING: &str = "No such session.\n";

/// It hears; `close` ends the session.
fn start(change: impl FnOnce(Atmosphere) -> Atmosphere) -> (Server, Atmosphere, Seen) {
    let seen = Seen::default();
    let sees = seen.clone();
    let (server, service) = Server::start(|| {
        let service = change(Atmosphere::new("/a", move |mut peer: AtmospherePeer| {
            sees.know().senders.push(peer.sender().clone());
            let sees = sees.clone();
            async move {
                while let Some(text) = peer.next().await {
                    let is_close = text == "close";
                    sees.know().heard.push(text);
                    if is_close {
                        break;
                    }
                }
                drop(peer);
                sees.know().ended += 1;
            }
        }));
        let answer = service.clone();
        (service, move |request| {
            let service = answer.clone();
            async move { service.serve(request).await }
        })
    });
    (server, service, seen)
}

fn brief(milliseconds: u64) -> AtmosphereOptions {
    AtmosphereOptions::new().timeout(Duration::from_millis(milliseconds))
}

fn has_sessions(service: &Atmosphere, count: usize) {
    until("sessions", || service.sessions() == count);
}

fn target(transport: &str, id: &str) -> String {
    format!(
        "/a?X-Atmosphere-TrackMessageSize=true&X-Atmosphere-Transport={transport}&X-Atmosphere-tracking-id={id}"
    )
}

/// A response that goes on, and the session's identifier.
fn listen(server: &Server, transport: &str, id: &str) -> (Client, String) {
    let mut client = server.begin("GET", &target(transport, id));
    let head = client.head();
    assert_eq!(head.status, 200);
    (client, head.field("x-atmosphere-tracking-id").unwrap().to_owned())
}

fn say(server: &Server, id: &str, text: &str) -> Reply {
    server.post(&format!("/a?X-Atmosphere-tracking-id={id}"), text)
}

/// The text of what is `LENGTH|TEXT`, perhaps as an event.
fn of(piece: &str) -> String {
    let piece = piece.strip_prefix("data: ").map_or(piece, |event| event.trim_end());
    piece.split_once('|').unwrap_or_else(|| panic!("{piece}")).1.to_owned()
}

fn next(client: &mut Client) -> String {
    of(&client.chunk().expect("it goes on"))
}

#[test]
fn identifiers_that_are_nobodys() {
    let (server, service, seen) = start(|service| service);
    say(&server, "none", "x").is(404, MISSING);
    server.get(&target("close", "none")).is(200, "");
    assert_eq!((service.sessions(), seen.begun()), (0, 0));
    // Closed by its client: it is another one that comes under its name.
    let (mut client, id) = listen(&server, "streaming", "0");
    assert_eq!(id.len(), 32);
    server.get(&target("close", &id)).is(200, "");
    assert_eq!(client.chunk(), None);
    seen.ended(1);
    say(&server, &id, "x").is(404, MISSING);
    assert!(seen.sender(0).send("nobody hears").is_err());
    assert_eq!(service.sessions(), 0);
    // Expired: so, too, and nothing of it is seen.
    let (server, service, seen) = start(|service| service.session(brief(50)));
    let (client, id) = listen(&server, "sse", "0");
    drop(client);
    server.has_connections(0);
    let _ = seen.sender(0).send("secret");
    has_sessions(&service, 0);
    seen.ended(1);
    say(&server, &id, "x").is(404, MISSING);
    let (mut client, same) = listen(&server, "sse", &id);
    assert_eq!((same, service.sessions()), (id.clone(), 1));
    assert!(seen.sender(0).send("secret").is_err());
    seen.sender(1).send("mine").unwrap();
    assert_eq!(next(&mut client), "mine");
    drop(client);
    has_sessions(&service, 0);
    assert_eq!(seen.heard(), Vec::<String>::new());
}

/// Who listens with a session's identifier takes its place, by whichever transport: the older response ends, each message
/// comes once; another session hears nothing.
#[test]
fn a_session_that_listens_twice() {
    let (server, service, seen) = start(|service| service);
    let (mut other, _) = listen(&server, "sse", "0");
    seen.sender(0);
    let (mut client, id) = listen(&server, "streaming", "0");
    let sender = seen.sender(1);
    for (number, transport) in HTTP.into_iter().chain(HTTP).enumerate() {
        let (mut newer, _) = listen(&server, transport, &id);
        assert_eq!(client.chunk(), None, "{transport}");
        sender.send(format!("m{number}")).unwrap();
        assert_eq!(next(&mut newer), format!("m{number}"));
        if transport == "long-polling" {
            assert_eq!(newer.chunk(), None);
            newer = listen(&server, transport, &id).0;
        }
        client = newer;
    }
    let mut socket = server.websocket(&target("websocket", &id)).unwrap();
    assert_eq!(client.chunk(), None);
    sender.send("to the socket").unwrap();
    assert_eq!(text(&mut socket).map(|text| of(&text)).as_deref(), Some("to the socket"));
    let mut second = server.websocket(&target("websocket", &id)).unwrap();
    assert_eq!(text(&mut socket), None);
    sender.send("to the second").unwrap();
    assert_eq!(text(&mut second).map(|text| of(&text)).as_deref(), Some("to the second"));
    let (mut last, _) = listen(&server, "sse", &id);
    assert_eq!(text(&mut second), None);
    sender.send("to the last").unwrap();
    assert_eq!(next(&mut last), "to the last");
    seen.sender(0).send("to the other").unwrap();
    assert_eq!(next(&mut other), "to the other");
    assert_eq!((service.sessions(), seen.begun()), (2, 2));
}

#[test]
fn bodies_at_their_limits() {
    let (server, service, seen) = start(|service| service.max_body(64).max_sessions(1));
    let (_client, id) = listen(&server, "sse", "0");
    for framing in [Framing::Length, Framing::Chunked] {
        for (length, fits) in [(63, true), (64, true), (65, false), (64 << 10, false)] {
            let body = "x".repeat(length);
            let mut client = Client::connect(server.address);
            client.send_as(framing, "POST", &format!("/a?X-Atmosphere-tracking-id={id}"), &[], &body);
            assert_eq!(client.reply().status, if fits { 200 } else { 413 }, "{framing:?} {length}");
            if fits {
                seen.hears(&[&body]);
            }
        }
        let mut client = Client::connect(server.address);
        client.send_half(framing, &format!("/a?X-Atmosphere-tracking-id={id}"), &[], "half");
        let mut nobody = Client::connect(server.address);
        nobody.send_half(framing, "/a?X-Atmosphere-tracking-id=0", &[], "half");
        moment();
        drop((client, nobody));
        server.has_connections(1);
    }
    say(&server, &id, "whole").is(200, "");
    seen.hears(&["whole"]);
    for transport in HTTP {
        server.get(&target(transport, "0")).is(503, "Too many sessions.\n");
    }
    for id in ["0", "new"] {
        let mut client = Client::connect(server.address);
        client.upgrade(&target("websocket", id));
        client.reply().is(503, "Too many sessions.\n");
    }
    assert!(server.websocket(&target("websocket", &id)).is_ok(), "its own");
    assert_eq!((service.sessions(), seen.begun()), (1, 1));
}

/// As much waits for a client that reads no more as may; those beside it get all; once the application has given it up, nothing
/// counts it any more, though its connection is still there.
#[test]
fn readers_that_stop() {
    std::thread::scope(|scope| {
        for transport in ["sse", "streaming", "websocket"] {
            scope.spawn(move || stops_reading(transport, true));
            // With heartbeats and without.
            scope.spawn(move || stops_reading(transport, false));
        }
    });
}

fn stops_reading(transport: &str, is_given_up: bool) {
    const WAIT: usize = 8;
    let beat = if is_given_up { Duration::from_millis(100) } else { Duration::ZERO };
    let options = brief(100).heartbeat(beat).max_messages(WAIT);
    let options = options.stall_timeout(Duration::from_secs(if is_given_up { 5 } else { 2 }));
    let write = Options::new().write_timeout(Duration::from_millis(100));
    let (server, service, seen) = start(|service| service.session(options).options(write));
    let mut stopped = Client::narrow(server.address);
    if transport == "websocket" {
        stopped.upgrade(&target(transport, "stopped"));
    } else {
        stopped.send("GET", &target(transport, "stopped"), &[], "");
    }
    stopped.head();
    let sender = seen.sender(0);
    let (mut beside, _) = listen(&server, "sse", "0");
    let (other, mut sent) = (seen.sender(1), 0);
    loop {
        let message = format!("{sent} {}", "x".repeat(32 << 10));
        let taken = sender.send(&*message);
        other.send(&*message).unwrap();
        while let text = next(&mut beside)
            && text != message
        {
            assert_eq!(text, "X", "a heartbeat");
        }
        if taken.is_err() {
            moment(); // or it was only faster than the server
            if sender.send("").is_err() {
                break;
            }
        }
        sent += 1;
        assert!(sent < 1000, "what is not read is held without an end");
    }
    if transport != "websocket" {
        assert!(sent >= WAIT, "{sent}");
        if is_given_up {
            assert_eq!(say(&server, "stopped", "close").status, 200);
        }
    }
    seen.ended(1);
    has_sessions(&service, 1);
    // Nothing is held for it; what the server and the system have taken already it may read, and that it is over.
    assert!(sender.send("late").is_err());
    if transport != "websocket" {
        let all = std::iter::from_fn(|| stopped.chunk()).count();
        assert!(all <= sent + 1000, "{all}");
    }
    drop(stopped);
    drop(beside);
    has_sessions(&service, 0);
}

/// Who does not come back for what a poll is to bring.
#[test]
fn a_poll_that_is_not_fetched() {
    let (server, service, seen) = start(|service| service.session(brief(50)));
    let mut stopped = Client::narrow(server.address);
    stopped.send("GET", &target("long-polling", "0"), &[], "");
    let sender = seen.sender(0);
    let mut sent = 0;
    while sender.send("x".repeat(1 << 10)).is_ok() {
        sent += 1;
        assert!(sent < 5000);
    }
    has_sessions(&service, 0);
    seen.ended(1);
}

#[test]
fn a_client_that_is_away_misses_nothing() {
    for transport in HTTP {
        let (server, service, seen) = start(|service| service);
        let (client, id) = listen(&server, transport, "0");
        let sender = seen.sender(0);
        drop(client);
        server.has_connections(0);
        let all: Vec<_> = (0..5).map(|number| format!("m{number}")).collect();
        all.iter().for_each(|text| sender.send(&**text).unwrap());
        let mut got = Vec::new();
        if transport == "long-polling" {
            // The first has one message, and then all that there are.
            for most in [1, 4] {
                let body = server.get(&target(transport, &id)).body;
                assert_eq!(body.matches('|').count(), most, "{body}");
                got.extend(body.split("2|").skip(1).map(str::to_owned));
            }
        } else {
            let (mut client, _) = listen(&server, transport, &id);
            got.extend((0..5).map(|_| next(&mut client)));
        }
        assert_eq!(got, all);
        assert_eq!(service.sessions(), 1);
    }
}

#[test]
fn closing_while_a_response_is_held() {
    for by_client in [true, false] {
        let (server, service, seen) = start(|service| service);
        for (number, transport) in HTTP.into_iter().enumerate() {
            let (mut client, id) = listen(&server, transport, "0");
            seen.sender(number);
            let mut post = Client::connect(server.address);
            post.send_half(Framing::Length, &format!("/a?X-Atmosphere-tracking-id={id}"), &[], "late");
            moment();
            if by_client {
                server.get(&target("close", &id)).is(200, "");
            } else {
                say(&server, &id, "close").is(200, "");
                seen.hears(&["close"]);
            }
            assert_eq!(client.chunk(), None);
            seen.ended(number + 1);
            has_sessions(&service, 0);
            post.raw("late");
            post.reply().is(404, MISSING);
            assert_eq!(seen.heard(), Vec::<String>::new());
        }
    }
}

/// Neither a heartbeat of zero nor one that never comes is sent.
#[test]
fn times_of_zero_and_without_an_end() {
    for time in [Duration::ZERO, Duration::MAX] {
        let options = AtmosphereOptions::new().heartbeat(time).client_heartbeat(time).timeout(Duration::MAX);
        let (server, service, seen) = start(|service| service.session(options));
        for (number, transport) in HTTP.into_iter().enumerate() {
            let (mut client, _) = listen(&server, transport, "0");
            let sender = seen.sender(number);
            for text in ["a", "b"].into_iter().take(if STREAMS.contains(&transport) { 2 } else { 1 }) {
                moment();
                sender.send(text).unwrap();
                assert_eq!(next(&mut client), text, "{transport}");
            }
        }
        let mut socket = server.websocket(&target("websocket", "0")).unwrap();
        let sender = seen.sender(3);
        moment();
        sender.send("a").unwrap();
        assert_eq!(text(&mut socket).as_deref(), Some("1|a"));
        drop(socket);
        server.has_connections(0);
        assert_eq!(service.sessions(), 4);
    }
    // Without any time: it is gone once it is looked for, if it does not listen.
    let (server, service, seen) = start(|service| service.session(brief(0)));
    let (mut client, _) = listen(&server, "sse", "0");
    let (gone, _) = listen(&server, "sse", "0");
    seen.sender(1);
    drop(gone);
    has_sessions(&service, 1);
    seen.ended(1);
    let mut senders = [seen.sender(0), seen.sender(1)].map(|sender| sender.send("a"));
    senders.sort_by_key(|sent| sent.is_err());
    assert!(senders[0].is_ok() && senders[1].is_err());
    assert_eq!(next(&mut client), "a");
}
