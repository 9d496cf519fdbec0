//! What the feature `tracing` tells: who was refused and why, who closed with which code; nothing of what was said.

use pushline::adapter::hyper::{Http2, upgrade};
use pushline::adapter::tokio::{OutboxError, OutboxOptions, QueuedSocket, WebSocket};
use pushline::adapter::{Error, Options};
use pushline::ws::Negotiated;
use pushline::ws::handshake::{ClientOptions, ServerOptions, Uri};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
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
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_sees() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());

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
