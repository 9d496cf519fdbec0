//! The services of the example, and their server.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pushline::adapter::frameworks::{FrameworkBody, SockJs, SockJsSocket};
use pushline::comet::sockjs::{SockJsOptions, SockJsService};
use pushline::ws::handshake::OriginPolicy;
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn echo(mut socket: SockJsSocket) {
    while let Some(text) = socket.next().await {
        if socket.send(&text).is_err() {
            return; // the client does not fetch what it is sent
        }
    }
}

async fn close(socket: SockJsSocket) {
    socket.close(3000, "Go away!");
}

/// The services. Pages of every origin may use them: there is nothing here that anyone could take.
fn services(client: Option<&str>) -> [SockJs; 4] {
    let mut open = SockJsService::new().origins(OriginPolicy::any());
    if let Some(url) = client {
        open = open.sockjs_url(url);
    }
    let config = SockJsOptions::new().response_limit(4096);
    [
        SockJs::new("/echo", echo).service(open.clone()),
        SockJs::new("/disabled_websocket_echo", echo).service(open.clone().websocket(false)),
        SockJs::new("/cookie_needed_echo", echo).service(open.clone().cookie(true)),
        SockJs::new("/close", close).service(open),
    ]
    .map(|service| service.session(config))
}

async fn answer(services: &[SockJs], request: http::Request<Incoming>) -> http::Response<FrameworkBody> {
    match services.iter().find(|service| service.serves(request.uri().path())) {
        Some(service) => service.serve(request).await,
        None => {
            let mut response = http::Response::new(FrameworkBody::default());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response
        }
    }
}

/// Accepts connections for ever. `client` is where iframes load the client from.
pub async fn serve(listener: TcpListener, client: Option<&str>) {
    let services: &'static [SockJs] = Box::leak(Box::new(services(client)));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let serve =
            service_fn(move |request| async move { Ok::<_, Infallible>(answer(services, request).await) });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), serve);
        tokio::spawn(connection.with_upgrades());
    }
}
