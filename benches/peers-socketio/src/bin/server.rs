//! One of the servers: `server pushline|socketioxide`. It prints its address. `message` is answered by `message-back` with
//! the same text, `say` is for everybody as `said`. One thread; no ping comes between the measurements.

use axum::Router;
use std::time::Duration;

const QUIET: Duration = Duration::from_secs(600);

fn pushline() -> Router {
    use axum::{extract::Request, routing::any};
    use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
    use pushline::socketio::engine::EngineOptions;

    let io = SocketIo::new(SocketIoOptions::new().engine(EngineOptions::new().ping_interval(QUIET)));
    let all = io.of("/");
    io.of("/")
        .on("message", |socket, event| async move {
            let _ = socket.emit("message-back", &event.payload);
        })
        .on("say", move |_, event| {
            all.emit("said", &event.payload);
            async {}
        });
    Router::new().route(
        "/socket.io/",
        any(move |request: Request| async move { io.handle(request).await.map(axum::body::Body::new) }),
    )
}

fn socketioxide() -> Router {
    use socketioxide::extract::{Data, SocketRef};

    let (layer, io) =
        socketioxide::SocketIo::builder().ping_interval(QUIET).ping_timeout(QUIET).build_layer();
    let all = io.clone();
    io.ns("/", async move |socket: SocketRef| {
        socket.on("message", async |socket: SocketRef, Data(text): Data<String>| {
            let _ = socket.emit("message-back", &text);
        });
        socket.on("say", async move |Data(text): Data<String>| {
            let _ = all.emit("said", &text).await;
        });
    });
    Router::new().layer(layer)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let app = match std::env::args().nth(1).as_deref() {
        Some("pushline") => pushline(),
        Some("socketioxide") => socketioxide(),
        _ => panic!("server pushline|socketioxide"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("its address"));
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP stream"));
    axum::serve(listener, app).await.expect("it serves");
}
