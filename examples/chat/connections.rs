//! The connections: accepts them, and sees them off at last. HTTP is hyper's.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pushline::adapter::Admission;
use pushline::adapter::tokio::Guarded;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::chat::Limits;
use crate::protocol::MAX_REQUEST;
use crate::server::{Server, app};

/// Connections at once, 16,384; more are closed as they come. Without it, they could use up all file descriptors. Whoever lets
/// more into a room than by default lets two connections of each in.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// Time for a request's head or body, and how long a connection may be idle before it.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Time for the peer to acknowledge what is written: behind it, the system ends the connection.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// A JSONP message travels in the request line, each byte of it as `%XX` at worst.
const MAX_HEAD: usize = 2 * MAX_REQUEST;

/// How often the rooms look for members who did not come back.
const TICK: Duration = Duration::from_millis(500);

/// Time for a connection to end when the server does, and for all of them.
const END_WITHIN: Duration = Duration::from_secs(2);
const GOODBYE_WITHIN: Duration = Duration::from_secs(7);

/// Tells that the server is about to end; who holds one is waited for.
pub type Stop = watch::Receiver<bool>;

/// A connection that counts for as long as it is there.
type Accepted = Guarded<TcpStream>;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Serves until `end` is done; then closes every connection and waits for that, but not for ever.
pub async fn run(
    mut listener: TcpListener,
    server: Arc<Server>,
    tls: Option<TlsAcceptor>,
    end: impl Future<Output = ()>,
) {
    let app = app(&server);
    // Each client may take two: one that receives, one that sends.
    let per_address = match server.options.behind_proxy {
        true => MAX_CONNECTIONS,
        false => server.chat.limits.per_address.saturating_mul(2).saturating_add(16),
    };
    let most = match server.chat.limits.members {
        members if members > Limits::default().members => members.saturating_mul(2),
        _ => MAX_CONNECTIONS,
    };
    let admission = Admission::new(per_address, most);
    let ticks = async {
        let mut ticks = interval(TICK);
        loop {
            ticks.tick().await;
            server.visits.sweep();
            server.chat.tick().await;
        }
    };
    let accept = async {
        loop {
            let (stream, peer) = axum::serve::Listener::accept(&mut listener).await;
            if let Some(admitted) = admission.enter(peer.ip()) {
                let (app, tls, stop) = (app.clone(), tls.clone(), server.stop.subscribe());
                prepare(&stream);
                // A WebSocket goes on when hyper has done with the connection: the stream keeps its place.
                let stream = Guarded::new(stream, admitted);
                tokio::spawn(connection(stream, Peer(peer.ip()), app, tls, stop));
            }
        }
    };
    tokio::select! {
        () = end => {}
        () = ticks => {}
        () = accept => {}
    }
    drop(listener);
    server.stop.send_replace(true);
    server.chat.bye();
    let _ = timeout(GOODBYE_WITHIN, server.stop.closed()).await;
}

fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_WITHIN));
}

/// Serves one connection until it ends. How it ends is nobody's concern here: the room has noticed.
async fn connection(stream: Accepted, peer: Peer, app: Router, tls: Option<TlsAcceptor>, mut stop: Stop) {
    match tls {
        // Boxed, for it is many times as large, and a task is as large as its largest part.
        Some(tls) => Box::pin(secure(stream, peer, app, tls, &mut stop)).await,
        None => http1(stream, peer, app, &mut stop).await,
    }
}

async fn secure(stream: Accepted, peer: Peer, app: Router, tls: TlsAcceptor, stop: &mut Stop) {
    let Ok(Ok(stream)) = timeout(REQUEST_WITHIN, tls.accept(stream)).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return http1(stream, peer, app, stop).await;
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(WRITE_WITHIN).max_concurrent_streams(64);
    builder.max_header_list_size(MAX_HEAD as u32);
    // RFC 8441 3: without it, browsers open their WebSockets over HTTP/1.1.
    builder.enable_connect_protocol();
    let connection = builder.serve_connection(TokioIo::new(stream), service(peer, app));
    drive(pin!(connection), |connection| connection.graceful_shutdown(), stop).await;
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    app: Router,
    stop: &mut Stop,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service(peer, app)).with_upgrades();
    drive(pin!(connection), |connection| connection.graceful_shutdown(), stop).await;
}

/// Serves until the connection ends; one that is busy when the server ends has a little time for that.
async fn drive<C: Future>(mut connection: Pin<&mut C>, shut_down: impl FnOnce(Pin<&mut C>), stop: &mut Stop) {
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stopped(stop) => shut_down(connection.as_mut()),
    }
    let _ = timeout(END_WITHIN, connection).await;
}

/// Waits until the server is about to end.
pub async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// All requests of this connection say where they come from.
fn service(
    peer: Peer,
    app: Router,
) -> impl Service<hyper::Request<hyper::body::Incoming>, Response = Response, Error = Infallible, Future: Send>
{
    let app = TowerToHyperService::new(app);
    service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        app.call(request)
    })
}
