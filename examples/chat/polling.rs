//! Long polling and polling: `/long-polling` holds each request until there is news, `/polling` answers at once.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use pushline::comet::JSON_FIELDS;

use crate::server::{Params, Peer, Server, respond};
use crate::visit::Asked;

/// The next messages of a visit, as JSON.
pub async fn poll(
    State(server): State<Arc<Server>>,
    Query(params): Query<Params>,
    Peer(from): Peer,
    uri: Uri,
) -> Response {
    let hold = uri.path() != "/polling";
    let Some(asked) = Asked::new(&params, hold, from) else {
        return (StatusCode::BAD_REQUEST, "That is not a cursor.\n").into_response();
    };
    let mut request = server.visits.enter(asked, false, &server.chat).await;
    request
        .next(|answer| match answer {
            Some(answer) if answer.status() != 204 => {
                let mut body = Vec::new();
                answer.write_json(&mut body);
                respond(answer.status(), &JSON_FIELDS, body)
            }
            _ => respond(204, &JSON_FIELDS[1..], Vec::new()),
        })
        .await
}
