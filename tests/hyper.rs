//! WebSockets behind hyper and axum, over HTTP/1.1 and HTTP/2 (RFC 6455, RFC 8441), both roles.

use axum::Router;
use axum::response::Response;
use axum::routing::any;
use hyper::ext::Protocol;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pushline::adapter::axum::WebSocketUpgrade;
use pushline::adapter::hyper::{Http2, Socket, refuse, upgrade};
use pushline::adapter::tokio::{WebSocket, connect};
use pushline::adapter::{Error, Options};
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{ClientError, ClientOptions, ServerOptions, Uri};
use pushline::ws::{CloseCode, Message};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn answer(
    mut request: Request<hyper::body::Incoming>,
    server: ServerOptions,
) -> Result<hyper::Response<String>, Infallible> {
    Ok(match upgrade(&mut request, &server, &Options::new()) {
        Ok((response, socket)) => {
            tokio::spawn(async move { echo(socket.await?).await });
            response
        }
        Err(rejection) => refuse(&rejection),
    })
}

/// A connection to a hyper server of HTTP/2.
fn serve_h2(server: ServerOptions, enabled: bool) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = service_fn(move |request| answer(request, server.clone()));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        if enabled {
            builder.enable_connect_protocol();
        }
        let _ = builder.serve_connection(TokioIo::new(far), service).await;
    });
    near
}

fn uri() -> Uri {
    Uri::parse("ws://server.example.com/chat").unwrap()
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) {
    for text in ["Hello".to_string(), "x".repeat(100_000)] {
        socket.send(text.as_str()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from(text));
    }
    socket.send(Message::Close(Some((CloseCode::NORMAL, "bye".into())))).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(Some((CloseCode::NORMAL, _)))))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn http1_through_hyper() {
    let (near, far) = duplex(1024);
    tokio::spawn(async move {
        let service = service_fn(|request| answer(request, ServerOptions::new()));
        http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades().await
    });
    let options = Options::new();
    let socket = pushline::adapter::tokio::client(near, &uri(), ClientOptions::new(), &options).await;
    talk(socket.unwrap()).await;
}

/// RFC 8441 5: on several streams of one connection, with a subprotocol and an extension.
#[tokio::test]
async fn http2_in_both_roles() {
    let server = ServerOptions::new()
        .subprotocols(["b", "a"])
        .unwrap()
        .deflate(DeflateOptions::new(Compression::Shared));
    let http2 = Http2::new(serve_h2(server, true)).await.unwrap();
    let client = ClientOptions::new()
        .subprotocols(["a", "b"])
        .unwrap()
        .deflate(DeflateOptions::new(Compression::Shared));
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let socket = http2.connect(&uri(), &client, &Options::new()).await.unwrap();
        assert_eq!(socket.subprotocol(), Some("b"));
        sockets.push(tokio::spawn(talk(socket)));
    }
    for socket in sockets {
        socket.await.unwrap();
    }
}

/// RFC 8441 3: nothing is sent to a server that does not announce extended CONNECT.
#[tokio::test(start_paused = true)]
async fn a_server_that_forbids_extended_connect() {
    let http2 = Http2::new(serve_h2(ServerOptions::new(), false)).await.unwrap();
    let (uri, client, options) = (uri(), ClientOptions::new(), Options::new());
    let refused = http2.connect(&uri, &client, &options);
    let refused = tokio::time::timeout(Duration::from_secs(3), refused).await.unwrap();
    let Err(Error::Handshake(error)) = refused else { panic!("{refused:?}") };
    assert_eq!((error.error, error.response), (ClientError::ConnectNotEnabled, None));
}

#[tokio::test]
async fn refusals_over_http2_come_with_head_and_body() {
    let http2 = Http2::new(serve_h2(ServerOptions::new(), true)).await.unwrap();
    let client = ClientOptions::new().origin("https://evil.example").unwrap();
    let refused = http2.connect(&uri(), &client, &Options::new()).await;
    let Err(Error::Handshake(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.error, ClientError::UnexpectedStatus(403));
    assert_eq!(error.body, b"the Origin is not allowed\n");
    let head = error.response.unwrap();
    assert!(head.fields.iter().all(|(name, _)| name != "connection" && name != "upgrade"));

    // What is no extended CONNECT for a WebSocket.
    let mut sender = http2.sender();
    let request = |method: &str, protocol: Option<&'static str>| {
        let mut request = Request::new(String::new());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = "http://server.example.com/chat".parse().unwrap();
        request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        request
    };
    for (method, protocol, status) in
        [("GET", None, 405), ("CONNECT", Some("connect-udp"), 501), ("POST", None, 405)]
    {
        let response = sender.send_request(request(method, protocol)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (status, Version::HTTP_2), "{method}");
    }
    // RFC 6455 4.4: the version.
    let mut old = request("CONNECT", Some("websocket"));
    old.headers_mut().insert("sec-websocket-version", "12".parse().unwrap());
    let response = sender.send_request(old).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    // The connection has survived it all.
    talk(http2.connect(&uri(), &ClientOptions::new(), &Options::new()).await.unwrap()).await;
}

/// The peer vanishes in the middle of a frame: RST_STREAM, or the whole connection.
#[tokio::test]
async fn a_stream_that_is_reset_mid_frame() {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = service_fn(|mut request: Request<hyper::body::Incoming>| async move {
            let on = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(on.await.unwrap());
                // Half of a text message; then the stream is dropped.
                stream.write_all(b"\x81\x05He").await.unwrap();
                stream.flush().await.unwrap();
                let mut received = [0; 6];
                stream.read_exact(&mut received).await.unwrap();
                // RFC 8441 5, H2-13: a client's frames are masked here, too.
                assert_eq!((received[0], received[1] & 0x80), (0x81, 0x80));
            });
            Ok::<_, Infallible>(hyper::Response::new(String::new()))
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.enable_connect_protocol().serve_connection(TokioIo::new(far), service).await;
    });
    let http2 = Http2::new(near).await.unwrap();
    let mut socket = http2.connect(&uri(), &ClientOptions::new(), &Options::new()).await.unwrap();
    socket.send("").await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(3), socket.next()).await.unwrap();
    assert!(matches!(next, Some(Err(Error::Aborted | Error::Io(_)))), "{next:?}");
    assert!(socket.next().await.is_none());
}

async fn handler(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.protocols(["not a token", "v2", "v1", "v2"]);
    let protocol = upgrade.protocol().map(String::from);
    upgrade.on_upgrade(|socket: Socket| async move {
        assert_eq!(socket.subprotocol(), protocol.as_deref());
        let _ = echo(socket).await;
    })
}

async fn serve_axum() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/ws", any(handler));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn axum_over_both_versions() {
    let address = serve_axum().await;
    let url = format!("ws://{address}/ws");
    let client = ClientOptions::new().subprotocols(["v1", "v3"]).unwrap();
    let socket = connect(&url, client.clone(), &Options::new()).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("v1"));
    talk(socket).await;
    let http2 = Http2::new(tokio::net::TcpStream::connect(address).await.unwrap()).await.unwrap();
    let socket = http2.connect(&Uri::parse(&url).unwrap(), &client, &Options::new()).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("v1"));
    talk(socket).await;
}

/// Each refusal has its status and a line that says why.
#[tokio::test]
async fn axum_refuses() {
    let address = serve_axum().await;
    let ok = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    for (from, to, status, text) in [
        ("GET", "POST", 405, "the method is not GET\n"),
        ("Upgrade: websocket", "X: y", 426, "the request does not ask for an upgrade to websocket\n"),
        ("Version: 13", "Version: 12", 426, "Sec-WebSocket-Version is not 13\n"),
        ("dGhl", "", 400, "Sec-WebSocket-Key is not the base64 of 16 bytes\n"),
        ("Host: h", "Host: h\r\nOrigin: https://evil.example", 403, "the Origin is not allowed\n"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(ok.replacen(from, to, 1).as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.ends_with(&format!("\r\n\r\n{text}")), "{response}");
        assert!(response.contains(&format!("content-length: {}\r\n", text.len())), "{response}");
    }
}
