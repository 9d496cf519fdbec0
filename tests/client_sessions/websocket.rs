//! The WebSocket clients: over tokio and over threads, directly and through a proxy.

use crate::scripted::{Peer, Scripted, accept_key, accepted, frame};
use pushline::adapter::{Error, Options, Proxy, blocking};
use pushline::http1::head::HeadLimits;
use pushline::ws::handshake::ClientOptions;
use pushline::ws::{ConnectionOptions, Message};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
struct Way {
    threads: bool,
    proxy: bool,
}

const WAYS: [Way; 4] = [
    Way { threads: false, proxy: false },
    Way { threads: true, proxy: false },
    Way { threads: false, proxy: true },
    Way { threads: true, proxy: true },
];

fn words(error: &Error) -> String {
    match error {
        Error::Handshake(refused) if refused.body.is_empty() => refused.error.to_string(),
        Error::Handshake(refused) => format!("{}: {}", refused.error, String::from_utf8_lossy(&refused.body)),
        Error::Io(_) => "lost".into(),
        error => error.to_string(),
    }
}

fn message(message: &Message) -> Option<String> {
    match message {
        Message::Text(text) if text.len() > 40 => Some(format!("text of {}", text.len())),
        Message::Text(text) => Some(format!("text {}", &**text)),
        Message::Binary(bytes) => Some(format!("binary of {}", bytes.len())),
        Message::Close(Some((code, reason))) => Some(format!("close {} {}", code.0, &**reason)),
        Message::Close(None) => Some("close".into()),
        _ => None,
    }
}

impl Way {
    /// Connects, on a thread of its own, and hears until the end: what it has seen.
    fn begin(self, server: &Scripted, client: ClientOptions, options: Options) -> JoinHandle<Vec<String>> {
        let (url, options) = if self.proxy {
            let proxy = Proxy::all(&server.url("http")).unwrap();
            ("ws://example.com/".to_owned(), options.proxy(proxy))
        } else {
            (server.url("ws"), options)
        };
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            if self.threads {
                match blocking::connect(&url, client, &options) {
                    Err(error) => seen.push(words(&error)),
                    Ok(mut socket) => {
                        seen.push("open".into());
                        loop {
                            match socket.next() {
                                Ok(Some(next)) => seen.extend(message(&next)),
                                Ok(None) => break,
                                Err(error) => break seen.push(words(&error)),
                            }
                        }
                    }
                }
            } else {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    match pushline::adapter::tokio::connect(&url, client, &options).await {
                        Err(error) => seen.push(words(&error)),
                        Ok(mut socket) => {
                            seen.push("open".into());
                            while let Some(next) = socket.next().await {
                                match next {
                                    Ok(next) => seen.extend(message(&next)),
                                    Err(error) => seen.push(words(&error)),
                                }
                            }
                        }
                    }
                });
            }
            seen
        })
    }

    /// The client's connection, as far as the first byte of its handshake.
    #[track_caller]
    fn accept(self, server: &Scripted) -> Peer {
        let mut peer = server.accept();
        if self.proxy {
            assert!(peer.head().starts_with("CONNECT example.com:80 HTTP/1.1\r\n"));
            peer.send("HTTP/1.1 200 Connection established\r\n\r\n");
        }
        peer
    }

    /// What a client sees of a server that answers its request with these bytes and leaves.
    #[track_caller]
    fn sees(self, client: ClientOptions, answer: impl Fn(&str) -> Vec<Vec<u8>>) -> Vec<String> {
        let server = Scripted::start();
        let seen = self.begin(&server, client, Options::new());
        let mut peer = self.accept(&server);
        let head = peer.head();
        for piece in answer(&head) {
            peer.send(piece);
        }
        peer.end();
        // It may be closing, and is to be read then.
        peer.rest();
        seen.join().unwrap()
    }
}

/// However it is cut, and wherever it ends.
#[test]
fn a_response_in_pieces() {
    for way in WAYS {
        let bytes = |head: &str| [accepted(head, "X: y\r\n").into_bytes(), frame(0x81, "hello")].concat();
        let one = |head: &str| bytes(head).chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let whole = |head: &str| vec![bytes(head)];
        for answer in [&one as &dyn Fn(&str) -> _, &whole] {
            let seen = way.sees(ClientOptions::new(), answer);
            assert_eq!(seen, ["open", "text hello", "the transport ended without a close frame"], "{way:?}");
        }
        let length = accepted(&format!("Sec-WebSocket-Key: {}", "A".repeat(22) + "=="), "X: y\r\n").len();
        for cut in (0..length).step_by(if way.proxy { 7 } else { 1 }) {
            let seen = way.sees(ClientOptions::new(), |head| vec![bytes(head)[..cut].to_vec()]);
            assert_eq!(seen, ["the stream ended within the response"], "{way:?} {cut}");
        }
        // Within a frame.
        for cut in length..length + 7 {
            let seen = way.sees(ClientOptions::new(), |head| vec![bytes(head)[..cut].to_vec()]);
            assert_eq!(seen, ["open", "the transport ended without a close frame"], "{way:?} {cut}");
        }
    }
}

/// A response that breaks a rule of RFC 6455 4.1, and the rule.
#[test]
fn responses_that_are_none() {
    const LINE: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\n";
    const CONNECTION: &str = "Connection: Upgrade\r\n";
    let rows: &[(&[&str], &str)] = &[
        (&[LINE, CONNECTION, "accept"], "Upgrade is missing"),
        (&[LINE, "Upgrade: h2c\r\n", CONNECTION, "accept"], "Upgrade has the wrong value"),
        (&[LINE, "Upgrade: websocket, h2c\r\n", CONNECTION, "accept"], "Upgrade has the wrong value"),
        (&[LINE, UPGRADE, UPGRADE, CONNECTION, "accept"], "Upgrade is given more than once"),
        (&[LINE, UPGRADE, "accept"], "Connection is missing"),
        (&[LINE, UPGRADE, "Connection: close\r\n", "accept"], "Connection has the wrong value"),
        (&[LINE, UPGRADE, "Connection: close\r\n", CONNECTION, "accept"], "open"),
        (&[LINE, UPGRADE, CONNECTION], "Sec-WebSocket-Accept is missing"),
        (&[LINE, UPGRADE, CONNECTION, "accept", "accept"], "Sec-WebSocket-Accept is given more than once"),
        (
            &[LINE, UPGRADE, CONNECTION, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"],
            "Sec-WebSocket-Accept does not answer the key",
        ),
        (
            &[LINE, UPGRADE, CONNECTION, "accept", "Sec-WebSocket-Protocol: c\r\n"],
            "the server selected a subprotocol that was not offered",
        ),
        (
            &[LINE, UPGRADE, CONNECTION, "accept", "Sec-WebSocket-Protocol: a, b\r\n"],
            "Sec-WebSocket-Protocol has the wrong value",
        ),
        (
            &[
                LINE,
                UPGRADE,
                CONNECTION,
                "accept",
                "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
            ],
            "Sec-WebSocket-Protocol is given more than once",
        ),
        (&[LINE, UPGRADE, CONNECTION, "accept", "Sec-WebSocket-Protocol: b\r\n"], "open"),
        (
            &[LINE, UPGRADE, CONNECTION, "accept", "Sec-WebSocket-Extensions: permessage-deflate\r\n"],
            "the server uses an extension that was not offered",
        ),
        (
            &[LINE, UPGRADE, CONNECTION, "accept", "Sec-WebSocket-Extensions: x\r\n"],
            "the server uses an extension that was not offered",
        ),
        (
            &["HTTP/1.0 101 Switching Protocols\r\n", UPGRADE, CONNECTION, "accept"],
            "the response is not HTTP/1.1",
        ),
        (&["HTTP/2.0 101 x\r\n", UPGRADE, CONNECTION, "accept"], "the response is not HTTP/1.1"),
        (&["HTTP/1.1 102 x\r\n\r\n", LINE, UPGRADE, CONNECTION, "accept"], "open"),
        (
            &["HTTP/1.1 200 OK\r\n", UPGRADE, CONNECTION, "accept"],
            "the server answered with status 200: hello",
        ),
    ];
    for way in &WAYS[..2] {
        for (lines, expected) in rows {
            let client = ClientOptions::new().subprotocols(["a", "b"]).unwrap();
            let seen = way.sees(client, |head| {
                let accept = format!("Sec-WebSocket-Accept: {}\r\n", accept_key(head));
                let line = |line: &&str| if *line == "accept" { accept.clone() } else { (*line).to_owned() };
                let answer: String = lines.iter().map(line).collect();
                vec![format!("{answer}\r\nhello").into_bytes()]
            });
            assert_eq!(seen[0], *expected, "{way:?} {lines:?}");
        }
    }
}

/// A head, interim ones included, at the limits of its bytes and its fields.
#[test]
fn heads_at_their_limits() {
    for way in WAYS {
        for over in [false, true] {
            let fields = HeadLimits::new().fields(10);
            let client = ClientOptions::new().limits(fields);
            let more = "X: y\r\n".repeat(if over { 8 } else { 7 });
            let seen = way.sees(client, |head| vec![accepted(head, &more).into_bytes()]);
            assert_eq!(seen[0] == "the response's head is too large", over, "{way:?} {seen:?}");
            for interim in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
                let client = ClientOptions::new().limits(HeadLimits::new().head(1000));
                let seen = way.sees(client, |head| {
                    let short = interim.len() + accepted(head, "X: \r\n").len();
                    let more = format!("X: {}\r\n", "y".repeat(1000 - short + usize::from(over)));
                    vec![format!("{interim}{}", accepted(head, &more)).into_bytes()]
                });
                assert_eq!(seen[0] == "the response's head is too large", over, "{way:?} {seen:?}");
            }
        }
    }
}

/// A server that never comes to an end holds no client longer than its time, nor more than its limits.
#[test]
fn servers_without_an_end() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    let refusal = "HTTP/1.1 503 Busy\r\n\r\n";
    let chunked = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
    for way in WAYS {
        for (first, again, pause, expected) in [
            // As fast as it can be: bytes are what bounds it.
            ("", interim, 0, "the response's head is too large"),
            ("HTTP/1.1 101 x\r\nX: ", "y", 0, "the response's head is too large"),
            ("HTTP/1.1 101 x\r\n", "X: y\r\n", 0, "the response's head is too large"),
            (refusal, "no", 0, "the server answered with status 503: "),
            (chunked, "1;x=y\r\nn\r\n", 0, "the server answered with status 503: "),
            // As slow as it can be: time is.
            ("", interim, 30, "the opening handshake took too long"),
            ("HTTP/1.1 101 x\r\nX: ", "y", 30, "the opening handshake took too long"),
            (refusal, "no", 30, "the server answered with status 503: "),
            (chunked, "1\r\nn\r\n", 30, "the server answered with status 503: "),
            ("", "", 30, "the opening handshake took too long"),
        ] {
            let server = Scripted::start();
            let options = Options::new().handshake_timeout(if pause > 0 {
                300 * MILLISECOND
            } else {
                20_000 * MILLISECOND
            });
            let began = Instant::now();
            let seen = way.begin(&server, ClientOptions::new(), options);
            let mut peer = way.accept(&server);
            peer.head();
            peer.send(first);
            let mut sent = 0;
            while !seen.is_finished() && sent < 4 << 20 {
                let piece = if pause > 0 { again.to_owned() } else { again.repeat(20) };
                peer.send(&piece);
                sent += piece.len();
                std::thread::sleep(pause * MILLISECOND);
            }
            let seen = seen.join().unwrap();
            assert!(seen[0].starts_with(expected) && seen[0].len() < 17_000, "{way:?} {first:?}: {seen:?}");
            assert!(began.elapsed() < 15_000 * MILLISECOND, "{way:?} {first:?}: {:?}", began.elapsed());
        }
    }
}

/// Proxies that answer slowly, at length, or not at all.
#[test]
fn proxies_without_an_end() {
    for threads in [false, true] {
        for (first, again, pause) in [
            ("", "", 30),
            ("", "HTTP/1.1 102 Processing\r\n\r\n", 30),
            ("HTTP/1.1 200 OK\r\nX: ", "y", 30),
            ("", "HTTP/1.1 102 Processing\r\n\r\n", 0),
            ("HTTP/1.1 200 OK\r\nX: ", "y", 0),
        ] {
            let server = Scripted::start();
            let way = Way { threads, proxy: true };
            let timeout = if pause > 0 { 300 } else { 20_000 };
            let began = Instant::now();
            let seen = way.begin(
                &server,
                ClientOptions::new(),
                Options::new().handshake_timeout(timeout * MILLISECOND),
            );
            let mut peer = server.accept();
            peer.head();
            peer.send(first);
            while !seen.is_finished() && began.elapsed() < 15_000 * MILLISECOND {
                peer.send(if pause > 0 { again.to_owned() } else { again.repeat(20) });
                std::thread::sleep(pause * MILLISECOND);
            }
            assert!(seen.is_finished(), "{way:?} {first:?}");
            let seen = seen.join().unwrap();
            if pause > 0 {
                assert_eq!(seen, ["the opening handshake took too long"], "{way:?} {first:?}");
            } else {
                assert!(seen[0].starts_with("the proxy"), "{way:?} {first:?} {seen:?}");
            }
        }
    }
}

/// What a server says once it has let the client in, what the client makes of it, and what it answers.
#[test]
fn behind_the_handshake() {
    let close = |code: u16, reason: &str| frame(0x88, [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    let masked = [&[0x81, 0x85, 0, 0, 0, 0][..], b"hello"].concat();
    let text = |length: usize| frame(0x81, "x".repeat(length));
    let code = |code: u16| (0x88, code.to_be_bytes().to_vec());
    let rows = [
        (close(1000, "bye"), vec!["open", "close 1000 bye"], code(1000)),
        (frame(0x88, ""), vec!["open", "close"], (0x88, vec![])),
        // Behind a close frame nothing counts.
        ([close(1001, ""), text(9), masked.clone()].concat(), vec!["open", "close 1001 "], code(1001)),
        ([text(4), close(4000, "x")].concat(), vec!["open", "text xxxx", "close 4000 x"], code(4000)),
        (masked, vec!["open", "masked frame from a server"], code(1002)),
        (frame(0x88, [3]), vec!["open", "close frame with a single byte"], code(1002)),
        (close(1005, ""), vec!["open", "must not be sent"], code(1002)),
        (close(999, ""), vec!["open", "must not be sent"], code(1002)),
        (frame(0xc1, "x"), vec!["open", "reserved bit set without an extension"], code(1002)),
        (frame(0x83, "x"), vec!["open", "opcode"], code(1002)),
        (frame(0x80, "x"), vec!["open", "continuation"], code(1002)),
        (frame(0x81, [0xff]), vec!["open", "text is not UTF-8"], code(1007)),
        (frame(0x09, "x"), vec!["open", "control frame"], code(1002)),
        ([text(99), close(1000, "")].concat(), vec!["open", "text of 99", "close 1000 "], code(1000)),
        ([text(100), close(1000, "")].concat(), vec!["open", "text of 100", "close 1000 "], code(1000)),
        ([text(101), close(1000, "")].concat(), vec!["open", "over the limit"], code(1009)),
        (
            [frame(0x01, "x".repeat(60)), frame(0x80, "x".repeat(41))].concat(),
            vec!["open", "over the limit"],
            code(1009),
        ),
        // It says that more comes than there is memory.
        (
            vec![0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255],
            vec!["open", "over the limit"],
            code(1009),
        ),
    ];
    for way in WAYS {
        for (bytes, expected, answer) in &rows {
            for pieces in [1, bytes.len()] {
                let server = Scripted::start();
                let options = Options::new().connection(ConnectionOptions::new().max_message(100));
                let seen = way.begin(&server, ClientOptions::new(), options);
                let mut peer = way.accept(&server);
                let head = peer.head();
                let response = accepted(&head, "").into_bytes();
                if pieces == 1 {
                    peer.send([response, bytes.clone()].concat()); // all in one segment
                } else {
                    peer.send(response);
                    bytes.iter().for_each(|byte| peer.send([*byte]));
                }
                assert_eq!(peer.frame(), *answer, "{way:?} {expected:?}");
                peer.end();
                peer.rest();
                let seen = seen.join().unwrap();
                assert_eq!(seen.len(), expected.len(), "{way:?} {seen:?} {expected:?}");
                let as_expected = seen.iter().zip(expected).all(|(seen, expected)| seen.contains(expected));
                assert!(as_expected, "{way:?} {seen:?} {expected:?}");
            }
        }
    }
}

/// Each of a flood of pings that comes while the client can write is answered in order; a message behind them is not held up.
#[test]
fn a_flood_of_pings() {
    for way in &WAYS[..2] {
        let server = Scripted::start();
        let seen = way.begin(&server, ClientOptions::new(), Options::new());
        let mut peer = way.accept(&server);
        peer.open("");
        let mut flood = Vec::new();
        for number in 0..5000_u32 {
            flood.extend(frame(0x89, number.to_be_bytes()));
        }
        flood.extend(frame(0x81, "behind"));
        flood.extend(frame(0x88, ""));
        let mut writing = peer.stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut writing, &flood).unwrap());
        let (mut last, mut pongs) = (None, 0);
        loop {
            let (first, payload) = peer.frame();
            if first == 0x88 {
                break;
            }
            assert_eq!(first, 0x8a);
            let number = u32::from_be_bytes(payload.try_into().unwrap());
            assert!(last < Some(number));
            last = Some(number);
            pongs += 1;
        }
        writer.join().unwrap();
        peer.end();
        peer.rest();
        assert_eq!(seen.join().unwrap(), ["open", "text behind", "close"]);
        assert!(last == Some(4999) && pongs > 0, "{way:?} {pongs}");
    }
}
