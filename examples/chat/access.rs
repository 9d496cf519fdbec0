//! Which pages may use this server: its own, and those of the origins that it was told to allow.
//!
//! A page of another origin can send a request without being able to read the answer, so an origin that is not allowed
//! is refused (403) and not only left without the fields. A request without `Origin` comes from this server's own page,
//! from a program, or from an element such as `<script>` or `<iframe>`: those get nothing without the session, which
//! is the page's secret, and nobody is known here by cookies or by address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pushline::comet::cors::{CorsPolicy, CorsPolicyError};

use crate::server::Server;

/// How long a browser may remember a preflight's answer, in seconds.
const MAX_AGE: u32 = 600;

/// Pages of these origins may, besides the host's own.
///
/// # Errors
/// One of them is not written as browsers write it.
pub fn policy(origins: &[String]) -> Result<CorsPolicy, CorsPolicyError> {
    // An EventSource of another origin may have to ask for its Last-Event-ID.
    let policy = CorsPolicy::new().headers(&["Last-Event-ID", "Cache-Control"])?.max_age(MAX_AGE);
    origins.iter().try_fold(policy, |policy, origin| policy.allow_origin(origin))
}

/// Lets in only what comes from pages that may use this server, and says so to those of other origins.
pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let decision = server.access.decide(&request);
    let mut response = match (decision.is_allowed(), decision.is_preflight()) {
        (false, _) => {
            (StatusCode::FORBIDDEN, "Pages of that origin may not use this server.\n").into_response()
        }
        (true, true) => StatusCode::NO_CONTENT.into_response(),
        (true, false) => next.run(request).await,
    };
    decision.set_fields(response.headers_mut());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
