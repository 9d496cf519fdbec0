//! The example `hyper_echo`: over TLS, HTTP/1.1 and HTTP/2 as ALPN has it.

#[allow(dead_code)]
#[path = "../examples/hyper_echo/main.rs"]
mod example;

use pushline::adapter::Options;
use pushline::adapter::hyper::Http2;
use pushline::adapter::tokio::client;
use pushline::ws::Message;
use pushline::ws::handshake::{ClientOptions, Uri};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto, pki_types};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A connection to the example that has agreed on `alpn`.
async fn connect(alpn: &str) -> TlsStream<DuplexStream> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let certificate = pki_types::CertificateDer::from(made.cert);
    let key = pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let mut server =
        server.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.unwrap();
        example::serve(stream).await;
    });
    let name = pki_types::ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, near).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
    stream
}

#[tokio::test]
async fn websockets_over_http2_and_tls() {
    let http2 = Http2::new(connect("h2").await).await.unwrap();
    let uri = Uri::parse("wss://localhost/ws").unwrap();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(http2.connect(&uri, &ClientOptions::new(), &Options::new()).await.unwrap());
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(number.to_string()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from(number.to_string()));
        socket.close(1000, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_websocket_over_http1_and_tls() {
    let uri = Uri::parse("wss://localhost/ws").unwrap();
    let stream = connect("http/1.1").await;
    let mut socket = client(stream, &uri, ClientOptions::new(), &Options::new()).await.unwrap();
    socket.send("Hello").await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("Hello"));
    socket.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn the_page() {
    let mut stream = connect("http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("</html>\n"));
}
