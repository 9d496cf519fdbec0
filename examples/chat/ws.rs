//! WebSocket: `/ws`. Joins the room with its first message, passes on what is said, says what it hears.

use std::iter;
use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use pushline::adapter::Options;
use pushline::adapter::axum::{Socket, WebSocketUpgrade};
use pushline::adapter::tokio::{Outbox, QueuedSocket};
use pushline::ws::{ConnectionOptions, Message};
use tokio::time::timeout;

use crate::chat::{Entry, Seat};
use crate::connections::{Stop, stopped};
use crate::protocol::{self, GOING_AWAY, Hello, MAX_REQUEST, POLICY_VIOLATION, Request, TRY_AGAIN_LATER};
use crate::room::Sink;
use crate::server::{Asked, OUTBOX, Server};
use crate::talk::HELLO_WITHIN;
use crate::told::Told;

/// The first reads of a connection; later ones take a buffer that is shared.
pub const OPTIONS: Options =
    Options::new().connection(ConnectionOptions::new().max_message(MAX_REQUEST).max_frame(MAX_REQUEST));

type Queued = QueuedSocket<pushline::adapter::hyper::UpgradedStream>;

/// Answers the handshake.
pub async fn upgrade(Asked { server, params, from }: Asked, upgrade: WebSocketUpgrade) -> Response {
    let (options, stop) = (server.handshake.clone(), server.stop.subscribe());
    let serve = move |socket| serve(socket, server, params.hello.room, from, stop);
    upgrade.server(options).options(OPTIONS).on_upgrade(serve)
}

async fn serve(socket: Socket, server: Arc<Server>, room: String, from: Option<IpAddr>, mut stop: Stop) {
    let mut socket = QueuedSocket::new(socket, OUTBOX);
    // What only the beginning needs is freed with it: most of a connection's time is waiting.
    let mut seat = Box::pin(greet(&mut socket, server, room, from, &mut stop)).await;
    // How it ends is nobody's concern here: the room has noticed. One who was sent away is not heard any more.
    while let Some(Ok(message)) = socket.next().await {
        if message.is_data()
            && let Some(seat) = &seat
        {
            // The room speaks text only: a binary message is none that it knows.
            Box::pin(seat.receive(message.as_text().unwrap_or_default())).await;
        } else if matches!(message, Message::Close(_))
            && let Some(seat) = seat.take()
        {
            seat.close();
        }
    }
}

/// From the hello to the seat; `None` if the connection is to be closed.
async fn greet(
    socket: &mut Queued,
    server: Arc<Server>,
    room: String,
    from: Option<IpAddr>,
    stop: &mut Stop,
) -> Option<Seat> {
    let outbox = socket.outbox();
    let send_away = |code: u16, why: &str| {
        outbox.close(code, why);
        None
    };
    let hello = tokio::select! {
        hello = timeout(HELLO_WITHIN, hello(socket)) => hello.ok().flatten(),
        () = stopped(stop) => return send_away(GOING_AWAY, ""),
    };
    let Some(hello) = hello else {
        return send_away(POLICY_VIOLATION, "the first message is to be a hello");
    };
    let Entry { seat, welcome, missed, .. } = match server.chat.join(&room, &hello, from, "").await {
        Ok(entry) => entry,
        Err(refusal) => {
            let _ = outbox.send(Told::answer(&refusal.answer(None)).frame()); // it has room
            return send_away(refusal.bye(), refusal.code);
        }
    };
    let is_sent = iter::once(&welcome).chain(&missed).all(|told| outbox.send(told.frame()).is_ok());
    if !is_sent || !seat.attach("", Box::new(outbox.clone())) {
        return send_away(TRY_AGAIN_LATER, "too slow");
    }
    Some(seat)
}

/// The first message, if it is a hello.
async fn hello(socket: &mut Queued) -> Option<Hello> {
    loop {
        let message = socket.next().await?.ok()?;
        if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
            let Ok(Request::Hello(hello)) = protocol::parse(message.as_text()?) else { return None };
            return Some(hello);
        }
    }
}

impl Sink for Outbox {
    fn tell(&self, told: &Told) -> bool {
        self.send(told.frame()).is_ok()
    }

    fn bye(&self, code: u16, text: &str) {
        self.close(code, text);
    }
}
