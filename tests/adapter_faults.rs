//! Both adapters over a transport that does whatever a transport may do, against a model of what was accepted: reads and
//! writes of a byte, waiting and spurious wake-ups anywhere, resets, errors in the middle of a frame, writes of nothing,
//! futures dropped at any poll.
//!
//! What a send accepted arrives once and in order, or an error says so; what the peer sent is delivered once and in
//! order, before the error; and no wake-up is lost. `ADAPTER_FAULT_STEPS=5000000` runs that many steps of each kind
//! instead of a few; `ADAPTER_FAULT_SEED` runs one seed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // threads

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use pushline::Inbox;
use pushline::adapter::tokio::{OutboxOptions, QueuedSocket, Reader, WebSocket, Writer};
use pushline::adapter::{Error, Options};
use pushline::ws::{Connection, ConnectionOptions, Event, Message, Negotiated, Prepared, UsageError};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// SplitMix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Mostly small.
    fn size(&mut self) -> usize {
        // Longer than a read now and then.
        let most = if self.one_in(60) { 90_000 } else { [1, 3, 20, 200, 3000][self.below(5)] };
        1 + self.below(most)
    }
}

/// How the peer's direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Close,
    Eof,
    Reset,
    Garbage,
}

fn connection(is_client: bool, config: ConnectionOptions) -> Connection {
    if is_client {
        Connection::client(Negotiated::default(), config, || [1, 2, 3, 4])
    } else {
        Connection::server(Negotiated::default(), config)
    }
}

/// What the peer says: its bytes, and the messages in them.
fn script(random: &mut Random, is_client: bool) -> (VecDeque<u8>, Vec<Message>, Ending) {
    let mut peer = connection(is_client, ConnectionOptions::new().max_outgoing(usize::MAX));
    let ending = [Ending::Close, Ending::Close, Ending::Eof, Ending::Reset, Ending::Garbage][random.below(5)];
    let (mut bytes, mut messages) = (VecDeque::new(), Vec::new());
    // A flood now and then.
    let count = if random.one_in(10) { 200 } else { random.below(12) };
    for n in 0..count {
        let message = match random.below(8) {
            0 => Message::Ping(Bytes::from(n.to_string())),
            1 => Message::Pong(Bytes::from(n.to_string())),
            2 => Message::Text(format!("{n} \u{e4}\u{1f600} {}", "x".repeat(random.size())).into()),
            _ => Message::Binary(Bytes::from(vec![u8::try_from(n).unwrap(); random.size()])),
        };
        peer.send(message.clone()).unwrap();
        // Nothing overtakes here.
        let len = peer.outgoing().len();
        bytes.extend(peer.outgoing().copy_to_bytes(len));
        messages.push(message);
    }
    match ending {
        Ending::Close => {
            let message = Message::Close(Some((1000.into(), "bye".into())));
            peer.send(message.clone()).unwrap();
            let len = peer.outgoing().len();
            bytes.extend(peer.outgoing().copy_to_bytes(len));
            messages.push(message);
        }
        // Reserved bits.
        Ending::Garbage => bytes.extend([0xff; 40]),
        Ending::Eof | Ending::Reset => {
            // Half a frame.
            let half: &[u8] = if is_client { b"\x82\x85\x01\x02" } else { b"\x82\x05\x01\x02" };
            bytes.extend(&half[..random.below(5)]);
        }
    }
    (bytes, messages, ending)
}

/// The transport, and what the peer decodes of what is written.
struct Wire {
    random: Random,
    /// Not yet arrived.
    script: VecDeque<u8>,
    /// To be read.
    arrived: VecDeque<u8>,
    ending: Ending,
    ended: bool,
    /// How many bytes can be written before it fails.
    until_failure: Option<usize>,
    failed: bool,
    blocked: bool,
    reading: Option<Waker>,
    writing: Option<Waker>,
    peer: Connection,
    inbox: Inbox,
    decoded: Vec<Message>,
    steps: u64,
    /// Nothing arrives by itself.
    by_events: bool,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Wire>>);

impl Shared {
    fn new(seed: u64, is_client: bool, by_events: bool) -> (Self, Vec<Message>, Random) {
        let mut random = Random(seed);
        let (script, messages, ending) = script(&mut random, !is_client);
        let until_failure = random.one_in(3).then(|| random.below(2000));
        let wire = Wire {
            random: Random(random.next()),
            script,
            arrived: VecDeque::new(),
            ending,
            ended: false,
            until_failure,
            failed: false,
            blocked: false,
            reading: None,
            writing: None,
            peer: connection(!is_client, ConnectionOptions::new()),
            inbox: Inbox::new(),
            decoded: Vec::new(),
            steps: 0,
            by_events,
        };
        (Self(Arc::new(Mutex::new(wire))), messages, random)
    }

    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap()
    }
}

/// What a call of the transport leads to.
enum Call<T> {
    Done(io::Result<T>),
    /// Ready at once if asked again.
    Again,
    Later,
}

impl Wire {
    /// Something happens at the peer's end; whether there was anything left.
    fn event(&mut self) -> bool {
        self.steps += 1;
        if self.blocked && self.random.one_in(2) {
            self.blocked = false;
        } else if !self.script.is_empty() {
            let n = self.random.size().min(self.script.len());
            self.arrived.extend(self.script.drain(..n));
        } else if !self.ended {
            self.ended = true;
        } else if self.blocked {
            self.blocked = false;
        } else {
            return false;
        }
        self.reading.take().into_iter().chain(self.writing.take()).for_each(Waker::wake);
        true
    }

    fn read(&mut self, room: usize) -> Call<Vec<u8>> {
        self.steps += 1;
        assert!(self.steps < 300_000, "it goes on and on: {:?} {} {}", self.ending, self.ended, self.failed);
        if self.random.one_in(5) {
            return Call::Again;
        }
        if !self.by_events && self.arrived.is_empty() {
            self.event();
        }
        if self.arrived.is_empty() {
            return match (self.ended, self.ending) {
                (false, _) => Call::Later,
                (true, Ending::Reset) => Call::Done(Err(io::ErrorKind::ConnectionReset.into())),
                (true, Ending::Eof) if self.random.one_in(2) => {
                    Call::Done(Err(io::ErrorKind::UnexpectedEof.into()))
                }
                (true, _) => Call::Done(Ok(Vec::new())),
            };
        }
        let n = self.random.size().min(room).min(self.arrived.len());
        Call::Done(Ok(self.arrived.drain(..n).collect()))
    }

    fn write(&mut self, bytes: &[u8]) -> Call<usize> {
        self.steps += 1;
        assert!(self.steps < 300_000, "it goes on and on");
        assert!(!self.failed, "a write behind one that failed");
        if self.random.one_in(5) {
            return Call::Again;
        }
        if self.by_events && (self.blocked || self.random.one_in(10)) {
            self.blocked = true;
            return Call::Later;
        }
        if self.until_failure == Some(0) {
            self.failed = true;
            // A write of nothing is one, too.
            return Call::Done(if self.random.one_in(3) { Ok(0) } else { Err(io::Error::other("once")) });
        }
        let n = self.random.size().min(bytes.len()).min(self.until_failure.unwrap_or(usize::MAX));
        self.until_failure = self.until_failure.map(|left| left - n);
        assert_eq!(self.inbox.extend(&bytes[..n]), n);
        while let Some(event) = self.peer.next_event(&mut self.inbox).expect("whole frames, in order") {
            match event {
                Event::Text(text) => self.decoded.push(Message::from(text.to_owned())),
                Event::Binary(payload) => self.decoded.push(Message::Binary(payload.to_vec().into())),
                _ => {}
            }
        }
        Call::Done(Ok(n))
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.lock();
        match wire.read(buffer.remaining()) {
            Call::Done(Ok(bytes)) => {
                buffer.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
            Call::Done(Err(error)) => Poll::Ready(Err(error)),
            Call::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Call::Later => {
                // One waker, as a transport keeps.
                wire.reading = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.lock();
        match wire.write(bytes) {
            Call::Done(done) => Poll::Ready(done),
            Call::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Call::Later => {
                wire.writing = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lock().random.one_in(5) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// What was accepted and delivered.
#[derive(Default)]
struct Model {
    sent: u32,
    accepted: Vec<Message>,
    /// An error has told the sender that something may be lost.
    told: bool,
    delivered: Vec<Message>,
    end: Option<Result<(), Error>>,
    /// The two halves are on threads of their own: a write may fail once the reader has its end.
    races: bool,
}

impl Model {
    fn message(&mut self, random: &mut Random) -> Message {
        self.sent += 1;
        Message::Binary(Bytes::from(self.sent.to_be_bytes().repeat(1 + random.size() / 4)))
    }

    /// A send of the message has ended.
    fn sent(&mut self, wire: &Shared, failed_before: bool, message: Message, sent: &Result<(), Error>) {
        match sent {
            Ok(()) => {
                assert!(!failed_before, "a send after a write that failed");
                self.accepted.push(message);
            }
            Err(Error::Usage(UsageError::Full)) => {}
            Err(Error::Usage(_)) => self.told = true,
            // It may have been written all the same.
            Err(_) => {
                self.accepted.push(message);
                self.told = true;
            }
        }
        self.check(wire);
    }

    fn flushed(&mut self, wire: &Shared, flushed: &Result<(), Error>) {
        self.told |= flushed.is_err();
        self.check(wire);
        if flushed.is_ok() {
            let wire = wire.lock();
            let (all, arrived) = (self.accepted.len(), wire.decoded.len());
            assert!(
                self.told || all == arrived,
                "flushed: {arrived} of {all}, {:?} {}",
                wire.ending,
                wire.failed
            );
        }
    }

    fn check(&self, wire: &Shared) {
        let decoded = &wire.lock().decoded;
        assert!(self.accepted.starts_with(decoded), "{} of {}", decoded.len(), self.accepted.len());
    }

    /// A receiving call has ended; whether there is more to come.
    fn received(&mut self, next: Option<Result<Message, Error>>) -> bool {
        assert!(self.end.is_none());
        match next {
            Some(Ok(message)) => {
                self.delivered.push(message);
                return true;
            }
            Some(Err(error)) => self.end = Some(Err(error)),
            None => self.end = Some(Ok(())),
        }
        false
    }

    /// All is over, and the sender has flushed for the last time.
    fn finish(&self, wire: &Shared, expected: &[Message], may_hold: bool) {
        let wire = wire.lock();
        assert_eq!(self.delivered, expected);
        match (wire.ending, self.end.as_ref().expect("an end")) {
            (Ending::Close, Ok(())) | (Ending::Garbage, Err(Error::Protocol(_))) => {}
            (Ending::Eof, Err(Error::Aborted)) => assert!(self.races || !wire.failed),
            (Ending::Eof, Err(Error::Io(_))) => assert!(wire.failed),
            (Ending::Reset, Err(Error::Io(_))) => {}
            (ending, end) => panic!("{ending:?}: {end:?}"),
        }
        assert!(self.told || self.accepted == wire.decoded, "lost, and nobody said so");
        if wire.ending == Ending::Close && !wire.failed && !may_hold {
            assert_eq!(self.accepted, wire.decoded);
        }
    }
}

fn owned(event: &Event<'_>) -> Message {
    match event {
        Event::Text(text) => Message::from((*text).to_owned()),
        Event::Binary(payload) => Message::Binary(payload.to_vec().into()),
        Event::Ping(payload) => Message::Ping(payload.to_vec().into()),
        Event::Pong(payload) => Message::Pong(payload.to_vec().into()),
        Event::Close(frame) => Message::Close(frame.map(|frame| (frame.code, frame.reason.into()))),
        other => panic!("a part, not asked for: {other:?}"),
    }
}

/// Polls `future` at most `polls` times; its output, or `None` if it was dropped.
async fn poll_some<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// A task that is polled only when it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs tasks in any order, and the peer beside them.
fn run(wire: &Shared, mut random: Random, mut tasks: Vec<Task<'_>>) {
    let flags: Vec<_> = tasks.iter().map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let mut done = vec![false; tasks.len()];
    while done.contains(&false) {
        let at = random.below(tasks.len());
        // Now and then without a reason.
        let woken = flags[at].0.swap(false, Ordering::SeqCst) || random.one_in(50);
        if !done[at] && woken {
            wire.lock().steps += 1;
            let waker = Waker::from(Arc::clone(&flags[at]));
            done[at] = tasks[at].as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        } else if random.one_in(3) {
            let is_woken = flags.iter().zip(&done).any(|(flag, done)| !done && flag.0.load(Ordering::SeqCst));
            if !is_woken && !wire.lock().event() {
                panic!("a wake-up is lost: {done:?}");
            }
        }
    }
}

/// `true`: an operation was refused for good.
macro_rules! write_something {
    ($writer:expr, $model:expr, $wire:expr, $random:expr) => {{
        let polls = 1 + $random.below(6);
        let failed = $wire.lock().failed;
        match $random.below(5) {
            0 | 1 => {
                let message = $model.lock().unwrap().message($random);
                let sent = poll_some($writer.send(message.clone()), polls).await;
                if let Some(sent) = sent {
                    $model.lock().unwrap().sent($wire, failed, message, &sent);
                }
            }
            2 => {
                let message = $model.lock().unwrap().message($random);
                if let Some(sent) = poll_some($writer.feed(message.clone()), polls).await {
                    $model.lock().unwrap().sent($wire, failed, message, &sent);
                }
            }
            3 => {
                // As a sink.
                let ready = poll_some(poll_fn(|cx| $writer.poll_ready_unpin(cx)), polls).await;
                if let Some(Ok(())) = ready {
                    let message = $model.lock().unwrap().message($random);
                    let failed = $wire.lock().failed;
                    let sent = $writer.start_send_unpin(message.clone());
                    $model.lock().unwrap().sent($wire, failed, message, &sent);
                }
            }
            _ => {
                if let Some(flushed) = poll_some($writer.flush(), polls).await {
                    $model.lock().unwrap().flushed($wire, &flushed);
                }
            }
        }
        $model.lock().unwrap().told
    }};
}

fn socket(wire: &Shared, random: &mut Random, is_client: bool) -> WebSocket<Shared> {
    let config = ConnectionOptions::new().max_outgoing([10, 500, 100_000][random.below(3)]);
    let mut options = Options::new().ping_interval(None).write_timeout(Duration::MAX);
    if random.one_in(2) {
        options = options.read_size([256, 8 * 1024][random.below(2)]);
    }
    WebSocket::new(wire.clone(), connection(is_client, config), &[], &options)
}

async fn whole(
    mut socket: WebSocket<Shared>,
    wire: &Shared,
    model: &Mutex<Model>,
    mut random: Random,
    messages: u32,
) {
    loop {
        let writes = model.lock().unwrap().sent < messages && !model.lock().unwrap().told;
        if writes && random.one_in(2) {
            write_something!(socket, model, wire, &mut random);
            continue;
        }
        let polls = 1 + random.below(6);
        let next = if random.one_in(2) {
            poll_some(socket.next(), polls).await
        } else {
            poll_some(async { Some(socket.next_event().await?.map(|event| owned(&event))) }, polls).await
        };
        if let Some(next) = next
            && !model.lock().unwrap().received(next)
        {
            break;
        }
    }
    assert!(socket.next().await.is_none());
    assert!(socket.send("after the end").await.is_err());
    let flushed = socket.flush().await;
    model.lock().unwrap().flushed(wire, &flushed);
}

async fn writing(
    writer: &mut Writer<tokio::io::WriteHalf<Shared>>,
    wire: &Shared,
    model: &Mutex<Model>,
    mut random: Random,
    messages: u32,
) {
    while model.lock().unwrap().sent < messages {
        if write_something!(writer, model, wire, &mut random) {
            break;
        }
    }
}

async fn reading(
    mut reader: Reader<tokio::io::ReadHalf<Shared>, tokio::io::WriteHalf<Shared>>,
    model: &Mutex<Model>,
    mut random: Random,
) {
    loop {
        let polls = 1 + random.below(6);
        if let Some(next) = poll_some(reader.next(), polls).await
            && !model.lock().unwrap().received(next)
        {
            assert!(reader.next().await.is_none());
            return;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole,
    Halves,
    Futures,
    Outbox,
}

/// One connection from its beginning to its end: how many steps it had.
fn one(kind: Kind, seed: u64) -> u64 {
    let is_client = seed % 2 == 1;
    let (wire, expected, mut random) = Shared::new(seed, is_client, true);
    let socket = socket(&wire, &mut random, is_client);
    let model = Mutex::new(Model::default());
    let messages = u32::try_from(random.below(25)).unwrap();
    let (first, second, third) = (Random(random.next()), Random(random.next()), Random(random.next()));
    match kind {
        Kind::Whole => run(&wire, first, vec![Box::pin(whole(socket, &wire, &model, second, messages))]),
        Kind::Halves => {
            let (mut writer, reader) = socket.split_with(tokio::io::split);
            let write = Box::pin(writing(&mut writer, &wire, &model, second, messages));
            run(&wire, first.clone(), vec![write, Box::pin(reading(reader, &model, third))]);
            run(
                &wire,
                first,
                vec![Box::pin(async {
                    assert!(writer.send("after the end").await.is_err());
                    let flushed = writer.flush().await;
                    model.lock().unwrap().flushed(&wire, &flushed);
                })],
            );
        }
        Kind::Outbox => {
            let mut queued = QueuedSocket::new(socket, OutboxOptions::new());
            let outbox = queued.outbox();
            let write = Box::pin(async {
                let mut random = second;
                while model.lock().unwrap().sent < messages {
                    let message = model.lock().unwrap().message(&mut random);
                    let is_prepared = random.one_in(2);
                    let sent = if is_prepared {
                        outbox.send(Prepared::binary(message.payload()))
                    } else {
                        outbox.send(message.clone())
                    };
                    if sent.is_err() {
                        assert!(outbox.is_closed(), "there is room, and it is open");
                        break;
                    }
                    {
                        let mut model = model.lock().unwrap();
                        model.accepted.push(message);
                        model.check(&wire);
                    }
                    for _ in 0..random.below(3) {
                        tokio::task::yield_now().await;
                    }
                }
            });
            let read = Box::pin(async {
                let mut random = third;
                loop {
                    let polls = 1 + random.below(6);
                    if let Some(next) = poll_some(queued.next(), polls).await
                        && !model.lock().unwrap().received(next)
                    {
                        break;
                    }
                }
                // What the queue still held is gone, and all who send are told.
                model.lock().unwrap().told = true;
                assert!(outbox.is_closed() && outbox.send("after the end").is_err());
                assert_eq!(outbox.queued(), 0);
            });
            run(&wire, first, vec![write, read]);
            model.lock().unwrap().check(&wire);
        }
        Kind::Futures => {
            let (mut sink, mut stream) = StreamExt::split(socket);
            let write = Box::pin(async {
                let mut random = second;
                while model.lock().unwrap().sent < messages {
                    let failed = wire.lock().failed;
                    let message = model.lock().unwrap().message(&mut random);
                    let fed = sink.feed(message.clone()).await;
                    // The sink of `futures` holds it, and finds out later that it cannot be sent.
                    model.lock().unwrap().sent(&wire, failed && fed.is_err(), message, &fed);
                    if random.one_in(3) {
                        let flushed = sink.flush().await;
                        model.lock().unwrap().flushed(&wire, &flushed);
                    }
                    if model.lock().unwrap().told {
                        break;
                    }
                }
            });
            let read = Box::pin(async {
                let mut random = third;
                loop {
                    let polls = 1 + random.below(6);
                    if let Some(next) = poll_some(stream.next(), polls).await
                        && !model.lock().unwrap().received(next)
                    {
                        break;
                    }
                }
            });
            run(&wire, first.clone(), vec![write, read]);
            run(
                &wire,
                first,
                vec![Box::pin(async {
                    let flushed = sink.flush().await;
                    model.lock().unwrap().flushed(&wire, &flushed);
                })],
            );
        }
    }
    let may_hold = matches!(kind, Kind::Futures | Kind::Outbox);
    model.lock().unwrap().finish(&wire, &expected, may_hold);
    wire.lock().steps
}

/// Runs seeds until the steps are done; of one that fails, the seed is printed.
fn seeds(name: &str, mut one: impl FnMut(u64) -> u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let only = number("ADAPTER_FAULT_SEED");
    let wanted = number("ADAPTER_FAULT_STEPS").unwrap_or(30_000);
    let (mut seed, mut steps) = (only.unwrap_or(1), 0);
    loop {
        if std::env::var("ADAPTER_FAULT_TRACE").is_ok() {
            eprintln!("{name}: ADAPTER_FAULT_SEED={seed}");
        }
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(seed)));
        match ran {
            Ok(count) => steps += count,
            Err(panic) => {
                eprintln!("{name}: ADAPTER_FAULT_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
        if only.is_some() || steps >= wanted {
            break;
        }
        seed += 1;
    }
    println!("{name}: {steps} steps, {seed} connections");
}

fn tokio_seeds(kind: Kind) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _guard = runtime.enter();
    seeds(&format!("{kind:?}"), |seed| one(kind, seed));
}

#[test]
fn the_whole_socket_keeps_to_the_model() {
    tokio_seeds(Kind::Whole);
}

#[test]
fn the_halves_keep_to_the_model() {
    tokio_seeds(Kind::Halves);
}

#[test]
fn the_halves_of_futures_keep_to_the_model() {
    tokio_seeds(Kind::Futures);
}

#[test]
fn an_outbox_keeps_to_the_model() {
    tokio_seeds(Kind::Outbox);
}

mod blocking {
    use super::*;
    use pushline::adapter::blocking::{Transport, WebSocket};
    use std::io::{ErrorKind, Read, Write};
    use std::net::Shutdown;
    use std::thread;

    /// As a stream that waits, or one that does not.
    #[derive(Clone)]
    struct Stream {
        wire: Shared,
        waits: bool,
    }

    impl Stream {
        fn not_now(&self) -> io::Error {
            let interrupted = self.wire.lock().random.one_in(3);
            match (interrupted, self.waits) {
                (true, _) => ErrorKind::Interrupted.into(),
                (false, true) => ErrorKind::TimedOut.into(),
                (false, false) => ErrorKind::WouldBlock.into(),
            }
        }
    }

    impl Read for Stream {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let call = self.wire.lock().read(buffer.len());
            match call {
                Call::Done(done) => done.map(|bytes| {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    bytes.len()
                }),
                Call::Again | Call::Later => Err(self.not_now()),
            }
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let call = self.wire.lock().write(bytes);
            match call {
                Call::Done(done) => done,
                Call::Again | Call::Later => Err(self.not_now()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Transport for Stream {
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

    fn is_again<T>(done: &Result<T, Error>) -> bool {
        matches!(done, Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock)
    }

    fn socket(wire: &Shared, random: &mut Random, is_client: bool, waits: bool) -> WebSocket<Stream> {
        let config = ConnectionOptions::new().max_outgoing([10, 500, 100_000][random.below(3)]);
        let stream = Stream { wire: wire.clone(), waits };
        WebSocket::new(stream, connection(is_client, config), &[], &Options::new())
    }

    fn whole(seed: u64) -> u64 {
        let (is_client, waits) = (seed % 2 == 1, seed.is_multiple_of(3));
        let (wire, expected, mut random) = Shared::new(seed, is_client, false);
        let mut socket = socket(&wire, &mut random, is_client, waits);
        let mut model = Model::default();
        let messages = u32::try_from(random.below(25)).unwrap();
        loop {
            if model.sent < messages && !model.told && random.one_in(2) {
                let failed = wire.lock().failed;
                let message = model.message(&mut random);
                match random.below(3) {
                    0 => {
                        let flushed = socket.flush();
                        if !is_again(&flushed) {
                            model.flushed(&wire, &flushed);
                        }
                    }
                    n => {
                        let sent =
                            if n == 1 { socket.send(message.clone()) } else { socket.feed(message.clone()) };
                        if !is_again(&sent) {
                            model.sent(&wire, failed, message, &sent);
                        }
                    }
                }
                continue;
            }
            let next = if random.one_in(2) {
                socket.next()
            } else {
                socket.next_event().map(|event| event.map(|event| owned(&event)))
            };
            if !is_again(&next) && !model.received(next.transpose()) {
                break;
            }
        }
        assert!(matches!(socket.next(), Ok(None)));
        assert!(socket.send("after the end").is_err());
        let flushed = socket.flush();
        model.flushed(&wire, &flushed);
        model.finish(&wire, &expected, false);
        wire.lock().steps
    }

    fn halves(seed: u64) -> u64 {
        let is_client = seed % 2 == 1;
        let (wire, expected, mut random) = Shared::new(seed, is_client, false);
        let socket = socket(&wire, &mut random, is_client, true);
        let (writer, mut reader) = socket.split_with(|stream| Ok(stream.clone())).unwrap();
        let messages = u32::try_from(random.below(25)).unwrap();
        let mut model = Model::default();
        let reading = thread::spawn(move || {
            let mut model = Model::default();
            while model.received(reader.next().transpose()) {}
            assert!(matches!(reader.next(), Ok(None)));
            model
        });
        while model.sent < messages && !model.told {
            let failed = wire.lock().failed;
            let message = model.message(&mut random);
            let sent = writer.send(message.clone());
            model.sent(&wire, failed, message, &sent);
            assert!(sent.is_err() || wire.lock().decoded == model.accepted, "sent");
        }
        let Model { delivered, end, .. } = reading.join().unwrap();
        assert!(writer.send("after the end").is_err());
        Model { delivered, end, races: true, ..model }.finish(&wire, &expected, false);
        wire.lock().steps
    }

    #[test]
    fn the_whole_socket_keeps_to_the_model() {
        seeds("blocking, whole", whole);
    }

    #[test]
    fn the_halves_keep_to_the_model() {
        seeds("blocking, halves", halves);
    }
}
