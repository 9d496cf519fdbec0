//! SockJS: `/sockjs`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use pushline::adapter::frameworks::{SockJs, SockJsSocket};
use pushline::comet::sockjs::SockJsService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::{Client, talk};
use crate::ws::OPTIONS;

/// The service. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> SockJs {
    let server = Arc::clone(server);
    SockJs::new("/sockjs", move |socket| talk(Arc::clone(&server), socket))
        .service(SockJsService::new().origins(OriginPolicy::any()))
        .options(OPTIONS)
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
