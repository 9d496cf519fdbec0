//! The opening handshake over a stream, both roles: what [`Opening`] asks for, done by waiting.

use super::super::{Error, Options, nonce, trace};
use super::timed::Timed;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::heartbeat::Instant as _;
use crate::http1::head::RequestHead;
use crate::inbox::Inbox;
use crate::ws::Connection;
use crate::ws::handshake::{
    Accepted, ClientHandshake, ClientOptions, HandshakeResponse, Opening, OpeningStep, Rejection,
    ServerOptions, Uri,
};
use crate::ws::mask::OsKeys;
use std::io;
use std::net::Shutdown;
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
    let mut opening = Opening::server(server, decide)
        .timeouts(options.handshake_timeout.get(), options.times.close_timeout.get());
    let span = trace::handshake("server");
    let _entered = span.enter();
    let (mut stream, mut inbox) = (Timed::new(stream), Inbox::with_read_size(options.own_read_size()));
    let done = take_steps(&mut stream, &mut opening, &mut inbox);
    let mut negotiated = trace::finish(&mut opening, done, options)?.negotiated;
    let subprotocol = negotiated.take_subprotocol();
    let connection = Connection::server(negotiated, options.config);
    Ok(WebSocket::with_inbox(stream, connection, subprotocol, inbox, options))
}

/// Does the client's handshake on a stream that is connected already.
///
/// # Errors
///
/// As [`connect`](super::connect()).
///
/// ```
/// use pushline::adapter::{Error, Options};
/// use pushline::adapter::blocking::{Transport, WebSocket, client};
/// use pushline::ws::handshake::{ClientOptions, Uri};
///
/// /// Over another TLS library: `connect` gets the host for the name in the certificate.
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
    let deadline = Instant::now().saturating_add(options.handshake_timeout.get());
    Ok(shake_hands(stream, uri, client_options, options, deadline)?.0)
}

/// The client's handshake, which is to be done by `deadline`.
pub(super) fn shake_hands<S: Transport>(
    stream: S,
    uri: &Uri,
    client_options: ClientOptions,
    options: &Options,
    deadline: Instant,
) -> Result<(WebSocket<S>, HandshakeResponse), Error> {
    let client = ClientHandshake::new(client_options.authorize(uri), uri, nonce()?);
    let mut opening = Opening::client(client).until(deadline);
    let span = trace::handshake("client");
    let _entered = span.enter();
    let (mut stream, mut inbox) = (Timed::new(stream), Inbox::with_read_size(options.own_read_size()));
    let done = take_steps(&mut stream, &mut opening, &mut inbox);
    let mut opened = trace::finish(&mut opening, done, options)?;
    let subprotocol = opened.negotiated.take_subprotocol();
    let connection = Connection::client(opened.negotiated, options.config, OsKeys);
    let socket = WebSocket::with_inbox(stream, connection, subprotocol, inbox, options);
    Ok((socket, opened.response.unwrap_or_default()))
}

/// Does what the handshake asks for until it is over.
fn take_steps<S: Transport, D>(
    stream: &mut Timed<S>,
    opening: &mut Opening<'_, Instant, D>,
    inbox: &mut Inbox,
) -> io::Result<()>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    loop {
        let now = Instant::now();
        let step = opening.step(inbox, now);
        let deadline = opening.deadline().unwrap_or(now);
        let done = match step {
            OpeningStep::Done => return Ok(()),
            OpeningStep::Read => {
                let wait = deadline.saturating_duration_since(now);
                stream.read(inbox, Some(wait)).map(|n| {
                    if n == Some(0) {
                        opening.receive_eof()
                    }
                })
            }
            // And flushes.
            OpeningStep::Write => stream.write_all(opening.outgoing(), deadline).map(|all| {
                if all {
                    opening.written(opening.outgoing().len());
                }
            }),
            OpeningStep::Flush => {
                opening.flushed();
                Ok(())
            }
            OpeningStep::Shutdown => stream.get_mut().shutdown(Shutdown::Write).map(|()| opening.shut_down()),
        };
        match done {
            Err(error) if !opening.receive_error() => return Err(error),
            _ => {}
        }
    }
}
