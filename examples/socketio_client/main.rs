//! A Socket.IO client: prints what comes, and sends each line that it reads as the event `message`.
//!
//! `socketio_client [URL] [NAMESPACE]`, by default `http://127.0.0.1:3000/` and `/`. It begins with polling, goes on on a
//! WebSocket, and comes back by itself after a cut.

use pushline::adapter::socketio::{ClientEvent, SocketIoClient, SocketIoClientOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| String::from("http://127.0.0.1:3000/"));
    let namespace = arguments.next().unwrap_or_else(|| String::from("/"));
    let mut client = SocketIoClient::connect(&url, SocketIoClientOptions::new().join(&namespace, None))?;
    let emitter = client.emitter();
    let (lines, mut read) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(line) = read.recv().await {
            if emitter.emit(&namespace, "message", line.as_str()).await.is_err() {
                return; // the client has left the namespace
            }
        }
    });
    while let Some(event) = client.next().await {
        match event {
            ClientEvent::Event { payload, ack, .. } => {
                let arguments: Vec<&str> = payload.arguments().map(|argument| argument.as_str()).collect();
                let name = payload.name().map(|name| name.to_cow().into_owned()).unwrap_or_default();
                println!("{name}: {}", arguments.join(", "));
                if let Some(ack) = ack {
                    ack.send("received").await?;
                }
            }
            ClientEvent::Lost { reason } => eprintln!("{reason}; coming back"),
            other => eprintln!("{other:?}"),
        }
    }
    Ok(())
}
