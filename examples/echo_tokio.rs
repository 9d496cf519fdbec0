//! An echo server on the tokio adapter: `echo_tokio [--listen ADDR] [--window-bits N] [--no-context-takeover]`. Default
//! address 127.0.0.1:9001. The other two are what is wished of permessage-deflate, for both directions.

use pushline::adapter::tokio::accept;
use pushline::adapter::{Error, Options};
use pushline::ws::deflate::{Compression, DeflateOptions, Terms, WindowBits};
use pushline::ws::handshake::{OriginPolicy, ServerOptions};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut listen = "127.0.0.1:9001".to_owned();
    let (mut window_bits, mut no_takeover) = (WindowBits::MAX, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next().ok_or("--listen ADDR")?,
            "--window-bits" => {
                let bits = arguments.next().and_then(|bits| bits.parse().ok());
                window_bits = bits.and_then(WindowBits::new).ok_or("--window-bits 8 to 15")?;
            }
            "--no-context-takeover" => no_takeover = true,
            _ => return Err(format!("unknown argument {argument}: see the head of the source").into()),
        }
    }
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    // An echo has nothing to protect from a foreign page, and compresses whatever comes.
    let policy = Compression::Dedicated { window_bits, memory_level: 8 };
    let wishes = Terms {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        client_max_window_bits: Some(WindowBits::MAX),
        ..Terms::default()
    };
    let deflate = DeflateOptions::new(policy).terms(wishes).threshold(0);
    let server = Arc::new(ServerOptions::new().origin(OriginPolicy::any()).deflate(deflate));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &server).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, server: &ServerOptions) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept(stream, server, &Options::new()).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
