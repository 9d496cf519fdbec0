//! pushline's echo servers.

use pushline::adapter::{Options, blocking, tokio};
use pushline::ws::handshake::ServerOptions;

pub async fn tokio(stream: ::tokio::net::TcpStream) -> Option<()> {
    let mut socket = tokio::accept(stream, &ServerOptions::new(), &Options::new()).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_data() {
            socket.send(message).await.ok()?;
        }
    }
    Some(())
}

/// A task that reads, a task that writes, a channel between them; each message sent by itself, or what waits together with one flush.
pub async fn split(stream: ::tokio::net::TcpStream, batched: bool) -> Option<()> {
    let socket = tokio::accept(stream, &ServerOptions::new(), &Options::new()).await.ok()?;
    let (mut writer, mut reader) = socket.split();
    let (outbox, mut messages) = ::tokio::sync::mpsc::channel::<pushline::ws::Message>(16);
    ::tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            if !batched {
                writer.send(message).await.ok()?;
                continue;
            }
            writer.feed(message).await.ok()?;
            while let Ok(message) = messages.try_recv() {
                writer.feed(message).await.ok()?;
            }
            writer.flush().await.ok()?;
        }
        writer.close(1000, "").await.ok()
    });
    while let Some(Ok(message)) = reader.next().await {
        if message.is_data() {
            outbox.send(message).await.ok()?;
        }
    }
    Some(())
}

/// A task that reads and writes, with an outbox in front of it.
pub async fn outbox(stream: ::tokio::net::TcpStream) -> Option<()> {
    let socket = tokio::accept(stream, &ServerOptions::new(), &Options::new()).await.ok()?;
    let mut socket = tokio::QueuedSocket::new(socket, tokio::OutboxOptions::new());
    let outbox = socket.outbox();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_data() {
            outbox.send(message).ok()?;
        }
    }
    Some(())
}

pub fn blocking(stream: std::net::TcpStream) -> Option<()> {
    let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new()).ok()?;
    while let Some(message) = socket.next().ok()? {
        if message.is_data() {
            socket.send(message).ok()?;
        }
    }
    Some(())
}
