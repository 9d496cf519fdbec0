//! WebSocket: `/ws`. Joins the room with its first message, passes on what is said, says what it hears.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Response;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pushline::adapter::axum::{Socket, WebSocketUpgrade};
use pushline::adapter::tokio::{Outbox, QueuedSocket};
use pushline::adapter::{Error, Options};
use pushline::ws::{CloseCode, ConnectionOptions, Message};
use tokio::time::timeout;

use crate::chat::Seat;
use crate::protocol::{self, Hello, MAX_REQUEST, Request, TRY_AGAIN_LATER};
use crate::room::Sink;
use crate::server::{OUTBOX, Params, Peer, Server, Stop, stopped};
use crate::told::Told;

/// Time for the hello. Without it, a connection that never says one would be held for ever.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// The first reads of a connection; later ones take a buffer that is shared.
pub const OPTIONS: Options =
    Options::new().connection(ConnectionOptions::new().max_message(MAX_REQUEST).max_frame(MAX_REQUEST));

type Queued = QueuedSocket<TokioIo<Upgraded>>;

/// Answers the handshake.
pub async fn upgrade(
    State(server): State<Arc<Server>>,
    Query(params): Query<Params>,
    peer: Peer,
    upgrade: WebSocketUpgrade,
) -> Response {
    let stop = server.stop.subscribe();
    upgrade.server(server.handshake.clone()).options(OPTIONS).on_upgrade(move |socket| async move {
        // Ends of connections are nobody's concern here: the room has noticed.
        let _ = serve(socket, params.room, peer, server, stop).await;
    })
}

async fn serve(
    socket: Socket,
    room: String,
    peer: Peer,
    server: Arc<Server>,
    mut stop: Stop,
) -> Result<(), Error> {
    // What only the beginning needs is freed with it: most of a connection's time is waiting.
    let Some((seat, mut socket)) = Box::pin(greet(socket, &room, peer, &server, &mut stop)).await? else {
        return Ok(());
    };
    drop(room);
    while let Some(message) = socket.next().await {
        match message? {
            Message::Close(_) => {
                seat.close();
                while socket.next().await.is_some() {}
                return Ok(());
            }
            // The room speaks text only: a binary message is none that it knows.
            message if message.is_data() => {
                Box::pin(seat.receive(message.as_text().unwrap_or_default())).await;
            }
            _ => {}
        }
    }
    Ok(())
}

/// From the hello to the seat; `None` if the connection was closed.
async fn greet(
    mut socket: Socket,
    room: &str,
    Peer(from): Peer,
    server: &Arc<Server>,
    stop: &mut Stop,
) -> Result<Option<(Seat, Queued)>, Error> {
    let hello = tokio::select! {
        hello = timeout(HELLO_WITHIN, hello(&mut socket)) => hello.ok().flatten(),
        () = stopped(stop) => return socket.close(CloseCode::GOING_AWAY, "").await.map(|()| None),
    };
    let Some(hello) = hello else {
        let why = "the first message is to be a hello";
        return socket.close(CloseCode::POLICY_VIOLATION, why).await.map(|()| None);
    };
    let entry = match server.chat.join(room, &hello, from, "").await {
        Ok(entry) => entry,
        Err(refusal) => {
            socket.send(&*refusal.answer(None)).await?;
            return socket.close(refusal.bye(), refusal.code).await.map(|()| None);
        }
    };
    socket.feed(entry.welcome.frame()).await?;
    for told in entry.missed {
        socket.feed(told.frame()).await?;
    }
    socket.flush().await?;
    let socket = QueuedSocket::new(socket, OUTBOX);
    if !entry.seat.attach("", Box::new(Ws(socket.outbox()))) {
        socket.outbox().close(TRY_AGAIN_LATER, "too slow");
    }
    Ok(Some((entry.seat, socket)))
}

/// The first message, if it is a hello.
async fn hello(socket: &mut Socket) -> Option<Hello> {
    loop {
        match socket.next().await? {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(message) => {
                let Ok(Request::Hello(hello)) = protocol::parse(message.as_text()?) else { return None };
                return Some(hello);
            }
            Err(_) => return None,
        }
    }
}

struct Ws(Outbox);

impl Sink for Ws {
    fn tell(&self, told: &Told) -> bool {
        self.0.send(told.frame()).is_ok()
    }

    fn bye(&self, code: u16, text: &str) {
        self.0.close(code, text);
    }
}
