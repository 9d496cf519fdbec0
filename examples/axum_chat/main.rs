//! A chat on axum: `/ws` is a WebSocket, `/events` the same as an event stream. `cargo run --example axum_chat`.
use axum::{Extension, Router, response::Html, response::Response, routing::any};
use pushline::adapter::axum::{Socket, WebSocketUpgrade};
use pushline::adapter::tokio::sse::EventBody;
use pushline::adapter::tokio::{Broadcast, Outbox, OutboxOptions, QueuedSocket};
use pushline::{sse, ws};

#[derive(Clone, Default)]
struct Room(Broadcast, Broadcast<sse::PreparedEvent>);

async fn upgrade(upgrade: WebSocketUpgrade, Extension(room): Extension<Room>) -> Response {
    upgrade.on_upgrade(|socket| talk(socket, room))
}

async fn talk(socket: Socket, room: Room) {
    let mut socket = QueuedSocket::new(socket, OutboxOptions::new());
    room.0.join(socket.outbox());
    while let Some(Ok(message)) = socket.next().await {
        let Some(text) = message.as_text() else { continue };
        room.0.send(ws::Prepared::text(text)); // encoded once for all who hear it
        let _ = sse::Block::new().data(text).prepare().map(|event| room.1.send(event));
    }
}

async fn events(Extension(room): Extension<Room>) -> impl axum::response::IntoResponse {
    let (outbox, events) = Outbox::stream(OutboxOptions::new());
    room.1.join(outbox);
    EventBody::new(events)
}

pub fn app() -> Router {
    let app = Router::new().route("/ws", any(upgrade)).route("/events", any(events));
    app.route("/", any(Html(include_str!("page.html")))).layer(Extension(Room::default()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app()).await
}
