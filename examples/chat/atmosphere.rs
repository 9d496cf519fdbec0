//! Atmosphere: `/atmosphere/chat`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer};
use pushline::comet::atmosphere::AtmosphereService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::{Client, talk};
use crate::ws::OPTIONS;

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let server = Arc::clone(server);
    let atmosphere = Atmosphere::new("/atmosphere/chat", move |peer| talk(Arc::clone(&server), peer))
        .service(AtmosphereService::new().origins(OriginPolicy::any()))
        .options(OPTIONS);
    let serve = any(async move |request: Request| atmosphere.serve(request).await.map(Body::new));
    Router::new().route("/atmosphere/chat", serve)
}

/// A peer that is dropped is closed.
impl Client for AtmospherePeer {
    async fn next(&mut self) -> Option<String> {
        AtmospherePeer::next(self).await
    }

    fn send(&mut self, text: &str) -> bool {
        self.sender().send(text).is_ok()
    }
}
