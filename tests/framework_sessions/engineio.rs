//! Engine.IO by itself: polling and WebSocket.

use crate::wire::{Client, Framing, Server, moment, text, until};
use pushline::adapter::socketio::{EngineIo, SocketIoOptions};
use pushline::socketio::engine::{Data, EngineMessage, EngineOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const OPEN: &str = "/engine.io/?EIO=4&transport=polling";
const SOCKET: &str = "/engine.io/?EIO=4&transport=websocket";
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD: &str = r#"{"code":3,"message":"Bad request"}"#;

struct Echo {
    server: Server,
    io: EngineIo,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    /// It says what it hears; `close` closes the session.
    fn new(options: EngineOptions) -> Self {
        Self::with(SocketIoOptions::new().engine(options))
    }

    fn with(options: SocketIoOptions) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let (server, io) = Server::start(|| {
            let io = EngineIo::new(options, move |session, data| {
                let Data::Text(text) = data else { return };
                hears.lock().unwrap().push(text.to_owned());
                if text == "close" {
                    session.close();
                } else {
                    let _ = session.send(EngineMessage::text(text));
                }
            });
            let answer = io.clone();
            (io, move |request| {
                let io = answer.clone();
                async move { io.handle(request).await }
            })
        });
        Self { server, io, heard }
    }

    /// A session on polling: what its requests go to.
    fn open(&self) -> String {
        let reply = self.server.get(OPEN);
        assert_eq!(reply.status, 200);
        let sid = reply.body.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
        format!("{OPEN}&sid={sid}")
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    fn has_sessions(&self, count: usize) {
        until("sessions", || self.io.sessions() == count);
    }
}

fn as_socket(polling: &str) -> String {
    polling.replace("polling", "websocket")
}

#[test]
fn identifiers_that_are_nobodys() {
    let times = EngineOptions::new();
    let never = format!("{OPEN}&sid=AAAAAAAAAAAAAAAAAAAA");
    let echo = Echo::new(times);
    let closed = echo.open();
    echo.server.post(&closed, "1").is(200, "ok");
    let short =
        Echo::new(times.ping_interval(Duration::from_millis(20)).ping_timeout(Duration::from_millis(20)));
    let expired = short.open();
    short.has_sessions(0);
    for (echo, url) in [(&echo, never), (&echo, closed), (&short, expired)] {
        echo.server.get(&url).is(400, UNKNOWN);
        echo.server.post(&url, "4x").is(400, UNKNOWN);
        let mut client = Client::connect(echo.server.address);
        client.upgrade(&as_socket(&url));
        client.reply().is(400, UNKNOWN);
        assert_eq!((echo.io.sessions(), echo.heard()), (0, vec![]));
    }
}

#[test]
fn the_identifier_of_a_session_that_is_on_a_websocket() {
    let echo = Echo::new(EngineOptions::new());
    let mut socket = echo.server.websocket(SOCKET).unwrap();
    let open = text(&mut socket).unwrap();
    let sid = open.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
    let url = format!("{OPEN}&sid={sid}");
    echo.server.get(&url).is(400, BAD);
    echo.server.post(&url, "4stolen").is(400, BAD);
    let mut other = echo.server.websocket(&as_socket(&url)).unwrap();
    let _ = other.send("2probe");
    assert_eq!(text(&mut other), None, "it is closed, and nothing is said to it");
    socket.send("4mine").unwrap();
    assert_eq!(text(&mut socket).as_deref(), Some("4mine"));
    assert_eq!((echo.heard(), echo.io.sessions()), (vec!["mine".to_owned()], 1));
    drop(socket);
    echo.has_sessions(0);
}

#[test]
fn sessions_at_their_limit() {
    let echo = Echo::with(SocketIoOptions::new().max_sessions(1));
    let url = echo.open();
    for target in [OPEN, SOCKET] {
        let mut client = Client::connect(echo.server.address);
        if target == SOCKET {
            client.upgrade(target)
        } else {
            client.send("GET", target, &[], "")
        }
        assert_eq!(client.reply().status, 503, "{target}");
    }
    // The one that there is may still take a WebSocket.
    assert!(echo.server.websocket(&as_socket(&url)).is_ok());
    echo.server.post(&url, "1").is(200, "ok");
    assert!(echo.server.websocket(SOCKET).is_ok());
}

#[test]
fn sockets_that_do_not_take_a_session_over() {
    let echo = Echo::new(EngineOptions::new());
    let url = echo.open();
    let mut held = echo.server.begin("GET", &url);
    // One that speaks before it has probed is let go of, and not heard.
    let mut first = echo.server.websocket(&as_socket(&url)).unwrap();
    first.send("4stolen").unwrap();
    assert_eq!(text(&mut first), None);
    // One that probes holds the only place.
    let mut prober = echo.server.websocket(&as_socket(&url)).unwrap();
    prober.send("2probe").unwrap();
    assert_eq!(text(&mut prober).as_deref(), Some("3probe"));
    held.reply().is(200, "6");
    let mut second = echo.server.websocket(&as_socket(&url)).unwrap();
    let _ = second.send("2probe");
    assert_eq!(text(&mut second), None);
    // It leaves: polling goes on as if nothing had been.
    drop(prober);
    echo.server.post(&url, "4mine").is(200, "ok");
    until("its message", || echo.server.get(&url).body == "4mine");
    assert_eq!((echo.heard(), echo.io.sessions()), (vec!["mine".to_owned()], 1));
}

#[test]
fn bodies_at_their_limits() {
    let echo = Echo::new(EngineOptions::new().max_payload(64).max_packets(3));
    for framing in [Framing::Length, Framing::Chunked] {
        let url = echo.open();
        for (length, status) in [(63, 200), (64, 200), (65, 413), (64 << 10, 413)] {
            let mut client = Client::connect(echo.server.address);
            client.send_as(framing, "POST", &url, &[], &format!("4{}", "x".repeat(length - 1)));
            assert_eq!(client.reply().status, status, "{framing:?} {length}");
        }
        let heard: Vec<_> = echo.heard().iter().map(String::len).collect();
        assert_eq!(heard, [62, 63], "{framing:?}");
        echo.server.post(&url, "4a\u{1e}4b").is(200, "ok");
        echo.server.post(&url, "4a\u{1e}4b\u{1e}4c").is(200, "ok");
        assert_eq!(echo.server.post(&url, "4a\u{1e}4b\u{1e}4c\u{1e}4d").status, 400);
        assert_eq!(echo.heard().concat(), "ababcabc");
        echo.has_sessions(0);
    }
    for (length, fits) in [(63, true), (64, true), (65, false)] {
        let mut socket = echo.server.websocket(SOCKET).unwrap();
        text(&mut socket).unwrap();
        let message = format!("4{}", "x".repeat(length - 1));
        socket.send(&*message).unwrap();
        assert_eq!(text(&mut socket), fits.then_some(message), "{length}");
        assert_eq!(echo.heard().len(), usize::from(fits));
        drop(socket);
        echo.has_sessions(0);
    }
}

/// A POST that is cut takes its session with it, as clients expect, and nothing of it is heard; others go on.
#[test]
fn bodies_that_are_cut() {
    let echo = Echo::new(EngineOptions::new());
    let other = echo.open();
    for framing in [Framing::Length, Framing::Chunked] {
        let url = echo.open();
        let mut held = echo.server.begin("GET", &url);
        let mut client = Client::connect(echo.server.address);
        client.send_half(framing, &url, &[], "4one\u{1e}4two\u{1e}4th");
        moment();
        drop(client);
        held.reply().is(200, "1");
        drop(held);
        echo.server.has_connections(0);
        assert_eq!((echo.heard(), echo.io.sessions()), (vec![], 1), "{framing:?}");
        echo.server.get(&url).is(400, UNKNOWN);
    }
    echo.server.post(&other, "4mine").is(200, "ok");
    echo.server.get(&other).is(200, "4mine");
}

#[test]
fn a_client_that_is_away_between_two_polls_misses_nothing() {
    let echo = Echo::new(EngineOptions::new());
    let url = echo.open();
    let all: Vec<_> = (0..40).map(|number| format!("4m{number}")).collect();
    for messages in all.chunks(10) {
        echo.server.post(&url, &messages.join("\u{1e}")).is(200, "ok");
    }
    let mut got = Vec::new();
    while got.len() < all.len() {
        let reply = echo.server.get(&url);
        assert_eq!(reply.status, 200);
        got.extend(reply.body.split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(got, all);
}

/// The session goes with a poll that is held; nothing is left of it.
#[test]
fn a_client_that_leaves_a_poll() {
    let echo = Echo::new(EngineOptions::new());
    let url = echo.open();
    let held = echo.server.begin("GET", &url);
    moment();
    assert_eq!(echo.io.sessions(), 1);
    drop(held);
    echo.has_sessions(0);
    echo.server.get(&url).is(400, UNKNOWN);
}

#[test]
fn two_requests_of_a_kind() {
    let echo = Echo::new(EngineOptions::new());
    // Whichever is read first is told that it is over, and the other that it is refused.
    let url = echo.open();
    let (mut one, mut two) = (echo.server.begin("GET", &url), echo.server.begin("GET", &url));
    let mut replies = [one.reply(), two.reply()].map(|reply| (reply.status, reply.body));
    replies.sort();
    assert_eq!(replies, [(200, "1".to_owned()), (400, String::new())]);
    echo.has_sessions(0);
    let url = echo.open();
    let mut one = Client::connect(echo.server.address);
    one.send_half(Framing::Length, &url, &[], "4one");
    moment();
    assert_eq!(echo.server.post(&url, "4two").status, 400);
    one.raw("4two");
    assert_eq!(one.reply().status, 400);
    assert_eq!((echo.heard(), echo.io.sessions()), (vec![], 0));
}

#[test]
fn closing_while_a_poll_is_held() {
    for (said, posted, told) in [("4close", (400, ""), "1"), ("1", (200, "ok"), "6")] {
        let echo = Echo::new(EngineOptions::new());
        let url = echo.open();
        let mut held = echo.server.begin("GET", &url);
        moment();
        assert!(held.is_silent());
        echo.server.post(&url, said).is(posted.0, posted.1);
        held.reply().is(200, told);
        echo.has_sessions(0);
    }
}

/// A POST whose session ends while its body comes is not heard.
#[test]
fn a_post_while_its_session_ends() {
    let times = EngineOptions::new();
    let echo =
        Echo::new(times.ping_interval(Duration::from_millis(50)).ping_timeout(Duration::from_millis(50)));
    let url = echo.open();
    let mut post = Client::connect(echo.server.address);
    post.send_half(Framing::Length, &url, &[], "4one\u{1e}");
    echo.has_sessions(0);
    post.raw("4two\u{1e}");
    assert_eq!(post.reply().status, 400);
    assert_eq!(echo.heard(), Vec::<String>::new());
}

#[test]
fn times_that_never_come() {
    let never = Duration::MAX;
    let options = EngineOptions::new()
        .ping_interval(never)
        .ping_timeout(never)
        .upgrade_timeout(never)
        .noop_interval(never)
        .close_timeout(never);
    let echo = Echo::with(SocketIoOptions::new().engine(options).body_timeout(never));
    let url = echo.open();
    echo.server.post(&url, "4a").is(200, "ok");
    echo.server.get(&url).is(200, "4a");
    let mut held = echo.server.begin("GET", &url);
    moment();
    assert!(held.is_silent());
    let mut socket = echo.server.websocket(&as_socket(&url)).unwrap();
    socket.send("2probe").unwrap();
    assert_eq!(text(&mut socket).as_deref(), Some("3probe"));
    held.reply().is(200, "6");
    socket.send("5").unwrap();
    socket.send("4b").unwrap();
    assert_eq!(text(&mut socket).as_deref(), Some("4b"));
    socket.send("4close").unwrap();
    assert_eq!(text(&mut socket), None);
    echo.has_sessions(0);
    // Closed by the server, and nobody comes to hear of it: it waits.
    let url = echo.open();
    echo.server.post(&url, "4close").is(200, "ok");
    echo.server.get(&url).is(200, "1");
    echo.has_sessions(0);
}

#[test]
fn times_of_zero() {
    let zero = Duration::ZERO;
    // A ping at once, and one behind each pong: no more.
    let echo = Echo::new(EngineOptions::new().ping_interval(zero));
    let mut socket = echo.server.websocket(SOCKET).unwrap();
    text(&mut socket).unwrap();
    for _ in 0..3 {
        assert_eq!(text(&mut socket).as_deref(), Some("2"));
        moment();
        socket.send("4a").unwrap();
        assert_eq!(text(&mut socket).as_deref(), Some("4a"), "one ping waits for its pong");
        socket.send("3").unwrap();
    }
    // No time to answer the ping: the session ends with it.
    let echo = Echo::new(EngineOptions::new().ping_interval(zero).ping_timeout(zero));
    echo.server.get(OPEN);
    echo.has_sessions(0);
    // No time to upgrade: polling goes on. No time to be told of the end: it ends.
    let options = EngineOptions::new().upgrade_timeout(zero).close_timeout(zero);
    let echo = Echo::new(options);
    let url = echo.open();
    let mut socket = echo.server.websocket(&as_socket(&url)).unwrap();
    let _ = socket.send("2probe");
    assert_eq!(text(&mut socket), None);
    echo.server.post(&url, "4a").is(200, "ok");
    echo.server.get(&url).is(200, "4a");
    let mut held = echo.server.begin("GET", &url);
    moment();
    assert_eq!(echo.server.post(&url, "4close").status, 400);
    held.reply().is(200, "1");
    echo.has_sessions(0);
    // Polls are ended at once while an upgrade is under way: one answer each.
    let echo = Echo::new(EngineOptions::new().noop_interval(zero));
    let url = echo.open();
    let mut socket = echo.server.websocket(&as_socket(&url)).unwrap();
    socket.send("2probe").unwrap();
    assert_eq!(text(&mut socket).as_deref(), Some("3probe"));
    for _ in 0..3 {
        echo.server.get(&url).is(200, "6");
    }
    socket.send("5").unwrap();
    socket.send("4a").unwrap();
    assert_eq!(text(&mut socket).as_deref(), Some("4a"));
    // No time for a body: what is not there at once is too late.
    let echo = Echo::with(SocketIoOptions::new().body_timeout(zero));
    let url = echo.open();
    let mut client = Client::connect(echo.server.address);
    client.send_half(Framing::Length, &url, &[], "4one");
    assert_eq!(client.reply().status, 408);
    assert_eq!((echo.heard(), echo.io.sessions()), (vec![], 0));
}
