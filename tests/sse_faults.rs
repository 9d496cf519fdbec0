//! Event streams over transports that do whatever a transport may: a byte at a time, not ready and woken for nothing, zero
//! writes, errors and resets anywhere, with futures dropped at any poll. What was accepted arrives once and in order, or an
//! error says so. Seeded: a failure names its seed.

use pushline::adapter::tokio::sse::{
    Connecting, Error, EventReader, EventResponse, EventSource, EventWriter, SourceEvent, SourceOptions, Url,
};
use pushline::backoff::Backoff;
use pushline::http1::head::{BodyFraming, Version};
use pushline::sse::{Block, ReconnectPolicy};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// xorshift64*.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// So many seeds, or `SSE_FAULT_SEEDS=FIRST..END`.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("SSE_FAULT_SEEDS").ok();
    let asked = asked.as_deref().and_then(|range| range.split_once(".."));
    asked.map_or(0..count, |(first, end)| first.parse().unwrap()..end.parse().unwrap())
}

/// What a server makes of a request.
type Answer = Box<dyn FnMut(&[u8], &mut Random) -> Vec<u8> + Send>;

/// One end of a faulty transport; the other is what it holds.
struct Wire {
    random: Random,
    /// What may be read; then the end, or an error.
    incoming: Vec<u8>,
    read: usize,
    breaks_reading: bool,
    /// Nothing to read: not ready, without an end.
    stays_open: bool,
    written: Vec<u8>,
    /// After so many bytes writing fails, one way or another.
    fails_at: usize,
    /// Answers a request, once it is whole.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Faulty(Arc<Mutex<Wire>>);

impl Faulty {
    fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(Wire {
            random,
            incoming: Vec::new(),
            read: 0,
            breaks_reading: false,
            stays_open: true,
            written: Vec::new(),
            fails_at: usize::MAX,
            answer: None,
        })))
    }
}

/// Not ready, and woken at once, whether or not there will be anything then.
fn not_ready<T>(cx: &mut Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl AsyncRead for Faulty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.lock().unwrap();
        if wire.random.one_in(3) {
            return not_ready(cx);
        }
        let left = &wire.incoming[wire.read..];
        if left.is_empty() {
            return match (wire.stays_open, wire.breaks_reading) {
                (true, _) => not_ready(cx),
                (false, true) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                (false, false) => Poll::Ready(Ok(())),
            };
        }
        let most = if wire.random.one_in(2) { 1 } else { 1 + wire.random.below(100) };
        let n = left.len().min(most).min(buffer.remaining());
        buffer.put_slice(&left[..n]);
        wire.read += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &mut *self.0.lock().unwrap();
        if wire.random.one_in(3) {
            return not_ready(cx);
        }
        let room = wire.fails_at.saturating_sub(wire.written.len());
        if room == 0 {
            // Once: a transport that goes on afterwards must not be written to.
            wire.fails_at = usize::MAX;
            let zero = wire.random.one_in(2);
            return Poll::Ready(if zero { Ok(0) } else { Err(io::ErrorKind::BrokenPipe.into()) });
        }
        let most = if wire.random.one_in(2) { 1 } else { 1 + wire.random.below(300) };
        let n = bytes.len().min(most).min(room);
        wire.written.extend_from_slice(&bytes[..n]);
        if wire.written.ends_with(b"\r\n\r\n")
            && let Some(mut answer) = wire.answer.take()
        {
            wire.incoming = answer(&wire.written, &mut wire.random);
            wire.stays_open = false;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.lock().unwrap().random.one_in(3) { not_ready(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.lock().unwrap();
        if wire.random.one_in(3) {
            return not_ready(cx);
        }
        wire.stays_open = false;
        Poll::Ready(if wire.random.one_in(2) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) })
    }
}

/// Polls a future so many times at most, then drops it.
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

/// The data of the events in a body, up to where it ends or breaks.
async fn data(body: &[u8], framing: BodyFraming, random: &mut Random) -> Vec<String> {
    let wire = Faulty::new(random.clone());
    {
        let mut wire = wire.0.lock().unwrap();
        wire.incoming = body.to_vec();
        wire.stays_open = false;
        wire.breaks_reading = random.one_in(2);
    }
    let mut reader = EventReader::new(wire, framing);
    let mut found = Vec::new();
    loop {
        match polled(reader.next(), random.below(4)).await {
            Some(Some(Ok(event))) => found.push(event.data),
            Some(Some(Err(_))) => {
                assert!(reader.next().await.is_none(), "an error of the transport is the end")
            }
            Some(None) => return found,
            None => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_writer_accepts_arrives_or_an_error_says_so() {
    let (mut whole, mut broken) = (0, 0);
    for seed in seeds(600) {
        let mut random = Random::new(seed);
        let version = if random.one_in(2) { Version::Http11 } else { Version::Http10 };
        let faulty = Faulty::new(random.clone());
        if random.one_in(2) {
            faulty.0.lock().unwrap().fails_at = random.below(3000);
        }
        let response = EventResponse::new().max_queued(random.below(400));
        let mut writer = EventWriter::new(faulty.clone(), version, &response);
        let (mut accepted, mut error) = (Vec::new(), false);
        for number in 0..random.below(80) {
            let data = format!("{number} {}", "x".repeat([0, 10, 100, 1500][random.below(4)]));
            let block = Block::new().data(&data);
            let times = random.below(6);
            let sent = match random.below(5) {
                0 => polled(writer.flush(), times).await,
                1 => polled(writer.left(), times).await,
                2 => {
                    let event = block.prepare().unwrap();
                    let sent = polled(writer.send_prepared(&event), times).await;
                    accepted.extend(matches!(sent, Some(Ok(()))).then_some(data));
                    sent
                }
                _ => {
                    let sent = polled(writer.send(&block), times).await;
                    assert!(!(error && matches!(sent, Some(Ok(())))), "seed {seed}: accepted after an error");
                    accepted.extend(matches!(sent, Some(Ok(()))).then_some(data));
                    sent
                }
            };
            error |= matches!(sent, Some(Err(_)));
        }
        let finished = writer.finish().await;
        assert!(!(error && finished.is_ok()), "seed {seed}: finished after an error");
        let written = faulty.0.lock().unwrap().written.clone();
        let head = written.windows(4).position(|four| four == b"\r\n\r\n").map_or(written.len(), |at| at + 4);
        let framing = if version == Version::Http11 { BodyFraming::Chunked } else { BodyFraming::UntilClose };
        let arrived = data(&written[head..], framing, &mut random).await;
        assert!(accepted.starts_with(&arrived), "seed {seed}: {arrived:?} of {accepted:?}");
        if finished.is_ok() {
            assert_eq!(arrived, accepted, "seed {seed}");
            whole += 1;
        } else {
            broken += 1;
        }
    }
    assert!(whole > 200 && broken > 150, "both are seen: {whole}, {broken}");
}

/// A server of numbered events that goes on behind the last that the client names, and is cut anywhere, in head or body.
fn answer(last: usize) -> impl FnMut(&[u8], &mut Random) -> Vec<u8> + Send {
    move |request, random| {
        let request = std::str::from_utf8(request).unwrap();
        let id = request.lines().find_map(|line| line.strip_prefix("last-event-id: "));
        let seen = id.map_or(0, |id| id.parse::<usize>().unwrap());
        if seen == last {
            return b"HTTP/1.1 204 X\r\n\r\n".to_vec();
        }
        let mut body = Vec::new();
        for number in seen + 1..=last {
            let id = number.to_string();
            let data = format!("\u{1f600}{number}\nline");
            let data =
                if random.one_in(3) { data.clone() + &"\u{e9}".repeat(random.below(300)) } else { data };
            Block::new().id(&id).event_type("n").data(&data).encode(&mut body).unwrap();
            if random.one_in(4) {
                body.extend_from_slice(b":\n\n");
            }
        }
        let mut wire = match random.below(4) {
            0 => b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
            _ => Vec::new(),
        };
        wire.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
        match random.below(3) {
            0 => {
                wire.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                let size = 1 + random.below(200);
                for chunk in body.chunks(size) {
                    wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\n\r\n");
            }
            1 => {
                wire.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
                wire.extend_from_slice(&body);
            }
            _ => {
                wire.extend_from_slice(b"\r\n");
                wire.extend_from_slice(&body);
            }
        }
        if random.below(4) > 0 {
            wire.truncate(random.below(wire.len()));
        }
        wire
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_sees_every_event_once() {
    let mut lost = 0;
    for seed in seeds(200) {
        let mut random = Random::new(seed);
        let last = 1 + random.below(30);
        let mut server = random.clone();
        let connector = move |_: &Url| -> Connecting<Faulty> {
            server.below(2);
            let faulty = Faulty::new(server.clone());
            {
                let mut wire = faulty.0.lock().unwrap();
                wire.answer = Some(Box::new(answer(last)));
                wire.breaks_reading = server.one_in(2);
                if server.one_in(6) {
                    wire.fails_at = server.below(120);
                    wire.stays_open = false;
                }
            }
            let refused = server.one_in(6);
            Box::pin(async move {
                tokio::task::yield_now().await;
                if refused { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(faulty) }
            })
        };
        let policy = ReconnectPolicy::new()
            .first_wait(Duration::from_millis(1))
            .backoff(Backoff::new().ceiling(Duration::from_secs(1)));
        let options = SourceOptions::new().policy(policy);
        let mut source = EventSource::with_connector(Url::parse("http://h/").unwrap(), options, connector);
        let mut seen = Vec::new();
        loop {
            match polled(source.next(), random.below(5)).await {
                None => tokio::time::advance(Duration::from_millis(1)).await,
                Some(None) => break,
                Some(Some(Ok(SourceEvent::Event(event)))) => {
                    assert!(event.data.starts_with(&format!("\u{1f600}{}\nline", event.id)), "seed {seed}");
                    assert_eq!(event.event, "n");
                    seen.push(event.id.parse::<usize>().unwrap());
                }
                Some(Some(Ok(SourceEvent::Lost { error, .. }))) => {
                    lost += 1;
                    assert!(!matches!(error, Some(Error::TimedOut)), "seed {seed}");
                }
                Some(Some(Ok(_))) => {}
                Some(Some(Err(error))) => panic!("seed {seed}: {error:?}"),
            }
        }
        assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(lost > 500, "{lost}");
}

fn size<T>(value: T) -> usize {
    size_of_val(&value)
}

/// Nothing big is held over an await, for an idle connection keeps its future for its life.
#[tokio::test]
async fn futures_are_small() {
    use pushline::adapter::tokio::sse::EventBody;
    use tokio::net::TcpStream;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut writer = EventWriter::new(stream, Version::Http11, &EventResponse::new());
    let block = Block::new().data("x");
    let event = block.prepare().unwrap();
    let sizes = [
        ("EventWriter", size_of_val(&writer), 384),
        ("send", size(writer.send(&block)), 96),
        ("send_prepared", size(writer.send_prepared(&event)), 96),
        ("flush", size(writer.flush()), 32),
        ("left", size(writer.left()), 32),
    ];
    let finish = ("finish", size(writer.finish()), 800);
    let (sender, mut body) = EventBody::channel(1);
    let mut source = EventSource::new("http://h/", SourceOptions::new()).unwrap();
    let others = [
        finish,
        ("EventBody", size_of_val(&body), 128),
        ("EventBody::next", size(body.next()), 32),
        ("EventSender::send", size(sender.send(event)), 400),
        ("EventSender::left", size(sender.left()), 240),
        ("EventSource", size_of_val(&source), 1200),
        ("EventSource::next", size(source.next()), 32),
    ];
    for (name, size, bound) in sizes.into_iter().chain(others) {
        assert!(size <= bound, "{name}: {size} of {bound}");
    }
}
