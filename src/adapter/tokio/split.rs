//! A WebSocket in two halves, for a task that reads and a task that writes.
//!
//! Each half owns its state machine and its half of the stream. They share no lock: what the reader
//! finds to be owed goes to the writer through a channel that holds the latest value, so a flood of
//! pings costs one pong and no memory.

use super::super::slot::{send_plain_slot, send_slot};
use super::super::{Error, TimedOut};
use super::clock::{Clock, Tick};
use super::outlet;
use super::websocket::WebSocket;
use super::{io, scratch};
use crate::inbox::Inbox;
use crate::ws::{
    CloseCode, Event, Found, MAX_CONTROL_LEN, Message, Prepared, Receiver, Reply, Sender, State, UsageError,
};
use bytes::BytesMut;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// What the reader found to be owed. Counters tell the writer what is new to it.
#[derive(Debug, Default)]
struct Owed {
    /// Pings received, and the payload of the latest.
    pongs: u64,
    payload: Payload,
    /// Pings that the heartbeat asks for.
    pings: u64,
    /// The peer's close, with its code.
    close: Option<Option<CloseCode>>,
    /// The close code of a failure.
    fail: Option<CloseCode>,
    eof: bool,
}

/// What of it the writer has done.
#[derive(Clone, Copy, Debug, Default)]
struct Paid {
    pongs: u64,
    pings: u64,
    close: bool,
    fail: bool,
    eof: bool,
}

#[derive(Clone, Copy, Debug)]
struct Payload {
    bytes: [u8; MAX_CONTROL_LEN],
    len: u8,
}

impl Default for Payload {
    fn default() -> Self {
        Self { bytes: [0; MAX_CONTROL_LEN], len: 0 }
    }
}

impl Owed {
    fn add(&mut self, reply: Reply<'_>) {
        match reply {
            Reply::Pong(payload) => {
                self.pongs += 1;
                self.payload.bytes[..payload.len()].copy_from_slice(payload);
                self.payload.len = payload.len() as u8;
            }
            Reply::Close(code) => self.close = Some(code),
            Reply::Fail(code) => self.fail = Some(code),
        }
    }
}

impl<S> WebSocket<S> {
    /// Splits into a reader and a writer, each with its half of the stream: for a TLS stream,
    /// `split_with(tokio::io::split)`.
    ///
    /// The writer pays what the reader owes (pongs, close frames, heartbeat pings) in
    /// [`Writer::drive`], and with every message sent: a task that writes selects between that and
    /// its own messages.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::tokio::WebSocket;
    /// use tokio::net::TcpStream;
    ///
    /// async fn chat(socket: WebSocket<TcpStream>, mut room: tokio::sync::mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (mut reader, mut writer) = socket.split();
    ///     let writing = tokio::spawn(async move {
    ///         loop {
    ///             tokio::select! {
    ///                 text = room.recv() => match text {
    ///                     Some(text) => writer.send(text).await?,
    ///                     None => return writer.close(1000, "").await,
    ///                 },
    ///                 done = writer.drive() => return done,
    ///             }
    ///         }
    ///     });
    ///     while let Some(message) = reader.next().await {
    ///         println!("{:?}", message?);
    ///     }
    ///     writing.await.expect("the task does not panic")
    /// }
    /// ```
    pub fn split_with<R, W>(self, split: impl FnOnce(S) -> (R, W)) -> (Reader<R>, Writer<W>) {
        let Self { core, inbox, .. } = self;
        let close_timeout = core.clock.close_timeout();
        let (read, write) = split(core.stream);
        let (receiver, sender) = core.connection.split();
        let (owes, owed) = watch::channel(Owed::default());
        let (closes, closing) = mpsc::channel(1);
        let reader = Reader {
            stream: read,
            receiver,
            inbox,
            clock: core.clock,
            owes,
            closing,
            error: None,
            over: false,
        };
        let writer =
            Writer { stream: write, sender, owed, paid: Paid::default(), closes, close_timeout, held: None };
        (reader, writer)
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a reader and a writer on different tasks; see [`split_with`](Self::split_with).
    #[must_use]
    pub fn split(self) -> (Reader<OwnedReadHalf>, Writer<OwnedWriteHalf>) {
        self.split_with(TcpStream::into_split)
    }
}

/// The reading half of a split [`WebSocket`].
pub struct Reader<R> {
    stream: R,
    receiver: Receiver,
    inbox: Inbox<BytesMut>,
    clock: Clock,
    owes: watch::Sender<Owed>,
    /// The writer has sent a close frame.
    closing: mpsc::Receiver<()>,
    error: Option<Error>,
    over: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next message; see [`WebSocket::next`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next event, lent; see [`WebSocket::next_event`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`]. A text message that is not UTF-8 is reported at once; the call after
    /// that drops what the peer still sends.
    pub async fn next_event(&mut self) -> Option<Result<Event<'_>, Error>> {
        let found = match poll_fn(|cx| self.poll_found(true, cx)).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let event = self.receiver.event(found, &self.inbox);
        match &event {
            Ok(event) => owe(&self.owes, event.reply()),
            Err(error) => owe(&self.owes, Some(Reply::Fail(error.close_code()))),
        }
        Some(event.map_err(Error::Protocol))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        Poll::Ready(match ready!(self.poll_found(false, cx)) {
            None => None,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(found)) => match self.receiver.owned(found, &mut self.inbox) {
                Ok(message) => {
                    owe(&self.owes, message.reply());
                    Some(Ok(message))
                }
                Err(error) => {
                    owe(&self.owes, Some(Reply::Fail(error.close_code())));
                    self.error = Some(error.into());
                    return self.poll_end(cx).map(|error| error.map(Err));
                }
            },
        })
    }

    fn poll_found(&mut self, parts: bool, cx: &mut Context<'_>) -> Poll<Option<Result<Found, Error>>> {
        loop {
            if self.over {
                return Poll::Ready(self.error.take().map(Err));
            }
            if self.receiver.is_ended() {
                return self.poll_end(cx).map(|error| error.map(Err));
            }
            match self.receiver.find(&mut self.inbox, parts) {
                Ok(Some(found)) => return Poll::Ready(Some(Ok(found))),
                Ok(None) => {}
                Err(error) => {
                    owe(&self.owes, Some(Reply::Fail(error.close_code())));
                    self.error = Some(error.into());
                    continue;
                }
            }
            if let Poll::Ready(Some(())) = self.closing.poll_recv(cx) {
                self.clock.start_closing();
            }
            match self.clock.poll(cx) {
                Poll::Ready(Tick::Ping) => {
                    self.owes.send_modify(|owed| owed.pings += 1);
                    continue;
                }
                Poll::Ready(Tick::TimedOut(what)) => {
                    self.end(Some(Error::TimedOut(what)));
                    continue;
                }
                Poll::Pending => {}
            }
            scratch::lend_to_inbox(&mut self.inbox);
            match io::poll_read(&mut self.stream, &mut self.inbox, cx) {
                Poll::Pending => {
                    scratch::take_from_inbox(&mut self.inbox);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(1..)) => self.clock.touch(),
                Poll::Ready(Ok(0)) => self.end(Some(Error::Aborted)),
                Poll::Ready(Err(error)) => self.end(Some(error.into())),
            }
        }
    }

    /// After the peer's close or fault: drops what it still sends, within the close timeout.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        self.clock.start_closing();
        if io::poll_drain(&mut self.stream, cx).is_pending() {
            ready!(self.clock.poll(cx));
        }
        self.end(None);
        Poll::Ready(self.error.take())
    }

    fn end(&mut self, error: Option<Error>) {
        self.over = true;
        self.error = self.error.take().or(error);
        self.owes.send_modify(|owed| owed.eof = true);
    }
}

fn owe(owes: &watch::Sender<Owed>, reply: Option<Reply<'_>>) {
    if let Some(reply) = reply {
        owes.send_modify(|owed| owed.add(reply));
    }
}

impl<R: AsyncRead + Unpin> Stream for Reader<R> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

/// The writing half of a split [`WebSocket`].
pub struct Writer<W> {
    stream: W,
    sender: Sender,
    owed: watch::Receiver<Owed>,
    paid: Paid,
    closes: mpsc::Sender<()>,
    close_timeout: Duration,
    held: Option<Message>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Sends a message; see [`WebSocket::send`]. Cancel-safe: queued whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.queue_and_flush(|sender| send_slot(sender, &mut message)).await
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`](crate::ws::Sender::send_plain).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_plain(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut message = Some(message.into());
        self.queue_and_flush(|sender| send_plain_slot(sender, &mut message)).await
    }

    /// Sends a text message, copied.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_text(text)).await
    }

    /// Sends a binary message, copied.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_binary(payload)).await
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_prepared(prepared)).await
    }

    /// Queues a message that was encoded once, without writing: to send several in one write, with
    /// a [`flush`](Self::flush) behind them. Waits while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn queue_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        poll_fn(|cx| self.poll_queue(cx, |sender| sender.send_prepared(prepared))).await
    }

    /// Writes all that is queued, and what the reader owes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.pay();
        poll_fn(|cx| outlet::poll_flush(&mut self.stream, &mut self.sender, cx)).await
    }

    /// Writes what the reader owes, as it comes, until the connection is over and the transport
    /// closed. Cancel-safe: meant for a `select!` with the application's own messages.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. How the peer ended the connection is the reader's to say.
    pub async fn drive(&mut self) -> Result<(), Error> {
        loop {
            self.flush().await?;
            if self.sender.is_finished() {
                return Ok(poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx))
                    .await
                    .or_else(ended)?);
            }
            if self.owed.changed().await.is_err() {
                self.sender.receive_eof(); // the reader was dropped
            }
        }
    }

    /// Sends a close frame behind all that is queued, waits for the peer's, which the reader must
    /// be there to receive, and closes the transport.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, [`Error::Io`], and
    /// [`Error::TimedOut`] when the close timeout is over.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        self.pay();
        match self.sender.close(code, reason) {
            Ok(()) | Err(UsageError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        let _ = self.closes.try_send(()); // full: said before
        match timeout(self.close_timeout, self.drive()).await {
            Ok(done) => done,
            Err(_) => {
                let _ = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
                Err(Error::TimedOut(TimedOut::Close))
            }
        }
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.sender.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sender.queued()
    }

    async fn queue_and_flush(
        &mut self,
        mut queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        let mut queued = false;
        poll_fn(|cx| {
            if !queued {
                ready!(self.poll_queue(cx, &mut queue))?;
                queued = true;
            }
            outlet::poll_flush(&mut self.stream, &mut self.sender, cx)
        })
        .await
    }

    fn poll_queue(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Poll<Result<(), Error>> {
        self.pay();
        outlet::poll_queue(&mut self.stream, &mut self.sender, cx, queue)
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.pay();
        outlet::poll_queue(&mut self.stream, &mut self.sender, cx, |sender| send_slot(sender, &mut self.held))
    }

    /// Queues what the reader owes and this half has not done yet.
    fn pay(&mut self) {
        let Self { sender, owed, paid, .. } = self;
        let owed = owed.borrow_and_update();
        if owed.pongs > paid.pongs {
            paid.pongs = owed.pongs;
            sender.reply(Reply::Pong(&owed.payload.bytes[..usize::from(owed.payload.len)]));
        }
        if owed.pings > paid.pings {
            paid.pings = owed.pings;
            // Refused if the queue is full: then the peer, if it lives, has enough to read.
            let _ = sender.ping(&[]);
        }
        if let (Some(code), false) = (owed.close, paid.close) {
            paid.close = true;
            sender.reply(Reply::Close(code));
        }
        if let (Some(code), false) = (owed.fail, paid.fail) {
            paid.fail = true;
            sender.reply(Reply::Fail(code));
        }
        if owed.eof && !paid.eof {
            paid.eof = true;
            sender.receive_eof();
        }
    }
}

/// A transport that the peer has closed already is closed.
fn ended(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::NotConnected
        | std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::ConnectionReset => Ok(()),
        _ => Err(error),
    }
}

/// As the sink of a [`WebSocket`].
impl<W: AsyncWrite + Unpin> Sink<Message> for Writer<W> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_held(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let Self { sender, held, .. } = &mut *self;
        *held = Some(message);
        match send_slot(sender, held) {
            Err(error) if error != UsageError::Full => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        let Self { stream, sender, .. } = &mut *self;
        outlet::poll_flush(stream, sender, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        let Self { stream, sender, closes, .. } = &mut *self;
        match sender.close(CloseCode::NORMAL, "") {
            Ok(()) | Err(UsageError::Closed) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        let _ = closes.try_send(());
        outlet::poll_flush(stream, sender, cx)
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("sender", &self.sender).finish_non_exhaustive()
    }
}
