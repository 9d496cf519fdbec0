//! A CometD server: what one client publishes on a channel, such as `/chat`, all who are subscribed to it get, over
//! WebSocket, long polling and callback polling.
//!
//! `cargo run --release --example cometd -- --listen 127.0.0.1:8082`, then point a CometD client at
//! `http://127.0.0.1:8082/cometd`, or Faye's at the same. `--origin URL` lets pages of another origin in.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use pushline::adapter::bayeux::{BayeuxOptions, BayeuxService, Everyone};
use pushline::comet::bayeux::BrokerOptions;
use pushline::comet::cors::CorsPolicy;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

const USAGE: &str =
    "usage: cometd [--listen ADDR] [--timeout MILLISECONDS] [--origin URL]... [--one-cookie-many-clients]";

struct Arguments {
    listen: SocketAddr,
    options: BayeuxOptions,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut listen = SocketAddr::from(([127, 0, 0, 1], 8082));
        let mut config = BrokerOptions::new();
        let mut cors = CorsPolicy::new();
        let mut options = BayeuxOptions::new().callback_polling(true);
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--one-cookie-many-clients" {
                options = options.count_browsers(false);
                continue;
            }
            let value = arguments.next().ok_or(USAGE)?;
            match &*name {
                "--listen" => listen = value.parse()?,
                "--timeout" => config = config.timeout(Duration::from_millis(value.parse()?)),
                "--origin" => {
                    cors = cors.allow_origin(&value)?.credentials(true)?.headers(&["content-type"])?
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(Self { listen, options: options.broker(config).cors(cors) })
    }
}

async fn answer(service: BayeuxService<Everyone>, request: Request<Incoming>) -> Response<String> {
    // CometD's client appends the name of the meta channel.
    match request.uri().path().strip_prefix("/cometd") {
        Some("" | "/" | "/handshake" | "/connect" | "/disconnect") => service.serve(request).await,
        _ => {
            let mut response = Response::new("A CometD server, at /cometd.\n".to_string());
            *response.status_mut() = hyper::StatusCode::NOT_FOUND;
            response
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { listen, options } = Arguments::parse()?;
    let service = BayeuxService::new(options, Everyone);
    let listener = TcpListener::bind(listen).await?;
    println!("http://{}/cometd", listener.local_addr()?);
    loop {
        // Out of file descriptors: others will close theirs.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let service = service.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(service, request).await) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().enable_connect_protocol(); // for WebSockets
            // An error is a client that has left.
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), answer).await;
        });
    }
}
