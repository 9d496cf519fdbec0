//! No peer holds up a connection, and none is given up that lives: the tokio adapter as a whole, in halves, as a
//! stream and a sink, with a paused clock and over sockets; and the blocking adapter.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // sockets, threads and a clock

use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use pushline::adapter::tokio::{WebSocket, accept};
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::handshake::ServerOptions;
use pushline::ws::{Connection, ConnectionOptions, Event, Message, Negotiated, UsageError};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

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

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What a client writes.
fn frames(say: impl FnOnce(&mut Connection)) -> Vec<u8> {
    let config = ConnectionOptions::new().max_outgoing(usize::MAX);
    let mut connection = Connection::client(Negotiated::default(), config, || KEY);
    say(&mut connection);
    let len = connection.outgoing().len();
    connection.outgoing().copy_to_bytes(len).to_vec()
}

type Writing = Pin<Box<dyn Sink<Message, Error = Error> + Send>>;
type Reading = Pin<Box<dyn Stream<Item = Result<Message, Error>> + Send>>;

/// How a socket is used: in the halves of the adapter, or those of `futures`.
#[derive(Clone, Copy, Debug)]
enum Halves {
    Own,
    Futures,
}

const HALVES: [Halves; 2] = [Halves::Own, Halves::Futures];

fn split<S>(socket: WebSocket<S>, halves: Halves) -> (Writing, Reading)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match halves {
        Halves::Own => {
            let (writer, reader) = socket.split_with(tokio::io::split);
            (Box::pin(writer), Box::pin(reader))
        }
        Halves::Futures => {
            let (writer, reader) = StreamExt::split(socket);
            (Box::pin(writer), Box::pin(reader))
        }
    }
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (a, b) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (a.unwrap(), b.unwrap().0)
}

// A deadline is judged after the input that moves it.

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_socket_after_a_pause_is_not_lost() {
    for kind in 0..3 {
        let (mut peer, stream) = duplex(1024);
        let socket = server(stream, &Options::new());
        let (_writing, mut reading): (Option<Writing>, Reading) = match kind {
            0 => (None, Box::pin(socket)),
            kind => {
                let (writing, reading) = split(socket, HALVES[kind - 1]);
                (Some(writing), reading)
            }
        };
        assert!(timeout(secs(31), reading.next()).await.is_err(), "the ping goes out");
        let mut ping = [0; 2];
        peer.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 0]);
        sleep(secs(4)).await;
        let bytes = frames(|connection| {
            connection.pong(b"").unwrap();
            connection.send("late?").unwrap();
        });
        peer.write_all(&bytes).await.unwrap();
        sleep(secs(25)).await;
        assert_eq!(reading.next().await.unwrap().unwrap(), Message::Pong(Bytes::new()), "{kind}");
        assert_eq!(reading.next().await.unwrap().unwrap(), "late?".into(), "{kind}");
    }
}

// Nothing waits without a deadline.

/// Ends with an error, at the latest after `ping_interval` and `ping_timeout`.
async fn ends<T>(what: &str, waiting: impl Future<Output = Result<T, Error>>) {
    let start = Instant::now();
    let ended = timeout(secs(51), waiting).await;
    let Ok(Err(Error::TimedOut(_))) = ended else { panic!("{what}: {}", ended.is_ok()) };
    assert!(start.elapsed() <= secs(50) + Duration::from_millis(10), "{what}: {:?}", start.elapsed());
}

fn stuck() -> (DuplexStream, WebSocket<DuplexStream>) {
    let (peer, stream) = duplex(64);
    (peer, server(stream, &Options::new()))
}

const KIB: [u8; 1024] = [7; 1024];

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_holds_no_call_of_the_whole() {
    let (_peer, mut socket) = stuck();
    ends("send", async {
        loop {
            socket.send(&KIB[..]).await?;
        }
        #[expect(unreachable_code, reason = "the type")]
        Ok(())
    })
    .await;
    assert!(socket.send("more").await.is_err());
    assert!(socket.flush().await.is_err(), "what was accepted is lost");

    let (_peer, mut socket) = stuck();
    ends("feed", async {
        loop {
            socket.feed(&KIB[..]).await?;
        }
        #[expect(unreachable_code, reason = "the type")]
        Ok(())
    })
    .await;

    let (_peer, mut socket) = stuck();
    socket.send(&KIB[..]).await.unwrap();
    ends("flush", socket.flush()).await;

    let (_peer, mut socket) = stuck();
    socket.send(&KIB[..]).await.unwrap();
    ends("close", socket.close(1000, "")).await;
    assert!(socket.flush().await.is_err());
    assert!(socket.send("more").await.is_err());

    let (_peer, mut socket) = stuck();
    socket.send(&KIB[..]).await.unwrap();
    ends("next", async { socket.next().await.unwrap() }).await;
    assert!(socket.next().await.is_none());

    let (_peer, mut socket) = stuck();
    ends("sink", async {
        loop {
            SinkExt::send(&mut socket, Message::from(Bytes::from_static(&KIB))).await?;
        }
        #[expect(unreachable_code, reason = "the type")]
        Ok(())
    })
    .await;

    let (_peer, mut socket) = stuck();
    socket.send(&KIB[..]).await.unwrap();
    ends("sink close", SinkExt::close(&mut socket)).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_holds_no_half() {
    let (_peer, socket) = stuck();
    let (mut writer, _reader) = socket.split_with(tokio::io::split);
    ends("send", async {
        loop {
            writer.send(&KIB[..]).await?;
        }
        #[expect(unreachable_code, reason = "the type")]
        Ok(())
    })
    .await;
    assert!(writer.send("more").await.is_err());

    let (_peer, socket) = stuck();
    let (mut writer, _reader) = socket.split_with(tokio::io::split);
    writer.feed(&KIB[..]).await.unwrap();
    ends("drive", writer.drive()).await;
    ends("flush", writer.flush()).await;

    let (_peer, socket) = stuck();
    let (mut writer, _reader) = socket.split_with(tokio::io::split);
    writer.send(&KIB[..]).await.unwrap();
    ends("close", writer.close(1000, "")).await;
    ends("flush after that", writer.flush()).await;
    ends("drive after that", writer.drive()).await;

    for halves in HALVES {
        let (_peer, socket) = stuck();
        let (mut writing, mut reading) = split(socket, halves);
        let flood = async {
            loop {
                writing.send(Message::from(Bytes::from_static(&KIB))).await?;
            }
            #[expect(unreachable_code, reason = "the type")]
            Ok(())
        };
        let (_, _) = tokio::join!(
            ends("both, writing", flood),
            ends("both, reading", async { reading.next().await.unwrap() })
        );

        let (_peer, socket) = stuck();
        let (mut writing, _reading) = split(socket, halves);
        writing.feed(Message::from(Bytes::from_static(&KIB))).await.unwrap();
        ends("sink flush", writing.flush()).await;

        let (_peer, socket) = stuck();
        let (mut writing, _reading) = split(socket, halves);
        writing.feed(Message::from(Bytes::from_static(&KIB))).await.unwrap();
        ends("sink close", writing.close()).await;
    }
}

/// Two tasks wait for one connection: one that no longer does has left the other its timer.
#[tokio::test(start_paused = true)]
async fn a_writer_that_gives_up_takes_no_deadline_with_it() {
    for halves in HALVES {
        let (_peer, socket) = stuck();
        let (mut writing, mut reading) = split(socket, halves);
        let start = Instant::now();
        let reading = tokio::spawn(async move { reading.next().await.unwrap() });
        sleep(secs(1)).await;
        let writing = tokio::spawn(async move {
            let flood =
                async { while writing.send(Message::from(Bytes::from_static(&KIB))).await.is_ok() {} };
            assert!(timeout(secs(2), flood).await.is_err());
            writing
        });
        let _writing = writing.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3);
        let error = reading.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::TimedOut(TimedOut::Write)), "{halves:?}: {error:?}");
        assert_eq!(start.elapsed().as_secs(), 51, "{halves:?}");
    }
}

/// The send has returned, and nobody but the reader, which waited before that, is polled.
#[tokio::test(start_paused = true)]
async fn a_reader_notices_that_a_write_is_stuck() {
    for write_timeout in [None, Some(secs(1))] {
        let (_peer, stream) = duplex(64);
        let mut options = Options::new();
        if let Some(timeout) = write_timeout {
            options = options.write_timeout(timeout);
        }
        let (mut writer, mut reader) = server(stream, &options).split_with(tokio::io::split);
        let reading = tokio::spawn(async move { reader.next().await.unwrap() });
        sleep(secs(5)).await;
        let start = Instant::now();
        writer.send(&KIB[..]).await.unwrap();
        let error = reading.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::TimedOut(TimedOut::Write)), "{error:?}");
        assert_eq!(start.elapsed().as_secs(), write_timeout.unwrap_or(secs(50)).as_secs());
    }
}

#[tokio::test]
async fn both_ends_may_send_a_lot_before_they_read() {
    let (a, b) = tcp().await;
    let both = async |mut socket: WebSocket<TcpStream>| {
        let message = Bytes::from(vec![7; 8 << 20]);
        socket.send(message.clone()).await.unwrap();
        socket.send("behind it").await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from(message));
        assert_eq!(socket.next().await.unwrap().unwrap(), "behind it".into());
        socket
    };
    let options = Options::new();
    timeout(secs(60), async { tokio::join!(both(client(a, &options)), both(server(b, &options))) })
        .await
        .expect("neither waits for the other");
}

// Two tasks, no lost wake-up.

async fn cross<S>(a: WebSocket<S>, b: WebSocket<S>, halves: Halves, count: u32)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sending, mut receiving, mut ends) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for socket in [a, b] {
        let (mut writing, mut reading) = split(socket, halves);
        sending.push(tokio::spawn(async move {
            for n in 0..count {
                let message = n.to_be_bytes().repeat(1 + (n as usize * 37) % 2000);
                writing.send(Message::from(message)).await.unwrap();
                if n % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            writing.flush().await.unwrap();
            writing
        }));
        receiving.push(tokio::spawn(async move {
            for n in 0..count {
                let message = reading.next().await.unwrap().unwrap();
                assert_eq!(message.payload(), n.to_be_bytes().repeat(1 + (n as usize * 37) % 2000));
            }
            reading
        }));
    }
    for task in sending {
        ends.0.push(timeout(secs(60), task).await.expect("no wake-up is lost").unwrap());
    }
    for task in receiving {
        ends.1.push(timeout(secs(60), task).await.expect("no wake-up is lost").unwrap());
    }
}

#[tokio::test]
async fn two_tasks_on_two_halves_lose_no_wake_up() {
    for halves in HALVES {
        for size in [64, 1000, 64 * 1024] {
            let (a, b) = duplex(size);
            cross(client(a, &Options::new()), server(b, &Options::new()), halves, 100).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_on_two_halves_lose_no_wake_up_over_sockets() {
    for halves in HALVES {
        let (a, b) = tcp().await;
        cross(client(a, &Options::new()), server(b, &Options::new()), halves, 1000).await;
    }
}

// Errors that come too late to matter.

/// A stream whose end is an error.
struct EndsBadly {
    inner: DuplexStream,
    how: io::ErrorKind,
}

impl AsyncRead for EndsBadly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => Poll::Ready(Err(self.how.into())),
            other => other,
        }
    }
}

impl AsyncWrite for EndsBadly {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_after_both_close_frames_is_none() {
    for how in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
        for closed in [true, false] {
            for way in 0..5 {
                let (mut peer, inner) = duplex(1024);
                let mut socket = client(EndsBadly { inner, how }, &Options::new());
                socket.send("Hello").await.unwrap();
                if closed {
                    peer.write_all(b"\x88\x02\x03\xe8").await.unwrap();
                }
                // What we write is read to its end: the transport fails while reading.
                peer.shutdown().await.unwrap();
                let peer = tokio::spawn(async move { peer.read_to_end(&mut Vec::new()).await });
                let end = match way {
                    0 => {
                        async {
                            while let Some(message) = socket.next().await {
                                message?;
                            }
                            socket.flush().await
                        }
                        .await
                    }
                    1 => socket.close(1000, "").await,
                    2 | 3 => {
                        let (mut writing, mut reading) = split(socket, HALVES[way - 2]);
                        async {
                            while let Some(message) = reading.next().await {
                                message?;
                            }
                            writing.close().await
                        }
                        .await
                    }
                    _ => {
                        let (mut writer, mut reader) = socket.split_with(tokio::io::split);
                        let reading = async {
                            while let Some(message) = reader.next().await {
                                message?;
                            }
                            Ok::<_, Error>(())
                        };
                        let (read, driven) = tokio::join!(reading, writer.drive());
                        assert!(!closed || driven.is_ok(), "{driven:?}");
                        read
                    }
                };
                match (closed, how, end) {
                    (true, _, Ok(()))
                    | (false, io::ErrorKind::UnexpectedEof, Err(Error::Aborted))
                    | (false, io::ErrorKind::ConnectionReset, Err(Error::Io(_))) => {}
                    other => panic!("{way}: {other:?}"),
                }
                peer.abort();
            }
        }
    }
}

// Settings.

#[tokio::test(start_paused = true)]
async fn no_setting_of_a_time_panics() {
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::ZERO] {
        let settings = [
            Options::new().close_timeout(time),
            Options::new().close_limit(time),
            Options::new().ping_interval(Some(time)),
            Options::new().ping_timeout(time),
            Options::new().write_timeout(time),
            Options::new().ping_interval(Some(time)).ping_timeout(time).close_timeout(time).close_limit(time),
        ];
        for options in settings {
            let (a, b) = duplex(1024);
            let (mut a, mut b) = (client(a, &options), server(b, &options));
            let sending = async {
                a.send("Hello").await.unwrap();
                let _ = timeout(secs(1), a.next()).await;
                let _ = a.close(1000, "").await;
            };
            let receiving = async {
                assert_eq!(b.next().await.unwrap().unwrap(), "Hello".into());
                while let Some(Ok(_)) = b.next().await {}
            };
            timeout(secs(10_000), async { tokio::join!(sending, receiving) }).await.expect("an end");
            let (a, b) = duplex(64);
            let (mut writer, mut reader) = server(a, &options).split_with(tokio::io::split);
            let both = async { tokio::join!(writer.send(&KIB[..]), writer_end(&mut reader)) };
            let _ = timeout(secs(100), both).await;
            let _ = timeout(secs(100), writer.close(1000, "")).await;
            drop(b);
        }
    }
}

async fn writer_end<R, W>(reader: &mut pushline::adapter::tokio::Reader<R, W>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(Ok(_)) = reader.next().await {}
}

#[tokio::test]
async fn a_handshake_may_take_for_ever_or_no_time() {
    for time in [Duration::MAX, Duration::ZERO] {
        let (mut peer, stream) = tcp().await;
        peer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let accepting = timeout(
            secs(if time.is_zero() { 20 } else { 1 }),
            accept(stream, &ServerOptions::new(), &Options::new().handshake_timeout(time)),
        )
        .await;
        if time.is_zero() {
            assert!(matches!(accepting, Ok(Err(_))));
        } else {
            assert!(accepting.is_err());
        }
    }
}

// A timeout holds whatever the peer sends.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_flooding_peers_end_in_time() {
    let options = Options::new().close_timeout(Duration::from_millis(500));
    let mut closing = Vec::new();
    let mut floods = Vec::new();
    for n in 0..40 {
        let (mut peer, stream) = tcp().await;
        floods.push(tokio::spawn(async move {
            let flood = frames(|connection| {
                for _ in 0..64 {
                    connection.send(&KIB[..]).unwrap();
                }
            });
            while peer.write_all(&flood).await.is_ok() {}
        }));
        let mut socket = server(stream, &options);
        closing.push(tokio::spawn(async move {
            match n % 4 {
                0 => socket.close(1000, "").await,
                1 => {
                    socket.send(Message::Close(None)).await.unwrap();
                    while let Some(message) = socket.next().await {
                        message?;
                    }
                    Ok(())
                }
                n => {
                    let (mut writing, mut reading) = split(socket, HALVES[n - 2]);
                    writing.close().await.unwrap();
                    while let Some(message) = reading.next().await {
                        message?;
                    }
                    Ok(())
                }
            }
        }));
    }
    let start = Instant::now();
    for task in closing {
        let end = timeout(secs(10), task).await.expect("in time").unwrap();
        assert!(matches!(end, Err(Error::TimedOut(TimedOut::Close))), "{end:?}");
    }
    assert!(start.elapsed() < secs(10), "{:?}", start.elapsed());
    floods.iter().for_each(tokio::task::JoinHandle::abort);
}

// A write that failed is the end.

/// Fails once, in the middle of a frame, and then goes on.
struct FailsOnce {
    left: usize,
    failed: bool,
    written: Vec<u8>,
}

impl AsyncRead for FailsOnce {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for FailsOnce {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left == 0 && !self.failed {
            self.failed = true;
            return Poll::Ready(Err(io::Error::other("ENOBUFS")));
        }
        let n = if self.failed { bytes.len() } else { bytes.len().min(self.left) };
        self.left = self.left.saturating_sub(n);
        self.written.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_write_that_failed_every_send_does() {
    let stream = || FailsOnce { left: 10, failed: false, written: Vec::new() };
    let is_io = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    let mut socket = server(stream(), &Options::new());
    socket.feed("a message of some length").await.unwrap();
    // It fails inside of a `next` that is given up.
    assert!(timeout(Duration::from_millis(1), socket.next()).await.is_err());
    for _ in 0..3 {
        is_io(socket.send("more").await);
        is_io(socket.feed("more").await);
        is_io(socket.flush().await);
        is_io(SinkExt::send(&mut socket, Message::from("more")).await);
    }
    assert_eq!(socket.get_ref().written.len(), 10, "nothing behind half a frame");
    assert!(timeout(secs(60), socket.close(1000, "")).await.unwrap().is_err());

    let (mut writer, _reader) = server(stream(), &Options::new()).split_with(tokio::io::split);
    is_io(writer.send("a message of some length").await);
    for _ in 0..3 {
        is_io(writer.send("more").await);
        is_io(writer.feed("more").await);
        is_io(writer.flush().await);
        is_io(SinkExt::send(&mut writer, Message::from("more")).await);
    }
    is_io(timeout(secs(60), writer.close(1000, "")).await.unwrap());
    let (mut writing, _reading) = split(server(stream(), &Options::new()), Halves::Futures);
    is_io(writing.send(Message::from("a message of some length")).await);
    is_io(writing.send(Message::from("more")).await);
}

// Progress is life.

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_given_up() {
    for kind in 0..3 {
        let (mut peer, stream) = duplex(64 * 1024);
        let socket = server(stream, &Options::new());
        let large = Bytes::from(vec![7; 12 << 20]);
        let reading_slowly = async {
            let (mut received, mut bytes) = (0, vec![0; 100 * 1024]);
            while received < 12 << 20 {
                sleep(secs(1)).await;
                let mut second = 0;
                while second < bytes.len() && received < 12 << 20 {
                    let n = peer.read(&mut bytes).await.unwrap();
                    assert_ne!(n, 0, "{kind}: given up after {received}");
                    (second, received) = (second + n, received + n);
                }
            }
            peer.write_all(&frames(|connection| connection.send("thanks").unwrap())).await.unwrap();
            peer
        };
        let message = Message::from(large);
        let start = Instant::now();
        match kind {
            0 => {
                let mut socket = socket;
                let sending = async {
                    socket.send(message).await.unwrap();
                    assert_eq!(socket.next().await.unwrap().unwrap(), "thanks".into());
                };
                tokio::join!(sending, reading_slowly);
            }
            kind => {
                let (mut writing, mut reading) = split(socket, HALVES[kind - 1]);
                let sending = async { writing.send(message).await.unwrap() };
                let receiving = async { assert_eq!(reading.next().await.unwrap().unwrap(), "thanks".into()) };
                tokio::join!(sending, receiving, reading_slowly);
            }
        }
        assert!(start.elapsed() > secs(80), "{:?}", start.elapsed());
    }
}

/// The close timeout counts from the last byte that was written.
#[tokio::test(start_paused = true)]
async fn a_close_waits_for_a_slow_line() {
    for kind in 0..2 {
        let (mut peer, stream) = duplex(1024);
        let options = Options::new().close_timeout(secs(5)).close_limit(secs(1000));
        let mut socket = server(stream, &options);
        socket.feed(&[7; 100 * 1024][..]).await.unwrap();
        let slowly = async {
            let (mut received, mut bytes) = (Vec::new(), [0; 1024]);
            while !received.ends_with(b"\x88\x02\x03\xe8") {
                sleep(secs(1)).await;
                let n = peer.read(&mut bytes).await.unwrap();
                assert_ne!(n, 0, "cut off after {}", received.len());
                received.extend_from_slice(&bytes[..n]);
            }
            sleep(secs(3)).await;
            peer.write_all(&frames(|connection| connection.close(1000, "").unwrap())).await.unwrap();
            peer
        };
        let start = Instant::now();
        if kind == 0 {
            let (closed, _peer) = tokio::join!(socket.close(1000, ""), async { (slowly.await, ()) });
            // The peer is gone with the tuple only now: its end of the transport was waited for.
            assert!(matches!(closed, Ok(())), "{closed:?}");
        } else {
            let (mut writer, mut reader) = socket.split_with(tokio::io::split);
            let (closed, (), _peer) =
                tokio::join!(writer.close(1000, ""), writer_end(&mut reader), async { (slowly.await, ()) });
            assert!(matches!(closed, Ok(())), "{closed:?}");
        }
        assert!(start.elapsed() > secs(100), "{:?}", start.elapsed());
    }
}

// An echo.

#[tokio::test]
async fn forward_is_an_echo() {
    for halves in HALVES {
        let (a, b) = tcp().await;
        let (writing, reading) = split(server(a, &Options::new()), halves);
        let echo = tokio::spawn(reading.forward(writing));
        let (mut writing, mut reading) = split(client(b, &Options::new()), Halves::Own);
        let sending = async {
            for n in 0..10_000_u32 {
                writing.feed(Message::from(n.to_string())).await.unwrap();
            }
            writing.close().await.unwrap();
        };
        let receiving = async {
            let mut back = 0_u32;
            while let Some(message) = reading.next().await {
                match message.unwrap() {
                    Message::Text(text) => {
                        assert_eq!(&*text, back.to_string());
                        back += 1;
                    }
                    other => assert!(matches!(other, Message::Close(_)), "{other:?}"),
                }
            }
            assert_eq!(back, 10_000);
        };
        timeout(secs(60), async { tokio::join!(sending, receiving) }).await.unwrap();
        echo.await.unwrap().unwrap();
    }
}

// No duties in prose.

#[tokio::test(start_paused = true)]
async fn a_reader_alone_does_all_that_is_due() {
    let (mut peer, stream) = duplex(1024);
    let (_writer, mut reader) = server(stream, &Options::new()).split_with(tokio::io::split);
    let reading = tokio::spawn(async move {
        let mut received = Vec::new();
        while let Some(message) = reader.next().await {
            received.push(message?);
        }
        Ok::<_, Error>(received)
    });
    peer.write_all(&frames(|connection| connection.ping(b"?").unwrap())).await.unwrap();
    let mut bytes = [0; 3];
    timeout(secs(1), peer.read_exact(&mut bytes)).await.expect("a pong at once").unwrap();
    assert_eq!(&bytes, b"\x8a\x01?");
    // The heartbeat.
    timeout(secs(31), peer.read_exact(&mut bytes[..2])).await.expect("a ping").unwrap();
    assert_eq!(&bytes[..2], b"\x89\x00");
    peer.write_all(&frames(|connection| connection.pong(b"").unwrap())).await.unwrap();
    sleep(secs(25)).await;
    peer.write_all(&frames(|connection| connection.close(1000, "").unwrap())).await.unwrap();
    let mut bytes = [0; 4];
    timeout(secs(1), peer.read_exact(&mut bytes)).await.expect("an answer").unwrap();
    assert_eq!(&bytes, b"\x88\x02\x03\xe8");
    assert_eq!(peer.read(&mut bytes).await.unwrap(), 0, "a server ends the transport first");
    drop(peer);
    assert_eq!(reading.await.unwrap().unwrap().len(), 3);

    let (_peer, stream) = duplex(1024);
    let (_writer, mut reader) = server(stream, &Options::new()).split_with(tokio::io::split);
    ends("heartbeat", async { reader.next().await.unwrap() }).await;
}

// Contracts.

#[tokio::test]
async fn a_sink_that_is_not_asked_refuses_and_loses_nothing() {
    for kind in 0..3 {
        let (peer, stream) = duplex(64);
        let connection =
            Connection::server(Negotiated::default(), ConnectionOptions::new().max_outgoing(1000));
        let socket = WebSocket::new(stream, connection, &[], &Options::new());
        let (mut writing, reading): (Writing, Option<Reading>) = match kind {
            0 => (Box::pin(socket), None),
            kind => {
                let (writing, reading) = split(socket, HALVES[kind - 1]);
                (writing, Some(reading))
            }
        };
        if kind == 2 {
            // `SplitSink` holds one message of its own.
            assert!(writing.send(Message::from("begun")).now_or_never().is_some());
        }
        let mut accepted = Vec::new();
        for n in 0..100_u8 {
            if kind == 2 && n > 0 {
                break;
            }
            match writing.as_mut().start_send(Message::from(vec![n; 100])) {
                Ok(()) => accepted.push(n),
                Err(error) => assert!(matches!(error, Error::Usage(UsageError::Full)), "{error:?}"),
            }
        }
        assert!(kind == 2 || (9..15).contains(&accepted.len()), "{accepted:?}");
        let mut receiving = client(peer, &Options::new());
        let receive = async {
            for n in accepted {
                while !receiving.next().await.unwrap().unwrap().payload().eq(&vec![n; 100]) {}
            }
        };
        let (flushed, ()) = tokio::join!(writing.flush(), receive);
        flushed.unwrap();
        drop(reading);
    }
}

// Sizes.

#[tokio::test]
async fn a_connection_is_small() {
    assert_eq!(size_of::<WebSocket<TcpStream>>(), size_of::<usize>());
    let (_peer, stream) = tcp().await;
    let task = async move {
        let (server_options, options) = (ServerOptions::new(), Options::new());
        let mut socket = accept(stream, &server_options, &options).await?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_data() {
                socket.send(message).await?;
            }
        }
        Ok::<_, Error>(())
    };
    let size = size_of_val(&task);
    assert!(size <= 320, "{size} bytes for the life of the connection");
    drop(task);
}

mod blocking {
    use super::*;
    use pushline::adapter::blocking::{Transport, WebSocket};
    use std::collections::VecDeque;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Instant;

    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    fn server<S: Transport>(stream: S, options: &Options) -> WebSocket<S> {
        WebSocket::new(
            stream,
            Connection::server(Negotiated::default(), ConnectionOptions::new()),
            &[],
            options,
        )
    }

    fn client<S: Transport>(stream: S, options: &Options) -> WebSocket<S> {
        WebSocket::new(
            stream,
            Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY),
            &[],
            options,
        )
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn short() -> Options {
        Options::new().ping_interval(Some(millis(200))).ping_timeout(millis(200)).close_timeout(millis(300))
    }

    #[test]
    fn a_peer_that_reads_nothing_holds_no_call() {
        for way in 0..4 {
            let (_peer, stream) = sockets();
            let mut socket = server(stream, &short());
            let large = vec![7_u8; 32 << 20];
            let began = Instant::now();
            let ended = match way {
                0 => socket.send(&large[..]),
                1 => socket.feed(&large[..]).and_then(|()| socket.flush()),
                2 => socket.feed(&large[..]).and_then(|()| socket.close(1000, "")),
                _ => socket.split().and_then(|(writer, _reader)| writer.send(&large[..])),
            };
            assert!(matches!(ended, Err(Error::TimedOut(_))), "{way}: {ended:?}");
            assert!(began.elapsed() < secs(5), "{way}: {:?}", began.elapsed());
        }
    }

    /// It has pings without end, and takes nothing: each write waits for its time.
    struct Pings {
        ping: Vec<u8>,
        patience: Option<Duration>,
    }

    impl Read for Pings {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let whole = buffer.len() / self.ping.len() * self.ping.len();
            assert!(whole > 0, "room for a ping");
            buffer[..whole].chunks_mut(self.ping.len()).for_each(|to| to.copy_from_slice(&self.ping));
            Ok(whole)
        }
    }

    impl Write for Pings {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(self.patience.unwrap());
            Err(ErrorKind::WouldBlock.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Transport for Pings {
        fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
        fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
            self.patience = timeout;
            Ok(())
        }
        fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
            Ok(())
        }
    }

    /// However many pings one read brings, no pong is waited for twice.
    #[test]
    fn a_peer_that_pings_and_reads_nothing_holds_no_reader() {
        let ping = frames(|connection| connection.ping(b"").unwrap());
        let options = Options::new().write_timeout(millis(200));
        for lent in [false, true] {
            let mut socket = server(Pings { ping: ping.clone(), patience: None }, &options);
            let (began, mut pings) = (Instant::now(), 0);
            let end = loop {
                let next = if lent {
                    socket.next_event().map(|event| event.is_some())
                } else {
                    socket.next().map(|message| message.is_some())
                };
                match next {
                    Ok(true) => pings += 1,
                    ended => break ended,
                }
            };
            assert!(matches!(end, Err(Error::TimedOut(TimedOut::Write))), "{lent}: {end:?}");
            assert!(pings > 1000, "{lent}: {pings}");
            assert!(began.elapsed() < secs(2), "{lent}: {:?}", began.elapsed());
        }
    }

    #[test]
    fn both_ends_may_send_a_lot_before_they_read() {
        let (a, b) = sockets();
        let both = |mut socket: WebSocket<TcpStream>| {
            thread::spawn(move || {
                let message = vec![7; 8 << 20];
                socket.send(&message[..]).unwrap();
                assert_eq!(socket.next().unwrap().unwrap().payload(), message);
                socket
            })
        };
        let began = Instant::now();
        let options = Options::new();
        let (a, b) = (both(client(a, &options)), both(server(b, &options)));
        let _ends = (a.join().unwrap(), b.join().unwrap());
        assert!(began.elapsed() < secs(30), "{:?}", began.elapsed());
    }

    /// The peer reads nothing before it has sent all.
    #[test]
    fn a_peer_that_only_sends_at_first_is_read() {
        let (mut peer, stream) = sockets();
        let large = vec![7_u8; 8 << 20];
        let bytes = frames(|connection| connection.send(&large[..]).unwrap());
        let sending = thread::spawn(move || {
            peer.write_all(&bytes).unwrap();
            let mut received = vec![0; 8 << 20];
            peer.read_exact(&mut received).unwrap();
            peer
        });
        let began = Instant::now();
        let mut socket = server(stream, &Options::new());
        socket.send(&large[..]).unwrap();
        assert_eq!(socket.next().unwrap().unwrap().payload().len(), large.len());
        assert!(began.elapsed() < secs(30), "{:?}", began.elapsed());
        sending.join().unwrap();
    }

    #[test]
    fn no_setting_of_a_time_panics() {
        for time in [Duration::MAX, Duration::ZERO] {
            let settings = [
                Options::new().close_timeout(time),
                Options::new().close_limit(time),
                Options::new().ping_interval(Some(time)),
                Options::new().ping_timeout(time),
                Options::new().write_timeout(time),
            ];
            for options in settings {
                let (a, b) = sockets();
                let mut b = server(b, &options);
                let receiving = thread::spawn(move || {
                    assert_eq!(b.next().unwrap(), Some("Hello".into()));
                    while let Ok(Some(_)) = b.next() {}
                });
                let mut a = client(a, &options);
                a.send("Hello").unwrap();
                let _ = a.close(1000, "");
                drop(a);
                receiving.join().unwrap();
            }
        }
    }

    #[test]
    fn nothing_waits_behind_a_stalled_writer() {
        let (mut peer, stream) = sockets();
        let options = Options::new().close_timeout(secs(1));
        let (writer, mut reader) = server(stream, &options).split().unwrap();
        let stalled = {
            let writer = writer.clone();
            thread::spawn(move || writer.send(&vec![7_u8; 32 << 20][..]))
        };
        let reading = thread::spawn(move || while let Ok(Some(_)) = reader.next() {});
        while writer.queued() == 0 {
            thread::sleep(millis(10));
        }
        thread::sleep(millis(300));
        let began = Instant::now();
        for _ in 0..1000 {
            assert!(writer.queued() > 0);
            let _ = writer.state();
        }
        assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
        peer.write_all(&frames(|connection| connection.ping(b"?").unwrap())).unwrap();
        let began = Instant::now();
        let closed = writer.close(1000, "");
        assert!(matches!(closed, Err(Error::TimedOut(TimedOut::Close))), "{closed:?}");
        assert!((millis(900)..secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(stalled.join().unwrap().is_err());
        reading.join().unwrap();
    }

    #[test]
    fn who_asks_what_is_queued_costs_no_pong_and_no_close() {
        let (peer, stream) = sockets();
        let (writer, mut reader) = server(stream, &Options::new()).split().unwrap();
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let (writer, done) = (writer.clone(), done.clone());
                thread::spawn(move || {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let _ = (writer.queued(), writer.state());
                    }
                })
            })
            .collect();
        let reading = thread::spawn(move || while let Ok(Some(_)) = reader.next() {});
        let mut peer = client(peer, &Options::new());
        for n in 0..12 {
            let began = Instant::now();
            peer.ping(&[n]).unwrap();
            assert_eq!(peer.next().unwrap(), Some(Message::Pong(vec![n].into())));
            assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
        }
        let began = Instant::now();
        peer.close(1000, "").unwrap();
        assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        asking.into_iter().for_each(|thread| thread.join().unwrap());
        reading.join().unwrap();
    }

    /// A close on a slow line, nobody writing but the one who closes.
    #[test]
    fn a_close_is_written_though_the_reader_is_not_asked() {
        let (mut peer, stream) = sockets();
        let (writer, reader) = server(stream, &Options::new()).split().unwrap();
        let closing = {
            let writer = writer.clone();
            thread::spawn(move || {
                writer.send(&vec![7_u8; 8 << 20][..])?;
                writer.close(1000, "")
            })
        };
        let (mut received, mut bytes) = (Vec::new(), vec![0; 256 * 1024]);
        while !received.ends_with(b"\x88\x02\x03\xe8") {
            thread::sleep(millis(5));
            let n = peer.read(&mut bytes).unwrap();
            assert_ne!(n, 0);
            received.extend_from_slice(&bytes[..n]);
        }
        peer.write_all(&frames(|connection| connection.close(1000, "").unwrap())).unwrap();
        let mut reader = reader;
        while let Ok(Some(_)) = reader.next() {}
        closing.join().unwrap().unwrap();
    }

    /// Takes a few bytes now and then, and says that it would block the rest of the time.
    #[derive(Clone)]
    struct Reluctant(Arc<Mutex<(VecDeque<u8>, u32)>>);

    impl Read for Reluctant {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            inner.1 += 1;
            if !inner.1.is_multiple_of(3) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(7);
            inner.0.extend(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Transport for Reluctant {
        fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
        fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
        fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_call_that_is_repeated_sends_nothing_twice() {
        let wire = Reluctant(Arc::new(Mutex::new((VecDeque::new(), 0))));
        let connection =
            Connection::server(Negotiated::default(), ConnectionOptions::new().max_outgoing(100));
        let mut socket = WebSocket::new(wire.clone(), connection, &[], &Options::new());
        let mut blocked = 0;
        let mut repeat = |call: &mut dyn FnMut() -> Result<(), Error>| loop {
            match call() {
                Ok(()) => break,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => blocked += 1,
                Err(error) => panic!("{error}"),
            }
        };
        for n in 0..60 {
            repeat(&mut || socket.send(format!("message {n} of a certain length")));
        }
        repeat(&mut || socket.flush());
        assert!(blocked > 10, "{blocked}");
        let bytes: Vec<u8> = wire.0.lock().unwrap().0.iter().copied().collect();
        let mut connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || KEY);
        let mut inbox = pushline::Inbox::new();
        assert_eq!(inbox.extend(&bytes), bytes.len());
        for n in 0..60 {
            let event = connection.next_event(&mut inbox).unwrap();
            assert_eq!(event, Some(Event::Text(&format!("message {n} of a certain length"))));
        }
        assert_eq!(connection.next_event(&mut inbox), Ok(None));
    }
}
