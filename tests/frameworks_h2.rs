//! The frameworks' servers over HTTP/2: their WebSockets by extended CONNECT (RFC 8441), and requests whose host is
//! `:authority`.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer, SockJs, SockJsSocket};
use pushline::adapter::hyper::Http2;
use pushline::adapter::{Error, Options, bayeux, hyper::Socket as WebSocket, socketio};
use pushline::ws::Message;
use pushline::ws::handshake::{ClientOptions, Uri};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

type Incoming = Request<hyper::body::Incoming>;

/// A connection to a server of HTTP/2 that answers so.
fn serve<F, B>(answer: impl Fn(Incoming) -> F + Clone + Send + 'static) -> DuplexStream
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let answer = answer(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.enable_connect_protocol().serve_connection(TokioIo::new(far), service).await;
    });
    near
}

async fn open(near: DuplexStream, target: &str, client: ClientOptions) -> Result<WebSocket, Error> {
    let uri = Uri::parse(&format!("ws://chat.example{target}")).unwrap();
    Http2::new(near).await.unwrap().connect(&uri, &client, &Options::new()).await
}

/// A WebSocket of a page of the same host.
async fn page(near: DuplexStream, target: &str) -> WebSocket {
    open(near, target, from("http://chat.example")).await.unwrap()
}

fn from(origin: &str) -> ClientOptions {
    ClientOptions::new().origin(origin).unwrap()
}

async fn hears(socket: &mut WebSocket) -> String {
    match timeout(Duration::from_secs(10), socket.next()).await.unwrap() {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn refused(result: Result<WebSocket, Error>) -> u16 {
    match result {
        Err(Error::Handshake(error)) => error.response.unwrap().status,
        other => panic!("it was to be refused: {:?}", other.map(|_| ())),
    }
}

fn sockjs() -> DuplexStream {
    let echo = SockJs::new("/echo", |mut socket: SockJsSocket| async move {
        while let Some(text) = socket.next().await {
            if socket.send(&text).is_err() {
                return;
            }
        }
    });
    serve(move |request| {
        let echo = echo.clone();
        async move { echo.serve(request).await }
    })
}

fn atmosphere() -> DuplexStream {
    let echo = Atmosphere::new("/chat", |mut peer: AtmospherePeer| async move {
        while let Some(text) = peer.next().await {
            if peer.sender().send(text).is_err() {
                return;
            }
        }
    });
    serve(move |request| {
        let echo = echo.clone();
        async move { echo.serve(request).await }
    })
}

#[tokio::test]
async fn sockjs_over_a_stream() {
    let mut socket = page(sockjs(), "/echo/042/k3x9/websocket").await;
    assert_eq!(hears(&mut socket).await, "o");
    socket.send(r#"["one \"1\""]"#).await.unwrap();
    assert_eq!(hears(&mut socket).await, r#"a["one \"1\""]"#);
    let mut socket = page(sockjs(), "/echo/websocket").await;
    socket.send("plain").await.unwrap();
    assert_eq!(hears(&mut socket).await, "plain");
    let foreign = open(sockjs(), "/echo/042/k3x9/websocket", from("http://elsewhere.example")).await;
    assert_eq!(refused(foreign), 403);
    assert_eq!(refused(open(sockjs(), "/echo/042/k3x9/xhr", ClientOptions::new()).await), 405);
}

#[tokio::test]
async fn atmosphere_over_a_stream() {
    let query = "?X-Atmosphere-tracking-id=0&X-Atmosphere-TrackMessageSize=true&X-atmo-protocol=true";
    let target = format!("/chat{query}&X-Atmosphere-Transport=websocket");
    let mut socket = page(atmosphere(), &target).await;
    assert!(hears(&mut socket).await.ends_with("|0|X|"));
    socket.send("hello").await.unwrap();
    assert_eq!(hears(&mut socket).await, "5|hello");
    assert_eq!(refused(open(atmosphere(), &target, from("http://elsewhere.example")).await), 403);
    let sse = format!("/chat{query}&X-Atmosphere-Transport=sse");
    assert_eq!(refused(open(atmosphere(), &sse, ClientOptions::new()).await), 405);
}

#[tokio::test]
async fn bayeux_over_a_stream() {
    let service = bayeux::BayeuxService::new(bayeux::BayeuxOptions::new(), bayeux::Everyone);
    let near = serve(move |request| {
        let service = service.clone();
        async move { service.serve(request).await }
    });
    let mut socket = page(near, "/cometd").await;
    let handshake = r#"[{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#;
    socket.send(handshake).await.unwrap();
    let answer = hears(&mut socket).await;
    assert!(answer.contains(r#""successful":true"#) && answer.contains(r#""clientId""#), "{answer}");
}

#[tokio::test]
async fn socketio_over_a_stream() {
    let io = socketio::SocketIo::new(socketio::SocketIoOptions::new());
    io.of("/").on("say", |socket, event| async move {
        let _ = socket.emit("said", &event.payload);
    });
    let near = serve(move |request| {
        let io = io.clone();
        async move { io.handle(request).await }
    });
    let mut socket = page(near, "/socket.io/?EIO=4&transport=websocket").await;
    assert!(hears(&mut socket).await.starts_with("0{"));
    socket.send("40").await.unwrap();
    assert!(hears(&mut socket).await.starts_with("40{"));
    socket.send(r#"42["say","x"]"#).await.unwrap();
    assert_eq!(hears(&mut socket).await, r#"42["said","x"]"#);
}

/// Over HTTP/2 there is no `Host`: a page of the same host is known by `:authority`, which also counts where both are.
#[tokio::test]
async fn the_host_is_the_authority() {
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(sockjs())).await.unwrap();
    tokio::spawn(connection);
    for (origin, status) in
        [("http://chat.example", StatusCode::OK), ("http://elsewhere.example", StatusCode::FORBIDDEN)]
    {
        let request = Request::post("http://chat.example/echo/042/k3x9/xhr")
            .header("origin", origin)
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body == "o\n", status == StatusCode::OK);
    }
}
