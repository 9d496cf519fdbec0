//! Clients through an HTTP proxy (RFC 9110 9.3.6): WebSockets and event streams, over both adapters, with TLS and without;
//! proxies that refuse, talk nonsense, or say nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code)]
#[path = "tls/certificates.rs"]
mod certificates;

use certificates::House;
use pushline::adapter::blocking::{self, TlsStream, Transport};
use pushline::adapter::tokio::sse::{self, EventSource, SourceEvent, SourceOptions};
use pushline::adapter::{Error, Options, Proxy, TimedOut, tokio as pushline_tokio};
use pushline::http1::TunnelError;
use pushline::http1::head::HeadError;
use pushline::ws::Message;
use pushline::ws::handshake::{ClientOptions, ServerOptions};
use std::future::Future;
use std::io::{self, Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("in time") })
}

/// Serves each connection on a thread of its own.
fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let (tcp, serve) = (tcp.unwrap(), serve.clone());
            thread::spawn(move || serve(tcp));
        }
    });
    port
}

fn head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A proxy that does as it is asked; whatever the name, to this machine. With the requests that it got.
fn proxy() -> (u16, Receiver<String>) {
    let (heads, received) = channel();
    let port = listen(move |mut near| {
        let head = head(&mut near);
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let port: u16 = target.rsplit_once(':').unwrap().1.parse().unwrap();
        heads.send(head).unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
        near.write_all(b"HTTP/1.1 103 X\r\n\r\nHTTP/1.0 200 Connection established\r\n").unwrap();
        thread::sleep(Duration::from_millis(5));
        near.write_all(b"via: 1.1 p\r\n\r\n").unwrap();
        let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let back = thread::spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut far, &mut near);
        let _ = near.shutdown(Shutdown::Write);
        back.join().unwrap();
    });
    (port, received)
}

/// Echoes WebSocket messages, or serves an event stream, whichever is asked for.
fn serve<S: Transport>(stream: S) -> Result<(), Error> {
    let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new())?;
    while let Some(message) = socket.next()? {
        if message.is_data() {
            socket.send(message)?;
        }
    }
    Ok(())
}

fn events(mut stream: impl Read + Write) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\ndata: 1\n\n",
    )?;
    stream.flush()
}

fn talk(url: &str, options: &Options) -> [Result<Option<Message>, Error>; 2] {
    let over_tokio = block_on(async {
        let mut socket = pushline_tokio::connect(url, ClientOptions::new(), options).await?;
        socket.send("Hello").await?;
        let echo = socket.next().await.transpose()?;
        socket.close(1000, "").await.map(|()| echo)
    });
    let over_blocking = (|| {
        let mut socket = blocking::connect(url, ClientOptions::new(), options)?;
        socket.send("Hello")?;
        let echo = socket.next()?;
        socket.close(1000, "").map(|()| echo)
    })();
    [over_tokio, over_blocking]
}

#[test]
fn sockets_and_streams_go_through() {
    let house = House::with(&["server.example"], |_| {});
    let config = house.server();
    let tls = move |tcp| TlsStream::server(tcp, Arc::clone(&config), LONG);
    let (with_tls, with_tls_too) = (tls.clone(), tls);
    let plain = listen(|tcp| drop(serve(tcp)));
    let secure = listen(move |tcp| drop(with_tls(tcp).map(serve)));
    let plain_events = listen(|tcp| events(tcp).unwrap());
    let secure_events = listen(move |tcp| events(with_tls_too(tcp).unwrap()).unwrap());
    for (user, authorization) in
        [("", None), ("Aladdin:open%20sesame@", Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))]
    {
        let (port, heads) = proxy();
        let proxy = Proxy::all(&format!("http://{user}127.0.0.1:{port}")).unwrap();
        let check = |target: u16| {
            let head = heads.recv_timeout(LONG).unwrap();
            let target = format!("server.example:{target}");
            assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n")), "{head}");
            let field = head.split("proxy-authorization: Basic ").nth(1).map(|rest| rest.trim_end());
            assert_eq!(field, authorization);
            assert!(heads.try_recv().is_err());
        };
        // Nobody here knows that name: the proxy does.
        let options = Options::new().tls(house.client()).proxy(proxy.clone());
        for (scheme, port) in [("ws", plain), ("wss", secure)] {
            for echo in talk(&format!("{scheme}://server.example:{port}/"), &options) {
                assert_eq!(echo.unwrap(), Some(Message::from("Hello")));
            }
            // One of each adapter.
            assert_eq!(heads.recv_timeout(LONG).unwrap().matches("CONNECT").count(), 1);
            check(port);
        }
        for (scheme, port) in [("http", plain_events), ("https", secure_events)] {
            block_on(async {
                let options = SourceOptions::new().tls(house.client()).proxy(proxy.clone());
                let url = format!("{scheme}://server.example:{port}/");
                let mut source = EventSource::new(&url, options).unwrap();
                assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
                assert!(
                    matches!(source.next().await, Some(Ok(SourceEvent::Event(event))) if event.data == "1")
                );
            });
            check(port);
        }
    }
}

#[test]
fn where_no_proxy_is_needed() {
    let plain = listen(|tcp| drop(serve(tcp)));
    let options = |bypass: &str| Options::new().proxy(Proxy::all("127.0.0.1:1").unwrap().bypass(bypass));
    for echo in talk(&format!("ws://127.0.0.1:{plain}/"), &options("127.0.0.0/8")) {
        assert_eq!(echo.unwrap(), Some(Message::from("Hello")));
    }
    for refused in talk(&format!("ws://127.0.0.1:{plain}/"), &options("other.example")) {
        assert!(matches!(refused, Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}

/// The server behind the proxy speaks first, in the same segment as the proxy's answer: all of it is the server's.
#[test]
fn nothing_behind_the_head_is_lost() {
    for behind in ["HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nlater", "\0\x01garbage\r\n\r\n"] {
        let port = listen(move |mut tcp| {
            head(&mut tcp);
            tcp.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{behind}").as_bytes()).unwrap();
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        let options = Options::new().proxy(Proxy::all(&format!("127.0.0.1:{port}")).unwrap());
        for talk in talk("ws://server.example/", &options) {
            let Err(Error::Handshake(error)) = talk else { panic!("{talk:?}") };
            match &error.response {
                Some(response) => assert_eq!((response.status, &error.body[..]), (503, &b"later"[..])),
                None => assert!(behind.starts_with('\0')),
            }
        }
    }
}

#[test]
fn proxies_that_give_no_tunnel() {
    let huge = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(20_000));
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(100_000));
    for (answer, expected) in [
        ("HTTP/1.1 407 Auth\r\nproxy-authenticate: Basic\r\n\r\n", TunnelError::Unauthorized),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno", TunnelError::Refused(502)),
        ("HTTP/1.1 302 Login\r\nlocation: http://portal/\r\n\r\n", TunnelError::Refused(302)),
        ("SSH-2.0-OpenSSH_9.9\r\n", TunnelError::Malformed(HeadError::BadStatusLine)),
        ("HTTP/1.1 200 OK\n\n", TunnelError::Malformed(HeadError::BadLineEnd)),
        (&huge, TunnelError::Malformed(HeadError::TooManyFields)),
        (&long, TunnelError::Malformed(HeadError::LineTooLong)),
        ("HTTP/1.1 200 OK\r\n", TunnelError::Ended),
        ("", TunnelError::Ended),
    ] {
        let answer = answer.to_owned();
        let port = listen(move |mut tcp| {
            head(&mut tcp);
            let _ = tcp.write_all(answer.as_bytes());
            let _ = tcp.shutdown(Shutdown::Write);
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        let proxy = Proxy::all(&format!("127.0.0.1:{port}")).unwrap();
        for url in ["ws://server.example/", "wss://server.example/"] {
            let began = Instant::now();
            for talk in talk(url, &Options::new().proxy(proxy.clone())) {
                assert!(
                    matches!(&talk, Err(Error::Proxy(error)) if *error == expected),
                    "{talk:?}, {expected:?}"
                );
            }
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        block_on(async {
            let options = SourceOptions::new().proxy(proxy.clone());
            let mut source = EventSource::new("http://server.example/", options).unwrap();
            match source.next().await {
                // Credentials do not become right by asking again.
                Some(Err(sse::Error::Proxy(error))) => assert_eq!(error, TunnelError::Unauthorized),
                Some(Ok(SourceEvent::Lost { error: Some(sse::Error::Proxy(error)), .. })) => {
                    assert_eq!(error, expected)
                }
                other => panic!("{other:?}"),
            }
        });
    }
}

/// One that is silent, or never ends its answer, within the time for the handshake.
#[test]
fn proxies_that_take_their_time() {
    for drip in [false, true] {
        let port = listen(move |mut tcp| {
            head(&mut tcp);
            let answer = b"HTTP/1.1 200 OK\r\n".iter().chain(std::iter::repeat_n(&b'a', 1000));
            for byte in answer {
                thread::sleep(Duration::from_millis(20));
                if drip && tcp.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        });
        let proxy = Proxy::all(&format!("127.0.0.1:{port}")).unwrap();
        let options = Options::new().proxy(proxy).handshake_timeout(Duration::from_millis(300));
        let began = Instant::now();
        for talk in talk("wss://server.example/", &options) {
            assert!(matches!(talk, Err(Error::TimedOut(TimedOut::Handshake))), "{talk:?}");
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(3), "{took:?}");
    }
}
