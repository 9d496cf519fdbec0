//! The server over real connections: HTTP, the upgrade, slow readers, the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pushline::adapter;
use pushline::adapter::tokio::WebSocket;
use pushline::ws::{Config, Connection, Message, Negotiated};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::options::{Options, TRANSPORTS};
use crate::page::PAGE;
use crate::protocol::Hello;
use crate::room::Limits;
use crate::server::{self, Server};

struct Running {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    start_with(Options::default(), limits).await
}

async fn start_with(options: Options, limits: Limits) -> Running {
    start_server(Arc::new(Server::new(options, limits, 1_700_000_000_000).unwrap())).await
}

async fn start_server(server: Arc<Server>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(server::run(listener, server, async { ended.await.unwrap_or_default() }));
    Running { address, end, task }
}

impl Running {
    /// All that comes for these bytes until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn join(&self, nick: &str) -> WebSocket<TcpStream> {
        self.join_over(TcpStream::connect(self.address).await.unwrap(), nick).await
    }

    /// A member behind the welcome and its own arrival.
    async fn join_over(&self, stream: TcpStream, nick: &str) -> WebSocket<TcpStream> {
        let mut socket = upgrade(stream).await.unwrap();
        let session = format!("session-of-{nick:-<9}");
        send(&mut socket, &json!({"type": "hello", "session": session, "nick": nick})).await;
        let welcome = next(&mut socket).await;
        assert_eq!((&welcome["type"], &welcome["nick"]), (&json!("welcome"), &json!(nick)));
        while next(&mut socket).await["nick"] != *nick {}
        socket
    }
}

async fn upgrade(mut stream: TcpStream) -> io::Result<WebSocket<TcpStream>> {
    let request = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    let keys = || [1, 2, 3, 4];
    let connection = Connection::client(Negotiated::default(), Config::new(), keys);
    Ok(WebSocket::new(stream, connection, &[], &adapter::Options::new()))
}

async fn send(socket: &mut WebSocket<TcpStream>, request: &Value) {
    socket.send(&request.to_string()).await.unwrap();
}

async fn say(socket: &mut WebSocket<TcpStream>, number: usize, text: &str) {
    send(socket, &json!({"type": "say", "id": format!("message-{number}"), "text": text})).await;
}

/// What the server says next, its heartbeat aside.
async fn next(socket: &mut WebSocket<TcpStream>) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => {}
            message => return serde_json::from_str(message.as_text().unwrap()).unwrap(),
        }
    }
}

/// The close code with which a connection ends; what comes before it is passed over.
async fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            let code = frame.map_or(1005, |(code, _)| code.0);
            while socket.next().await.is_some() {}
            return code;
        }
    }
}

fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

#[tokio::test]
async fn the_page_is_served_and_every_path_has_its_answer() {
    let chat = start(Limits::default()).await;
    let get = |method, path| format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let page = chat.ask(&get("GET", "/")).await;
    let (head, body) = parts(&page);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-"), "{head}");
    assert_eq!(body, PAGE);
    // With a query, and by HEAD: the same head, no content.
    assert_eq!(chat.ask(&get("GET", "/?transport=ws")).await, page);
    assert_eq!(chat.ask(&get("HEAD", "/")).await, format!("{head}\r\n\r\n"));
    for (method, path, status) in [
        ("GET", "/favicon.ico", "204 No Content"),
        ("GET", "/nowhere", "404 Not Found"),
        ("POST", "/", "405 Method Not Allowed"),
        ("GET", "/ws", "426 Upgrade Required"),
        ("POST", "/ws", "405 Method Not Allowed"),
    ] {
        let answer = chat.ask(&get(method, path)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn requests_may_be_cut_and_joined_anyhow() {
    let chat = start(Limits::default()).await;
    let one = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answers = chat.ask(&[one, one, last].concat()).await;
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count(), 3);
    assert_eq!(answers.matches("Connection: close\r\n").count(), 1);

    let mut stream = TcpStream::connect(chat.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in last.bytes() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn a_bad_request_is_answered_and_the_connection_closed() {
    let chat = start(Limits::default()).await;
    let long = "x".repeat(40_000);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\nHost: h\n\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}", format!("A: {}\r\n", &long[..5000]).repeat(200)), "431"),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "414"),
        ("POST /send HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "411"),
        (format!("POST /send HTTP/1.1\r\nHost: h\r\nContent-Length: 32769\r\n\r\n{long}"), "413"),
    ] {
        let answer = chat.ask(&request).await;
        let short = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{short}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{short}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{short}: {answer}");
    }
}

#[tokio::test]
async fn a_page_of_another_host_is_refused() {
    let chat = start(Limits::default()).await;
    let request = |origin| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: chat.example\r\nOrigin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    };
    let answer = chat.ask(&request("http://evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let mut stream = TcpStream::connect(chat.address).await.unwrap();
    stream.write_all(request("http://chat.example").as_bytes()).await.unwrap();
    let mut status = [0; 13];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101 ");
}

#[tokio::test]
async fn members_hear_each_other_and_who_comes_and_goes() {
    let chat = start(Limits { grace_closed: 0, ..Limits::default() }).await;
    let mut ada = chat.join("Ada").await;
    let mut bob = chat.join("Bob").await;
    assert_eq!(next(&mut ada).await["type"], "join");
    say(&mut ada, 1, "hello").await;
    for socket in [&mut ada, &mut bob] {
        let heard = next(socket).await;
        assert_eq!(
            (&heard["type"], &heard["nick"], &heard["text"]),
            (&json!("message"), &json!("Ada"), &json!("hello"))
        );
        assert!(heard["at"].as_u64() >= Some(1_700_000_000_000));
    }
    bob.close(1000, "").await.unwrap();
    let left = next(&mut ada).await;
    assert_eq!((&left["type"], &left["nick"]), (&json!("leave"), &json!("Bob")));
}

#[tokio::test]
async fn one_who_does_not_say_hello_or_cannot_come_in_is_sent_away() {
    let chat = start(Limits { members: 1, ..Limits::default() }).await;
    let connect = || async { upgrade(TcpStream::connect(chat.address).await.unwrap()).await.unwrap() };
    for first in [json!({"type": "ping"}), json!("hello"), json!({"type": "hello"})] {
        let mut socket = connect().await;
        send(&mut socket, &first).await;
        assert_eq!(close_code(&mut socket).await, 1008, "{first}");
    }
    let mut socket = connect().await;
    socket.send(b"hello").await.unwrap();
    assert_eq!(close_code(&mut socket).await, 1008);

    let mut ada = chat.join("Ada").await;
    for (session, nick, error, code) in [
        ("s".repeat(16), "Ada", "taken", 1008),
        ("s".repeat(16), "", "nick", 1008),
        ("s".repeat(15), "Bob", "session", 1008),
        ("s".repeat(16), "Bob", "full", 1013),
    ] {
        let mut socket = connect().await;
        send(&mut socket, &json!({"type": "hello", "session": session, "nick": nick})).await;
        assert_eq!(next(&mut socket).await["code"], error);
        assert_eq!(close_code(&mut socket).await, code, "{error}");
    }
    // The member's own second connection is let in, and the first one closed.
    chat.join("Ada").await;
    assert_eq!(close_code(&mut ada).await, 4001);
}

#[tokio::test]
async fn one_who_misbehaves_is_expelled() {
    let chat = start(Limits { strikes: 3, ..Limits::default() }).await;
    let mut ada = chat.join("Ada").await;
    send(&mut ada, &json!({"type": "shout"})).await;
    assert_eq!(next(&mut ada).await["code"], "bad");
    ada.send(&[0]).await.unwrap();
    assert_eq!(next(&mut ada).await["code"], "bad");
    send(&mut ada, &json!({"type": "say", "id": "too-short-text", "text": ""})).await;
    assert_eq!(close_code(&mut ada).await, 1008);

    let mut bob = chat.join("Bob").await;
    bob.send(&"x".repeat(33 * 1024)).await.unwrap();
    assert_eq!(close_code(&mut bob).await, 1009);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_dropped_and_slows_nobody() {
    const MESSAGES: usize = 1200;
    let limits = Limits { burst: MESSAGES as u64, grace_cut: 0, ..Limits::default() };
    let chat = start(limits).await;
    let mut ada = chat.join("Ada").await;
    let mut bob = chat.join("Bob").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = chat.join_over(socket.connect(chat.address).await.unwrap(), "Slow").await;
    assert_eq!(next(&mut bob).await["nick"], "Slow");

    // 9.6 MB: more than what the kernel takes and the queues hold. `slow` reads none of it meanwhile.
    let text = "🌿".repeat(2000);
    let mut heard = 0;
    let mut gone = false;
    for number in 0..MESSAGES {
        say(&mut ada, number, &text).await;
        loop {
            let event = next(&mut bob).await;
            gone |= event["type"] == "leave";
            if event["type"] == "message" {
                assert_eq!(event["id"], format!("message-{number}"));
                heard += 1;
                break;
            }
        }
        while next(&mut ada).await["id"] != format!("message-{number}") {}
    }
    assert_eq!(heard, MESSAGES);
    // It has lost its place: at the latest when it did not even read the close frame in time.
    while !gone {
        gone = next(&mut bob).await["type"] == "leave";
    }
    // What it finds when it looks at last: the beginning, in order, and then the end.
    let mut read = 0;
    while let Some(Ok(Message::Text(text))) = slow.next().await {
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["type"] == "message" {
            assert_eq!(event["id"], format!("message-{read}"));
            read += 1;
        }
    }
    assert!(read < MESSAGES, "{read}");
}

#[tokio::test]
async fn the_end_closes_everything_with_1001() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    let mut stranger = upgrade(TcpStream::connect(chat.address).await.unwrap()).await.unwrap();
    let mut silent = TcpStream::connect(chat.address).await.unwrap();
    let mut half = TcpStream::connect(chat.address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    // Until all of them are known to be accepted: the room answers.
    send(&mut ada, &json!({"type": "ping"})).await;
    assert_eq!(next(&mut ada).await["type"], "pong");

    chat.end.send(()).unwrap();
    assert_eq!(close_code(&mut ada).await, 1001);
    assert_eq!(close_code(&mut stranger).await, 1001);
    assert_eq!(silent.read(&mut [0; 9]).await.unwrap_or(0), 0);
    assert_eq!(half.read(&mut [0; 9]).await.unwrap_or(0), 0);
    chat.task.await.unwrap();
    assert!(TcpStream::connect(chat.address).await.is_err());
}

#[tokio::test]
async fn the_end_does_not_wait_for_one_who_never_answers() {
    let chat = start(Limits::default()).await;
    let deaf = chat.join("Deaf").await;
    chat.end.send(()).unwrap();
    // It neither reads nor closes; the test would hang if it were waited for.
    chat.task.await.unwrap();
    drop(deaf);
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n")
}

fn post(session: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /send?session={session} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

const BOB: &str = "session=session-of-Bob-------&nick=Bob&link=link-of-bob";

/// The texts in a poll's answer, and the cursor behind them.
fn polled(answer: &str) -> (Vec<Value>, u64) {
    let (head, body) = parts(answer);
    if head.starts_with("HTTP/1.1 204 ") {
        return (vec![], 0);
    }
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer: Value = serde_json::from_str(body).unwrap();
    let texts = answer["messages"].as_array().unwrap().iter();
    let texts = texts.map(|message| serde_json::from_str(message["data"].as_str().unwrap()).unwrap());
    (texts.collect(), answer["cursor"].as_u64().unwrap())
}

#[tokio::test]
async fn a_poll_that_was_lost_is_answered_again_and_one_too_late_is_told() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    let first = chat.ask(&get(&format!("/polling?{BOB}&since=0"), "")).await;
    let (texts, cursor) = polled(&first);
    assert_eq!((&texts[0]["type"], &texts[0]["nick"]), (&json!("welcome"), &json!("Bob")));
    say(&mut ada, 1, "hello").await;
    while next(&mut ada).await["text"] != "hello" {}
    // Twice the same question, twice the same answer; what is acknowledged does not come again.
    for _ in 0..2 {
        let (texts, next) = polled(&chat.ask(&get(&format!("/long-polling?{BOB}&since={cursor}"), "")).await);
        assert_eq!((texts.len(), &texts[0]["text"], next), (1, &json!("hello"), cursor + 1));
    }
    assert_eq!(
        polled(&chat.ask(&get(&format!("/polling?{BOB}&since={}", cursor + 1), "")).await).0,
        [] as [Value; 0]
    );
    let (texts, _) = polled(&chat.ask(&get(&format!("/polling?{BOB}&since={}", cursor + 1), "")).await);
    assert!(texts.is_empty());
    // Of a visit that does not exist any more, or never did.
    let late = chat.ask(&get("/polling?session=session-of-Bob-------&link=another-link&since=3", "")).await;
    assert!(late.starts_with("HTTP/1.1 410 "), "{late}");
    let jsonp =
        chat.ask(&get("/jsonp?session=x&link=another-link&since=3&callback=pushlineJsonp1", "")).await;
    assert_eq!(parts(&jsonp).1, r#"/**/pushlineJsonp1({"cursor":0,"gone":true,"messages":[]});"#);
}

#[tokio::test]
async fn what_is_posted_is_said_and_bounded() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    chat.ask(&get(&format!("/polling?{BOB}&since=0"), "")).await;
    let said =
        chat.ask(&post("session-of-Bob-------", r#"{"type":"say","id":"message-1","text":"by POST"}"#)).await;
    assert!(said.starts_with("HTTP/1.1 204 "), "{said}");
    while next(&mut ada).await["text"] != "by POST" {}
    let text = "%7B%22type%22:%22say%22,%22id%22:%22message-2%22,%22text%22:%22by+GET%22%7D";
    let said = chat
        .ask(&get(&format!("/send?session=session-of-Bob-------&callback=pushlineJsonp2&text={text}"), ""))
        .await;
    assert_eq!(parts(&said).1, r#"/**/pushlineJsonp2({"status":204});"#);
    while next(&mut ada).await["text"] != "by GET" {}
    for (request, status) in [
        (post("nobody", "{}"), "410"),
        (post("session-of-Bob-------", &"x".repeat(32 * 1024)), "204"), // read, and refused by the room
        (post("session-of-Bob-------", &"x".repeat(32 * 1024 + 1)), "413"),
        (get("/send?session=x&callback=alert", ""), "400"),
        (get("/jsonp?since=0&callback=alert(1)//", ""), "400"),
        (get("/jsonp?since=0&callback=pushlineJsonp1%0d%0a", ""), "400"),
        (get("/polling?since=-1", ""), "400"),
    ] {
        let answer = chat.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{}: {answer}", &request[..60]);
    }
}

#[tokio::test]
async fn one_who_may_not_come_in_is_told_on_every_transport() {
    let chat = start(Limits::default()).await;
    let _ada = chat.join("Ada").await;
    let ask = async |path: &str| {
        let query = "session=ssssssssssssssss&nick=ada&link=link-of-ada&since=0&callback=pushlineJsonp1&origin=http://h";
        parts(&chat.ask(&get(&format!("{path}?{query}"), "")).await).1.to_owned()
    };
    for path in ["/polling", "/long-polling", "/jsonp", "/events"] {
        let told = ask(path).await;
        assert!(told.contains("taken") && told.contains("bye") && told.contains("1008"), "{path}: {told}");
    }
}

#[tokio::test]
async fn an_event_stream_goes_on_where_the_last_event_id_says() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    for number in 0..3 {
        say(&mut ada, number, "hello").await;
        while next(&mut ada).await["type"] != "message" {}
    }
    // As HTTP/1.0, without chunks: until the server ends.
    let stream = TcpStream::connect(chat.address).await.unwrap();
    let epoch = format!("{:x}", 1_700_000_000_000_u64);
    let request = format!(
        "GET /events?session=session-of-Bob-------&nick=Bob&cursor=old.1 HTTP/1.0\r\nHost: h\r\nLast-Event-ID: {epoch}.3\r\n\r\n"
    );
    let mut stream = stream;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains(&format!("id: {epoch}.5")) || !answer.ends_with("\n\n") {
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        answer.push_str(str::from_utf8(&bytes[..length]).unwrap());
    }
    let (head, body) = parts(&answer);
    assert!(head.contains("text/event-stream") && !head.contains("chunked"), "{head}");
    assert!(body.starts_with("retry: 250\n\ndata: {\"type\":\"welcome\""), "{body}");
    let ids: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, [format!("{epoch}.4"), format!("{epoch}.5")]);
}

/// Their connections stay open, as far as the server can see, and nobody is at the other end.
#[tokio::test(start_paused = true)]
async fn those_who_vanish_without_a_word_are_released_on_every_transport() {
    let server = Arc::new(Server::new(Options::default(), Limits::default(), 1_700_000_000_000).unwrap());
    let chat = start_server(Arc::clone(&server)).await;
    let mut deserted = Vec::new();
    for transport in &TRANSPORTS[1..] {
        let path = if *transport == "sse" { "events" } else { transport };
        let request = format!(
            "GET /{path}?session=session-of-{transport:-<16}&nick={transport}&link=link-of-all&since=0\
             &callback=pushlineJsonp1&origin=http://{address} HTTP/1.1\r\nHost: {address}\r\n\r\n",
            address = chat.address,
        );
        let mut stream = TcpStream::connect(chat.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "{transport}");
        deserted.push(stream);
    }
    let socket = chat.join("ws").await;
    let hello = Hello { session: "session-of-the-last".to_owned(), nick: "Ada".to_owned(), cursor: None };
    let mut heard = server.hub.hello(&hello, server.now()).unwrap().queue;
    let all = async {
        let mut left = Vec::new();
        while left.len() < TRANSPORTS.len() {
            let told = heard.recv().await.unwrap();
            let told = str::from_utf8(told.block()).unwrap().to_owned();
            let event = told.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let event: Value = serde_json::from_str(event).unwrap();
            if event["type"] == "leave" {
                left.push(event["nick"].as_str().unwrap().to_owned());
            }
        }
        left
    };
    let mut left = tokio::time::timeout(Duration::from_secs(120), all).await.unwrap();
    left.sort();
    let mut expected = TRANSPORTS.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
    drop((deserted, socket));
}

#[tokio::test]
async fn origins_are_refused_or_named_and_transports_left_out() {
    let options = Options {
        allowed: vec!["http://good.example".to_owned()],
        disabled: vec!["ws".to_owned(), "polling".to_owned()],
        ..Options::default()
    };
    let chat = start_with(options, Limits::default()).await;
    let path = format!("/jsonp?{BOB}&since=0&callback=pushlineJsonp1");
    let good = chat.ask(&get(&path, "Origin: http://good.example\r\n")).await;
    assert!(good.contains("\r\nAccess-Control-Allow-Origin: http://good.example\r\n"), "{good}");
    let evil = chat.ask(&get(&path, "Origin: http://evil.example\r\n")).await;
    assert!(evil.starts_with("HTTP/1.1 403 ") && !evil.contains("Access-Control-Allow-Origin"), "{evil}");
    let frame = |origin: &str| get(&format!("/iframe?{BOB}&since=9&origin={origin}"), "");
    let framed = chat.ask(&frame("http://good.example")).await;
    assert!(
        framed.contains("frame-ancestors http://good.example\r\n")
            && framed.contains("sandbox allow-scripts")
    );
    for origin in
        ["http://evil.example", "*", "http://good.example;%20script-src%20*", "http://good.example%0d%0aA:b"]
    {
        assert!(chat.ask(&frame(origin)).await.starts_with("HTTP/1.1 403 "), "{origin}");
    }
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /events HTTP/1.1\r\nHost: h\r\nConnection: close\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\r\n"
        )
    };
    assert!(chat.ask(&preflight("http://good.example")).await.starts_with("HTTP/1.1 204 "));
    assert!(chat.ask(&preflight("null")).await.starts_with("HTTP/1.1 403 "));
    for path in ["/ws", "/polling?since=0"] {
        assert!(chat.ask(&get(path, "")).await.starts_with("HTTP/1.1 404 "), "{path}");
    }
}
