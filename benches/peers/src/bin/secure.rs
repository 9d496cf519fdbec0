//! Echo over TLS and over HTTP/2: the server's CPU time per message, over the same rustls and the same hyper.
//!
//! `secure [--rounds N] [--ms N] [--server TEXT]`. As `echo`: the server's thread has a CPU of its own, 32 sockets keep some
//! messages in flight, rounds are interleaved, the minimum counts. What is counted begins when all sockets are open. Over
//! HTTP/2 the 32 are streams of four connections, without TLS.

#![allow(clippy::disallowed_methods, reason = "it takes time")]

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pushline::adapter::hyper::{Http2, refuse, upgrade};
use pushline::adapter::{Options, tokio::WebSocket};
use pushline::ws::Negotiated;
use pushline::ws::handshake::{ClientOptions, ServerOptions, Uri};
use pushline_peers::servers::{REQUEST, RESPONSE, message, pin, thread_cpu};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::protocol::Role;

const CONNECTIONS: usize = 32;

/// Streams on each connection of HTTP/2.
const STREAMS: usize = 8;

/// Bytes of a message, messages in flight.
const CELLS: [(usize, usize); 5] = [(32, 1), (32, 16), (1024, 1), (1024, 16), (16384, 1)];

const SERVERS: [&str; 3] = ["pushline tokio", "tokio-tungstenite", "fastwebsockets"];

const OVER: [&str; 2] = ["TLS", "HTTP/2"];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Echoes over a stream on which the handshake was done.
async fn echo(server: &str, stream: impl Stream) -> Option<()> {
    match server {
        "pushline tokio" => {
            echo_pushline(WebSocket::server(stream, Negotiated::default(), &Options::new())).await
        }
        "tokio-tungstenite" => {
            let socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, Role::Server, None);
            let mut socket = socket.await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.ok()?;
                }
            }
            Some(())
        }
        _ => {
            use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
            let mut socket = WebSocket::after_handshake(stream, Role::Server);
            socket.set_writev(false);
            let mut socket = FragmentCollector::new(socket);
            loop {
                let frame = socket.read_frame().await.ok()?;
                match frame.opcode {
                    OpCode::Close => return Some(()),
                    OpCode::Text | OpCode::Binary => socket.write_frame(frame).await.ok()?,
                    _ => {}
                }
            }
        }
    }
}

async fn echo_pushline<S: Stream>(mut socket: WebSocket<S>) -> Option<()> {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_data() {
            socket.send(message).await.ok()?;
        }
    }
    Some(())
}

async fn over_tls(server: &'static str, tcp: TcpStream, acceptor: TlsAcceptor) -> Option<()> {
    let mut stream = acceptor.accept(tcp).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    stream.write_all(RESPONSE).await.ok()?;
    stream.flush().await.ok()?;
    echo(server, stream).await
}

async fn over_h2(server: &'static str, tcp: TcpStream) -> Option<()> {
    let answer = service_fn(move |mut request: Request<Incoming>| async move {
        if server == "pushline tokio" {
            return Ok::<_, Infallible>(
                match upgrade(&mut request, &ServerOptions::new(), &Options::new()) {
                    Ok((response, socket)) => {
                        tokio::spawn(async move { echo_pushline(socket.await.ok()?).await });
                        response
                    }
                    Err(rejection) => refuse(&rejection),
                },
            );
        }
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { echo(server, TokioIo::new(upgraded.await.ok()?)).await });
        Ok(Response::new(String::new()))
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.enable_connect_protocol();
    builder.serve_connection(TokioIo::new(tcp), answer).await.ok()
}

async fn open_tls(address: SocketAddr, connector: &TlsConnector) -> impl Stream + use<> {
    let tcp = TcpStream::connect(address).await.expect("the server is there");
    tcp.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = connector.connect(name, tcp).await.expect("TLS");
    stream.write_all(REQUEST).await.expect("a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a response"));
    }
    stream
}

/// One socket of the load: echoes, until the time is over.
async fn load(stream: impl Stream, (len, window): (usize, usize), until: Instant) -> std::io::Result<u64> {
    let message = message(len);
    let batch = message.repeat(window);
    let echoed = message.len() - 4;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut messages, mut partial, mut buffer) = (0, 0, vec![0; 256 * 1024]);
    writer.write_all(&batch).await?;
    writer.flush().await?;
    while Instant::now() < until {
        let n = reader.read(&mut buffer).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        partial += n;
        let whole = partial / echoed;
        partial %= echoed;
        messages += whole as u64;
        for _ in 0..whole {
            writer.write_all(&message).await?;
        }
        writer.flush().await?;
    }
    Ok(messages)
}

async fn loads(
    address: SocketAddr,
    tls: Option<TlsConnector>,
    cell: (usize, usize),
    time: Duration,
    begin: impl FnOnce(),
) -> u64 {
    let mut streams: Vec<Box<dyn Stream>> = Vec::new();
    let mut connection = None;
    for number in 0..CONNECTIONS {
        streams.push(match &tls {
            Some(connector) => Box::new(open_tls(address, connector).await),
            None => {
                if number % STREAMS == 0 {
                    let tcp = TcpStream::connect(address).await.expect("the server is there");
                    tcp.set_nodelay(true).expect("a socket");
                    connection = Some(Http2::new(tcp).await.expect("HTTP/2"));
                }
                let connection = connection.as_ref().expect("the first has made it");
                let uri = Uri::parse("ws://localhost/").expect("a URL");
                let socket = connection.connect(&uri, &ClientOptions::new(), &Options::new()).await;
                Box::new(socket.expect("a socket").into_inner())
            }
        });
    }
    begin();
    let until = Instant::now() + time;
    let loads: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(load(stream, cell, until))).collect();
    let mut messages = 0;
    for load in loads {
        messages += load.await.expect("no panic").expect("no error");
    }
    messages
}

/// Server CPU in nanoseconds per message.
fn measure(
    server: &'static str,
    tls: Option<&(TlsAcceptor, TlsConnector)>,
    cell: (usize, usize),
    time: Duration,
) -> f64 {
    let (address, get_address) = std::sync::mpsc::channel();
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let acceptor = tls.map(|(acceptor, _)| acceptor.clone());
    let thread = std::thread::spawn(move || {
        pin(0);
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            address.send(listener.local_addr().expect("its address")).expect("the load is there");
            tokio::spawn(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    tcp.set_nodelay(true).expect("a socket");
                    match acceptor.clone() {
                        Some(acceptor) => drop(tokio::spawn(over_tls(server, tcp, acceptor))),
                        None => drop(tokio::spawn(over_h2(server, tcp))),
                    }
                }
            });
            let _ = begun.await;
            let before = thread_cpu();
            let _ = stopped.await;
            thread_cpu() - before
        })
    });
    let address = get_address.recv().expect("the server is there");
    let connector = tls.map(|(_, connector)| connector.clone());
    let messages = runtime().block_on(loads(address, connector, cell, time, || {
        let _ = begin.send(());
    }));
    let _ = stop.send(());
    thread.join().expect("no panic") as f64 / messages.max(1) as f64
}

fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(ring::default_provider());
    let server =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mut rounds, mut time, mut part) = (5, Duration::from_millis(500), "");
    for option in words.chunks(2) {
        match *option {
            ["--rounds", n] => rounds = n.parse().expect("a number"),
            ["--ms", n] => time = Duration::from_millis(n.parse().expect("a number")),
            ["--server", name] => part = name,
            _ => panic!("secure [--rounds N] [--ms N] [--server TEXT]"),
        }
    }
    let servers: Vec<_> = SERVERS.into_iter().filter(|server| server.contains(part)).collect();
    let tls = tls();
    pin(1);
    let mut best = vec![vec![vec![f64::MAX; CELLS.len()]; servers.len()]; OVER.len()];
    for round in 0..rounds {
        for (column, &cell) in CELLS.iter().enumerate() {
            for (over, rows) in best.iter_mut().enumerate() {
                for turn in 0..servers.len() {
                    let row = (round + turn) % servers.len();
                    let tls = (over == 0).then_some(&tls);
                    rows[row][column] = rows[row][column].min(measure(servers[row], tls, cell, time));
                }
            }
        }
    }
    println!("Server CPU, ns a message; in brackets as a multiple of the best peer's.\n");
    println!("| |{}", CELLS.map(|(len, window)| format!(" {len} B, {window} in flight |")).concat());
    println!("|---|{}", "--:|".repeat(CELLS.len()));
    for (over, rows) in OVER.iter().zip(&best) {
        for (server, row) in servers.iter().zip(rows) {
            print!("| {over}, {server} |");
            for (column, cpu) in row.iter().enumerate() {
                let peers = servers.iter().zip(rows).filter(|(server, _)| !server.starts_with("pushline"));
                let ratio = cpu / peers.map(|(_, row)| row[column]).fold(f64::NAN, f64::min);
                print!(" {cpu:.0} ({ratio:.2}x) |");
            }
            println!();
        }
    }
}
