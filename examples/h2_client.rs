//! Several WebSockets on one HTTP/2 connection, without TLS ("prior knowledge"): a client for `hyper_echo` and `axum_chat`.
//!
//! `cargo run --example h2_client -- [ws://127.0.0.1:8080/ws]`

use pushline::adapter::Options;
use pushline::adapter::hyper::Http2;
use pushline::ws::Message;
use pushline::ws::handshake::{ClientOptions, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:8080/ws".into());
    let uri = Uri::parse(&url)?;
    let stream = TcpStream::connect(uri.address()).await?;
    talk(stream, &uri, |message| println!("{message:?}")).await
}

/// Says hello on each of three sockets, and hears what comes back.
pub async fn talk<S>(
    stream: S,
    uri: &Uri,
    mut hear: impl FnMut(Message),
) -> Result<(), Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let http2 = Http2::new(stream).await?;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(http2.connect(uri, &ClientOptions::new(), &Options::new()).await?);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(format!("hello from socket {number}")).await?;
        if let Some(message) = socket.next().await {
            hear(message?);
        }
        socket.close(1000, "").await?;
    }
    Ok(())
}
