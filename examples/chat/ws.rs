//! One WebSocket: joins the room with its first message, passes on what is said, says what it hears.

use std::time::Duration;

use pushline::adapter::tokio::{Reader, WebSocket, Writer};
use pushline::adapter::{Error, Options};
use pushline::ws::{CloseCode, Config, Connection, Message, Negotiated};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::hub::Place;
use crate::protocol::{self, Hello, MAX_REQUEST, Request};
use crate::room::{End, Seat};
use crate::server::{Server, Stop};
use crate::told::Told;

/// Time for the hello. Without it, a connection that never says one would be held for ever.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Serves a WebSocket from behind its handshake to its end. `received` came behind the request.
pub async fn serve(
    stream: TcpStream,
    received: &[u8],
    negotiated: Negotiated,
    server: &Server,
    mut stop: Stop,
) -> Result<(), Error> {
    let config = Config::new().max_message(MAX_REQUEST).max_frame(MAX_REQUEST);
    let connection = Connection::server(negotiated, config);
    let mut socket = WebSocket::new(stream, connection, received, &Options::new().config(config));
    let hello = tokio::select! {
        hello = timeout(HELLO_WITHIN, hello(&mut socket)) => hello,
        () = stop.wait() => return socket.close(CloseCode::GOING_AWAY, "").await,
    };
    let Ok(Some(hello)) = hello else {
        return socket.close(CloseCode::POLICY_VIOLATION, "the first message is to be a hello").await;
    };
    match server.hub.hello(&hello, server.now()) {
        Err(refusal) => {
            socket.send(&refusal.answer(None)).await?;
            socket.close(refusal.bye(), refusal.code).await
        }
        Ok(place) => {
            let seat = place.seat;
            let (mut writer, mut reader) = socket.split();
            let (end, done) =
                tokio::join!(listen(&mut reader, seat, server), speak(&mut writer, place, &mut stop));
            server.hub.release(seat, end, server.now());
            done
        }
    }
}

/// The first message, if it is a hello.
async fn hello(socket: &mut WebSocket<TcpStream>) -> Option<Hello> {
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

/// Passes on what the page says, until the connection ends.
async fn listen(reader: &mut Reader<OwnedReadHalf, OwnedWriteHalf>, seat: Seat, server: &Server) -> End {
    let mut end = End::Cut;
    while let Some(message) = reader.next().await {
        match message {
            Ok(Message::Close(_)) => end = End::Closed,
            // The room speaks text only: a binary message is none that it knows.
            Ok(message) if message.is_data() => {
                server.hub.receive(seat, message.as_text().unwrap_or_default(), server.now());
                // A page that says much at once does not keep the others from their turn.
                tokio::task::yield_now().await;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    end
}

/// Says what the room says, until the connection ends or is to be ended.
async fn speak(
    writer: &mut Writer<OwnedWriteHalf>,
    place: Place<Told>,
    stop: &mut Stop,
) -> Result<(), Error> {
    let Place { welcome, missed, queue, farewell, .. } = place;
    let (code, reason) = tokio::select! {
        biased;
        Ok(farewell) = farewell => farewell.code_and_text(),
        () = stop.wait() => (CloseCode::GOING_AWAY.0, ""),
        done = tell(writer, welcome, missed, queue) => return done,
    };
    writer.close(code, reason).await
}

/// Sends the welcome, what was missed, and then each event. What waits together leaves in one write.
async fn tell(
    writer: &mut Writer<OwnedWriteHalf>,
    welcome: Told,
    missed: Vec<Told>,
    mut queue: mpsc::Receiver<Told>,
) -> Result<(), Error> {
    for event in std::iter::once(welcome).chain(missed) {
        writer.feed(event.frame()).await?;
    }
    writer.flush().await?;
    loop {
        tokio::select! {
            Some(event) = queue.recv() => {
                writer.feed(event.frame()).await?;
                while let Ok(event) = queue.try_recv() {
                    writer.feed(event.frame()).await?;
                }
                writer.flush().await?;
            }
            done = writer.drive() => return done,
        }
    }
}
