//! Event streams over the adapters: every framing, a stream that is cut twenty times and resumed, futures dropped at every
//! await, clients that leave or do not read, and a client that comes back.

use bytes::Bytes;
use futures_core::Stream;
use pushline::adapter::blocking;
use pushline::adapter::tokio::sse::{
    Connecting, Error, EventBody, EventReader, EventResponse, EventSource, EventStreamError, EventStreamExt,
    EventWriter, MessageEvent, SourceEvent, SourceOptions, Url,
};
use pushline::backoff::Backoff;
use pushline::http1::head::{BodyFraming, HeadLimits, HeadReader, Slots, Version};
use pushline::sse::{
    Block, CloseReason, DecodeError, EncodeError, EventDecoder, EventLimits, ReconnectPolicy, ReplayLog,
    Resume,
};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);

/// Reads to the end, with the head taken off.
async fn read_response(mut stream: impl tokio::io::AsyncRead + Unpin) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes[end..].to_vec())
}

/// Awkward events, as type, ID and data.
const AWKWARD: [(&str, &str, &str); 7] = [
    ("message", "1", "plain"),
    ("message", "2", ""),
    ("message", "3", "\n"),
    ("über", "4", "a\nb\n\nc\n"),
    ("message", "5", " leading, : colon, data: x"),
    ("message", "\u{1f600}", "\u{feff}\u{0}\u{2028}\u{fffd}"),
    ("close", "7", "0"),
];

async fn send_awkward<S: tokio::io::AsyncRead + AsyncWrite + Unpin>(writer: &mut EventWriter<S>) {
    for (event_type, id, data) in AWKWARD {
        writer.send(&Block::new().event_type(event_type).id(id).data(data)).await.unwrap();
    }
}

fn assert_awkward(events: &[MessageEvent]) {
    let seen: Vec<_> = events.iter().map(|e| (&*e.event, &*e.id, &*e.data)).collect();
    assert_eq!(seen, AWKWARD);
}

#[tokio::test]
async fn one_event_is_one_chunk() {
    let (client, server) = duplex(64 * 1024);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    writer.send(&Block::new().data("hello")).await.unwrap();
    writer.send(&Block::new()).await.unwrap(); // nothing: it must not end the body
    writer.send_prepared(&Block::new().id("2").data("x").prepare().unwrap()).await.unwrap();
    let large = Block::new().data(&"y".repeat(5000)).prepare().unwrap();
    writer.send_prepared(&large).await.unwrap();
    tokio::spawn(writer.finish());
    let (head, body) = read_response(client).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    let expected = format!(
        "d\r\ndata: hello\n\n\r\nf\r\nid: 2\ndata: x\n\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        large.bytes().len(),
        std::str::from_utf8(large.bytes()).unwrap()
    );
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let (client, server) = duplex(64 * 1024);
    let mut writer = EventWriter::new(server, Version::Http10, &EventResponse::new());
    writer.send(&Block::new().data("hello")).await.unwrap();
    tokio::spawn(writer.finish());
    let (head, body) = read_response(client).await;
    assert!(!head.contains("transfer-encoding") && head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(body, b"data: hello\n\n");
}

/// What a server wrote is read whichever way it was framed, and however it is cut.
#[tokio::test]
async fn every_framing_is_read() {
    let mut bodies = Vec::new();
    for version in [Version::Http11, Version::Http10] {
        let (client, server) = duplex(64 * 1024);
        let mut writer = EventWriter::new(server, version, &EventResponse::new());
        send_awkward(&mut writer).await;
        tokio::spawn(writer.finish());
        bodies.push(read_response(client).await.1);
    }
    let length = bodies[1].len() as u64;
    let framings = [
        (BodyFraming::Chunked, bodies[0].clone()),
        (BodyFraming::UntilClose, bodies[1].clone()),
        // What stands behind the body is not its.
        (BodyFraming::Length(length), [&bodies[1][..], b"data: not ours\n\n"].concat()),
    ];
    for (framing, body) in &framings {
        for size in [1, 2, 3, 7, 64, 100_000] {
            let script = tokio_test_reads(body, size);
            let mut reader = EventReader::new(script, *framing);
            let mut events = Vec::new();
            while let Some(event) = reader.next().await {
                events.push(event.unwrap());
            }
            assert_awkward(&events);
            assert_eq!(reader.last_event_id(), "7");

            let reads = Pieces { bytes: body, size };
            let events: Result<Vec<_>, _> = blocking::sse::EventReader::new(reads, *framing).collect();
            assert_awkward(&events.unwrap());
        }
    }
    // Nothing is lost that came with the head.
    let mut reader = EventReader::with_received(&bodies[1][9..], BodyFraming::UntilClose, &bodies[1][..9]);
    assert_eq!(reader.next().await.unwrap().unwrap().data, "plain");
}

/// A body that ends before it should is an error; what came before is delivered before.
#[tokio::test]
async fn a_cut_body_is_told() {
    let chunk = b"9\r\ndata: 1\n\n\r\n";
    let mut reader = EventReader::new(&chunk[..], BodyFraming::Chunked);
    assert_eq!(reader.next().await.unwrap().unwrap().data, "1");
    assert!(matches!(reader.next().await, Some(Err(Error::Chunked(_)))));
    assert!(reader.next().await.is_none());

    let mut reader = EventReader::new(&b"data: 1\n\n"[..], BodyFraming::Length(10));
    assert_eq!(reader.next().await.unwrap().unwrap().data, "1");
    assert!(matches!(reader.next().await, Some(Err(Error::Aborted))));
    assert!(reader.next().await.is_none());

    let mut reader = EventReader::new(&b"data: 1\n\ndata: 2\n"[..], BodyFraming::UntilClose);
    assert_eq!(reader.next().await.unwrap().unwrap().data, "1");
    assert!(reader.next().await.is_none(), "an event that was not ended does not count");

    let mut reader = EventReader::new(&b"zz\r\n"[..], BodyFraming::Chunked);
    assert!(matches!(reader.next().await, Some(Err(Error::Chunked(_)))));
    assert!(reader.next().await.is_none());
    assert!(EventReader::new(&b""[..], BodyFraming::None).next().await.is_none());
}

#[tokio::test]
async fn events_over_the_limit_do_not_end_the_stream() {
    let body = b"data: 1\n\ndata: much too long\n\ndata: 3\n\n";
    let decoder = || EventDecoder::with_limits(EventLimits::new().max_event(16));
    let mut reader = EventReader::new(&body[..], BodyFraming::UntilClose).decoder(decoder());
    assert_eq!(reader.next().await.unwrap().unwrap().data, "1");
    assert!(matches!(reader.next().await, Some(Err(Error::Event(DecodeError::EventTooLong)))));
    assert_eq!(reader.next().await.unwrap().unwrap().data, "3");

    let mut stream = chunks([Ok::<_, &str>(&body[..])]).eventsource().decoder(decoder());
    assert_eq!(stream.next().await.unwrap().unwrap().data, "1");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error, EventStreamError::Limit(DecodeError::EventTooLong));
    assert_eq!(stream.next().await.unwrap().unwrap().data, "3");
    assert!(stream.next().await.is_none() && stream.next().await.is_none());
}

#[tokio::test]
async fn what_cannot_be_encoded_is_refused() {
    let (client, server) = duplex(64 * 1024);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    let refused = writer.send(&Block::new().id("1\ndata: forged").data("x")).await;
    assert!(matches!(refused, Err(Error::Encode(EncodeError::BadId))), "{refused:?}");
    writer.send(&Block::new().data("x")).await.unwrap();
    tokio::spawn(writer.finish());
    assert_eq!(read_response(client).await.1, b"9\r\ndata: x\n\n\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_stream_of_chunks_is_a_stream_of_events() {
    let mut encoded = Vec::new();
    for (event_type, id, data) in AWKWARD {
        Block::new().event_type(event_type).id(id).data(data).encode(&mut encoded).unwrap();
    }
    encoded.extend_from_slice(b"data: never ended\n");
    for size in [1, 2, 5, 4096] {
        let mut stream =
            chunks(encoded.chunks(size).map(Bytes::copy_from_slice).map(Ok::<_, &str>)).eventsource();
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event.unwrap());
        }
        assert_awkward(&events);
    }
    // An error of the transport is handed on, and does not lose what was received.
    let mut stream = chunks([Ok("data: a"), Err("lost"), Ok("b\n\n"), Ok("")]).eventsource();
    assert_eq!(stream.next().await.unwrap(), Err(EventStreamError::Transport("lost")));
    assert_eq!(stream.next().await.unwrap().unwrap().data, "ab");
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive() {
    let (mut client, server) = duplex(64 * 1024);
    let mut writer =
        EventWriter::new(server, Version::Http11, &EventResponse::new().keep_alive(Some(15 * SECOND)));
    writer.send(&Block::new().data("1")).await.unwrap();
    let writing = tokio::spawn(async move {
        tokio::time::timeout(10 * SECOND, writer.left()).await.unwrap_err();
        writer.send(&Block::new().data("2")).await.unwrap(); // the interval starts again
        tokio::time::timeout(31 * SECOND, writer.left()).await.unwrap_err();
        writer
    });
    let writer = writing.await.unwrap();
    let mut received = vec![0; 64 * 1024];
    let n = client.read(&mut received).await.unwrap();
    let text = String::from_utf8_lossy(&received[..n]);
    assert!(text.ends_with("9\r\ndata: 2\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n"), "{text}");
    assert_eq!(text.matches(":\n\n").count(), 2);
    drop(writer);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_noticed() {
    // While there is nothing to send: at once, not at the next keep-alive.
    let began = tokio::time::Instant::now();
    let (client, server) = duplex(1024);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    writer.flush().await.unwrap();
    let leaving = tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        drop(client);
    });
    writer.left().await.unwrap();
    leaving.await.unwrap();
    assert_eq!(began.elapsed(), SECOND);
    assert!(matches!(writer.send(&Block::new().data("x")).await, Err(Error::Left)));
    writer.left().await.unwrap();

    // While a send waits for it to read.
    let (client, server) = duplex(64);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new().max_queued(0));
    let leaving = tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        drop(client);
    });
    let sent = async {
        loop {
            writer.send(&Block::new().data("x")).await?;
        }
    };
    let outcome: Result<(), Error> = sent.await;
    assert!(matches!(outcome, Err(Error::Left | Error::Io(_))), "{outcome:?}");
    leaving.await.unwrap();

    // What it sends meanwhile is not the end.
    let (mut client, server) = duplex(1024);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    client.write_all(&[b'x'; 900]).await.unwrap();
    assert!(tokio::time::timeout(SECOND, writer.left()).await.is_err());
    client.write_all(&[b'x'; 900]).await.unwrap();
    writer.send(&Block::new().data("x")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_waited_for_and_then_given_up() {
    let (mut client, server) = duplex(256);
    let response = EventResponse::new().write_timeout(60 * SECOND).max_queued(1000);
    let mut writer = EventWriter::new(server, Version::Http11, &response);
    let mut taken = 0;
    let block = Block::new().data("0123456789");
    while tokio::time::timeout(SECOND, writer.send(&block)).await.is_ok() {
        taken += 1;
        assert!(writer.queued() <= 1000 + 32, "the queue is bounded");
    }
    assert!(taken > 30, "{taken}");
    // It reads again just in time: nothing is lost.
    tokio::time::sleep(58 * SECOND).await;
    let mut some = [0; 100];
    client.read_exact(&mut some).await.unwrap();
    assert!(tokio::time::timeout(59 * SECOND, writer.flush()).await.is_err(), "time was granted anew");
    let error = tokio::time::timeout(2 * SECOND, writer.flush()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::TimedOut), "{error:?}");
}

/// A transport that holds everything back until it is flushed, and is flushed at the second attempt only, as TLS may be.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Flushing>>);

#[derive(Default)]
struct Flushing {
    held: Vec<u8>,
    flushed: Vec<u8>,
    ready: bool,
}

impl tokio::io::AsyncRead for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Flushing { held, flushed, ready } = &mut *self.0.lock().unwrap();
        *ready = !*ready;
        if *ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        flushed.append(held);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_transport_holds_back_is_flushed() {
    let held = Held::default();
    let mut writer = EventWriter::new(held.clone(), Version::Http10, &EventResponse::new());
    let flushed = |end: &[u8]| held.0.lock().unwrap().flushed.ends_with(end);
    writer.send(&Block::new().data("1")).await.unwrap();
    writer.flush().await.unwrap();
    assert!(flushed(b"data: 1\n\n"));
    writer.send(&Block::new().data("2")).await.unwrap();
    assert!(!flushed(b"data: 2\n\n"), "the transport holds it back");
    assert!(tokio::time::timeout(SECOND, writer.left()).await.is_err());
    assert!(flushed(b"data: 2\n\n"));
}

/// From end to end nothing is buffered for a client that does not read: its slowness reaches the origin.
#[tokio::test(start_paused = true)]
async fn a_proxy_holds_the_origin_back() {
    let (origin, near) = duplex(512);
    let (far, mut client) = duplex(512);
    let proxy = tokio::spawn(async move {
        let mut events = EventReader::new(near, BodyFraming::UntilClose);
        let mut writer = EventWriter::new(far, Version::Http10, &EventResponse::new().max_queued(512));
        while let Some(event) = events.next().await {
            writer.send(&Block::new().data(&event?.data)).await?;
        }
        writer.finish().await
    });
    let sent = Arc::new(Mutex::new(0));
    let counted = sent.clone();
    let sending = tokio::spawn(async move {
        let mut origin = origin;
        for number in 0..10_000 {
            origin.write_all(format!("data: {number:05}\n\n").as_bytes()).await.unwrap();
            *counted.lock().unwrap() += 1;
        }
    });
    tokio::time::sleep(30 * SECOND).await;
    // One read, three buffers; not a hundred and thirty thousand bytes.
    let before = *sent.lock().unwrap();
    assert!(before < 800, "{before}");
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    sending.await.unwrap();
    proxy.await.unwrap().unwrap();
    let text = String::from_utf8(received).unwrap();
    let expected: String = (0..10_000).map(|number| format!("data: {number:05}\n\n")).collect();
    assert!(text.ends_with(&expected));
}

/// Each event leaves with its send, whatever comes after it, if the client reads.
#[tokio::test]
async fn nothing_waits_for_the_next_event() {
    let (mut client, server) = duplex(64 * 1024);
    let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new());
    for number in 0..3 {
        writer.send(&Block::new().data(&number.to_string())).await.unwrap();
        assert_eq!(writer.queued(), 0);
        let mut received = vec![0; 1024];
        let n = client.read(&mut received).await.unwrap();
        assert!(received[..n].ends_with(format!("9\r\ndata: {number}\n\n\r\n").as_bytes()));
    }
}

/// A send whose future is dropped has sent nothing, one that was awaited is there once and whole.
#[tokio::test(start_paused = true)]
async fn dropped_futures_lose_and_repeat_nothing() {
    for capacity in [1, 3, 16, 64] {
        let (client, server) = duplex(capacity);
        let mut writer = EventWriter::new(server, Version::Http11, &EventResponse::new().max_queued(8));
        let writing = tokio::spawn(async move {
            let mut sent = Vec::new();
            for number in 0..300 {
                let data = format!("{number}");
                let block = Block::new().data(&data);
                // Polled so many times, and dropped.
                if polled(writer.send(&block), number % 4).await.is_some() {
                    sent.push(data);
                }
                polled(writer.left(), number % 3).await;
                polled(writer.flush(), number % 2).await;
            }
            writer.finish().await.unwrap();
            sent
        });
        let mut client = client;
        let mut wire = Vec::new();
        client.read_to_end(&mut wire).await.unwrap();
        let end = wire.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;

        // The reader's futures are dropped, too.
        let mut reader = EventReader::new(tokio_test_reads(&wire[end..], capacity), BodyFraming::Chunked);
        let mut received = Vec::new();
        let mut polls = 0;
        loop {
            polls += 1;
            match polled(reader.next(), polls % 3).await {
                None => {}
                Some(Some(event)) => received.push(event.unwrap().data),
                Some(None) => break,
            }
        }
        let sent = writing.await.unwrap();
        assert!(sent.len() > 30, "{}", sent.len());
        assert_eq!(received, sent, "capacity {capacity}");
    }
}

/// Polls a future at most so many times, then drops it.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[test]
fn the_blocking_writer_writes_the_same() {
    let mut writer = blocking::sse::EventWriter::new(Vec::new(), Version::Http11, &EventResponse::new());
    for (event_type, id, data) in AWKWARD {
        writer.send(&Block::new().event_type(event_type).id(id).data(data)).unwrap();
    }
    writer.keep_alive().unwrap(); // it is not time
    let wire = writer.finish().unwrap();
    let end = wire.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut slots = Slots::new();
    let head = HeadReader::new(HeadLimits::default()).read_response(&wire, &mut slots).unwrap().unwrap();
    assert_eq!((head.len(), head.body("GET")), (end, BodyFraming::Chunked));
    let events: Result<Vec<_>, _> =
        blocking::sse::EventReader::new(&wire[end..], BodyFraming::Chunked).collect();
    assert_awkward(&events.unwrap());

    let writer = blocking::sse::EventWriter::new(
        Vec::new(),
        Version::Http11,
        &EventResponse::new().keep_alive(Some(Duration::from_nanos(1))),
    );
    let mut writer = writer;
    writer.keep_alive().unwrap();
    assert!(writer.finish().unwrap().ends_with(b"\r\n\r\n3\r\n:\n\n\r\n0\r\n\r\n"));
}

/// A transport that takes a byte at a time, and is not ready in between.
#[derive(Default)]
struct Reluctant {
    taken: Vec<u8>,
    ready: bool,
}

impl io::Write for Reluctant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ready = !self.ready;
        if !self.ready {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.taken.extend_from_slice(&bytes[..1]);
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_blocking_writer_loses_nothing_when_the_transport_is_not_ready() {
    let response = EventResponse::new().max_queued(usize::MAX);
    let mut writer = blocking::sse::EventWriter::new(Reluctant::default(), Version::Http10, &response);
    for _ in 0..10 {
        writer.send(&Block::new().data("x")).unwrap();
    }
    while let Err(error) = writer.flush() {
        assert!(matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock));
    }
    assert!(writer.get_ref().taken.ends_with(&b"data: x\n\n".repeat(10)));
}

/// A server that cuts each stream after so many events, mostly in the middle of one, and replays what was missed.
async fn cutting_server(listener: TcpListener, last: u64, per_stream: u64) -> Vec<Option<String>> {
    let mut log = ReplayLog::default();
    for id in 1..=last {
        let (id, data) = (id.to_string(), format!("line {id}\nand another"));
        log.push(Block::new().id(&id).retry(Duration::from_millis(1)).data(&data).prepare().unwrap());
    }
    let mut asked = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, version) = read_request(&mut stream).await;
        let id = field(&head, "last-event-id");
        let seen = id.clone().map_or(0, |id| id.parse().unwrap());
        asked.push(id.clone());
        if seen == last {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            return asked;
        }
        let missed: Vec<_> = match log.resume(id.as_deref().map(str::as_bytes)) {
            Resume::From(missed) => missed.cloned().collect(),
            Resume::Fresh => {
                let Resume::From(after_first) = log.resume(Some(b"1")) else { panic!() };
                let first = Block::new().id("1").data("line 1\nand another").prepare().unwrap();
                std::iter::once(first).chain(after_first.cloned()).collect()
            }
            Resume::Gone => panic!("the log has them all"),
        };
        let mut writer = EventWriter::new(&mut stream, version, &EventResponse::new());
        for event in missed.iter().take(per_stream as usize) {
            writer.send_prepared(event).await.unwrap();
        }
        writer.flush().await.unwrap();
        match asked.len() % 3 {
            0 => writer.finish().await.unwrap(),
            // Half an event, which does not count.
            1 => stream.write_all(b"30\r\nid: 99999\ndata: half").await.unwrap(),
            _ => {}
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> (String, Version) {
    let mut received = Vec::new();
    let mut reader = HeadReader::new(HeadLimits::default());
    loop {
        let mut slots = Slots::new();
        if let Some(head) = reader.read_request(&received, &mut slots).unwrap() {
            let (length, version) = (head.len(), head.version());
            let wanted = match head.body() {
                BodyFraming::Length(content) => length + content as usize,
                _ => length,
            };
            if received.len() >= wanted {
                return (String::from_utf8(received).unwrap(), version);
            }
            reader = HeadReader::new(HeadLimits::default());
        }
        assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0, "a request");
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

fn fast() -> SourceOptions {
    SourceOptions::new().policy(
        ReconnectPolicy::new()
            .first_wait(Duration::ZERO)
            .min_server_wait(Duration::ZERO)
            .backoff(Backoff::new().jitter(0)),
    )
}

async fn local() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    (listener, url)
}

/// A source over TCP, its updates until the end.
async fn all_events(source: &mut EventSource) -> (Vec<MessageEvent>, usize) {
    let (mut events, mut opened) = (Vec::new(), 0);
    while let Some(update) = source.next().await {
        match update.unwrap() {
            SourceEvent::Event(event) => events.push(event),
            SourceEvent::Open => opened += 1,
            _ => {}
        }
    }
    (events, opened)
}

#[tokio::test]
async fn a_stream_cut_twenty_times_is_whole() {
    let (listener, url) = local().await;
    let server = tokio::spawn(cutting_server(listener, 103, 5));
    let mut source = EventSource::new(&url, fast()).unwrap();
    let (events, opened) = all_events(&mut source).await;
    let seen: Vec<_> = events.iter().map(|event| (event.id.clone(), event.data.clone())).collect();
    let expected: Vec<_> = (1..=103).map(|id| (id.to_string(), format!("line {id}\nand another"))).collect();
    assert_eq!(seen, expected, "every event once, in order");
    assert_eq!(opened, 21);
    assert_eq!(source.closed(), Some(CloseReason::NoContent));
    assert!(source.next().await.is_none());
    let asked = server.await.unwrap();
    let expected: Vec<_> = std::iter::once(None)
        .chain((1..=20).map(|cut| Some((cut * 5).to_string())))
        .chain([Some("103".to_owned())])
        .collect();
    assert_eq!(asked, expected);
}

/// The same with every future of `next` dropped after one poll.
#[tokio::test]
async fn a_source_whose_futures_are_dropped_loses_nothing() {
    let (listener, url) = local().await;
    let server = tokio::spawn(cutting_server(listener, 40, 4));
    let mut source = EventSource::new(&url, fast()).unwrap();
    let mut ids = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_micros(300), source.next()).await {
            Err(_) => {}
            Ok(Some(update)) => {
                if let SourceEvent::Event(event) = update.unwrap() {
                    ids.push(event.id.parse::<u64>().unwrap());
                }
            }
            Ok(None) => break,
        }
    }
    assert_eq!(ids, (1..=40).collect::<Vec<_>>());
    server.await.unwrap();
}

/// Answers each request with the next of these, byte for byte, and gives back the requests.
async fn scripted(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        requests.push(read_request(&mut stream).await.0);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    requests
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const STOP: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn redirections_are_followed_and_credentials_stay() {
    let (listener, url) = local().await;
    let (elsewhere, elsewhere_url) = local().await;
    let redirect = |status: u16, to: &str| format!("HTTP/1.1 {status} X\r\nlocation: {to}\r\n\r\n");
    let server = tokio::spawn(scripted(
        listener,
        vec![redirect(307, "../a?b=c#d"), redirect(302, &format!("{elsewhere_url}/x"))],
    ));
    let other = tokio::spawn(scripted(
        elsewhere,
        vec![
            format!("HTTP/1.1 103 Early Hints\r\n\r\n{STREAM}id: 7\ndata: x\n\n"),
            // The next attempt begins where the last one was redirected to.
            STOP.to_owned(),
        ],
    ));
    let options = fast().field("Authorization", "Bearer 1").unwrap().field("X-Y", "z").unwrap();
    let mut source = EventSource::new(&url, options).unwrap();
    source.set_last_event_id("6").unwrap();
    let (events, opened) = all_events(&mut source).await;
    assert_eq!((events.len(), opened, source.last_event_id()), (1, 1, "7"));
    let requests = server.await.unwrap();
    assert!(requests[0].starts_with("GET /events HTTP/1.1\r\nhost: 127.0.0.1:"), "{}", requests[0]);
    for line in [
        "accept: text/event-stream",
        "accept-encoding: identity",
        "cache-control: no-cache",
        "last-event-id: 6",
        "Authorization: Bearer 1",
        "X-Y: z",
    ] {
        assert!(requests[0].contains(&format!("\r\n{line}\r\n")), "{line}: {}", requests[0]);
    }
    assert!(requests[1].starts_with("GET /a?b=c HTTP/1.1\r\n") && requests[1].contains("Authorization"));
    let foreign = other.await.unwrap();
    assert!(foreign[1].starts_with("GET /events/x ") && foreign[1].contains("\r\nlast-event-id: 7\r\n"));
    assert!(!foreign[1].contains("Authorization"));
    let foreign = &foreign[0];
    assert!(foreign.starts_with("GET /events/x ") && !foreign.contains("Authorization"), "{foreign}");
    assert!(foreign.contains("\r\nX-Y: z\r\n") && foreign.contains("\r\nlast-event-id: 6\r\n"));
}

#[tokio::test]
async fn what_is_no_stream_is_the_end() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n".to_owned();
    let moved = |to: &str| format!("HTTP/1.1 301 X\r\nlocation: {to}\r\n\r\n");
    for (answers, expected) in [
        (vec![html], Some(CloseReason::ContentType)),
        (vec!["HTTP/1.1 500 X\r\n\r\n".to_owned()], Some(CloseReason::Status(500))),
        (vec![moved("/a"), moved("/b"), moved("/c")], Some(CloseReason::TooManyRedirects)),
        (vec![moved("ftp://h/")], None),
    ] {
        let (listener, url) = local().await;
        let count = answers.len();
        let server = tokio::spawn(scripted(listener, answers));
        let policy = ReconnectPolicy::new().max_redirects(2);
        let mut source = EventSource::new(&url, SourceOptions::new().policy(policy)).unwrap();
        match (source.next().await, expected) {
            (Some(Err(Error::Closed(reason))), Some(expected)) => assert_eq!(reason, expected),
            (Some(Err(Error::Location)), None) => {}
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
        assert!(source.next().await.is_none());
        assert_eq!(server.await.unwrap().len(), count);
    }
}

/// To where a connector does not lead: said once, and not tried again and again.
#[tokio::test]
async fn where_no_connector_leads_is_the_end() {
    let unsupported = |update: Option<_>| matches!(update, Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::Unsupported);
    let plain_only = |url: &Url| -> Connecting<TcpStream> {
        let (is_secure, address) = (url.is_secure(), (url.host().to_owned(), url.port()));
        Box::pin(async move {
            if is_secure { Err(io::ErrorKind::Unsupported.into()) } else { TcpStream::connect(address).await }
        })
    };
    let url = "https://127.0.0.1/events".parse().unwrap();
    let mut source = EventSource::with_connector(url, fast(), plain_only);
    assert!(unsupported(source.next().await));
    assert!(source.next().await.is_none());

    let (listener, url) = local().await;
    let moved = "HTTP/1.1 301 X\r\nlocation: https://127.0.0.1/\r\n\r\n".to_owned();
    let server = tokio::spawn(scripted(listener, vec![moved]));
    let mut source = EventSource::with_connector(url.parse().unwrap(), fast(), plain_only);
    assert!(unsupported(source.next().await));
    assert!(source.next().await.is_none());
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_post_is_sent_once() {
    let (listener, url) = local().await;
    let server = tokio::spawn(scripted(listener, vec![format!("{STREAM}data: token\n\ndata: [DONE]\n\n")]));
    let options = fast().post("application/json", "{\"stream\":true}");
    let mut source = EventSource::new(&url, options).unwrap();
    let (events, opened) = all_events(&mut source).await;
    assert_eq!((events.len(), opened), (2, 1));
    assert_eq!(source.closed(), Some(CloseReason::NotReplayable));
    let request = server.await.unwrap().remove(0);
    assert!(request.starts_with("POST /events HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json\r\ncontent-length: 15\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"stream\":true}"), "{request}");

    // Cut: an error, for it cannot be made good.
    let (listener, url) = local().await;
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata: x\n\n";
    let server = tokio::spawn(scripted(listener, vec![answer.to_owned()]));
    let mut source = EventSource::new(&url, fast().post("text/plain", "x")).unwrap();
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Event(_)))));
    assert!(matches!(source.next().await, Some(Err(Error::Aborted))));
    assert!(source.next().await.is_none());
    server.await.unwrap();
}

/// The last of the attempts says why it failed, whether it came to a request or not; the reason tells that it was the last.
#[tokio::test(start_paused = true)]
async fn the_last_failure_is_told() {
    let refused = |_: &Url| -> Connecting<DuplexStream> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    };
    let silent = |_: &Url| -> Connecting<DuplexStream> { Box::pin(async { Ok(duplex(4096).0) }) };
    let options = SourceOptions::new().policy(ReconnectPolicy::new().max_attempts(Some(2)));
    let url = Url::parse("http://h/").unwrap();
    for mut source in [
        EventSource::with_connector(url.clone(), options.clone(), refused),
        EventSource::with_connector(url, options, silent),
    ] {
        assert!(matches!(source.next().await, Some(Ok(SourceEvent::Lost { error: Some(Error::Io(_)), .. }))));
        assert!(matches!(source.next().await, Some(Err(Error::Io(_)))));
        assert!(source.next().await.is_none());
        assert_eq!(source.closed(), Some(CloseReason::TooManyAttempts));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_lost_and_waits_grow() {
    // In memory, on paused time: every other connection fails, streams go silent.
    let attempts = Arc::new(Mutex::new(0));
    let servers = Arc::new(Mutex::new(Vec::<DuplexStream>::new()));
    let (counted, kept) = (attempts.clone(), servers.clone());
    let connector = move |_: &Url| -> Connecting<DuplexStream> {
        let mut attempts = counted.lock().unwrap();
        *attempts += 1;
        if *attempts <= 3 {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        let (client, mut server) = duplex(4096);
        let kept = kept.clone();
        Box::pin(async move {
            server.write_all(format!("{STREAM}retry: 500\n\ndata: x\n\n").as_bytes()).await?;
            kept.lock().unwrap().push(server);
            Ok(client)
        })
    };
    let options = SourceOptions::new()
        .policy(ReconnectPolicy::new().backoff(Backoff::new().jitter(0)).max_attempts(Some(4)))
        .idle_timeout(Some(30 * SECOND));
    let mut source = EventSource::with_connector(Url::parse("http://h/").unwrap(), options, connector);
    for expected in [3, 6, 12] {
        let Some(Ok(SourceEvent::Lost { error: Some(Error::Io(_)), wait })) = source.next().await else {
            panic!()
        };
        assert_eq!(wait, expected * SECOND);
    }
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
    let Some(Ok(SourceEvent::Event(event))) = source.next().await else { panic!() };
    assert_eq!(event.retry, Some(Duration::from_millis(500)));
    // Comments are a sign of life.
    for _ in 0..5 {
        assert!(tokio::time::timeout(20 * SECOND, source.next()).await.is_err());
        let mut server = servers.lock().unwrap().pop().unwrap();
        server.write_all(b":\n\n").await.unwrap();
        servers.lock().unwrap().push(server);
    }
    let began = tokio::time::Instant::now();
    let Some(Ok(SourceEvent::Lost { error: Some(Error::TimedOut), wait })) = source.next().await else {
        panic!()
    };
    assert_eq!((wait, began.elapsed()), (Duration::from_millis(500), 30 * SECOND));
    source.close();
    assert_eq!(source.closed(), Some(CloseReason::Caller));
    assert!(source.next().await.is_none());
    assert_eq!(*attempts.lock().unwrap(), 4);
}

#[test]
fn fields_that_are_the_clients_own_are_refused() {
    for name in ["Host", "last-event-id", "Content-Length", "Transfer-Encoding"] {
        assert!(SourceOptions::new().field(name, "x").is_err(), "{name}");
    }
    assert!(SourceOptions::new().field("x", "a\r\nb: c").is_err());
    assert!(EventSource::new("ws://h/", SourceOptions::new()).is_err());
}

/// Reads of so many bytes at most, every other one not ready.
fn tokio_test_reads(bytes: &[u8], size: usize) -> Reads {
    Reads { pieces: bytes.chunks(size).map(<[u8]>::to_vec).collect(), ready: false }
}

#[derive(Debug)]
struct Reads {
    pieces: VecDeque<Vec<u8>>,
    ready: bool,
}

impl tokio::io::AsyncRead for Reads {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Blocking reads of so many bytes at most.
struct Pieces<'b> {
    bytes: &'b [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.size.min(buffer.len());
        Read::read(&mut self.bytes, &mut buffer[..n])
    }
}

/// A stream of these chunks, every other poll not ready; not `Unpin`.
struct Chunks<T> {
    state: Mutex<(VecDeque<T>, bool)>,
    _pinned: std::marker::PhantomPinned,
}

fn chunks<T>(chunks: impl IntoIterator<Item = T>) -> Chunks<T> {
    Chunks { state: Mutex::new((chunks.into_iter().collect(), false)), _pinned: std::marker::PhantomPinned }
}

impl<T> Stream for Chunks<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (chunks, ready) = &mut *self.state.lock().unwrap();
        *ready = !*ready;
        if *ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(chunks.pop_front())
    }
}

/// The body of somebody else's response: events as they come, comments while there are none, an end.
#[tokio::test(start_paused = true)]
async fn a_body_gives_events_and_comments_in_between() {
    let (events, mut body) = EventBody::channel(4);
    let start = tokio::time::Instant::now();
    let event = Block::new().id("1").data("x").prepare().unwrap();
    events.send(event.clone()).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), "id: 1\ndata: x\n\n");
    assert_eq!(start.elapsed(), Duration::ZERO);
    for nth in 1..=2 {
        assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
        assert_eq!(start.elapsed(), 15 * SECOND * nth);
    }
    // Dropped and asked again, it waits no longer; an event starts the interval anew.
    tokio::select! {
        _ = body.next() => panic!("nothing is due"),
        () = tokio::time::sleep(10 * SECOND) => {}
    }
    events.send(event.clone()).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap().as_ptr(), event.bytes().as_ptr(), "by reference");
    assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
    assert_eq!(start.elapsed(), 55 * SECOND);
    let mut body = body.keep_alive(Some(SECOND));
    assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
    assert_eq!(start.elapsed(), 56 * SECOND);
    drop(events);
    assert!(body.next().await.is_none());
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn who_feeds_a_body_learns_that_it_was_dropped() {
    let (events, body) = EventBody::channel(1);
    let response = body.into_http_response();
    assert_eq!(
        (response.status(), &response.headers()["cache-control"]),
        (http::StatusCode::OK, &http::HeaderValue::from_static("no-cache, no-transform"))
    );
    drop(response);
    assert!(events.send(Block::new().data("x").prepare().unwrap()).await.is_err());
}
