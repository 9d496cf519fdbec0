//! iframe streaming: `/iframe`, a document that never seems to end; each script in it posts one message to the page.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pushline::comet::{StreamOptions, StreamWriter};

use crate::server::Asked;
use crate::xhr_streaming::respond;

/// The messages of a visit, as they come, for a page of the `origin` that the query names. By its
/// Content-Security-Policy the document gets no origin, and may do nothing but post to its parent, a page of that origin.
pub async fn stream(asked: Asked, request: Request) -> Response {
    let origin = asked.params.origin.as_str();
    let allowed = asked.server.access.allows(origin.as_bytes(), &request);
    match StreamWriter::frame_to(origin, StreamOptions::new()) {
        Ok(writer) if allowed => respond(&asked, writer).await.into_response(),
        _ => (StatusCode::FORBIDDEN, "That origin may not use this server.\n").into_response(),
    }
}
