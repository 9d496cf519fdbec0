//! Which pages may use this server: its own, and those of the origins that it was told to allow.
//!
//! A page of another origin can send a request without being able to read the answer, so an origin that is not allowed
//! is refused (403) and not only left without the fields. A request without `Origin` comes from this server's own page,
//! from a program, or from an element such as `<script>` or `<iframe>`: those get nothing without the session, which
//! is the page's secret, and nobody is known here by cookies or by address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pushline::comet::cors::{CorsDecision, CorsPolicy, CorsPolicyError};
use pushline::http1::authority::Authority;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;

/// How long a browser may remember a preflight's answer, in seconds.
const MAX_AGE: u32 = 600;

/// Who may.
#[derive(Debug)]
pub struct Access {
    others: CorsPolicy,
    own: OriginPolicy,
}

/// Whether a request may, and the fields of its answer.
#[derive(Debug)]
pub struct Granted<'a> {
    pub is_allowed: bool,
    pub fields: Vec<(&'static str, &'a str)>,
}

impl Access {
    /// Pages of this host, and of these other origins.
    ///
    /// # Errors
    /// One of them is not written as browsers write it.
    pub fn new(origins: &[String]) -> Result<Self, CorsPolicyError> {
        // An EventSource of another origin may have to ask for its Last-Event-ID.
        let others = CorsPolicy::new().headers(&["Last-Event-ID", "Cache-Control"])?.max_age(MAX_AGE);
        let others = origins.iter().try_fold(others, |policy, origin| policy.allow_origin(origin))?;
        Ok(Self { others, own: OriginPolicy::same_host() })
    }

    /// For a request that does something.
    pub fn check(&self, request: &Parts) -> Granted<'_> {
        let mut origins = request.headers.get_all(header::ORIGIN).iter().map(|origin| origin.as_bytes());
        let origin = origins.next();
        let is_own = origin.is_none_or(|origin| self.is_own(origin, request));
        let mut granted = Granted::of(&self.others.check(origin), is_own);
        // Of several, none is whose page it is.
        granted.is_allowed &= origins.next().is_none();
        granted
    }

    /// `None` if the request is no preflight.
    pub fn preflight(&self, request: &Parts) -> Option<Granted<'_>> {
        let field = |name| request.headers.get(name).map(HeaderValue::as_bytes);
        let origin = field(header::ORIGIN).filter(|_| request.method == Method::OPTIONS)?;
        let method = field(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let headers = field(header::ACCESS_CONTROL_REQUEST_HEADERS);
        Some(Granted::of(&self.others.preflight(origin, method, headers), false))
    }

    /// For an origin that a request names in its query: it is to be told things in there.
    pub fn allows(&self, origin: &str, request: &Parts) -> bool {
        self.is_own(origin.as_bytes(), request) || self.others.check(Some(origin.as_bytes())).is_allowed()
    }

    fn is_own(&self, origin: &[u8], request: &Parts) -> bool {
        // HTTP/2 has it in the URI.
        let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = authority.or_else(|| request.headers.get(header::HOST).map(HeaderValue::as_bytes));
        self.own.allows(Some(origin), host.and_then(Authority::parse))
    }
}

impl<'a> Granted<'a> {
    fn of(decision: &CorsDecision<'a>, is_own: bool) -> Self {
        Self { is_allowed: is_own || decision.is_allowed(), fields: decision.fields().collect() }
    }
}

/// Lets in only what comes from pages that may use this server, and says so to those of other origins.
pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let preflight = server.access.preflight(&parts);
    let is_preflight = preflight.is_some();
    let granted = preflight.unwrap_or_else(|| server.access.check(&parts));
    let mut response = match granted.is_allowed {
        false => (StatusCode::FORBIDDEN, "Pages of that origin may not use this server.\n").into_response(),
        true if is_preflight => StatusCode::NO_CONTENT.into_response(),
        true => next.run(Request::from_parts(parts, body)).await,
    };
    for (name, value) in granted.fields.into_iter().chain([("X-Content-Type-Options", "nosniff")]) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, fields: &str) -> Parts {
        let mut request = axum::http::Request::builder().method(method).uri("/polling").header("Host", "h:1");
        for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn own_and_named_origins_may_and_nobody_else() {
        let access = Access::new(&["http://other:2".to_owned()]).unwrap();
        let vary = ("Vary", "Origin");
        for (origin, is_allowed, named) in [
            ("", true, false),
            ("Origin: http://h:1\r\n", true, false),
            ("Origin: http://other:2\r\n", true, true),
            ("Origin: http://other\r\n", false, false),
            ("Origin: http://h\r\n", false, false),
            ("Origin: null\r\n", false, false),
            ("Origin: http://h:1\r\nOrigin: http://h:1\r\n", false, false),
            ("Origin: http://other:2.evil\r\n", false, false),
        ] {
            let granted = access.check(&request("GET", origin));
            assert_eq!(granted.is_allowed, is_allowed, "{origin}");
            let mut fields = vec![vary];
            fields.extend(named.then_some(("Access-Control-Allow-Origin", "http://other:2")));
            assert_eq!(granted.fields, fields, "{origin}");
        }
        // Without others, nothing is said about origins at all.
        assert_eq!(Access::new(&[]).unwrap().check(&request("GET", "")).fields, []);
        assert!(Access::new(&["http://other:2/".to_owned()]).is_err());
    }

    #[test]
    fn a_preflight_is_told_from_other_questions() {
        let access = Access::new(&["http://other:2".to_owned()]).unwrap();
        assert!(access.preflight(&request("OPTIONS", "Origin: http://other:2\r\n")).is_none());
        for (origin, method, headers, is_allowed) in [
            ("http://other:2", "POST", "last-event-id", true),
            ("http://other:2", "DELETE", "last-event-id", false),
            ("http://other:2", "POST", "x-other", false),
            ("http://evil:2", "POST", "last-event-id", false),
        ] {
            let fields = format!(
                "Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {headers}\r\n"
            );
            let request = request("OPTIONS", &fields);
            assert_eq!(
                access.preflight(&request).map(|granted| granted.is_allowed),
                Some(is_allowed),
                "{fields}"
            );
        }
    }

    #[test]
    fn an_origin_in_the_query_is_checked_alike() {
        let access = Access::new(&["http://other:2".to_owned()]).unwrap();
        let request = request("GET", "");
        for (origin, allowed) in [
            ("http://h:1", true),
            ("http://other:2", true),
            ("http://evil", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(access.allows(origin, &request), allowed, "{origin}");
        }
    }
}
