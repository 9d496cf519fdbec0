//! A decision between the request and the answer that takes time.

use pushline::adapter::tokio::{client, receive};
use pushline::adapter::{Error, Options, Stats, TimedOut};
use pushline::ws::handshake::{ClientError, ClientOptions, Rejection, ServerOptions, Uri};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

const REQUEST: &str = "GET /chat?a=b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: v1, v2\r\n\r\n";

async fn connect(stream: DuplexStream) -> Result<Vec<String>, Error> {
    let offer = ClientOptions::new().subprotocols(["v1", "v2"]).unwrap();
    let mut socket = client(stream, &Uri::parse("ws://h/chat").unwrap(), offer, &Options::new()).await?;
    let mut texts = vec![socket.subprotocol().unwrap_or_default().to_owned()];
    socket.send("Hello").await?;
    while let Some(message) = socket.next().await {
        texts.extend(message?.as_text().map(str::to_owned));
    }
    Ok(texts)
}

#[tokio::test(start_paused = true)]
async fn accepted_after_a_while() {
    let (near, far) = tokio::io::duplex(1 << 12);
    // The client's own handshake timeout is 10 s.
    let connecting = tokio::spawn(connect(far));
    let (server, options) = (ServerOptions::new().subprotocols(["v1", "v2"]).unwrap(), Options::new());
    let pending = receive(near, &server, &options).await.unwrap();
    let seen = pending.request(|request, accepted| {
        let offered = accepted.offered_subprotocols().join(",");
        (request.path().to_owned(), offered, accepted.subprotocol().map(str::to_owned))
    });
    assert_eq!(seen, ("/chat".into(), "v1,v2".into(), Some("v1".into())));
    sleep(Duration::from_secs(9)).await;
    let accepted = pending
        .accept_with(|_, accepted| accepted.select_subprotocol(Some("v2")).map_err(|_| Rejection::new(500)));
    let mut socket = accepted.await.unwrap();
    assert_eq!(socket.subprotocol(), Some("v2"));
    assert_eq!(socket.next().await.unwrap().unwrap(), "Hello".into());
    socket.send("too").await.unwrap();
    socket.close(1000, "").await.unwrap();
    assert_eq!(connecting.await.unwrap().unwrap(), ["v2", "too"]);
}

/// The decision's time is the caller's; that of the answer is a handshake's.
#[tokio::test(start_paused = true)]
async fn times() {
    let (server, options) = (ServerOptions::new(), Options::new());
    for wait in [1, 10, 1000] {
        let (near, mut far) = tokio::io::duplex(1 << 12);
        far.write_all(REQUEST.as_bytes()).await.unwrap();
        // What is sent behind the request is not lost.
        far.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
        let pending = receive(near, &server, &options).await.unwrap();
        sleep(Duration::from_secs(wait)).await;
        let mut socket = pending.accept().await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), "hi".into());
    }
    // A peer that takes no answer.
    let (near, mut far) = tokio::io::duplex(16);
    let writing = tokio::spawn(async move {
        far.write_all(REQUEST.as_bytes()).await.unwrap();
        far
    });
    let pending = receive(near, &server, &options).await.unwrap();
    let _far = writing.await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert!(matches!(pending.accept().await, Err(Error::TimedOut(TimedOut::Handshake))));
}

#[tokio::test(start_paused = true)]
async fn refused() {
    let stats = Stats::new();
    let (server, options) = (ServerOptions::new(), Options::new().stats(&stats));
    let (near, far) = tokio::io::duplex(1 << 12);
    let connecting = tokio::spawn(connect(far));
    let pending = receive(near, &server, &options).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let rejection = Rejection::new(402).body("text/plain", "no money").unwrap();
    let refused: Result<(), Error> = pending.refuse(rejection.clone()).await;
    assert!(matches!(refused, Err(Error::Rejected(told)) if told == rejection));
    let Err(Error::Handshake(refused)) = connecting.await.unwrap() else { panic!() };
    assert_eq!((refused.error, &*refused.body), (ClientError::UnexpectedStatus(402), &b"no money"[..]));

    // By the rules, before anybody is asked.
    let (near, mut far) = tokio::io::duplex(1 << 12);
    far.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    far.shutdown().await.unwrap();
    assert!(matches!(receive(near, &server, &options).await, Err(Error::Rejected(_))));
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    // Nothing, until the time is over; a client that leaves.
    let (near, _far) = tokio::io::duplex(1 << 12);
    assert!(matches!(receive(near, &server, &options).await, Err(Error::TimedOut(TimedOut::Handshake))));
    let (near, far) = tokio::io::duplex(1 << 12);
    drop(far);
    assert!(matches!(receive(near, &server, &options).await, Err(Error::Aborted)));
    let now = stats.snapshot();
    assert_eq!((now.handshakes_refused(), now.handshakes_failed, now.connections_opened), (2, 2, 0));
    // Dropped: the stream is closed.
    let (near, mut far) = tokio::io::duplex(1 << 12);
    far.write_all(REQUEST.as_bytes()).await.unwrap();
    drop(receive(near, &server, &options).await.unwrap());
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
}
