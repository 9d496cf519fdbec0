//! What a connection takes that has nothing to do: bytes that were asked of the allocator, tokio's own state of a task and
//! of a socket included.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::memory;
use pushline::adapter::tokio::{WebSocket, accept};
use pushline::adapter::{Error, Options};
use pushline::ws::handshake::ServerOptions;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const RESPONSE: usize = 129;
const PING: [u8; 7] = [0x89, 0x81, 0, 0, 0, 0, b'!'];

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket: WebSocket<_> = accept(stream, &ServerOptions::new(), &Options::new()).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Sends a message of `len` bytes and receives it.
async fn say(client: &mut TcpStream, len: u16) {
    let mut message = vec![0x82, 0xfe];
    message.extend(len.to_be_bytes());
    message.extend([0; 4]);
    message.resize(8 + usize::from(len), 7);
    client.write_all(&message).await.unwrap();
    let mut echoed = vec![0; 4 + usize::from(len)];
    client.read_exact(&mut echoed).await.unwrap();
    assert!(echoed.ends_with(&[7; 100]));
}

/// The plain task: accepted, after an echo, after a ping, in the middle of a message.
#[test]
fn a_task_that_accepts_and_echoes_takes_at_most_1_25_kib() {
    const COUNT: usize = 100;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (listener, mut clients) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::with_capacity(COUNT + 1);
        for _ in 0..=COUNT {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        }
        (listener, clients)
    });
    let start = async |client: &mut TcpStream| {
        tokio::spawn(echo(listener.accept().await.unwrap().0));
        client.write_all(REQUEST).await.unwrap();
        client.read_exact(&mut [0; RESPONSE]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    // What the runtime and the thread keep for all is there once.
    let mut first = clients.remove(0);
    runtime.block_on(async {
        start(&mut first).await;
        say(&mut first, 1024).await;
        first.write_all(&PING).await.unwrap();
        first.read_exact(&mut [0; 3]).await.unwrap();
    });
    let (_, accepted) = memory(|| {
        runtime.block_on(async {
            for client in &mut clients {
                start(client).await;
            }
        });
    });
    let (_, used) = memory(|| {
        runtime.block_on(async {
            for client in &mut clients {
                say(client, 1024).await;
                client.write_all(&PING).await.unwrap();
                client.read_exact(&mut [0; 3]).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
    });
    let [each, after] = [accepted, accepted + used].map(|bytes| bytes as f64 / COUNT as f64);
    println!("an idle connection with its task: {each} bytes, {after} once used");
    assert!(
        each > 500.0 && each <= 1280.0 && after <= 1280.0,
        "{each} bytes a connection, {after} after an echo"
    );
}
