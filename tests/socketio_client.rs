//! The client against our own server, over sockets: each transport, the upgrade, answers both ways, binary, refusals,
//! coming back, recovery; and its session without I/O.

use bytes::Bytes;
use pushline::adapter::socketio::{
    ClientEvent, SocketIo, SocketIoClient, SocketIoClientOptions, SocketIoOptions,
};
use pushline::backoff::Backoff;
use pushline::json;
use pushline::socketio::engine::{
    self, Data, EngineClientOptions, EngineCloseReason, EngineMessage, SendError, Task, TransportKind,
    records,
};
use pushline::socketio::{Json, RecoveryOptions};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

async fn serve(options: SocketIoOptions) -> (String, SocketIo) {
    let io = SocketIo::new(options);
    io.of("/")
        .on_connect(|socket, auth| async move {
            let _ = socket.emit("auth", &auth.json());
        })
        .on("message", |socket, event| async move {
            let _ = socket.emit("message-back", &event.payload);
        })
        .on("message-with-ack", |_, event| async move {
            let _ = event.ack(&event.payload);
        })
        .on("emit-with-ack", |socket, event| async move {
            if let Ok(answer) = socket.emit_with_ack("emit-with-ack", &event.payload, 5 * SECOND).await {
                let _ = socket.emit("answered", &answer);
            }
        })
        .on_args("add", |_, (a, b): (u32, u32), event| async move {
            let _ = event.ack(&Json(a + b));
        })
        .on("talk", |socket, _| async move {
            for n in 0..200_u32 {
                let _ = socket.emit("said", &n);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .on("cut", |socket, _| async move { socket.close() })
        .on("out", |socket, _| async move { socket.disconnect() });
    io.of("/closed").authorize(|_| async { Err("not you".into()) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = io.clone();
    let app = axum::Router::new().route(
        "/socket.io/",
        axum::routing::any(
            move |request: axum::extract::Request| async move { server.handle(request).await },
        ),
    );
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, io)
}

async fn next(client: &mut SocketIoClient) -> ClientEvent {
    tokio::time::timeout(10 * SECOND, client.next()).await.expect("in time").expect("more")
}

/// The arguments of the next event of this name; others are passed over.
async fn event(client: &mut SocketIoClient, name: &str) -> pushline::socketio::Payload {
    loop {
        if let ClientEvent::Event { payload, .. } = next(client).await
            && payload.name().is_some_and(|got| got.is(name))
        {
            return payload;
        }
    }
}

fn options(engine: EngineClientOptions) -> SocketIoClientOptions {
    let quick = Backoff::new().ceiling(Duration::from_millis(50));
    SocketIoClientOptions::new().engine(engine).backoff(Duration::from_millis(10), quick)
}

/// Where npm's socket.io is (`tests/socketio/run.sh`).
fn official(which: &str) -> String {
    std::env::var(which).expect("the URL of a server")
}

#[tokio::test]
async fn talks_over_each_transport() {
    let (url, _io) = serve(SocketIoOptions::new()).await;
    talk(&url).await;
}

#[tokio::test]
#[ignore = "needs npm's socket.io"]
async fn talks_to_the_official_server() {
    talk(&official("SOCKETIO_URL")).await;
}

async fn talk(url: &str) {
    let websocket = EngineClientOptions::new().transport(TransportKind::WebSocket);
    for config in [websocket, EngineClientOptions::new().upgrade(false), EngineClientOptions::new()] {
        let auth = json::check(r#"{"token":"a"}"#).unwrap();
        let mut client = SocketIoClient::connect(url, options(config).join("/", Some(auth))).unwrap();
        let emitter = client.emitter();
        assert!(matches!(next(&mut client).await, ClientEvent::Connected { recovered: false, .. }));
        let payload = event(&mut client, "auth").await;
        assert_eq!(payload.arguments().next().unwrap().as_str(), r#"{"token":"a"}"#);

        // In order, through the upgrade.
        for n in 0..300_u32 {
            emitter.emit("/", "message", &n).await.unwrap();
        }
        for n in 0..300_u64 {
            let payload = event(&mut client, "message-back").await;
            assert_eq!(payload.arguments().next().unwrap().as_u64(), Some(n));
        }

        let bytes = Bytes::from(vec![7; 100_000]);
        emitter.emit("/", "message", &("x\u{1e}", bytes.clone(), Bytes::new())).await.unwrap();
        let payload = event(&mut client, "message-back").await;
        assert_eq!((payload.bytes(1), payload.attachments().len()), (Some(&bytes), 2));

        let answer = emitter
            .emit_with_ack("/", "message-with-ack", ("a", 1, bytes.clone()), 5 * SECOND)
            .await
            .unwrap();
        assert_eq!((answer.arguments().count(), answer.bytes(2)), (3, Some(&bytes)));
        let answer = emitter.emit_with_ack("/", "add", (Json(1), Json(2)), 5 * SECOND).await.unwrap();
        assert_eq!(answer.parse::<(u32,)>().unwrap(), (3,));

        emitter.emit("/", "emit-with-ack", "question").await.unwrap();
        loop {
            if let ClientEvent::Event { ack: Some(ack), .. } = next(&mut client).await {
                ack.send(&("yes", Bytes::from_static(&[9]))).await.unwrap();
                break;
            }
        }
        let payload = event(&mut client, "answered").await;
        assert_eq!(payload.bytes(1), Some(&Bytes::from_static(&[9])));

        // Put out by the server: it does not come back, and there is nothing more.
        emitter.emit("/", "out", &()).await.unwrap();
        while let Some(event) = client.next().await {
            assert!(!matches!(event, ClientEvent::Lost { .. }));
        }
        assert_eq!(emitter.emit("/", "message", &1).await, Err(SendError::Closed));
    }
}

#[tokio::test]
async fn is_refused_once() {
    let (url, _io) = serve(SocketIoOptions::new()).await;
    refused(&url).await;
}

#[tokio::test]
#[ignore = "needs npm's socket.io"]
async fn is_refused_by_the_official_server() {
    refused(&official("SOCKETIO_URL")).await;
}

async fn refused(url: &str) {
    let options =
        options(EngineClientOptions::new()).join("/closed", None).join("/unknown", None).join("/", None);
    let mut client = SocketIoClient::connect(url, options).unwrap();
    let (mut refused, mut connected) = (Vec::new(), 0);
    while refused.len() < 2 || connected < 1 {
        match next(&mut client).await {
            ClientEvent::Refused { namespace, message } => refused.push((namespace.to_string(), message)),
            ClientEvent::Connected { .. } => connected += 1,
            _ => {}
        }
    }
    refused.sort();
    let expected = [("/closed", "not you"), ("/unknown", "Invalid namespace")];
    assert_eq!(refused, expected.map(|(name, message)| (String::from(name), String::from(message))));
}

#[tokio::test]
async fn comes_back_and_has_missed_nothing() {
    let (url, _io) = serve(SocketIoOptions::new().recovery(RecoveryOptions::new())).await;
    come_back(&url).await;
}

#[tokio::test]
#[ignore = "needs npm's socket.io"]
async fn comes_back_to_the_official_server() {
    come_back(&official("SOCKETIO_RECOVERY_URL")).await;
}

async fn come_back(url: &str) {
    let websocket = EngineClientOptions::new().transport(TransportKind::WebSocket);
    for config in [websocket, EngineClientOptions::new()] {
        let mut client = SocketIoClient::connect(url, options(config).join("/", None)).unwrap();
        let emitter = client.emitter();
        let ClientEvent::Connected { sid: first, .. } = next(&mut client).await else { panic!("connected") };
        emitter.emit("/", "talk", &()).await.unwrap();
        let (mut seen, mut back) = (0, 0);
        while seen < 200 {
            match next(&mut client).await {
                ClientEvent::Event { payload, .. } if payload.name().is_some_and(|name| name.is("said")) => {
                    assert_eq!(payload.arguments().next().unwrap().as_u64(), Some(seen));
                    seen += 1;
                    if seen % 40 == 20 {
                        emitter.emit("/", "cut", &()).await.unwrap();
                    }
                }
                ClientEvent::Connected { sid, recovered, .. } => {
                    assert!(recovered && sid == first);
                    back += 1;
                }
                _ => {}
            }
        }
        assert!(back > 0);
    }
}

#[tokio::test]
async fn waits_for_a_server_that_is_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut client =
        SocketIoClient::connect(&url, options(EngineClientOptions::new()).join("/", None)).unwrap();
    for _ in 0..3 {
        assert!(matches!(next(&mut client).await, ClientEvent::Lost { reason: "transport error" }));
    }
}

const HANDSHAKE: &str =
    r#"0{"sid":"s1","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":500,"maxPayload":20}"#;

fn opened(config: EngineClientOptions) -> engine::EngineClient<Duration> {
    let mut client = engine::EngineClient::new(config, Duration::ZERO);
    assert!(matches!(client.next_task(), Some(Task::Poll)));
    client.polled(200);
    for packet in records(HANDSHAKE) {
        assert_eq!(client.packet(packet, Duration::ZERO), None);
    }
    client
}

fn tasks(client: &mut engine::EngineClient<Duration>) -> Vec<String> {
    let text = |task| match task {
        Task::Post(body) => String::from_utf8(body).unwrap(),
        Task::Frame(message) => format!("frame {:?}", message.frame()),
        task => format!("{task:?}"),
    };
    core::iter::from_fn(|| client.next_task()).map(text).collect()
}

#[test]
fn the_upgrade_waits_for_both_requests() {
    let mut client = opened(EngineClientOptions::new());
    client.send(EngineMessage::text("one")).unwrap();
    assert_eq!(tasks(&mut client), ["Open", "Poll", "4one"]);
    client.socket_opened();
    assert_eq!(tasks(&mut client), [r#"frame Text("2probe")"#]);
    assert_eq!(client.frame(records("3probe").next().unwrap(), Duration::ZERO), None);
    client.send(EngineMessage::text("two")).unwrap();
    assert!(tasks(&mut client).is_empty());
    client.polled(200);
    assert_eq!(client.packet(records("4last").next().unwrap(), Duration::ZERO), Some(Data::Text("last")));
    assert!(tasks(&mut client).is_empty());
    client.posted(200);
    assert_eq!(tasks(&mut client), [r#"frame Text("5")"#, r#"frame Text("4two")"#]);
    assert_eq!(client.transport(), TransportKind::WebSocket);
    // The heartbeat is the server's: interval and timeout after the last ping.
    client.frame(records("2").next().unwrap(), SECOND);
    assert_eq!(tasks(&mut client), [r#"frame Text("3")"#]);
    client.tick(2 * SECOND + SECOND / 2 - Duration::from_millis(1));
    assert!(client.is_open());
    client.tick(2 * SECOND + SECOND / 2);
    assert_eq!(client.closed(), Some(EngineCloseReason::PingTimeout));
}

#[test]
fn an_upgrade_that_fails_leaves_the_session_on_polling() {
    for way in 0..4 {
        let mut client = opened(EngineClientOptions::new().upgrade_timeout(SECOND / 2));
        tasks(&mut client);
        match way {
            0 => client.socket_closed(),
            1 => client.tick(SECOND / 2),
            2 => {
                client.socket_opened();
                client.frame(records("4garbage").next().unwrap(), Duration::ZERO);
            }
            _ => {
                client.socket_opened();
                client.frame(records("3probe").next().unwrap(), Duration::ZERO);
                client.socket_closed();
            }
        }
        client.send(EngineMessage::text("on")).unwrap();
        assert!(tasks(&mut client).contains(&"4on".into()), "{way}");
        assert!(client.is_open() && client.transport() == TransportKind::Polling);
    }
}

#[test]
fn a_session_that_closes_over_polling_says_all_that_is_to_be_done() {
    let mut client = opened(EngineClientOptions::new());
    assert_eq!(tasks(&mut client), ["Open", "Poll"]);
    client.close();
    assert_eq!(tasks(&mut client), ["CloseSocket", "1"]);
    client.posted(200);
    assert_eq!(tasks(&mut client), ["CloseSocket"]);
    assert_eq!(client.closed(), Some(EngineCloseReason::ForcedClose));
    assert!(tasks(&mut client).is_empty());
}

#[test]
fn a_flood_of_pings_queues_one_pong() {
    let mut client = opened(EngineClientOptions::new().upgrade(false));
    assert_eq!(tasks(&mut client), ["Poll"]);
    client.polled(200);
    for _ in 0..1000 {
        client.packet(records("2").next().unwrap(), SECOND);
    }
    assert_eq!(client.queued_bytes(), 1);
    assert_eq!(tasks(&mut client), ["Poll", "3"]);
}

#[test]
fn limits() {
    let mut client = opened(EngineClientOptions::new().upgrade(false));
    tasks(&mut client);
    // A POST is as large as the server takes; a packet alone may be larger.
    for text in ["aaaa", "bbbb", "cccc", &"d".repeat(40)] {
        client.send(EngineMessage::text(text)).unwrap();
    }
    let mut posts = Vec::new();
    while let Some(Task::Post(body)) = client.next_task() {
        posts.push(body.len());
        client.posted(200);
    }
    assert_eq!(posts, [11, 5, 41]);

    assert!(matches!(client.send(EngineMessage::text("\u{1e}")), Err(SendError::Separator)));
    let mut config = EngineClientOptions::new().upgrade(false);
    config.max_queued = 3;
    let mut client = opened(config);
    client.send(EngineMessage::text("")).unwrap();
    client.send(EngineMessage::text("")).unwrap();
    client.send(EngineMessage::text("")).unwrap();
    assert!(!client.has_room());
    assert_eq!(client.send(EngineMessage::text("")), Err(SendError::Full));
    assert!(opened(config).has_room());

    for handshake in ["0", "0[]", "0{}", r#"0{"sid":"","pingInterval":1,"pingTimeout":1}"#, "4early", "7"] {
        let mut client = engine::EngineClient::new(EngineClientOptions::new(), Duration::ZERO);
        client.next_task();
        client.polled(200);
        client.packet(records(handshake).next().unwrap(), Duration::ZERO);
        assert_eq!(client.closed(), Some(EngineCloseReason::ParseError), "{handshake}");
    }
    // Once closed, 5 s for what is queued, from the first look at the clock.
    let mut client = opened(EngineClientOptions::new().upgrade(false));
    tasks(&mut client);
    client.close();
    assert_eq!(tasks(&mut client), ["1"]);
    client.tick(SECOND / 2);
    assert_eq!(client.next_deadline(), Some(SECOND + SECOND / 2), "the ping");
    client.packet(records("2").next().unwrap(), 5 * SECOND);
    assert_eq!(client.next_deadline(), Some(5 * SECOND + SECOND / 2));
    client.tick(5 * SECOND + SECOND / 2 - Duration::from_millis(1));
    assert_eq!(client.closed(), None);
    client.tick(5 * SECOND + SECOND / 2);
    assert_eq!(client.closed(), Some(EngineCloseReason::ForcedClose));
    assert_eq!(client.next_deadline(), None);

    let mut client = engine::EngineClient::<Duration>::new(EngineClientOptions::new(), Duration::ZERO);
    client.tick(20 * SECOND - Duration::from_millis(1));
    assert_eq!(client.closed(), None);
    client.tick(20 * SECOND);
    assert_eq!(client.closed(), Some(EngineCloseReason::PingTimeout));
}
