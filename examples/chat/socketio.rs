//! Socket.IO: the namespace `/chat` at `/socket.io/`. The `auth` object of the connection is the hello, an event `request`
//! carries what is said, `told` what is heard; both are the objects of `protocol.rs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
use pushline::json;

use crate::callers::Callers;
use crate::server::Server;

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let options = SocketIoOptions::new();
    let io = SocketIo::new(options.clone().allow_any_origin().unwrap_or(options));
    let callers = Callers::new(server);
    let (come, left) = (callers.clone(), callers.clone());
    io.of("/chat")
        .on_connect(move |socket, auth| {
            let hello = auth.json().as_str().to_owned();
            let client = socket.clone();
            let send =
                move |text: &str| json::check(text).is_ok_and(|told| client.emit("told", &told).is_ok());
            let talk = come.came(Arc::clone(socket.sid()), Some(hello), send);
            async move {
                talk.await;
                socket.disconnect();
            }
        })
        .on_disconnect(move |socket, _| {
            left.left(socket.sid());
            async {}
        })
        .on("request", move |socket, event| {
            let request = event.payload.arguments().next().map(|request| request.as_str().to_owned());
            let said = callers.said(socket.sid(), &request.unwrap_or_default());
            async move {
                // One that says more than is dealt with loses its connection, and nothing in silence.
                if said == Some(false) {
                    socket.disconnect();
                }
            }
        });
    Router::new().route("/socket.io/", any(async move |request: Request| io.handle(request).await))
}
