//! What the feature `tracing` tells: who was refused and why, who closed with which code; nothing of what was said.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test, not the protocol

use pushline::adapter::hyper::{Http2, upgrade};
use pushline::adapter::tokio::{
    OutboxError, OutboxOptions, QueuedSocket, WebSocket, accept, accept_with, client,
};
use pushline::adapter::{Error, Options, blocking};
use pushline::ws::Negotiated;
use pushline::ws::handshake::{ClientOptions, Rejection, ServerOptions, Uri};
use std::fmt::{Debug, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pushline"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Log {
    /// Hears this thread, and the others not at all. Those have a subscriber too: were they the first at an event, without one
    /// it could be off for every thread.
    fn listen() -> (Log, DefaultGuard) {
        let _ = tracing::subscriber::set_global_default(Log::default());
        let log = Log::default();
        (log.clone(), tracing::subscriber::set_default(log))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

const REQUEST: &str = "GET /chat?token=secret HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A server and a client over streams of their own: opened, refused by the rules and by the application, given up.
#[tokio::test(start_paused = true)]
async fn handshakes_over_tokio() {
    let (log, _guard) = Log::listen();
    let (server, options) = (ServerOptions::new().subprotocols(["v1"]).unwrap(), Options::new());
    let uri = Uri::parse("ws://example.com/chat?token=secret").unwrap();
    let (near, far) = tokio::io::duplex(1 << 12);
    let offer = ClientOptions::new().subprotocols(["v1"]).unwrap();
    let (one, other) = tokio::join!(accept(near, &server, &options), client(far, &uri, offer, &options));
    assert_eq!(
        log.take(),
        [
            "DEBUG handshake accepted version=HTTP/1.1 path=\"/chat\" subprotocol=\"v1\"",
            "DEBUG handshake done host=\"example.com\" subprotocol=\"v1\""
        ]
    );
    drop(other.unwrap());
    assert!(one.unwrap().next().await.unwrap().is_err());
    assert_eq!(log.take(), ["DEBUG connection failed error=the transport ended without a close frame"]);

    let (near, far) = tokio::io::duplex(1 << 12);
    let refuse = accept_with(near, &server, &options, |_, _| Err(Rejection::new(404)));
    let (one, other) = tokio::join!(refuse, client(far, &uri, ClientOptions::new(), &options));
    assert!(one.is_err() && other.is_err());
    let mut lines = log.take();
    lines.sort();
    assert_eq!(
        lines,
        [
            "INFO handshake failed host=\"example.com\" error=the server answered with status 404",
            "INFO handshake refused version=HTTP/1.1 path=\"/chat\" status=404 reason=refused by the application with \
             status 404",
        ]
    );
    for (end, line) in [
        (
            "Origin: http://evil\r\n\r\n",
            "INFO handshake refused version=HTTP/1.1 path=\"/chat\" status=403 reason=the Origin is not allowed",
        ),
        ("Cookie: a", "INFO handshake failed path=\"\" error=the opening handshake took too long"),
    ] {
        let (near, mut far) = tokio::io::duplex(1 << 12);
        far.write_all([REQUEST, end].concat().as_bytes()).await.unwrap();
        assert!(accept(near, &server, &options).await.is_err());
        assert_eq!(log.take(), [line]);
    }
}

/// The same over the blocking adapter.
#[test]
fn over_the_blocking_adapter() {
    let (log, _guard) = Log::listen();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let peer = std::thread::spawn(move || {
        let uri = Uri::parse("ws://example.com/").unwrap();
        let mut socket = blocking::client(stream, &uri, ClientOptions::new(), &Options::new()).unwrap();
        socket.close(1001, "what was said").unwrap();
    });
    let (stream, _) = listener.accept().unwrap();
    let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new()).unwrap();
    while socket.next().unwrap().is_some() {}
    peer.join().unwrap();
    assert_eq!(
        log.take(),
        ["DEBUG handshake accepted version=HTTP/1.1 path=\"/\"", "DEBUG closed by=\"peer\" code=1001"]
    );
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    drop(far);
    let options = Options::new();
    let mut socket = blocking::WebSocket::server(stream, Negotiated::default(), &options);
    assert!(socket.next().is_err());
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut far, b"\xff\x80").unwrap();
    drop(far);
    let (_, mut reader) =
        blocking::WebSocket::server(stream, Negotiated::default(), &options).split().unwrap();
    assert!(reader.next().is_err());
    assert_eq!(
        log.take(),
        [
            "DEBUG connection failed error=the transport ended without a close frame",
            "INFO protocol violated code=1002 error=reserved bit set without an extension",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_sees() {
    let (log, _guard) = Log::listen();

    let mut request = http::Request::get("/chat?token=secret")
        .header("Host", "h")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap();
    let server = ServerOptions::new();
    assert!(upgrade::<_, String>(&mut request, &server, &Options::new()).is_ok());
    request.headers_mut().insert("Origin", "https://evil.example".parse().unwrap());
    assert!(upgrade::<_, String>(&mut request, &server, &Options::new()).is_err());
    assert_eq!(
        log.take(),
        [
            "DEBUG handshake accepted version=HTTP/1.1 path=\"/chat\"",
            "INFO handshake refused version=HTTP/1.1 path=\"/chat\" status=403 reason=the Origin is not allowed",
        ]
    );

    let (near, far) = tokio::io::duplex(64);
    let mut one = WebSocket::server(near, Negotiated::default(), &Options::new());
    let mut other = WebSocket::client(far, Negotiated::default(), &Options::new());
    other.send("what was said").await.unwrap();
    assert!(one.next().await.is_some());
    let closing = tokio::spawn(async move { other.close(1001, "what was said").await });
    assert!(one.next().await.is_some() && one.next().await.is_none());
    closing.await.unwrap().unwrap();
    assert_eq!(log.take(), ["DEBUG closed by=\"us\" code=1001", "DEBUG closed by=\"peer\" code=1001"]);

    // A peer that answers nothing, and one that does not read.
    let (near, far) = tokio::io::duplex(64);
    let mut silent = WebSocket::server(near, Negotiated::default(), &Options::new());
    assert!(matches!(silent.next().await, Some(Err(Error::TimedOut(_)))));
    let socket = WebSocket::server(far, Negotiated::default(), &Options::new());
    let outbox = QueuedSocket::new(socket, OutboxOptions::new().max_messages(1)).outbox();
    assert_eq!(outbox.send("a"), Err(OutboxError::Closed));
    assert_eq!(log.take(), ["INFO timed out what=Ping"]);
    let (near, _far) = tokio::io::duplex(64);
    let socket = QueuedSocket::new(
        WebSocket::server(near, Negotiated::default(), &Options::new()),
        OutboxOptions::new().max_messages(1),
    );
    let outbox = socket.outbox();
    assert_eq!((outbox.send("a"), outbox.send("b")), (Ok(()), Err(OutboxError::Lagged)));
    assert_eq!(log.take(), ["INFO receiver lagged dropped=1"]);

    // A client of HTTP/2 whose server never says a word.
    let (near, _far) = tokio::io::duplex(1 << 16);
    let http2 = Http2::new(near).await.unwrap();
    let uri = Uri::parse("ws://server.example.com/chat").unwrap();
    let (client, options) = (ClientOptions::new(), Options::new());
    let refused = tokio::time::timeout(Duration::from_secs(30), http2.connect(&uri, &client, &options)).await;
    assert!(matches!(refused, Ok(Err(Error::Handshake(_)))));
    assert_eq!(
        log.take(),
        [
            "INFO handshake failed host=\"server.example.com\" error=the server does not announce extended CONNECT"
        ]
    );
}
