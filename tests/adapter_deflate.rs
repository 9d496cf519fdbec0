//! Compression through both adapters: agreed in the handshake, used when sending, left out when told to.
#![cfg(all(feature = "deflate", feature = "tokio"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::disallowed_types)]

use pushline::adapter::{Options, blocking};
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{ClientOptions, ServerOptions};
use pushline::ws::{Message, Prepared};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

const TEXT: &str = "again and again and again and again";

fn deflate() -> DeflateOptions {
    DeflateOptions::new(Compression::Shared).threshold(0)
}

/// A client by hand, that agrees to what it is answered: the frames' first bytes and lengths of `count` frames.
fn frames(mut stream: TcpStream, count: usize) -> Vec<(u8, usize)> {
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(String::from_utf8(head).unwrap().contains("Sec-WebSocket-Extensions: permessage-deflate"));
    let mut seen = Vec::new();
    for _ in 0..count {
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        let mut payload = vec![0; usize::from(header[1])];
        stream.read_exact(&mut payload).unwrap();
        seen.push((header[0], payload.len()));
    }
    seen
}

fn check(seen: &[(u8, usize)]) {
    for sent in seen.chunks(4) {
        let [(0xc1, text), (0xc1, message), (0xc1, prepared), (0x81, plain)] = *sent else {
            panic!("{sent:02x?}")
        };
        assert_eq!((text, message, plain), (prepared, prepared, TEXT.len()));
        assert!(text < TEXT.len() / 2);
    }
}

#[test]
fn the_blocking_adapter_compresses_unless_told_not_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || frames(TcpStream::connect(address).unwrap(), 8));
    let options = ServerOptions::new().deflate(deflate());
    let mut socket = blocking::accept(listener.accept().unwrap().0, &options, &Options::new()).unwrap();
    socket.send(TEXT).unwrap();
    socket.send(TEXT).unwrap();
    socket.send(&Prepared::text(TEXT)).unwrap();
    socket.send_plain(TEXT).unwrap();
    let (writer, _reader) = socket.split_with(|stream: &TcpStream| stream.try_clone()).unwrap();
    writer.send(TEXT).unwrap();
    writer.send(TEXT).unwrap();
    writer.send(&Prepared::text(TEXT)).unwrap();
    writer.send_plain(TEXT).unwrap();
    check(&peer.join().unwrap());
}

#[tokio::test]
async fn the_async_adapter_compresses_unless_told_not_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = tokio::task::spawn_blocking(move || frames(TcpStream::connect(address).unwrap(), 8));
    let options = ServerOptions::new().deflate(deflate());
    let stream = listener.accept().await.unwrap().0;
    let mut socket = pushline::adapter::tokio::accept(stream, &options, &Options::new()).await.unwrap();
    socket.send(TEXT).await.unwrap();
    socket.send(TEXT).await.unwrap();
    socket.send(&Prepared::text(TEXT)).await.unwrap();
    socket.send_plain(TEXT).await.unwrap();
    let (mut writer, _reader) = socket.split();
    writer.send(TEXT).await.unwrap();
    writer.send(TEXT).await.unwrap();
    writer.send(&Prepared::text(TEXT)).await.unwrap();
    writer.send_plain(TEXT).await.unwrap();
    check(&peer.await.unwrap());
}

/// Two ends of this crate, one of each adapter, with all policies: large and small, again and again.
#[tokio::test]
async fn both_ends_compress() {
    use pushline::ws::deflate::WindowBits;
    let window_bits = WindowBits::new(10).unwrap();
    for compression in [
        Compression::Shared,
        Compression::Compact { window_bits },
        Compression::Dedicated { window_bits, memory_level: 4 },
    ] {
        let options = DeflateOptions::new(compression);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let client_options = ClientOptions::new().deflate(options.clone());
        let client = tokio::task::spawn_blocking(move || {
            let mut socket = blocking::connect(&url, client_options, &Options::new()).unwrap();
            for len in [0, 1, 127, 128, 5_000, 300_000].repeat(3) {
                let sent = Message::from("\u{20ac}uro, ".repeat(len / 8));
                socket.send(sent.clone()).unwrap();
                assert_eq!(socket.next().unwrap(), Some(sent));
            }
            socket.close(1000, "").unwrap();
            while socket.next().unwrap().is_some() {}
        });
        let server = ServerOptions::new().deflate(options);
        let stream = listener.accept().await.unwrap().0;
        let mut socket = pushline::adapter::tokio::accept(stream, &server, &Options::new()).await.unwrap();
        while let Some(message) = socket.next().await {
            let message = message.unwrap();
            if message.is_data() {
                socket.send(message).await.unwrap();
            }
        }
        client.await.unwrap();
    }
}
