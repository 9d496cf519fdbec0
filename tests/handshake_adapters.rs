//! The opening handshake over both adapters: refusals with their bodies, deadlines, floods, addresses, and how much
//! memory a task holds for it.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // it is about sockets
use pushline::adapter::{Error, Options, TimedOut, blocking, tokio as pushline_tokio};
use pushline::http1::head::{HeadError, HeadLimits};
use pushline::ws::handshake::{
    ClientError, ClientOptions, HandshakeError, MAX_REFUSED_BODY, Refusal, Rejection, ServerOptions, Uri,
};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn uri() -> Uri {
    Uri::parse("ws://h/chat").unwrap()
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// A client that gets `pieces` for its request, over each adapter.
fn refused(pieces: &[&[u8]], close: bool, options: ClientOptions) -> [HandshakeError; 2] {
    let serve = |mut server: TcpStream, pieces: Vec<Vec<u8>>| {
        thread::spawn(move || {
            let _ = server.read(&mut [0; 1024]).unwrap();
            for piece in pieces {
                server.write_all(&piece).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
            if close {
                server.shutdown(Shutdown::Write).unwrap();
            }
            // Kept open: whoever waits for its end without need waits for long.
            let _ = server.read(&mut [0; 1]);
        })
    };
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let timeout = Options::new().handshake_timeout(Duration::from_secs(3));
    let began = Instant::now();
    let (near, far) = sockets();
    let server = serve(far, pieces.clone());
    let over_blocking = blocking::client(near, &uri(), options.clone(), &timeout).unwrap_err();
    server.join().unwrap();
    let (near, far) = sockets();
    let server = serve(far, pieces);
    let over_tokio = runtime().block_on(async {
        near.set_nonblocking(true).unwrap();
        let near = tokio::net::TcpStream::from_std(near).unwrap();
        pushline_tokio::client(near, &uri(), options, &timeout).await.unwrap_err()
    });
    server.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "waited for what was not to come");
    [over_blocking, over_tokio].map(|error| match error {
        Error::Handshake(error) => *error,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_body_of_a_refusal_is_read_by_its_framing() {
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    for (status, fields, body, close, expected) in [
        ("404 Not Found", "Content-Length: 5\r\n", &[&b"he"[..], b"llo"][..], false, &b"hello"[..]),
        ("404 Not Found", "Content-Length: 0\r\n", &[], false, b""),
        (
            "503 No",
            "Transfer-Encoding: chunked\r\n",
            &[b"2\r\nhe\r\n3\r", b"\nllo\r\n0\r\n\r\n"],
            false,
            b"hello",
        ),
        ("503 No", "Transfer-Encoding: chunked\r\n", &[b"2\r\nhex"], false, b"he"),
        ("200 OK", "", &[b"he", b"llo"], true, b"hello"),
        ("500 No", "Content-Length: 9\r\n", &[b"he", b"llo"], true, b"hello"),
        // RFC 9112 6.3: these have none, whatever they say.
        ("204 No Content", "Content-Length: 5\r\n", &[], false, b""),
        ("304 Not Modified", "Content-Length: x\r\n", &[], false, b""),
        ("304 Not Modified", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &[], false, b""),
    ] {
        let head = head(status, fields);
        let pieces: Vec<&[u8]> = [&head[..]].into_iter().chain(body.iter().copied()).collect();
        for error in refused(&pieces, close, ClientOptions::new()) {
            let status = status[..3].parse().unwrap();
            assert_eq!(error.error, ClientError::UnexpectedStatus(status));
            assert_eq!(error.response.unwrap().status, status);
            assert_eq!(error.body, expected, "{status} {fields}");
        }
    }
}

#[test]
fn no_more_of_a_body_is_read_than_asked_for() {
    let refusal = |length: usize| {
        let mut bytes = format!("HTTP/1.1 404 No\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        bytes
    };
    let read = |length, options| refused(&[&refusal(length)], false, options).map(|error| error.body.len());
    for length in [99, 100, 101] {
        assert_eq!(read(length, ClientOptions::new().max_body(100)), [length.min(100); 2]);
    }
    assert_eq!(read(5, ClientOptions::new().max_body(0)), [0; 2]);
    assert_eq!(read(MAX_REFUSED_BODY + 1, ClientOptions::new()), [MAX_REFUSED_BODY; 2]);
}

/// What a server says to these bytes over each adapter, what it writes, and how long it took.
fn served(
    bytes: &[u8],
    server: &ServerOptions,
    options: &Options,
    hold: bool,
) -> [(Result<(), Error>, Vec<u8>, Duration); 2] {
    [false, true].map(|over_tokio| {
        let (mut near, far) = sockets();
        let (server, options, bytes) = (server.clone(), options.clone(), bytes.to_vec());
        let began = Instant::now();
        let serving = thread::spawn(move || {
            let outcome = if over_tokio {
                runtime().block_on(async {
                    far.set_nonblocking(true).unwrap();
                    let far = tokio::net::TcpStream::from_std(far).unwrap();
                    pushline_tokio::accept(far, &server, &options).await.map(drop)
                })
            } else {
                blocking::accept(far, &server, &options).map(drop)
            };
            (outcome, began.elapsed())
        });
        near.write_all(&bytes).unwrap();
        if !hold {
            near.shutdown(Shutdown::Write).unwrap();
        }
        let mut written = Vec::new();
        let _ = near.read_to_end(&mut written);
        if hold {
            drop(near);
        }
        let (outcome, took) = serving.join().unwrap();
        (outcome, written, took)
    })
}

#[test]
fn a_refusal_says_why() {
    let request = format!("{REQUEST}Origin: https://evil.example\r\n\r\n");
    for (outcome, written, _) in served(request.as_bytes(), &ServerOptions::new(), &Options::new(), false) {
        let Err(Error::Rejected(rejection)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejection.refusal(), Refusal::OriginNotAllowed);
        let expected = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n\
            Connection: close\r\n\r\nthe Origin is not allowed\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}

#[test]
fn a_head_request_is_answered_without_a_body() {
    for (_, written, _) in
        served(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", &ServerOptions::new(), &Options::new(), false)
    {
        assert!(written.starts_with(b"HTTP/1.1 405 ") && written.ends_with(b"\r\n\r\n"));
    }
}

#[test]
fn clients_of_other_protocols_are_answered_at_once_in_their_own() {
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03and so on";
    for (bytes, error, answer) in [
        (&hello[..], HeadError::TlsHandshake, &[21, 3, 3, 0, 2, 2, 40][..]),
        (&hello[..3], HeadError::TlsHandshake, &[21, 3, 3, 0, 2, 2, 40]),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            HeadError::Http2Preface,
            b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d",
        ),
    ] {
        for (outcome, written, took) in served(bytes, &ServerOptions::new(), &Options::new(), false) {
            let Err(Error::Rejected(rejection)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(rejection.refusal(), Refusal::Head(error));
            assert_eq!(written, answer);
            assert!(took < Duration::from_secs(3));
        }
    }
}

#[test]
fn the_number_of_fields_can_be_raised() {
    let request = |fields: usize| {
        let mut request = String::from(REQUEST);
        for number in 0..fields - 5 {
            write!(request, "X-{number}: y\r\n").unwrap();
        }
        request + "\r\n"
    };
    let options = |fields| ServerOptions::new().limits(HeadLimits::new().fields(fields).head(64 * 1024));
    for (limit, most) in [(64, 64), (100, 100), (256, 256), (300, 300), (1024, 1024), (usize::MAX, 1024)] {
        for fields in [most - 1, most, most + 1] {
            for (outcome, ..) in served(request(fields).as_bytes(), &options(limit), &Options::new(), false) {
                match outcome {
                    Ok(()) => assert!(fields <= most, "{fields} of {most}"),
                    Err(Error::Rejected(rejection)) => {
                        assert_eq!(rejection.refusal(), Refusal::Head(HeadError::TooManyFields));
                        assert!(fields > most, "{fields} of {most}");
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn a_silent_client_is_told_and_let_go_in_time() {
    let options = Options::new()
        .handshake_timeout(Duration::from_millis(100))
        .close_timeout(Duration::from_millis(100));
    for (outcome, written, took) in served(b"GET / HT", &ServerOptions::new(), &options, true) {
        assert!(matches!(outcome, Err(Error::TimedOut(TimedOut::Handshake))), "{outcome:?}");
        assert!(written.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
        assert!(took < Duration::from_secs(2));
    }
}

#[test]
fn no_client_keeps_a_refusal_busy() {
    for over_tokio in [false, true] {
        let (mut near, far) = sockets();
        let began = Instant::now();
        let flooding = thread::spawn(move || {
            near.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            // Fast enough that there is always something to read, until the server has gone.
            while near.write_all(&[0; 4096]).is_ok() {}
        });
        let options = Options::new().close_timeout(Duration::from_secs(20));
        let server = ServerOptions::new();
        let outcome = if over_tokio {
            runtime().block_on(async {
                far.set_nonblocking(true).unwrap();
                let far = tokio::net::TcpStream::from_std(far).unwrap();
                pushline_tokio::accept(far, &server, &options).await.map(drop)
            })
        } else {
            blocking::accept(far, &server, &options).map(drop)
        };
        assert!(matches!(outcome, Err(Error::Rejected(_))));
        assert!(began.elapsed() < Duration::from_secs(5));
        flooding.join().unwrap();
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

/// The process was stopped while the request came: it is read, and not judged by the clock.
#[tokio::test(start_paused = true)]
async fn a_request_that_came_in_time_is_read_late() {
    let (mut near, far) = tokio::io::duplex(4096);
    let (server, options) = (ServerOptions::new(), Options::new());
    let mut accepting = Box::pin(pushline_tokio::accept(far, &server, &options));
    assert!(poll_once(&mut accepting).await.is_pending());
    near.write_all(format!("{REQUEST}\r\n").as_bytes()).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    // What it may not have is a second chance.
    let mut response = [0; 12];
    let outcome = poll_once(&mut accepting).await;
    match outcome {
        std::task::Poll::Ready(Ok(_)) => {}
        other => panic!("{other:?}"),
    }
    near.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 101");
}

#[test]
fn no_timeout_is_too_long() {
    let never = Options::new().handshake_timeout(Duration::MAX).close_timeout(Duration::MAX);
    for (outcome, ..) in served(format!("{REQUEST}\r\n").as_bytes(), &ServerOptions::new(), &never, false) {
        assert!(outcome.is_ok());
    }
    for (outcome, ..) in served(b"\r\n\r\n", &ServerOptions::new(), &never, false) {
        assert!(matches!(outcome, Err(Error::Rejected(_))));
    }
}

/// A stream that ends as TLS does when the peer says nothing.
struct Cut;

impl Read for Cut {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_end_of_tls_is_an_end() {
    let cut = blocking::Untimed(Cut);
    let outcome = blocking::accept(cut, &ServerOptions::new(), &Options::new());
    assert!(matches!(outcome, Err(Error::Aborted)));
    let outcome = blocking::client(blocking::Untimed(Cut), &uri(), ClientOptions::new(), &Options::new());
    let Err(Error::Handshake(error)) = outcome else { panic!() };
    assert_eq!(error.error, ClientError::UnexpectedEof);
}

#[test]
fn futures_are_small() {
    let (server, options) = (ServerOptions::new(), Options::new());
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = async || tokio::net::TcpStream::connect(address).await.unwrap();
        let accepting = pushline_tokio::accept(stream().await, &server, &options);
        let size = size_of_val(&accepting);
        assert!(size <= 640, "accept: {size}");
        let deciding =
            pushline_tokio::accept_with(stream().await, &server, &options, |_, _| Err(Rejection::new(404)));
        let size = size_of_val(&deciding);
        assert!(size <= 640, "accept_with: {size}");
        let client = pushline_tokio::client(stream().await, &uri(), ClientOptions::new(), &options);
        let size = size_of_val(&client);
        assert!(size <= 640, "client: {size}");
        let connecting = pushline_tokio::connect("ws://h/", ClientOptions::new(), &options);
        let size = size_of_val(&connecting);
        assert!(size <= 64, "connect: {size}");
    });
}

#[test]
fn a_response_is_handed_out_and_credentials_are_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://user:pass%20word@{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let options = ServerOptions::new().subprotocols(["chat"]).unwrap();
            let socket = blocking::accept_with(stream, &options, &Options::new(), |request, accepted| {
                if request.field("authorization") != Some(b"Basic dXNlcjpwYXNzIHdvcmQ=") {
                    return Err(Rejection::new(401));
                }
                accepted.add_field("Set-Cookie", "a=b").map_err(|_| Rejection::new(500))
            });
            assert_eq!(socket.unwrap().subprotocol(), Some("chat"));
        }
    });
    let options = || ClientOptions::new().subprotocols(["chat"]).unwrap();
    let (socket, response) = blocking::connect_with_response(&url, options(), &Options::new()).unwrap();
    assert_eq!(socket.subprotocol(), Some("chat"));
    assert!(response.fields.iter().any(|field| field == ("Set-Cookie", b"a=b")));
    let response = runtime().block_on(async {
        let defaults = Options::new();
        let connecting = pushline_tokio::connect_with_response(&url, options(), &defaults);
        let (socket, response) = connecting.await.unwrap();
        assert_eq!(socket.subprotocol(), Some("chat"));
        response
    });
    assert_eq!(response.status, 101);
    server.join().unwrap();
}

/// An operator reads where it was tried, and nothing that others must not know.
#[tokio::test]
async fn an_error_of_connecting_says_where_to() {
    use pushline::adapter::blocking::sse::EventSource as BlockingSource;
    use pushline::adapter::sse::SourceOptions;
    use pushline::adapter::tokio::sse::EventSource;
    use pushline::adapter::tokio::{Loss, ReconnectEvent, ReconnectOptions, Reconnecting};
    use pushline::adapter::{Proxy, sse::SourceEvent};
    let closed = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (server, proxy) = (closed(), closed());
    let by_proxy = || Proxy::all(&format!("http://user:secret@{proxy}")).unwrap();
    for (options, source, to) in [
        (Options::new(), SourceOptions::new(), server),
        (Options::new().proxy(by_proxy()), SourceOptions::new().proxy(by_proxy()), proxy),
    ] {
        let mut told: Vec<(String, String)> = Vec::new();
        for scheme in ["ws", "wss"] {
            let url = format!("{scheme}://user:secret@{server}/secret?token=secret");
            let async_error =
                pushline::adapter::tokio::connect(&url, ClientOptions::new(), &options).await.unwrap_err();
            let error =
                pushline::adapter::blocking::connect(&url, ClientOptions::new(), &options).unwrap_err();
            for error in [async_error, error] {
                assert!(
                    matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
                );
                told.push((error.to_string(), format!("{error:?}")));
            }
            let mut client =
                Reconnecting::new(&url, ClientOptions::new(), options.clone(), ReconnectOptions::new())
                    .unwrap();
            let Some(Ok(ReconnectEvent::Lost { loss: loss @ Loss::Failed(_), .. })) = client.next().await
            else {
                panic!("nobody is there");
            };
            told.push((loss.to_string(), format!("{loss:?}")));
        }
        let url = format!("http://{server}/secret?token=secret");
        let events = [
            EventSource::new(&url, source.clone()).unwrap().next().await.unwrap().unwrap(),
            BlockingSource::new(&url, source).unwrap().next().unwrap().unwrap(),
        ];
        for event in events {
            let SourceEvent::Lost { error: Some(error), .. } = event else { panic!("nobody is there") };
            told.push((error.to_string(), format!("{error:?}")));
        }
        for (text, debug) in told {
            assert!(text.starts_with(&format!("connecting to {to}: ")), "{text}");
            assert!(
                text.contains("refused") && !text.contains("secret") && !debug.contains("secret"),
                "{debug}"
            );
        }
    }
}

/// Also if the server resets the connection when it has the request.
#[test]
fn an_error_of_the_handshake_says_where_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 10]).unwrap() > 0);
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let url = format!("ws://user:secret@{server}/?secret");
    let errors = [
        blocking::connect(&url, ClientOptions::new(), &Options::new()).unwrap_err(),
        runtime().block_on(pushline_tokio::connect(&url, ClientOptions::new(), &Options::new())).unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.starts_with(&format!("connecting to {server}: ")) && !text.contains("secret"), "{text}");
    }
    serving.join().unwrap();
}
