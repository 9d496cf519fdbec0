//! An event stream as a response.

use super::super::{io, scratch};
use super::{Error, Response};
use crate::adapter::sse::Outlet;
use crate::heartbeat::{Deadline, Heartbeat};
use crate::http1::head::Version;
use crate::sse::{Block, Prepared};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// An event stream that is being written to a client: a response in chunks, one event each, or, for HTTP/1.0, until the
/// connection is closed.
///
/// [`send`](Self::send) waits while the client is slow to read: that is all the back-pressure there is, and nothing else
/// buffers. While there is nothing to send, await [`left`](Self::left): it writes what is left to write, sends the
/// keep-alive comments, and returns when the client has left, which is noticed at once, by reading. A client that ends
/// its direction of the connection has left, too.
///
/// Every method is cancel-safe. A `send` whose future is dropped has sent nothing: the event was not taken yet. What
/// was taken is written by whatever is called next.
///
/// ```
/// use pushline::adapter::tokio::sse::{Error, EventWriter, Response};
/// use pushline::http1::head::Version;
/// use pushline::sse::Prepared;
/// use tokio::net::TcpStream;
/// use tokio::sync::mpsc::Receiver;
///
/// /// Serves one client, whose request was read already.
/// async fn serve(client: TcpStream, version: Version, mut events: Receiver<Prepared>) -> Result<(), Error> {
///     let mut writer = EventWriter::new(client, version, &Response::new());
///     loop {
///         tokio::select! {
///             event = events.recv() => match event {
///                 Some(event) => writer.send_prepared(&event).await?,
///                 None => return writer.finish().await,
///             },
///             gone = writer.left() => return gone,
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct EventWriter<S> {
    stream: S,
    outlet: Outlet,
    heartbeat: Heartbeat<Instant>,
    /// Runs while the client takes nothing.
    stalled: Deadline<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    close_timeout: Duration,
    max_queued: usize,
    /// Something was written that the transport may hold back.
    unflushed: bool,
    /// The client has ended its direction, or the transport failed.
    left: bool,
}

/// How often the client is read from before it is written to.
const READS: usize = 16;

impl<S> EventWriter<S> {
    /// Answers a request of this `version`, the one of the [`RequestHead`](crate::http1::head::RequestHead), on the
    /// stream that it came on. The response's head is queued: [`flush`](Self::flush), or anything else, writes it.
    pub fn new(stream: S, version: Version, response: &Response) -> Self {
        Self {
            stream,
            outlet: Outlet::new(version, response),
            heartbeat: Heartbeat::one_way(response.keep_alive, Instant::now()),
            stalled: Deadline::default(),
            timer: None,
            write_timeout: response.write_timeout,
            close_timeout: response.close_timeout,
            max_queued: response.max_queued,
            unflushed: false,
            left: false,
        }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outlet.queue.len()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> EventWriter<S> {
    /// Sends an event, or a comment, or a reconnection time. Waits first while more than
    /// [`Response::max_queued`] bytes are to be written.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] for what cannot be encoded. [`Error::Left`] if the client left, [`Error::TimedOut`] if it
    /// takes nothing for [`Response::write_timeout`], [`Error::Io`].
    pub async fn send(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.queue(|outlet| outlet.push(block)).await
    }

    /// Sends an event that was encoded once for many clients: a large one by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, event: &Prepared) -> Result<(), Error> {
        self.queue(|outlet| outlet.push_prepared(event)).await
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_until(cx, 0)).await
    }

    /// Waits until the client leaves; meanwhile writes what is queued, and keep-alive comments.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the client takes nothing for [`Response::write_timeout`]. A transport that fails is a
    /// client that left.
    pub async fn left(&mut self) -> Result<(), Error> {
        poll_fn(|cx| match ready!(self.poll_drive(cx, None)) {
            Ok(()) | Err(Error::Left | Error::Io(_)) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Ends the stream: writes the last chunk and closes. The client will reconnect, unless it is told with its next
    /// response, a 204, not to. If the future is dropped, the stream is cut, and the client sees that.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn finish(mut self) -> Result<(), Error> {
        self.outlet.finish()?;
        self.flush().await?;
        let Self { mut stream, close_timeout, .. } = self;
        let end = async {
            poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await?;
            poll_fn(|cx| io::poll_drain(&mut stream, cx)).await;
            Ok(())
        };
        // All was written: a client that does not close has it anyway.
        timeout(close_timeout, end).await.unwrap_or(Ok(()))
    }

    /// Waits for room, then queues, then writes what can be written at once.
    async fn queue(&mut self, mut queue: impl FnMut(&mut Outlet) -> Result<(), Error>) -> Result<(), Error> {
        poll_fn(|cx| {
            ready!(self.poll_until(cx, self.max_queued))?;
            scratch::lend_to_outgoing(&mut self.outlet.queue);
            queue(&mut self.outlet)?;
            self.heartbeat.touch(Instant::now());
            // What is not written now, the next call writes. It also says that the transport failed.
            let _ = self.poll_write(cx);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ready when no more than `most` bytes are queued.
    fn poll_until(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<(), Error>> {
        self.poll_drive(cx, Some(most))
    }

    /// Does all there is to do: notices that the client left, writes, keeps the times. Ready when no more than `most`
    /// bytes are queued.
    fn poll_drive(&mut self, cx: &mut Context<'_>, most: Option<usize>) -> Poll<Result<(), Error>> {
        loop {
            self.poll_read(cx);
            if self.left {
                return Poll::Ready(Err(Error::Left));
            }
            let written = self.poll_write(cx)?;
            if written.is_ready() && most.is_some()
                || most.is_some_and(|most| most > 0 && self.queued() <= most)
            {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_times(cx))?;
        }
    }

    /// Drops whatever the client sends, for there is nothing that it could say, and notices the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 256];
        for _ in 0..READS {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => {
                    self.left = true;
                    return;
                }
            }
        }
        // There is more; others have their turn first.
        cx.waker().wake_by_ref();
    }

    /// Writes until nothing is queued, nor held back by the transport.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, outlet, stalled, unflushed, .. } = self;
        let mut write = || {
            while !outlet.queue.is_empty() {
                *unflushed = true;
                ready!(io::poll_write(stream, &mut outlet.queue, cx))?;
                stalled.clear();
            }
            if *unflushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                *unflushed = false;
            }
            Poll::Ready(Ok(()))
        };
        let written = write();
        if written.is_pending() {
            self.stalled.start(Instant::now(), self.write_timeout);
        } else {
            self.stalled.clear();
            self.left |= matches!(written, Poll::Ready(Err(_)));
            scratch::take_from_outgoing(&mut self.outlet.queue);
        }
        written
    }

    /// Waits for the next thing that the time brings; ready when a keep-alive comment was queued.
    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            // A client that has bytes to read needs no comment to see that the connection lives.
            let deadline = self.stalled.next_deadline().unwrap_or_else(|| self.heartbeat.next_deadline());
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.stalled.is_over(now) {
                self.left = true;
                return Poll::Ready(Err(Error::TimedOut));
            }
            if self.stalled.next_deadline().is_none() && self.heartbeat.poll(now).is_some() {
                if self.outlet.is_finished() {
                    return Poll::Pending;
                }
                scratch::lend_to_outgoing(&mut self.outlet.queue);
                return Poll::Ready(self.outlet.push_keep_alive());
            }
            // The timer was set before the last event.
            let next = self.stalled.next_deadline().unwrap_or_else(|| self.heartbeat.next_deadline());
            timer.as_mut().reset(next);
        }
    }
}
