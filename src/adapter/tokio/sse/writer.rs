//! An event stream as a response.

use super::super::{io, scratch};
use super::{Error, EventResponse, poll_timer};
use crate::adapter::sse::Outlet;
use crate::heartbeat::{Deadline, Heartbeat};
use crate::http1::head::Version;
use crate::sse::{Block, PreparedEvent};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// An event stream that is being written to a client: a response in chunks, one event each, or, for HTTP/1.0, until the
/// connection is closed.
///
/// [`send`](Self::send) waits while the client is slow to read: that is all the back-pressure there is, and nothing else
/// buffers. While there is nothing to send, await [`left`](Self::left): it writes what is left to write, sends the
/// keep-alive comments, and returns when the client has left, which is noticed at once, by reading. A client that ends
/// its direction of the connection has left, too, and so has one that sends more than
/// [`EventResponse::max_received`].
///
/// No call waits for a client for longer than [`EventResponse::write_timeout`] without a byte being taken. A write that failed
/// is the end: what was queued is dropped, and every later call says so.
///
/// Every method is cancel-safe. A `send` whose future is dropped has sent nothing: the event was not taken yet. What
/// was taken is written by whatever is called next.
///
/// ```
/// use pushline::adapter::tokio::sse::{Error, EventWriter, EventResponse};
/// use pushline::http1::head::Version;
/// use pushline::sse::PreparedEvent;
/// use tokio::net::TcpStream;
/// use tokio::sync::mpsc::Receiver;
///
/// /// Serves one client, whose request was read already.
/// async fn serve(client: TcpStream, version: Version, mut events: Receiver<PreparedEvent>) -> Result<(), Error> {
///     let mut writer = EventWriter::new(client, version, &EventResponse::new());
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
    heartbeat: Option<Heartbeat<Instant>>,
    /// Runs while the client takes nothing.
    stalled: Deadline<Instant>,
    /// Runs once the stream is finished: all must be over by then.
    finishing: Deadline<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    close_timeout: Duration,
    max_queued: usize,
    /// How many bytes more the client may send.
    may_receive: usize,
    /// Something was written that the transport may hold back.
    unflushed: bool,
    /// A deadline was over in the last poll, too.
    overdue: bool,
    ended: Option<Ended>,
}

/// Why nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The client has ended its direction, or the transport failed.
    Left,
    TimedOut,
}

/// How often the client is read from in one poll.
const READS: usize = 16;

/// How many times [`EventResponse::write_timeout`] all of [`EventWriter::finish`] may take: a client that takes a byte now and
/// then is waited for, but not for ever.
const FINISHING: u32 = 10;

impl<S> EventWriter<S> {
    /// Answers a request of this `version`, the one of the [`RequestHead`](crate::http1::head::RequestHead), on the
    /// stream that it came on. The response's head is queued: [`flush`](Self::flush), or anything else, writes it.
    pub fn new(stream: S, version: Version, response: &EventResponse) -> Self {
        let heartbeat = |interval| Heartbeat::one_way(interval, Instant::now());
        Self {
            stream,
            outlet: Outlet::new(version, response),
            heartbeat: response.keep_alive.map(heartbeat),
            stalled: Deadline::default(),
            finishing: Deadline::default(),
            timer: None,
            write_timeout: response.write_timeout,
            close_timeout: response.close_timeout,
            max_queued: response.max_queued,
            may_receive: response.max_received,
            unflushed: false,
            overdue: false,
            ended: None,
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

    /// This was it: what is queued will not be written.
    fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
        self.outlet.queue.clear();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> EventWriter<S> {
    /// Sends an event, or a comment, or a reconnection time. Waits first while more than
    /// [`EventResponse::max_queued`] bytes are to be written.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] for what cannot be encoded: nothing of it was taken, and the stream goes on. [`Error::Left`] if
    /// the client left, [`Error::TimedOut`] if it takes nothing for [`EventResponse::write_timeout`], [`Error::Io`]: the end.
    /// `Ok` says that the event was taken, and perhaps written. If it was not and cannot be, the next call says so.
    pub async fn send(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.queue(|outlet| outlet.push(block)).await
    }

    /// Sends an event that was encoded once for many clients: a large one by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, event: &PreparedEvent) -> Result<(), Error> {
        self.queue(|outlet| outlet.push_prepared(event)).await
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_drive(cx, Some(0))).await
    }

    /// Waits until the client leaves; meanwhile writes what is queued, and keep-alive comments.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the client takes nothing for [`EventResponse::write_timeout`]. A transport that fails is a
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
    /// It takes ten times [`EventResponse::write_timeout`] and one [`EventResponse::close_timeout`] at most, whatever the client
    /// does. How the transport ends after all was written is of no account.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn finish(mut self) -> Result<(), Error> {
        self.outlet.finish()?;
        self.finishing.start(Instant::now(), self.write_timeout.saturating_mul(FINISHING));
        self.flush().await?;
        self.finishing = Deadline::new(Instant::now(), self.close_timeout);
        self.timer = None;
        let mut is_shut = false;
        poll_fn(|cx| self.poll_close(&mut is_shut, cx)).await;
        Ok(())
    }

    /// Waits for room, then queues, then writes what can be written at once.
    async fn queue(&mut self, mut queue: impl FnMut(&mut Outlet) -> Result<(), Error>) -> Result<(), Error> {
        poll_fn(|cx| {
            ready!(self.poll_drive(cx, Some(self.max_queued)))?;
            scratch::lend_to_outgoing(&mut self.outlet.queue);
            queue(&mut self.outlet)?;
            if let Some(heartbeat) = &mut self.heartbeat {
                heartbeat.touch(Instant::now());
            }
            // What is not written now, the next call writes. It also says that the transport failed.
            let _ = self.poll_write(cx);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Does all there is to do: notices that the client left, writes, keeps the times. Ready when no more than `most`
    /// bytes are queued.
    fn poll_drive(&mut self, cx: &mut Context<'_>, most: Option<usize>) -> Poll<Result<(), Error>> {
        loop {
            if self.ended.is_none() && self.poll_read(cx).is_ready() {
                self.end(Ended::Left);
            }
            match self.ended {
                Some(Ended::Left) => return Poll::Ready(Err(Error::Left)),
                Some(Ended::TimedOut) => return Poll::Ready(Err(Error::TimedOut)),
                None => {}
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

    /// Drops what the client sends, for there is nothing that it could say. Ready at its end, or if it says too much.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 256];
        for _ in 0..READS {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() && buffer.filled().len() <= self.may_receive => {
                    self.may_receive -= buffer.filled().len();
                }
                _ => return Poll::Ready(()),
            }
        }
        // There is more; others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes until nothing is queued, nor held back by the transport.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, outlet, stalled, unflushed, overdue, .. } = self;
        let mut write = || {
            while !outlet.queue.is_empty() {
                *unflushed = true;
                ready!(io::poll_write(stream, &mut outlet.queue, cx))?;
                stalled.clear();
                *overdue = false;
            }
            if *unflushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                *unflushed = false;
            }
            Poll::Ready(Ok(()))
        };
        let written = write();
        match &written {
            Poll::Pending => self.stalled.start(Instant::now(), self.write_timeout),
            Poll::Ready(Ok(())) => {
                (self.overdue, self.stalled) = (false, Deadline::default());
                scratch::take_from_outgoing(&mut self.outlet.queue);
            }
            Poll::Ready(Err(_)) => self.end(Ended::Left),
        }
        written
    }

    /// Waits for the next thing that the time brings; ready when a keep-alive comment was queued.
    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let late = self.stalled.next_deadline().into_iter().chain(self.finishing.next_deadline()).min();
            // A client that has bytes to read needs no comment to see that the connection lives.
            let beat = self.heartbeat.as_ref().filter(|_| late.is_none() && !self.outlet.is_finished());
            let Some(deadline) = late.or(beat.map(Heartbeat::next_deadline)) else { return Poll::Pending };
            // The clock, not the timer: that one is not asked once the task has used up its turn.
            let now = Instant::now();
            if now < deadline {
                ready!(poll_timer(&mut self.timer, deadline, cx));
            } else if late.is_some() {
                if self.overdue {
                    self.end(Ended::TimedOut);
                    return Poll::Ready(Err(Error::TimedOut));
                }
                // This task may not have come to write for long, and its turn may be used up: once more.
                self.overdue = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            } else if self.heartbeat.as_mut().is_some_and(|heartbeat| heartbeat.poll(now).is_some()) {
                scratch::lend_to_outgoing(&mut self.outlet.queue);
                return Poll::Ready(self.outlet.push_keep_alive());
            }
        }
    }

    /// Closes, and reads until the client has closed, too: closing with bytes unread would make the operating system
    /// reset the connection, and the client lose the last ones. Bounded in time and bytes.
    fn poll_close(&mut self, is_shut: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.finishing.next_deadline();
        if self.finishing.is_over(Instant::now()) {
            return Poll::Ready(());
        }
        if !*is_shut {
            *is_shut = Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
        }
        if *is_shut && self.poll_read(cx).is_ready() {
            return Poll::Ready(());
        }
        deadline.map_or(Poll::Pending, |deadline| poll_timer(&mut self.timer, deadline, cx))
    }
}
