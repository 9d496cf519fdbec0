//! Echo over loopback TCP: the server's CPU time per message, `pushline` beside `fastwebsockets`.
//!
//! `echo [ROUNDS]`. Each server runs on a thread of its own with tokio's current-thread runtime; 32
//! connections keep W messages in flight. Rounds are interleaved, the minimum of each cell counts,
//! every echoed byte is counted. `echo serve pushline|fastwebsockets` only serves, and prints its
//! address, for `strace -c -f`.

use pushline::adapter::Options;
use pushline::adapter::tokio::accept;
use pushline::ws::handshake::ServerOptions;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

const CONNECTIONS: usize = 32;

#[derive(Clone, Copy, PartialEq)]
enum Server {
    Pushline,
    FastWebSockets,
}

impl Server {
    const ALL: [(Self, &'static str); 2] =
        [(Self::Pushline, "pushline"), (Self::FastWebSockets, "fastwebsockets")];

    async fn serve(self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        match self {
            Self::Pushline => {
                let mut socket = accept(stream, &ServerOptions::new(), &Options::new()).await.ok()?;
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_data() {
                        socket.send(message).await.ok()?;
                    }
                }
            }
            Self::FastWebSockets => {
                let stream = handshake(stream).await?;
                let mut socket =
                    fastwebsockets::WebSocket::after_handshake(stream, fastwebsockets::Role::Server);
                socket.set_writev(false);
                let mut socket = fastwebsockets::FragmentCollector::new(socket);
                loop {
                    let frame = socket.read_frame().await.ok()?;
                    match frame.opcode {
                        fastwebsockets::OpCode::Close => break,
                        fastwebsockets::OpCode::Text | fastwebsockets::OpCode::Binary => {
                            socket.write_frame(frame).await.ok()?;
                        }
                        _ => {}
                    }
                }
            }
        }
        Some(())
    }
}

/// Answers the load generator's request: `fastwebsockets` leaves this to hyper.
async fn handshake(mut stream: TcpStream) -> Option<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").await.ok()?;
    Some(stream)
}

/// CPU nanoseconds of the calling thread.
fn thread_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

async fn listen(server: Server, listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server.serve(stream));
        }
    }
}

/// One connection of the load generator: echoes, until the time is over.
async fn load(
    address: std::net::SocketAddr,
    len: usize,
    window: usize,
    until: Instant,
) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut message = match len {
        0..126 => vec![0x82, 0x80 | len as u8],
        _ => vec![0x82, 0xfe, (len >> 8) as u8, len as u8],
    };
    message.extend([1, 2, 3, 4]);
    message.resize(message.len() + len, 7);
    let batch = message.repeat(window);
    let echoed = message.len() - 4;
    stream.write_all(&batch).await?;
    let (mut messages, mut partial, mut buffer) = (0, 0, vec![0; 64 * 1024]);
    while Instant::now() < until {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        partial += n;
        let whole = partial / echoed;
        partial %= echoed;
        messages += whole as u64;
        stream.write_all(&batch[..whole * message.len()]).await?;
    }
    Ok(messages)
}

/// Server CPU in nanoseconds per message, and messages per second.
fn measure(server: Server, len: usize, window: usize) -> (f64, f64) {
    const TIME: Duration = Duration::from_millis(600);
    let (address, get_address) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address.send(listener.local_addr().expect("its address")).expect("the load is there");
            let before = thread_cpu();
            tokio::select! {
                () = listen(server, listener) => {}
                _ = stopped => {}
            }
            thread_cpu() - before
        })
    });
    let address = get_address.recv().expect("the server is there");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let messages: u64 = runtime.block_on(async {
        let until = Instant::now() + TIME;
        let loads: Vec<_> =
            (0..CONNECTIONS).map(|_| tokio::spawn(load(address, len, window, until))).collect();
        let mut messages = 0;
        for load in loads {
            messages += load.await.expect("no panic").expect("no error");
        }
        messages
    });
    let _ = stop.send(());
    let cpu = thread.join().expect("no panic");
    (cpu as f64 / messages as f64, messages as f64 / TIME.as_secs_f64())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, name] = &arguments[..]
        && command == "serve"
    {
        let (server, _) = Server::ALL.into_iter().find(|(_, known)| known == name).expect("a server's name");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            println!("{}", listener.local_addr().expect("its address"));
            listen(server, listener).await;
        });
    }
    if let [command, address, window] = &arguments[..]
        && command == "load"
    {
        let (address, window) = (address.parse().expect("an address"), window.parse().expect("a number"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let messages = runtime.block_on(async {
            let until = Instant::now() + Duration::from_secs(1);
            let loads: Vec<_> =
                (0..CONNECTIONS).map(|_| tokio::spawn(load(address, 32, window, until))).collect();
            let mut messages = 0;
            for load in loads {
                messages += load.await.expect("no panic").expect("no error");
            }
            messages
        });
        println!("{messages} messages");
        return;
    }
    let rounds = arguments.first().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    println!("| message, in flight | server | CPU ns/message | messages/s |\n|---|---|--:|--:|");
    for (len, window) in [(32, 1), (32, 16), (1024, 1), (1024, 16)] {
        let mut best = Server::ALL.map(|_| (f64::MAX, 0.0_f64));
        for _ in 0..rounds {
            for ((server, _), best) in Server::ALL.into_iter().zip(&mut best) {
                let (cpu, rate) = measure(server, len, window);
                *best = (best.0.min(cpu), best.1.max(rate));
            }
        }
        for ((_, name), (cpu, rate)) in Server::ALL.into_iter().zip(best) {
            println!("| {len} B, {window} | {name} | {cpu:.0} | {rate:.0} |");
        }
    }
}
