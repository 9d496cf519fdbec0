//! Says hello to an echo server over TLS, and prints the answer: `wss_client URL`.
//!
//! A server whose certificate was not issued by a public authority needs `Options::tls`.

use pushline::{adapter, adapter::Options, adapter::tokio::connect, ws::handshake::ClientOptions};

pub async fn say(url: &str, options: &Options) -> Result<(), adapter::Error> {
    let mut socket = connect(url, ClientOptions::new(), options).await?;
    socket.send("Hello").await?;
    println!("{:?}", socket.next().await.transpose()?);
    socket.close(1000, "").await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: give the URL, such as ws://127.0.0.1:8080/ws")?;
    Ok(say(&url, &Options::new()).await?)
}
