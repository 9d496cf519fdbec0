//! A server behind hyper on a port of loopback, and what waits for it; the client is `common/raw_http.rs`.

pub use crate::raw_http::{Framing, Http as Client, Reply};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pushline::adapter::Options;
use pushline::adapter::blocking::{self, ClientStream, WebSocket};
use pushline::ws::Message;
use pushline::ws::handshake::ClientOptions;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Serves until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    /// `make` is called inside of the runtime: it gives what the test looks at, and the function that answers.
    pub fn start<T, F, R, B>(make: impl FnOnce() -> (T, F)) -> (Self, T)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<B>> + Send,
        B: Body<Error = Infallible> + Send + 'static,
        B::Data: Send,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guard = runtime.enter();
        let (seen, answer) = make();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                // What the system would take for a client that does not read.
                let _ = socket2::SockRef::from(&stream).set_send_buffer_size(8 << 10);
                count.fetch_add(1, Ordering::SeqCst);
                let (open, answer) = (Open(Arc::clone(&count)), answer.clone());
                let serve = service_fn(move |request| {
                    let answer = answer.clone();
                    async move { Ok::<_, Infallible>(answer(request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), serve);
                tokio::spawn(async move {
                    let _ = connection.with_upgrades().await;
                    drop(open);
                });
            }
        });
        drop(guard);
        (Self { address, connections, _runtime: runtime }, seen)
    }

    /// A request of its own connection, and the whole response.
    pub fn ask(&self, method: &str, target: &str, body: &str) -> Reply {
        let mut client = Client::connect(self.address);
        client.send(method, target, &[], body);
        client.reply()
    }

    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "")
    }

    pub fn post(&self, target: &str, body: &str) -> Reply {
        self.ask("POST", target, body)
    }

    /// A request whose response is not looked at yet.
    pub fn begin(&self, method: &str, target: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.send(method, target, &[], "");
        client
    }

    pub fn websocket(&self, target: &str) -> Result<WebSocket<ClientStream>, pushline::adapter::Error> {
        let url = format!("ws://{}{target}", self.address);
        blocking::connect(&url, ClientOptions::new(), &Options::new())
    }

    /// Waits until the server has noticed that all but so many have left.
    pub fn has_connections(&self, count: usize) {
        until("connections", || self.connections.load(Ordering::SeqCst) == count);
    }
}

/// Waits until it is so. Looks are counted and not seconds: a process that was stopped meanwhile has not looked.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it does not come to be: {what}");
}

/// A moment in which whatever is busy would show.
pub fn moment() {
    std::thread::sleep(Duration::from_millis(150));
}

/// The next text; `None` at the end, however it comes.
pub fn text(socket: &mut WebSocket<ClientStream>) -> Option<String> {
    loop {
        match socket.next() {
            Ok(Some(Message::Text(text))) => return Some(text.into()),
            Ok(Some(Message::Close(_)) | None) | Err(_) => return None,
            Ok(Some(_)) => {}
        }
    }
}
