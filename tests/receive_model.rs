//! What the tokio adapter receives, however the bytes come, is what the state machine makes of all of them at once: several
//! connections in turns on one thread, whose memory goes from one to the other, and messages that are kept or dropped.

use bytes::Buf;
use pushline::Inbox;
use pushline::adapter::tokio::WebSocket;
use pushline::adapter::{Error, Options};
use pushline::ws::{Connection, ConnectionOptions, Message, Negotiated, ProtocolError};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads as they come: an empty one is `Pending`. Behind them the stream ends.
#[derive(Default)]
struct Script {
    reads: VecDeque<Vec<u8>>,
    given: usize,
    /// Whether the last read found nothing.
    dry: bool,
    written: Vec<u8>,
    reset: bool,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.lock().unwrap();
        let Some(mut read) = script.reads.pop_front() else {
            let reset = Err(io::ErrorKind::ConnectionReset.into());
            return Poll::Ready(if script.reset { reset } else { Ok(()) });
        };
        script.dry = read.is_empty();
        if script.dry {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n = read.len().min(to.remaining());
        to.put_slice(&read[..n]);
        script.given += n;
        if n < read.len() {
            script.reads.push_front(read.split_off(n));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LENS: [usize; 17] = [
    0, 1, 125, 126, 1_000, 4_095, 4_096, 4_097, 16_370, 16_383, 16_384, 16_385, 20_000, 32_767, 32_769,
    65_536, 130_000,
];

/// What a client says: messages of one length, or of any; fragments and pings among them; perhaps a byte that is wrong.
fn stream(random: &mut Random, server: bool) -> Vec<u8> {
    let fragment_size = random.one_of(&[1 << 20, 1 << 20, 5_000, 40_000]);
    let config = ConnectionOptions::new().fragment_size(fragment_size).max_outgoing(usize::MAX);
    let mut from = if server {
        Connection::client(Negotiated::default(), config, || KEY)
    } else {
        Connection::server(Negotiated::default(), config)
    };
    let (len, mixed) = (random.one_of(&LENS), random.below(3) == 0);
    let count = (400_000 / (len + 1_000)).min(30);
    for _ in 0..count {
        let len = if mixed || random.below(8) == 0 { random.one_of(&LENS) } else { len };
        match random.below(10) {
            0..4 => from.send("a".repeat(len)),
            4..7 => from.send("\u{6c34}\u{e9}".repeat(len / 5) + &"....."[..len % 5]),
            7..9 => from.send(vec![len as u8; len]),
            _ => from.ping(b"?"),
        }
        .unwrap();
    }
    let outgoing = from.outgoing();
    let mut bytes = outgoing.copy_to_bytes(outgoing.len()).to_vec();
    if random.below(4) > 0 {
        let at = random.below(bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= random.one_of(&[0x80, 0x80, 0x80, 1, 8, 0x40]);
        }
    }
    bytes
}

/// All that the state machine makes of bytes that come at once.
fn expected(bytes: &[u8], server: bool) -> (Vec<Message>, Option<ProtocolError>) {
    let (negotiated, config) = (Negotiated::default(), ConnectionOptions::new());
    let (mut receiver, _) = if server {
        Connection::server(negotiated, config).split()
    } else {
        Connection::client(negotiated, config, || KEY).split()
    };
    let (mut inbox, mut messages) = (Inbox::new(), Vec::new());
    assert_eq!(inbox.extend(bytes), bytes.len());
    loop {
        match receiver.next_owned(&mut inbox) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

/// One connection, with what it is to receive.
struct Run {
    socket: WebSocket<Scripted>,
    script: Scripted,
    expected: Vec<Message>,
    fault: Option<ProtocolError>,
    /// From so many bytes on there is the fault.
    fault_at: usize,
    received: usize,
    kept: Vec<(usize, Message)>,
    failed: bool,
    over: bool,
}

impl Run {
    fn new(random: &mut Random) -> Self {
        let server = random.below(3) > 0;
        let bytes = stream(random, server);
        let (messages, fault) = expected(&bytes, server);
        let (mut least, mut most) = (0, bytes.len());
        while fault.is_some() && least < most {
            let middle = (least + most) / 2;
            if expected(&bytes[..middle], server).1.is_some() { most = middle } else { least = middle + 1 }
        }
        let piece = random.one_of(&[600, 1_460, 5_000, 20_000, 40_000, 70_000, 1 << 20]);
        let (mut reads, mut rest) = (VecDeque::new(), &bytes[..]);
        while !rest.is_empty() {
            let n = rest.len().min(if random.below(3) == 0 { 1 + random.below(piece) } else { piece });
            reads.push_back(rest[..n].to_vec());
            rest = &rest[n..];
            if random.below(2) == 0 {
                reads.push_back(Vec::new());
            }
        }
        let script = Scripted::default();
        *script.0.lock().unwrap() = Script { reads, reset: random.below(4) == 0, ..Script::default() };
        let mut options = Options::new();
        if random.below(4) == 0 {
            options = options.read_size(random.one_of(&[256, 16 << 10, 64 << 10, 1 << 20]));
        }
        let socket = if server {
            WebSocket::server(script.clone(), Negotiated::default(), &options)
        } else {
            WebSocket::client(script.clone(), Negotiated::default(), &options)
        };
        let (expected, fault_at) = (messages, if fault.is_some() { most } else { usize::MAX });
        Self {
            socket,
            script,
            expected,
            fault,
            fault_at,
            received: 0,
            kept: Vec::new(),
            failed: false,
            over: false,
        }
    }

    fn poll(&mut self, random: &mut Random, cx: &mut Context<'_>) {
        let next = pin!(self.socket.next()).poll(cx);
        let script = self.script.0.lock().unwrap();
        match next {
            Poll::Ready(Some(Ok(message))) => {
                assert_eq!(Some(&message), self.expected.get(self.received));
                if random.below(2) == 0 {
                    self.kept.push((self.received, message));
                }
                self.received += 1;
                if random.below(20) == 0 {
                    self.kept.clear();
                }
            }
            Poll::Ready(Some(Err(error))) => match (&error, self.fault) {
                (Error::Protocol(error), Some(fault)) => {
                    assert_eq!(*error, fault);
                    self.failed = true;
                }
                (Error::Aborted, None) => assert!(!script.reset),
                (Error::Io(_), None) => assert!(script.reset),
                _ => panic!("{error:?} in place of {:?}", self.fault),
            },
            Poll::Ready(None) => self.over = true,
            // What is wrong among what was read has been answered before the connection waits for more.
            Poll::Pending => assert!(
                !script.dry || script.given < self.fault_at || answers(&script.written, self.fault),
                "{} of {} and no answer",
                script.given,
                self.fault_at
            ),
        }
    }
}

/// Whether the last frame that was written is the close frame for the fault, from either role.
fn answers(written: &[u8], fault: Option<ProtocolError>) -> bool {
    let Some(fault) = fault else { return true };
    let code = u16::from(fault.close_code()).to_be_bytes();
    match *written {
        [.., 0x88, 2, high, low] if [high, low] == code => true,
        [.., 0x88, 0x82, first, second, _, _, high, low] => [high ^ first, low ^ second] == code,
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_received_is_what_was_sent_however_it_comes() {
    for seed in 1..=if cfg!(debug_assertions) { 40 } else { 1_000 } {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut runs: Vec<_> = (0..3).map(|_| Run::new(&mut random)).collect();
        while !runs.iter().all(|run| run.over) {
            std::future::poll_fn(|cx| {
                for run in runs.iter_mut().filter(|run| !run.over) {
                    for _ in 0..=random.below(4) {
                        if !run.over {
                            run.poll(&mut random, cx);
                        }
                    }
                }
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
        for run in runs {
            assert_eq!(run.received, run.expected.len(), "seed {seed}");
            assert_eq!(run.failed, run.fault.is_some(), "seed {seed}");
            for (at, message) in run.kept {
                assert_eq!(message, run.expected[at], "written to, seed {seed}");
            }
        }
    }
}
