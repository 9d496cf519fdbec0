//! A WebSocket with an outbox in front of it, both driven by one task.

use super::super::WebSocket;
use super::super::outlet::FED;
use super::queue::{Outbox, OutboxItem, OutboxOptions, Shared, Taken};
use crate::adapter::Error;
use crate::ws::{Message, Outbound, Prepared, Text, UsageError};
use bytes::Bytes;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncWrite};

/// After this many messages of one read, what is queued is sent before the next one is taken, and after this many sent it
/// is read: 32. Without it a peer that sends without pause would never be sent anything, or the other way round.
const BURST: u8 = 32;

/// A message on its way to a WebSocket: a [`Prepared`], by reference, or a [`Message`].
///
/// One that came back ([`ReconnectEvent::Lost`](crate::adapter::tokio::ReconnectEvent::Lost)), or that was taken out of an
/// [`OutboxStream`](super::OutboxStream), any socket or [`Writer`](crate::adapter::tokio::Writer) sends by reference.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::{OutboxItem, Post, Writer};
/// use pushline::ws::Prepared;
///
/// assert_eq!(Post::from("abc").payload_len(), 3);
/// assert_eq!(Post::from(Prepared::text("abc")).payload_len(), 3);
///
/// async fn send_all<W: tokio::io::AsyncWrite + Unpin>(writer: &mut Writer<W>, posts: &[Post]) -> Result<(), Error> {
///     for post in posts {
///         writer.feed(post).await?;
///     }
///     writer.flush().await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Post(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Prepared(Prepared),
    Message(Message),
}

impl Post {
    /// The payload; of a close frame, its reason.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match &self.0 {
            Kind::Prepared(prepared) => prepared.payload(),
            Kind::Message(message) => message.payload(),
        }
    }
}

impl OutboxItem for Post {
    fn payload_len(&self) -> usize {
        self.payload().len()
    }
}

impl From<Prepared> for Post {
    fn from(prepared: Prepared) -> Self {
        Self(Kind::Prepared(prepared))
    }
}

impl From<&Prepared> for Post {
    fn from(prepared: &Prepared) -> Self {
        Self(Kind::Prepared(prepared.clone()))
    }
}

impl From<Message> for Post {
    fn from(message: Message) -> Self {
        Self(Kind::Message(message))
    }
}

impl From<&str> for Post {
    fn from(text: &str) -> Self {
        Message::from(text).into()
    }
}

impl From<String> for Post {
    fn from(text: String) -> Self {
        Message::from(text).into()
    }
}

impl From<Text> for Post {
    fn from(text: Text) -> Self {
        Message::from(text).into()
    }
}

impl From<&[u8]> for Post {
    fn from(payload: &[u8]) -> Self {
        Message::from(payload).into()
    }
}

impl From<Vec<u8>> for Post {
    fn from(payload: Vec<u8>) -> Self {
        Message::from(payload).into()
    }
}

impl From<Bytes> for Post {
    fn from(payload: Bytes) -> Self {
        Message::from(payload).into()
    }
}

/// Costs a reference count at most.
impl<'a> From<&'a Post> for Outbound<'a> {
    fn from(post: &'a Post) -> Self {
        match &post.0 {
            Kind::Prepared(prepared) => prepared.into(),
            Kind::Message(message) => message.into(),
        }
    }
}

/// A WebSocket and the queue of what other tasks send to it.
///
/// [`next`](Self::next) drives both: keep calling it. It is cancel-safe. What waits together leaves together, up to 16 KiB
/// in a write; so much, or one message, the connection holds beyond the queue's bounds while it is being written.
///
/// Its own task sends and closes by the [`outbox`](Self::outbox), too, as in `socket.outbox().close(1000, "")`, and goes on
/// with `next` until that is `None`.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::{Outbox, OutboxOptions, QueuedSocket, WebSocket};
/// use tokio::net::TcpStream;
///
/// async fn serve(socket: WebSocket<TcpStream>, tell_others: impl Fn(Outbox)) -> Result<(), Error> {
///     let mut socket = QueuedSocket::new(socket, OutboxOptions::new());
///     tell_others(socket.outbox());
///     while let Some(message) = socket.next().await {
///         println!("{:?}", message?);
///     }
///     Ok(())
/// }
/// ```
pub struct QueuedSocket<S> {
    socket: WebSocket<S>,
    shared: Arc<Shared<Post>>,
    /// Taken from the queue while something before it was still being written.
    item: Option<Post>,
    /// More waited behind it.
    is_followed: bool,
    /// The connection holds what leaves together with what follows.
    is_fed: bool,
    /// A close frame that was asked for.
    close: Option<Message>,
    /// What was handed to the connection last, and how often that had written all before, if it is to be put back
    /// unless it is written.
    in_flight: Option<(Post, u32)>,
    /// The queue outlives the connection.
    keeps: bool,
    /// Messages received in a row.
    burst: u8,
    /// Nothing more is to be sent.
    done: bool,
}

impl<S> QueuedSocket<S> {
    /// A queue in front of this socket.
    pub fn new(socket: WebSocket<S>, options: OutboxOptions) -> Self {
        let mut queued = Self::over(socket, &Shared::new(options));
        queued.keeps = false;
        queued
    }

    /// This queue, which outlives the socket.
    pub(in crate::adapter::tokio) fn over(socket: WebSocket<S>, shared: &Arc<Shared<Post>>) -> Self {
        Self {
            socket,
            shared: Arc::clone(shared),
            item: None,
            is_followed: false,
            is_fed: false,
            close: None,
            in_flight: None,
            keeps: true,
            burst: 0,
            done: false,
        }
    }

    /// Puts what the connection has not written back into the queue, which outlives it.
    pub(in crate::adapter::tokio) fn give_back(mut self) {
        let written = self.socket.0.outlet.completed();
        let in_flight = self.in_flight.take().filter(|(_, before)| *before == written);
        let items = in_flight.map(|(item, _)| item).into_iter().chain(self.item.take());
        self.shared.put_back(items.collect::<Vec<_>>().into_iter());
    }

    /// A handle that sends to this socket.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::of(&self.shared)
    }

    /// The socket.
    pub const fn get_ref(&self) -> &WebSocket<S> {
        &self.socket
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> QueuedSocket<S> {
    /// The next message received, as [`WebSocket::next`]; meanwhile, what is queued is sent. A receiver that lags is closed
    /// as [`Lagging`](super::Lagging) says.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Hands over one message from the queue; whether there was one. It needs a connection that has written all, but for what
    /// leaves together with this one: so the outbox's bounds are the bounds, and the connection takes the message at once,
    /// whole.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.done {
            return Poll::Ready(false);
        }
        while self.item.is_none() && self.close.is_none() {
            match ready!(self.shared.poll_take(cx)) {
                Taken::Item(item, is_followed) => (self.item, self.is_followed) = (Some(item), is_followed),
                Taken::Close(close) => self.close = Some(close),
                Taken::End => {
                    self.done = true;
                    return Poll::Ready(false);
                }
            }
        }
        let sent = match self.poll_room(cx) {
            Poll::Ready(Ok(())) => ready!(self.poll_taken(cx)),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending if self.item.is_some() && self.shared.has_lagged(cx) => {
                self.item = None;
                Ok(())
            }
            Poll::Pending => return Poll::Pending,
        };
        if let Err(Error::Usage(UsageError::Closed) | Error::Io(_) | Error::TimedOut(_) | Error::Aborted) =
            sent
        {
            // The connection has ended, or is ending: how, `next` tells.
            self.end();
        } else if sent.is_err() {
            // That message cannot be sent, now or later.
            self.in_flight = None;
        }
        Poll::Ready(true)
    }

    /// A close frame always has room.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.close.is_some() {
            return Pin::new(&mut self.socket).poll_ready(cx);
        }
        let has_room = self.socket.queued() < FED && self.socket.0.outlet.is_below_limit();
        if core::mem::take(&mut self.is_fed) && has_room {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Hands over what was taken from the queue.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(close) = self.close.take() {
            return Poll::Ready(Pin::new(&mut self.socket).start_send(close));
        }
        if self.keeps {
            let completed = self.socket.0.outlet.completed();
            self.in_flight = self.item.clone().map(|item| (item, completed));
        } else {
            self.is_fed = self.is_followed;
        }
        let Some(Post(item)) = self.item.take() else { return Poll::Ready(Ok(())) };
        let lent;
        let mut place = Some(match item {
            Kind::Message(message) => Outbound::Message(message),
            Kind::Prepared(prepared) => {
                lent = prepared;
                Outbound::Prepared(&lent)
            }
        });
        let whole = &mut *self.socket.0;
        let sent =
            if self.is_fed { whole.poll_feed(&mut place, cx) } else { whole.poll_send(&mut place, true, cx) };
        if sent.is_pending() {
            // Not taken: what is before it is written first.
            self.in_flight = None;
            self.is_fed = false;
            self.item = match place {
                Some(Outbound::Message(message)) => Some(message.into()),
                Some(Outbound::Prepared(prepared)) => Some(prepared.into()),
                _ => None,
            };
            return Poll::Ready(Ok(()));
        }
        sent.map_err(|error| *error)
    }
}

impl<S> QueuedSocket<S> {
    fn received(&mut self, message: Option<Result<Message, Error>>) -> Option<Result<Message, Error>> {
        if !matches!(message, Some(Ok(_))) {
            self.end();
        }
        message
    }

    fn end(&mut self) {
        self.done = true;
        if !self.keeps {
            self.item = None;
            self.shared.end();
        }
    }
}

/// The messages as [`next`](QueuedSocket::next) gives them.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for QueuedSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // What came with the last read is answered together.
        if this.burst < BURST
            && this.socket.0.inlet.is_corked()
            && let Poll::Ready(message) = Pin::new(&mut this.socket).poll_next(cx)
        {
            this.burst += 1;
            return Poll::Ready(this.received(message));
        }
        this.burst = 0;
        loop {
            // Before it is read: mostly a task is woken because there is something to be sent.
            let mut sent = 0;
            while sent < BURST && this.poll_send(cx) == Poll::Ready(true) {
                sent += 1;
            }
            if let Poll::Ready(message) = Pin::new(&mut this.socket).poll_next(cx) {
                return Poll::Ready(this.received(message));
            }
            if sent < BURST {
                return Poll::Pending;
            }
        }
    }
}

impl<S> Drop for QueuedSocket<S> {
    fn drop(&mut self) {
        if !self.keeps {
            self.shared.end();
        }
    }
}

impl<S> fmt::Debug for QueuedSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}
