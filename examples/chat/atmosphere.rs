//! Atmosphere: `/atmosphere/chat`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer};
use pushline::comet::atmosphere::AtmosphereService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::talk;
use crate::ws::OPTIONS;

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let server = Arc::clone(server);
    let atmosphere = Atmosphere::new("/atmosphere/chat", move |peer| serve(Arc::clone(&server), peer))
        .service(AtmosphereService::new().origins(OriginPolicy::any()))
        .options(OPTIONS);
    Router::new().route_service("/atmosphere/chat", atmosphere)
}

/// A peer that is dropped is closed.
async fn serve(server: Arc<Server>, peer: AtmospherePeer) {
    let sender = peer.sender().clone();
    talk(&server, peer, |text| sender.send(text).is_ok()).await;
}
