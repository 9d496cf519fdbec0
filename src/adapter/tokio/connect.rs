//! Connecting: a stream to where the URL leads, then the handshake.

use super::super::connect::handshake_failed_at;
use super::super::{Error, Options, TimedOut};
use super::ClientStream;
use super::dial::dial;
use super::handshake::shake_hands;
use super::websocket::WebSocket;
use crate::heartbeat::Instant as _;
use crate::ws::handshake::{ClientOptions, HandshakeResponse, Uri};
use core::future::Future;
use std::boxed::Box;
use tokio::time::{Instant, timeout_at};

/// Connects to a `ws:` URL over TCP, or to a `wss:` URL over TLS (feature `rustls`; see
#[cfg_attr(feature = "rustls", doc = "[`Options::tls`]).")]
#[cfg_attr(not(feature = "rustls"), doc = "`Options::tls`).")]
/// With another TLS library, hand its stream to [`client`](super::client).
///
/// All addresses of the host are tried: a new one each 250 ms, or as soon as one has failed, IPv6 and IPv4 in turn (RFC
/// 8305); the first to answer wins. User information in the URL is sent as basic credentials (RFC 7617).
///
/// # Errors
///
/// [`Error::InvalidUri`], [`Error::Handshake`] with the response if it was not a 101 (a redirect is
/// not followed), [`Error::TimedOut`] after [`Options::handshake_timeout`], which is for all of it, [`Error::Tls`],
/// [`Error::Io`]. The text of the last two says which host and port were tried.
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
pub fn connect<'a>(
    url: &'a str,
    client_options: ClientOptions,
    options: &'a Options,
) -> impl Future<Output = Result<WebSocket<ClientStream>, Error>> + use<'a> {
    // On the heap until it is connected: what is awaited in a task stays in its future for as long as the task lives.
    Box::pin(async move { Ok(open(url, client_options, options).await?.0) })
}

/// As [`connect`], with the server's 101: its fields may be cookies, or say which server it was.
///
/// # Errors
///
/// As [`connect`].
///
/// ```no_run
/// use pushline::adapter::{Options, tokio::connect_with_response};
/// use pushline::ws::handshake::ClientOptions;
///
/// # async fn talk() -> Result<(), pushline::adapter::Error> {
/// let url = "ws://127.0.0.1:9001/";
/// let (socket, response) = connect_with_response(url, ClientOptions::new(), &Options::new()).await?;
/// for (name, value) in response.fields.iter() {
///     println!("{name}: {}", value.escape_ascii());
/// }
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
pub fn connect_with_response<'a>(
    url: &'a str,
    client_options: ClientOptions,
    options: &'a Options,
) -> impl Future<Output = Result<(WebSocket<ClientStream>, HandshakeResponse), Error>> + use<'a> {
    Box::pin(open(url, client_options, options))
}

async fn open(
    url: &str,
    client_options: ClientOptions,
    options: &Options,
) -> Result<(WebSocket<ClientStream>, HandshakeResponse), Error> {
    let uri = Uri::parse(url)?;
    let deadline = Instant::now().saturating_add(options.handshake_timeout.get());
    let dialing = dial(&options.route, uri.is_secure(), uri.address());
    let stream = timeout_at(deadline, dialing).await.map_err(|_| Error::TimedOut(TimedOut::Handshake))??;
    shake_hands(stream, &uri, client_options, options, deadline)
        .await
        .map_err(|error| handshake_failed_at(uri.address(), error))
}
