//! XHR streaming: `/xhr-streaming`, a response of lines that XMLHttpRequest reads while it loads. `iframe.rs` streams
//! the same way.

use pushline::adapter::tokio::comet::CometBody;
use pushline::comet::{StreamOptions, StreamWriter};

use crate::server::{Asked, STREAM_FOR};
use crate::visit::Answered;

/// The messages of a visit, as they come.
pub async fn stream(asked: Asked) -> CometBody {
    respond(&asked, StreamWriter::xhr(StreamOptions::new())).await
}

/// A response that goes on, until its budget is spent, its time is over, or its client has left.
pub async fn respond(asked: &Asked, writer: StreamWriter) -> CometBody {
    asked.server.visits.enter(asked, Answered::AsAStream).await.into_body(writer).ends_after(STREAM_FOR)
}
