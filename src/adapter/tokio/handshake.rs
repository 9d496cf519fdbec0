//! The opening handshake over a stream, both roles.

use super::super::answer::Answer;
use super::super::{Error, HandshakeError, Options, TimedOut, nonce};
use super::websocket::WebSocket;
use super::{io, scratch};
use crate::heartbeat::Instant as _;
use crate::http1::head::{RequestHead, Slots};
use crate::inbox::Inbox;
use crate::ws::Connection;
use crate::ws::handshake::{Accepted, Client, ClientOptions, Opened, Refusal, Rejection, ServerOptions, Uri};
use crate::ws::mask::OsKeys;
use bytes::BytesMut;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

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
pub async fn accept<S>(stream: S, server: &ServerOptions, options: &Options) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_with(stream, server, options, |_, _| Ok(())).await
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
pub async fn accept_with<S>(
    mut stream: S,
    server: &ServerOptions,
    options: &Options,
    decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    let mut inbox = Inbox::owning(options.read_size);
    let answer = match within(deadline, read_request(&mut stream, &mut inbox, server, decide)).await {
        Ok(answer) => answer,
        Err(error) => {
            match &error {
                Error::Rejected(rejection) => refuse(&mut stream, rejection, options).await,
                Error::TimedOut(_) => refuse(&mut stream, &Refusal::Timeout.into(), options).await,
                _ => {}
            }
            return Err(error);
        }
    };
    within(deadline, write(&mut stream, &answer.response)).await?;
    let connection = Connection::server(answer.negotiated, options.config);
    let mut socket = WebSocket::with_inbox(stream, connection, inbox, options);
    socket.0.subprotocol = answer.subprotocol;
    Ok(socket)
}

/// Connects to a `ws:` URL over TCP. For `wss:`, hand a TLS stream to [`client`].
///
/// # Errors
///
/// [`Error::InvalidUri`], [`Error::Handshake`] with the response if it was not a 101 (a redirect is
/// not followed), [`Error::TimedOut`] after [`Options::handshake_timeout`], [`Error::Io`].
///
/// ```no_run
/// use pushline::adapter::{Options, tokio::connect};
/// use pushline::ws::handshake::ClientOptions;
///
/// # async fn talk() -> Result<(), pushline::adapter::Error> {
/// let mut socket = connect("ws://127.0.0.1:9001/", ClientOptions::new(), &Options::new()).await?;
/// socket.send("Hello").await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect(
    url: &str,
    client_options: ClientOptions,
    options: &Options,
) -> Result<WebSocket<TcpStream>, Error> {
    let uri = Uri::parse(url)?;
    if uri.is_secure() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "a wss URL needs a TLS stream: hand one to `client`",
        )
        .into());
    }
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    let stream = within(deadline, async { Ok(TcpStream::connect(uri.address()).await?) }).await?;
    stream.set_nodelay(true)?;
    shake_hands(stream, &uri, client_options, options, deadline).await
}

/// Does the client's handshake on a stream that is connected already.
///
/// # Errors
///
/// As [`connect`].
///
/// ```
/// use pushline::adapter::{Error, Options};
/// use pushline::adapter::tokio::{WebSocket, client};
/// use pushline::ws::handshake::{ClientOptions, Uri};
///
/// /// Over TLS: `connect` of rustls or native-tls gets the host for the name in the certificate.
/// async fn connect_tls<S>(url: &str, connect: impl AsyncFnOnce((&str, u16)) -> std::io::Result<S>) -> Result<WebSocket<S>, Error>
/// where
///     S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
/// {
///     let uri = Uri::parse(url)?;
///     let stream = connect(uri.address()).await?;
///     client(stream, &uri, ClientOptions::new(), &Options::new()).await
/// }
/// ```
pub async fn client<S>(
    stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    shake_hands(stream, uri, client_options, options, deadline).await
}

async fn shake_hands<S>(
    mut stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
    deadline: Instant,
) -> Result<WebSocket<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Client::new(client_options, uri, nonce()?);
    let mut inbox = Inbox::owning(options.read_size);
    within(deadline, write(&mut stream, client.request())).await?;
    let opened = within(deadline, read_response(&mut stream, &mut inbox, &mut client)).await?;
    inbox.consume(opened.length);
    let connection = Connection::client(opened.negotiated, options.config, OsKeys);
    let mut socket = WebSocket::with_inbox(stream, connection, inbox, options);
    socket.0.subprotocol = opened.subprotocol;
    Ok(socket)
}

async fn read_response<S: AsyncRead + Unpin>(
    stream: &mut S,
    inbox: &mut Inbox<BytesMut>,
    client: &mut Client,
) -> Result<Opened, Error> {
    loop {
        let error = match client.receive(inbox.unread()) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) if read(stream, inbox).await? > 0 => continue,
            Ok(None) => client.receive_eof(),
            Err(error) => error,
        };
        return Err(HandshakeError::new(error, client, inbox.unread()).into());
    }
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    inbox: &mut Inbox<BytesMut>,
    server: &ServerOptions,
    decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
) -> Result<Answer, Error> {
    let mut reader = server.reader();
    loop {
        let mut slots = Slots::new();
        if let Some(head) = reader.read_request(inbox.unread(), &mut slots).map_err(Rejection::from)? {
            let answer = Answer::new(server, &head, decide)?;
            inbox.consume(answer.length);
            return Ok(answer);
        }
        if read(stream, inbox).await? == 0 {
            return Err(Error::Aborted);
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, inbox: &mut Inbox<BytesMut>) -> Result<usize, Error> {
    poll_fn(|cx| {
        scratch::lend_to_inbox(inbox);
        let read = io::poll_read(stream, inbox, cx);
        if read.is_pending() {
            scratch::take_from_inbox(inbox);
        }
        read.map_err(Error::Io)
    })
    .await
}

/// Answers with a refusal and closes, within the close timeout; the refusal is what is reported.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, rejection: &Rejection, options: &Options) {
    let answer = async {
        stream.write_all(&rejection.to_bytes()).await?;
        poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
        poll_fn(|cx| io::poll_drain(stream, cx)).await;
        Ok::<(), std::io::Error>(())
    };
    let _ = timeout(options.times.close_timeout, answer).await;
}

/// Writes all, and what the stream itself has buffered.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), Error> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout_at(deadline, work).await.unwrap_or(Err(Error::TimedOut(TimedOut::Handshake)))
}
