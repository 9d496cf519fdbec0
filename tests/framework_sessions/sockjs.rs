//! SockJS: XHR and JSONP polling, XHR streaming, event streams, the hidden frame, WebSockets.

use crate::wire::{Client, Framing, Reply, Server, moment, text, until};
use pushline::adapter::Options;
use pushline::adapter::frameworks::{SockJs, SockJsSender, SockJsSocket};
use pushline::comet::sockjs::{NotTaken, SockJsMessage, SockJsOptions};
use std::time::Duration;

const NOT_FOUND: &str = "404 Error: Page not found\n";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

type Way = (&'static str, &'static str, &'static str, &'static str);

/// How frames come: the method, what follows the session, and what is put around a frame.
const POLLS: [Way; 2] = [("POST", "/xhr", "", "\n"), ("GET", "/jsonp?c=f", "/**/f(\"", "\");\r\n")];
const STREAMS: [Way; 3] = [
    ("POST", "/xhr_streaming", "", "\n"),
    ("GET", "/eventsource", "data: ", "\r\n\r\n"),
    ("GET", "/htmlfile?c=f", "<script>\np(\"", "\");\n</script>\r\n"),
];

type Seen = crate::seen::Seen<SockJsSender>;

/// It hears; `close` closes the session.
fn start(change: impl FnOnce(SockJs) -> SockJs) -> (Server, SockJs, Seen) {
    let seen = Seen::default();
    let sees = seen.clone();
    let (server, service) = Server::start(|| {
        let service = change(SockJs::new("/s", move |mut socket: SockJsSocket| {
            sees.know().senders.push(socket.sender().clone());
            let sees = sees.clone();
            async move {
                while let Some(text) = socket.next().await {
                    let is_close = text == "close";
                    sees.know().heard.push(text);
                    if is_close {
                        socket.close(3000, "Go away!");
                        break;
                    }
                }
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

fn brief(milliseconds: u64) -> SockJsOptions {
    SockJsOptions::new().timeout(Duration::from_millis(milliseconds))
}

fn has_sessions(service: &SockJs, count: usize) {
    until("sessions", || service.sessions() == count);
}

fn xhr(server: &Server, session: &str) -> String {
    let reply = server.post(&format!("/s/0/{session}/xhr"), "");
    assert_eq!(reply.status, 200);
    reply.body
}

fn say(server: &Server, session: &str, body: &str) -> Reply {
    server.post(&format!("/s/0/{session}/xhr_send"), body)
}

/// The next frame of a stream, without what is around it.
fn frame(client: &mut Client, (_, _, before, behind): Way) -> Option<String> {
    loop {
        let chunk = client.chunk()?;
        if let Some(frame) = chunk.strip_prefix(before).and_then(|chunk| chunk.strip_suffix(behind))
            && !frame.starts_with("hhhh")
            && !frame.is_empty()
        {
            return Some(frame.replace("\\\"", "\""));
        }
    }
}

fn open_stream(server: &Server, session: &str, stream: Way) -> Client {
    let mut client = server.begin(stream.0, &format!("/s/0/{session}{}", stream.1));
    assert_eq!(client.head().status, 200);
    client
}

#[test]
fn identifiers_that_are_nobodys() {
    // Never given out: nothing can be sent to it.
    let (server, service, seen) = start(|service| service);
    say(&server, "none", "[\"x\"]").is(404, NOT_FOUND);
    assert_eq!(server.post("/s/0/none/jsonp_send", "[\"x\"]").status, 404);
    assert_eq!((service.sessions(), seen.begun()), (0, 0));
    // Closed: its clients are told so as often as they ask, whatever they send goes nowhere.
    assert_eq!(xhr(&server, "a"), "o\n");
    assert_eq!(say(&server, "a", "[\"one\",\"close\",\"late\"]").status, 204);
    seen.ended(1);
    assert_eq!(seen.heard(), ["one", "close"]);
    assert_eq!(seen.sender(0).send("late"), Err(NotTaken::Closed(SockJsMessage::text("late"))));
    for _ in 0..2 {
        assert_eq!(xhr(&server, "a"), "c[3000,\"Go away!\"]\n");
    }
    // Expired: the next is another session, and has nothing of it.
    let (server, service, seen) = start(|service| service.session(brief(50)));
    assert_eq!(xhr(&server, "a"), "o\n");
    let _ = seen.sender(0).send("secret");
    has_sessions(&service, 0);
    seen.ended(1);
    say(&server, "a", "[\"x\"]").is(404, NOT_FOUND);
    let mut client = open_stream(&server, "a", STREAMS[0]);
    assert_eq!(frame(&mut client, STREAMS[0]).as_deref(), Some("o"));
    assert!(seen.sender(0).send("secret").is_err());
    seen.sender(1).send("mine").unwrap();
    assert_eq!(frame(&mut client, STREAMS[0]).as_deref(), Some("a[\"mine\"]"));
    drop(client);
    has_sessions(&service, 0);
    assert_eq!(seen.heard(), Vec::<String>::new());
}

/// Whoever asks second, by whichever transport, is told so and gets nothing; the first goes on.
#[test]
fn the_identifier_of_a_session_that_is_held() {
    let (server, service, seen) = start(|service| service);
    for (number, first) in POLLS.into_iter().chain(STREAMS).enumerate() {
        let session = format!("held{number}");
        let mut client = server.begin(first.0, &format!("/s/0/{session}{}", first.1));
        if number < POLLS.len() {
            client.reply().is(200, &[first.2, "o", first.3].concat());
            client.send(first.0, &format!("/s/0/{session}{}", first.1), &[], "");
            moment();
        } else {
            client.head();
            assert_eq!(frame(&mut client, first).as_deref(), Some("o"));
        }
        for second in POLLS.into_iter().chain(STREAMS) {
            let reply = server.ask(second.0, &format!("/s/0/{session}{}", second.1), "");
            assert_eq!(reply.status, 200);
            assert!(reply.body.contains("c[2010,"), "{second:?}: {}", reply.body);
            assert!(!reply.body.contains("mine"));
        }
        // A WebSocket's identifier is its own.
        let mut socket = server.websocket(&format!("/s/0/{session}/websocket")).unwrap();
        assert_eq!(text(&mut socket).as_deref(), Some("o"));
        seen.sender(2 * number).send("mine").unwrap();
        seen.sender(2 * number + 1).send("the socket's").unwrap();
        assert_eq!(text(&mut socket).as_deref(), Some("a[\"the socket's\"]"));
        if number < POLLS.len() {
            let body = client.reply().body.replace("\\\"", "\"");
            assert_eq!(body, [first.2, "a[\"mine\"]", first.3].concat());
        } else {
            assert_eq!(frame(&mut client, first).as_deref(), Some("a[\"mine\"]"));
        }
        assert_eq!(service.sessions(), number + 1);
    }
}

#[test]
fn bodies_at_their_limits() {
    let (server, service, seen) = start(|service| service.max_body(64).max_sessions(2));
    assert_eq!(xhr(&server, "a"), "o\n");
    for framing in [Framing::Length, Framing::Chunked] {
        for (transport, field, before, done) in [
            ("xhr_send", None, "", 204),
            ("jsonp_send", None, "", 200),
            ("jsonp_send", Some(FORM), "d=", 200),
        ] {
            for (length, fits) in [(63, true), (64, true), (65, false), (64 << 10, false)] {
                let message = "x".repeat(length - before.len() - 4);
                let mut client = Client::connect(server.address);
                let target = format!("/s/0/a/{transport}");
                let body = format!("{before}[\"{message}\"]");
                client.send_as(framing, "POST", &target, field.as_slice(), &body);
                let status = client.reply().status;
                assert_eq!(status, if fits { done } else { 413 }, "{framing:?} {transport} {length}");
                if fits {
                    seen.hears(&[&message]);
                }
            }
        }
        // A poll that carries something is no larger.
        let mut client = Client::connect(server.address);
        client.send_as(framing, "POST", "/s/0/b/xhr", &[], &"x".repeat(65));
        assert_eq!(client.reply().status, 413);
    }
    assert_eq!((service.sessions(), seen.heard()), (1, vec![]));
    assert_eq!(xhr(&server, "b"), "o\n");
    for (method, path, ..) in POLLS.into_iter().chain(STREAMS) {
        server.ask(method, &format!("/s/0/c{path}"), "").is(503, "Too many sessions.\n");
    }
}

/// What is cut off is not heard, and its session goes on.
#[test]
fn bodies_that_are_cut() {
    let (server, service, seen) = start(|service| service);
    assert_eq!(xhr(&server, "a"), "o\n");
    for framing in [Framing::Length, Framing::Chunked] {
        for path in ["/s/0/a/xhr_send", "/s/0/a/jsonp_send", "/s/0/new/xhr"] {
            let mut client = Client::connect(server.address);
            client.send_half(framing, path, &[], "[\"one\"]");
            moment();
            drop(client);
            server.has_connections(0);
        }
    }
    assert_eq!((service.sessions(), seen.begun()), (1, 1));
    say(&server, "a", "[\"two\",\"three\"]");
    seen.hears(&["two", "three"]);
    seen.sender(0).send("four").unwrap();
    assert_eq!(xhr(&server, "a"), "a[\"four\"]\n");
}

/// A client that reads no more: as much waits for it as may, those beside it get all, and once the application has given it up,
/// or its time is out, nothing counts it any more, though its connection is still there.
#[test]
fn readers_that_stop() {
    std::thread::scope(|scope| {
        for stream in STREAMS.into_iter().map(Some).chain([None]) {
            scope.spawn(move || stops_reading(stream, true));
            // With heartbeats and without.
            scope.spawn(move || stops_reading(stream, false));
        }
    });
}

fn stops_reading(stream: Option<Way>, mut is_given_up: bool) {
    const WAIT: usize = 8;
    let beat = if is_given_up { Duration::from_millis(100) } else { Duration::ZERO };
    let options = brief(100).heartbeat(beat).max_messages(WAIT).response_limit(usize::MAX);
    let options = options.stall_timeout(Duration::from_secs(if is_given_up { 5 } else { 2 }));
    let write = Options::new().write_timeout(Duration::from_millis(100));
    let (server, service, seen) = start(|service| service.session(options).options(write));
    let mut stopped = Client::narrow(server.address);
    if let Some((method, path, ..)) = stream {
        stopped.send(method, &format!("/s/0/stopped{path}"), &[], "");
    } else {
        stopped.upgrade("/s/0/stopped/websocket");
    }
    assert_eq!(stopped.head().status, stream.map_or(101, |_| 200));
    let sender = seen.sender(0);
    let mut beside = open_stream(&server, "beside", STREAMS[0]);
    let mut next = move || loop {
        let frame = frame(&mut beside, STREAMS[0]).unwrap();
        if frame != "h" {
            return frame;
        }
    };
    assert_eq!(next(), "o");
    let (other, mut sent) = (seen.sender(1), 0);
    loop {
        let message = format!("{sent} {}", "x".repeat(32 << 10));
        let taken = sender.send(&message);
        other.send(&message).unwrap();
        assert_eq!(next(), format!("a[\"{message}\"]"));
        match taken {
            Ok(()) => sent += 1,
            Err(NotTaken::Full(_)) => {
                moment(); // or it was only faster than the server
                if sender.send("").is_err() {
                    break;
                }
            }
            // Its time was out first.
            Err(_) => {
                is_given_up = false;
                break;
            }
        }
        assert!(sent < 1000, "what is not read is held without an end");
    }
    if stream.is_some() {
        assert!(sent >= WAIT, "{sent}");
    }
    if is_given_up {
        say(&server, "stopped", "[\"close\"]");
    }
    seen.ended(1);
    has_sessions(&service, 1);
    if let Some(way) = stream {
        // Nothing is held for it; what the server and the system have taken already it may read, and that it is over.
        assert_eq!(seen.sender(0).send("late"), Err(NotTaken::Closed(SockJsMessage::text("late"))));
        let last = std::iter::from_fn(|| frame(&mut stopped, way)).last().unwrap();
        let end = if is_given_up { "c[3000,\"Go away!\"]" } else { "c[1002,\"Connection interrupted\"]" };
        assert!(last == end, "{}", &last[..last.len().min(100)]);
    }
    drop(stopped);
    drop(next);
    has_sessions(&service, 0);
}

/// Who does not come back for what a poll is to bring.
#[test]
fn a_poll_that_is_not_fetched() {
    let (server, service, seen) = start(|service| service.session(brief(50)));
    let mut stopped = Client::narrow(server.address);
    stopped.send("POST", "/s/0/a/xhr", &[], "");
    stopped.reply().is(200, "o\n");
    stopped.send("POST", "/s/0/a/xhr", &[], "");
    let sender = seen.sender(0);
    let text = "x".repeat(1 << 10);
    let sent = (0..5000).take_while(|_| sender.send(&text).is_ok()).count();
    assert!(sent < 2 * 1024 + 64, "{sent}");
    has_sessions(&service, 0);
    seen.ended(1);
}

#[test]
fn a_client_that_is_away_between_two_responses_misses_nothing() {
    let (server, service, seen) = start(|service| service.session(SockJsOptions::new().response_limit(1)));
    assert_eq!(xhr(&server, "a"), "o\n");
    let sender = seen.sender(0);
    let mut number = 0;
    for (method, path, before, behind) in POLLS.into_iter().chain(STREAMS) {
        let texts = [(); 3].map(|()| {
            number += 1;
            sender.send(&format!("m{number}")).unwrap();
            format!("\"m{number}\"")
        });
        let reply = server.ask(method, &format!("/s/0/a{path}"), "");
        let body = reply.body.replace("\\\"", "\"");
        assert!(body.ends_with(&format!("{before}a[{}]{behind}", texts.join(","))), "{path}: {body}");
    }
    assert_eq!(service.sessions(), 1);
}

/// A response that is cut closes the session: nothing of it comes twice or out of order.
#[test]
fn a_client_that_leaves_in_the_middle() {
    let (server, service, seen) =
        start(|service| service.session(SockJsOptions::new().timeout(Duration::MAX)));
    let ways = || POLLS.into_iter().chain(STREAMS).enumerate();
    for (number, way) in ways() {
        assert_eq!(xhr(&server, &format!("s{number}")), "o\n");
        let client = server.begin(way.0, &format!("/s/0/s{number}{}", way.1));
        moment();
        drop(client);
        // At once, before the application knows.
        server.has_connections(0);
        assert_eq!(say(&server, &format!("s{number}"), "[\"late\"]").status, 204);
    }
    seen.ended(ways().count());
    for (number, _) in ways() {
        let session = format!("s{number}");
        assert!(matches!(seen.sender(number).send("late"), Err(NotTaken::Closed(_))));
        assert_eq!([(); 2].map(|()| xhr(&server, &session)), ["c[1002,\"Connection interrupted\"]\n"; 2]);
        assert_eq!(say(&server, &session, "[\"late\"]").status, 204);
    }
    assert_eq!((service.sessions(), seen.heard()), (ways().count(), vec![]));
}

#[test]
fn closing_while_a_response_is_held() {
    let (server, _, seen) = start(|service| service);
    for (number, way) in POLLS.into_iter().chain(STREAMS).enumerate() {
        let session = format!("s{number}");
        assert_eq!(xhr(&server, &session), "o\n");
        let mut client = server.begin(way.0, &format!("/s/0/{session}{}", way.1));
        // A post of which a half is there while the session is closed.
        let mut post = Client::connect(server.address);
        post.send_half(Framing::Length, &format!("/s/0/{session}/xhr_send"), &[], "[\"late\", ");
        moment();
        assert_eq!(say(&server, &session, "[\"close\"]").status, 204);
        let body = client.reply().body.replace("\\\"", "\"");
        assert!(body.ends_with(&format!("{}c[3000,\"Go away!\"]{}", way.2, way.3)), "{body}");
        post.raw("\"late\"  ]");
        assert_eq!(post.reply().status, 204);
        assert_eq!(seen.heard(), ["close"]);
    }
}

/// Neither a heartbeat of zero nor one that never comes is sent.
#[test]
fn heartbeats_of_no_time_and_of_all_time() {
    for time in [Duration::ZERO, Duration::MAX] {
        let options = SockJsOptions::new().heartbeat(time).timeout(Duration::MAX);
        let (server, service, seen) = start(|service| service.session(options));
        for (number, way) in STREAMS.into_iter().enumerate() {
            let mut client = open_stream(&server, &format!("s{number}"), way);
            assert_eq!(frame(&mut client, way).as_deref(), Some("o"));
            moment();
            seen.sender(number).send("a").unwrap();
            assert_eq!(frame(&mut client, way).as_deref(), Some("a[\"a\"]"), "{way:?}");
        }
        assert_eq!(xhr(&server, "poll"), "o\n");
        let mut held = server.begin("POST", "/s/0/poll/xhr");
        moment();
        seen.sender(3).send("a").unwrap();
        held.reply().is(200, "a[\"a\"]\n");
        for (number, path, first) in [(4, "/s/0/x/websocket", "a[\"a\"]"), (5, "/s/websocket", "a")] {
            let mut socket = server.websocket(path).unwrap();
            if number == 4 {
                assert_eq!(text(&mut socket).as_deref(), Some("o"));
            }
            moment();
            seen.sender(number).send("a").unwrap();
            assert_eq!(text(&mut socket).as_deref(), Some(first));
        }
        assert_eq!(service.sessions(), 4);
    }
}

/// A session without any time ends as soon as its clients are looked for, and is another one then.
#[test]
fn a_timeout_of_zero() {
    let (server, service, seen) = start(|service| service.session(brief(0)));
    for number in 1..3 {
        assert_eq!(xhr(&server, "a"), "o\n");
        has_sessions(&service, 0);
        seen.ended(number);
    }
}
