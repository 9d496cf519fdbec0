//! iframe streaming: `/iframe`, a document that never seems to end; each script in it posts one message to the page.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pushline::comet::{StreamOptions, StreamWriter};

use crate::server::{Params, Peer, Server, respond};
use crate::visit::Asked;
use crate::xhr_streaming::body;

/// The messages of a visit, as they come, for a page of the `origin` that the query names.
pub async fn stream(
    State(server): State<Arc<Server>>,
    Query(params): Query<Params>,
    Peer(from): Peer,
    parts: Parts,
) -> Response {
    let origin = params.origin.as_str();
    let allowed = server.access.allows(origin, &parts);
    let Some(stream) = StreamWriter::frame_to(origin, StreamOptions::new()).ok().filter(|_| allowed) else {
        return (StatusCode::FORBIDDEN, "That origin may not use this server.\n").into_response();
    };
    // The document's scripts stand in it, one for each message, as they come: no hash or nonce can name them. So it gets
    // no origin and may do nothing but post to its parent, which is a page of that origin.
    let policy = format!(
        "default-src 'none'; script-src 'unsafe-inline'; sandbox allow-scripts; frame-ancestors {origin}"
    );
    let (Some(asked), Ok(policy)) = (Asked::new(&params, true, from), HeaderValue::try_from(policy)) else {
        return (StatusCode::BAD_REQUEST, "That is not a cursor.\n").into_response();
    };
    let request = server.visits.enter(asked, true, &server.chat).await;
    let mut response = respond(200, &StreamWriter::FRAME_FIELDS, body(request, stream));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
