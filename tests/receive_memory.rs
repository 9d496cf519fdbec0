//! Both adapters give the memory of a large message back: whole and split, owned and lent, while the connection is idle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "it waits")]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;

use allocations::memory;
use model::encode;
use pushline::adapter::{Error, Options, blocking};
use pushline::ws::{Event, Message, Negotiated, TimedOut};
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than anything keeps.
const LEN: usize = 4 << 20;
/// What the connections of a thread may keep together: its buffers.
const OF_THE_THREAD: isize = 300 * 1024;
/// What an idle connection of the tokio adapter may keep.
const IDLE: isize = 4 * 1024;
const CONNECTIONS: isize = 1;

/// A message as it comes from a client.
fn message(text: bool) -> Arc<[u8]> {
    let payload = vec![b'a'; LEN];
    encode(if text { 0x81 } else { 0x82 }, Some([1, 2, 3, 4]), &payload).into()
}

/// Gives some bytes, then nothing more; takes everything.
struct Once {
    bytes: Arc<[u8]>,
    at: usize,
    read: usize,
}

impl Once {
    fn new(bytes: &Arc<[u8]>, read: usize) -> Self {
        Self { bytes: bytes.clone(), at: 0, read }
    }

    fn next(&mut self, room: usize) -> &[u8] {
        let from = self.at;
        self.at = self.bytes.len().min(from + room.min(self.read));
        &self.bytes[from..self.at]
    }
}

impl AsyncRead for Once {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = self.next(buffer.remaining());
        if bytes.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Once {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Read for Once {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        if bytes.is_empty() {
            std::thread::sleep(Duration::from_millis(20)); // what it was told, or longer
            return Err(io::ErrorKind::TimedOut.into());
        }
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Once {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl blocking::Transport for Once {
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

/// Polls once: it has to wait.
async fn waits<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future);
}

fn is_whole(message: &Option<Result<Message, Error>>) -> bool {
    matches!(message, Some(Ok(message)) if message.payload().len() == LEN)
}

#[test]
fn idle_connections_over_tokio_hold_nothing_of_what_was_received() {
    use pushline::adapter::tokio::WebSocket;
    for (text, read, split, owned) in [
        (false, 64 * 1024, false, true),
        (true, 1460, true, true),
        (true, 64 * 1024, false, false),
        (false, 1460, true, false),
    ] {
        let bytes = message(text);
        run(async {
            let mut idle = Vec::new();
            let mut readers = Vec::new();
            for n in 0..=CONNECTIONS {
                let mut work = Box::pin(async {
                    let mut socket =
                        WebSocket::server(Once::new(&bytes, read), Negotiated::default(), &Options::new());
                    if split {
                        let (writer, mut reader) = socket.split_with(tokio::io::split);
                        if owned {
                            assert!(is_whole(&reader.next().await));
                            waits(reader.next()).await;
                        } else {
                            assert!(
                                matches!(reader.next_event().await, Some(Ok(Event::Binary(b))) if b.len() == LEN)
                            );
                            waits(reader.next_event()).await;
                        }
                        readers.push((writer, reader));
                    } else {
                        if owned {
                            assert!(is_whole(&socket.next().await));
                            waits(socket.next()).await;
                        } else {
                            assert!(
                                matches!(socket.next_event().await, Some(Ok(Event::Text(t))) if t.len() == LEN)
                            );
                            waits(socket.next_event()).await;
                        }
                        idle.push(socket);
                    }
                });
                let (mut peak, mut after) = (0, 0);
                poll_fn(|cx| {
                    // It yields now and then.
                    (peak, after) = memory(|| while work.as_mut().poll(cx).is_pending() {});
                    Poll::Ready(())
                })
                .await;
                let most = if n == 0 { OF_THE_THREAD } else { IDLE };
                assert!(after <= most, "{after} bytes held by connection {n}, {split} {owned}");
                // At most twice what was received, and a read; lent, what it grew out of is there besides.
                let bound = 2 * LEN + LEN / 4 + (64 << 10);
                assert!(!owned || peak <= bound as isize, "{peak}");
            }
        });
    }
}

#[test]
fn idle_blocking_connections_hold_nothing_of_what_was_received() {
    let options =
        Options::new().ping_interval(Some(Duration::from_millis(1))).ping_timeout(Duration::from_millis(1));
    for (text, split, owned) in
        [(false, false, true), (true, true, true), (true, false, false), (false, true, false)]
    {
        let bytes = message(text);
        let mut held = Vec::new();
        let mut halves = Vec::new();
        for _ in 0..CONNECTIONS {
            let (_, after) = memory(|| {
                let stream = Once::new(&bytes, 64 * 1024);
                let mut socket = blocking::WebSocket::server(stream, Negotiated::default(), &options);
                if split {
                    let other = Once { bytes: Arc::new([]), at: 0, read: 1 };
                    let (writer, mut reader) = socket.split_with(|_| Ok(other)).unwrap();
                    if owned {
                        assert_eq!(reader.next().unwrap().unwrap().payload().len(), LEN);
                    } else {
                        assert!(
                            matches!(reader.next_event().unwrap(), Some(Event::Binary(b)) if b.len() == LEN)
                        );
                    }
                    assert!(matches!(reader.next(), Err(Error::TimedOut(TimedOut::Ping))));
                    halves.push((writer, reader));
                } else {
                    if owned {
                        assert_eq!(socket.next().unwrap().unwrap().payload().len(), LEN);
                    } else {
                        assert!(
                            matches!(socket.next_event().unwrap(), Some(Event::Text(t)) if t.len() == LEN)
                        );
                    }
                    assert!(matches!(socket.next(), Err(Error::TimedOut(TimedOut::Ping))));
                    held.push(socket);
                }
            });
            assert!(after <= 72 * 1024, "{after} bytes held, {split} {owned}");
        }
    }
}
