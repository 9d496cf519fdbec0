//! TLS: `wss:` and `https:` over both adapters, what is refused, and how it ends.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod certificates;
mod ends;
mod examples;
mod faults;
mod sockets;

use certificates::House;
use pushline::adapter::blocking::{self, TlsStream};
use pushline::adapter::{Error, Options, tokio as pushline_tokio};
use pushline::ws::Message;
use pushline::ws::handshake::{ClientOptions, ServerOptions};
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest that anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("in time") })
}

/// A server of one connection.
fn once<T: Send + 'static>(
    address: &str,
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Echoes over the blocking adapter until the client closes; with what TLS has agreed on.
fn echo(house: &House) -> impl FnOnce(TcpStream) -> Result<Option<Vec<u8>>, Error> + Send + 'static {
    let config = house.server();
    move |tcp| {
        let stream = TlsStream::server(tcp, config, LONG)?;
        let alpn = stream.with_tls(|tls| tls.alpn_protocol().map(<[u8]>::to_vec));
        let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new())?;
        while let Some(message) = socket.next()? {
            if message.is_data() {
                socket.send(message)?;
            }
        }
        Ok(alpn)
    }
}

/// Connects over each adapter in turn, says the same and tells how that went.
fn connect_each(
    options: &Options,
    mut server: impl FnMut() -> String,
) -> [Result<Option<Message>, Error>; 2] {
    let over_tokio = block_on(async {
        let mut socket = pushline_tokio::connect(&server(), ClientOptions::new(), options).await?;
        socket.send("Hello").await?;
        let echo = socket.next().await.transpose()?;
        socket.close(1000, "").await.map(|()| echo)
    });
    let over_blocking = (|| {
        let mut socket = blocking::connect(&server(), ClientOptions::new(), options)?;
        socket.send("Hello")?;
        let echo = socket.next()?;
        socket.close(1000, "").map(|()| echo)
    })();
    [over_tokio, over_blocking]
}

fn trusting(house: &House) -> Options {
    Options::new().tls(Arc::clone(&house.client()))
}
