//! Atmosphere: `/atmosphere/chat`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer};
use pushline::comet::atmosphere::AtmosphereService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::{Client, talk};
use crate::ws::OPTIONS;

/// The service. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> Atmosphere {
    let server = Arc::clone(server);
    Atmosphere::new("/atmosphere/chat", move |peer| talk(Arc::clone(&server), peer))
        .service(AtmosphereService::new().origins(OriginPolicy::any()))
        .options(OPTIONS)
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
