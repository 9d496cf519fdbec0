//! Socket.IO and Engine.IO behind axum, as the protocols' published test suites want it:
//!
//! - `/engine.io/`: Engine.IO, each message comes back as it was, text as text and binary as binary;
//! - `/socket.io/`: the namespaces `/` and `/custom`. On connection, `auth` is emitted with what the client sent along;
//!   `message` is answered by `message-back` with the same arguments; `message-with-ack` is acknowledged with its
//!   arguments; `emit-with-ack` emits itself with an acknowledgement to the client, and then emits what it said.
//!
//! `socketio [--listen 127.0.0.1:3000] [--ping-interval MS] [--ping-timeout MS] [--max-payload BYTES]
//! [--max-attachments N] [--connect-timeout MS] [--allow-origin ORIGIN] [--recovery MS] [--redis URL]`: with `--recovery`, clients that were
//! cut for at most that long get what they missed. With `--redis URL` (feature `redis`), servers at the same Redis are one.
//! `join` lets a client into a room, `say` is for all in a room: `say`, the room, and what to say; with another room behind
//! that, not for those in it. `count` is acknowledged with how many are in a room, `move` takes all in a room into another,
//! `kick` puts all in a room out.

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::socketio::{EngineIo, Namespace, SocketEvent, SocketIo, SocketIoOptions, SocketRef};
use pushline::socketio::engine::{self, Data, EngineMessage};
use pushline::socketio::{self, PacketLimits, RecoveryOptions};
use std::future::ready;
use std::time::Duration;

fn server(options: SocketIoOptions) -> SocketIo {
    let io = SocketIo::new(options);
    for name in ["/", "/custom"] {
        io.of(name)
            .on_connect(|socket, auth| async move {
                // The suites listen for one message after the other, and miss what comes in one read with the answer.
                tokio::time::sleep(Duration::from_millis(10)).await;
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
            .on("say", {
                let io = io.clone();
                move |socket, event| {
                    say(&io.of(socket.namespace()), &event);
                    ready(())
                }
            })
            .on("count", {
                let io = io.clone();
                move |socket, event| count(io.of(socket.namespace()), event)
            })
            .on("move", {
                let io = io.clone();
                move |socket, event| {
                    let rooms = strings(&event);
                    if let [from, to] = &rooms[..] {
                        io.of(socket.namespace()).to(from).join(to);
                    }
                    let _ = event.ack(&());
                    ready(())
                }
            })
            .on("kick", {
                let io = io.clone();
                move |socket, event| {
                    if let [room] = &strings(&event)[..] {
                        io.of(socket.namespace()).to(room).disconnect();
                    }
                    ready(())
                }
            });
    }
    io
}

fn say(namespace: &Namespace, event: &SocketEvent) {
    let mut arguments = event.payload.arguments();
    let room = arguments.next().and_then(|room| room.string());
    if let (Some(room), Some(text)) = (room, arguments.next()) {
        let mut to = namespace.to(&room.to_cow());
        if let Some(except) = arguments.next().and_then(|room| room.string()) {
            to = to.except(&except.to_cow());
        }
        to.emit("said", &text);
    }
}

fn strings(event: &SocketEvent) -> Vec<String> {
    let strings = event.payload.arguments().filter_map(|argument| argument.string());
    strings.map(|string| string.to_cow().into_owned()).collect()
}

async fn count(namespace: Namespace, event: SocketEvent) {
    let rooms = strings(&event);
    let everybody = rooms.iter().fold(namespace.all(), |all, room| all.to(room));
    let _ = match everybody.fetch_sockets().await {
        Ok(sockets) => event.ack(&(sockets.len() as u64)),
        Err(error) => event.ack(&error.to_string()),
    };
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

#[cfg(feature = "redis")]
fn share(io: &SocketIo, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    use pushline::adapter::socketio::{ClusterOptions, RedisStreams};
    Ok(io.cluster(RedisStreams::new(url)?, ClusterOptions::new())?)
}

#[cfg(not(feature = "redis"))]
fn share(_: &SocketIo, _: &str) -> Result<(), Box<dyn std::error::Error>> {
    Err("it was built without the feature redis".into())
}

fn app(options: SocketIoOptions, redis: Option<String>) -> Result<Router, Box<dyn std::error::Error>> {
    let (io, echo) = (server(options.clone()), echo(options));
    if let Some(url) = redis {
        share(&io, &url)?;
    }
    Ok(Router::new()
        .route_service("/socket.io/", io)
        .route("/engine.io/", any(move |request: Request| async move { echo.handle(request).await })))
}

fn options(
    mut arguments: impl Iterator<Item = String>,
) -> Result<(String, SocketIoOptions, Option<String>), String> {
    let mut listen = String::from("127.0.0.1:3000");
    let (mut engine, mut config) = (engine::EngineOptions::new(), socketio::SocketIoLimits::new());
    let (mut options, mut redis) = (SocketIoOptions::new(), None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name}: a value is missing"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
        let time = || number().map(Duration::from_millis);
        let size = || number().and_then(|number| usize::try_from(number).map_err(|error| error.to_string()));
        match name.as_str() {
            "--listen" => listen = value,
            "--redis" => redis = Some(value),
            "--ping-interval" => engine = engine.ping_interval(time()?),
            "--ping-timeout" => engine = engine.ping_timeout(time()?),
            "--max-payload" => engine = engine.max_payload(size()?),
            "--max-attachments" => config = config.packets(PacketLimits::new().attachments(size()?)),
            "--connect-timeout" => config = config.connect_timeout(time()?),
            "--recovery" => {
                // Ten for each of ten thousand clients: what goes to one alone counts, too.
                options = options.recovery(RecoveryOptions::new().events(100_000).max_absence(time()?));
            }
            "--allow-origin" => options = options.allow_origin(&value).map_err(|error| error.to_string())?,
            _ => return Err(format!("{name}: no such option")),
        }
    }
    Ok((listen, options.engine(engine).limits(config), redis))
}

/// On one thread, as the reference server is: what the suites send on two connections is read in the order in which it came.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, options, redis) = options(std::env::args().skip(1))?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(tap(listener), app(options, redis)?).await?;
    Ok(())
}

/// Small answers leave at once.
fn tap(listener: tokio::net::TcpListener) -> impl axum::serve::Listener<Addr = std::net::SocketAddr> {
    use axum::serve::ListenerExt;
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}
