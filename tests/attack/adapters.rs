//! Both adapters and hyper's upgrades, over sockets: who attacks is another thread, so that what this one holds is what the
//! server holds.

use crate::allocations::memory;
use crate::cost::{KIB, MIB, scale};
use crate::websocket::frame;
use pushline::adapter::axum::{Socket, WebSocketUpgrade};
use pushline::adapter::{Error, Options, blocking, tokio as asynchronous};
use pushline::ws::ConnectionOptions;
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::ServerOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tokio,
    Blocking,
    Hyper,
}

const KINDS: [Kind; 3] = [Kind::Tokio, Kind::Blocking, Kind::Hyper];

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: asynchronous::WebSocket<S>,
) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

fn deflating() -> ServerOptions {
    ServerOptions::new().deflate(DeflateOptions::new(Compression::Shared))
}

/// Serves one connection.
fn serve(kind: Kind, listener: TcpListener, options: Options) {
    if kind == Kind::Blocking {
        let (stream, _) = listener.accept().unwrap();
        let end = (|| {
            let mut socket = blocking::accept(stream, &deflating(), &options)?;
            while let Some(message) = socket.next()? {
                if message.is_data() {
                    socket.send(message)?;
                }
            }
            Ok::<_, Error>(())
        })();
        return drop(end);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        if kind == Kind::Tokio {
            if let Ok(socket) = asynchronous::accept(stream, &deflating(), &options).await {
                let _ = echo(socket).await;
            }
            return;
        }
        let (tell, ended) = tokio::sync::oneshot::channel();
        let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
        let handler = move |upgrade: WebSocketUpgrade| {
            let tell = tell.clone();
            async move {
                upgrade.options(options).server(deflating()).on_upgrade(move |socket: Socket| async move {
                    let _ = echo(socket).await;
                    if let Some(tell) = tell.lock().unwrap().take() {
                        let _ = tell.send(());
                    }
                })
            }
        };
        let app = axum::Router::new().route("/ws", axum::routing::any(handler));
        let service = hyper_util::service::TowerToHyperService::new(app);
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(Duration::from_millis(300));
        let io = hyper_util::rt::TokioIo::new(stream);
        if builder.serve_connection(io, service).with_upgrades().await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(10), ended).await;
        }
    });
}

/// Has a thread attack one connection: what it read, the most that the server held, how long it took.
fn attacked(
    kind: Kind,
    options: Options,
    attack: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
) -> (Vec<u8>, isize, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let attacking = thread::spawn(move || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        attack(stream)
    });
    let begun = Instant::now();
    let (held, _) = memory(|| serve(kind, listener, options));
    let took = begun.elapsed();
    (attacking.join().unwrap(), held, took)
}

/// The opening handshake, and what follows.
fn opened(mut stream: TcpStream, extra: &str) -> TcpStream {
    stream.write_all(format!("{REQUEST}{extra}\r\n").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads on in a thread of its own while all this is written, as often as it is taken.
fn pour(stream: TcpStream, first: Vec<u8>, again: Vec<u8>) -> Vec<u8> {
    let mut reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut read = Vec::new();
        let _ = reading.read_to_end(&mut read);
        read
    });
    let mut writing = stream;
    let until = Instant::now() + Duration::from_secs(10);
    let mut written = writing.write_all(&first);
    while written.is_ok() && !again.is_empty() && Instant::now() < until {
        written = writing.write_all(&again);
    }
    reader.join().unwrap()
}

/// The times, short enough to see them.
fn options() -> Options {
    Options::new()
        .handshake_timeout(Duration::from_millis(300))
        .close_timeout(Duration::from_millis(300))
        .close_limit(Duration::from_secs(3))
        .write_timeout(Duration::from_millis(500))
}

fn close_code(read: &[u8]) -> Option<u16> {
    let [.., 0x88, 2, high, low] = read else { return None };
    Some(u16::from_be_bytes([*high, *low]))
}

/// What hyper, tokio and the system's threads have for themselves.
const BASE: usize = 700 * KIB;

/// What never ends, and what it is answered with.
#[test]
fn floods_are_answered() {
    let config = ConnectionOptions::new().max_message(MIB).max_fragments(1000);
    for kind in KINDS {
        for (name, first, again, code) in [
            (
                "a claimed length",
                [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat(),
                vec![0; KIB],
                1009,
            ),
            ("fragments", frame(1, b"x"), frame(0, b"x").repeat(100), 1008),
            ("empty fragments", frame(1, b""), frame(0, b"").repeat(100), 1008),
            ("a long message", frame(1, &[b'x'; KIB]), frame(0, &[b'x'; 10 * KIB]), 1009),
            ("not UTF-8", frame(0x81, &[0xff; 100]), frame(0x89, b""), 1007),
            ("not masked", vec![0x81, 1, b'x'], vec![0x81, 1, b'x'], 1002),
            (
                "close frames",
                frame(0x88, &1000_u16.to_be_bytes()),
                frame(0x88, &1000_u16.to_be_bytes()),
                1000,
            ),
            ("data behind close", frame(0x88, &1001_u16.to_be_bytes()), frame(0x82, &[0; KIB]), 1001),
        ] {
            let (read, held, took) = attacked(kind, options().connection(config), move |stream| {
                pour(opened(stream, ""), first, again)
            });
            assert_eq!(
                close_code(&read),
                Some(code),
                "{kind:?}, {name}: {:?}",
                &read[read.len().saturating_sub(20)..]
            );
            assert!(held <= (BASE + 2 * MIB) as isize, "{kind:?}, {name}: {held}");
            assert!(took < Duration::from_secs(8), "{kind:?}, {name}: {took:?}");
        }
    }
}

#[test]
fn zip_bombs() {
    use pushline::raw::Deflater;
    use pushline::ws::deflate::{Direction, WindowBits};
    let mut payload = Vec::new();
    let direction = Direction { context_takeover: false, window_bits: WindowBits::MAX };
    Deflater::new(direction, &DeflateOptions::new(Compression::Shared).level(9)).deflate(
        &vec![0; 64 * MIB],
        &mut payload,
        true,
    );
    for kind in KINDS {
        let bomb = frame(0xc2, &payload);
        let config = ConnectionOptions::new().max_message(MIB);
        let (read, held, _) = attacked(kind, options().connection(config), move |stream| {
            pour(opened(stream, "Sec-WebSocket-Extensions: permessage-deflate\r\n"), bomb, Vec::new())
        });
        assert_eq!(close_code(&read), Some(1009), "{kind:?}");
        assert!(held <= (BASE + 3 * MIB) as isize, "{kind:?}: {held}");
    }
}

/// A peer that sends and never reads is given up after the write timeout, and all it made the server hold is bounded.
#[test]
fn peers_that_do_not_read() {
    for kind in KINDS {
        for (name, flood) in
            [("pings", frame(0x89, &[0; 125]).repeat(100)), ("messages", frame(0x82, &[0; 64 * KIB]))]
        {
            let options =
                options().connection(ConnectionOptions::new().max_outgoing(64 * KIB).max_message(64 * KIB));
            let (_, held, took) = attacked(kind, options, move |stream| {
                let mut stream = opened(stream, "");
                while stream.write_all(&flood).is_ok() {}
                Vec::new()
            });
            assert!(held <= (BASE + MIB) as isize, "{kind:?}, {name}: {held}");
            println!("{kind:?}, {name}: {took:?}");
            assert!(took < Duration::from_secs(8), "{kind:?}, {name}: {took:?}");
        }
    }
}

/// A head that comes a byte at a time has the handshake's time and no more.
#[test]
fn slow_heads() {
    for kind in KINDS {
        let (read, held, took) = attacked(kind, options(), |mut stream| {
            let mut reading = stream.try_clone().unwrap();
            let slowly = thread::spawn(move || {
                for byte in REQUEST.bytes().cycle() {
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let mut read = Vec::new();
            let _ = reading.read_to_end(&mut read);
            slowly.join().unwrap();
            read
        });
        if kind != Kind::Hyper {
            assert!(read.starts_with(b"HTTP/1.1 408 "), "{kind:?}: {}", String::from_utf8_lossy(&read));
        }
        assert!(held <= BASE as isize && took < Duration::from_secs(5), "{kind:?}: {held} {took:?}");
    }
}

/// A message that comes a byte at a time takes the memory of what came, and ends with its connection.
#[test]
fn slow_fragments() {
    for kind in KINDS {
        let count = 40 * scale();
        let (_, held, _) = attacked(kind, options(), move |stream| {
            let mut stream = opened(stream, "");
            stream.write_all(&frame(1, b"x")).unwrap();
            for _ in 0..count {
                thread::sleep(Duration::from_millis(5));
                for byte in frame(0, b"x") {
                    stream.write_all(&[byte]).unwrap();
                }
            }
            Vec::new()
        });
        assert!(held <= BASE as isize, "{kind:?}: {held}");
    }
}

/// Heads that are refused before anything is held of them.
#[test]
fn heads() {
    for kind in [Kind::Tokio, Kind::Blocking] {
        for (name, head, status) in [
            ("8 MiB", [b"GET /ws HTTP/1.1\r\nHost: h\r\nx: ", &b"y".repeat(8 * MIB)[..]].concat(), "431"),
            ("a long target", [b"GET /", &b"y".repeat(64 * KIB)[..]].concat(), "414"),
            ("fields", format!("{REQUEST}{}\r\n", "a:\r\n".repeat(100_000)).into_bytes(), "431"),
            ("a foreign page", format!("{REQUEST}Origin: https://evil.example\r\n\r\n").into_bytes(), "403"),
            (
                "two origins",
                format!("{REQUEST}Origin: http://h\r\nOrigin: http://h\r\n\r\n").into_bytes(),
                "400",
            ),
            ("two hosts", format!("{REQUEST}Host: g\r\n\r\n").into_bytes(), "400"),
            ("TLS", vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "400"),
            (
                "offers",
                format!("{REQUEST}Sec-WebSocket-Extensions: {}x\r\n\r\n", "x, ".repeat(40)).into_bytes(),
                "400",
            ),
        ] {
            let (read, held, took) = attacked(kind, options(), move |stream| pour(stream, head, Vec::new()));
            let read = String::from_utf8_lossy(&read);
            let is_alert = name == "TLS" && !read.starts_with("HTTP");
            assert!(is_alert || read.starts_with(&format!("HTTP/1.1 {status} ")), "{kind:?}, {name}: {read}");
            assert!(
                held <= BASE as isize && took < Duration::from_secs(8),
                "{kind:?}, {name}: {held} {took:?}"
            );
        }
    }
}

/// One that says nothing but nonsense gets a close frame or an answer, and is gone.
#[test]
fn random_bytes() {
    let mut random = crate::random::Random(7);
    for round in 0..6 * scale() {
        for kind in KINDS {
            let bytes: Vec<u8> = (0..200).flat_map(|_| random.bytes(round % 2 == 0)).collect();
            let (read, held, took) =
                attacked(kind, options(), move |stream| pour(opened(stream, ""), bytes, b"\xff".repeat(KIB)));
            assert!(close_code(&read).is_some(), "{kind:?}: {read:?}");
            assert!(
                held <= (BASE + MIB) as isize && took < Duration::from_secs(8),
                "{kind:?}: {held} {took:?}"
            );
        }
    }
}
