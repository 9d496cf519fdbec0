//! What handlers that fail, and clients that come and go, leave behind. Time is virtual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use pushline::adapter::socketio::{AckError, EngineIo, SlowClient, SocketIo, SocketIoOptions, SocketRef};
use pushline::socketio::engine::{Data, EngineMessage, EngineOptions, SendError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

async fn ask(io: &SocketIo, sid: &str, post: Option<&str>) -> String {
    let request = http::Request::builder()
        .method(if post.is_some() { "POST" } else { "GET" })
        .uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    let request = request.body(Full::new(Bytes::from(post.unwrap_or_default().to_owned()))).unwrap();
    let response = io.handle(request).await;
    assert_eq!(response.status().as_u16(), 200);
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A client over polling, by hand.
struct Client {
    io: SocketIo,
    engine: String,
}

impl Client {
    async fn open(io: &SocketIo) -> Self {
        let text = ask(io, "", None).await;
        let sid = text.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
        Self { io: io.clone(), engine: format!("&sid={sid}") }
    }

    /// Whatever the answer is.
    async fn try_post(&self, text: &str) {
        let request = http::Request::post(format!("/socket.io/?EIO=4&transport=polling{}", self.engine));
        let body = Full::new(Bytes::from(text.to_owned()));
        self.io.handle(request.body(body).unwrap()).await;
    }

    async fn post(&self, text: &str) {
        assert_eq!(ask(&self.io, &self.engine, Some(text)).await, "ok");
    }

    async fn poll(&self) -> String {
        ask(&self.io, &self.engine, None).await
    }
}

/// Keeps what `on_connect` gave.
fn keep(io: &SocketIo) -> Arc<Mutex<Vec<SocketRef>>> {
    let sockets: Arc<Mutex<Vec<SocketRef>>> = Arc::default();
    let kept = Arc::clone(&sockets);
    io.of("/").on_connect(move |socket, _| {
        kept.lock().unwrap().push(socket);
        async {}
    });
    sockets
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_stays_there() {
    let io = SocketIo::new(SocketIoOptions::new());
    let left = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&left);
    io.of("/").on_disconnect(move |_, _| {
        assert!(seen.fetch_add(1, Ordering::Relaxed) > 0, "the first one fails");
        async {}
    });
    let first = Client::open(&io).await;
    first.post("40").await;
    sleep(Duration::from_secs(1)).await;
    let second = Client::open(&io).await;
    second.post("40").await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!((left.load(Ordering::Relaxed), io.clients()), (2, 0), "both have run into their ping timeout");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_does_not_end_the_session() {
    let io = SocketIo::new(SocketIoOptions::new());
    io.of("/").on("a", |_, _| async { panic!("in its future") });
    io.of("/").on("b", |_, event| {
        assert!(event.wants_ack(), "before its future");
        async move { event.ack(&1).unwrap() }
    });
    let client = Client::open(&io).await;
    client.post("40").await;
    client.poll().await;
    client.post("42[\"a\"]\u{1e}42[\"b\"]\u{1e}427[\"b\"]").await;
    assert_eq!(client.poll().await, "437[1]");
}

#[tokio::test(start_paused = true)]
async fn an_old_socket_leaves_the_new_one_alone() {
    let io = SocketIo::new(SocketIoOptions::new());
    let sockets = keep(&io);
    let client = Client::open(&io).await;
    client.post("40").await;
    client.post("41").await;
    client.post("40").await;
    let [old, new] = &sockets.lock().unwrap()[..] else { panic!("two") };
    old.disconnect();
    assert!(!old.is_connected() && new.is_connected());
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_waits_for_any_more() {
    let io = SocketIo::new(SocketIoOptions::new());
    let sockets = keep(&io);
    let client = Client::open(&io).await;
    client.post("40").await;
    client.poll().await;
    let socket = sockets.lock().unwrap()[0].clone();
    for _ in 0..1000 {
        let asked = socket.emit_with_ack("a", &(), Duration::MAX);
        assert!(timeout(Duration::from_millis(1), asked).await.is_err());
        client.poll().await;
    }
    let asked = socket.emit_with_ack("a", &(), Duration::from_secs(1)).await;
    assert_eq!(asked.unwrap_err(), AckError::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn questions_to_a_slow_client() {
    for slow in [SlowClient::Drop, SlowClient::Disconnect] {
        let engine = EngineOptions::new().max_queued(3);
        let io = SocketIo::new(SocketIoOptions::new().engine(engine).slow_client(slow));
        let sockets = keep(&io);
        let client = Client::open(&io).await;
        client.post("40").await;
        client.poll().await;
        let socket = sockets.lock().unwrap()[0].clone();
        [(); 2].iter().for_each(|()| socket.emit("a", &()).unwrap());
        for _ in 0..1001 {
            let asked = socket.emit_with_ack("a", &(), Duration::MAX).await;
            assert!(
                matches!(asked, Err(AckError::Send(SendError::Full) | AckError::Disconnected)),
                "{asked:?}"
            );
        }
        assert_eq!(socket.is_connected(), slow == SlowClient::Drop);
    }
}

#[tokio::test(start_paused = true)]
async fn dynamic_namespaces_are_one_for_all() {
    let io = SocketIo::new(SocketIoOptions::new());
    let notify = Arc::new(Notify::new());
    let go = Arc::clone(&notify);
    let here: Arc<Mutex<Vec<SocketRef>>> = Arc::default();
    let kept = Arc::clone(&here);
    io.of_each(|name| name.starts_with("/room-"))
        .authorize(move |auth| {
            let go = Arc::clone(&go);
            async move {
                let wait = auth.json().object().unwrap().get("wait").is_some();
                if wait {
                    go.notified().await;
                }
                if auth.json().object().unwrap().get("no").is_some() { Err("no".into()) } else { Ok(()) }
            }
        })
        .on_connect(move |socket, _| {
            kept.lock().unwrap().push(socket);
            async {}
        });
    let [a, b, c] = [Client::open(&io).await, Client::open(&io).await, Client::open(&io).await];
    // One waits to be let in while another, the last one there, leaves.
    a.post("40/room-1,").await;
    b.post("40/room-1,{\"wait\":1}").await;
    a.post("41/room-1,").await;
    notify.notify_one();
    assert!(b.poll().await.starts_with("40/room-1,"));
    c.post("40/room-1,").await;
    c.poll().await;
    let socket = here.lock().unwrap().last().unwrap().clone();
    assert_eq!(socket.broadcast().emit("hello", &()), 1, "they are in the same namespace");
    // A namespace that the application has named stays, with the handlers of the pattern.
    let named = [io.of("/room-1"), io.of("/room-2")];
    b.post("41/room-1,").await;
    c.post("41/room-1,").await;
    for namespace in ["/room-1", "/room-2"] {
        a.post(&format!("40{namespace},{{\"no\":1}}")).await;
        assert!(a.poll().await.contains(&format!("44{namespace},")), "the pattern's handler decides");
        a.post(&format!("40{namespace},")).await;
        a.poll().await;
    }
    assert_eq!(named.map(|namespace| namespace.emit("hello", &())), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_told_that_it_is_in_or_out_is_disconnected() {
    for slow in [SlowClient::Drop, SlowClient::Disconnect] {
        let engine = EngineOptions::new().max_queued(3);
        for wants in ["40/chat,", "40/nowhere,", ""] {
            let io = SocketIo::new(SocketIoOptions::new().engine(engine).slow_client(slow));
            io.of("/chat");
            let sockets = keep(&io);
            let client = Client::open(&io).await;
            client.post("40").await;
            client.poll().await;
            let socket = sockets.lock().unwrap()[0].clone();
            [(); 2].iter().for_each(|()| socket.emit("a", &()).unwrap());
            if wants.is_empty() {
                socket.disconnect();
            } else {
                client.try_post(wants).await;
            }
            assert_eq!(io.clients(), 0, "{slow:?} {wants}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pattern_may_ask_the_server() {
    let io = SocketIo::new(SocketIoOptions::new());
    io.of("/known");
    let asks = io.clone();
    io.of_each(move |name| {
        asks.of("/known");
        name == "/asked"
    });
    io.of("/asked").emit("hello", &());
}

#[tokio::test(start_paused = true)]
async fn whoever_decides_and_panics_has_decided() {
    let io = SocketIo::new(SocketIoOptions::new());
    io.of("/").authorize(|auth| {
        let asked = |name| auth.json().object().is_some_and(|auth| auth.get(name).is_some());
        assert!(!asked("at once"), "before its future");
        let [first, later] = ["first", "later"].map(asked);
        async move {
            assert!(!first, "in the first poll");
            tokio::task::yield_now().await;
            assert!(!later, "in a later one");
            Ok(())
        }
    });
    let client = Client::open(&io).await;
    for wrong in ["at once", "first", "later"] {
        client.post(&format!("40{{\"{wrong}\":1}}")).await;
        assert_eq!(client.poll().await, "44{\"message\":\"Internal error\"}", "{wrong}");
    }
    client.post("40").await;
    assert!(client.poll().await.starts_with("40{"), "it may try again");
}

/// A namespace that lets in on a task, and whose `on_connect` takes its time before it first waits.
fn deliberate(io: &SocketIo) -> (Arc<Mutex<Vec<&'static str>>>, std::sync::mpsc::Sender<()>) {
    let (told, hears) = std::sync::mpsc::channel();
    let (log, hears): (Arc<Mutex<Vec<_>>>, _) = (Arc::default(), Mutex::new(hears));
    let [connect, event, left] = [(); 3].map(|()| Arc::clone(&log));
    io.of("/")
        .authorize(|_| async {
            tokio::task::yield_now().await;
            Ok(())
        })
        .on_connect(move |_, _| {
            hears.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
            connect.lock().unwrap().push("connect");
            async {}
        })
        .on("event", move |_, _| {
            event.lock().unwrap().push("event");
            async {}
        })
        .on_disconnect(move |_, _| {
            left.lock().unwrap().push("left");
            async {}
        });
    (log, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn on_connect_comes_before_what_the_client_does_next() {
    for leaves in [false, true] {
        let io = SocketIo::new(SocketIoOptions::new());
        let (log, told) = deliberate(&io);
        let client = Client::open(&io).await;
        client.post("40").await;
        assert!(client.poll().await.starts_with("40{"));
        client.post("42[\"event\"]\u{1e}42[\"event\"]").await;
        if leaves {
            client.post("41").await;
        }
        assert!(log.lock().unwrap().is_empty(), "it has not begun");
        told.send(()).unwrap();
        let expected =
            if leaves { &["connect", "event", "event", "left"][..] } else { &["connect", "event", "event"] };
        timeout(Duration::from_secs(20), async {
            while log.lock().unwrap().len() < expected.len() {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(*log.lock().unwrap(), expected);
        if !leaves {
            client.post("42[\"event\"]").await;
            assert_eq!(log.lock().unwrap().len(), 4, "from now on at once");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_more_than_256_events_wait_for_on_connect() {
    for (events, stays) in [(255, true), (256, true), (257, false)] {
        let io = SocketIo::new(SocketIoOptions::new());
        let (log, told) = deliberate(&io);
        let client = Client::open(&io).await;
        client.post("40").await;
        assert!(client.poll().await.starts_with("40{"));
        client.try_post(&vec!["42[\"event\"]"; events].join("\u{1e}")).await;
        assert_eq!(io.clients() == 1, stays, "{events}");
        told.send(()).unwrap();
        let expected = 1 + events.min(256) + usize::from(!stays);
        timeout(Duration::from_secs(20), async {
            while log.lock().unwrap().len() < expected {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(log.lock().unwrap()[0], "connect");
        assert_eq!(log.lock().unwrap().last() == Some(&"left"), !stays);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_session_of_engine_io_alone() {
    let echo = EngineIo::new(SocketIoOptions::new(), |session, data| {
        let Data::Text(text) = data else { return };
        assert_ne!(text, "panic");
        session.send(EngineMessage::text(text)).unwrap();
    });
    let ask = async |sid: &str, post: Option<&'static str>| {
        let request = http::Request::builder()
            .method(if post.is_some() { "POST" } else { "GET" })
            .uri(format!("/engine.io/?EIO=4&transport=polling{sid}"));
        let request = request.body(Full::new(Bytes::from(post.unwrap_or_default()))).unwrap();
        let body = echo.handle(request).await.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let open = async || {
        let text = ask("", None).await;
        format!("&sid={}", text.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap())
    };
    let [one, other] = [open().await, open().await];
    ask(&one, Some("4panic")).await;
    assert_eq!(echo.sessions(), 1);
    ask(&other, Some("4hello")).await;
    assert_eq!(ask(&other, None).await, "4hello");
}

/// The request that opens a session says who its client is, on either transport; nobody else is let in.
#[tokio::test(start_paused = true)]
async fn who_a_client_is_its_request_says() {
    struct User(String);
    let options = || {
        SocketIoOptions::new().identify(|request| {
            let cookie = request.headers.get("cookie")?.to_str().ok()?;
            Some(User(cookie.strip_prefix("user=")?.to_owned()))
        })
    };
    let io = SocketIo::new(options());
    let sockets = keep(&io);
    io.of("/").authorize(|auth| async move {
        let user = auth.identity::<User>().map(|User(name)| name.as_str());
        if user == Some("Ada") { Ok(()) } else { Err(format!("not for {user:?}")) }
    });
    let open = |transport: &str, cookie: &str| {
        let mut request =
            http::Request::get(format!("/socket.io/?EIO=4&transport={transport}")).header("cookie", cookie);
        if transport == "websocket" {
            request = request
                .header("host", "h")
                .header("connection", "Upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        }
        request.body(Full::new(Bytes::new())).unwrap()
    };
    let text = async |response: http::Response<pushline::adapter::socketio::SocketIoBody>| {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    for transport in ["polling", "websocket"] {
        let refused = io.handle(open(transport, "name=Ada")).await;
        assert_eq!(refused.status(), 403, "{transport}");
        assert_eq!(text(refused).await, r#"{"code":4,"message":"Forbidden"}"#);
    }
    assert_eq!(io.handle(open("websocket", "user=Ada")).await.status(), 101);
    for (cookie, answer) in
        [("user=Ada", "40{\"sid\""), ("user=Bob", "44{\"message\":\"not for Some(\\\"Bob\\\")\"}")]
    {
        let opened = text(io.handle(open("polling", cookie)).await).await;
        let sid = opened.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
        let client = Client { io: io.clone(), engine: format!("&sid={sid}") };
        client.post("40").await; // without a cookie: the identifier is enough
        let said = client.poll().await;
        assert!(said.starts_with(answer), "{said}");
    }
    let socket = sockets.lock().unwrap().pop().unwrap();
    assert_eq!(socket.identity::<User>().map(|User(name)| name.as_str()), Some("Ada"));
    assert!(socket.identity::<String>().is_none());

    let echo = EngineIo::new(options(), |session, _| {
        let name = session.identity::<User>().map(|User(name)| name.clone());
        let _ = session.send(EngineMessage::text(&name.unwrap_or_default()));
    });
    let opened = text(echo.handle(open("polling", "user=Cy")).await).await;
    let sid = opened.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
    let uri = format!("/?EIO=4&transport=polling&sid={sid}");
    let post = http::Request::post(&uri).body(Full::new(Bytes::from_static(b"4who am I?"))).unwrap();
    echo.handle(post).await;
    let answer =
        text(echo.handle(http::Request::get(&uri).body(Full::new(Bytes::new())).unwrap()).await).await;
    assert_eq!(answer, "4Cy");
}
