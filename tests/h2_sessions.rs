//! Peers of HTTP/2 that open no window, or a byte at a time, that reset, end and leave where they should not, over sockets: what the
//! application behind hyper is told and when, what is held meanwhile, and that the other streams go on (RFC 8441, RFC 9113 5.2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/raw_h2.rs"]
mod raw_h2;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pushline::adapter::hyper::{Http2, SETTINGS_TIMEOUT, Socket, refuse, upgrade};
use pushline::adapter::tokio::sse::{self, EventBody};
use pushline::adapter::{Error, Options};
use pushline::sse::{Block, PreparedEvent};
use pushline::ws::handshake::{ClientError, ClientOptions, ServerOptions, Uri};
use pushline::ws::{ConnectionOptions, End, Message, TimedOut};
use raw_h2::{BASE, CANCEL, DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

const MILLISECOND: Duration = Duration::from_millis(1);
/// SETTINGS_INITIAL_WINDOW_SIZE 0: each stream waits for its window.
const CLOSED: [u8; 6] = [0, 4, 0, 0, 0, 0];

type Body = UnsyncBoxBody<Bytes, sse::Error>;

/// A server over TCP, whose `/chat` is an echo, `/flood` sends without an end, `/late` answers after a second and `/events` is a
/// stream of events without an end; what became of each is told.
async fn serve() -> (TcpStream, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (tell, told) = unbounded_channel();
    let connection = tell.clone();
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let tell = tell.clone();
            async move { Ok::<_, Infallible>(answer(request, tell).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).enable_connect_protocol();
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        let _ = connection.send("connection over".into());
    });
    (client, told)
}

async fn answer(mut request: Request<Incoming>, tell: UnboundedSender<String>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/events" {
        let (sender, body) = EventBody::channel(4);
        tokio::spawn(async move {
            let event = event("x");
            let error = loop {
                if let Err(error) = sender.send(event.clone()).await {
                    break error;
                }
            };
            let _ = tell.send(format!("/events: {error}"));
        });
        return body.stall_timeout(300 * MILLISECOND).into_http_response().map(BodyExt::boxed_unsync);
    }
    if path == "/late" {
        sleep(1000 * MILLISECOND).await;
    }
    let limits = ConnectionOptions::new().max_outgoing(64 << 10);
    let options = Options::new()
        .connection(limits)
        .write_timeout(300 * MILLISECOND)
        .close_timeout(300 * MILLISECOND)
        .close_limit(600 * MILLISECOND);
    match upgrade(&mut request, &ServerOptions::new(), &options) {
        Ok((response, socket)) => {
            tokio::spawn(async move {
                let end = match socket.await {
                    Ok(socket) if path == "/flood" => flood(socket).await,
                    Ok(mut socket) if path == "/large" => loop {
                        if let Err(error) = socket.send("x".repeat(1 << 20)).await {
                            break words(&error);
                        }
                    },
                    Ok(socket) => echo(socket).await,
                    Err(error) => format!("no socket: {}", words(&error)),
                };
                let _ = tell.send(format!("{path}: {end}"));
            });
            response.map(|body: String| {
                Full::new(Bytes::from(body)).map_err(|error| match error {}).boxed_unsync()
            })
        }
        Err(rejection) => refuse::<String>(&rejection)
            .map(|body| Full::new(Bytes::from(body)).map_err(|error| match error {}).boxed_unsync()),
    }
}

fn event(data: &str) -> PreparedEvent {
    Block::new().data(data).prepare().unwrap()
}

fn words(error: &Error) -> String {
    match error {
        Error::Io(_) => "lost".into(),
        error => error.to_string(),
    }
}

async fn echo(mut socket: Socket) -> String {
    while let Some(message) = socket.next().await {
        match message {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                if let Err(error) = socket.send(message).await {
                    return words(&error);
                }
            }
            Ok(_) => {}
            Err(error) => return words(&error),
        }
    }
    match socket.end() {
        Some(End::Closed) => "clean".into(),
        end => format!("{end:?}"),
    }
}

/// Until it is told that nobody takes it, by whichever half.
async fn flood(socket: Socket) -> String {
    let (mut writer, mut reader) = socket.split_with(tokio::io::split);
    let reads = tokio::spawn(async move { while reader.next().await.is_some_and(|next| next.is_ok()) {} });
    let mut sent = 0_usize;
    let error = loop {
        match writer.send("x".repeat(1000)).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100_000, "it is held somewhere");
    };
    timeout(Duration::from_secs(10), reads).await.expect("the reader ends as well").unwrap();
    format!("{} after {}", words(&error), if sent < 400 { "few" } else { "many" })
}

fn path(path: &'static str) -> Vec<(&'static str, &'static str)> {
    BASE.into_iter().map(|(name, value)| (name, if name == ":path" { path } else { value })).collect()
}

const EVENTS: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":path", "/events"), (":authority", "h")];

/// A short frame of a client's, masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0], payload].concat()
}

async fn open_window(raw: &mut Raw<TcpStream>, stream: u32, bytes: u32) {
    raw.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
}

/// The next bytes of a stream.
async fn data(raw: &mut Raw<TcpStream>, stream: u32) -> Vec<u8> {
    let frame = raw.next_of(stream).await.unwrap();
    assert_eq!(frame.kind, DATA, "{frame:?}");
    frame.payload
}

async fn echoes(raw: &mut Raw<TcpStream>, stream: u32) {
    raw.send(DATA, 0, stream, &masked(0x81, b"hello")).await;
    assert_eq!(data(raw, stream).await, b"\x81\x05hello");
}

/// What the application says next.
async fn told(told: &mut UnboundedReceiver<String>) -> String {
    timeout(Duration::from_secs(20), told.recv()).await.expect("in time").expect("something")
}

async fn accepted(raw: &mut Raw<TcpStream>, stream: u32, fields: &[(&str, &str)], flags: u8) {
    raw.send_headers(flags, stream, fields).await;
    let frame = raw.next_of(stream).await.unwrap();
    assert!(frame.kind == HEADERS && frame.payload.contains(&0x88), "{frame:?}");
}

/// A stream whose window never opens is given up in time, with what is queued for it; its neighbour is not held up.
#[tokio::test]
async fn a_window_that_never_opens() {
    let (stream, mut says) = serve().await;
    let mut raw = Raw::client_with(stream, &CLOSED).await;
    let began = Instant::now();
    accepted(&mut raw, 1, &path("/flood"), 0).await;
    accepted(&mut raw, 3, &EVENTS, END_STREAM).await;
    accepted(&mut raw, 5, &path("/chat"), 0).await;
    open_window(&mut raw, 5, 60_000).await;
    for _ in 0..10 {
        echoes(&mut raw, 5).await;
    }
    let mut both = [told(&mut says).await, told(&mut says).await];
    both.sort();
    assert_eq!(
        both,
        ["/events: the peer took too long", "/flood: the peer takes nothing of what is written after few"]
    );
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for _ in 0..10 {
        echoes(&mut raw, 5).await;
    }
    raw.send(DATA, 0, 5, &masked(0x88, &[])).await;
    assert_eq!(data(&mut raw, 5).await, b"\x88\0");
    raw.send(DATA, END_STREAM, 5, &[]).await;
    assert_eq!(told(&mut says).await, "/chat: clean");
}

/// What hyper has taken for a stream whose window never opens stays there after the WebSocket was given up, as long as the peer
/// keeps its connection: it is a few writes, and not a few messages.
#[test]
fn what_is_held_for_a_stream_that_was_given_up() {
    const STREAMS: u32 = 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut kept = None;
    let (_, bytes) = allocations::memory(|| {
        runtime.block_on(async {
            let (stream, mut says) = serve().await;
            let mut raw = Raw::client_with(stream, &CLOSED).await;
            for number in 0..STREAMS {
                accepted(&mut raw, 2 * number + 1, &path("/large"), 0).await;
            }
            for _ in 0..STREAMS {
                assert_eq!(told(&mut says).await, "/large: the peer takes nothing of what is written");
            }
            kept = Some((raw, says));
        });
    });
    let each = usize::try_from(bytes).unwrap() / STREAMS as usize;
    assert!(each < 256 << 10, "{each}");
}

/// The connection's own window, used up by streams that are not read to an end, is theirs to open again; nothing is lost.
#[tokio::test]
async fn a_window_that_opens_byte_by_byte() {
    let (stream, mut says) = serve().await;
    let mut raw = Raw::client_with(stream, &CLOSED).await;
    accepted(&mut raw, 1, &path("/chat"), 0).await;
    accepted(&mut raw, 3, &EVENTS, END_STREAM).await;
    raw.send(DATA, 0, 1, &masked(0x81, b"hello")).await;
    raw.send(DATA, 0, 1, &masked(0x89, b"ping")).await;
    let mut got = Vec::new();
    let all = b"\x81\x05hello\x8a\x04ping";
    while got.len() < all.len() {
        open_window(&mut raw, 1, 1).await;
        let piece = data(&mut raw, 1).await;
        assert_eq!(piece.len(), 1);
        got.extend(piece);
        // Slower than the whole could be, faster than a byte may be.
        sleep(60 * MILLISECOND).await;
    }
    assert_eq!(got, all);
    // Events meanwhile: whole ones, however they are cut, until the stream was given up.
    let mut events = Vec::new();
    for _ in 0..20 {
        open_window(&mut raw, 3, 1).await;
        let frame = raw.next_of(3).await.unwrap();
        if frame.kind != DATA || frame.flags & END_STREAM != 0 {
            break;
        }
        events.extend(frame.payload);
    }
    assert!(
        b"data:x\n\ndata:x\n\ndata:x\n\n".starts_with(&events) || events.starts_with(b"data"),
        "{events:?}"
    );
    raw.send(RST_STREAM, 0, 3, &CANCEL.to_be_bytes()).await;
    // A close frame that is taken bit by bit.
    raw.send(DATA, 0, 1, &masked(0x88, &[3, 0xe8])).await;
    for byte in b"\x88\x02\x03\xe8" {
        open_window(&mut raw, 1, 1).await;
        assert_eq!(data(&mut raw, 1).await, [*byte]);
    }
    raw.send(DATA, END_STREAM, 1, &[]).await;
    let mut both = [told(&mut says).await, told(&mut says).await];
    both.sort();
    assert_eq!(both[0], "/chat: clean");
    assert!(both[1].starts_with("/events: "), "{both:?}");
}

/// Ends and resets, wherever they fall: what the application is told, once, and in time.
#[tokio::test]
async fn ends_and_resets() {
    let aborted = "/chat: the transport ended without a close frame";
    let lost = "/chat: lost";
    let hello = masked(0x81, b"hello");
    for (bytes, end, expected) in [
        // END_STREAM: between two messages, in a header, in a payload, in a message, behind a close frame.
        (&hello[..], None, aborted),
        (&hello[..1], None, aborted),
        (&hello[..9], None, aborted),
        (&masked(0x01, b"he")[..], None, aborted),
        (&masked(0x88, &[])[..], None, "/chat: clean"),
        (&[], None, aborted),
        // RST_STREAM, with codes that mean an end, and others.
        (&hello[..], Some(CANCEL), aborted),
        (&hello[..9], Some(CANCEL), aborted),
        (&hello[..9], Some(0), aborted),
        (&hello[..9], Some(1), lost),
        (&hello[..9], Some(2), lost),
        (&[], Some(2), lost),
    ] {
        let (stream, mut says) = serve().await;
        let mut raw = Raw::client(stream).await;
        accepted(&mut raw, 1, &path("/chat"), 0).await;
        accepted(&mut raw, 3, &BASE, 0).await;
        match end {
            None => raw.send(DATA, END_STREAM, 1, bytes).await,
            Some(code) => {
                raw.send(DATA, 0, 1, bytes).await;
                sleep(50 * MILLISECOND).await;
                raw.send(RST_STREAM, 0, 1, &code.to_be_bytes()).await;
            }
        }
        assert_eq!(told(&mut says).await, expected, "{bytes:?} {end:?}");
        echoes(&mut raw, 3).await;
    }
}

/// A stream that is reset, or whose connection goes, while the response waits; and one that is reset behind our close frame.
#[tokio::test]
async fn resets_before_and_behind() {
    let (stream, mut says) = serve().await;
    let mut raw = Raw::client(stream).await;
    raw.send_headers(0, 1, &path("/late")).await;
    accepted(&mut raw, 3, &BASE, 0).await;
    raw.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()).await;
    echoes(&mut raw, 3).await;
    // Ours is on its way, in answer to theirs, when the reset comes.
    raw.send(DATA, 0, 3, &masked(0x88, &[3, 0xe8])).await;
    assert_eq!(data(&mut raw, 3).await, b"\x88\x02\x03\xe8");
    raw.send(RST_STREAM, 0, 3, &CANCEL.to_be_bytes()).await;
    assert_eq!(told(&mut says).await, "/chat: clean");
    // hyper drops what answers a request that is gone; at the latest with the connection.
    accepted(&mut raw, 5, &BASE, 0).await;
    sleep(1200 * MILLISECOND).await;
    echoes(&mut raw, 5).await;
    drop(raw);
    let mut rest = Vec::new();
    while let Ok(Some(end)) = timeout(Duration::from_secs(5), says.recv()).await {
        rest.push(end);
        if rest.iter().any(|end| end == "connection over") && rest.iter().any(|end| end.starts_with("/chat"))
        {
            break;
        }
    }
    assert!(rest.iter().any(|end| end.starts_with("/chat: ")), "{rest:?}");
    assert!(rest.iter().any(|end| end == "connection over"), "{rest:?}");
}

/// A peer that says GOAWAY has its streams to an end; then the connection is over. One that just leaves takes all with it.
#[tokio::test]
async fn goaway() {
    let (stream, mut says) = serve().await;
    let mut raw = Raw::client(stream).await;
    accepted(&mut raw, 1, &BASE, 0).await;
    accepted(&mut raw, 3, &EVENTS, END_STREAM).await;
    raw.send(GOAWAY, 0, 0, &[0; 8]).await;
    echoes(&mut raw, 1).await;
    raw.send(RST_STREAM, 0, 3, &CANCEL.to_be_bytes()).await;
    assert!(told(&mut says).await.starts_with("/events: "));
    echoes(&mut raw, 1).await;
    raw.send(DATA, END_STREAM, 1, &masked(0x88, &[3, 0xe8])).await;
    let mut both = [told(&mut says).await, told(&mut says).await];
    both.sort();
    assert_eq!(both, ["/chat: clean", "connection over"]);

    let (stream, mut says) = serve().await;
    let mut raw = Raw::client(stream).await;
    accepted(&mut raw, 1, &BASE, 0).await;
    accepted(&mut raw, 3, &EVENTS, END_STREAM).await;
    drop(raw);
    let mut all = [told(&mut says).await, told(&mut says).await, told(&mut says).await];
    all.sort();
    assert!(
        all[0].starts_with("/chat: ") && all[1].starts_with("/events: ") && all[2] == "connection over",
        "{all:?}"
    );
}

/// A hundred streams that say nothing cost one that speaks nothing.
#[tokio::test]
async fn a_hundred_idle_streams() {
    let (stream, mut says) = serve().await;
    let mut raw = Raw::client(stream).await;
    let streams: Vec<u32> = (0..100).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        accepted(&mut raw, *stream, &BASE, 0).await;
    }
    for _ in 0..100 {
        echoes(&mut raw, 99).await;
        open_window(&mut raw, 0, 7).await;
    }
    for stream in &streams {
        echoes(&mut raw, *stream).await;
        raw.send(DATA, END_STREAM, *stream, &masked(0x88, &[])).await;
        assert_eq!(told(&mut says).await, "/chat: clean");
    }
}

/// A client against a server whose frames are the test's: what the attempt comes to, and how long it takes. `setting` is what the
/// server's SETTINGS have.
async fn dials(
    setting: &'static [u8],
    answer: impl AsyncFnOnce(&mut Raw<TcpStream>) + 'static,
) -> (Result<Socket, Error>, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let serving = async move {
        let mut raw = Raw::server(far, &[]).await;
        raw.send(SETTINGS, 0, 0, setting).await;
        while let Some(frame) = raw.next_of(1).await {
            if frame.kind == HEADERS {
                answer(&mut raw).await;
                break;
            }
        }
        // It stays, and says nothing.
        while raw.next_of(1).await.is_some() {}
    };
    let local = tokio::task::LocalSet::new();
    local.spawn_local(serving);
    let connecting = local.run_until(async move {
        let http2 = Http2::new(stream).await.unwrap();
        let options = Options::new()
            .handshake_timeout(3000 * MILLISECOND)
            .write_timeout(300 * MILLISECOND)
            .close_timeout(300 * MILLISECOND);
        let began = Instant::now();
        let uri = Uri::parse("ws://h/chat").unwrap();
        let socket =
            timeout(Duration::from_secs(20), http2.connect(&uri, &ClientOptions::new(), &options)).await;
        (socket.expect("it ends in time"), began.elapsed())
    });
    let dialed = connecting.await;
    tokio::task::spawn_local(local); // it goes on as long as the test's
    dialed
}

const ENABLED: &[u8] = &[0, 8, 0, 0, 0, 1];

#[tokio::test]
async fn servers_that_answer_otherwise() {
    tokio::task::LocalSet::new()
        .run_until(async {
            // No extended CONNECT: it is waited for, but not long.
            let (dialed, took) = dials(&[], async |_| ()).await;
            let Err(Error::Handshake(refused)) = dialed else { panic!("{dialed:?}") };
            assert_eq!(refused.error, ClientError::ConnectNotEnabled);
            assert!(took >= SETTINGS_TIMEOUT && took < Duration::from_secs(15), "{took:?}");
            // No streams at all, and no answer.
            const NONE: &[u8] = &[0, 8, 0, 0, 0, 1, 0, 3, 0, 0, 0, 0];
            for setting in [NONE, ENABLED] {
                let (dialed, took) = dials(setting, async |_| ()).await;
                assert!(matches!(dialed, Err(Error::TimedOut(TimedOut::Handshake))), "{dialed:?}");
                assert!(took < Duration::from_secs(15), "{took:?}");
            }
            // Interim answers without an end.
            let (dialed, took) = dials(ENABLED, async |raw| {
                for _ in 0..300 {
                    raw.send_headers(0, 1, &[(":status", "103")]).await;
                    sleep(20 * MILLISECOND).await;
                }
            })
            .await;
            assert!(dialed.is_err() && took < Duration::from_secs(15), "{dialed:?} {took:?}");
            // A refusal whose body has no end: 4 KiB of it, or what comes in a second.
            for pause in [0, 100] {
                let (dialed, took) = dials(ENABLED, async move |raw| {
                    raw.send_headers(0, 1, &[(":status", "403")]).await;
                    for _ in 0..60 {
                        raw.send(DATA, 0, 1, &[b'x'; 100]).await;
                        sleep(pause * MILLISECOND).await;
                    }
                })
                .await;
                let Err(Error::Handshake(refused)) = dialed else { panic!("{dialed:?}") };
                assert_eq!(refused.error, ClientError::UnexpectedStatus(403));
                let most = if pause == 0 { 4096..=4096 } else { 100..=4096 };
                assert!(most.contains(&refused.body.len()), "{}", refused.body.len());
                assert!(took < Duration::from_secs(15), "{took:?}");
            }
            // GOAWAY instead of an answer, which leaves the request out; DATA before any.
            let (dialed, _) = dials(ENABLED, async |raw| raw.send(GOAWAY, 0, 0, &[0; 8]).await).await;
            assert!(matches!(dialed, Err(Error::Io(_))), "{dialed:?}");
            let (dialed, _) = dials(ENABLED, async |raw| raw.send(DATA, 0, 1, b"early").await).await;
            assert!(matches!(dialed, Err(Error::Io(_))), "{dialed:?}");
        })
        .await;
}

/// A server that lets the client in and opens no window: who writes is told in time.
#[tokio::test]
async fn a_server_whose_window_never_opens() {
    tokio::task::LocalSet::new()
        .run_until(async {
            const NONE: &[u8] = &[0, 8, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0];
            let (dialed, _) =
                dials(NONE, async |raw| raw.send_headers(0, 1, &[(":status", "200")]).await).await;
            let mut socket = dialed.unwrap();
            let sending = async {
                for _ in 0..1000 {
                    if let Err(error) = socket.send("x".repeat(100_000)).await {
                        return words(&error);
                    }
                }
                "it is held somewhere".into()
            };
            let told = timeout(Duration::from_secs(20), sending).await.expect("in time");
            assert_eq!(told, "the peer takes nothing of what is written");
        })
        .await;
}
