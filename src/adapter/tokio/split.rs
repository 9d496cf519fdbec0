//! A WebSocket in two halves, for a task that reads and a task that writes.
//!
//! The reader owns its half of the stream, the parser and the inbox: messages are received without a lock. The writing
//! side, and the life of the connection, are shared; whichever half is polled does what is due there, so that pongs and
//! close frames go out also if only the reader is. The lock is held for no longer than one call of the stream that does
//! not wait.

use super::super::{ConnectionStats, Error, end};
use super::client_stream::{ClientReadHalf, ClientStream, ClientWriteHalf};
use super::given::Given;
use super::inlet::{Ends, Inlet};
use super::outlet::{Boxed, FED, NOW, Outlet};
use super::wait::{Timer, Who};
use super::websocket::{WebSocket, Whole};
use crate::ws::{CloseCode, End, Event, Message, Outbound, Reply, Side, State, Step};
use core::fmt;
use core::future::poll_fn;
use core::ops::DerefMut;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

impl<S> WebSocket<S> {
    /// Splits into a writer and a reader, each with its half of the stream: for a TLS stream,
    /// `split_with(tokio::io::split)`.
    ///
    /// Pongs, close frames and heartbeat pings go out whenever either half is polled: neither has to know of the other.
    ///
    /// To have messages of other tasks sent, [`QueuedSocket`](super::QueuedSocket) takes less memory: one task, and a queue
    /// that has none while it is empty. A channel of tokio's keeps room for 32 messages.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::tokio::WebSocket;
    /// use tokio::net::TcpStream;
    ///
    /// async fn chat(socket: WebSocket<TcpStream>, mut room: tokio::sync::mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (mut writer, mut reader) = socket.split();
    ///     let writing = tokio::spawn(async move {
    ///         while let Some(text) = room.recv().await {
    ///             writer.send(text).await?;
    ///         }
    ///         writer.close(1000, "").await
    ///     });
    ///     while let Some(message) = reader.next().await {
    ///         println!("{:?}", message?);
    ///     }
    ///     writing.await.expect("the task does not panic")
    /// }
    /// ```
    pub fn split_with<R, W>(self, split: impl FnOnce(S) -> (R, W)) -> (Writer<W>, Reader<R, W>) {
        let Whole { inlet, outlet, .. } = *self.0;
        let (read, mut outlet) = outlet.split(split);
        outlet.pay();
        let shared = Arc::new(Mutex::new(outlet));
        let writer = Writer { shared: Arc::clone(&shared), timer: Timer::default() };
        (writer, Reader { inlet, ends: Halves { read, shared } })
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a writer and a reader on different tasks; see [`split_with`](Self::split_with).
    #[must_use]
    pub fn split(self) -> (Writer<OwnedWriteHalf>, Reader<OwnedReadHalf, OwnedWriteHalf>) {
        self.split_with(TcpStream::into_split)
    }
}

impl WebSocket<ClientStream> {
    /// Splits into a writer and a reader on different tasks; see [`split_with`](Self::split_with).
    #[must_use]
    pub fn split(self) -> (Writer<ClientWriteHalf>, Reader<ClientReadHalf, ClientWriteHalf>) {
        self.split_with(ClientStream::into_split)
    }
}

/// The writing half of a split [`WebSocket`].
///
/// After the reader was dropped nothing shows that a peer has vanished but the transport: a write that makes no progress
/// for [`Options::write_timeout`](super::super::Options::write_timeout), or TCP's own error. A task that has nothing to
/// send then calls [`drive`](Self::drive), which ends the connection.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::Writer;
/// use pushline::ws::Prepared;
/// use tokio::sync::broadcast::{Receiver, error::RecvError};
///
/// /// Writes what a room says, all that is there in one write.
/// async fn say<W>(mut writer: Writer<W>, mut room: Receiver<Prepared>) -> Result<(), Error>
/// where
///     W: tokio::io::AsyncWrite + Unpin,
/// {
///     loop {
///         match room.recv().await {
///             Ok(message) => {
///                 writer.feed(&message).await?;
///                 while let Ok(message) = room.try_recv() {
///                     writer.feed(&message).await?;
///                 }
///                 writer.flush().await?;
///             }
///             Err(RecvError::Lagged(_)) => return writer.close(1013, "too slow").await,
///             Err(RecvError::Closed) => return writer.close(1001, "").await,
///         }
///     }
/// }
/// ```
pub struct Writer<W> {
    shared: Arc<Mutex<Outlet<W>>>,
    timer: Timer,
}

/// The reading half of a split [`WebSocket`].
///
/// While it is polled, everything that is due happens, also writing what a [`Writer`] has queued.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::Reader;
/// use tokio::sync::mpsc;
///
/// /// Hands every text on, waiting while nobody takes it: the peer is slowed down by that.
/// async fn listen<R, W>(mut reader: Reader<R, W>, texts: mpsc::Sender<String>) -> Result<(), Error>
/// where
///     R: tokio::io::AsyncRead + Unpin,
///     W: tokio::io::AsyncWrite + Unpin,
/// {
///     while let Some(message) = reader.next().await {
///         if let Some(text) = message?.as_text() {
///             let _ = texts.send(text.to_owned()).await;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Reader<R, W> {
    inlet: Inlet,
    ends: Halves<R, W>,
}

struct Halves<R, W> {
    read: R,
    shared: Arc<Mutex<Outlet<W>>>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Ends for Halves<R, W> {
    type Read = R;
    type Write = W;

    fn read<T>(&mut self, cx: &mut Context<'_>, read: impl FnOnce(&mut R, &mut Context<'_>) -> T) -> T {
        read(&mut self.read, cx)
    }

    fn outlet(&mut self) -> impl DerefMut<Target = Outlet<W>> {
        lock(&self.shared)
    }

    fn reply_to_close(&mut self, reply: Reply<'_>) {
        lock(&self.shared).reply(reply);
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Reader<R, W> {
    /// The next message; see [`WebSocket::next`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.inlet.poll_message(&mut self.ends, cx)).await
    }

    /// The next event, lent; see [`WebSocket::next_event`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub async fn next_event(&mut self) -> Option<Result<Event<'_>, Error>> {
        self.inlet.next_event(&mut self.ends).await
    }
}

impl<R, W> Reader<R, W> {
    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        lock(&self.ends.shared).life.end()
    }

    /// What the connection has carried, both halves together.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        lock(&self.ends.shared).tally.with(self.inlet.received())
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Stream for Reader<R, W> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inlet, ends } = &mut *self;
        inlet.poll_message(ends, cx)
    }
}

/// What is sent afterwards still goes out; a close is then not waited for.
impl<R, W> Drop for Halves<R, W> {
    fn drop(&mut self) {
        let mut outlet = lock(&self.shared);
        outlet.life.reader_gone();
        outlet.wakers.forget(Who::Reader);
        outlet.wakers.wake_other(Who::Reader);
    }
}

impl<W> Writer<W> {
    /// Where the closing handshake stands.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.shared).sender.state()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        lock(&self.shared).life.end()
    }

    /// What the connection has carried, both halves together; of what the reader received, all until it waited last.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        lock(&self.shared).tally.own
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.shared).sender.queued()
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Sends a message; see [`WebSocket::send`]. Cancel-safe: a send that is dropped has sent nothing.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'a>(&mut self, message: impl Into<Outbound<'a>>) -> impl Future<Output = Result<(), Error>> {
        let mut message = Given::New(message);
        poll_fn(move |cx| {
            message.poll(|message| self.poll_send(message, true, NOW, cx)).map_err(|error| *error)
        })
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`](crate::raw::Sender::send_plain).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(
        &mut self,
        message: impl Into<Outbound<'a>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut message = Given::New(message);
        poll_fn(move |cx| {
            message.poll(|message| self.poll_send(message, false, NOW, cx)).map_err(|error| *error)
        })
    }

    /// Queues a message, to send several in one write, with a [`flush`](Self::flush) behind them. From 16 KiB on what is
    /// queued is written. Waits while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn feed<'a>(&mut self, message: impl Into<Outbound<'a>>) -> impl Future<Output = Result<(), Error>> {
        let mut message = Given::New(message);
        poll_fn(move |cx| {
            message.poll(|message| self.poll_send(message, true, FED, cx)).map_err(|error| *error)
        })
    }

    /// Sends a ping of at most 125 bytes, ahead of all messages that have not begun. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| Poll::Ready(lock(&self.shared).ping(payload, NOW, Who::Writer, cx)))
            .await
            .map_err(|error| *error)
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_until(Outlet::is_flushed, cx)).await
    }

    /// Does whatever is due until the connection is over: for a task that has nothing to send for now, while nobody
    /// polls the reader. If the reader was dropped, this ends the connection. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing or does not close, [`Error::Io`]. How the peer ended the
    /// connection is the reader's to say.
    pub async fn drive(&mut self) -> Result<(), Error> {
        poll_fn(|cx| {
            {
                let mut outlet = lock(&self.shared);
                if outlet.life.is_unread() && outlet.is_flushed() {
                    outlet.sender.receive_eof();
                }
            }
            self.poll_until(|_| false, cx)
        })
        .await
    }

    /// Sends a close frame behind all that is queued, waits for the peer's, which the reader must be there to receive,
    /// and closes the transport.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, and as [`drive`](Self::drive).
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        {
            let mut outlet = lock(&self.shared);
            end::close(&mut outlet.sender, code, reason)?;
            outlet.wakers.wake_other(Who::Writer);
        }
        self.drive().await
    }

    fn poll_send(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        compress: bool,
        linger: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Boxed>> {
        let Some(next) = &*message else { return Poll::Ready(Ok(())) };
        ready!(self.poll_until(|outlet| outlet.is_ready(next, linger), cx))?;
        let mut outlet = lock(&self.shared);
        Poll::Ready(outlet.send(message, compress, linger, Who::Writer, cx))
    }

    /// Writes until the writing side is as it should be, or the connection is over.
    fn poll_until(
        &mut self,
        is_ready: impl Fn(&Outlet<W>) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut outlet = lock(&self.shared);
        if is_ready(&outlet) {
            return Poll::Ready(Ok(()));
        }
        outlet.life.ready();
        loop {
            let step = outlet.run(Side::Writing, Who::Writer, cx);
            if let Some(error) = outlet.broken() {
                return Poll::Ready(Err(error));
            }
            if is_ready(&outlet) {
                outlet.wakers.forget(Who::Writer);
                return Poll::Ready(Ok(()));
            }
            match step {
                Step::Wait(deadline) => {
                    outlet.tally.publish();
                    ready!(outlet.wakers.poll_timer(&mut self.timer, deadline, Who::Writer, cx));
                    outlet.life.tick(Side::Writing, Instant::now());
                }
                Step::Over(end) => return Poll::Ready(outlet.error_of_writing(end).map_or(Ok(()), Err)),
                // `run` does the others.
                _ => {}
            }
        }
    }
}

/// As the sink of a [`WebSocket`].
impl<W: AsyncWrite + Unpin> Sink<Message> for Writer<W> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(Outlet::is_below_limit, cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        lock(&self.shared).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(Outlet::is_flushed, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        {
            let mut outlet = lock(&self.shared);
            end::close(&mut outlet.sender, CloseCode::NORMAL, "")?;
            outlet.wakers.wake_other(Who::Writer);
        }
        self.poll_until(Outlet::is_flushed, cx)
    }
}

fn lock<W>(shared: &Mutex<Outlet<W>>) -> MutexGuard<'_, Outlet<W>> {
    // A panic of the stream's own leaves nothing that does not fit together.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R, W> fmt::Debug for Reader<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.inlet.receiver).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("queued", &self.queued()).finish_non_exhaustive()
    }
}
