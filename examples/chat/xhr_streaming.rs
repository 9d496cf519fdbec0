//! XHR streaming: `/xhr-streaming`, a response of lines that XMLHttpRequest reads while it loads. `iframe.rs` streams
//! the same way.

use axum::body::Body;
use axum::response::Response;
use pushline::comet::{StreamOptions, StreamWriter};

use crate::server::{Asked, STREAM_FOR};
use crate::visit::Answered;

/// The messages of a visit, as they come.
pub async fn stream(asked: Asked) -> Response {
    respond(&asked, StreamWriter::xhr(StreamOptions::new())).await
}

/// A response that goes on, until its budget is spent, its time is over, or its client has left.
pub async fn respond(asked: &Asked, writer: StreamWriter) -> Response {
    let request = asked.server.visits.enter(asked, Answered::AsAStream).await;
    request.into_body(writer).ends_after(STREAM_FOR).into_response().map(Body::new)
}
