//! WebSockets over connections that hyper reads and writes, HTTP/1.1 and HTTP/2, and so behind axum, tower and whatever
//! stands on hyper.
//!
//! | to | there is |
//! |---|---|
//! | serve | [`upgrade`], [`upgrade_with`]; [`refuse`] for the response of a refusal |
//! | connect over HTTP/2 | [`Http2`] |
//!
//! A server serves over HTTP/2 only if it announces extended CONNECT (RFC 8441 3), with hyper's
//! `http2().enable_connect_protocol()`. Over HTTP/1.1, connections have to be served `with_upgrades`.
//!
//! ```
//! use hyper::body::Incoming;
//! use hyper::{Request, Response};
//! use pushline::adapter::{Options, hyper::{refuse, upgrade}};
//! use pushline::ws::handshake::ServerOptions;
//!
//! // A hyper service. The body of the response is any that is made of a text, such as `http_body_util::Full<Bytes>`.
//! async fn echo(mut request: Request<Incoming>) -> Result<Response<String>, std::convert::Infallible> {
//!     let (response, socket) = match upgrade(&mut request, &ServerOptions::new(), &Options::new()) {
//!         Ok(upgraded) => upgraded,
//!         Err(rejection) => return Ok(refuse(&rejection)),
//!     };
//!     tokio::spawn(async move {
//!         let Ok(mut socket) = socket.await else { return }; // the client has left
//!         while let Some(Ok(message)) = socket.next().await {
//!             if message.is_data() && socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     });
//!     Ok(response)
//! }
//! ```

#![allow(clippy::disallowed_methods)] // this is where the clock is read

mod client;
mod stream;

use super::tokio::WebSocket;
use super::{Error, Options, trace};
use crate::ws::Negotiated;
use crate::ws::handshake::{Accepted, Rejection, ServerOptions, accept_parts};
use ::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use ::http::{Request, Response};
use ::hyper::ext::Protocol;
use ::hyper::upgrade::OnUpgrade;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::string::{String, ToString};

pub use client::{Http2, SETTINGS_TIMEOUT};
pub use stream::UpgradedStream;

/// A WebSocket over what hyper has upgraded: a connection of HTTP/1.1, or a stream of HTTP/2.
///
/// ```
/// use pushline::adapter::{Error, hyper::Socket};
///
/// async fn greet(mut socket: Socket) -> Result<(), Error> {
///     socket.send("Hello").await?;
///     socket.close(1000, "").await
/// }
/// ```
pub type Socket = WebSocket<UpgradedStream>;

/// Answers an opening handshake, over HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441): the response to be given to hyper, and
/// the socket, which is there once hyper has sent that.
///
/// The body of the response is empty; it may be of any type that has a default, such as `http_body_util::Empty<Bytes>`,
/// `axum::body::Body` and `String`.
///
/// # Errors
///
/// A [`Rejection`], for [`refuse`].
///
/// ```
/// use pushline::adapter::{Options, hyper::{refuse, upgrade}};
/// use pushline::ws::handshake::ServerOptions;
///
/// let mut request = http::Request::get("/chat").header("Host", "h").body(()).unwrap();
/// let rejection = upgrade::<_, String>(&mut request, &ServerOptions::new(), &Options::new()).unwrap_err();
/// let response = refuse::<String>(&rejection);
/// assert_eq!(response.status(), 426);
/// assert_eq!(response.body(), "the request does not ask for an upgrade to websocket\n");
/// ```
pub fn upgrade<Q, B: Default>(
    request: &mut Request<Q>,
    server: &ServerOptions,
    options: &Options,
) -> Result<(Response<B>, Upgrade), Rejection> {
    upgrade_with(request, server, options, |_| Ok(()))
}

/// As [`upgrade`], with a say in the response: another subprotocol, a cookie, or a refusal.
///
/// # Errors
///
/// A [`Rejection`]: that of [`upgrade`], or the one that `decide` gives.
///
/// ```
/// use pushline::adapter::{Options, hyper::{Upgrade, upgrade_with}};
/// use pushline::ws::handshake::{Rejection, ServerOptions};
///
/// fn answer<Q>(request: &mut http::Request<Q>) -> Result<(http::Response<String>, Upgrade), Rejection> {
///     upgrade_with(request, &ServerOptions::new(), &Options::new(), |accepted| {
///         accepted.add_field("set-cookie", "seen=1").map_err(|_| Rejection::new(500))
///     })
/// }
/// # let _ = answer::<()>;
/// ```
pub fn upgrade_with<Q, B: Default>(
    request: &mut Request<Q>,
    server: &ServerOptions,
    options: &Options,
    decide: impl FnOnce(&mut Accepted<'_>) -> Result<(), Rejection>,
) -> Result<(Response<B>, Upgrade), Rejection> {
    let upgraded = request.extensions_mut().remove::<OnUpgrade>();
    let answer = answer(request, server, decide);
    match &answer {
        Ok((_, negotiated)) => {
            trace::accepted(request.version(), request.uri().path(), negotiated.subprotocol());
        }
        Err(rejection) => {
            trace::refused(request.version(), request.uri().path(), rejection);
            if let Some(stats) = &options.stats {
                stats.count_refusal(rejection.refusal());
            }
        }
    }
    let (response, negotiated) = answer?;
    let response = response.map(|()| B::default());
    let is_http2 = request.version() == ::http::Version::HTTP_2;
    Ok((response, Upgrade { upgraded, negotiated, options: options.clone(), is_http2 }))
}

/// The response, and what was agreed in it.
type Answer = (Response<()>, Negotiated);

fn answer<Q>(
    request: &Request<Q>,
    server: &ServerOptions,
    decide: impl FnOnce(&mut Accepted<'_>) -> Result<(), Rejection>,
) -> Result<Answer, Rejection> {
    let protocol = request.extensions().get::<Protocol>();
    let mut accepted = accept_parts(
        server,
        request.method(),
        request.uri(),
        request.version(),
        request.headers(),
        protocol.map(Protocol::as_str),
    )?;
    decide(&mut accepted)?;
    Ok((Response::from(&accepted), accepted.negotiated()))
}

/// The response of a refusal, with a line of text that says why. Over HTTP/2, hyper leaves out the fields that are
/// HTTP/1.1's.
///
/// ```
/// use pushline::adapter::hyper::refuse;
/// use pushline::ws::handshake::{Refusal, Rejection};
///
/// let response = refuse::<String>(&Rejection::from(Refusal::OriginNotAllowed));
/// assert_eq!((response.status().as_u16(), response.body().as_str()), (403, "the Origin is not allowed\n"));
/// ```
#[must_use]
pub fn refuse<B: From<String>>(rejection: &Rejection) -> Response<B> {
    let text = match rejection.body_bytes() {
        [] => rejection.refusal().to_string() + "\n",
        body => String::from_utf8_lossy(body).into_owned(),
    };
    let mut response = Response::from(rejection);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    response.map(|()| text.into())
}

/// A WebSocket to come: [`upgrade`] makes it, and it is done once hyper has sent the response.
///
/// It may be sent to any task. Dropping it gives the connection up.
///
/// # Errors
///
/// [`Error::Io`] if hyper gives no stream: the client has left, the response was not sent, or the connection is not
/// served with upgrades.
///
/// ```
/// use pushline::adapter::hyper::Upgrade;
///
/// fn serve(upgrade: Upgrade) {
///     println!("subprotocol: {:?}", upgrade.subprotocol());
///     tokio::spawn(async {
///         if let Ok(mut socket) = upgrade.await {
///             while let Some(Ok(message)) = socket.next().await {
///                 println!("{message:?}");
///             }
///         }
///     });
/// }
/// ```
#[must_use = "the WebSocket is there once this is awaited"]
pub struct Upgrade {
    /// `None`: the request does not come from hyper.
    upgraded: Option<OnUpgrade>,
    negotiated: Negotiated,
    options: Options,
    is_http2: bool,
}

impl Upgrade {
    /// The subprotocol that the response selects.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.negotiated.subprotocol()
    }
}

impl Future for Upgrade {
    type Output = Result<Socket, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(upgraded) = &mut self.upgraded else {
            return Poll::Ready(Err(Error::Io(std::io::Error::other("the request is none of hyper's"))));
        };
        Pin::new(upgraded).poll(cx).map(|upgraded| match upgraded {
            Ok(stream) => {
                let stream = UpgradedStream::new(stream, self.is_http2);
                Ok(WebSocket::server(stream, self.negotiated.clone(), &self.options))
            }
            Err(error) => Err(failed(error)),
        })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("negotiated", &self.negotiated).finish_non_exhaustive()
    }
}

fn failed(error: ::hyper::Error) -> Error {
    Error::Io(std::io::Error::other(error))
}
