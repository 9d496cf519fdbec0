//! What a message on a WebSocket of Socket.IO makes the server's task do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pushline::adapter::Options;
use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
use pushline::adapter::tokio::{WebSocket, client};
use pushline::socketio::engine::EngineOptions;
use pushline::ws::handshake::{ClientOptions, Uri};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

/// How often was asked for something to read, and something written.
#[derive(Clone, Default)]
struct Asked(Arc<[AtomicUsize; 2]>);

impl Asked {
    /// Since the last time, once all is done.
    async fn take(&self) -> [usize; 2] {
        tokio::time::sleep(Duration::from_millis(1)).await;
        [0, 1].map(|way| self.0[way].swap(0, Ordering::Relaxed))
    }
}

struct Counted(DuplexStream, Asked);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.0[0].fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1.0[1].fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn receive(socket: &mut WebSocket<DuplexStream>) -> String {
    socket.next().await.unwrap().unwrap().as_text().unwrap().to_owned()
}

/// The stream of a connection to the server.
fn serve(io: &SocketIo) -> (DuplexStream, Asked) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (io, asked) = (io.clone(), Asked::default());
    io.of("/").on("message", |socket, event| async move {
        socket.emit("message-back", &event.payload).unwrap();
    });
    let far = TokioIo::new(Counted(far, asked.clone()));
    let service = service_fn(move |request| {
        let io = io.clone();
        async move { Ok::<_, Infallible>(io.handle(request).await) }
    });
    tokio::spawn(http1::Builder::new().serve_connection(far, service).with_upgrades());
    (near, asked)
}

/// A task that has written is not woken to find that there is nothing more.
#[tokio::test(start_paused = true)]
async fn a_task_is_woken_once() {
    let io = SocketIo::new(SocketIoOptions::new());
    let (near, asked) = serve(&io);
    let uri = Uri::parse("ws://h/socket.io/?EIO=4&transport=websocket").unwrap();
    let mut socket = client(near, &uri, ClientOptions::new(), &Options::new()).await.unwrap();
    assert!(receive(&mut socket).await.starts_with("0{"));
    socket.send("40").await.unwrap();
    assert!(receive(&mut socket).await.starts_with("40{"));
    asked.take().await;
    for _ in 0..10 {
        socket.send(r#"42["message","x"]"#).await.unwrap();
        assert_eq!(receive(&mut socket).await, r#"42["message-back","x"]"#);
        assert_eq!(asked.take().await, [2, 1], "the message, and nothing; the answer");
        assert_eq!(io.of("/").emit("news", &1), 1);
        assert_eq!(receive(&mut socket).await, r#"42["news",1]"#);
        assert_eq!(asked.take().await, [1, 1], "nothing; the event");
    }
    // What came together is answered together.
    for n in 0..10 {
        socket.feed(&*format!(r#"42["message",{n}]"#)).await.unwrap();
    }
    socket.flush().await.unwrap();
    for n in 0..10 {
        assert_eq!(receive(&mut socket).await, format!(r#"42["message-back",{n}]"#));
    }
    assert_eq!(asked.take().await, [2, 1]);
}

/// Whoever sends and takes nothing is not read for ever.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_not_read() {
    // As much is read ahead while it is waited for.
    let options = EngineOptions::new().max_payload(10_000);
    let io = SocketIo::new(SocketIoOptions::new().engine(options));
    let (mut stream, _) = serve(&io);
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"\x81\x82\0\0\0\x0040").await.unwrap();
    let message = format!(r#"42["message","{}"]"#, "x".repeat(100));
    let frame = [&[0x81, 0x80 | message.len() as u8, 0, 0, 0, 0], message.as_bytes()].concat();
    let mut sent = 0;
    while let Ok(done) = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&frame)).await {
        done.unwrap();
        sent += 1;
        assert!(sent < 3000, "it is read on");
    }
    assert_eq!((io.clients(), sent > 1000), (1, true), "its connection was full: {sent}");
}
