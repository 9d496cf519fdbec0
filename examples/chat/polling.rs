//! Long polling and polling: `/long-polling` holds each request until there is news, `/polling` answers at once.

use axum::http::Response;

use crate::server::Asked;
use crate::visit::Answered;

/// The next messages of a visit, as JSON, once there are some.
pub async fn long_poll(asked: Asked) -> Response<String> {
    asked.server.visits.enter(&asked, Answered::WithNews).await.into_json().await
}

/// The same, as things are.
pub async fn poll(asked: Asked) -> Response<String> {
    asked.server.visits.enter(&asked, Answered::AtOnce).await.into_json().await
}
