//! The writing half.

use super::super::outlet;
use super::Notes;
use crate::adapter::send::{self, send_or_hold, send_plain_slot, send_slot};
#[cfg(doc)]
use crate::adapter::tokio::WebSocket;
use crate::adapter::{Error, TimedOut};
use crate::ws::{CloseCode, Message, Prepared, Sender, State, UsageError};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_sink::Sink;
use std::sync::Arc;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The writing half of a split [`WebSocket`].
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::Writer;
/// use pushline::ws::Prepared;
/// use tokio::sync::broadcast::{Receiver, error::RecvError};
///
/// /// Writes what a room says, all that is there in one write, and between it what the reader owes.
/// async fn say<W>(mut writer: Writer<W>, mut room: Receiver<Prepared>) -> Result<(), Error>
/// where
///     W: tokio::io::AsyncWrite + Unpin,
/// {
///     loop {
///         tokio::select! {
///             message = room.recv() => match message {
///                 Ok(message) => {
///                     writer.queue_prepared(&message).await?;
///                     while let Ok(message) = room.try_recv() {
///                         writer.queue_prepared(&message).await?;
///                     }
///                     writer.flush().await?;
///                 }
///                 Err(RecvError::Lagged(_)) => return writer.close(1013, "too slow").await,
///                 Err(RecvError::Closed) => return writer.close(1001, "").await,
///             },
///             done = writer.drive() => return done,
///         }
///     }
/// }
/// ```
pub struct Writer<W> {
    pub(super) stream: W,
    pub(super) sender: Sender,
    pub(super) notes: Arc<Notes>,
    /// Tells the reader that a close frame was sent.
    pub(super) closes: mpsc::Sender<()>,
    pub(super) close_timeout: Duration,
    /// A message that [`Sink::start_send`] took while the queue was full.
    pub(super) held: Option<Message>,
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
        self.queue_and_flush(|sender| sender.send(text)).await
    }

    /// Sends a binary message, copied.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send(payload)).await
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send(prepared)).await
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.ping(payload)).await
    }

    /// Queues a message that was encoded once, without writing: to send several in one write, with
    /// a [`flush`](Self::flush) behind them. Waits while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub async fn queue_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        poll_fn(|cx| self.poll_queue(cx, |sender| sender.send(prepared))).await
    }

    /// Writes all that is queued, and what the reader owes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush_all(cx)).await
    }

    /// Writes what the reader owes, as it comes, until the connection is over and the transport
    /// closed. Cancel-safe: meant for a `select!` with the application's own messages.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. How the peer ended the connection is the reader's to say.
    pub async fn drive(&mut self) -> Result<(), Error> {
        loop {
            self.queue_held().await?;
            self.flush().await?;
            if self.sender.is_finished() {
                return Ok(poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx))
                    .await
                    .or_else(ended)?);
            }
            if self.notes.is_reader_gone() {
                self.sender.receive_eof();
            } else {
                self.notes.changed().await;
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
        self.queue_held().await?;
        send::close(&mut self.sender, code, reason)?;
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

    /// Queues what the sink holds. That it comes too late, after a close, does not stop the rest.
    async fn queue_held(&mut self) -> Result<(), Error> {
        match poll_fn(|cx| self.poll_held(cx)).await {
            Err(Error::Usage(UsageError::Closed)) => Ok(()),
            done => done,
        }
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
        ready!(self.poll_held(cx))?;
        outlet::poll_queue(&mut self.stream, &mut self.sender, cx, queue)
    }

    /// Queues what the reader owes, and the message that [`Sink::start_send`] could not.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.pay();
        outlet::poll_held(&mut self.stream, &mut self.sender, &mut self.held, cx)
    }

    /// Writes until nothing is queued, held or owed.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        outlet::poll_flush(&mut self.stream, &mut self.sender, cx)
    }

    /// Queues what the reader owes.
    fn pay(&mut self) {
        self.notes.take_owed().pay(&mut self.sender);
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
        Ok(send_or_hold(sender, held, message)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flush_all(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        let Self { stream, sender, closes, .. } = &mut *self;
        send::close(sender, CloseCode::NORMAL, "")?;
        let _ = closes.try_send(());
        outlet::poll_flush(stream, sender, cx)
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("sender", &self.sender).finish_non_exhaustive()
    }
}
