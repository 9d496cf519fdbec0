//! An echo server on hyper alone: HTTP/1.1 and HTTP/2 on the same port, and a page that opens several sockets.
//!
//! `cargo run --example hyper_echo -- [--listen ADDR] [--tls]`. With `--tls` its certificate is made at the start, for
//! `localhost`: browsers warn of it. Over TLS browsers choose HTTP/2, and open their WebSockets on it (RFC 8441).

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use pushline::adapter::hyper::{Socket, refuse, upgrade};
use pushline::adapter::{Error, Options};
use pushline::ws::handshake::ServerOptions;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig, pki_types};

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_data() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    if request.uri().path() != "/ws" {
        let page = Response::builder().header("content-type", "text/html; charset=utf-8");
        return Ok(page.body(include_str!("page.html").into()).unwrap_or_default());
    }
    Ok(match upgrade(&mut request, &ServerOptions::new(), &Options::new()) {
        Ok((response, socket)) => {
            tokio::spawn(async move { echo(socket.await?).await });
            response
        }
        Err(rejection) => refuse(&rejection),
    })
}

pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let mut builder = Builder::new(TokioExecutor::new());
    // RFC 8441 3: without it, browsers open their WebSockets over HTTP/1.1.
    builder.http2().enable_connect_protocol();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer));
    if let Err(error) = connection.await {
        eprintln!("{error}");
    }
}

fn certificate() -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let names = ["localhost".to_string(), "127.0.0.1".to_string()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let listen = arguments.iter().position(|argument| argument == "--listen");
    let address = listen.and_then(|at| arguments.get(at + 1)).map_or("127.0.0.1:8080", String::as_str);
    let tls = if arguments.iter().any(|argument| argument == "--tls") { Some(certificate()?) } else { None };
    let listener = TcpListener::bind(address).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve(stream).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream).await,
                    Err(error) => eprintln!("{error}"),
                },
            }
        });
    }
}
