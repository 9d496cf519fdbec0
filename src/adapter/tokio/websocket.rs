//! A WebSocket over one stream.

use super::super::{ConnectionStats, Error, Options, end};
use super::given::Given;
use super::inlet::{Ends, Inlet};
use super::io::{self, Reads};
use super::outlet::{Boxed, CORKED, FED, NOW, Outlet};
use super::scratch::Lent;
use super::wait::Who;
use crate::ws::mask::OsKeys;
use crate::ws::{CloseCode, Connection, End, Event, Message, Negotiated, Outbound, Side, State, Step};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use futures_sink::Sink;
use std::boxed::Box;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// A WebSocket over any `AsyncRead + AsyncWrite`, after its opening handshake.
///
/// [`next`](Self::next) receives, and whatever it waits for, it does all that is due: it answers pings and closes,
/// keeps the heartbeat and the deadlines, and writes what was queued. Every other method that waits does so, too: a
/// [`send`](Self::send) to a peer that takes nothing goes on reading, up to one message of
/// [`ConnectionOptions::max_message`](crate::ws::ConnectionOptions::max_message) bytes (64 KiB in parts), and ends after
/// [`Options::write_timeout`]. Only while no method is being awaited nothing happens.
///
/// *Every future is cancel-safe*: dropped at any await, it has received nothing and sent nothing. A `send` that has
/// ended has handed its message over whole; what the transport did not take at once is written by whatever is called
/// next, or by [`flush`](Self::flush).
///
/// *One write per read*: what is sent while messages of one read are still at hand is queued, and leaves in one write
/// with all the rest before the next read. Otherwise a send writes at once.
///
/// It is one pointer; what is behind it takes no buffer while the connection is idle.
///
/// ```
/// use pushline::adapter::tokio::WebSocket;
/// use pushline::adapter::{Error, Options};
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
///
/// async fn echo<S>(stream: S) -> Result<(), Error>
/// where
///     S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
/// {
///     let options = Options::new();
///     let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
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
/// #     let client_end = Connection::client(Negotiated::default(), ConnectionOptions::new(), keys);
/// #     let mut socket = WebSocket::new(client, client_end, &[], &Options::new());
/// #     socket.send("Hello").await.unwrap();
/// #     assert_eq!(socket.next().await.unwrap().unwrap(), "Hello".into());
/// #     socket.close(1000, "").await.unwrap();
/// #     server.await.unwrap().unwrap();
/// # });
/// ```
pub struct WebSocket<S>(pub(super) Box<Whole<S>>);

/// Both sides over one stream.
#[derive(Debug)]
pub(super) struct Whole<S> {
    pub(super) inlet: Inlet,
    pub(super) outlet: Outlet<S>,
    /// What the opening handshake selected: boxed twice, because most connections have none.
    pub(super) subprotocol: Option<Box<Box<str>>>,
}

impl<S> WebSocket<S> {
    /// A server's WebSocket over a stream that an HTTP server has upgraded: `negotiated` is what
    /// [`Accepted::negotiated`](crate::ws::handshake::Accepted::negotiated) gave.
    pub fn server(stream: S, mut negotiated: Negotiated, options: &Options) -> Self {
        let subprotocol = negotiated.take_subprotocol();
        let connection = Connection::server(negotiated, options.config);
        let inbox = Lent::new(options.shared_read_size());
        Self::with_inbox(stream, connection, subprotocol, inbox, Instant::now(), options)
    }

    /// A client's WebSocket over a stream that an HTTP client has upgraded: `negotiated` is what
    /// [`verify`](crate::ws::handshake::verify) gave.
    pub fn client(stream: S, mut negotiated: Negotiated, options: &Options) -> Self {
        let subprotocol = negotiated.take_subprotocol();
        let connection = Connection::client(negotiated, options.config, OsKeys);
        let inbox = Lent::new(options.shared_read_size());
        Self::with_inbox(stream, connection, subprotocol, inbox, Instant::now(), options)
    }

    /// A WebSocket over `stream`, on which the opening handshake was done. `received` are the bytes that were read
    /// behind the handshake.
    ///
    /// The connection keeps the [`ConnectionOptions`](crate::ws::ConnectionOptions) that it was made with: of the options, only the times
    /// and the read size count.
    pub fn new(stream: S, connection: Connection, received: &[u8], options: &Options) -> Self {
        let mut inbox = Lent::new(options.shared_read_size());
        if !received.is_empty() {
            let taken = inbox.get().extend(received);
            debug_assert_eq!(taken, received.len(), "this storage grows");
        }
        Self::with_inbox(stream, connection, None, inbox, Instant::now(), options)
    }

    pub(super) fn with_inbox(
        stream: S,
        connection: Connection,
        subprotocol: Option<Box<str>>,
        inbox: Lent,
        now: Instant,
        options: &Options,
    ) -> Self {
        // First what may fail, then what would have to be dropped in that case: so it is made in its place, and not moved.
        let place = Box::new_uninit();
        let subprotocol = subprotocol.map(Box::new);
        let received = inbox.held().map_or(0, |inbox| inbox.unread().len());
        let (receiver, sender) = connection.split();
        let inlet = Inlet::new(receiver, inbox);
        let outlet = Outlet::new(stream, sender, received, now, options);
        Self(Box::write(place, Whole { inlet, outlet, subprotocol }))
    }

    /// The transport.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.0.outlet.stream
    }

    /// The transport. What is read or written past the WebSocket is lost to it, or breaks it.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.0.outlet.stream
    }

    /// The transport back. What was received and not yet delivered, and what was sent and not yet
    /// [flushed](Self::flush), is lost.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.0.outlet.stream
    }

    /// The subprotocol that the server selected.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.subprotocol.as_deref().map(|name| &**name)
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.0.outlet.state()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.0.outlet.life.end()
    }

    /// What the connection has carried.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.0.outlet.tally.with(self.0.inlet.received())
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.outlet.sender.queued()
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
    /// [`Error::Io`]. What was received before is delivered before. After an error comes `None`.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// As [`next`](Self::next), lent from the receive buffer: without an allocation, and in parts
    /// with [`ConnectionOptions::parts`](crate::ws::ConnectionOptions::parts).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_event(&mut self) -> Option<Result<Event<'_>, Error>> {
        let Whole { inlet, outlet, .. } = &mut *self.0;
        inlet.next_event(outlet).await
    }

    /// Sends a message: borrowed text or bytes, a [`Message`], a [`Prepared`](crate::ws::Prepared) one.
    ///
    /// Waits until what was sent before has been written, then takes the message and writes what the transport takes at
    /// once. While messages of one read are still at hand it only queues: whoever waits for something else before it
    /// asks for the [`next`](Self::next) calls [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what cannot be sent, [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`]. After
    /// either of these every further send fails as well.
    pub fn send<'a>(&mut self, message: impl Into<Outbound<'a>>) -> impl Future<Output = Result<(), Error>> {
        let mut message = Given::New(message);
        poll_fn(move |cx| message.poll(|message| self.0.poll_send(message, true, cx)).map_err(|error| *error))
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
            message.poll(|message| self.0.poll_send(message, false, cx)).map_err(|error| *error)
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
        poll_fn(move |cx| message.poll(|message| self.0.poll_feed(message, cx)).map_err(|error| *error))
    }

    /// Sends a ping of at most 125 bytes, ahead of all messages that have not begun. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| {
            let linger = if self.0.inlet.is_corked() { CORKED } else { NOW };
            Poll::Ready(self.0.outlet.ping(payload, linger, Who::Writer, cx))
        })
        .await
        .map_err(|error| *error)
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer takes nothing, [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.0.outlet.pay();
        poll_fn(|cx| self.0.poll_until(Outlet::is_flushed, cx)).await
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
        self.0.outlet.pay();
        end::close(&mut self.0.outlet.sender, code, reason)?;
        poll_fn(|cx| {
            let Whole { inlet, outlet, .. } = &mut *self.0;
            ready!(inlet.poll_end(outlet, cx))?;
            Poll::Ready(outlet.broken().map_or(Ok(()), Err))
        })
        .await
    }

    /// As [`send`](Self::send), without writing: it does not wait as long as what was sent before leaves at once.
    #[cfg(all(feature = "socketio", feature = "hyper"))]
    pub(crate) fn poll_cork(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        self.0.poll_feed(message, cx).map_err(|error| *error)
    }

    /// Whether more messages of the same read are at hand.
    #[cfg(all(feature = "socketio", feature = "hyper"))]
    pub(crate) fn is_corked(&self) -> bool {
        self.0.inlet.is_corked()
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let Whole { inlet, outlet, .. } = &mut *self.0;
        inlet.poll_message(outlet, cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Whole<S> {
    /// Sends the message as soon as all before it has left, or with the other answers to one read.
    #[inline]
    pub(super) fn poll_send(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        compress: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Boxed>> {
        let linger = if self.inlet.is_corked() { CORKED } else { NOW };
        let Some(next) = &*message else { return Poll::Ready(Ok(())) };
        ready!(self.poll_until(|outlet| outlet.is_ready(next, linger), cx))?;
        Poll::Ready(self.outlet.send(message, compress, linger, Who::Writer, cx))
    }

    /// Queues the message as soon as there is room.
    #[inline]
    pub(super) fn poll_feed(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Boxed>> {
        let Some(next) = &*message else { return Poll::Ready(Ok(())) };
        ready!(self.poll_until(|outlet| outlet.is_ready(next, FED), cx))?;
        Poll::Ready(self.outlet.send(message, true, FED, Who::Writer, cx))
    }

    /// Writes, and reads ahead, until the writing side is as it should be.
    #[inline]
    fn poll_until(
        &mut self,
        is_ready: impl Fn(&Outlet<S>) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if is_ready(&self.outlet) { Poll::Ready(Ok(())) } else { self.poll_wait(is_ready, cx) }
    }

    fn poll_wait(
        &mut self,
        is_ready: impl Fn(&Outlet<S>) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let Self { inlet, outlet, .. } = self;
        outlet.life.ready();
        for _ in 0..Reads::MOST {
            // Whoever does not read does not judge whether a pong is late.
            let side = if inlet.has_room_ahead() { Side::Reading } else { Side::Writing };
            let step = outlet.run(side, Who::Writer, cx);
            if let Some(error) = outlet.broken() {
                return Poll::Ready(Err(error));
            }
            if is_ready(outlet) {
                outlet.wakers.forget(Who::Writer);
                return Poll::Ready(Ok(()));
            }
            match step {
                Step::Read => inlet.poll_read_ahead(outlet, cx),
                Step::Drain => {
                    let read = Ends::read(outlet, cx, io::poll_drop);
                    outlet.read(read);
                }
                Step::Wait(deadline) => {
                    outlet.tally.publish();
                    ready!(outlet.wakers.poll_timer(inlet.timer(), deadline, Who::Writer, cx));
                    outlet.life.tick(side, Instant::now());
                }
                Step::Over(end) => return Poll::Ready(outlet.error(end).map_or(Ok(()), Err)),
                // `run` does the others.
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The messages as [`next`](WebSocket::next) gives them.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

/// Messages to send: ready while the queue is not full, one message over its bound. A close message that comes too late
/// is no error: the peer's close was answered already. Closing the sink sends a close frame with code 1000 and writes
/// it; the stream then ends when the peer has answered.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_until(Outlet::is_below_limit, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.outlet.start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.outlet.pay();
        self.0.poll_until(Outlet::is_flushed, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.outlet.pay();
        end::close(&mut self.0.outlet.sender, CloseCode::NORMAL, "")?;
        self.0.poll_until(Outlet::is_flushed, cx)
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("sender", &self.0.outlet.sender).finish_non_exhaustive()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use crate::adapter::tokio::{QueuedSocket, Reader, Writer};
    use tokio::net::TcpStream;
    use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

    /// What an idle connection takes beside its stream. That of tokio has 32 bytes: then it is what glibc serves with a chunk
    /// of 496.
    #[test]
    fn what_is_behind_the_pointer_is_small() {
        let deflate = if cfg!(feature = "deflate") { 8 } else { 0 };
        let stream = size_of::<TcpStream>();
        for (what, size, at_most) in [
            ("WebSocket", size_of::<Whole<TcpStream>>(), stream + 456 + 2 * deflate),
            ("Outlet", size_of::<Outlet<OwnedWriteHalf>>(), 352 + deflate),
            ("Reader", size_of::<Reader<OwnedReadHalf, OwnedWriteHalf>>(), 128 + deflate),
            ("Writer", size_of::<Writer<OwnedWriteHalf>>(), 16),
            ("QueuedSocket", size_of::<QueuedSocket<TcpStream>>(), 176 + 2 * deflate),
        ] {
            assert!(size <= at_most, "{what}: {size}");
        }
    }
}
