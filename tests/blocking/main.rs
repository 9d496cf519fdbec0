//! The blocking adapter: over a scripted transport, over sockets with their times, and in two halves.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // sockets, threads and a clock

mod odd;
mod scripted;
mod sockets;
mod split;
mod waits;

use bytes::Buf;
use pushline::adapter::blocking::{Transport, WebSocket};
use pushline::adapter::{Error, Options};
use pushline::ws::{Connection, ConnectionOptions, Message, Negotiated};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server<S: Transport>(stream: S, options: &Options) -> WebSocket<S> {
    WebSocket::new(stream, Connection::server(Negotiated::default(), ConnectionOptions::new()), &[], options)
}

fn client_end<S: Transport>(stream: S, options: &Options) -> WebSocket<S> {
    WebSocket::new(
        stream,
        Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY),
        &[],
        options,
    )
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (stream, listener.accept().unwrap().0)
}

fn pair(options: &Options) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (a, b) = sockets();
    (client_end(a, options), server(b, options))
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What one end of a connection writes.
fn wire(mut connection: Connection, say: impl FnOnce(&mut Connection)) -> Vec<u8> {
    say(&mut connection);
    let outgoing = connection.outgoing();
    let len = outgoing.len();
    outgoing.copy_to_bytes(len).to_vec()
}

fn from_client(say: impl FnOnce(&mut Connection)) -> Vec<u8> {
    wire(Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY), say)
}

fn from_server(say: impl FnOnce(&mut Connection)) -> Vec<u8> {
    wire(Connection::server(Negotiated::default(), ConnectionOptions::new()), say)
}

/// Echoes data until the end; what came, and how it ended.
fn echo<S: Transport>(socket: &mut WebSocket<S>) -> (Vec<Message>, Result<(), Error>) {
    let mut received = Vec::new();
    loop {
        match socket.next() {
            Ok(None) => return (received, Ok(())),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return (received, Err(error)),
            Ok(Some(message)) => {
                if message.is_data() {
                    match socket.send(message.clone()) {
                        Ok(()) => {}
                        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                received.push(message);
            }
        }
    }
}
