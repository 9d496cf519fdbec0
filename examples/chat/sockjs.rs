//! SockJS: `/sockjs`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::frameworks::{SockJs, SockJsSocket};
use pushline::comet::sockjs::SockJsService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::{Client, talk};
use crate::ws::OPTIONS;

/// The paths. Whose pages may use them was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let server = Arc::clone(server);
    let sockjs = SockJs::new("/sockjs", move |socket| talk(Arc::clone(&server), socket))
        .service(SockJsService::new().origins(OriginPolicy::any()))
        .options(OPTIONS);
    let serve = any(async move |request: Request| sockjs.serve(request).await.map(Body::new));
    Router::new().route("/sockjs", serve.clone()).route("/sockjs/{*rest}", serve)
}

impl Client for SockJsSocket {
    async fn next(&mut self) -> Option<String> {
        SockJsSocket::next(self).await
    }

    fn send(&mut self, text: &str) -> bool {
        SockJsSocket::send(self, text).is_ok()
    }

    fn close(self, code: u16, reason: &str) {
        SockJsSocket::close(self, code, reason);
    }
}
