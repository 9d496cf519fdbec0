//! What an operator is told, through the `tracing` crate: handshakes, closes, timeouts. Never payloads, nor queries of URLs,
//! which often hold secrets. Without the feature `tracing` all of it is nothing.
//!
//! The target is `pushline`. At level INFO: refusals, timeouts, violations of the protocol, receivers that lag; at DEBUG:
//! handshakes accepted, closes, transports that end.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

#[cfg(feature = "tokio")]
use super::Error;
use crate::ws::CloseCode;

/// A server has accepted a handshake.
#[cfg(feature = "hyper")]
pub(super) fn accepted(version: ::http::Version, path: &str, subprotocol: Option<&str>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushline", ?version, path, subprotocol, "handshake accepted");
}

/// A server has refused a handshake.
#[cfg(feature = "hyper")]
pub(super) fn refused(version: ::http::Version, path: &str, rejection: &crate::ws::handshake::Rejection) {
    #[cfg(feature = "tracing")]
    tracing::info!(
        target: "pushline", ?version, path, status = rejection.status(), reason = %rejection.refusal(), "handshake refused"
    );
}

/// A client did not get its connection.
#[cfg(feature = "hyper")]
pub(super) fn not_opened(host: &str, error: &Error) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushline", host, %error, "handshake failed");
}

/// A close frame was sent first by us, or by the peer.
pub(super) fn closed(by: &'static str, code: Option<CloseCode>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushline", by, code = code.map_or(1005, |code| code.0), "closed");
}

/// A connection has ended with an error.
#[cfg(feature = "tokio")]
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
pub(super) const fn path(path: &str) {}

#[cfg(all(feature = "axum", not(feature = "tracing")))]
pub(super) const fn in_span<F: Future>(path: &(), serve: F) -> F {
    serve
}
