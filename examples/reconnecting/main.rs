//! A client that follows a numbered feed through restarts of the server: after each loss it comes back and asks for what it
//! has missed, so that it prints every line once and in order.
//!
//! `cargo run --example reconnecting -- ws://127.0.0.1:9001/`
//!
//! What it says first on each connection is `from N`; the server answers with the messages from number N on.

use pushline::adapter::Options;
use pushline::adapter::tokio::{Loss, ReconnectEvent, ReconnectOptions, Reconnecting};
use pushline::ws::handshake::ClientOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:9001/".to_owned());
    let client = Reconnecting::new(&url, ClientOptions::new(), Options::new(), ReconnectOptions::new())?;
    Ok(follow(client, |line| println!("{line}")).await?)
}

/// Follows the feed until the server says that this was all of it.
pub(crate) async fn follow(client: Reconnecting, mut print: impl FnMut(&str)) -> Result<(), Loss> {
    let seen = Arc::new(AtomicU64::new(0));
    let next = Arc::clone(&seen);
    let mut client = client.on_open(move |mut socket| {
        let hello = format!("from {}", next.load(Relaxed));
        async move {
            socket.send(&hello).await?;
            Ok(socket)
        }
    });
    while let Some(event) = client.next().await {
        match event? {
            ReconnectEvent::Open => eprintln!("open"),
            ReconnectEvent::Lost { loss, wait, .. } => eprintln!("{loss}; again in {wait:?}"),
            ReconnectEvent::Message(message) => {
                seen.fetch_add(1, Relaxed);
                print(message.as_text().unwrap_or_default());
            }
            _ => {}
        }
    }
    Ok(())
}
