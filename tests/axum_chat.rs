//! The example `axum_chat`, as its users meet it: a WebSocket and an event stream, over HTTP/1.1 and HTTP/2.

#[allow(dead_code)]
#[path = "../examples/axum_chat/main.rs"]
mod example;

use pushline::adapter::hyper::Http2;
use pushline::adapter::tokio::connect;
use pushline::adapter::tokio::sse::{EventSource, SourceEvent, SourceOptions};
use pushline::adapter::{Error, Options};
use pushline::ws::Message;
use pushline::ws::handshake::{ClientError, ClientOptions, Uri};

async fn serve() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, example::app()).await });
    address
}

#[tokio::test]
async fn what_one_says_all_hear() {
    let address = serve().await;
    let url = format!("ws://{address}/ws");
    let (client, options) = (ClientOptions::new(), Options::new());
    let mut source = EventSource::new(&format!("http://{address}/events"), SourceOptions::new()).unwrap();
    assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
    let mut listener = connect(&url, client.clone(), &options).await.unwrap();
    let http2 = Http2::new(tokio::net::TcpStream::connect(address).await.unwrap()).await.unwrap();
    let mut speaker = http2.connect(&Uri::parse(&url).unwrap(), &client, &options).await.unwrap();
    // What it hears of itself shows that it has joined.
    for text in ["one", "two"] {
        speaker.send(text).await.unwrap();
        assert_eq!(speaker.next().await.unwrap().unwrap(), Message::from(text));
        let Some(Ok(SourceEvent::Event(event))) = source.next().await else { panic!("no event") };
        assert_eq!(event.data, text);
    }
    // The other may have joined behind the first.
    loop {
        if listener.next().await.unwrap().unwrap() == Message::from("two") {
            break;
        }
    }
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

/// The whole program, empty lines and comments included, in under 40 lines.
#[test]
fn it_is_short() {
    assert!(include_str!("../examples/axum_chat/main.rs").lines().count() < 40);
}
