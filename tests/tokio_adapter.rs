//! The tokio adapter over an instrumented transport: one write per read, times, both halves, and
//! futures dropped at every await.

use bytes::Bytes;
use pushline::adapter::tokio::WebSocket;
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::{
    CloseCode, Connection, ConnectionOptions, Event, Message, Negotiated, Prepared, ProtocolError, State,
    UsageError,
};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server<S>(stream: S, options: &Options) -> WebSocket<S> {
    WebSocket::new(stream, Connection::server(Negotiated::default(), ConnectionOptions::new()), &[], options)
}

fn client<S>(stream: S, options: &Options) -> WebSocket<S> {
    WebSocket::new(
        stream,
        Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY),
        &[],
        options,
    )
}

fn pair(options: &Options) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (a, b) = duplex(64 * 1024);
    (client(a, options), server(b, options))
}

/// A client's frames.
fn frames(messages: &[&str]) -> Vec<u8> {
    let mut connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY);
    for message in messages {
        connection.send(*message).unwrap();
    }
    let outgoing = connection.outgoing();
    let len = outgoing.len();
    bytes::Buf::copy_to_bytes(outgoing, len).to_vec()
}

/// A transport of scripted reads that counts its calls, and is not ready every other time.
#[derive(Default)]
struct Script {
    reads: VecDeque<Vec<u8>>,
    written: Vec<u8>,
    calls: Vec<&'static str>,
    /// Whether every other call of each kind says `Pending`.
    stutter: bool,
    /// Which calls said so last.
    stuttered: Vec<&'static str>,
    longest_write: usize,
    writes_fail: bool,
    waker: Option<Waker>,
}

#[derive(Clone)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn new(reads: Vec<Vec<u8>>, stutter: bool, longest_write: usize) -> Self {
        let script = Script { reads: reads.into(), stutter, longest_write, ..Script::default() };
        Self(Arc::new(Mutex::new(script)))
    }

    fn call<T>(
        &self,
        cx: &mut Context<'_>,
        name: &'static str,
        work: impl FnOnce(&mut Script) -> Option<T>,
    ) -> Poll<T> {
        let mut script = self.0.lock().unwrap();
        if script.stutter {
            match script.stuttered.iter().position(|stuttered| *stuttered == name) {
                Some(at) => drop(script.stuttered.remove(at)),
                None => {
                    script.stuttered.push(name);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        match work(&mut script) {
            Some(done) => {
                script.calls.push(name);
                Poll::Ready(done)
            }
            None => {
                script.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.call(cx, "read", |script| {
            let mut read = script.reads.pop_front()?;
            if read.is_empty() {
                script.reads.push_front(Vec::new()); // the end of a stream stays
            }
            let rest = read.split_off(read.len().min(buffer.remaining()));
            buffer.put_slice(&read);
            if !rest.is_empty() {
                script.reads.push_front(rest);
            }
            Some(Ok(()))
        })
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.call(cx, "write", |script| {
            if script.writes_fail {
                return Some(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let n = bytes.len().min(script.longest_write);
            script.written.extend_from_slice(&bytes[..n]);
            Some(Ok(n))
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(cx, "shutdown", |_| Some(Ok(())))
    }
}

#[tokio::test]
async fn all_that_one_read_causes_leaves_in_one_write() {
    let messages: Vec<String> = (0..16).map(|n| format!("message {n} of thirty-two bytes....")).collect();
    let texts: Vec<&str> = messages.iter().map(String::as_str).collect();
    let script = Scripted::new(vec![frames(&texts), frames(&texts[..3]), vec![]], false, usize::MAX);
    let mut socket = server(script.clone(), &Options::new());
    let mut echoed = 0;
    while let Some(Ok(message)) = socket.next().await {
        socket.send(message).await.unwrap();
        echoed += 1;
    }
    assert_eq!(echoed, 19);
    let calls = script.0.lock().unwrap().calls.clone();
    assert_eq!(calls, ["read", "write", "read", "write", "read"]);
}

/// A frame that is not whole is nothing to answer together with: its rest may come when it will.
#[tokio::test]
async fn an_answer_does_not_wait_for_the_rest_of_the_next_message() {
    let (first, second) = (frames(&["one"]), frames(&["two"]));
    for at in 0..=second.len() {
        let (now, later) = second.split_at(at);
        let transport = Scripted::new(vec![[&first, now].concat(), later.to_vec()], false, usize::MAX);
        let mut socket = server(transport.clone(), &Options::new());
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
        let answered = transport.0.lock().unwrap().written.len();
        assert_eq!(answered, if at < second.len() { 5 } else { 0 }, "{at} bytes of the second");
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A task that has waited for a message and then sends needs no call from itself, nor does a reader from its writer.
#[tokio::test]
async fn what_is_written_wakes_nobody_who_reads() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut socket = server(Scripted::new(vec![], false, usize::MAX), &Options::new());
    for _ in 0..10 {
        assert!(pin!(socket.next()).poll(&mut cx).is_pending());
        assert!(pin!(socket.feed("one")).poll(&mut cx).is_ready());
        assert!(pin!(socket.send("two")).poll(&mut cx).is_ready());
        assert!(pin!(socket.feed("three")).poll(&mut cx).is_ready());
        assert!(pin!(socket.flush()).poll(&mut cx).is_ready());
    }
    let (mut writer, mut reader) = socket.split_with(|stream| (stream.clone(), stream));
    for _ in 0..10 {
        assert!(pin!(reader.next()).poll(&mut cx).is_pending());
        assert!(pin!(writer.feed("four")).poll(&mut cx).is_ready());
        assert!(pin!(writer.flush()).poll(&mut cx).is_ready());
    }
    assert_eq!(woken.0.load(Relaxed), 0);
    // But of a close it has to know.
    assert!(pin!(reader.next()).poll(&mut cx).is_pending());
    assert!(pin!(writer.close(1000, "")).poll(&mut cx).is_pending());
    assert!(woken.0.load(Relaxed) > 0);
}

#[tokio::test]
async fn a_send_outside_of_a_batch_writes_at_once() {
    let script = Scripted::new(vec![], false, usize::MAX);
    let mut socket = server(script.clone(), &Options::new());
    socket.send("Hello").await.unwrap();
    assert_eq!(script.0.lock().unwrap().written, b"\x81\x05Hello");
}

#[tokio::test]
async fn each_of_ten_pings_in_one_read_is_answered() {
    let mut pings = Vec::new();
    for n in 0..10 {
        pings.extend([0x89, 0x81, 0, 0, 0, 0, n]);
    }
    let script = Scripted::new(vec![pings, vec![]], false, usize::MAX);
    let mut socket = server(script.clone(), &Options::new());
    while let Some(Ok(_)) = socket.next().await {}
    let expected: Vec<u8> = (0..10).flat_map(|n| [0x8a, 1, n]).collect();
    assert_eq!(script.0.lock().unwrap().written, expected);
}

#[tokio::test]
async fn large_messages_cross_in_both_directions_and_all_kinds() {
    let (mut client, mut server) = pair(&Options::new());
    let large = "x".repeat(300_000);
    let payload = Bytes::from(vec![7; 500_000]);
    let sending = async {
        client.send(large.as_str()).await.unwrap();
        client.send(payload.clone()).await.unwrap();
        client.ping(b"p").await.unwrap();
        client.send(&Prepared::text("prepared")).await.unwrap();
        client.close(4000, "bye").await.unwrap();
        client
    };
    let receiving = async {
        let mut received = Vec::new();
        while let Some(message) = server.next().await {
            received.push(message.unwrap());
        }
        received
    };
    let (client, received) = tokio::join!(sending, receiving);
    let close = Message::Close(Some((CloseCode(4000), "bye".into())));
    // The ping overtakes nothing here: every send was flushed before the next.
    let ping = Message::Ping(Bytes::from_static(b"p"));
    assert_eq!(received, [large.into(), payload.into(), ping, "prepared".into(), close]);
    assert_eq!(client.state(), State::Ended);
}

#[tokio::test]
async fn a_fault_is_reported_once_its_close_frame_is_written() {
    let script = Scripted::new(vec![b"\x81\x01a".to_vec(), vec![]], true, 1);
    let mut socket = server(script.clone(), &Options::new());
    assert!(matches!(socket.next().await, Some(Err(Error::Protocol(ProtocolError::UnmaskedFrame)))));
    assert!(socket.next().await.is_none());
    let script = script.0.lock().unwrap();
    assert_eq!(script.written, b"\x88\x02\x03\xea");
    // While the transport does not take the close frame, what the peer sends is read and dropped.
    let calls: Vec<_> = script.calls[1..].iter().filter(|call| **call != "read").collect();
    assert_eq!(calls, [&"write", &"write", &"write", &"write", &"shutdown"]);
}

#[tokio::test]
async fn text_that_is_not_utf8_fails_lent_and_owned_alike() {
    let bad = b"\x81\x81\0\0\0\0\xff".to_vec();
    for lent in [true, false] {
        let script = Scripted::new(vec![bad.clone(), vec![]], false, usize::MAX);
        let mut socket = server(script.clone(), &Options::new());
        let error = if lent {
            socket.next_event().await.map(|event| event.map(|_| ()))
        } else {
            socket.next().await.map(|message| message.map(|_| ()))
        };
        assert!(matches!(error, Some(Err(Error::Protocol(ProtocolError::InvalidUtf8)))));
        assert_eq!(script.0.lock().unwrap().written, b"\x88\x02\x03\xef");
        assert!(socket.next_event().await.is_none());
    }
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_an_error_once() {
    let script = Scripted::new(vec![frames(&["last"]), vec![]], false, usize::MAX);
    let mut socket = server(script, &Options::new());
    assert_eq!(socket.next().await.unwrap().unwrap(), "last".into());
    assert!(matches!(socket.next().await, Some(Err(Error::Aborted))));
    assert!(socket.next().await.is_none());
}

/// A peer that sends its last words, a close frame and a reset: all but the reset is delivered.
#[tokio::test]
async fn what_was_received_is_delivered_though_writing_fails() {
    for (last, clean) in [(vec![0x88, 0x80, 0, 0, 0, 0], true), (vec![], false)] {
        let script = Scripted::new(vec![frames(&["one"]), frames(&["two"]), last, vec![]], false, usize::MAX);
        script.0.lock().unwrap().writes_fail = true;
        let mut socket = server(script, &Options::new());
        assert_eq!(socket.next().await.unwrap().unwrap(), "one".into());
        assert!(matches!(socket.send("answer").await, Err(Error::Io(_))));
        assert_eq!(socket.next().await.unwrap().unwrap(), "two".into());
        if clean {
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(None));
        } else {
            assert!(matches!(socket.next().await, Some(Err(Error::Io(_)))));
        }
        assert!(socket.next().await.is_none());
    }
}

#[tokio::test]
async fn parts_are_lent_as_they_arrive() {
    let config = ConnectionOptions::new().parts(true);
    let bytes = frames(&["Hello, wörld"]);
    // Cut inside the two bytes of the ö.
    let (head, tail) = bytes.split_at(6 + 9);
    let script = Scripted::new(vec![head.to_vec(), tail.to_vec()], false, usize::MAX);
    let connection = Connection::server(Negotiated::default(), config);
    let mut socket = WebSocket::new(script, connection, &[], &Options::new());
    let first = socket.next_event().await.unwrap().unwrap();
    assert_eq!(first, Event::TextPart { text: "Hello, w", fin: false });
    let second = socket.next_event().await.unwrap().unwrap();
    assert_eq!(second, Event::TextPart { text: "örld", fin: true });
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_ends_a_vanished_peer() {
    let (_peer, stream) = duplex(1024);
    let mut socket = server(stream, &Options::new());
    let start = Instant::now();
    assert!(matches!(socket.next().await, Some(Err(Error::TimedOut(TimedOut::Ping)))));
    assert_eq!(start.elapsed().as_secs(), 50);
    assert!(socket.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn any_byte_keeps_a_connection_alive() {
    let (mut peer, stream) = duplex(1024);
    let mut socket = server(stream, &Options::new());
    let feeding = tokio::spawn(async move {
        for byte in frames(&["slow, but alive"]) {
            tokio::time::sleep(Duration::from_secs(45)).await;
            peer.write_all(&[byte]).await.unwrap();
        }
        peer
    });
    assert_eq!(socket.next().await.unwrap().unwrap(), "slow, but alive".into());
    drop(feeding.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_times_out() {
    let (_peer, stream) = duplex(1024);
    let mut socket = server(stream, &Options::new());
    let start = Instant::now();
    assert!(matches!(socket.close(1000, "").await, Err(Error::TimedOut(TimedOut::Close))));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_close_the_transport_is_waited_for_in_vain_without_an_error() {
    let (mut peer, stream) = duplex(1024);
    let mut socket = client(stream, &Options::new());
    peer.write_all(b"\x88\x00").await.unwrap();
    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.state(), State::Closed);
}

#[tokio::test]
async fn a_full_queue_makes_the_sender_wait_and_loses_nothing() {
    let config = ConnectionOptions::new().max_outgoing(1000);
    let (a, b) = duplex(100);
    let connection = Connection::server(Negotiated::default(), config);
    let mut sending = WebSocket::new(a, connection, &[], &Options::new());
    let mut receiving = client(b, &Options::new());
    let send = async {
        for n in 0..200_u32 {
            sending.send(n.to_be_bytes().repeat(50)).await.unwrap();
            assert!(sending.queued() <= 1000);
        }
        sending.flush().await.unwrap();
    };
    let receive = async {
        for n in 0..200_u32 {
            let message = receiving.next().await.unwrap().unwrap();
            assert_eq!(message.payload(), n.to_be_bytes().repeat(50));
        }
    };
    tokio::join!(send, receive);
}

/// Over a stream that holds bytes back until it is flushed.
#[tokio::test]
async fn both_ends_shake_hands_and_know_the_subprotocol() {
    use pushline::adapter::tokio::{accept, client};
    use pushline::ws::handshake::{ClientOptions, ServerOptions, Uri};
    use tokio::io::BufStream;

    let (a, b) = duplex(1024);
    let uri = Uri::parse("ws://example.com/").unwrap();
    let client_options = ClientOptions::new().subprotocols(["v2", "v1"]).unwrap();
    let server_options = ServerOptions::new().subprotocols(["v1"]).unwrap();
    let options = Options::new();
    let (client, server) = tokio::join!(
        client(BufStream::new(a), &uri, client_options, &options),
        accept(BufStream::new(b), &server_options, &options)
    );
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("v1"), Some("v1")));
    server.send("hello").await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::from("hello"));
}

/// Connecting, writing and reading have one time together.
#[tokio::test(start_paused = true)]
async fn the_handshake_has_one_deadline() {
    use pushline::adapter::tokio::accept;
    use pushline::ws::handshake::ServerOptions;

    let (mut peer, stream) = duplex(64);
    let start = Instant::now();
    // A client that takes nothing of the response: it does not fit into the pipe.
    let request = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        peer.write_all(
            b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await
        .unwrap();
    };
    let (server, options) = (ServerOptions::new(), Options::new());
    let (accepted, ()) = tokio::join!(accept(stream, &server, &options), request);
    assert!(matches!(accepted, Err(Error::TimedOut(TimedOut::Handshake))));
    assert_eq!(start.elapsed().as_secs(), 10);
}

/// A sink takes one message over the bound of its queue; whoever sends next goes behind it.
#[tokio::test]
async fn a_sink_takes_one_message_over_the_bound() {
    use futures_sink::Sink;

    for split in [false, true] {
        let (a, b) = duplex(64);
        let connection =
            Connection::server(Negotiated::default(), ConnectionOptions::new().max_outgoing(100));
        let mut sending = WebSocket::new(a, connection, &[], &Options::new());
        for text in ["one", "two"] {
            Pin::new(&mut sending).start_send(Message::from(text.repeat(30))).unwrap();
        }
        assert_eq!(sending.queued(), 2 * (2 + 90), "one message over the bound");
        let third = Pin::new(&mut sending).start_send(Message::from("not ready"));
        assert!(matches!(third, Err(Error::Usage(UsageError::Full))), "{third:?}");
        let send = async {
            if split {
                let (mut writer, reader) = sending.split_with(tokio::io::split);
                writer.flush().await.unwrap();
                writer.send("three").await.unwrap();
                drop(reader);
                drop(writer);
            } else {
                sending.send("three").await.unwrap();
            }
        };
        let receive = async {
            let mut receiving = client(b, &Options::new());
            for text in ["one".repeat(30), "two".repeat(30), "three".to_owned()] {
                assert_eq!(receiving.next().await.unwrap().unwrap(), Message::from(text));
            }
        };
        tokio::join!(send, receive);
    }
}

/// Whoever only writes may drop the reader: it is `drive` and `close` that need one.
#[tokio::test]
async fn a_writer_goes_on_without_its_reader_until_it_is_driven() {
    let (a, b) = duplex(1024);
    let (mut writer, reader) = server(a, &Options::new()).split_with(tokio::io::split);
    drop(reader);
    writer.send("alone").await.unwrap();
    let mut receiving = client(b, &Options::new());
    assert_eq!(receiving.next().await.unwrap().unwrap(), Message::from("alone"));
    writer.ping(b"?").await.unwrap();
    assert_eq!(receiving.next().await.unwrap().unwrap(), Message::Ping(Bytes::from_static(b"?")));
    writer.drive().await.unwrap();
    assert_eq!(writer.state(), State::Aborted);
}

#[tokio::test]
async fn both_halves_of_a_split_socket_work_at_once() {
    let options = Options::new();
    let (client, server) = pair(&options);
    let (mut writer, mut reader) = server.split_with(tokio::io::split);
    let echo = tokio::spawn(async move {
        let (send, mut receive) = tokio::sync::mpsc::channel::<Message>(8);
        let writing = tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(message) = receive.recv() => writer.send(message).await.unwrap(),
                    done = writer.drive() => break done.unwrap(),
                }
            }
            writer.state()
        });
        while let Some(message) = reader.next().await {
            let message = message.unwrap();
            if message.is_data() {
                send.send(message).await.unwrap();
            }
        }
        writing.await.unwrap()
    });
    let (mut writer, mut reader) = client.split_with(tokio::io::split);
    let receiving = tokio::spawn(async move {
        let mut received = Vec::new();
        while let Some(message) = reader.next().await {
            received.push(message.unwrap());
        }
        received
    });
    for n in 0..100 {
        writer.send(format!("message {n}")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    writer.close(1000, "done").await.unwrap();
    let received = receiving.await.unwrap();
    let texts: Vec<_> = received.iter().filter_map(Message::as_text).collect();
    assert_eq!(texts, (0..100).map(|n| format!("message {n}")).collect::<Vec<_>>());
    assert!(matches!(received.last(), Some(Message::Close(Some((CloseCode(1000), _))))));
    assert!(matches!(echo.await.unwrap(), State::Closed | State::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_split_socket_answers_pings_and_keeps_its_heartbeat() {
    let (mut peer, stream) = duplex(1024);
    let (mut writer, mut reader) = server(stream, &Options::new()).split_with(tokio::io::split);
    let writing = tokio::spawn(async move { writer.drive().await.map_err(|error| error.to_string()) });
    peer.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'?']).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), Message::Ping(Bytes::from_static(b"?")));
    let start = Instant::now();
    assert!(matches!(reader.next().await, Some(Err(Error::TimedOut(TimedOut::Ping)))));
    assert_eq!(start.elapsed().as_secs(), 50);
    writing.await.unwrap().unwrap();
    let mut written = vec![0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut peer, &mut written).await.unwrap();
    assert_eq!(written, b"\x8a\x01?\x89\x00");
}

#[tokio::test(start_paused = true)]
async fn a_split_writer_gives_up_on_a_peer_that_does_not_close() {
    let (_peer, stream) = duplex(1024);
    let (mut writer, mut reader) = server(stream, &Options::new()).split_with(tokio::io::split);
    let reading =
        tokio::spawn(async move { reader.next().await.map(|message| message.map_err(|e| e.to_string())) });
    assert!(matches!(writer.close(1000, "").await, Err(Error::TimedOut(TimedOut::Close))));
    let error = reading.await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, Error::TimedOut(TimedOut::Close).to_string());
}

/// Polls `future` at most `polls` times; its output, or `None` if it was dropped.
async fn poll_some<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// DESIGN D15: whatever future is dropped at whatever await, nothing is lost, nothing comes twice,
/// no frame is left half written.
#[tokio::test]
async fn futures_dropped_at_every_await_lose_nothing() {
    let texts: Vec<String> = (0..30).map(|n| format!("message number {n} {}", "x".repeat(n * 7))).collect();
    let input: Vec<u8> = frames(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    for (polls, read_len, write_len) in
        [(1, 1, 1), (1, 7, 3), (2, 13, 5), (3, 64, 64), (1, 1000, 17), (2, 100_000, 1)]
    {
        let mut reads: Vec<Vec<u8>> = input.chunks(read_len).map(<[u8]>::to_vec).collect();
        reads.push(vec![0x88, 0x80, 0, 0, 0, 0]);
        reads.push(vec![]);
        let script = Scripted::new(reads, true, write_len);
        let mut socket = server(script.clone(), &Options::new());
        let mut received = Vec::new();
        loop {
            match poll_some(socket.next(), polls).await {
                None => continue, // dropped; another is made
                Some(None) => break,
                Some(Some(message)) => {
                    let Message::Text(text) = message.unwrap() else { continue };
                    received.push(text.clone());
                    // The send is dropped, too: then it has sent nothing.
                    while poll_some(socket.send(&text), polls).await.is_none() {}
                    // So is a flush.
                    let _ = poll_some(socket.flush(), polls).await;
                }
            }
        }
        assert_eq!(received, texts);
        let mut connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY);
        let mut inbox = pushline::Inbox::new();
        let _ = inbox.extend(&script.0.lock().unwrap().written);
        let mut echoed = Vec::new();
        while let Some(event) = connection.next_event(&mut inbox).unwrap() {
            match event {
                Event::Text(text) => echoed.push(text.to_owned()),
                Event::Close(None) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(echoed, texts, "polls {polls}, reads of {read_len}, writes of {write_len}");
    }
}

/// A transport that gives each read once, its error too, and whose end is asked for once.
struct Once {
    reads: VecDeque<io::Result<Vec<u8>>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Once {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.reads.pop_front().expect("it has ended")?;
        assert!(read.len() <= buffer.remaining());
        buffer.put_slice(&read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Once {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Several reads into one message are looked at together; what ends the stream behind them counts after them, once.
#[tokio::test]
async fn what_ends_the_stream_within_a_message_comes_behind_its_bytes() {
    for len in [126, 1_000, 4_095, 4_096, 20_000] {
        what_ends_the_stream_within(len).await;
    }
}

async fn what_ends_the_stream_within(len: u16) {
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    for (text, bad, end) in [
        (true, true, Ok(Vec::new())),
        (true, true, reset()),
        (true, false, Ok(Vec::new())),
        (true, false, reset()),
        (false, false, Ok(Vec::new())),
        (false, false, reset()),
    ] {
        let is_reset = end.is_err();
        let mut frame = vec![if text { 0x81 } else { 0x82 }, 0xfe];
        frame.extend(len.to_be_bytes());
        frame.extend([0; 4]);
        // The first read ends with the header: what follows goes straight into the message.
        let second = if bad { b"good, and \xff".to_vec() } else { b"good, and good".to_vec() };
        let reads = [Ok(frame), Ok(vec![b'a'; 100]), Ok(second), end].into();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut socket = server(Once { reads, written: Arc::clone(&written) }, &Options::new());
        let error = socket.next().await.unwrap().unwrap_err();
        let written = written.lock().unwrap().clone();
        if bad {
            assert!(matches!(error, Error::Protocol(ProtocolError::InvalidUtf8)), "{error:?}");
            assert_eq!(written, [0x88, 2, 0x03, 0xef], "1007");
        } else if is_reset {
            assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset));
        } else {
            assert!(matches!(error, Error::Aborted), "{error:?}");
        }
        assert!(socket.next().await.is_none());
    }
}

/// The same if the message before is taken out in between: the end is found by another call than the bytes were.
#[tokio::test]
async fn what_ends_the_stream_behind_a_bad_byte_does_not_hide_it() {
    for len in [126_u16, 1_000, 4_095, 4_096, 20_000] {
        for end in [Ok(Vec::new()), Err(io::Error::from(io::ErrorKind::ConnectionReset))] {
            let mut bytes = frames(&["good"]);
            bytes.extend([0x81, 0xfe]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(b"good, and \xff");
            let written = Arc::new(Mutex::new(Vec::new()));
            let stream = Once { reads: [Ok(bytes), end].into(), written: Arc::clone(&written) };
            let mut socket = server(stream, &Options::new());
            assert_eq!(socket.next().await.unwrap().unwrap(), "good".into());
            let error = socket.next().await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Protocol(ProtocolError::InvalidUtf8)), "{len} {error:?}");
            assert_eq!(*written.lock().unwrap(), [0x88, 2, 0x03, 0xef], "1007");
        }
    }
}

/// However long the message is to be, and however many were read before: a bad byte is not waited behind, and a good
/// beginning is waited for.
#[tokio::test(start_paused = true)]
async fn what_has_come_of_a_text_is_looked_at_before_it_waits() {
    for len in [11, 125, 126, 1_000, 4_095, 4_096, 16_384, 20_000, 70_000] {
        for (cut, bad, lent, before) in
            (0..24).map(|n| (if n % 3 == 0 { 10 } else { len / 3 }, n % 2 == 0, n % 4 < 2, n / 8))
        {
            let (mut peer, stream) = duplex(1 << 20);
            let options = Options::new();
            let mut socket = server(stream, &options);
            let text = "\u{6c34}".repeat(len / 3) + &"..."[..len % 3];
            let mut frame = frames(&[&text]);
            let head = frame.len() - len;
            let cut = head + cut.min(len - 1);
            if bad {
                frame[cut - 1] = 0xff ^ KEY[(cut - 1 - head) % 4];
            }
            for _ in 0..before {
                let whole = "a".repeat(len);
                peer.write_all(&frames(&[&whole])).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), whole.into());
            }
            // Behind another message, or by itself, or in two pieces.
            let (first, second) = frame.split_at(cut);
            if before == 1 {
                peer.write_all(&frames(&["ahead"])).await.unwrap();
            }
            peer.write_all(&first[..cut / 2]).await.unwrap();
            if before == 2 {
                let read = tokio::time::timeout(Duration::from_millis(1), socket.next()).await;
                assert!(read.is_err(), "nothing is bad so far");
            }
            peer.write_all(&first[cut / 2..]).await.unwrap();
            if before == 1 {
                assert_eq!(socket.next().await.unwrap().unwrap(), "ahead".into());
            }
            let what = format!("{len} {cut} {bad} {lent} {before}");
            let wait = Duration::from_millis(1);
            if lent && before == 0 {
                assert!(tokio::time::timeout(wait, socket.next_event()).await.is_err(), "{what}");
            } else {
                assert!(tokio::time::timeout(wait, socket.next()).await.is_err(), "{what}");
            }
            if bad {
                let mut close = [0; 4];
                let read = tokio::io::AsyncReadExt::read_exact(&mut peer, &mut close);
                tokio::time::timeout(Duration::ZERO, read).await.expect(&what).unwrap();
                assert_eq!(close, [0x88, 2, 0x03, 0xef], "1007");
                drop(peer);
            } else {
                peer.write_all(second).await.unwrap();
            }
            let next = if lent {
                socket.next_event().await.unwrap().map(|event| match event {
                    Event::Text(text) => text.to_owned(),
                    event => panic!("{event:?}"),
                })
            } else {
                socket.next().await.unwrap().map(|message| message.as_text().unwrap().to_owned())
            };
            match next {
                Ok(received) => assert!(!bad && received == text, "{what}"),
                Err(error) => {
                    let invalid = matches!(error, Error::Protocol(ProtocolError::InvalidUtf8));
                    assert!(bad && invalid, "{what} {error:?}");
                }
            }
        }
    }
}
