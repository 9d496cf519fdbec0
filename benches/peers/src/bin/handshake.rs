//! The server's opening handshake in memory: the 608 bytes that a browser sends, and the 101 that answers
//! them. Each row makes its socket and drops it.
//!
//! `handshake [--bare] [--rounds N] [--processes N] [--row TEXT]`

#![allow(clippy::disallowed_methods, reason = "it takes time")]

use pushline_peers::least_of_processes;
use std::cell::RefCell;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What Chrome sends.
const REQUEST: &[u8; 608] = b"GET /chat?room=lobby HTTP/1.1\r\n\
    Host: server.example.com:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://server.example.com:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; a=us-east-1-b42\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    \r\n";

thread_local! {
    /// What was written since the last stream was made.
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream on which the request has arrived, and nothing more.
struct Memory {
    unread: &'static [u8],
}

impl Memory {
    fn new() -> Self {
        WRITTEN.with_borrow_mut(Vec::clear);
        Self { unread: REQUEST }
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.unread.read(buffer) }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Poll::Pending;
        }
        let (now, later) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

mod rows {
    use super::Memory;
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use std::convert::Infallible;
    use std::hint::black_box;
    use std::io::{Read, Write};
    use std::sync::Mutex;

    pub fn pushline_core() {
        use pushline::http1::head::Slots;
        use pushline::ws::handshake::{ServerOptions, accept_request};
        use pushline::ws::{Connection, ConnectionOptions};
        let (options, mut memory) = (ServerOptions::new(), Memory::new());
        let mut received = [0; 1024];
        let n = memory.read(&mut received).expect("memory");
        let mut slots = Slots::new();
        let head = options.reader().read_request(&received[..n], &mut slots);
        let head = head.expect("valid").expect("whole");
        let accepted = accept_request(&options, &head).expect("valid");
        let mut answer = Vec::with_capacity(256);
        accepted.write_to(&mut answer);
        memory.write_all(&answer).expect("memory");
        black_box(Connection::server(accepted.negotiated(), ConnectionOptions::new()));
    }

    pub async fn pushline_tokio() {
        use pushline::adapter::{Options, tokio::accept};
        use pushline::ws::handshake::ServerOptions;
        black_box(accept(Memory::new(), &ServerOptions::new(), &Options::new()).await.expect("valid"));
    }

    pub fn tungstenite() {
        black_box(tungstenite::accept(Memory::new()).expect("valid"));
    }

    pub async fn tokio_tungstenite() {
        black_box(tokio_tungstenite::accept_async(Memory::new()).await.expect("valid"));
    }

    pub async fn tokio_websockets() {
        black_box(tokio_websockets::ServerBuilder::new().accept(Memory::new()).await.expect("valid"));
    }

    pub async fn sockudo() {
        use sockudo_ws::{Config, WebSocketStream, handshake::server_handshake};
        let mut stream = Memory::new();
        black_box(server_handshake(&mut stream).await.expect("valid"));
        black_box(WebSocketStream::server(stream, Config::default()));
    }

    pub async fn soketto() {
        use soketto::handshake::server::{Response, Server};
        use tokio_util::compat::TokioAsyncReadCompatExt;
        let mut server = Server::new(Memory::new().compat());
        let key = server.receive_request().await.expect("valid").key();
        server.send_response(&Response::Accept { key, protocol: None }).await.expect("memory");
        black_box(server.into_builder().finish());
    }

    pub async fn wtx() {
        use wtx::rng::Xorshift64;
        use wtx::stream::{StreamReader, StreamWriter};
        struct Stream(Memory);
        impl StreamReader for Stream {
            async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
                Ok(self.0.read(bytes)?)
            }
        }
        impl StreamWriter for Stream {
            async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
                Ok(self.0.write_all(bytes)?)
            }
            async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
                Ok(bytes.iter().try_for_each(|bytes| self.0.write_all(bytes))?)
            }
        }
        let acceptor = wtx::web_socket::WebSocketAcceptor::default().rng(Xorshift64::new(1));
        black_box(acceptor.accept(Stream(Memory::new())).await.expect("valid"));
    }

    /// Over hyper, to which both leave the handshake.
    async fn over_hyper<F: Future>(
        upgrade: impl Fn(&mut Request<Incoming>) -> (Response<Empty<Bytes>>, F),
    ) -> F::Output {
        let upgraded = Mutex::new(None);
        let service = service_fn(|mut request: Request<Incoming>| {
            let (response, future) = upgrade(&mut request);
            *upgraded.lock().expect("one thread") = Some(future);
            async { Ok::<_, Infallible>(response) }
        });
        let stream = hyper_util::rt::TokioIo::new(Memory::new());
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
        connection.with_upgrades().await.expect("memory");
        let future = upgraded.lock().expect("one thread").take().expect("one request");
        future.await
    }

    pub async fn fastwebsockets() {
        let upgrade =
            |request: &mut Request<Incoming>| fastwebsockets::upgrade::upgrade(request).expect("valid");
        black_box(over_hyper(upgrade).await.expect("upgraded"));
    }

    pub async fn yawc() {
        let upgrade = |request: &mut Request<Incoming>| yawc::WebSocket::upgrade(request).expect("valid");
        black_box(over_hyper(upgrade).await.expect("upgraded"));
    }
}

type Row = (&'static str, fn(usize));

/// So many handshakes, blocking.
macro_rules! blocking {
    ($name:literal, $row:path) => {
        ($name, |handshakes| (0..handshakes).for_each(|_| $row()))
    };
}

/// So many handshakes on a runtime with timers.
macro_rules! on_tokio {
    ($name:literal, $row:path) => {
        ($name, |handshakes| {
            pushline_peers::peers::run(async {
                for _ in 0..handshakes {
                    $row().await;
                }
            });
        })
    };
}

const ROWS: [Row; 10] = [
    blocking!("pushline core", rows::pushline_core),
    on_tokio!("pushline tokio", rows::pushline_tokio),
    blocking!("tungstenite", rows::tungstenite),
    on_tokio!("tokio-tungstenite", rows::tokio_tungstenite),
    on_tokio!("tokio-websockets", rows::tokio_websockets),
    on_tokio!("sockudo-ws", rows::sockudo),
    on_tokio!("soketto", rows::soketto),
    on_tokio!("wtx", rows::wtx),
    on_tokio!("fastwebsockets (over hyper)", rows::fastwebsockets),
    on_tokio!("yawc (over hyper)", rows::yawc),
];

/// Ours among the rows.
const OURS: usize = 2;

fn main() {
    let (mut rounds, mut processes, mut bare, mut rows) = ("100", 1, false, ROWS.to_vec());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if arguments.first() == Some(&"--bare") {
        bare = true;
        arguments.remove(0);
    }
    let mut again = vec!["--bare"];
    for option in arguments.chunks(2) {
        match *option {
            ["--rounds", n] => rounds = n,
            ["--processes", n] => processes = n.parse().expect("a number"),
            ["--row", part] => {
                again.extend(option);
                rows.retain(|(name, _)| name.contains("pushline") || name.contains(part));
            }
            _ => panic!("handshake [--bare] [--rounds N] [--processes N] [--row TEXT]"),
        }
    }
    let ns = match processes {
        ..=1 => measure(&rows, rounds.parse().expect("a number")),
        _ => {
            again.extend(["--rounds", rounds]);
            least_of_processes(processes, rows.len(), &again)
        }
    };
    if bare {
        return ns.iter().for_each(|ns| println!("{ns}"));
    }
    let peer = ns[OURS..].iter().copied().fold(f64::MAX, f64::min);
    println!("| | ns a handshake | as a multiple of the best peer's |\n|---|--:|--:|");
    for ((name, _), ns) in rows.iter().zip(&ns) {
        println!("| {name} | {ns:.0} | {:.2} |", ns / peer);
    }
}

/// Nanoseconds a handshake of each row, the minimum of interleaved rounds.
fn measure(rows: &[Row], rounds: usize) -> Vec<f64> {
    const HANDSHAKES: usize = 500;
    for (name, row) in rows {
        row(1);
        let answer = WRITTEN.with_borrow(|written| String::from_utf8_lossy(written).into_owned());
        let right = answer.starts_with("HTTP/1.1 101 ") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(right && answer.ends_with("\r\n\r\n"), "{name} answered {answer:?}");
    }
    let mut best = vec![Duration::MAX; rows.len()];
    for round in 0..rounds {
        for turn in 0..rows.len() {
            let row = (round + turn) % rows.len();
            let start = Instant::now();
            black_box(rows[row].1)(HANDSHAKES);
            best[row] = best[row].min(start.elapsed());
        }
    }
    best.iter().map(|time| time.as_nanos() as f64 / HANDSHAKES as f64).collect()
}
