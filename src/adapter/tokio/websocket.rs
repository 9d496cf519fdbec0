//! A WebSocket over one stream.

use super::super::send::{self, send_or_hold, send_plain_slot, send_slot};
use super::super::{Error, Options};
use super::driver::Driver;
use crate::inbox::Inbox;
use crate::ws::mask::OsKeys;
use crate::ws::{CloseCode, Connection, Event, Message, Negotiated, Prepared, Sender, State, UsageError};
use bytes::BytesMut;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};

/// A WebSocket over any `AsyncRead + AsyncWrite`, after its opening handshake.
///
/// [`next`](Self::next) is what drives it: it answers pings and closes, keeps the heartbeat and the
/// close deadline, and writes what was queued before it waits. So keep calling it, also if only to
/// send; to do both at once, [`split`](Self::split_with) it.
///
/// *Every future is cancel-safe*: the state is in this struct, so dropping a future at any await
/// loses nothing that was received and leaves no half frame. A message whose `send` was dropped is
/// queued whole or not at all.
///
/// *One write per read*: what is sent while messages of one read are still at hand is queued, and
/// leaves in one write with all the rest before the next read. Otherwise a send writes at once.
/// [`flush`](Self::flush) writes in any case.
///
/// ```
/// use pushline::adapter::tokio::WebSocket;
/// use pushline::adapter::{Error, Options};
/// use pushline::ws::{Config, Connection, Negotiated};
///
/// async fn echo<S>(stream: S) -> Result<(), Error>
/// where
///     S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
/// {
///     let options = Options::new();
///     let connection = Connection::server(Negotiated::default(), Config::new());
///     let mut socket = WebSocket::new(stream, connection, &[], &options);
///     while let Some(message) = socket.next().await {
///         let message = message?;
///         if message.is_data() {
///             socket.send(message).await?;
///         }
///     }
///     Ok(())
/// }
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// #     let (client, server) = tokio::io::duplex(64);
/// #     let server = tokio::spawn(echo(server));
/// #     let keys = || [1, 2, 3, 4];
/// #     let client_end = Connection::client(Negotiated::default(), Config::new(), keys);
/// #     let mut socket = WebSocket::new(client, client_end, &[], &Options::new());
/// #     socket.send("Hello").await.unwrap();
/// #     assert_eq!(socket.next().await.unwrap().unwrap(), "Hello".into());
/// #     socket.close(1000, "").await.unwrap();
/// #     server.await.unwrap().unwrap();
/// # });
/// ```
pub struct WebSocket<S> {
    pub(super) driver: Driver<S>,
    pub(super) inbox: Inbox<BytesMut>,
}

impl<S> WebSocket<S> {
    /// A server's WebSocket over a stream that an HTTP server has upgraded: `negotiated` is what
    /// [`Accepted::negotiated`](crate::ws::handshake::Accepted::negotiated) gave.
    pub fn server(stream: S, negotiated: Negotiated, options: &Options) -> Self {
        Self::new(stream, Connection::server(negotiated, options.config), &[], options)
    }

    /// A client's WebSocket over a stream that an HTTP client has upgraded: `negotiated` is what
    /// [`verify`](crate::ws::handshake::verify) gave.
    pub fn client(stream: S, negotiated: Negotiated, options: &Options) -> Self {
        Self::new(stream, Connection::client(negotiated, options.config, OsKeys), &[], options)
    }

    /// A WebSocket over `stream`, on which the opening handshake was done. `received` are the bytes that were read
    /// behind the handshake.
    ///
    /// The connection keeps the [`Config`](crate::ws::Config) that it was made with: of the options, only the times
    /// and the read size count.
    pub fn new(stream: S, connection: Connection, received: &[u8], options: &Options) -> Self {
        let mut inbox = Inbox::owning(options.read_size);
        let taken = inbox.extend(received);
        debug_assert_eq!(taken, received.len(), "this storage grows");
        Self::with_inbox(stream, connection, inbox, options)
    }

    pub(super) fn with_inbox(
        stream: S,
        connection: Connection,
        inbox: Inbox<BytesMut>,
        options: &Options,
    ) -> Self {
        Self { driver: Driver::new(stream, connection, options), inbox }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &S {
        &self.driver.stream
    }

    /// The subprotocol that the server selected.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.driver.connection.subprotocol()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.driver.connection.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.driver.connection.queued()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message, control messages included (they are answered already). `None` at the end:
    /// the closing handshake is done, all is written, and the transport closed.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] once the close frame that answers the fault is written,
    /// [`Error::Aborted`] if the transport ended without a close frame, [`Error::TimedOut`] and
    /// [`Error::Io`]. After an error comes `None`.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// As [`next`](Self::next), lent from the receive buffer: without an allocation, and in parts
    /// with [`Config::parts`](crate::ws::Config::parts).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_event(&mut self) -> Option<Result<Event<'_>, Error>> {
        let Self { driver, inbox, .. } = self;
        let found = match poll_fn(|cx| driver.poll_found(inbox, true, cx)).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        match driver.event(found, inbox) {
            Ok(event) => Some(Ok(event)),
            // The text was not UTF-8. The close frame is written, then the error reported.
            Err(error) => {
                driver.error = Some(error);
                poll_fn(|cx| driver.poll_end(cx)).await.map(Err)
            }
        }
    }

    /// Sends a message: waits while the queue is full, then writes.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be sent, [`Error::Io`].
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

    /// Sends a text message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_text(text)).await
    }

    /// Sends a binary message, copied: the caller keeps it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_binary(payload)).await
    }

    /// Sends a message that was encoded once for many connections, by reference.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.send_prepared(prepared)).await
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.queue_and_flush(|sender| sender.ping(payload)).await
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.driver.poll_flush(cx)).await
    }

    /// Does the whole closing handshake: sends a close frame behind all that is queued, waits for
    /// the peer's, and closes the transport. Messages that still arrive are dropped; to have them,
    /// send [`Message::Close`] and go on with [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, and as [`next`](Self::next). If
    /// the connection is closing already, this waits for the end of that.
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        match poll_fn(|cx| self.driver.poll_held(cx)).await {
            Ok(()) | Err(Error::Usage(UsageError::Closed)) => {}
            Err(error) => return Err(error),
        }
        send::close(self.driver.connection.sender_mut(), code, reason)?;
        while let Some(message) = self.next().await {
            message?;
        }
        Ok(())
    }

    async fn queue_and_flush(
        &mut self,
        mut queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        let mut queued = false;
        poll_fn(|cx| {
            if !queued {
                ready!(self.driver.poll_queue(cx, &mut queue))?;
                queued = true;
            }
            self.poll_cork(cx)
        })
        .await
    }

    /// Writes, unless more messages of the same read are at hand: then [`next`](Self::next) will.
    fn poll_cork(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Bytes that the parser has looked at in vain are no message at hand.
        let at_hand = !self.inbox.unread().is_empty() && self.inbox.needed() == 0;
        if at_hand { Poll::Ready(Ok(())) } else { self.driver.poll_flush(cx) }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let Self { driver, inbox, .. } = self;
        match ready!(driver.poll_found(inbox, false, cx)) {
            None => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(found)) => match driver.message(found, inbox) {
                Ok(message) => Poll::Ready(Some(Ok(message))),
                Err(error) => {
                    driver.error = Some(error);
                    driver.poll_end(cx).map(|error| error.map(Err))
                }
            },
        }
    }
}

/// The messages as [`next`](WebSocket::next) gives them.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

/// Messages to send. Closing the sink sends a close frame with code 1000 and writes it; the stream
/// then ends when the peer has answered.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.driver.poll_held(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let Driver { connection, held, .. } = &mut self.driver;
        Ok(send_or_hold(connection.sender_mut(), held, message)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.driver.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.driver.poll_held(cx))?;
        send::close(self.driver.connection.sender_mut(), CloseCode::NORMAL, "")?;
        self.driver.poll_flush(cx)
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.driver.connection).finish_non_exhaustive()
    }
}
