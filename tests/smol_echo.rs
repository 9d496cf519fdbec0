//! The example `smol_echo`: both roles on the machines alone, and against the blocking adapter.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test, not the protocol

#[allow(dead_code)]
#[path = "../examples/smol_echo/main.rs"]
mod example;

use example::{Socket, echo};
use pushline::adapter::{Options, blocking};
use pushline::ws::handshake::{ClientOptions, ServerOptions, Uri};
use pushline::ws::{End, Message};
use smol::net::{TcpListener, TcpStream};
use std::time::Duration;

#[test]
fn both_roles() {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = smol::spawn(async move { echo(listener.accept().await.unwrap().0).await.unwrap() });
        let uri = Uri::parse("ws://example.com/").unwrap();
        let mut socket = Socket::connect(TcpStream::connect(address).await.unwrap(), &uri).await.unwrap();
        // Larger than what the kernel takes at once.
        for len in [0, 5, 125, 126, 70_000, 6_000_000] {
            let text = "x".repeat(len);
            socket.send(&text).await.unwrap();
            assert_eq!(socket.next().await.unwrap(), text.into());
        }
        // Both send before either reads.
        for number in 0..200 {
            socket.send(&format!("{number}")).await.unwrap();
        }
        for number in 0..200 {
            assert_eq!(socket.next().await.unwrap(), format!("{number}").into());
        }
        socket.close(1000).unwrap();
        assert!(matches!(socket.next().await.unwrap(), Message::Close(_)));
        assert_eq!(socket.next().await, Err(End::Closed));
        assert_eq!(server.await, End::Closed);
    });
}

/// What came before a close frame is answered, although all of it is there at once.
#[test]
fn messages_with_a_close_behind() {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let uri = Uri::parse("ws://example.com/").unwrap();
        let client = async {
            let mut socket = Socket::connect(TcpStream::connect(address).await.unwrap(), &uri).await.unwrap();
            for text in ["one", "two", "three"] {
                socket.send(text).await.unwrap();
            }
            socket.close(1000).unwrap();
            for text in ["one", "two", "three"] {
                assert_eq!(socket.next().await.unwrap(), text.into());
            }
            assert!(matches!(socket.next().await.unwrap(), Message::Close(_)));
            assert_eq!(socket.next().await, Err(End::Closed));
        };
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = Socket::accept(stream, &ServerOptions::new()).await.unwrap();
            let first = socket.next().await.unwrap();
            smol::Timer::after(Duration::from_millis(100)).await; // the rest has come by then
            socket.send(first).await.unwrap();
            for text in ["two", "three"] {
                assert_eq!(socket.next().await.unwrap(), text.into());
                socket.send(text).await.unwrap();
            }
            assert!(matches!(socket.next().await.unwrap(), Message::Close(_)));
            assert_eq!(socket.next().await, Err(End::Closed));
        };
        smol::future::zip(client, server).await;
    });
}

#[test]
fn against_the_blocking_adapter() {
    let listener = smol::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        smol::block_on(async {
            let refused = echo(listener.accept().await.unwrap().0).await;
            assert!(refused.is_err());
            let end = echo(listener.accept().await.unwrap().0).await.unwrap();
            let cut = echo(listener.accept().await.unwrap().0).await.unwrap();
            (end, cut)
        })
    });
    let connect = |origin: &str| {
        let options = ClientOptions::new().origin(origin).unwrap();
        blocking::connect(&format!("ws://{address}/"), options, &Options::new())
    };
    assert!(connect("http://evil.example").is_err());
    let mut socket = connect(&format!("http://{address}")).unwrap();
    socket.send("Hello").unwrap();
    assert_eq!(socket.next().unwrap(), Some("Hello".into()));
    socket.ping(b"?").unwrap();
    assert_eq!(socket.next().unwrap(), Some(Message::Pong("?".into())));
    socket.close(1000, "").unwrap();
    drop(connect(&format!("http://{address}")).unwrap());
    assert_eq!(server.join().unwrap(), (End::Closed, End::Aborted));
}
