//! SockJS: `/sockjs`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use pushline::adapter::frameworks::{SockJs, Socket};
use pushline::comet::sockjs::Service;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::{Client, talk};
use crate::ws::OPTIONS;

/// The service. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> SockJs {
    let server = Arc::clone(server);
    SockJs::new("/sockjs", move |socket| talk(Arc::clone(&server), socket))
        .service(Service::new().origins(OriginPolicy::any()))
        .options(OPTIONS)
}

impl Client for Socket {
    async fn next(&mut self) -> Option<String> {
        Socket::next(self).await
    }

    fn send(&mut self, text: &str) -> bool {
        Socket::send(self, text).is_ok()
    }

    fn close(self, code: u16, reason: &str) {
        Socket::close(self, code, reason);
    }
}
