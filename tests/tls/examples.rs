//! The examples: the server and its page, the client in a few lines, the client of a language model.

use super::*;
use pushline::adapter::tokio::sse::SourceOptions;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[allow(dead_code)]
#[path = "../../examples/llm_client.rs"]
mod llm_client;
#[allow(dead_code)]
#[path = "../../examples/wss/main.rs"]
mod wss;
#[allow(dead_code)]
#[path = "../../examples/wss_client.rs"]
mod wss_client;

#[test]
fn server_and_client() {
    block_on(async {
        let (config, certificate) = wss::certificate(&["localhost"]).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.into()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (tcp, _) = listener.accept().await.unwrap();
                wss::serve(tcp, acceptor.clone()).await.unwrap();
            }
        });
        let options = Options::new().tls(Arc::clone(&config));
        wss_client::say(&format!("wss://localhost:{port}/ws"), &options).await.unwrap();

        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/html"), "{page}");
        assert!(page.contains("new WebSocket(`wss://"));
        server.await.unwrap();
    });
}

#[test]
fn a_language_model() {
    let house = House::new();
    let config = house.server();
    let (port, server) = once("127.0.0.1", move |tcp| {
        let mut stream = TlsStream::server(tcp, config, LONG).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}]}") {
            let mut bytes = [0; 2048];
            let n = stream.read(&mut bytes).unwrap();
            assert!(n > 0);
            request.extend_from_slice(&bytes[..n]);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let body = "d\r\ndata: Hello\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream.flush().unwrap();
        String::from_utf8(request).unwrap()
    });
    block_on(async {
        let options = SourceOptions::new().tls(house.client()).field("authorization", "Bearer k").unwrap();
        let options = options.post("application/json", r#"{"stream":true,"messages":[{}]}"#);
        llm_client::ask(&format!("https://localhost:{port}/v1/chat"), options).await.unwrap();
    });
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /v1/chat HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: Bearer k\r\n") && request.contains("\"stream\":true"));
}
