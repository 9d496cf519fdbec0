//! Connecting: a stream to where the URL leads, then the handshake.

use super::super::connect::handshake_failed_at;
use super::super::{Error, Options};
use super::ClientStream;
use super::dial::dial;
use super::handshake::shake_hands;
use super::websocket::WebSocket;
use crate::heartbeat::Instant as _;
use crate::ws::handshake::{ClientOptions, HandshakeResponse, Uri};
use std::time::Instant;

/// Connects to a `ws:` URL over TCP, or to a `wss:` URL over TLS (feature `rustls`; see
#[cfg_attr(feature = "rustls", doc = "[`Options::tls`]).")]
#[cfg_attr(not(feature = "rustls"), doc = "`Options::tls`).")]
/// With another TLS library, hand its stream to [`client`](super::client).
///
/// All addresses of the host are tried: a new one each 250 ms, or as soon as one has failed, IPv6 and IPv4 in turn (RFC
/// 8305); the first to answer wins. Several attempts at once take a thread each, and so does looking the addresses up:
/// one that has lost ends by itself, at the timeout at the latest. User information in the URL is sent as basic
/// credentials (RFC 7617).
///
/// # Errors
///
/// [`Error::InvalidUri`], [`Error::Handshake`] with the response if it was not a 101 (a redirect is not followed),
/// [`Error::TimedOut`] after [`Options::handshake_timeout`], which is for all of it, [`Error::Tls`], [`Error::Io`]. The text
/// of the last two says which host and port were tried.
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
) -> Result<WebSocket<ClientStream>, Error> {
    Ok(connect_with_response(url, client_options, options)?.0)
}

/// As [`connect`], with the server's 101: its fields may be cookies, or say which server it was.
///
/// # Errors
///
/// As [`connect`].
///
/// ```no_run
/// use pushline::adapter::{Options, blocking::connect_with_response};
/// use pushline::ws::handshake::ClientOptions;
///
/// # fn talk() -> Result<(), pushline::adapter::Error> {
/// let url = "ws://127.0.0.1:9001/";
/// let (socket, response) = connect_with_response(url, ClientOptions::new(), &Options::new())?;
/// for (name, value) in response.fields.iter() {
///     println!("{name}: {}", value.escape_ascii());
/// }
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
pub fn connect_with_response(
    url: &str,
    client_options: ClientOptions,
    options: &Options,
) -> Result<(WebSocket<ClientStream>, HandshakeResponse), Error> {
    let uri = Uri::parse(url)?;
    let deadline = Instant::now().saturating_add(options.handshake_timeout.get());
    let stream = dial(&options.route, uri.is_secure(), uri.address(), deadline)?;
    shake_hands(stream, &uri, client_options, options, deadline)
        .map_err(|error| handshake_failed_at(uri.address(), error))
}
