//! Examples that have no test of their own: an event loop of one's own, threads, several sockets over HTTP/2.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test, not the protocol

#[allow(dead_code)]
#[path = "../examples/echo_blocking.rs"]
mod echo_blocking;
#[allow(dead_code)]
#[path = "../examples/h2_client.rs"]
mod h2_client;
#[allow(dead_code)]
#[path = "../examples/hyper_echo/main.rs"]
mod hyper_echo;
#[allow(dead_code)]
#[path = "../examples/own_loop.rs"]
mod own_loop;

use pushline::adapter::Options;
use pushline::adapter::blocking::connect;
use pushline::ws::handshake::{ClientOptions, ServerOptions, Uri};
use pushline::ws::{End, Message};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Several clients at once, with messages of several sizes, and a closing handshake each.
fn talk(address: SocketAddr) {
    let clients: Vec<_> = (0..5)
        .map(|client| {
            thread::spawn(move || {
                let url = format!("ws://{address}/");
                let mut socket = connect(&url, ClientOptions::new(), &Options::new()).unwrap();
                for len in [0, 1, 125, 126, 65_536, 300_000] {
                    let text = format!("{client}").repeat(len);
                    socket.send(&text).unwrap();
                    assert_eq!(socket.next().unwrap(), Some(text.into()));
                }
                socket.ping(b"?").unwrap();
                assert_eq!(socket.next().unwrap(), Some(Message::Pong("?".into())));
                socket.close(1000, "").unwrap();
                assert_eq!(socket.end(), Some(End::Closed));
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn an_event_loop_of_ones_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It serves for ever.
    thread::spawn(move || own_loop::serve(&listener));
    talk(address);
}

#[test]
fn threads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo_blocking::serve(stream.unwrap(), &ServerOptions::new()).unwrap());
        }
    });
    talk(address);
}

/// Both roles over one connection of HTTP/2.
#[tokio::test]
async fn sockets_over_http2() {
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(hyper_echo::serve(far));
    let mut heard = Vec::new();
    let uri = Uri::parse("ws://127.0.0.1/ws").unwrap();
    h2_client::talk(near, &uri, |message| heard.push(message)).await.unwrap();
    let expected = [0, 1, 2].map(|number| Message::from(format!("hello from socket {number}")));
    assert_eq!(heard, expected);
}
