//! An echo server on the blocking adapter, a thread per connection:
//! `echo_blocking [--listen ADDR]`, default 127.0.0.1:9001.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program, not the protocol

use pushline::adapter::blocking::accept;
use pushline::adapter::{Error, Options};
use pushline::ws::deflate::{Compression, DeflateOptions, WindowBits};
use pushline::ws::handshake::{OriginPolicy, ServerOptions};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The most connections at a time: a peer that opens more is turned away, so that the threads do not eat the machine.
const MAX_CONNECTIONS: usize = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut listen = "127.0.0.1:9001".to_owned();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next().ok_or("--listen ADDR")?,
            _ => {
                return Err(
                    format!("unknown argument {argument}; usage: echo_blocking [--listen ADDR]").into()
                );
            }
        }
    }
    let listener = TcpListener::bind(&listen)?;
    println!("listening on ws://{}", listener.local_addr()?);
    // An echo has nothing to protect from a foreign page.
    let policy = Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 };
    let deflate = DeflateOptions::new(policy).threshold(0);
    let server = ServerOptions::new().origin(OriginPolicy::any()).deflate(deflate);
    let connections = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    eprintln!("accept: {error}");
                    thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            let place = Place::take(&connections);
            if connections.load(Relaxed) > MAX_CONNECTIONS {
                eprintln!("{peer}: turned away, {MAX_CONNECTIONS} connections are open");
                continue;
            }
            let server = &server;
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let _place = place;
                if let Err(error) = serve(stream, server) {
                    eprintln!("{peer}: {error}");
                }
            });
            if let Err(error) = spawned {
                eprintln!("{peer}: {error}");
            }
        }
    })
}

pub fn serve(stream: TcpStream, server: &ServerOptions) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept(stream, server, &Options::new())?;
    while let Some(message) = socket.next()? {
        if message.is_data() {
            socket.send(message)?;
        }
    }
    Ok(())
}

/// One of the connections, counted while it lives.
struct Place<'c>(&'c AtomicUsize);

impl<'c> Place<'c> {
    fn take(connections: &'c AtomicUsize) -> Self {
        connections.fetch_add(1, Relaxed);
        Self(connections)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
