//! JSONP: `/jsonp` is long polling by `<script>`; `GET /send` says something the same way.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pushline::comet::jsonp::{Callback, FIELDS};

use crate::server::Asked;
use crate::visit::Answered;

/// What the page calls its JSONP functions. Only these are called, so that a link to `/jsonp` that found its way into a
/// page that trusts this server's scripts could still call nothing of that page's.
const CALLBACKS: &str = "pushlineJsonp";

/// The next messages of a visit, as a script.
pub async fn poll(asked: Asked) -> Response {
    let Some(callback) = callback(&asked) else { return not_called() };
    asked.server.visits.enter(&asked, Answered::WithNews).await.into_jsonp(callback).await.into_response()
}

/// Says what the query holds; the script tells the status.
pub async fn send(asked: Asked) -> Response {
    let Some(callback) = callback(&asked) else { return not_called() };
    let status = asked.say(&asked.params.text).await.as_u16();
    (FIELDS, format!("/**/{}({{\"status\":{status}}});", callback.as_str())).into_response()
}

/// The function that a JSONP response calls, if it is one of the page's.
fn callback(asked: &Asked) -> Option<Callback<'_>> {
    let callback = Callback::parse(&asked.params.callback).ok()?;
    callback.as_str().starts_with(CALLBACKS).then_some(callback)
}

fn not_called() -> Response {
    (StatusCode::BAD_REQUEST, "That callback is not called.\n").into_response()
}
