//! pushline behind axum, which accepts the connections and reads the requests: `/ws` is a WebSocket that says what it
//! hears to all who are there, `/events` the same as an event stream. Over hyper itself it is the same.
//!
//! `cargo run --manifest-path examples/axum/Cargo.toml`, then open <http://127.0.0.1:8080>.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use pushline::adapter::tokio::WebSocket;
use pushline::adapter::tokio::sse::EventBody;
use pushline::adapter::{Error, Options};
use pushline::ws::Prepared;
use pushline::ws::handshake::{ServerOptions, accept_http};
use pushline::{sse, ws};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What all connections share.
#[derive(Clone)]
struct Room {
    options: Arc<ServerOptions>,
    said: broadcast::Sender<Said>,
}

/// A message, encoded once for all who hear it.
#[derive(Clone)]
struct Said {
    message: Prepared,
    event: sse::Prepared,
}

impl Said {
    fn new(text: &str) -> Result<Self, sse::EncodeError> {
        Ok(Self { message: Prepared::text(text), event: sse::Block::new().data(text).prepare()? })
    }
}

fn app() -> Router {
    let room = Room { options: Arc::new(ServerOptions::new()), said: broadcast::channel(64).0 };
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/ws", get(upgrade))
        .route("/events", get(events))
        .with_state(room)
}

/// Answers the opening handshake; the connection is served once axum has sent the 101.
async fn upgrade(State(room): State<Room>, mut request: Request) -> Response {
    let (response, negotiated) = match accept_http(&room.options, &request) {
        Ok(accepted) => (axum::http::Response::from(&accepted), accepted.negotiated()),
        Err(rejection) => return axum::http::Response::from(&rejection).map(|()| Body::empty()),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    // From now on: nothing that is said after the client has its 101 is missed.
    let heard = room.said.subscribe();
    tokio::spawn(async move {
        // The client may be gone by then.
        if let Ok(stream) = upgrade.await {
            let socket = WebSocket::server(TokioIo::new(stream), negotiated, &Options::new());
            if let Err(error) = talk(socket, &room, heard).await {
                eprintln!("{error}");
            }
        }
    });
    response.map(|()| Body::empty())
}

/// One task reads and one writes, so that neither waits for the other.
async fn talk<S>(socket: WebSocket<S>, room: &Room, mut heard: broadcast::Receiver<Said>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut reader, mut writer) = socket.split_with(tokio::io::split);
    let writing = tokio::spawn(async move {
        loop {
            tokio::select! {
                said = heard.recv() => match said {
                    Ok(said) => writer.send_prepared(&said.message).await?,
                    Err(RecvError::Lagged(_)) => return writer.close(1013, "too slow").await,
                    Err(RecvError::Closed) => return writer.close(1001, "").await,
                },
                // Pongs, heartbeat and the closing handshake, while there is nothing to say.
                done = writer.drive() => return done,
            }
        }
    });
    while let Some(message) = reader.next().await {
        if let ws::Message::Text(text) = message?
            && let Ok(said) = Said::new(&text)
        {
            let _ = room.said.send(said); // nobody need be there
        }
    }
    writing.await.unwrap_or(Ok(()))
}

/// An event stream. The task ends when the client has left: then the body is dropped, and sending fails.
async fn events(State(room): State<Room>) -> Response {
    let mut heard = room.said.subscribe();
    let (events, body) = EventBody::channel(16);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                said = heard.recv() => match said {
                    Ok(said) => if events.send(said.event).await.is_err() { return },
                    Err(RecvError::Lagged(_)) => {} // it goes on with what is there
                    Err(RecvError::Closed) => return,
                },
                () = events.closed() => return,
            }
        }
    });
    body.into_response().map(Body::from_stream)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushline::adapter::tokio::connect;
    use pushline::adapter::tokio::sse::{EventSource, SourceOptions, Update};
    use pushline::ws::Message;
    use pushline::ws::handshake::{ClientError, ClientOptions};

    async fn serve() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, app()).await });
        address
    }

    #[tokio::test]
    async fn what_one_says_all_hear() {
        let address = serve().await;
        let url = format!("ws://{address}/ws");
        let options = Options::new();
        let mut speaker = connect(&url, ClientOptions::new(), &options).await.unwrap();
        let mut listener = connect(&url, ClientOptions::new(), &options).await.unwrap();
        let mut source = EventSource::new(&format!("http://{address}/events"), SourceOptions::new()).unwrap();
        assert!(matches!(source.next().await, Some(Ok(Update::Open))));
        speaker.send("hello").await.unwrap();
        assert_eq!(listener.next().await.unwrap().unwrap(), Message::from("hello"));
        assert_eq!(speaker.next().await.unwrap().unwrap(), Message::from("hello"));
        let Some(Ok(Update::Event(event))) = source.next().await else { panic!("no event") };
        assert_eq!(event.data, "hello");
        speaker.close(1000, "").await.unwrap();
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused() {
        let url = format!("ws://{}/ws", serve().await);
        let foreign = ClientOptions::new().origin("https://evil.example").unwrap();
        let Err(Error::Handshake(error)) = connect(&url, foreign, &Options::new()).await else {
            panic!("accepted")
        };
        assert_eq!(error.error, ClientError::UnexpectedStatus(403));
    }
}
