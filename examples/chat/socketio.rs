//! Socket.IO: the namespace `/chat` at `/socket.io/`. The `auth` object of the connection is the hello, an event `request`
//! carries what is said, `told` what is heard; both are the objects of `protocol.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use pushline::adapter::socketio::{SocketIo, SocketIoOptions, SocketRef};
use pushline::json;
use tokio::sync::mpsc;

use crate::server::Server;
use crate::talk::{Client, REQUESTS, talk};

/// What waits of each client, by its id.
type Requests = Arc<Mutex<HashMap<Arc<str>, mpsc::Sender<String>>>>;

/// The server. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> SocketIo {
    let options = SocketIoOptions::new();
    let io = SocketIo::new(options.clone().allow_any_origin().unwrap_or(options));
    let requests = Requests::default();
    let with = |requests: &Requests, sid: &str| {
        requests.lock().unwrap_or_else(PoisonError::into_inner).get(sid).cloned()
    };
    let (server, joined, left) = (Arc::clone(server), Arc::clone(&requests), Arc::clone(&requests));
    io.of("/chat")
        .on_connect(move |socket, auth| {
            let (said, saying) = mpsc::channel(REQUESTS);
            let _ = said.try_send(auth.json().as_str().to_owned()); // it is empty
            joined.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(socket.sid()), said);
            talk(Arc::clone(&server), Member { socket, saying })
        })
        .on_disconnect(move |socket, _| {
            left.lock().unwrap_or_else(PoisonError::into_inner).remove(socket.sid());
            async {}
        })
        .on("request", move |socket, event| {
            let request = event.payload.arguments().next().map(|request| request.as_str().to_owned());
            let said = with(&requests, socket.sid());
            async move {
                // One that says more than is dealt with loses its connection, and nothing in silence.
                if said.is_some_and(|said| said.try_send(request.unwrap_or_default()).is_err()) {
                    socket.disconnect();
                }
            }
        });
    io
}

struct Member {
    socket: SocketRef,
    saying: mpsc::Receiver<String>,
}

impl Client for Member {
    async fn next(&mut self) -> Option<String> {
        self.saying.recv().await
    }

    fn send(&mut self, text: &str) -> bool {
        json::check(text).is_ok_and(|told| self.socket.emit("told", &told).is_ok())
    }

    fn close(self, _: u16, _: &str) {
        self.socket.disconnect();
    }
}
