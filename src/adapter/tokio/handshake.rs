//! The opening handshake over a stream, both roles: what [`Opening`] asks for, done with tokio.

use super::super::{Error, Options, nonce, trace};
use super::io;
use super::scratch::Lent;
use super::websocket::WebSocket;
use crate::http1::head::RequestHead;
use crate::ws::Connection;
use crate::ws::handshake::{
    Accepted, ClientHandshake, ClientOptions, Decide, Established, HandshakeResponse, Opening, OpeningStep,
    Rejection, ServerOptions, Uri,
};
use crate::ws::mask::OsKeys;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem::{replace, take};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;
use std::io::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

/// Accepts a WebSocket on a stream on which nothing was read yet.
///
/// A request that cannot be accepted is answered with its status and the stream is closed.
///
/// # Errors
///
/// [`Error::Rejected`] with what was answered, [`Error::TimedOut`] after
/// [`Options::handshake_timeout`] (answered with 408), [`Error::Aborted`] if the stream ended within
/// the request, [`Error::Io`].
///
/// ```no_run
/// use pushline::adapter::{Options, tokio::accept};
/// use pushline::ws::handshake::ServerOptions;
///
/// # async fn serve() -> Result<(), pushline::adapter::Error> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// let (stream, _) = listener.accept().await?;
/// let mut socket = accept(stream, &ServerOptions::new(), &Options::new()).await?;
/// while let Some(message) = socket.next().await {
///     println!("{:?}", message?);
/// }
/// # Ok(())
/// # }
/// ```
pub fn accept<'a, S>(
    stream: S,
    server: &'a ServerOptions,
    options: &'a Options,
) -> impl Future<Output = Result<WebSocket<S>, Error>> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let decide: Decide = |_, _| Ok(());
    accept_with(stream, server, options, decide)
}

/// As [`accept`], but `decide` has the last word: it is shown the request and the answer. It may select another
/// subprotocol, add fields, or refuse, for example with 404 for a path that is not there.
///
/// # Errors
///
/// As [`accept`].
///
/// ```
/// use pushline::adapter::{Error, Options};
/// use pushline::adapter::tokio::{WebSocket, accept_with};
/// use pushline::ws::handshake::{Rejection, ServerOptions};
///
/// /// One path, and only for those who are logged in.
/// async fn accept_chat<S>(stream: S, server: &ServerOptions) -> Result<WebSocket<S>, Error>
/// where
///     S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
/// {
///     accept_with(stream, server, &Options::new(), |request, accepted| {
///         if request.path() != "/chat" {
///             return Err(Rejection::new(404));
///         }
///         if request.field("cookie").is_none() {
///             return Err(Rejection::new(403));
///         }
///         accepted.add_field("X-Server", "chat-3").map_err(|_| Rejection::new(500))
///     })
///     .await
/// }
/// ```
pub fn accept_with<'a, S, D>(
    stream: S,
    server: &'a ServerOptions,
    options: &'a Options,
    decide: D,
) -> impl Future<Output = Result<WebSocket<S>, Error>> + use<'a, S, D>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    server_side(stream, || Opening::server(server, decide), options)
}

fn server_side<'a, S, D>(
    stream: S,
    opening: impl FnOnce() -> Opening<'a, Instant, D>,
    options: &'a Options,
) -> Box<Shake<'a, S, D, WebSocket<S>>>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    let timeouts = (options.handshake_timeout.get(), options.times.close_timeout.get());
    let opening = || Ok(opening().timeouts(timeouts.0, timeouts.1));
    Shake::new(stream, opening, options, "server", |stream, opened, inbox, now, options| {
        let subprotocol = opened.negotiated.take_subprotocol();
        let connection = Connection::server(take(&mut opened.negotiated), options.config);
        WebSocket::with_inbox(stream, connection, subprotocol, inbox, now, options)
    })
}

/// Receives a request for a WebSocket, for a decision that takes time: a [`PendingSocket`] shows it, and is then accepted
/// or refused. A request that breaks the rules is answered with its status, and the stream is closed.
///
/// # Errors
///
/// As [`accept`].
///
/// ```
/// use pushline::adapter::tokio::{WebSocket, receive};
/// use pushline::adapter::{Error, Options};
/// use pushline::ws::handshake::{Rejection, ServerOptions};
/// use tokio::net::TcpStream;
///
/// async fn accept_members(
///     stream: TcpStream,
///     is_member: impl AsyncFnOnce(&[u8]) -> bool,
/// ) -> Result<WebSocket<TcpStream>, Error> {
///     let (server, options) = (ServerOptions::new(), Options::new());
///     let pending = receive(stream, &server, &options).await?;
///     let token = pending.request(|request, _| request.field("authorization").map(<[u8]>::to_vec));
///     match token {
///         Some(token) if is_member(&token).await => pending.accept().await,
///         Some(_) => pending.refuse(Rejection::new(403)).await,
///         None => pending.refuse(Rejection::new(401)).await,
///     }
/// }
/// ```
pub fn receive<'a, S>(
    stream: S,
    server: &'a ServerOptions,
    options: &'a Options,
) -> impl Future<Output = Result<PendingSocket<'a, S>, Error>> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let decide: Decide = |_, _| Ok(());
    let mut shake = server_side(stream, || Opening::server(server, decide).held(), options);
    async move {
        let done = poll_fn(|cx| shake.poll_steps(cx)).await;
        if done.is_ok() && shake.opening.as_ref().is_ok_and(Opening::is_held) {
            // A decision may take long: the thread's memory goes on to others.
            shake.inbox.give_back();
            return Ok(PendingSocket { shake });
        }
        // Refused, or failed.
        shake.finish(done)?;
        Err(Error::Aborted)
    }
}

/// A request for a WebSocket that the rules accept and the application has yet to decide on: see [`receive`].
///
/// Dropped, it closes the stream without an answer. How long the decision may take is the caller's to say.
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::{PendingSocket, WebSocket};
/// use pushline::ws::handshake::Rejection;
/// use tokio::net::TcpStream;
///
/// async fn decide(pending: PendingSocket<'_, TcpStream>) -> Result<WebSocket<TcpStream>, Error> {
///     if pending.request(|head, _| head.field("authorization") == Some(b"Bearer 123")) {
///         pending.accept().await
///     } else {
///         pending.refuse(Rejection::new(401)).await
///     }
/// }
/// ```
#[must_use = "the client waits for an answer"]
pub struct PendingSocket<'a, S> {
    shake: Box<Shake<'a, S, Decide, WebSocket<S>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PendingSocket<'_, S> {
    /// Shows the request and the answer as it stands.
    pub fn request<T>(&self, look: impl FnOnce(&RequestHead<'_, '_>, &Accepted<'_>) -> T) -> T
    where
        T: Default,
    {
        let opening = self.shake.opening.as_ref().ok();
        let seen =
            opening.zip(self.shake.inbox.held()).and_then(|(opening, inbox)| opening.request(inbox, look));
        // It is held: there is a request.
        seen.unwrap_or_default()
    }

    /// Accepts it.
    ///
    /// # Errors
    ///
    /// As [`accept`].
    pub async fn accept(self) -> Result<WebSocket<S>, Error> {
        self.accept_with(|_, _| Ok(())).await
    }

    /// As [`accept`](Self::accept), with a say in the response: another subprotocol, a cookie, or a refusal after all.
    ///
    /// # Errors
    ///
    /// As [`accept`](accept()).
    pub async fn accept_with(
        mut self,
        decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
    ) -> Result<WebSocket<S>, Error> {
        let Shake { opening, inbox, .. } = &mut *self.shake;
        if let Ok(opening) = opening {
            opening.decide(inbox.get(), Instant::now(), decide);
        }
        self.shake.await
    }

    /// Refuses it, and closes the stream.
    ///
    /// # Errors
    ///
    /// Always: [`Error::Rejected`] once the refusal is written, or what came in between.
    pub async fn refuse<T>(self, rejection: Rejection) -> Result<T, Error> {
        self.accept_with(|_, _| Err(rejection)).await?;
        Err(Error::Aborted)
    }
}

impl<S> fmt::Debug for PendingSocket<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSocket").finish_non_exhaustive()
    }
}

/// Does the client's handshake on a stream that is connected already.
///
/// # Errors
///
/// As [`connect`](super::connect()).
///
/// ```
/// use pushline::adapter::{Error, Options};
/// use pushline::adapter::tokio::{WebSocket, client};
/// use pushline::ws::handshake::{ClientOptions, Uri};
///
/// /// Over another TLS library: `connect` gets the host for the name in the certificate.
/// async fn connect_tls<S>(url: &str, connect: impl AsyncFnOnce((&str, u16)) -> std::io::Result<S>) -> Result<WebSocket<S>, Error>
/// where
///     S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
/// {
///     let uri = Uri::parse(url)?;
///     let stream = connect(uri.address()).await?;
///     client(stream, &uri, ClientOptions::new(), &Options::new()).await
/// }
/// ```
pub fn client<'a, S>(
    stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &'a Options,
) -> impl Future<Output = Result<WebSocket<S>, Error>> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening = opening(uri, client_options, options);
    Shake::new(
        stream,
        || opening,
        options,
        "client",
        |stream, opened, inbox, now, options| client_side(stream, opened, inbox, now, options).0,
    )
}

/// The client's handshake, which is to be done by `deadline`.
pub(super) fn shake_hands<'a, S>(
    stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &'a Options,
    deadline: Instant,
) -> impl Future<Output = Result<(WebSocket<S>, HandshakeResponse), Error>> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening = opening(uri, client_options, options).map(|opening| opening.until(deadline));
    Shake::new(stream, || opening, options, "client", client_side)
}

fn opening(
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
) -> std::io::Result<Opening<'static, Instant>> {
    let client = ClientHandshake::new(client_options.authorize(uri), uri, nonce()?);
    Ok(Opening::client(client).timeouts(options.handshake_timeout.get(), options.times.close_timeout.get()))
}

fn client_side<S>(
    stream: S,
    opened: &mut Established,
    inbox: Lent,
    now: Instant,
    options: &Options,
) -> (WebSocket<S>, HandshakeResponse) {
    let subprotocol = opened.negotiated.take_subprotocol();
    let connection = Connection::client(take(&mut opened.negotiated), options.config, OsKeys);
    (
        WebSocket::with_inbox(stream, connection, subprotocol, inbox, now, options),
        opened.response.take().unwrap_or_default(),
    )
}

/// What becomes of a handshake that succeeded.
type Make<S, T> = fn(S, &mut Established, Lent, Instant, &Options) -> T;

/// The handshake on its way. In a box, which goes when it is over: a task's future keeps the room of what it once awaited
/// for as long as it lives, and that is the connection's life.
struct Shake<'a, S, D, T> {
    stream: Option<S>,
    opening: std::io::Result<Opening<'a, Instant, D>>,
    inbox: Lent,
    /// Made when there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
    /// What time it is, once that was asked in this poll.
    now: Option<Instant>,
    options: &'a Options,
    make: Make<S, T>,
    span: trace::Span,
}

/// Nothing in it is pinned where it lies.
impl<S, D, T> Unpin for Shake<'_, S, D, T> {}

impl<'a, S, D, T> Shake<'a, S, D, T> {
    fn new(
        stream: S,
        opening: impl FnOnce() -> std::io::Result<Opening<'a, Instant, D>>,
        options: &'a Options,
        role: &'static str,
        make: Make<S, T>,
    ) -> Box<Self> {
        // First what may fail, then what would have to be dropped in that case: so it is made in its place, and not moved.
        let place = Box::new_uninit();
        let inbox = Lent::new(options.shared_read_size());
        let span = trace::handshake(role);
        Box::write(
            place,
            Self {
                stream: Some(stream),
                opening: opening(),
                inbox,
                timer: None,
                now: None,
                options,
                make,
                span,
            },
        )
    }
}

impl<S, D, T> Future for Shake<'_, S, D, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let done = ready!(this.poll_steps(cx));
        Poll::Ready(this.finish(done))
    }
}

impl<S, D, T> Shake<'_, S, D, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let Self { stream, opening, inbox, timer, now, span, .. } = self;
        let _entered = span.enter();
        *now = None;
        match (stream, opening) {
            (Some(stream), Ok(opening)) => poll_steps(stream, opening, inbox, timer, now, cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn finish(&mut self, done: std::io::Result<()>) -> Result<T, Error> {
        let _entered = self.span.enter();
        let opening = match &mut self.opening {
            Ok(opening) => opening,
            Err(error) => return Err(replace(error, ErrorKind::NotConnected.into()).into()),
        };
        let mut established = trace::finish(opening, done, self.options);
        let established = match &mut established {
            Ok(established) => established,
            Err(error) => return Err(replace(error, Error::Aborted)),
        };
        let Some(stream) = self.stream.take() else { return Err(Error::Aborted) };
        let mut inbox = replace(&mut self.inbox, Lent::new(0));
        // Frames rarely come with the handshake: the thread's memory goes on to the next connection.
        inbox.give_back();
        let now = self.now.unwrap_or_else(Instant::now);
        Ok((self.make)(stream, established, inbox, now, self.options))
    }
}

/// Does what the handshake asks for until it is over.
fn poll_steps<S, D>(
    stream: &mut S,
    opening: &mut Opening<'_, Instant, D>,
    inbox: &mut Lent,
    timer: &mut Option<Pin<Box<Sleep>>>,
    now: &mut Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<()>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    // Writing what is at hand takes no time, nor does one read; a peer that goes on sending does.
    let mut reads = 0;
    loop {
        let mut pinned = Pin::new(&mut *stream);
        let done = match opening.step(inbox.get(), *now.get_or_insert_with(Instant::now)) {
            OpeningStep::Done => return Poll::Ready(Ok(())),
            OpeningStep::Read => {
                if reads > 0 {
                    *now = None;
                }
                reads += 1;
                poll_read(stream, inbox, cx).map_ok(|n| {
                    if n == 0 {
                        opening.receive_eof()
                    }
                })
            }
            OpeningStep::Write => pinned.poll_write(cx, opening.outgoing()).map(|written| match written? {
                0 => Err(ErrorKind::WriteZero.into()),
                n => {
                    opening.written(n);
                    Ok(())
                }
            }),
            OpeningStep::Flush => pinned.as_mut().poll_flush(cx).map_ok(|()| opening.flushed()),
            OpeningStep::Shutdown => pinned.as_mut().poll_shutdown(cx).map_ok(|()| opening.shut_down()),
        };
        match done {
            Poll::Ready(Err(error)) if !opening.receive_error() => return Poll::Ready(Err(error)),
            Poll::Ready(_) => {}
            Poll::Pending => {
                let Some(deadline) = opening.deadline() else { return Poll::Pending };
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(cx));
                *now = None;
            }
        }
    }
}

/// Reads once, into the thread's memory; 0 at the end of the stream.
fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    inbox: &mut Lent,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    match io::poll_read(stream, inbox.get(), cx) {
        Poll::Pending => {
            inbox.give_back();
            Poll::Pending
        }
        // TLS that ends without saying so.
        Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
        read => read,
    }
}
