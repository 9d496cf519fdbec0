//! Socket.IO and Engine.IO behind axum, as the protocols' published test suites want it:
//!
//! - `/engine.io/`: Engine.IO, each message comes back as it was, text as text and binary as binary;
//! - `/socket.io/`: the namespaces `/` and `/custom`. On connection, `auth` is emitted with what the client sent along;
//!   `message` is answered by `message-back` with the same arguments; `message-with-ack` is acknowledged with its
//!   arguments; `emit-with-ack` emits itself with an acknowledgement to the client, and then emits what it said.
//!
//! `socketio [--listen 127.0.0.1:3000] [--ping-interval MS] [--ping-timeout MS] [--max-payload BYTES]
//! [--max-attachments N] [--connect-timeout MS] [--allow-origin ORIGIN] [--recovery MS]`: with the last, clients that were
//! cut for at most that long get what they missed. `join` lets a client into a room, `say` is for all in a room: `say`,
//! the room, and what to say.

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::socketio::{EngineIo, SocketEvent, SocketIo, SocketIoOptions, SocketRef};
use pushline::socketio::engine::{self, Data, EngineMessage};
use pushline::socketio::{self, PacketLimits, RecoveryOptions};
use std::time::Duration;

fn server(options: SocketIoOptions) -> SocketIo {
    let io = SocketIo::new(options);
    for name in ["/", "/custom"] {
        io.of(name)
            .on_connect(|socket, auth| async move {
                let _ = socket.emit("auth", &auth.json()); // or the client has left already
            })
            .on("message", |socket, event| async move {
                let _ = socket.emit("message-back", &event.payload);
            })
            .on("message-with-ack", |_, event| async move {
                let _ = event.ack(&event.payload);
            })
            .on("emit-with-ack", emit_with_ack)
            .on("join", |socket, event| async move {
                if let Some(room) = event.payload.arguments().next().and_then(|room| room.string()) {
                    socket.join(&room.to_cow());
                }
                let _ = event.ack(&());
            })
            .on("say", |socket, event| async move {
                let mut arguments = event.payload.arguments();
                let room = arguments.next().and_then(|room| room.string()).map(|room| room.to_cow());
                if let (Some(room), Some(text)) = (room, arguments.next()) {
                    socket.to(&room).to(socket.sid()).emit("said", &text);
                }
            });
    }
    io
}

async fn emit_with_ack(socket: SocketRef, event: SocketEvent) {
    let answer = socket.emit_with_ack("emit-with-ack", &event.payload, Duration::from_secs(10)).await;
    if let Ok(answer) = answer {
        let _ = socket.emit("emit-with-ack", &answer);
    }
}

fn echo(options: SocketIoOptions) -> EngineIo {
    EngineIo::new(options, |session, data| {
        let _ = session.send(match data {
            Data::Text(text) => EngineMessage::text(text),
            Data::Binary(bytes) => EngineMessage::binary(bytes),
        });
    })
}

fn app(options: SocketIoOptions) -> Router {
    let (io, echo) = (server(options.clone()), echo(options));
    Router::new()
        .route(
            "/socket.io/",
            any(move |request: Request| async move { io.handle(request).await.map(axum::body::Body::new) }),
        )
        .route(
            "/engine.io/",
            any(move |request: Request| async move { echo.handle(request).await.map(axum::body::Body::new) }),
        )
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<(String, SocketIoOptions), String> {
    let mut listen = String::from("127.0.0.1:3000");
    let (mut engine, mut config) = (engine::EngineOptions::new(), socketio::SocketIoLimits::new());
    let mut options = SocketIoOptions::new();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name}: a value is missing"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
        let time = || number().map(Duration::from_millis);
        let size = || number().and_then(|number| usize::try_from(number).map_err(|error| error.to_string()));
        match name.as_str() {
            "--listen" => listen = value,
            "--ping-interval" => engine = engine.ping_interval(time()?),
            "--ping-timeout" => engine = engine.ping_timeout(time()?),
            "--max-payload" => engine = engine.max_payload(size()?),
            "--max-attachments" => config = config.packets(PacketLimits::new().attachments(size()?)),
            "--connect-timeout" => config = config.connect_timeout(time()?),
            "--recovery" => options = options.recovery(RecoveryOptions::new().max_absence(time()?)),
            "--allow-origin" => options = options.allow_origin(&value).map_err(|error| error.to_string())?,
            _ => return Err(format!("{name}: no such option")),
        }
    }
    Ok((listen, options.engine(engine).config(config)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, options) = options(std::env::args().skip(1))?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(tap(listener), app(options)).await?;
    Ok(())
}

/// Small answers leave at once.
fn tap(listener: tokio::net::TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    use axum::serve::ListenerExt;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}
