//! The opening handshake over a stream, both roles.

use super::super::answer::Answer;
use super::super::{Error, HandshakeError, Options, TimedOut, nonce};
use super::timed::Timed;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::heartbeat::Instant as _;
use crate::http1::head::{RequestHead, Slots};
use crate::inbox::Inbox;
use crate::ws::Connection;
use crate::ws::handshake::{Accepted, Client, ClientOptions, Opened, Refusal, Rejection, ServerOptions, Uri};
use crate::ws::mask::OsKeys;
use bytes::BytesMut;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

/// Accepts a WebSocket on a stream on which nothing was read yet.
///
/// A request that cannot be accepted is answered with its status and the stream is closed.
///
/// # Errors
///
/// [`Error::Rejected`] with what was answered, [`Error::TimedOut`] after [`Options::handshake_timeout`] (answered with
/// 408), [`Error::Aborted`] if the stream ended within the request, [`Error::Io`].
///
/// ```no_run
/// use pushline::adapter::{Options, blocking::accept};
/// use pushline::ws::handshake::ServerOptions;
///
/// # fn serve() -> Result<(), pushline::adapter::Error> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// let (stream, _) = listener.accept()?;
/// let mut socket = accept(stream, &ServerOptions::new(), &Options::new())?;
/// while let Some(message) = socket.next()? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub fn accept<S: Transport>(
    stream: S,
    server: &ServerOptions,
    options: &Options,
) -> Result<WebSocket<S>, Error> {
    accept_with(stream, server, options, |_, _| Ok(()))
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
/// use pushline::adapter::blocking::{Transport, WebSocket, accept_with};
/// use pushline::ws::handshake::{Rejection, ServerOptions};
///
/// /// One path, and only for those who are logged in.
/// fn accept_chat<S>(stream: S, server: &ServerOptions) -> Result<WebSocket<S>, Error>
/// where
///     S: Transport,
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
/// }
/// ```
pub fn accept_with<S: Transport>(
    stream: S,
    server: &ServerOptions,
    options: &Options,
    decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
) -> Result<WebSocket<S>, Error> {
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    let mut stream = Timed::new(stream);
    let mut inbox = Inbox::owning(options.read_size);
    let answer = match read_request(&mut stream, &mut inbox, server, deadline, decide) {
        Ok(answer) => answer,
        Err(error) => {
            match &error {
                Error::Rejected(rejection) => refuse(&mut stream, rejection, options),
                Error::TimedOut(_) => refuse(&mut stream, &Refusal::Timeout.into(), options),
                _ => {}
            }
            return Err(error);
        }
    };
    write(&mut stream, &answer.response, deadline)?;
    let connection = Connection::server(answer.negotiated, options.config);
    let mut socket = WebSocket::with_inbox(stream, connection, inbox, options);
    socket.subprotocol = answer.subprotocol;
    Ok(socket)
}

/// Connects to a `ws:` URL over TCP. For `wss:`, hand a TLS stream to [`client`].
///
/// The addresses of the host are tried one after the other. The timeout does not hold for looking them up, which the
/// operating system does in its own time.
///
/// # Errors
///
/// [`Error::InvalidUri`], [`Error::Handshake`] with the response if it was not a 101 (a redirect is not followed),
/// [`Error::TimedOut`] after [`Options::handshake_timeout`], [`Error::Io`].
///
/// ```no_run
/// use pushline::adapter::{Options, blocking::connect};
/// use pushline::ws::handshake::ClientOptions;
///
/// # fn talk() -> Result<(), pushline::adapter::Error> {
/// let mut socket = connect("ws://127.0.0.1:9001/", ClientOptions::new(), &Options::new())?;
/// socket.send("Hello")?;
/// println!("{:?}", socket.next()?);
/// socket.close(1000, "")?;
/// # Ok(())
/// # }
/// ```
pub fn connect(
    url: &str,
    client_options: ClientOptions,
    options: &Options,
) -> Result<WebSocket<TcpStream>, Error> {
    let uri = Uri::parse(url)?;
    if uri.is_secure() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a wss URL needs a TLS stream: hand one to `client`",
        )
        .into());
    }
    let addresses = uri.address().to_socket_addrs()?;
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    let mut last = Error::Io(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut(TimedOut::Handshake));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return shake_hands(Timed::new(stream), &uri, client_options, options, deadline);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                last = Error::TimedOut(TimedOut::Handshake);
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// Does the client's handshake on a stream that is connected already.
///
/// # Errors
///
/// As [`connect`].
///
/// ```
/// use pushline::adapter::{Error, Options};
/// use pushline::adapter::blocking::{Transport, WebSocket, client};
/// use pushline::ws::handshake::{ClientOptions, Uri};
///
/// /// Over TLS: `connect` of rustls or native-tls gets the host for the name in the certificate.
/// fn connect_tls<S>(url: &str, connect: impl FnOnce((&str, u16)) -> std::io::Result<S>) -> Result<WebSocket<S>, Error>
/// where
///     S: Transport,
/// {
///     let uri = Uri::parse(url)?;
///     let stream = connect(uri.address())?;
///     client(stream, &uri, ClientOptions::new(), &Options::new())
/// }
/// ```
pub fn client<S: Transport>(
    stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
) -> Result<WebSocket<S>, Error> {
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    shake_hands(Timed::new(stream), uri, client_options, options, deadline)
}

fn shake_hands<S: Transport>(
    mut stream: Timed<S>,
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
    deadline: Instant,
) -> Result<WebSocket<S>, Error> {
    let mut client = Client::new(client_options, uri, nonce()?);
    let mut inbox = Inbox::owning(options.read_size);
    write(&mut stream, client.request(), deadline)?;
    let opened = read_response(&mut stream, &mut inbox, &mut client, deadline)?;
    inbox.consume(opened.length);
    let connection = Connection::client(opened.negotiated, options.config, OsKeys);
    let mut socket = WebSocket::with_inbox(stream, connection, inbox, options);
    socket.subprotocol = opened.subprotocol;
    Ok(socket)
}

fn read_response<S: Transport>(
    stream: &mut Timed<S>,
    inbox: &mut Inbox<BytesMut>,
    client: &mut Client,
    deadline: Instant,
) -> Result<Opened, Error> {
    loop {
        let error = match client.receive(inbox.unread()) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) if read(stream, inbox, deadline)? > 0 => continue,
            Ok(None) => client.receive_eof(),
            Err(error) => error,
        };
        return Err(HandshakeError::new(error, client, inbox.unread()).into());
    }
}

fn read_request<S: Transport>(
    stream: &mut Timed<S>,
    inbox: &mut Inbox<BytesMut>,
    server: &ServerOptions,
    deadline: Instant,
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
        if read(stream, inbox, deadline)? == 0 {
            return Err(Error::Aborted);
        }
    }
}

/// Answers with a refusal and closes, within the close timeout; the refusal is what is reported.
fn refuse<S: Transport>(stream: &mut Timed<S>, rejection: &Rejection, options: &Options) {
    let deadline = Instant::now().saturating_add(options.times.close_timeout);
    if let Ok(true) = stream.write_all(&rejection.to_bytes(), deadline) {
        let _ = stream.finish(deadline);
    }
}

/// Reads once; 0 at the end of the stream.
fn read<S: Transport>(
    stream: &mut Timed<S>,
    inbox: &mut Inbox<BytesMut>,
    deadline: Instant,
) -> Result<usize, Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut(TimedOut::Handshake));
        }
        if let Some(n) = stream.read(inbox, Some(left))? {
            return Ok(n);
        }
    }
}

fn write<S: Transport>(stream: &mut Timed<S>, bytes: &[u8], deadline: Instant) -> Result<(), Error> {
    if stream.write_all(bytes, deadline)? { Ok(()) } else { Err(Error::TimedOut(TimedOut::Handshake)) }
}
