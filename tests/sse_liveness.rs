//! That no client holds a task, a queue or a socket of an event stream for longer than the settings say, whatever it does;
//! that no setting panics; that a failed write is the end.

use bytes::Bytes;
use futures_core::Stream;
use pushline::adapter::blocking;
use pushline::adapter::tokio::sse::{
    Connecting, Error, EventBody, EventResponse, EventSource, EventWriter, SourceEvent, SourceOptions, Url,
};
use pushline::backoff::Backoff;
use pushline::http1::head::Version;
use pushline::sse::{Block, PreparedEvent, ReconnectPolicy};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn event(data: &str) -> PreparedEvent {
    Block::new().data(data).prepare().unwrap()
}

/// A client that takes so many bytes, then none, and meanwhile sends as fast as it is read from.
struct Flooding {
    takes: usize,
    read: Arc<Mutex<usize>>,
}

impl AsyncRead for Flooding {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n = buffer.remaining();
        buffer.initialize_unfilled();
        buffer.advance(n);
        *self.read.lock().unwrap() += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flooding {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let n = bytes.len().min(self.takes);
        self.takes -= n;
        if n == 0 { Poll::Pending } else { Poll::Ready(Ok(n)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whatever waits for the client ends by itself, 50 seconds after the last byte that it took.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up_by_default() {
    for call in 0..4 {
        let (_client, server) = duplex(300);
        let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new().max_queued(1000));
        let start = Instant::now();
        let block = Block::new().data("0123456789");
        while timeout(Duration::ZERO, writer.send(&block)).await.is_ok() {}
        let ended = match call {
            0 => writer.send(&block).await,
            1 => writer.flush().await,
            2 => writer.left().await,
            _ => {
                let ended = writer.finish().await;
                assert!(matches!(ended, Err(Error::TimedOut)), "{ended:?}");
                assert_eq!(start.elapsed(), 50 * SECOND);
                continue;
            }
        };
        assert!(matches!(ended, Err(Error::TimedOut)), "call {call}: {ended:?}");
        assert_eq!(start.elapsed(), 50 * SECOND);
        assert_eq!(writer.queued(), 0, "nothing is kept for nobody");
        for _ in 0..2 {
            assert!(matches!(writer.send(&block).await, Err(Error::TimedOut)));
            assert!(matches!(writer.flush().await, Err(Error::TimedOut)));
        }
        assert!(matches!(writer.finish().await, Err(Error::TimedOut)));
        assert_eq!(start.elapsed(), 50 * SECOND);
    }
}

/// A task that was kept away for minutes does not give up a client that had room all the time.
#[tokio::test(start_paused = true)]
async fn bytes_that_can_be_written_are_written_before_the_time_is_judged() {
    let (mut client, server) = duplex(300);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new().max_queued(1000));
    let block = Block::new().data("0123456789");
    while timeout(Duration::ZERO, writer.send(&block)).await.is_ok() {}
    client.read_exact(&mut [0; 300]).await.unwrap();
    tokio::time::sleep(300 * SECOND).await;
    assert!(timeout(49 * SECOND, writer.flush()).await.is_err());
    client.read_exact(&mut [0; 300]).await.unwrap();
    assert!(timeout(49 * SECOND, writer.flush()).await.is_err(), "each byte taken counts anew");
}

/// What it may send behind its request, at the limit and beyond.
#[tokio::test(start_paused = true)]
async fn what_a_client_may_send_is_bounded() {
    for (sent, has_left) in [(4999, false), (5000, false), (5001, true)] {
        let (mut client, server) = duplex(64 * 1024);
        let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new().max_received(5000));
        client.write_all(&vec![b'x'; sent]).await.unwrap();
        assert_eq!(timeout(SECOND, writer.left()).await.is_ok(), has_left, "{sent}");
    }
    let read = Arc::new(Mutex::new(0));
    let stream = Flooding { takes: usize::MAX, read: read.clone() };
    let mut writer = EventWriter::new(stream, Version::Http11, &EventResponse::new());
    writer.left().await.unwrap();
    assert!((64 * 1024..66 * 1024).contains(&*read.lock().unwrap()));
}

/// Time passes as fast as the clock says; the client keeps the task busy without end.
#[tokio::test]
async fn a_client_that_floods_holds_nothing() {
    let response = EventResponse::new()
        .write_timeout(200 * MILLISECOND)
        .close_timeout(200 * MILLISECOND)
        .max_received(usize::MAX);
    for takes in [0, usize::MAX] {
        let stream = Flooding { takes, read: Arc::default() };
        let writer = EventWriter::new(stream, Version::Http11, &response);
        let start = Instant::now();
        let ended = timeout(10 * SECOND, writer.finish()).await.expect("it is bounded");
        assert_eq!(matches!(ended, Err(Error::TimedOut)), takes == 0, "{ended:?}");
        assert!(start.elapsed() < 5 * SECOND && start.elapsed() >= 200 * MILLISECOND);
    }
    let mut writer =
        EventWriter::new(Flooding { takes: 0, read: Arc::default() }, Version::Http11, &response);
    let ended = timeout(10 * SECOND, writer.flush()).await.expect("it is bounded");
    assert!(matches!(ended, Err(Error::TimedOut)), "{ended:?}");
}

/// A client that takes a byte now and then is waited for at the end, but not for ever.
#[tokio::test(start_paused = true)]
async fn the_end_takes_a_bounded_time() {
    let (mut client, server) = duplex(1);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    writer.send(&Block::new().data(&"x".repeat(10_000))).await.unwrap();
    let dripping = tokio::spawn(async move {
        while client.read_exact(&mut [0]).await.is_ok() {
            tokio::time::sleep(49 * SECOND).await;
        }
    });
    let start = Instant::now();
    assert!(matches!(writer.finish().await, Err(Error::TimedOut)));
    assert_eq!(start.elapsed(), 500 * SECOND);
    dripping.await.unwrap();

    // All was written, and the client does not close.
    let (_client, server) = duplex(1024);
    let start = Instant::now();
    EventWriter::new(server, Version::Http11, &EventResponse::new()).finish().await.unwrap();
    assert_eq!(start.elapsed(), 5 * SECOND);
}

/// A transport that takes so many bytes, fails once, and then takes more; its end fails, too.
struct FailsOnce {
    takes: usize,
    failed: bool,
    taken: Vec<u8>,
}

impl AsyncRead for FailsOnce {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl FailsOnce {
    fn accept(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes == 0 && !self.failed {
            self.failed = true;
            return Err(io::Error::other("no buffers"));
        }
        let n = if self.failed { bytes.len() } else { bytes.len().min(self.takes) };
        self.takes = self.takes.saturating_sub(n);
        self.taken.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
}

impl AsyncWrite for FailsOnce {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.accept(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }
}

impl io::Write for FailsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.accept(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_the_end() {
    let block = Block::new().data("0123456789");
    for takes in [0, 10, 250, 300] {
        let stream = FailsOnce { takes, failed: false, taken: Vec::new() };
        let mut writer = EventWriter::new(stream, Version::Http11, &EventResponse::new());
        let mut failed = false;
        for _ in 0..20 {
            let sent = writer.send(&block).await;
            assert!(!failed || sent.is_err(), "one failed send, and none is accepted");
            failed |= sent.is_err();
        }
        assert!(failed);
        assert_eq!(writer.get_ref().taken.len(), takes, "nothing goes behind half an event");
        assert!(writer.flush().await.is_err());
        assert!(writer.finish().await.is_err());

        let stream = FailsOnce { takes, failed: false, taken: Vec::new() };
        let mut writer = blocking::sse::EventWriter::new(stream, Version::Http11, &EventResponse::new());
        let results: Vec<_> = (0..20).map(|_| writer.send(&block)).collect();
        let first = results.iter().position(Result::is_err).unwrap();
        assert!(matches!(results[first], Err(Error::Io(_))));
        assert!(results[first + 1..].iter().all(|sent| matches!(sent, Err(Error::Left))));
        assert_eq!((writer.get_ref().taken.len(), writer.queued()), (takes, 0));
        assert!(matches!(writer.finish(), Err(Error::Left)));
    }
    // All is written: how the transport ends is of no account.
    let stream = FailsOnce { takes: 0, failed: true, taken: Vec::new() };
    let writer = EventWriter::new(stream, Version::Http11, &EventResponse::new());
    writer.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_keep_alive_is_none() {
    for none in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let (mut client, server) = duplex(1024);
        let mut writer = EventWriter::new(server, Version::Http10, &EventResponse::new().keep_alive(none));
        writer.flush().await.unwrap();
        let head = client.read(&mut [0; 1024]).await.unwrap();
        assert!(head > 0);
        assert!(timeout(100_000 * SECOND, writer.left()).await.is_err());
        assert!(timeout(SECOND, client.read(&mut [0; 1024])).await.is_err(), "{none:?}");

        let (_events, body) = EventBody::channel(1);
        let mut body = body.keep_alive(none);
        assert!(timeout(100_000 * SECOND, body.next()).await.is_err(), "{none:?}");

        let response = EventResponse::new().keep_alive(none);
        let mut writer = blocking::sse::EventWriter::new(Vec::new(), Version::Http10, &response);
        let due = writer.next_keep_alive();
        assert!(due.is_none_or(|due| due > Instant::now().into_std() + 1_000_000 * SECOND));
        writer.keep_alive().unwrap();
        assert!(!writer.finish().unwrap().ends_with(b":\n\n"));
    }
}

/// `Duration::MAX` says "never", in each setting.
#[tokio::test(start_paused = true)]
async fn never_is_no_panic() {
    const NEVER: Duration = Duration::MAX;
    let response = EventResponse::new().keep_alive(Some(NEVER)).write_timeout(NEVER).close_timeout(NEVER);
    let (client, server) = duplex(64);
    let mut writer = EventWriter::new(server, Version::Http11, &response);
    assert!(timeout(1_000_000 * SECOND, writer.flush()).await.is_err());
    assert!(timeout(1_000_000 * SECOND, writer.finish()).await.is_err());
    drop(client);

    let (events, body) = EventBody::channel(1);
    let _body = body.stall_timeout(NEVER).keep_alive(Some(NEVER));
    events.send(event("1")).await.unwrap();
    assert!(timeout(1_000_000 * SECOND, events.send(event("2"))).await.is_err());
    assert!(timeout(1_000_000 * SECOND, events.left()).await.is_err());

    let policy = ReconnectPolicy::new()
        .first_wait(NEVER)
        .min_server_wait(NEVER)
        .max_server_wait(NEVER)
        .backoff(Backoff::new().ceiling(NEVER).jitter(100));
    let options = SourceOptions::new()
        .policy(policy)
        .connect_timeout(NEVER)
        .response_timeout(NEVER)
        .idle_timeout(Some(NEVER));
    let connector = |_: &Url| -> Connecting<tokio::io::DuplexStream> {
        let (client, mut server) = duplex(1024);
        Box::pin(async move {
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 99999999999999999999\n\n";
            server.write_all(answer).await?;
            tokio::spawn(async move {
                tokio::time::sleep(SECOND).await;
                drop(server);
            });
            Ok(client)
        })
    };
    let mut source = EventSource::with_connector(Url::parse("http://h/").unwrap(), options, connector);
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Lost { .. }))));
    assert!(timeout(1_000_000 * SECOND, source.next()).await.is_err());
}

/// The server stops polling, as hyper does for a client that reads nothing: who sends is let go, and the queue is freed.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_polled_no_more_lets_go_of_who_sends() {
    let (events, mut body) = EventBody::channel(2);
    let large = event(&"x".repeat(10_000));
    events.send(large.clone()).await.unwrap();
    assert!(body.next().await.is_some());
    let start = Instant::now();
    for _ in 0..2 {
        events.send(large.clone()).await.unwrap();
    }
    let second = events.clone();
    let waiting = tokio::spawn(async move { (second.send(event("x")).await, second.left().await) });
    tokio::time::sleep(49 * SECOND).await;
    assert!(!waiting.is_finished());
    let sent = events.send(large.clone()).await;
    assert!(matches!(sent, Err(Error::TimedOut)), "{sent:?}");
    assert_eq!(start.elapsed(), 50 * SECOND);
    let (sent, left) = waiting.await.unwrap();
    assert!(matches!((sent, left), (Err(Error::TimedOut), Err(Error::TimedOut))));
    assert!(events.is_closed());
    assert!(Bytes::from(large).try_into_mut().is_ok(), "nothing refers to it any more");
    // Cut, not ended.
    assert!(matches!(body.next().await, Some(Err(Error::TimedOut))));
    assert!(body.next().await.is_none());
    drop(body);
    assert!(matches!(events.send(event("x")).await, Err(Error::TimedOut)), "the first reason stays");
}

/// Nothing is queued, but the server has not come back for more than it was given last.
#[tokio::test(start_paused = true)]
async fn a_stall_is_seen_with_an_empty_queue() {
    let (events, mut body) = EventBody::channel(2);
    events.send(event("x")).await.unwrap();
    assert!(body.next().await.is_some());
    let start = Instant::now();
    assert!(matches!(events.left().await, Err(Error::TimedOut)));
    assert_eq!(start.elapsed(), 50 * SECOND);

    let (events, mut body) = EventBody::channel(2);
    assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
    assert!(matches!(events.left().await, Err(Error::TimedOut)));
}

/// A body that is polled, and has nothing to give, lives.
#[tokio::test(start_paused = true)]
async fn a_quiet_body_is_not_stalled() {
    let (events, body) = EventBody::channel(1);
    let mut body = body.keep_alive(None);
    let reading = tokio::spawn(async move {
        let first = body.next().await;
        drop(body);
        first
    });
    let left = events.clone();
    let left = tokio::spawn(async move { left.left().await });
    tokio::time::sleep(1000 * SECOND).await;
    events.send(event("x")).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap().unwrap(), "data: x\n\n");
    assert!(matches!(left.await.unwrap(), Ok(())), "dropped: the client has left");
    assert!(matches!(events.send(event("x")).await, Err(Error::Left)));
}

/// Events of several senders arrive once each, in order, and the body ends when the last sender does; a future that is
/// dropped has sent nothing.
#[tokio::test]
async fn senders_share_a_body() {
    let (events, body) = EventBody::channel(3);
    let mut sending = Vec::new();
    for sender in 0..3 {
        let events = events.clone();
        sending.push(tokio::spawn(async move {
            for number in 0..200 {
                let event = event(&format!("{sender} {number}"));
                loop {
                    let mut send = pin!(events.send(event.clone()));
                    match poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await {
                        Poll::Ready(sent) => break sent.unwrap(),
                        Poll::Pending => tokio::task::yield_now().await,
                    }
                }
            }
        }));
    }
    drop(events);
    let mut body = pin!(body);
    let mut next = [0; 3];
    while let Some(bytes) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        let bytes = bytes.unwrap();
        let text = std::str::from_utf8(&bytes).unwrap().trim();
        let (sender, number) = text.strip_prefix("data: ").unwrap().split_once(' ').unwrap();
        let sender: usize = sender.parse().unwrap();
        assert_eq!(number.parse::<usize>().unwrap(), next[sender]);
        next[sender] += 1;
    }
    assert_eq!(next, [200; 3]);
    for task in sending {
        task.await.unwrap();
    }
}

/// Over a real socket, through axum and hyper: twenty clients that read nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_axum_nobody_is_held() {
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let handler = move || {
        let ended = ended.clone();
        async move {
            let (events, body) = EventBody::channel(4);
            tokio::spawn(async move {
                let event = event(&"x".repeat(64 * 1024));
                let error = loop {
                    if let Err(error) = events.send(event.clone()).await {
                        break error;
                    }
                };
                let _ = ended.send(matches!(error, Error::TimedOut));
            });
            body.stall_timeout(500 * MILLISECOND)
        }
    };
    let app = axum::Router::new().route("/events", axum::routing::get(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 1024];
        let n = client.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..n]).into_owned();
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        clients.push(client);
    }
    for _ in 0..20 {
        assert!(timeout(30 * SECOND, ends.recv()).await.expect("all are let go").unwrap());
    }
    server.abort();
}

/// Over a real socket: a client that reads nothing, and one that resets.
#[tokio::test]
async fn over_a_socket_nobody_is_held() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let response = EventResponse::new().write_timeout(300 * MILLISECOND);
    for resets in [false, true] {
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut writer = EventWriter::new(server, Version::Http11, &response);
        let event = event(&"x".repeat(64 * 1024));
        if resets {
            client.set_zero_linger().unwrap();
            drop(client);
            assert!(timeout(10 * SECOND, writer.left()).await.expect("it is noticed").is_ok());
            assert!(writer.send_prepared(&event).await.is_err());
            continue;
        }
        let sending = async {
            loop {
                writer.send_prepared(&event).await?;
            }
        };
        let ended: Result<(), Error> = timeout(20 * SECOND, sending).await.expect("it is let go");
        assert!(matches!(ended, Err(Error::TimedOut)), "{ended:?}");
        drop(client);
    }
}
