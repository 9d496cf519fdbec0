//! Outboxes and rooms over the tokio adapter: order, bounds, and each policy for those who lag.

use pushline::adapter::tokio::{
    Broadcast, Lagging, Outbox, OutboxError, OutboxOptions, Post, QueuedSocket, WebSocket,
};
use pushline::adapter::{Error, Options, TimedOut};
use pushline::sse;
use pushline::ws::{self, CloseCode, ConnectionOptions, Message, Negotiated, Prepared};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

type Socket = WebSocket<DuplexStream>;

fn pair(buffer: usize) -> (Socket, Socket) {
    let (near, far) = duplex(buffer);
    let options = Options::new().connection(ConnectionOptions::new());
    (
        WebSocket::server(near, Negotiated::default(), &options),
        WebSocket::client(far, Negotiated::default(), &options),
    )
}

async fn drive(mut socket: QueuedSocket<DuplexStream>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

fn event(text: &str) -> sse::PreparedEvent {
    sse::Block::new().data(text).prepare().unwrap()
}

/// Nobody who keeps up loses anything, and all hear the same order, however many speak at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_hear_all_in_one_order() {
    let room = Broadcast::new();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let (server, mut client) = pair(4096);
        let socket = QueuedSocket::new(server, OutboxOptions::new().max_messages(2000));
        room.join(socket.outbox());
        tokio::spawn(drive(socket));
        clients.push(tokio::spawn(async move {
            let mut heard = Vec::new();
            while heard.len() < 900 {
                match client.next().await.unwrap().unwrap() {
                    Message::Text(text) => heard.push(text),
                    other => panic!("{other:?}"),
                }
            }
            heard
        }));
    }
    let speakers = [0, 1, 2].map(|speaker| {
        let room = room.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                assert_eq!(room.send(Prepared::text(&format!("{speaker} {number}"))), 5);
                if number % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    for speaker in speakers {
        speaker.await.unwrap();
    }
    let mut all = Vec::new();
    for client in clients {
        all.push(client.await.unwrap());
    }
    assert!(all.iter().all(|heard| *heard == all[0]));
    for speaker in 0..3 {
        let of: Vec<_> = all[0].iter().filter(|text| text.starts_with(&format!("{speaker} "))).collect();
        let expected: Vec<_> = (0..300).map(|number| format!("{speaker} {number}")).collect();
        assert_eq!(of, expected.iter().collect::<Vec<_>>());
    }
}

/// Whole sockets and outboxes on several threads: each task is polled wherever a thread is free, and many tasks feed one outbox.
/// Nothing is lost, nobody waits for ever, and each task's messages stay in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sockets_and_outboxes_on_several_threads() {
    const EACH: usize = 200;
    let mut tasks = Vec::new();
    for buffer in [7, 64, 4096, 64 * 1024] {
        // An echo of whole sockets: a side sends, then waits for its message to be back.
        let (mut server, mut client) = pair(buffer);
        tasks.push(tokio::spawn(async move {
            while let Some(message) = server.next().await {
                match message.unwrap() {
                    // The next call answers it.
                    Message::Close(_) => {}
                    message => server.send(message).await.unwrap(),
                }
                tokio::task::yield_now().await;
            }
        }));
        tasks.push(tokio::spawn(async move {
            for number in 0..EACH {
                client.send(format!("{number}")).await.unwrap();
                let back = client.next().await.unwrap().unwrap();
                assert_eq!(back.as_text(), Some(number.to_string().as_str()));
                tokio::task::yield_now().await;
            }
            client.close(1000, "").await.unwrap();
        }));
        // Four tasks feed one outbox, whose socket a fifth drives.
        let (server, mut client) = pair(buffer);
        let socket = QueuedSocket::new(server, OutboxOptions::new().max_messages(4 * EACH));
        let outbox = socket.outbox();
        tasks.push(tokio::spawn(async move { drive(socket).await.unwrap() }));
        for task in 0..4 {
            let outbox = outbox.clone();
            tasks.push(tokio::spawn(async move {
                for number in 0..EACH {
                    outbox.send(format!("{task} {number}")).unwrap();
                    if number % 8 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }));
        }
        tasks.push(tokio::spawn(async move {
            let mut next = [0; 4];
            while next != [EACH; 4] {
                let message = client.next().await.unwrap().unwrap();
                let (task, number) = message.as_text().unwrap().split_once(' ').unwrap();
                let expected = &mut next[task.parse::<usize>().unwrap()];
                assert_eq!(number.parse(), Ok(*expected));
                *expected += 1;
            }
            client.close(1000, "").await.unwrap();
        }));
    }
    tokio::time::timeout(Duration::from_secs(60), async {
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await
    .expect("somebody waits for ever");
}

/// A message of each kind and size, over a transport that takes a few bytes at a time; what comes in meanwhile is not lost.
#[tokio::test]
async fn both_directions_over_a_narrow_transport() {
    let (server, client) = pair(7);
    let mut socket = QueuedSocket::new(server, OutboxOptions::new());
    let outbox = socket.outbox();
    let large = "x".repeat(20_000);
    outbox.send(Prepared::text(&large)).unwrap();
    outbox.send("plain").unwrap();
    outbox.send(Message::Binary(vec![7; 5000].into())).unwrap();
    outbox.send(Prepared::binary(b"by reference")).unwrap();
    outbox.close(1001, "bye");
    assert_eq!(outbox.send("late"), Err(OutboxError::Closed));
    let peer = tokio::spawn(async move {
        let (mut writer, mut reader) = client.split_with(tokio::io::split);
        let writing = tokio::spawn(async move {
            for number in 0..100 {
                writer.send(format!("{number}")).await?;
            }
            Ok::<(), Error>(())
        });
        let mut heard = Vec::new();
        while let Some(Ok(message)) = reader.next().await {
            heard.push(message);
        }
        writing.await.unwrap().unwrap();
        heard
    });
    let mut received = Vec::new();
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Text(text) => received.push(text),
            Message::Close(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let heard = peer.await.unwrap();
    assert_eq!(heard[..2], [Message::from(large), Message::from("plain")]);
    assert_eq!(heard[2].payload(), [7; 5000]);
    assert_eq!(heard[3].payload(), b"by reference");
    assert_eq!(heard[4], Message::Close(Some((CloseCode::from(1001), "bye".into()))));
    let expected: Vec<_> = (0..received.len()).map(|number| number.to_string()).collect();
    assert_eq!(received, expected);
    assert!(outbox.is_closed());
}

/// `next` may be dropped at any time, as in a `select!`: nothing is lost, nothing sent twice.
#[tokio::test]
async fn dropping_next_loses_nothing() {
    let (server, mut client) = pair(16);
    let mut socket = QueuedSocket::new(server, OutboxOptions::new());
    let outbox = socket.outbox();
    let peer = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = client.next().await {
            tokio::task::yield_now().await;
            heard.push(message);
        }
        heard
    });
    for number in 0..200 {
        outbox.send(Prepared::text(&format!("{number:>20}"))).unwrap();
        for _ in 0..3 {
            tokio::select! { biased; _ = socket.next() => {}, () = tokio::task::yield_now() => {} }
        }
    }
    outbox.close(1000, "");
    drive(socket).await.unwrap();
    let heard = peer.await.unwrap();
    assert_eq!(heard.len(), 201);
    for (number, message) in heard[..200].iter().enumerate() {
        assert_eq!(*message, Message::from(format!("{number:>20}")));
    }
}

/// A transport whose writes are counted.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What waits together leaves together: small messages in one write, more of them in writes of some 16 KiB.
#[tokio::test]
async fn a_burst_leaves_in_one_write() {
    for (count, size, most) in [(1, 100, 1), (2, 100, 1), (20, 100, 1), (100, 1024, 10), (3, 20_000, 6)] {
        let (near, far) = duplex(1 << 20);
        let writes = Arc::new(AtomicUsize::new(0));
        let near = Counted(near, Arc::clone(&writes));
        let server = WebSocket::server(near, Negotiated::default(), &Options::new());
        let mut client = WebSocket::client(far, Negotiated::default(), &Options::new());
        let mut socket = QueuedSocket::new(server, OutboxOptions::new());
        let text = |number| format!("{number:>size$}");
        for number in 0..count {
            socket.outbox().send(Prepared::text(&text(number))).unwrap();
        }
        assert!(tokio::time::timeout(Duration::from_millis(10), socket.next()).await.is_err());
        let written = writes.load(Ordering::Relaxed);
        assert!((1..=most).contains(&written), "{count} of {size} bytes: {written} writes");
        for number in 0..count {
            assert_eq!(client.next().await.unwrap().unwrap(), Message::from(text(number)));
        }
    }
}

/// The bound on messages at N-1, N and N+1, under each policy.
#[tokio::test]
async fn the_bound_on_messages() {
    for lagging in [Lagging::Close, Lagging::DropOldest, Lagging::Refuse] {
        let options = OutboxOptions::new().max_messages(3).lagging(lagging);
        let (outbox, mut stream) = Outbox::<sse::PreparedEvent>::stream(options);
        for text in ["1", "2", "3"] {
            assert_eq!(outbox.send(event(text)), Ok(()));
        }
        assert_eq!((outbox.queued(), outbox.dropped()), (3, 0));
        let fourth = outbox.send(event("4"));
        let (expected, heard, dropped): (_, &[&str], _) = match lagging {
            Lagging::Close => (Err(OutboxError::Lagged), &[], 3),
            Lagging::DropOldest => (Ok(()), &["2", "3", "4"], 1),
            _ => (Err(OutboxError::Full), &["1", "2", "3"], 0),
        };
        assert_eq!((fourth, outbox.dropped()), (expected, dropped));
        assert_eq!(outbox.is_closed(), lagging == Lagging::Close);
        outbox.close(1000, "");
        for text in heard {
            assert_eq!(stream.next().await.unwrap(), event(text));
        }
        assert_eq!(stream.closed(), None, "not yet");
        assert!(stream.next().await.is_none());
        let lagged = lagging == Lagging::Close;
        let end = if lagged { (CloseCode::TRY_AGAIN_LATER, "too slow") } else { (CloseCode::NORMAL, "") };
        assert_eq!(stream.closed(), Some(end));
    }
    let (outbox, _stream) = Outbox::<sse::PreparedEvent>::stream(OutboxOptions::new().max_messages(0));
    assert_eq!(outbox.send(event("1")), Err(OutboxError::TooLarge));
}

/// The bound on bytes at N-1, N and N+1, for one message and for several.
#[tokio::test]
async fn the_bound_on_bytes() {
    let options = OutboxOptions::new().max_bytes(10).lagging(Lagging::DropOldest);
    let (server, _client) = pair(64);
    let socket = QueuedSocket::new(server, options);
    let outbox = socket.outbox();
    for (len, taken) in [(9, Ok(())), (10, Ok(())), (11, Err(OutboxError::TooLarge))] {
        assert_eq!(outbox.send("x".repeat(len)), taken, "{len}");
    }
    // The ten bytes have taken the place of the nine, and the eleven of nothing.
    assert_eq!((outbox.queued(), outbox.dropped()), (1, 1));

    let options = OutboxOptions::new().max_bytes(10).lagging(Lagging::Refuse);
    let (server, _client) = pair(64);
    let socket = QueuedSocket::new(server, options);
    let outbox = socket.outbox();
    for (len, taken) in [(4, Ok(())), (5, Ok(())), (2, Err(OutboxError::Full)), (1, Ok(())), (0, Ok(()))] {
        assert_eq!(outbox.send("x".repeat(len)), taken, "{len}");
    }
    assert_eq!(outbox.send("x"), Err(OutboxError::Full));
}

/// Nobody is told that a close frame cannot be sent as it was asked for: the connection is closed all the same.
#[tokio::test(start_paused = true)]
async fn whatever_the_code_and_the_reason_it_is_closed() {
    let long = |len: usize| "x".repeat(len);
    let frame = |code: u16, reason: String| Message::Close(Some((CloseCode(code), reason.into())));
    for (code, reason, expected) in [
        (1000, long(122), frame(1000, long(122))),
        (1000, long(123), frame(1000, long(123))),
        (1000, long(124), frame(1000, long(123))),
        (4000, "é".repeat(62), frame(4000, "é".repeat(61))), // 124 bytes: the 123rd is half a letter
        (1005, String::new(), Message::Close(None)),
        (1006, "gone".to_owned(), Message::Close(None)),
        (999, String::new(), Message::Close(None)),
        (5000, long(200), Message::Close(None)),
    ] {
        let (server, mut client) = pair(4096);
        let socket = QueuedSocket::new(server, OutboxOptions::new());
        let (outbox, room) = (socket.outbox(), Broadcast::new());
        room.join(outbox.clone());
        let driven = tokio::spawn(drive(socket));
        outbox.send("before").unwrap();
        match code % 2 {
            0 => outbox.close(code, &reason),
            _ => assert_eq!(room.shutdown(code, &reason, Duration::ZERO).await, 1),
        }
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("before"));
        assert_eq!(client.next().await.unwrap().unwrap(), expected);
        assert!(client.next().await.is_none());
        driven.await.unwrap().unwrap();
    }
}

/// A peer that reads nothing: it is told 1013 if it reads after all, its queue is freed at once, and the others hear on.
#[tokio::test(start_paused = true)]
async fn who_lags_is_closed_with_1013() {
    let room = Broadcast::new();
    let mut tasks = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (server, client) = pair(256);
        let socket = QueuedSocket::new(server, OutboxOptions::new().max_messages(4));
        room.join(socket.outbox());
        tasks.push(tokio::spawn(drive(socket)));
        clients.push(client);
    }
    let mut slow = clients.pop().unwrap();
    let mut quick = clients.pop().unwrap();
    let mut reached = Vec::new();
    for number in 0..20 {
        reached.push(room.send(Prepared::text(&format!("{number:>100}"))));
        assert_eq!(quick.next().await.unwrap().unwrap(), Message::from(format!("{number:>100}")));
    }
    // Two fill the transport, one is being written, four wait; from the next on there is one receiver.
    assert_eq!((reached[0], reached[19], room.len()), (2, 1, 1));
    let before = reached.iter().filter(|reached| **reached == 2).count();
    assert!((5..=8).contains(&before), "{before}");
    let mut heard = Vec::new();
    while let Some(Ok(message)) = slow.next().await {
        heard.push(message);
    }
    let close = Message::Close(Some((CloseCode::from(1013), "too slow".into())));
    assert_eq!(heard.pop(), Some(close));
    for (number, message) in heard.iter().enumerate() {
        assert_eq!(*message, Message::from(format!("{number:>100}")));
    }
    assert!(heard.len() < before);
    tasks.pop().unwrap().await.unwrap().unwrap();
}

/// One who never reads is given up within the close timeout.
#[tokio::test(start_paused = true)]
async fn who_never_reads_is_given_up() {
    let (server, _client) = pair(16);
    let socket = QueuedSocket::new(server, OutboxOptions::new().max_messages(2));
    let outbox = socket.outbox();
    let task = tokio::spawn(drive(socket));
    while outbox.send("0123456789").is_ok() {
        tokio::task::yield_now().await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(6), task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::TimedOut(TimedOut::Close))), "{ended:?}");
    assert!(outbox.is_closed() && outbox.queued() == 0);
}

/// A peer that sends without pause is sent to all the same.
#[tokio::test]
async fn a_flood_of_input_does_not_hold_up_the_queue() {
    let (server, mut client) = pair(1 << 20);
    let mut socket = QueuedSocket::new(server, OutboxOptions::new());
    for _ in 0..10_000 {
        client.send("x").await.unwrap();
    }
    let outbox = socket.outbox();
    outbox.send("first").unwrap();
    let mut received = 0;
    while outbox.queued() > 0 {
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("x"));
        received += 1;
    }
    assert!(received <= 33, "{received}");
}

/// Who has left is forgotten, in a room where nothing is said as well.
#[tokio::test]
async fn rooms_do_not_grow_with_those_who_leave() {
    let room: Broadcast<sse::PreparedEvent> = Broadcast::new();
    for _ in 0..1000 {
        room.join(Outbox::stream(OutboxOptions::new()).0);
    }
    assert!(room.is_empty());
    let (outbox, mut stream) = Outbox::stream(OutboxOptions::new());
    room.join(outbox);
    assert_eq!((room.send(event("a")), room.len()), (1, 1));
    drop(room); // the last handle: the stream ends behind what is queued
    assert_eq!(stream.next().await, Some(event("a")));
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.closed(), None, "nobody has closed it");
}

/// What an idle connection takes with a queue in front of it: in the struct and on the heap.
#[test]
fn an_idle_connection_is_small() {
    let size = size_of::<QueuedSocket<tokio::net::TcpStream>>();
    println!("QueuedSocket<TcpStream>: {size} bytes");
    assert!(size <= 1024, "{size}");
}

/// All of a server are told 1001 behind what is queued; who does not answer is cut by the close timeout, and who is not even
/// driven is counted when the time is over.
#[tokio::test(start_paused = true)]
async fn a_server_goes() {
    let room = Broadcast::new();
    let mut clients = Vec::new();
    let join = |room: &Broadcast| {
        let (server, client) = pair(4096);
        let socket = QueuedSocket::new(server, OutboxOptions::new());
        room.join(socket.outbox());
        (socket, client)
    };
    for _ in 0..20 {
        let (socket, mut client) = join(&room);
        tokio::spawn(drive(socket));
        clients.push(tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Some(message) = client.next().await {
                heard.push(message.unwrap());
            }
            heard
        }));
    }
    let (silent, _silent_client) = join(&room);
    tokio::spawn(drive(silent));
    let (_idle, _idle_client) = join(&room);
    room.send(Prepared::text("last words"));
    let began = tokio::time::Instant::now();
    let stopping = tokio::spawn({
        let room = room.clone();
        async move { room.shutdown(CloseCode::GOING_AWAY, "restart", Duration::from_secs(30)).await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    // Who joins now is closed at once.
    let (late, mut late_client) = join(&room);
    assert!(late.outbox().is_closed());
    tokio::spawn(drive(late));
    let close = Message::Close(Some((CloseCode::GOING_AWAY, "restart".into())));
    assert_eq!(late_client.next().await.unwrap().unwrap(), close);
    tokio::spawn(async move { while late_client.next().await.is_some() {} });
    for client in clients {
        assert_eq!(client.await.unwrap(), ["last words".into(), close.clone()]);
    }
    assert_eq!(stopping.await.unwrap(), 1);
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    // With nobody left it does not wait.
    let room = Broadcast::new();
    let (socket, mut client) = join(&room);
    tokio::spawn(drive(socket));
    tokio::spawn(async move { while client.next().await.is_some() {} });
    let began = tokio::time::Instant::now();
    assert_eq!(room.shutdown(1001, "", Duration::from_secs(30)).await, 0);
    assert_eq!((began.elapsed(), room.len()), (Duration::ZERO, 0));
}

/// What was taken out of an outbox goes by whichever socket or writer there is, as what it was.
#[tokio::test]
async fn posts_are_sent_by_any_socket() {
    let (server, mut client) = pair(4096);
    let (mut writer, _reader) = server.split_with(tokio::io::split);
    let (outbox, mut posts) = Outbox::<Post>::stream(OutboxOptions::new());
    outbox.send(Prepared::text("a")).unwrap();
    outbox.send(ws::Text::from("b")).unwrap();
    outbox.send(&[1_u8][..]).unwrap();
    outbox.send(vec![2]).unwrap();
    outbox.send(Message::Ping(bytes::Bytes::from_static(b"c"))).unwrap();
    drop(outbox);
    while let Some(post) = posts.next().await {
        writer.feed(&post).await.unwrap();
    }
    writer.flush().await.unwrap();
    let mut messages = Vec::new();
    while messages.len() < 5 {
        messages.push(client.next().await.unwrap().unwrap());
    }
    let payload = bytes::Bytes::from_static;
    let ping = messages.iter().position(|message| *message == Message::Ping(payload(b"c"))).unwrap();
    messages.remove(ping); // it goes ahead
    let binary = [payload(&[1]), payload(&[2])].map(Message::Binary);
    assert_eq!(messages, [vec![Message::from("a"), Message::from("b")], binary.into()].concat());
}

/// What a stream starts with is in no bound, and comes first, also before the end of one that has lagged meanwhile.
#[tokio::test]
async fn streams_start_with_what_was_missed() {
    let options = OutboxOptions::new().max_messages(2);
    let missed: Vec<_> = ["1", "2", "3"].map(event).into();
    let (outbox, stream) = Outbox::stream(options);
    let mut stream = stream.starting_with(missed.clone());
    outbox.send(event("4")).unwrap();
    for number in ["1", "2", "3", "4"] {
        assert_eq!(stream.next().await, Some(event(number)));
    }
    drop(outbox);
    assert_eq!(stream.next().await, None);

    let (outbox, stream) = Outbox::stream(options);
    let mut stream = stream.starting_with(missed);
    for _ in 0..2 {
        outbox.send(event("4")).unwrap();
    }
    assert_eq!(outbox.send(event("4")), Err(OutboxError::Lagged));
    for number in ["1", "2", "3"] {
        assert_eq!(stream.next().await, Some(event(number)));
    }
    assert_eq!(stream.next().await, None);
}
