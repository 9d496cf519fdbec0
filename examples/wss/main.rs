//! An echo server over TLS, and a page that talks to it: `wss [--listen ADDR] [--cert FILE]`. Default address
//! 127.0.0.1:8443. Its certificate is made at the start, for `localhost`, and written to FILE (DER) for clients that want to
//! trust it: browsers warn of it.

use pushline::adapter::{Error, Options, tokio::accept};
use pushline::http1::head::{FieldLines, HeadLimits, HeadReader, Slots, write_response};
use pushline::ws::handshake::ServerOptions;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, crypto::ring};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Time for TLS and for the request.
const WITHIN: Duration = Duration::from_secs(10);

/// A configuration with a new certificate for these names, and the certificate.
pub fn certificate(names: &[&str]) -> Result<(ServerConfig, Vec<u8>), Box<dyn std::error::Error>> {
    let made =
        rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let der = made.cert.der().clone();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, der.to_vec()))
}

/// Serves one connection.
pub async fn serve(tcp: TcpStream, tls: TlsAcceptor) -> Result<(), Error> {
    let late = |_| io::Error::from(ErrorKind::TimedOut);
    let mut stream = timeout(WITHIN, tls.accept(tcp)).await.map_err(late)??;
    let (path, head) = timeout(WITHIN, request(&mut stream)).await.map_err(late)??;
    if path != "/ws" {
        return Ok(page(&mut stream).await?);
    }
    // What was read of the request already goes in front of the rest.
    let (read, write) = split(stream);
    let stream = join(head.chain(read), write);
    let mut socket = accept(stream, &ServerOptions::new(), &Options::new()).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// The path of a request, and all that was received.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, io::Cursor<Vec<u8>>)> {
    let (mut received, mut reader) = (Vec::with_capacity(2048), HeadReader::new(HeadLimits::default()));
    loop {
        if let Some(head) = reader.read_request(&received, &mut Slots::new()).map_err(io::Error::other)? {
            return Ok((head.path().to_owned(), io::Cursor::new(received)));
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn page(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let content = include_str!("page.html");
    let mut fields = FieldLines::new();
    let length = content.len().to_string();
    for (name, value) in
        [("content-type", "text/html; charset=utf-8"), ("content-length", &length), ("connection", "close")]
    {
        fields.push(name, value).map_err(io::Error::other)?;
    }
    let mut out = Vec::new();
    write_response(&mut out, 200, &fields).map_err(io::Error::other)?;
    out.extend_from_slice(content.as_bytes());
    stream.write_all(&out).await?;
    stream.shutdown().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let option = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1))
    };
    let (config, certificate) = certificate(&["localhost", "127.0.0.1", "::1"])?;
    if let Some(file) = option("--cert") {
        std::fs::write(file, certificate)?;
    }
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(option("--listen").map_or("127.0.0.1:8443", String::as_str)).await?;
    println!("https://localhost:{}", listener.local_addr()?.port());
    loop {
        let (tcp, peer) = listener.accept().await?;
        let serving = serve(tcp, tls.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
