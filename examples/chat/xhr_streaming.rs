//! XHR streaming: `/xhr-streaming`, a response of lines that XMLHttpRequest reads while it loads. `iframe.rs` streams
//! the same way.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use pushline::comet::{StreamOptions, StreamWriter};
use tokio::time::{Instant, timeout_at};

use crate::server::{Params, Peer, STREAM_FOR, Server, respond};
use crate::visit::{Asked, Request};

/// The messages of a visit, as they come.
pub async fn stream(
    State(server): State<Arc<Server>>,
    Query(params): Query<Params>,
    Peer(from): Peer,
) -> Response {
    let Some(asked) = Asked::new(&params, true, from) else {
        return (StatusCode::BAD_REQUEST, "That is not a cursor.\n").into_response();
    };
    let request = server.visits.enter(asked, true, &server.chat).await;
    respond(200, &StreamWriter::XHR_FIELDS, body(request, StreamWriter::xhr(StreamOptions::new())))
}

/// The body of a response that goes on, until its budget is spent, its time is over, or its client has left.
pub fn body(request: Request, mut stream: StreamWriter) -> Body {
    let end = Instant::now() + STREAM_FOR;
    let mut open = Vec::new();
    stream.open(&mut open);
    Body::from_stream(unfold(Some((request, stream, open)), move |state| async move {
        let (mut request, mut stream, mut chunk) = state?;
        let mut goes_on = true;
        if chunk.is_empty() {
            let next = request.next(|answer| answer.is_some_and(|answer| stream.write(answer, &mut chunk)));
            goes_on = timeout_at(end, next).await.unwrap_or(false);
        }
        let chunk = Ok::<_, Infallible>(Bytes::from(std::mem::take(&mut chunk)));
        Some((chunk, goes_on.then_some((request, stream, Vec::new()))))
    }))
}
