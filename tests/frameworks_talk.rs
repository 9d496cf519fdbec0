//! What the applications of SockJS and Atmosphere do to the sessions that they are called with. Time is virtual.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use futures_util::StreamExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pushline::adapter::Options;
use pushline::adapter::frameworks::{FrameworkBody, SockJs, SockJsSocket};
use pushline::adapter::tokio::{WebSocket, client};
use pushline::ws::handshake::{ClientOptions, Uri};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};

async fn connect(service: &SockJs, path: &str) -> WebSocket<DuplexStream> {
    let (near, far) = tokio::io::duplex(1 << 12);
    let service = service.clone();
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.serve(request).await) }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades());
    let uri = Uri::parse(&format!("ws://h{path}")).unwrap();
    client(near, &uri, ClientOptions::new(), &Options::new()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_begins_a_session_may_ask_how_many_there_are() {
    static SERVICE: OnceLock<SockJs> = OnceLock::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let service = SERVICE.get_or_init(|| {
        SockJs::new("/echo", |socket: SockJsSocket| {
            SEEN.fetch_add(SERVICE.get().unwrap().sessions(), Ordering::Relaxed);
            async move { socket.close(3000, "") }
        })
    });
    // On a thread of its own: what hangs would hang the test.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let request = http::Request::post("/echo/000/s1/xhr").body(FrameworkBody::default()).unwrap();
        runtime.block_on(async {
            service.serve(request).await;
            tokio::task::yield_now().await;
        });
        tell.send(()).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_secs(10)).is_ok(), "it hangs");
    assert_eq!(SEEN.load(Ordering::Relaxed), 1);
}

/// Counts those that are there.
struct Here(Arc<AtomicUsize>);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_takes_nothing_is_heard_and_hears_that_its_client_is_gone() {
    for path in ["/ticks/000/s1/websocket", "/ticks/websocket"] {
        let here = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&here);
        let service = SockJs::new("/ticks", move |socket: SockJsSocket| {
            count.fetch_add(1, Ordering::Relaxed);
            let here = Here(Arc::clone(&count));
            async move {
                let _here = here;
                while socket.send("tick").is_ok() {
                    sleep(Duration::from_secs(5)).await;
                }
            }
        });
        let mut socket = connect(&service, path).await;
        let mut next = async || socket.next().await.unwrap().unwrap().as_text().unwrap().to_owned();
        let ticks = if path.contains("000") { "a[\"tick\"]" } else { "tick" };
        while next().await != ticks {}
        for _ in 0..200 {
            if timeout(Duration::from_secs(1), socket.send("[\"x\"]")).await.is_err() {
                break;
            }
        }
        let next = timeout(Duration::from_secs(10), socket.next()).await;
        assert_eq!(
            next.unwrap_or_else(|_| panic!("no tick: {path}")).unwrap().unwrap().as_text(),
            Some(ticks),
            "{path}"
        );
        drop(socket);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(here.load(Ordering::Relaxed), 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_is_a_stream_that_ends_with_it() {
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel();
    let service = SockJs::new("/all", move |socket: SockJsSocket| {
        let give = give.clone();
        async move { give.send(StreamExt::collect::<Vec<String>>(socket).await).unwrap() }
    });
    let mut socket = connect(&service, "/all/websocket").await;
    socket.send("one").await.unwrap();
    socket.send("two").await.unwrap();
    drop(socket);
    assert_eq!(given.recv().await.unwrap(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_is_kept_by_whoever_wants_to_and_fails_once_the_session_is_over() {
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel();
    let service = SockJs::new("/room", move |mut socket: SockJsSocket| {
        give.send(socket.sender().clone()).unwrap();
        async move { while socket.next().await.is_some() {} }
    });
    let mut socket = connect(&service, "/room/websocket").await;
    let sender = given.recv().await.unwrap();
    assert_eq!(sender.send("from elsewhere"), Ok(()));
    assert_eq!(socket.next().await.unwrap().unwrap().as_text(), Some("from elsewhere"));
    drop(socket);
    sleep(Duration::from_secs(60)).await;
    assert!(sender.send("too late").is_err());
}
