//! What an outbox costs: memory of an idle connection, allocations of a message for many.

#[path = "common/allocations.rs"]
mod allocations;

use allocations::{allocations, memory};
use pushline::adapter::Options;
use pushline::adapter::tokio::{Broadcast, Outbox, OutboxOptions, QueuedSocket, WebSocket};
use pushline::sse::{Block, PreparedEvent};
use pushline::ws::{Negotiated, Prepared};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// A task that drives the socket of a client that does nothing, with its queue, its membership and tokio's state of a task.
#[test]
fn an_idle_connection_takes_at_most_1_25_kib() {
    const COUNT: usize = 100;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (mut streams, _clients) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..=COUNT {
            clients.push(TcpStream::connect(address).await.unwrap());
            streams.push(listener.accept().await.unwrap().0);
        }
        (streams, clients)
    });
    let room = Broadcast::new();
    let start = |stream| {
        let socket = WebSocket::server(stream, Negotiated::default(), &Options::new());
        let mut socket = QueuedSocket::new(socket, OutboxOptions::new());
        room.join(socket.outbox());
        tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    };
    let rest = || tokio::time::sleep(Duration::from_millis(20));
    // The runtime's and the thread's own buffers are there once.
    let last = streams.pop().unwrap();
    runtime.block_on(async {
        start(last);
        rest().await;
        room.send(Prepared::text("first"));
        rest().await;
    });
    let mut each = Vec::new();
    each.push(memory(|| {
        runtime.block_on(async {
            streams.drain(..).for_each(&start);
            rest().await;
        });
    }));
    // Used or not, it is the same.
    each.push(memory(|| {
        runtime.block_on(async {
            assert_eq!(room.send(Prepared::text("Hello")), COUNT + 1);
            rest().await;
            assert_eq!(room.send(Prepared::text("Hello")), COUNT + 1);
            rest().await;
        });
    }));
    let [fresh, used] = [each[0].1, each[1].1].map(|held| held / isize::try_from(COUNT).unwrap());
    println!("an idle connection with an outbox and its task: {fresh} bytes, {used} more once used");
    assert!(fresh > 500 && fresh + used <= 1280, "{fresh} + {used}");
}

/// A message for many is encoded once: each receiver takes a place in its queue, and nothing of the payload.
#[test]
fn a_message_for_many_is_queued_by_reference() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let room = Broadcast::new();
    let sockets: Vec<_> = (0..100)
        .map(|_| {
            let stream = tokio::io::duplex(16).0;
            let socket = WebSocket::server(stream, Negotiated::default(), &Options::new());
            let socket = QueuedSocket::new(socket, OutboxOptions::new());
            room.join(socket.outbox());
            socket
        })
        .collect();
    let payload = vec![b'x'; 100_000];
    // The first makes each queue's ring of four.
    assert_eq!(room.send(Prepared::binary(&payload)), sockets.len());
    let count = allocations(|| {
        assert_eq!(room.send(Prepared::binary(&payload)), sockets.len());
    });
    assert!(count <= 4, "{count}");
    let (_, held) = memory(|| {
        assert_eq!(room.send(Prepared::binary(&payload)), sockets.len());
    });
    assert!(held < 110_000, "{held}");
}

/// A stream that began with what its client has missed holds nothing of that once it is sent.
#[test]
fn what_a_stream_started_with_is_not_kept() {
    const COUNT: usize = 1000;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let event = Block::new().data("missed").prepare().unwrap();
    let (_outbox, stream) = Outbox::<PreparedEvent>::stream(OutboxOptions::new());
    let mut stream = stream.starting_with(vec![event; COUNT]);
    let (_, held) = memory(|| {
        runtime.block_on(async {
            for _ in 0..COUNT {
                assert!(stream.next().await.is_some());
            }
        });
    });
    assert!(held <= -isize::try_from(COUNT * size_of::<PreparedEvent>()).unwrap(), "{held}");
}
