//! What an operator is told, through the `tracing` crate: handshakes, closes, timeouts. Never payloads, nor queries of URLs,
//! which often hold secrets. Without the feature `tracing` all of it is nothing.
//!
//! The target is `pushline`. At level INFO: refusals, timeouts, violations of the protocol, receivers that lag; at DEBUG:
//! handshakes accepted, closes, transports that end.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use super::{Error, Options};
use crate::http1::head::RequestHead;
use crate::ws::CloseCode;
use crate::ws::handshake::{Accepted, Established, Opening, Rejection};
use core::fmt::Debug;

/// A server has accepted a handshake.
pub(super) fn accepted(version: impl Debug, path: &str, subprotocol: Option<&str>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushline", ?version, path, subprotocol, "handshake accepted");
}

/// A server has refused a handshake.
pub(super) fn refused(version: impl Debug, path: &str, rejection: &Rejection) {
    #[cfg(feature = "tracing")]
    tracing::info!(
        target: "pushline", ?version, path, status = rejection.status(), reason = %rejection.refusal(), "handshake refused"
    );
}

/// A server had a client that left before it was answered, or took too long.
fn not_asked(path: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    match error {
        Error::TimedOut(_) => tracing::info!(target: "pushline", path, %error, "handshake failed"),
        _ => tracing::debug!(target: "pushline", path, %error, "handshake failed"),
    }
}

/// A client has got its connection.
fn opened(host: &str, subprotocol: Option<&str>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushline", host, subprotocol, "handshake done");
}

/// A client did not get its connection.
pub(super) fn not_opened(host: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushline", host, %error, "handshake failed");
}

/// The span of an opening handshake. Without the feature it is nothing.
#[cfg(feature = "tracing")]
pub(super) type Span = tracing::Span;
#[cfg(not(feature = "tracing"))]
pub(super) struct Span;

#[cfg(not(feature = "tracing"))]
pub(super) struct Entered;

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(super) const fn enter(&self) -> Entered {
        Entered
    }
}

/// The span in which a handshake happens: `handshake`, with the role of this side.
pub(super) fn handshake(role: &'static str) -> Span {
    #[cfg(feature = "tracing")]
    return tracing::debug_span!(target: "pushline", "handshake", role);
    #[cfg(not(feature = "tracing"))]
    Span
}

/// The end of an opening handshake over a stream of one's own, which may have failed: counted and told.
pub(super) fn finish<I, D>(
    opening: &mut Opening<'_, I, D>,
    stream: std::io::Result<()>,
    options: &Options,
) -> Result<Established, Error>
where
    I: crate::heartbeat::Instant,
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    let is_server = opening.is_server();
    #[cfg(feature = "tracing")]
    let subject: &str = &opening.subject();
    #[cfg(not(feature = "tracing"))]
    let subject = "";
    let established = stream.map_err(Error::from).and_then(|()| Ok(opening.take_outcome()?));
    match (&established, is_server) {
        (Ok(opened), true) => accepted(Http11, subject, opened.negotiated.subprotocol()),
        (Ok(opened), false) => self::opened(subject, opened.negotiated.subprotocol()),
        (Err(Error::Rejected(rejection)), _) => refused(Http11, subject, rejection),
        (Err(error), true) => not_asked(subject, error),
        (Err(error), false) => not_opened(subject, error),
    }
    if let (Err(error), Some(stats)) = (&established, &options.stats) {
        match error {
            Error::Rejected(rejection) => stats.count_refusal(rejection.refusal()),
            _ => stats.count_failure(),
        }
    }
    established
}

/// As the version of the `http` crate is printed.
struct Http11;

impl Debug for Http11 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HTTP/1.1")
    }
}

/// A close frame was sent first by us, or by the peer.
pub(super) fn closed(by: &'static str, code: Option<CloseCode>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushline", by, code = code.map_or(1005, |code| code.0), "closed");
}

/// A connection has ended with an error.
#[cold]
pub(super) fn failed(error: &Error) {
    #[cfg(feature = "tracing")]
    match error {
        Error::TimedOut(what) => tracing::info!(target: "pushline", ?what, "timed out"),
        Error::Protocol(error) => tracing::info!(
            target: "pushline", code = error.close_code().0, %error, "protocol violated"
        ),
        _ => tracing::debug!(target: "pushline", %error, "connection failed"),
    }
}

/// A receiver was too slow, and is disconnected.
#[cfg(feature = "tokio")]
pub(super) fn lagged(dropped: usize) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushline", dropped, "receiver lagged");
}

/// What a span of a connection is told of its request.
#[cfg(all(feature = "axum", feature = "tracing"))]
pub(super) fn path(path: &str) -> std::string::String {
    path.into()
}

/// The span in which a connection is served, `websocket` with its path: what the application logs meanwhile belongs to it.
#[cfg(all(feature = "axum", feature = "tracing"))]
pub(super) fn in_span<F: Future>(path: &str, serve: F) -> impl Future<Output = F::Output> + use<F> {
    tracing::Instrument::instrument(serve, tracing::info_span!(target: "pushline", "websocket", path))
}

#[cfg(all(feature = "axum", not(feature = "tracing")))]
pub(super) const fn path(path: &str) -> Span {
    Span
}

#[cfg(all(feature = "axum", not(feature = "tracing")))]
pub(super) const fn in_span<F: Future>(path: &Span, serve: F) -> F {
    serve
}
