//! Atmosphere behind hyper: what one says at `/atmosphere/chat`, all who are there hear.
//!
//! `cargo run --all-features --example atmosphere -- --listen 127.0.0.1:8083`, then in a page
//! `atmosphere.subscribe({ url: 'http://127.0.0.1:8083/atmosphere/chat', transport: 'websocket', trackMessageLength: true,
//! enableProtocol: true }, handlers)`.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pushline::adapter::frameworks::{Atmosphere, AtmospherePeer, AtmosphereSender, FrameworkBody};
use pushline::comet::atmosphere::{AtmosphereOptions, AtmosphereService};
use pushline::ws::handshake::OriginPolicy;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// All who are there.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<Vec<(u64, AtmosphereSender)>>>);

impl Room {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<(u64, AtmosphereSender)>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn talk(self, number: u64, mut peer: AtmospherePeer) {
        self.with(|all| all.push((number, peer.sender().clone())));
        while let Some(text) = peer.next().await {
            let text: Arc<str> = text.into();
            // Who does not fetch what is said misses it.
            self.with(|all| all.iter().for_each(|(_, sender)| _ = sender.send(text.clone())));
        }
        self.with(|all| all.retain(|(other, _)| *other != number));
    }
}

fn service() -> Atmosphere {
    let room = Room::default();
    let numbers = std::sync::atomic::AtomicU64::new(0);
    // Pages of every origin may join: there is nothing here that anyone could take.
    Atmosphere::new("/atmosphere/chat", move |peer| {
        room.clone().talk(numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed), peer)
    })
    .service(AtmosphereService::new().origins(OriginPolicy::any()))
    .session(AtmosphereOptions::new().client_heartbeat(Duration::from_secs(20)))
}

async fn answer(service: Atmosphere, request: http::Request<Incoming>) -> http::Response<FrameworkBody> {
    service.serve(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => "127.0.0.1:8083".to_owned(),
        [flag, address] if flag == "--listen" => address.clone(),
        _ => return Err("usage: atmosphere [--listen ADDRESS:PORT]".into()),
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/atmosphere/chat", listener.local_addr()?);
    let service = service();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service.clone();
        let serve = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(answer(service, request).await) }
        });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), serve);
        tokio::spawn(connection.with_upgrades());
    }
}
