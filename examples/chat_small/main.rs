//! The chat to learn from, by WebSocket alone: `cargo run --example chat_small`, then http://127.0.0.1:8080/.
//!
//! Each says its name first, and then what it wants. All hear it, and who comes later hears the last fifty lines. A message
//! that begins with `@NAME ` is for that one. `examples/chat` has what this has not: cuts, other transports, many machines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::{Extension, Router, response::Html, response::Response, routing::any};
use pushline::adapter::Options;
use pushline::adapter::axum::{Socket, WebSocketUpgrade};
use pushline::adapter::tokio::{Outbox, OutboxOptions, QueuedSocket};
use pushline::ws::{ConnectionOptions, Prepared};

const LINES: usize = 50; // kept for those who come later

#[derive(Default)]
struct Room {
    people: BTreeMap<String, Outbox>,
    past: VecDeque<Prepared>,
}

type Shared = Arc<Mutex<Room>>;

impl Room {
    fn tell(&mut self, line: &str) {
        let line = Prepared::text(line); // encoded once for all who hear it
        for outbox in self.people.values() {
            let _ = outbox.send(&line); // who is too slow is disconnected by its outbox
        }
        self.past.push_back(line);
        if self.past.len() > LINES {
            self.past.pop_front();
        }
    }
}

async fn upgrade(upgrade: WebSocketUpgrade, Extension(room): Extension<Shared>) -> Response {
    let config = ConnectionOptions::new().max_message(4096).max_frame(4096);
    upgrade.options(Options::new().connection(config)).on_upgrade(|socket| talk(socket, room))
}

async fn talk(socket: Socket, room: Shared) {
    let room = || room.lock().unwrap_or_else(PoisonError::into_inner);
    let mut socket = QueuedSocket::new(socket, OutboxOptions::new());
    let Some(Ok(hello)) = socket.next().await else { return };
    let name = hello.as_text().unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.contains(' ') || room().people.contains_key(&name) {
        socket.outbox().close(1008, "another name, please");
        while socket.next().await.is_some() {}
        return;
    }
    {
        let mut room = room();
        for line in &room.past {
            let _ = socket.outbox().send(line);
        }
        room.people.insert(name.clone(), socket.outbox());
        room.tell(&format!("{name} is here"));
    }
    // `next` also sends what is queued.
    while let Some(Ok(message)) = socket.next().await {
        let Some(text) = message.as_text() else { continue };
        let only = text.strip_prefix('@').and_then(|text| text.split_once(' '));
        match only.and_then(|(to, text)| Some((room().people.get(to)?.clone(), text))) {
            Some((to, text)) => _ = to.send(format!("{name}, to you alone: {text}")),
            None => room().tell(&format!("{name}: {text}")),
        }
    }
    let mut room = room();
    room.people.remove(&name);
    room.tell(&format!("{name} has left"));
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/ws", any(upgrade)).layer(Extension(Shared::default()));
    let app = app.route("/", any(Html(include_str!("page.html"))));
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await
}
