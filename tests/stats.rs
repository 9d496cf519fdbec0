//! The counts of connections, and of all that share a handle, over both adapters.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test, not the protocol

use pushline::adapter::hyper::upgrade;
use pushline::adapter::tokio::{WebSocket, accept, accept_with, client};
use pushline::adapter::{ConnectionStats, Error, Options, Stats, StatsSnapshot, blocking};
use pushline::ws::handshake::{ClientOptions, Rejection, ServerOptions, Uri};
use pushline::ws::{ConnectionOptions, End, Event, Message, Negotiated};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn numbers(stats: ConnectionStats) -> [u64; 6] {
    let ConnectionStats {
        messages_received,
        messages_sent,
        bytes_received,
        bytes_sent,
        pings_received,
        pings_sent,
        ..
    } = stats;
    [messages_received, messages_sent, bytes_received, bytes_sent, pings_received, pings_sent]
}

fn ends(now: &StatsSnapshot) -> [u64; 6] {
    [
        now.connections_opened,
        now.connections_open(),
        now.ended_closed,
        now.ended_by_violation,
        now.ended_by_timeout,
        now.ended_cut,
    ]
}

fn refusals(now: &StatsSnapshot) -> Vec<(&'static str, u64)> {
    now.refusals().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn one_connection_over_tokio() {
    let stats = Stats::new();
    let options = Options::new().stats(&stats);
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut server = WebSocket::server(near, Negotiated::default(), &options);
    let mut client = WebSocket::client(far, Negotiated::default(), &Options::new());
    assert_eq!(numbers(server.stats()), [0; 6]);
    for text in ["a", "bc", "def"] {
        client.send(text).await.unwrap();
    }
    client.ping(b"?").await.unwrap();
    for _ in 0..4 {
        server.next().await.unwrap().unwrap();
    }
    // Three messages of a client: 6 bytes each and the text; the ping.
    assert_eq!(numbers(server.stats()), [3, 0, 7 + 8 + 9 + 7, 0, 1, 0]);
    server.send("answer").await.unwrap();
    server.feed(Message::Pong(Default::default())).await.unwrap();
    server.ping(b"").await.unwrap();
    // The pong, the answer of 8 bytes, a pong without a payload, the ping.
    assert_eq!(numbers(server.stats()), [3, 1, 31, 3 + 8 + 2 + 2, 1, 1]);
    for _ in 0..4 {
        client.next().await.unwrap().unwrap();
    }
    assert_eq!(numbers(client.stats()), [1, 3, 15, 31, 1, 1]);

    // Split: the same counts go on. The heartbeat's pings are among them.
    let (mut writer, mut reader) = server.split_with(tokio::io::split);
    writer.send("more").await.unwrap();
    assert_eq!(numbers(writer.stats())[1], 2);
    let silent = tokio::time::timeout(Duration::from_secs(40), reader.next()).await;
    assert!(silent.is_err());
    assert_eq!(numbers(reader.stats())[5], 2);
    assert_eq!(ends(&stats.snapshot()), [1, 1, 0, 0, 0, 0]);
    // All that was read and sent before a wait is among the counts of all.
    assert_eq!(stats.snapshot().traffic, reader.stats());
    let closing = tokio::spawn(async move { client.close(1000, "").await });
    while let Some(message) = reader.next().await {
        message.unwrap();
    }
    closing.await.unwrap().unwrap();
    assert_eq!((reader.end(), writer.end()), (Some(End::Closed), Some(End::Closed)));
    let last = reader.stats();
    drop((reader, writer));
    assert_eq!(ends(&stats.snapshot()), [1, 0, 1, 0, 0, 0]);
    assert_eq!(stats.snapshot().traffic, last);
}

#[tokio::test(start_paused = true)]
async fn parts_and_what_is_read_ahead_count_once() {
    let options = Options::new().connection(ConnectionOptions::new().parts(true).max_message(1 << 20));
    let (near, far) = tokio::io::duplex(512);
    let mut server = WebSocket::server(near, Negotiated::default(), &options);
    let mut client = WebSocket::client(far, Negotiated::default(), &Options::new());
    let sending = tokio::spawn(async move {
        client.send("x".repeat(10_000)).await.unwrap();
        client.send("y").await.unwrap();
        client
    });
    let mut text = 0;
    while text < 10_001 {
        if let Event::TextPart { text: part, .. } | Event::Text(part) =
            server.next_event().await.unwrap().unwrap()
        {
            text += part.len();
        }
    }
    assert_eq!(numbers(server.stats())[0], 2);
    let mut client = sending.await.unwrap();
    // Both send; what the one reads meanwhile it keeps for later.
    let client = tokio::spawn(async move {
        client.send("z".repeat(5_000)).await.unwrap();
        client.flush().await.unwrap();
        while client.stats().messages_received == 0 {
            client.next().await.unwrap().unwrap();
        }
    });
    server.send("w".repeat(5_000)).await.unwrap();
    server.flush().await.unwrap();
    while !matches!(server.next().await.unwrap(), Err(_) | Ok(Message::Text(_))) {}
    assert_eq!(numbers(server.stats())[0], 3);
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn how_connections_end() {
    let stats = Stats::new();
    let options = Options::new().stats(&stats);
    // The peer breaks the protocol, falls silent, is cut; the socket is dropped.
    for (bytes, keep) in [(&b"\xff\0"[..], true), (b"", true), (b"", false)] {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut server = WebSocket::server(near, Negotiated::default(), &options);
        far.write_all(bytes).await.unwrap();
        let mut far = Some(far).filter(|_| keep);
        if !bytes.is_empty() {
            let mut far = far.take().unwrap();
            tokio::spawn(async move { far.read_to_end(&mut Vec::new()).await });
        }
        assert!(server.next().await.unwrap().is_err());
    }
    drop(WebSocket::server(tokio::io::duplex(1).0, Negotiated::default(), &options));
    assert_eq!(ends(&stats.snapshot()), [4, 0, 0, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn handshakes() {
    let stats = Stats::new();
    let options = Options::new().stats(&stats);
    let server = ServerOptions::new();
    let request = "GET /chat?a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for (end, wait) in [("\r\n", false), ("Origin: http://evil\r\n\r\n", false), ("", false), ("", true)] {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        far.write_all(request.as_bytes()).await.unwrap();
        far.write_all(end.as_bytes()).await.unwrap();
        if !wait {
            far.shutdown().await.unwrap();
        }
        let _ = accept(near, &server, &options).await;
        drop(far);
    }
    let (near, far) = tokio::io::duplex(1 << 10);
    let uri = Uri::parse("ws://h/").unwrap();
    let accepting = accept_with(near, &server, &options, |_, _| Err(Rejection::new(404)));
    let client_options = Options::new().stats(&stats);
    let connecting = client(far, &uri, ClientOptions::new(), &client_options);
    let (accepted, connected) = tokio::join!(accepting, connecting);
    assert!(matches!((accepted, connected), (Err(Error::Rejected(_)), Err(Error::Handshake(_)))));
    let mut request = http::Request::get("/").header("Host", "h").body(()).unwrap();
    assert!(upgrade::<_, String>(&mut request, &server, &options).is_err());
    let now = stats.snapshot();
    assert_eq!(refusals(&now), [("NotWebSocket", 1), ("OriginNotAllowed", 1), ("Application", 1)]);
    assert_eq!((now.handshakes_refused(), now.handshakes_failed, now.connections_opened), (3, 3, 1));
}

#[test]
fn over_the_blocking_adapter() {
    let stats = Stats::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options::new().stats(&stats);
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        assert!(blocking::accept(stream, &ServerOptions::new().hosts(["other"]).unwrap(), &options).is_err());
        let (stream, _) = listener.accept().unwrap();
        let mut socket = blocking::accept(stream, &ServerOptions::new(), &options).unwrap();
        assert_eq!(socket.next().unwrap(), Some("Hello".into()));
        socket.send("Hello").unwrap();
        assert_eq!(numbers(socket.stats()), [1, 1, 11, 7, 0, 0]);
        let (writer, mut reader) = socket.split().unwrap();
        writer.send(&[1, 2, 3]).unwrap();
        writer.ping(b"?").unwrap();
        while reader.next().unwrap().is_some() {}
        assert_eq!((reader.end(), writer.end()), (Some(End::Closed), Some(End::Closed)));
        // The pong, the close frame; the other close frame.
        let all = [1, 2, 11 + 7 + 8, 7 + 5 + 3 + 4, 0, 1];
        assert_eq!((numbers(reader.stats()), numbers(writer.stats())), (all, all));
    });
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        blocking::client(stream, &Uri::parse("ws://h/").unwrap(), ClientOptions::new(), &Options::new())
    };
    assert!(connect().is_err());
    let mut socket = connect().unwrap();
    socket.send("Hello").unwrap();
    for _ in 0..3 {
        socket.next().unwrap();
    }
    socket.close(1000, "").unwrap();
    assert_eq!(numbers(socket.stats()), [2, 1, 19, 26, 1, 0]);
    serving.join().unwrap();
    let now = stats.snapshot();
    assert_eq!(ends(&now), [1, 0, 1, 0, 0, 0]);
    assert_eq!(numbers(now.traffic), [1, 2, 26, 19, 0, 1]);
    assert_eq!(refusals(&now), [("HostNotAllowed", 1)]);
}
