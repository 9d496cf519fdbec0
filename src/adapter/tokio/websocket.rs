//! A WebSocket over one stream.

use super::super::slot::{send_plain_slot, send_slot};
use super::super::{Error, Options, TimedOut};
use super::clock::{Clock, Tick};
use super::outlet;
use super::{io, scratch};
use crate::inbox::Inbox;
use crate::ws::{CloseCode, Connection, Event, Found, Message, Prepared, Sender, State, UsageError};
use bytes::BytesMut;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use std::string::String;
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
    pub(super) core: Core<S>,
    pub(super) inbox: Inbox<BytesMut>,
    /// What the server selected, for a client.
    pub(super) subprotocol: Option<String>,
}

/// All but the inbox, so that an event lent from that does not stop the rest.
pub(super) struct Core<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    pub(super) clock: Clock,
    /// What is to be reported when all is written and closed.
    error: Option<Error>,
    /// How writing failed. What the peer has sent can still be read; this is reported at its end.
    broken: Option<Error>,
    /// A message that [`Sink::start_send`] took while the queue was full.
    held: Option<Message>,
    phase: Phase,
    /// A pong is queued: it is written before the next ping takes its place.
    pong_first: bool,
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Events are parsed, messages sent.
    Open,
    /// Our direction of the transport is being closed.
    Shutdown,
    /// What the peer still sends is dropped until it closes, too.
    Drain,
    /// Nothing is left to do but to report the error, if any.
    Done,
}

impl<S> WebSocket<S> {
    /// A WebSocket over `stream`, on which the opening handshake was done, for example by an HTTP
    /// server. `received` are the bytes that were read behind the handshake.
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
        let core = Core {
            stream,
            connection,
            clock: Clock::new(options),
            error: None,
            broken: None,
            held: None,
            phase: Phase::Open,
            pong_first: false,
        };
        Self { core, inbox, subprotocol: None }
    }

    /// The transport.
    pub const fn get_ref(&self) -> &S {
        &self.core.stream
    }

    /// The subprotocol that the server selected, if this is the client.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.core.connection.state()
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.core.connection.queued()
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
        let Self { core, inbox, .. } = self;
        let found = match poll_fn(|cx| core.poll_found(inbox, true, cx)).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        match core.event(found, inbox) {
            Ok(event) => Some(Ok(event)),
            // The text was not UTF-8. The close frame is written, then the error reported.
            Err(error) => {
                core.error = Some(error);
                poll_fn(|cx| core.poll_end(cx)).await.map(Err)
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
        poll_fn(|cx| {
            let sent = self.core.poll_queue(cx, |sender| send_slot(sender, &mut message));
            ready!(sent)?;
            self.poll_cork(cx)
        })
        .await
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
        poll_fn(|cx| self.core.poll_flush(cx)).await
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
        match self.core.connection.close(code, reason) {
            Ok(()) | Err(UsageError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
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
                ready!(self.core.poll_queue(cx, &mut queue))?;
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
        if at_hand { Poll::Ready(Ok(())) } else { self.core.poll_flush(cx) }
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let Self { core, inbox, .. } = self;
        match ready!(core.poll_found(inbox, false, cx)) {
            None => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(found)) => match core.message(found, inbox) {
                Ok(message) => Poll::Ready(Some(Ok(message))),
                Err(error) => {
                    core.error = Some(error);
                    core.poll_end(cx).map(|error| error.map(Err))
                }
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Core<S> {
    fn event<'b>(&mut self, found: Found, inbox: &'b Inbox<BytesMut>) -> Result<Event<'b>, Error> {
        let event = self.connection.event(found, inbox)?;
        self.pong_first = matches!(event, Event::Ping(_));
        Ok(event)
    }

    fn message(&mut self, found: Found, inbox: &mut Inbox<BytesMut>) -> Result<Message, Error> {
        let message = self.connection.owned(found, inbox)?;
        self.pong_first = matches!(message, Message::Ping(_));
        Ok(message)
    }

    /// The next event: from what is at hand, or after writing, waiting and reading.
    fn poll_found(
        &mut self,
        inbox: &mut Inbox<BytesMut>,
        lent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Found, Error>>> {
        if self.pong_first && self.error.is_none() {
            self.pong_first = false;
            let _ = io::poll_flush(&mut self.stream, self.connection.outgoing(), cx);
        }
        loop {
            if self.phase == Phase::Open && self.error.is_none() {
                match self.connection.find(inbox, lent) {
                    Ok(Some(found)) => return Poll::Ready(Some(Ok(found))),
                    Ok(None) => {}
                    Err(error) => self.error = Some(error.into()),
                }
            }
            if self.error.is_some() || self.connection.is_finished() || self.phase != Phase::Open {
                return self.poll_end(cx).map(|error| error.map(Err));
            }
            // All that one read has caused leaves in one write.
            match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => {
                    self.broken.get_or_insert(error);
                    self.connection.outgoing().clear();
                }
                Poll::Ready(Ok(())) if self.connection.is_finished() => continue,
                _ => {}
            }
            if self.connection.state() != State::Open {
                self.clock.start_closing();
            }
            match self.clock.poll(cx) {
                Poll::Ready(Tick::Ping) => {
                    // Refused if the queue is full: then the peer, if it lives, has enough to read.
                    let _ = self.connection.ping(&[]);
                    continue;
                }
                // Both close frames have passed; that the server does not close is not our fault.
                Poll::Ready(Tick::TimedOut(TimedOut::Close)) if self.connection.state() == State::Closed => {
                    self.phase = Phase::Done;
                    return Poll::Ready(None);
                }
                Poll::Ready(Tick::TimedOut(what)) => return self.abandon(Error::TimedOut(what)),
                Poll::Pending => {}
            }
            scratch::lend_to_inbox(inbox);
            match io::poll_read(&mut self.stream, inbox, cx) {
                Poll::Pending => {
                    scratch::take_from_inbox(inbox);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return self.abandon(error.into()),
                Poll::Ready(Ok(0)) => {
                    self.connection.receive_eof();
                    if self.connection.state() == State::Aborted {
                        return self.abandon(Error::Aborted);
                    }
                }
                Poll::Ready(Ok(_)) => {
                    scratch::lend_to_outgoing(self.connection.outgoing());
                    self.clock.touch();
                }
            }
        }
    }

    /// Nothing more can be done with this transport.
    fn abandon<T>(&mut self, error: Error) -> Poll<Option<Result<T, Error>>> {
        self.phase = Phase::Done;
        Poll::Ready(Some(Err(self.broken.take().unwrap_or(error))))
    }

    /// Writes what is left, closes our direction, waits for the peer's end; then the error to
    /// report. Within the close timeout.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        if self.phase != Phase::Done {
            self.clock.start_closing();
        }
        while self.phase != Phase::Done {
            let step = match self.phase {
                Phase::Open => io::poll_flush(&mut self.stream, self.connection.outgoing(), cx)
                    .map_ok(|()| Phase::Shutdown),
                Phase::Shutdown => Pin::new(&mut self.stream).poll_shutdown(cx).map_ok(|()| Phase::Drain),
                Phase::Drain => io::poll_drain(&mut self.stream, cx).map(|()| Ok(Phase::Done)),
                Phase::Done => Poll::Ready(Ok(Phase::Done)),
            };
            match step {
                Poll::Ready(Ok(next)) => self.phase = next,
                // Whatever the transport says now comes too late to matter.
                Poll::Ready(Err(_)) => self.phase = Phase::Done,
                Poll::Pending => {
                    ready!(self.clock.poll(cx));
                    self.phase = Phase::Done;
                }
            }
        }
        scratch::take_from_outgoing(self.connection.outgoing());
        Poll::Ready(self.error.take())
    }

    /// Queues with `queue`, writing first for as long as that says that the queue is full.
    fn poll_queue(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Poll<Result<(), Error>> {
        outlet::poll_queue(&mut self.stream, self.connection.sender_mut(), cx, queue)
    }

    /// Writes until nothing is queued, and gives the queue's memory back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        outlet::poll_flush(&mut self.stream, self.connection.sender_mut(), cx)
    }

    /// Queues the message that [`Sink::start_send`] could not.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, connection, held, .. } = self;
        outlet::poll_queue(stream, connection.sender_mut(), cx, |sender| send_slot(sender, held))
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
        self.core.poll_held(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let core = &mut self.core;
        core.held = Some(message);
        match send_slot(core.connection.sender_mut(), &mut core.held) {
            Err(error) if error != UsageError::Full => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.core.poll_held(cx))?;
        self.core.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.core.poll_held(cx))?;
        match self.core.connection.close(CloseCode::NORMAL, "") {
            Ok(()) | Err(UsageError::Closed) => self.core.poll_flush(cx),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.core.connection).finish_non_exhaustive()
    }
}
