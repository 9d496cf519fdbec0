//! JSONP: `/jsonp` is long polling by `<script>`; `GET /send` says something the same way.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pushline::comet::jsonp::{self, Callback};

use crate::server::{Params, Peer, Server, respond};
use crate::visit::Asked;

/// What the page calls its JSONP functions. Only these are called, so that a link to `/jsonp` that found its way into a
/// page that trusts this server's scripts could still call nothing of that page's.
const CALLBACKS: &str = "pushlineJsonp";

/// The next messages of a visit, as a script.
pub async fn poll(
    State(server): State<Arc<Server>>,
    Query(params): Query<Params>,
    Peer(from): Peer,
) -> Response {
    let (Some(asked), Some(callback)) = (Asked::new(&params, true, from), callback(&params)) else {
        return (StatusCode::BAD_REQUEST, "That is not a cursor, or that callback is not called.\n")
            .into_response();
    };
    let mut request = server.visits.enter(asked, false, &server.chat).await;
    request
        .next(|answer| {
            let mut body = Vec::new();
            // A script that calls nothing: the page has asked anew.
            if let Some(answer) = answer {
                jsonp::write(callback, answer, &mut body);
            }
            respond(200, &jsonp::FIELDS, body)
        })
        .await
}

/// Says what the query holds; the script tells the status.
pub async fn send(State(server): State<Arc<Server>>, Query(params): Query<Params>) -> Response {
    let Some(callback) = callback(&params) else {
        return (StatusCode::BAD_REQUEST, "That callback is not called.\n").into_response();
    };
    let status = server.send(&params, &params.text).await.as_u16();
    let script = format!("/**/{}({{\"status\":{status}}});", callback.as_str());
    respond(200, &jsonp::FIELDS, script.into_bytes())
}

/// The function that a JSONP response calls, if it is one of the page's.
fn callback(params: &Params) -> Option<Callback<'_>> {
    let callback = Callback::parse(&params.callback).ok()?;
    callback.as_str().starts_with(CALLBACKS).then_some(callback)
}
