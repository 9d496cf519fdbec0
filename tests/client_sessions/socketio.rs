//! The Socket.IO client.

use crate::scripted::{Peer, Scripted, frame};
use pushline::adapter::socketio::{AckError, ClientEvent, Emitter, SocketIoClient, SocketIoClientOptions};
use pushline::backoff::Backoff;
use pushline::socketio::engine::{EngineClientOptions, TransportKind};
use std::time::Duration;
use tokio::runtime::Runtime;

const SECOND: Duration = Duration::from_secs(1);

struct Client {
    runtime: Runtime,
    client: SocketIoClient,
    emitter: Emitter,
}

impl Client {
    fn new(server: &Scripted, options: SocketIoClientOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let guard = runtime.enter();
        let quick = Backoff::new().ceiling(Duration::from_millis(20)).jitter(0);
        let options = options.backoff(Duration::from_millis(10), quick);
        let client = SocketIoClient::connect(&server.url("http"), options).unwrap();
        drop(guard);
        Self { runtime, emitter: client.emitter(), client }
    }

    /// What comes next, in words; `end` for nothing more.
    #[track_caller]
    fn next(&mut self) -> String {
        let next =
            self.runtime.block_on(async { tokio::time::timeout(30 * SECOND, self.client.next()).await });
        match next.expect("something comes in time") {
            None => "end".into(),
            Some(ClientEvent::Connected { namespace, recovered: false, .. }) => format!("in {namespace}"),
            Some(ClientEvent::Connected { namespace, .. }) => format!("again in {namespace}"),
            Some(ClientEvent::Refused { namespace, message }) => format!("refused {namespace} {message}"),
            Some(ClientEvent::Disconnected { namespace }) => format!("out of {namespace}"),
            Some(ClientEvent::Lost { reason }) => format!("lost: {reason}"),
            Some(ClientEvent::Event { namespace, payload, .. }) => {
                let arguments: Vec<_> = payload.arguments().map(|value| value.as_str().to_owned()).collect();
                format!("{namespace} {} {}", payload.name().unwrap().to_cow(), arguments.join(","))
            }
            Some(other) => format!("{other:?}"),
        }
    }

    #[track_caller]
    fn sees(&mut self, all: &[&str]) {
        for expected in all {
            assert_eq!(self.next(), *expected);
        }
    }

    #[track_caller]
    fn emit(&self, namespace: &str, event: &str) {
        let emit =
            async { tokio::time::timeout(30 * SECOND, self.emitter.emit(namespace, event, &())).await };
        self.runtime.block_on(emit).expect("it is taken in time").unwrap();
    }
}

fn polling() -> SocketIoClientOptions {
    SocketIoClientOptions::new().engine(EngineClientOptions::new().upgrade(false))
}

fn websocket() -> SocketIoClientOptions {
    SocketIoClientOptions::new().engine(EngineClientOptions::new().transport(TransportKind::WebSocket))
}

fn handshake(interval: u64, timeout: u64) -> String {
    format!(
        r#"0{{"sid":"s1","upgrades":[],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":100000}}"#
    )
}

/// A session over polling, whose client is in `/`: the connection of its polls, of which one waits, and that of its POSTs.
fn session(server: &Scripted, handshake: &str) -> (Peer, Peer) {
    let mut polls = server.accept();
    let (head, _) = polls.request();
    assert!(head.starts_with("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"), "{head}");
    polls.answer(handshake);
    let mut posts = server.accept();
    // Which of the two connects first is left open.
    let (head, body) = posts.request();
    assert!(head.starts_with("POST ") && body.starts_with("40"), "{head}{body}");
    posts.answer("ok");
    let (head, _) = polls.request();
    assert!(head.starts_with("GET /socket.io/?EIO=4&transport=polling&sid=s1 HTTP/1.1\r\n"), "{head}");
    (polls, posts)
}

/// A session over a WebSocket; its client waits to be let in.
fn socket(server: &Scripted, handshake: &str) -> Peer {
    let mut peer = server.accept();
    let head = peer.open("");
    assert!(head.starts_with("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"), "{head}");
    peer.send(frame(0x81, handshake));
    peer
}

const IN: &str = r#"40{"sid":"a"}"#;

/// A message that was taken is sent, also while the server leaves a POST unanswered for long.
#[test]
fn a_slow_server_loses_no_message() {
    let server = Scripted::start();
    let mut client = Client::new(&server, polling().join("/", None));
    let (mut polls, mut posts) = session(&server, &handshake(60_000, 60_000));
    polls.answer(IN);
    client.sees(&["in /"]);
    const MESSAGES: usize = 12_000;
    let emitter = client.emitter.clone();
    let emitting = client.runtime.spawn(async move {
        for number in 0..MESSAGES {
            emitter.emit("/", "", &u64::try_from(number).unwrap()).await.unwrap();
        }
    });
    // Until nothing more is taken, or all is.
    let mut first = posts.request().1;
    std::thread::sleep(SECOND);
    let mut seen = Vec::new();
    loop {
        seen.extend(first.split('\u{1e}').map(str::to_owned));
        posts.answer("ok");
        if seen.len() == MESSAGES
            || seen.last().is_some_and(|last| *last == format!("42[\"\",{}]", MESSAGES - 1))
        {
            break;
        }
        first = posts.request().1;
    }
    client.runtime.block_on(emitting).unwrap();
    let expected: Vec<_> = (0..MESSAGES).map(|number| format!("42[\"\",{number}]")).collect();
    assert_eq!(seen.len(), expected.len());
    assert!(seen == expected);
}

/// The time for an answer is that of the whole call: whatever the server sends instead, or does not.
#[test]
fn an_answer_is_waited_for_no_longer_than_said() {
    for way in 0..3 {
        let server = Scripted::start();
        let mut client = Client::new(&server, websocket().join("/", None));
        let mut peer = socket(&server, &handshake(60_000, 60_000));
        assert_eq!(peer.text(), "40");
        match way {
            // Never let in.
            0 => {}
            // Asked, and it answers nothing.
            1 => peer.send(frame(0x81, IN)),
            // More events than are held, while the application waits for the answer before it looks at them.
            _ => {
                peer.send(frame(0x81, IN));
                for _ in 0..2000 {
                    peer.send(frame(0x81, r#"42["flood"]"#));
                }
            }
        }
        if way > 0 {
            client.sees(&["in /"]);
        }
        if way == 2 {
            std::thread::sleep(Duration::from_millis(200));
        }
        let asked = client.emitter.emit_with_ack("/", "question", (), Duration::from_millis(300));
        let asked = async { tokio::time::timeout(20 * SECOND, asked).await };
        let answer = client.runtime.block_on(asked).expect("it ends in time");
        assert!(matches!(answer, Err(AckError::TimedOut)), "{way}: {answer:?}");
        // The question is not asked later, when nobody waits any more.
        if way == 0 {
            peer.send(frame(0x81, IN));
            client.sees(&["in /"]);
            client.emit("/", "next");
            assert_eq!(peer.text(), r#"42["next"]"#);
        }
    }
}

/// What is said about one namespace is of no account for what is emitted in another.
#[test]
fn a_namespace_that_is_never_let_in_holds_up_no_other() {
    for answer in ["", "41/b,", r#"40{"sid":"again"}"#] {
        let server = Scripted::start();
        let mut client = Client::new(&server, websocket().join("/", None).join("/b", None));
        let mut peer = socket(&server, &handshake(60_000, 60_000));
        assert_eq!([peer.text(), peer.text()], ["40", "40/b,"]);
        peer.send(frame(0x81, IN));
        client.sees(&["in /"]);
        match answer {
            "" => {}
            "41/b," => {
                peer.send(frame(0x81, answer));
                client.sees(&["out of /b"]);
            }
            _ => {
                peer.send(frame(0x81, answer));
                client.sees(&["in /"]);
            }
        }
        if answer != "41/b," {
            client.emit("/b", "early");
        }
        client.emit("/", "one");
        assert_eq!(peer.text(), r#"42["one"]"#);
        if answer != "41/b," {
            // It waits until it is in.
            peer.send(frame(0x81, r#"40/b,{"sid":"b"}"#));
            client.sees(&["in /b"]);
            assert_eq!(peer.text(), r#"42/b,["early"]"#);
        }
    }
}

/// Events that come faster than the application takes them do not keep it from speaking.
#[test]
fn a_flood_of_events_does_not_silence_the_client() {
    let server = Scripted::start();
    let mut client = Client::new(&server, websocket().join("/", None));
    let mut peer = socket(&server, &handshake(60_000, 60_000));
    assert_eq!(peer.text(), "40");
    peer.send(frame(0x81, IN));
    client.sees(&["in /"]);
    let flooding = peer.stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        use std::io::Write;
        let events = frame(0x81, r#"42["flood"]"#).repeat(100);
        while (&flooding).write_all(&events).is_ok() {}
    });
    // As many of them as are held.
    std::thread::sleep(Duration::from_millis(300));
    client.emit("/", "heard");
    let heard = std::thread::spawn(move || {
        let text = peer.text();
        let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        text
    });
    // An application that takes its time for each.
    for _ in 0..1000 {
        if heard.is_finished() {
            break;
        }
        let _ = client.next();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(heard.is_finished(), "what was emitted waits for the end of the flood");
    assert_eq!(heard.join().unwrap(), r#"42["heard"]"#);
    flood.join().unwrap();
}

/// An answer belongs to the session in which it was asked: in the next one its number is another question's.
#[test]
fn a_late_answer_is_not_taken_for_another() {
    let server = Scripted::start();
    let mut client = Client::new(&server, websocket().join("/", None));
    let mut peer = socket(&server, &handshake(60_000, 60_000));
    assert_eq!(peer.text(), "40");
    peer.send(frame(0x81, IN));
    peer.send(frame(0x81, r#"420["first"]"#));
    client.sees(&["in /"]);
    let first = client.runtime.block_on(client.client.next());
    let Some(ClientEvent::Event { ack: Some(first), .. }) = first else { panic!("{first:?}") };
    drop(peer);
    client.sees(&["lost: transport close"]);
    let mut peer = socket(&server, &handshake(60_000, 60_000));
    assert_eq!(peer.text(), "40");
    peer.send(frame(0x81, IN));
    peer.send(frame(0x81, r#"420["second"]"#));
    client.sees(&["in /"]);
    let second = client.runtime.block_on(client.client.next());
    let Some(ClientEvent::Event { ack: Some(second), .. }) = second else { panic!("{second:?}") };
    client.runtime.block_on(first.send("to the first")).unwrap();
    client.runtime.block_on(second.send("to the second")).unwrap();
    assert_eq!(peer.text(), r#"430["to the second"]"#);
}

/// The heartbeat is judged also while the server takes nothing of what is written to it.
#[test]
fn a_server_that_reads_nothing_is_noticed() {
    for pings in [false, true] {
        let server = Scripted::start();
        let mut client = Client::new(&server, websocket().join("/", None));
        let mut peer = socket(&server, &handshake(500, 500));
        assert_eq!(peer.text(), "40");
        peer.send(frame(0x81, IN));
        client.sees(&["in /"]);
        let emitter = client.emitter.clone();
        let text = "x".repeat(100_000);
        client.runtime.spawn(async move { while emitter.emit("/", "much", &text).await.is_ok() {} });
        if pings {
            // One that still says that it is there is waited for.
            let pinging = peer.stream.try_clone().unwrap();
            let pinging = std::thread::spawn(move || {
                use std::io::Write;
                while (&pinging).write_all(&frame(0x81, "2")).is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            std::thread::sleep(3 * SECOND);
            for _ in 0..100 {
                let text = peer.text();
                assert!(text == "3" || text.starts_with(r#"42["much""#), "{}", &text[..9]);
            }
            drop(client);
            peer.rest();
            let _ = peer.stream.shutdown(std::net::Shutdown::Both);
            pinging.join().unwrap();
        } else {
            let began = std::time::Instant::now();
            client.sees(&["lost: ping timeout"]);
            assert!(began.elapsed() < 20 * SECOND, "{:?}", began.elapsed());
        }
    }
}

/// A server that answers nothing holds no client that was dropped, nor one that is in no namespace any more.
#[test]
fn the_end_takes_a_bounded_time() {
    for polls in [false, true] {
        for dropped in [false, true] {
            let server = Scripted::start();
            let first = if polls { TransportKind::Polling } else { TransportKind::WebSocket };
            let engine = EngineClientOptions::new().transport(first).close_timeout(SECOND / 2);
            let mut client =
                Client::new(&server, SocketIoClientOptions::new().engine(engine).join("/", None));
            let forever = u64::MAX / 4;
            let mut all = Vec::new();
            if polls {
                let (mut polls, posts) = session(&server, &handshake(forever, forever));
                polls.answer(IN);
                all.extend([polls, posts]);
            } else {
                let mut peer = socket(&server, &handshake(forever, forever));
                assert_eq!(peer.text(), "40");
                peer.send(frame(0x81, IN));
                all.push(peer);
            }
            client.sees(&["in /"]);
            let Client { client: inner, runtime, emitter } = client;
            let began = std::time::Instant::now();
            if dropped {
                drop(inner);
            } else {
                let mut inner = inner;
                match &mut all[..] {
                    [polls, _] => {
                        polls.head();
                        polls.answer("41");
                    }
                    peers => peers[0].send(frame(0x81, "41")),
                }
                let rest = async {
                    tokio::time::timeout(20 * SECOND, async { while inner.next().await.is_some() {} }).await
                };
                runtime.block_on(rest).expect("it ends");
            }
            // Nothing is left open.
            for peer in &mut all {
                peer.rest();
            }
            assert!(began.elapsed() < 20 * SECOND, "{:?}", began.elapsed());
            drop((runtime, emitter));
        }
    }
}

/// What a server may say first, and what becomes of it; the client comes back after each fault.
#[test]
fn the_handshake() {
    let open = |fields: &str| format!(r#"0{{{fields}}}"#);
    let times = r#""pingInterval":60000,"pingTimeout":60000"#;
    let sid = |sid: &str| open(&format!(r#""sid":"{sid}","upgrades":[],{times},"maxPayload":9"#));
    let parse = "lost: parse error";
    let transport = "lost: transport error";
    let long = "s".repeat(257);
    let whole = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for (answer, seen) in [
        (whole(""), parse),
        (whole("0"), parse),
        (whole("0{"), parse),
        (whole("0[]"), parse),
        (whole("4early"), parse),
        (whole("2"), parse),
        (whole("6"), parse),
        (whole(&open("")), parse),
        (whole(&open(times)), parse),
        (whole(&sid("")), parse),
        (whole(&sid(&long)), parse),
        (whole(&sid("a&b=c")), parse),
        (whole(&sid("a\\r\\nx: y")), parse),
        (whole(&open(r#""sid":7,"pingInterval":1,"pingTimeout":1"#)), parse),
        (whole(&open(r#""sid":"a","pingInterval":-1,"pingTimeout":1"#)), parse),
        (whole(&open(r#""sid":"a","pingInterval":1.5,"pingTimeout":1"#)), parse),
        (whole(&open(r#""sid":"a","pingInterval":100000000000000000000,"pingTimeout":1"#)), parse),
        (whole(&open(r#""sid":"a","pingInterval":0,"pingTimeout":0"#)), "lost: ping timeout"),
        (whole("\u{1e}"), parse),
        (format!("{}\r\n\r\n\x7f", "HTTP/1.1 200 OK\r\nContent-Length: 1"), parse),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n0{".into(), transport),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0{\r\n".into(), transport),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n0".into(), transport),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), transport),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".into(), transport),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\n\r\n{\"code\":1}  ".into(), transport),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n".into(), transport),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(), transport),
        ("220 smtp.example ESMTP\r\n".into(), transport),
        (String::new(), transport),
    ] {
        let server = Scripted::start();
        let mut client = Client::new(&server, polling().join("/", None));
        let mut peer = server.accept();
        peer.head();
        peer.send(&answer);
        peer.end();
        client.sees(&[seen]);
        // And again.
        let mut peer = server.accept();
        let head = peer.head();
        assert!(head.starts_with("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"), "{answer}: {head}");
    }
    // The longest name there may be.
    let server = Scripted::start();
    let mut client = Client::new(&server, polling().join("/", None));
    let mut peer = server.accept();
    peer.head();
    peer.answer(&sid(&long[1..]));
    let mut posts = server.accept();
    assert_eq!(posts.request().1, "40");
    assert!(peer.head().contains(&format!("&sid={} ", &long[1..])));
    peer.answer(IN);
    client.sees(&["in /"]);
}

/// A session that is open, and what ends it.
#[test]
fn answers_to_polls() {
    let big = format!("4{}", "x".repeat(1000));
    let body = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "9\r\n42[\"a\"],\"\r\n".repeat(200)
    );
    let flood = vec![r#"42["a"]"#; 50].join("\u{1e}");
    for (answer, seen) in [
        // One over the limit of 1000, in each framing.
        (body(&big), "lost: transport error"),
        (endless, "lost: transport error"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{big}"), "lost: transport error"),
        // Cut: nothing of it is told.
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n42[\"a\"]\u{1e}".into(), "lost: transport error"),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\n{\"code\":1}".into(),
            "lost: transport error",
        ),
        (body(""), "lost: parse error"),
        (body("9"), "lost: parse error"),
        (body("b!"), "lost: parse error"),
        (body("bAAA="), "lost: parse error"), // bytes that nobody announced
        (body("1"), "lost: transport close"),
        (body("451-[\"a\",{\"_placeholder\":true,\"num\":0}]\u{1e}42[\"b\"]"), "lost: parse error"),
        (body("451-[\"a\",{\"_placeholder\":true,\"num\":1}]"), "lost: parse error"),
        (body("40"), "lost: parse error"),
        (body("40[]"), "lost: parse error"),
        (body("40/never,{\"sid\":\"x\"}"), "lost: parse error"),
        (body("44/never,"), "lost: parse error"),
        (body("41/never,"), "lost: parse error"),
        (body("42/never,[\"a\"]"), "lost: parse error"),
        (body("47"), "lost: parse error"),
        (body("42"), "lost: parse error"),
        (body("42[]"), "lost: parse error"),
        (body("42[\"connect\"]"), "lost: parse error"), // a reserved name
        (body("44"), "lost: parse error"),              // it says why
        (body("44{\"message\":7}"), "refused / "),
        (body("44\"no\""), "refused / no"),
        // What is of no account.
        (body("6\u{1e}3\u{1e}5\u{1e}0{}\u{1e}42[\"a\"]"), "/ a "),
        (body("4317[\"nobody asked\"]\u{1e}42[\"a\"]"), "/ a "),
        (body("4318446744073709551615[]\u{1e}42[\"a\"]"), "/ a "),
        (body(&flood), "/ a "),
        (
            body("451-[\"a\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAAAA"),
            "/ a {\"_placeholder\":true,\"num\":0}",
        ),
    ] {
        let server = Scripted::start();
        let mut client = Client::new(&server, polling().max_payload(1000).join("/", None));
        let (mut polls, _posts) = session(&server, &handshake(60_000, 60_000));
        polls.answer(IN);
        client.sees(&["in /"]);
        polls.head();
        polls.send(&answer);
        polls.end();
        let next = client.next();
        assert_eq!(next, seen, "{}", answer.escape_debug());
    }
}

/// 1000 bytes are not over a limit of 1000.
#[test]
fn the_limits_of_an_answer() {
    for (length, seen) in [(999, "/ a"), (1000, "/ a"), (1001, "lost: transport error")] {
        for polls in [true, false] {
            let server = Scripted::start();
            let text = format!(r#"42["a","{}"]"#, "x".repeat(length - 10));
            assert_eq!(text.len(), length);
            let options = if polls { polling() } else { websocket() };
            let mut client = Client::new(&server, options.max_payload(1000).join("/", None));
            let next = if polls {
                let (mut polls, _posts) = session(&server, &handshake(60_000, 60_000));
                polls.answer(IN);
                client.sees(&["in /"]);
                polls.head();
                polls.answer(&text);
                client.next()
            } else {
                let mut peer = socket(&server, &handshake(60_000, 60_000));
                assert_eq!(peer.text(), "40");
                peer.send([frame(0x81, IN), frame(0x81, &text)].concat());
                client.sees(&["in /"]);
                let next = client.next();
                if length > 1000 {
                    assert_eq!(peer.frame(), (0x88, b"\x03\xf1".to_vec()));
                    peer.end();
                }
                next
            };
            let seen = if polls || length <= 1000 { seen } else { "lost: transport close" };
            assert!(next.starts_with(seen), "{length} {polls} {next}");
        }
    }
}

/// An upgrade that does not come to be, in all ways: the session goes on on polling, and nothing is said twice.
#[test]
fn upgrades_that_fail() {
    let handshake = r#"0{"sid":"s1","upgrades":["websocket"],"pingInterval":60000,"pingTimeout":60000,"maxPayload":100000}"#;
    for way in 0..7 {
        let server = Scripted::start();
        let engine = EngineClientOptions::new().upgrade_timeout(SECOND / 2);
        let mut client = Client::new(&server, SocketIoClientOptions::new().engine(engine).join("/", None));
        let mut polls = server.accept();
        polls.head();
        polls.answer(handshake);
        // Its POSTs, its polls and its WebSocket come in no order.
        let (mut posts, mut upgrade) = (None, None);
        let mut head = String::new();
        while posts.is_none() || upgrade.is_none() {
            let mut peer = server.accept();
            let (request, body) = peer.request();
            if request.starts_with("POST ") {
                assert_eq!(body, "40");
                peer.answer("ok");
                posts = Some(peer);
            } else {
                assert!(request.contains("transport=websocket&sid=s1"), "{request}");
                head = request;
                upgrade = Some(peer);
            }
        }
        let (mut posts, mut upgrade) = (posts.unwrap(), upgrade.unwrap());
        polls.head();
        polls.answer(IN);
        client.sees(&["in /"]);
        polls.head();
        match way {
            // Refused.
            0 => upgrade.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            // Never answered.
            1 => {}
            // A response that is none of a WebSocket's.
            2 => upgrade.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            ),
            _ => {
                upgrade.send(crate::scripted::accepted(&head, ""));
                assert_eq!(upgrade.text(), "2probe");
                match way {
                    // A wrong answer, and a flood of them.
                    3 => upgrade.send(frame(0x81, "3porbe").repeat(1000)),
                    4 => upgrade.send(frame(0x81, r#"42["early"]"#)),
                    // None.
                    5 => {}
                    // The right one, and then the poll is never answered.
                    _ => upgrade.send(frame(0x81, "3probe")),
                }
            }
        }
        client.emit("/", "after");
        assert_eq!(posts.request().1, r#"42["after"]"#, "{way}");
        posts.answer("ok");
        upgrade.rest();
        polls.answer(r#"42["on"]"#);
        client.sees(&["/ on "]);
        assert!(polls.head().contains("transport=polling&sid=s1"), "{way}");
        assert!(server.try_accept().is_none());
    }
}

/// A server that lets its client in and drops it is not asked in a tight loop.
#[test]
fn a_server_that_drops_is_waited_for() {
    let server = Scripted::start();
    let mut client = Client::new(&server, websocket().join("/", None));
    for _ in 0..5 {
        let mut peer = socket(&server, &handshake(60_000, 60_000));
        assert_eq!(peer.text(), "40");
        let began = std::time::Instant::now();
        peer.reset();
        client.sees(&["lost: transport close"]);
        drop(server.accept().open(""));
        assert!(began.elapsed() >= Duration::from_millis(10));
        client.sees(&["lost: transport close"]);
    }
}

/// A server, or a proxy before it, that ends the connection with each response is asked on another one.
#[test]
fn connections_of_one_request() {
    let server = Scripted::start();
    let mut client = Client::new(&server, polling().join("/", None));
    let answer = |mut peer: Peer, body: &str| {
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    };
    let mut peer = server.accept();
    peer.head();
    answer(peer, &handshake(60_000, 60_000));
    let (mut polls, mut posts) = (0, 0);
    for _ in 0..200 {
        let mut peer = server.accept();
        if peer.request().0.starts_with("POST ") {
            posts += 1;
            answer(peer, "ok");
        } else {
            polls += 1;
            answer(peer, if polls == 1 { IN } else { "42[\"a\"]\u{1e}2" });
        }
    }
    client.sees(&["in /"]);
    for _ in 2..polls {
        client.sees(&["/ a "]);
    }
    assert!(polls > 50 && posts > 20, "{polls} {posts}");
}

/// Events that the application does not take are held up to a bound, in number and in bytes; then the server waits.
#[test]
fn events_that_nobody_takes() {
    use std::io::Write;
    for (polls, binary) in [(true, false), (false, false), (false, true)] {
        let server = Scripted::start();
        let options = if polls { polling() } else { websocket() };
        let mut client = Client::new(&server, options.join("/", None));
        let mut _posts = None;
        let mut peer = if polls {
            let (polls, posts) = session(&server, &handshake(600_000, 600_000));
            _posts = Some(posts);
            polls
        } else {
            let mut peer = socket(&server, &handshake(600_000, 600_000));
            assert_eq!(peer.text(), "40");
            peer
        };
        const EVENTS: usize = 60;
        let text = "x".repeat(1 << 19);
        let event = format!(r#"42["e","{text}"]"#);
        let events = match (polls, binary) {
            (true, _) => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{event}", event.len()).into_bytes()
            }
            (_, false) => frame(0x81, &event),
            (_, true) => {
                [frame(0x81, r#"451-["e",{"_placeholder":true,"num":0}]"#), frame(0x82, &text)].concat()
            }
        };
        if polls {
            peer.answer(IN);
        } else {
            peer.send(frame(0x81, IN));
        }
        client.sees(&["in /"]);
        peer.stream.set_write_timeout(Some(SECOND)).unwrap();
        let mut sent = 0;
        'all: for _ in 0..EVENTS {
            if polls {
                // The next poll, if it comes.
                if !peer.has_head(SECOND) {
                    break;
                }
                peer.head();
            }
            let mut rest = &events[..];
            while !rest.is_empty() {
                match peer.stream.write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(_) => break 'all,
                }
            }
            sent += 1;
        }
        assert!(sent < 40, "{sent} of half a MiB are held");
        // None is lost.
        for _ in 0..sent {
            assert!(client.next().starts_with("/ e "));
        }
    }
}

/// Who is put out of a namespace, in whichever way, is told at once that no answer comes.
#[test]
fn answers_of_a_namespace_that_is_over() {
    for (out, seen) in
        [("41", "out of /"), (r#"44{"message":"go"}"#, "refused / go"), ("1", "lost: transport close")]
    {
        let server = Scripted::start();
        let mut client = Client::new(&server, websocket().join("/", None).join("/b", None));
        let mut peer = socket(&server, &handshake(60_000, 60_000));
        assert_eq!([peer.text(), peer.text()], ["40", "40/b,"]);
        peer.send(frame(0x81, IN));
        client.sees(&["in /"]);
        let emitter = client.emitter.clone();
        let asked = client
            .runtime
            .spawn(async move { emitter.emit_with_ack("/", "question", (), 600 * SECOND).await });
        assert_eq!(peer.text(), r#"420["question"]"#);
        peer.send(frame(0x81, out));
        client.sees(&[seen]);
        let asked = async { tokio::time::timeout(20 * SECOND, asked).await };
        let answer = client.runtime.block_on(asked).expect("in time").unwrap();
        assert!(matches!(answer, Err(AckError::Disconnected)), "{out}: {answer:?}");
    }
}

/// A server that takes nothing is sent a packet a request: less there is not.
#[test]
fn a_largest_payload_of_nothing() {
    let server = Scripted::start();
    let mut client = Client::new(&server, polling().join("/", None));
    let nothing = handshake(60_000, 60_000).replace("100000", "0");
    let (mut polls, mut posts) = session(&server, &nothing);
    polls.answer(IN);
    client.sees(&["in /"]);
    for number in 0..5 {
        client.emit("/", &number.to_string());
    }
    for number in 0..5 {
        assert_eq!(posts.request().1, format!(r#"42["{number}"]"#));
        posts.answer("ok");
    }
}

/// Servers that are silent, or as good as that: the handshake has its time, and so has each ping.
#[test]
fn servers_that_take_their_time() {
    let began = std::time::Instant::now();
    for (first, again) in [
        ("", ""),
        ("HTTP/1.1 200 OK\r\nX: ", "y"),
        ("", "HTTP/1.1 102 Processing\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n0", "{"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n0\r\n"),
    ] {
        for transport in [TransportKind::Polling, TransportKind::WebSocket] {
            let server = Scripted::start();
            let engine = EngineClientOptions::new().transport(transport).open_timeout(SECOND / 4);
            let mut client =
                Client::new(&server, SocketIoClientOptions::new().engine(engine).join("/", None));
            let mut peer = server.accept();
            peer.head();
            peer.send(first);
            let mut next = None;
            while next.is_none() {
                peer.send(again);
                std::thread::sleep(Duration::from_millis(20));
                next = server.try_accept();
                assert!(began.elapsed() < 120 * SECOND);
            }
            // A response that is none may be told before the time is over.
            let seen = client.next();
            assert!(seen == "lost: ping timeout" || seen == "lost: transport close", "{first:?} {seen}");
        }
    }
    // No ping: over polling, in the middle of an answer; over a WebSocket, in the middle of a frame.
    for polls in [true, false] {
        let server = Scripted::start();
        let options = if polls { polling() } else { websocket() };
        let mut client = Client::new(&server, options.join("/", None));
        let mut peers = Vec::new();
        if polls {
            let (mut polls, posts) = session(&server, &handshake(200, 200));
            polls.answer(IN);
            client.sees(&["in /"]);
            polls.head();
            polls.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n2");
            peers.extend([polls, posts]);
        } else {
            let mut peer = socket(&server, &handshake(200, 200));
            assert_eq!(peer.text(), "40");
            peer.send(frame(0x81, IN));
            client.sees(&["in /"]);
            peer.send([0x81, 100, b'2']);
            // A ping of the WebSocket's is none of the session's.
            peer.send(frame(0x89, "ping"));
            peers.push(peer);
        }
        client.sees(&["lost: ping timeout"]);
        // Nothing of it stays open.
        peers.iter_mut().for_each(|peer| drop(peer.rest()));
    }
}

/// An application that answers each event with many, in the task that takes them, is not stuck while more of them come.
#[test]
fn an_application_that_emits_where_it_hears() {
    for polls in [true, false] {
        let server = Scripted::start();
        let options = if polls { polling() } else { websocket() };
        let mut client = Client::new(&server, options.join("/", None));
        let flood = r#"42["flood"]"#;
        let mut posts = if polls {
            let (mut polls, posts) = session(&server, &handshake(600_000, 600_000));
            polls.answer(IN);
            client.sees(&["in /"]);
            polls.head();
            polls.answer(&vec![flood; 2000].join("\u{1e}"));
            std::mem::forget(polls);
            posts
        } else {
            let mut peer = socket(&server, &handshake(600_000, 600_000));
            assert_eq!(peer.text(), "40");
            peer.send(frame(0x81, IN));
            client.sees(&["in /"]);
            peer.send(frame(0x81, flood).repeat(2000));
            peer
        };
        let heard = std::thread::spawn(move || {
            let mut count = 0;
            while count < 1000 {
                count += if polls {
                    let body = posts.request().1;
                    posts.answer("ok");
                    body.split('\u{1e}').count()
                } else {
                    usize::from(posts.text() == r#"42["answer"]"#)
                };
            }
            posts
        });
        std::thread::sleep(Duration::from_millis(200));
        for _ in 0..5 {
            client.sees(&["/ flood "]);
            for _ in 0..200 {
                client.emit("/", "answer");
            }
        }
        drop(heard.join().unwrap());
        for _ in 5..2000 {
            client.sees(&["/ flood "]);
        }
    }
}
