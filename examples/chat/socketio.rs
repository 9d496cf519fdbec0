//! Socket.IO: the namespace `/chat` at `/socket.io/`. The `auth` object of the connection is the hello, an event `request`
//! carries what is said, `told` what is heard; both are the objects of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
use pushline::adapter::tokio::{MailboxError, Mailboxes};
use pushline::json;

use crate::server::Server;
use crate::talk::{REQUESTS, talk};

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let options = SocketIoOptions::new();
    let io = SocketIo::new(options.clone().allow_any_origin().unwrap_or(options));
    let (server, requests) = (Arc::clone(server), Mailboxes::new(REQUESTS));
    let (come, left) = (requests.clone(), requests.clone());
    io.of("/chat")
        .on_connect(move |socket, auth| {
            let (server, said) = (Arc::clone(&server), come.open(Arc::clone(socket.sid())));
            let _ = come.send(socket.sid(), auth.json().as_str().to_owned()); // it is empty
            async move {
                let send =
                    |text: &str| json::check(text).is_ok_and(|told| socket.emit("told", &told).is_ok());
                talk(&server, said, send).await;
                socket.disconnect();
            }
        })
        .on_disconnect(move |socket, _| {
            left.close(socket.sid());
            async {}
        })
        .on("request", move |socket, event| {
            let request = event.payload.arguments().next().map(|request| request.as_str().to_owned());
            let said = requests.send(socket.sid(), request.unwrap_or_default());
            async move {
                // One that says more than is dealt with loses its connection, and nothing in silence.
                if said == Err(MailboxError::Full) {
                    socket.disconnect();
                }
            }
        });
    Router::new().route_service("/socket.io/", io)
}
