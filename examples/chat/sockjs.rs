//! SockJS: `/sockjs`. Each message is one text of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use pushline::adapter::frameworks::{SockJs, SockJsSocket};
use pushline::comet::sockjs::SockJsService;
use pushline::ws::handshake::OriginPolicy;

use crate::server::Server;
use crate::talk::talk;
use crate::ws::OPTIONS;

/// The paths. Whose pages may use them was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let server = Arc::clone(server);
    let sockjs = SockJs::new("/sockjs", move |socket| serve(Arc::clone(&server), socket))
        .service(SockJsService::new().origins(OriginPolicy::any()))
        .options(OPTIONS);
    Router::new().route_service("/sockjs", sockjs.clone()).route_service("/sockjs/{*rest}", sockjs)
}

async fn serve(server: Arc<Server>, mut socket: SockJsSocket) {
    let sender = socket.sender().clone();
    if let Some((code, why)) = talk(&server, &mut socket, |text| sender.send(text).is_ok()).await {
        socket.close(code, &why);
    }
}
