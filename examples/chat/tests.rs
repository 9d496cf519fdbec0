//! The server over real connections; the room's rules through [`Chat`], with sinks that just keep what they are told.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pushline::adapter;
use pushline::adapter::tokio::WebSocket;
use pushline::ws::{Connection, ConnectionOptions, Message, Negotiated};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::chat::{Chat, Entry, Limits, Received, Seat};
use crate::connections;
use crate::engine::Engine;
use crate::id::Id;
use crate::options::{Options, TRANSPORTS};
use crate::page::PAGE;
use crate::protocol::{Fact, Hello, What};
use crate::redis::Redis;
use crate::room::{Room, Sink};
use crate::server::Server;
use crate::told::Told;

// The room.

/// Keeps what it is told; what does not fit makes it fail, as a full queue.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Value>>>, Option<usize>);

impl Sink for Ear {
    fn tell(&self, told: &Told) -> bool {
        let mut heard = self.0.lock().unwrap();
        heard.push(serde_json::from_str(told.json()).unwrap());
        self.1.is_none_or(|most| heard.len() <= most)
    }

    fn bye(&self, code: u16, text: &str) {
        self.0.lock().unwrap().push(json!({"type": "bye", "code": code, "text": text}));
    }
}

impl Ear {
    /// What was heard since, as `type text-or-nick-or-code`.
    fn heard(&self) -> Vec<String> {
        let brief = |event: Value| {
            let what = ["text", "code", "count", "nick", "id"].iter().find_map(|name| event.get(*name));
            format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                what.unwrap_or(&json!("")).to_string().replace('"', "")
            )
        };
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(brief).collect()
    }
}

fn chat(limits: Limits) -> Arc<Chat> {
    Chat::new(Engine::Local, Arc::new(limits))
}

fn hello(nick: &str, cursor: Option<String>) -> Hello {
    Hello { session: format!("session-of-{nick:-<9}"), nick: nick.to_owned(), cursor, ..Hello::default() }
}

async fn come(chat: &Arc<Chat>, room: &str, nick: &str, cursor: Option<String>) -> (Entry, Ear) {
    let entry = chat.join(room, &hello(nick, cursor), None, "").await.unwrap();
    let ear = Ear::default();
    assert!(entry.seat.attach("", Box::new(ear.clone())));
    (entry, ear)
}

async fn enter(chat: &Arc<Chat>, room: &str, nick: &str) -> (Seat, Ear) {
    let (entry, ear) = come(chat, room, nick, None).await;
    (entry.seat, ear)
}

async fn refused(chat: &Arc<Chat>, hello: &Hello) -> &'static str {
    chat.join("", hello, None, "").await.err().map_or("", |refusal| refusal.code)
}

fn said(id: &str, text: &str) -> String {
    json!({"type": "say", "id": id, "text": text}).to_string()
}

fn texts(missed: &[Told]) -> Vec<String> {
    let ear = Ear::default();
    missed.iter().for_each(|told| assert!(ear.tell(told)));
    ear.heard()
}

fn cursor(missed: &[Told]) -> Option<String> {
    missed.last().and_then(Told::id).map(|id| id.to_string())
}

#[tokio::test]
async fn one_is_welcomed_told_the_past_and_then_what_is_said() {
    let chat = chat(Limits::default());
    let (ada, heard) = enter(&chat, "", "Ada").await;
    ada.receive(&said("id-000001", "hello")).await;
    let (entry, bob) = come(&chat, "lobby", "Bob", None).await;
    let welcome: Value = serde_json::from_str(entry.welcome.json()).unwrap();
    assert_eq!(
        (&welcome["nick"], &welcome["resumed"], &welcome["count"]),
        (&json!("Bob"), &json!(false), &json!(2))
    );
    assert_eq!(welcome["members"].as_array().unwrap().len(), 2);
    assert_eq!(texts(&entry.missed), ["join Ada", "message hello", "join Bob"]);
    assert_eq!(welcome["seq"], entry.missed[2].id().unwrap().seq());
    ada.receive(&said("id-000002", "Bob?")).await;
    assert_eq!(heard.heard(), ["message hello", "join Bob", "message Bob?"]);
    assert_eq!(bob.heard(), ["message Bob?"]);
}

#[tokio::test]
async fn a_welcome_carries_the_tag_of_its_hello() {
    let chat = chat(Limits::default());
    for (tag, echoed) in
        [(None, None), (Some(1), Some(1)), (Some(64), Some(64)), (Some(0), None), (Some(65), None)]
    {
        let asked = Hello { tag: tag.map(|length| "t".repeat(length)), ..hello("Ada", None) };
        match chat.join("", &asked, None, "").await {
            Ok(entry) => {
                let welcome: Value = serde_json::from_str(entry.welcome.json()).unwrap();
                assert_eq!(welcome.get("tag"), echoed.map(|length| json!("t".repeat(length))).as_ref());
            }
            Err(refusal) => assert_eq!((refusal.code, tag.is_some(), echoed), ("tag", true, None)),
        }
    }
}

#[tokio::test]
async fn names_and_sessions_are_checked() {
    let chat = chat(Limits { members: 2, ..Limits::default() });
    let (_ada, _) = enter(&chat, "", "Ada").await;
    for (session, nick, code) in [
        ("s".repeat(15), "Bob", "session"),
        ("s".repeat(65), "Bob", "session"),
        ("s ".repeat(9), "Bob", "session"),
        ("s".repeat(16), "aDA", "taken"),
        ("s".repeat(16), "", "nick"),
        ("s".repeat(16), &"x".repeat(25), "nick"),
        ("s".repeat(64), &"x".repeat(24), ""),
    ] {
        let hello = Hello { session, nick: nick.to_owned(), ..Hello::default() };
        assert_eq!(refused(&chat, &hello).await, code, "{hello:?}");
    }
    assert_eq!(refused(&chat, &hello("Cy", None)).await, "full");
    // One who is in it comes back into a full room, under the name it had.
    let (entry, _) = come(&chat, "", "Ada", None).await;
    assert!(entry.welcome.json().contains(r#""nick":"Ada""#));
    for room in ["a b", "../x", &"r".repeat(33)] {
        let refusal = chat.join(room, &hello("Cy", None), None, "").await.err().unwrap();
        assert_eq!(refusal.code, "room", "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_back_in_time_gets_what_was_missed_and_nobody_hears_of_it() {
    let chat = chat(Limits::default());
    let (entry, _) = come(&chat, "", "Ada", None).await;
    let (bob, heard) = enter(&chat, "", "Bob").await;
    let at = cursor(&entry.missed);
    drop(entry);
    chat.tick().await;
    bob.receive(&said("id-000001", "one")).await;
    tokio::time::advance(Duration::from_millis(7999)).await;
    chat.tick().await;
    let (entry, ear) = come(&chat, "", "Ada", at.clone()).await;
    assert_eq!(
        (entry.resumed, texts(&entry.missed)),
        (true, vec!["join Bob".to_owned(), "message one".to_owned()])
    );
    // The same as EPOCH.SEQ, as a page says it; a cursor of nowhere gives the newest.
    let welcome: Value = serde_json::from_str(entry.welcome.json()).unwrap();
    let page = |seq: &str| Some(format!("{}.{seq}", welcome["epoch"].as_str().unwrap()));
    let seq = crate::id::Id::parse(&at.unwrap()).unwrap().seq();
    for (cursor, resumed, count) in [
        (page(&seq.to_string()), true, 2),
        (page("1"), false, 3),
        (page("9007199254740991"), false, 3),
        (Some(format!("other.{seq}")), false, 3),
        (Some("0-0".to_owned()), false, 3),
        (Some("x".to_owned()), false, 3),
    ] {
        let (entry, _) = come(&chat, "", "Ada", cursor.clone()).await;
        assert_eq!((entry.resumed, entry.missed.len()), (resumed, count), "{cursor:?}");
        std::mem::forget(entry.seat); // as a connection whose end is not noticed yet
    }
    assert_eq!(ear.heard(), ["bye 4001"].map(|_| "bye open in another tab".to_owned()));
    let (entry, _) = come(&chat, "", "Ada", None).await;
    assert_eq!(heard.heard(), ["message one"]);
    // In good order: two seconds.
    entry.seat.close();
    chat.tick().await;
    tokio::time::advance(Duration::from_millis(1999)).await;
    chat.tick().await;
    assert_eq!(heard.heard(), [] as [&str; 0]);
    tokio::time::advance(Duration::from_millis(1)).await;
    chat.tick().await;
    assert_eq!(heard.heard(), ["leave Ada"]);
    assert_eq!(chat.receive("", &hello("Ada", None).session, r#"{"type":"ping"}"#).await, Received::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_message_to_one_is_for_the_two_also_for_one_who_comes_back() {
    let chat = chat(Limits::default());
    let (entry, ada) = come(&chat, "", "Ada", None).await;
    let (bob_entry, bob) = come(&chat, "", "Bob", None).await;
    let (_cy, cy) = enter(&chat, "", "Cy").await;
    let number =
        |entry: &Entry| serde_json::from_str::<Value>(entry.welcome.json()).unwrap()["member"].clone();
    let (to, at) = (number(&bob_entry), cursor(&bob_entry.missed));
    let whisper =
        |id: &str, to: &Value| json!({"type": "say", "id": id, "text": "psst", "to": to}).to_string();
    entry.seat.receive(&whisper("id-000001", &to)).await;
    assert_eq!(ada.heard(), ["join Bob", "join Cy", "message psst"]);
    assert_eq!((bob.heard(), cy.heard()), (vec!["join Cy".to_owned(), "message psst".to_owned()], vec![]));
    drop(bob_entry);
    entry.seat.receive(&whisper("id-000002", &to)).await;
    entry.seat.receive(&whisper("id-000002", &to)).await;
    assert_eq!(ada.heard(), ["message psst", "ack id-000002"]);
    let (bob_entry, _) = come(&chat, "", "Bob", at).await;
    assert_eq!(texts(&bob_entry.missed), ["join Cy", "message psst", "message psst"]);
    // Also after it was given up: a session's number is its own. Nobody else finds it in the past.
    drop(bob_entry);
    chat.tick().await;
    tokio::time::advance(Duration::from_secs(9)).await;
    chat.tick().await;
    entry.seat.receive(&whisper("id-000003", &to)).await;
    assert_eq!(ada.heard(), ["leave Bob", "error Whom that is for is not here any more."]);
    let (bob_entry, _) = come(&chat, "", "Bob", None).await;
    assert_eq!(texts(&bob_entry.missed).iter().filter(|text| text.ends_with("psst")).count(), 2);
    let (dee, _) = come(&chat, "", "Dee", None).await;
    assert!(!texts(&dee.missed).iter().any(|text| text.ends_with("psst")));
    assert_eq!(cy.heard(), ["leave Bob", "join Bob", "join Dee"]);
}

#[tokio::test(start_paused = true)]
async fn rooms_do_not_mix_and_are_gone_some_time_after_the_last() {
    let chat = chat(Limits { rooms: 2, ..Limits::default() });
    let (ada, heard) = enter(&chat, "one", "Ada").await;
    let (entry, other) = come(&chat, "two", "Ada", None).await;
    ada.receive(&said("id-000001", "in one")).await;
    entry.seat.receive(&said("id-000001", "in two")).await;
    assert_eq!(
        (heard.heard(), other.heard()),
        (vec!["message in one".to_owned()], vec!["message in two".to_owned()])
    );
    assert_eq!(chat.join("three", &hello("Ada", None), None, "").await.err().unwrap().code, "full");
    drop(entry);
    // It leaves at the first look, and from then on the room is empty.
    for (wait, is_there) in [(9, true), (599, true), (1, false)] {
        chat.tick().await;
        tokio::time::advance(Duration::from_secs(wait)).await;
        chat.tick().await;
        let came = chat.join("three", &hello("Ada", None), None, "").await;
        assert_eq!(came.is_err(), is_there, "{wait}");
    }
    assert_eq!(heard.heard(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_told_counts_and_lists_itself_by_pages() {
    let chat = chat(Limits { crowd: 3, burst: 100, ..Limits::default() });
    let (first, heard) = enter(&chat, "", "member-0").await;
    let mut seats = Vec::new();
    for number in 1..8 {
        let (entry, _) = come(&chat, "", &format!("member-{number}"), None).await;
        let welcome: Value = serde_json::from_str(entry.welcome.json()).unwrap();
        assert_eq!(
            (welcome["members"].as_array().unwrap().len(), &welcome["count"]),
            (3.min(number + 1), &json!(number + 1))
        );
        seats.push(entry.seat);
    }
    assert_eq!(heard.heard(), ["join member-1", "join member-2"]);
    chat.tick().await;
    chat.tick().await;
    assert_eq!(heard.heard(), ["count 8"]);
    // A thousand members a second hear of it: eight are told no sooner than after 8 ms.
    seats.push(come(&chat, "", "member-8", None).await.0.seat);
    for (wait, told) in [(0, None), (7, None), (1, Some("count 9")), (9, None)] {
        tokio::time::advance(Duration::from_millis(wait)).await;
        chat.tick().await;
        assert_eq!(heard.heard().first().map(|one| &**one), told, "{wait} ms");
    }
    let mut names = Vec::new();
    let mut after = json!(null);
    loop {
        first.receive(&json!({"type": "who", "after": after}).to_string()).await;
        let people = heard.0.lock().unwrap().pop().unwrap();
        names.extend(
            people["members"].as_array().unwrap().iter().map(|one| one["nick"].as_str().unwrap().to_owned()),
        );
        after = people["next"].clone();
        if after.is_null() {
            break;
        }
    }
    names.sort();
    assert_eq!(names, (0..9).map(|number| format!("member-{number}")).collect::<Vec<_>>());
    for seat in seats {
        seat.receive(r#"{"type":"leave"}"#).await;
    }
    // Of three or fewer, each is told again.
    let left = heard.heard();
    assert!(left.len() == 2 && left.iter().all(|left| left.starts_with("leave member-")), "{left:?}");
}

#[tokio::test]
async fn a_message_is_checked_confirmed_once_and_not_too_fast() {
    let chat = chat(Limits { text_chars: 5, burst: 3, interval: 60_000, strikes: 100, ..Limits::default() });
    let (ada, heard) = enter(&chat, "", "Ada").await;
    for (id, text, answer) in [
        ("1234567", "hi", "error That is not a message id."),
        ("12345678\"", "hi", "error That is not a message id."),
        ("id-000001", "123456", "error A message has at most 5 characters."),
        ("id-000001", " \n", "error There is nothing in that message."),
        ("id-000001", "12345", "message 12345"),
        ("id-000001", "12345", "ack id-000001"),
        ("id-000002", "12345", "message 12345"),
        ("id-000003", "12345", "error That was too fast. Take a breath."),
    ] {
        ada.receive(&said(id, text)).await;
        assert_eq!(heard.heard(), [answer], "{id} {text}");
    }
    // Others are not held up.
    let (bob, _) = enter(&chat, "", "Bob").await;
    bob.receive(&said("id-000004", "hi")).await;
    assert_eq!(heard.heard(), ["join Bob", "message hi"]);
    bob.receive(r#"{"type":"nick","nick":"ADA"}"#).await;
    bob.receive(r#"{"type":"nick","nick":" Robert "}"#).await;
    assert_eq!(heard.heard(), ["rename Robert"]);
    enter(&chat, "", "Bob").await;
}

#[tokio::test]
async fn the_past_is_bounded_and_a_slow_listener_is_dropped() {
    let chat = chat(Limits { history_events: 4, burst: 100, newcomer_events: 3, ..Limits::default() });
    let (entry, _) = come(&chat, "", "Ada", None).await;
    let slow = chat.join("", &hello("Slow", None), None, "").await.unwrap();
    let ear = Ear(Arc::default(), Some(2));
    assert!(slow.seat.attach("", Box::new(ear.clone())));
    let at = [cursor(&entry.missed), cursor(&slow.missed)];
    for number in 0..4 {
        entry.seat.receive(&said(&format!("id-00000{number}"), &number.to_string())).await;
    }
    assert_eq!(ear.heard(), ["message 0", "message 1", "message 2", "bye too slow"]);
    // All that is kept follows the second cursor, and not the first.
    for (at, resumed, count) in [(at[1].clone(), true, 4), (at[0].clone(), false, 3), (None, false, 3)] {
        let (back, _) = come(&chat, "", "Slow", at).await;
        assert_eq!((back.resumed, back.missed.len()), (resumed, count));
    }
}

/// Another node let somebody in while this one was reading the log.
#[test]
fn who_came_after_the_welcome_was_counted_is_not_of_its_past() {
    let at = |n| Id { ms: 1, n };
    let room = Room::new("r", "e".to_owned(), String::new(), Id::ZERO, Arc::default());
    for n in 0..3 {
        room.deliver(at(n), &Fact { what: What::Join, member: n, nick: n.to_string() });
    }
    let seen = |cursor: Option<Id>, counted| {
        let missed = room.missed(9, cursor.map(|id| id.to_string()).as_deref(), counted);
        (missed.events.len(), missed.seen)
    };
    assert_eq!(seen(None, at(2)), (3, at(2)));
    assert_eq!(seen(None, at(1)), (3, at(1)));
    assert_eq!(seen(Some(at(0)), at(1)), (2, at(1)));
    assert_eq!(seen(Some(at(1)), at(1)), (1, at(1)));
    assert_eq!(seen(Some(at(2)), at(1)), (0, at(2)));
}

#[tokio::test]
async fn one_address_cannot_fill_the_room() {
    let chat = chat(Limits { per_address: 2, ..Limits::default() });
    let come = async |nick, last| {
        let from = Some(IpAddr::from([10, 0, 0, last]));
        chat.join("", &hello(nick, None), from, "").await.map_err(|refusal| refusal.code)
    };
    let first = come("a", 1).await.unwrap();
    let _second = come("b", 1).await.unwrap();
    assert_eq!(come("c", 1).await.err(), Some("full"));
    let _other = come("d", 2).await.unwrap();
    drop(first);
    assert!(come("c", 1).await.is_ok());
}

// The server.

struct Running {
    address: SocketAddr,
    server: Arc<Server>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    start_with(Options::default(), limits).await
}

async fn start_with(options: Options, limits: Limits) -> Running {
    let server = Arc::new(Server::new(options, Engine::Local, Arc::new(limits)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let run =
        connections::run(listener, Arc::clone(&server), None, async { ended.await.unwrap_or_default() });
    Running { address, server, end, task: tokio::spawn(run) }
}

impl Running {
    /// All that comes for these bytes until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses to read on may reset what is behind its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn connect(&self) -> WebSocket<TcpStream> {
        upgrade(TcpStream::connect(self.address).await.unwrap()).await
    }

    async fn join(&self, nick: &str) -> WebSocket<TcpStream> {
        self.join_over(TcpStream::connect(self.address).await.unwrap(), nick).await
    }

    /// A member behind the welcome and its own arrival.
    async fn join_over(&self, stream: TcpStream, nick: &str) -> WebSocket<TcpStream> {
        let mut socket = upgrade(stream).await;
        let Hello { session, .. } = hello(nick, None);
        send(&mut socket, &json!({"type": "hello", "session": session, "nick": nick})).await;
        assert_eq!(next(&mut socket).await["type"], "welcome");
        while next(&mut socket).await["nick"] != *nick {}
        socket
    }
}

async fn upgrade(mut stream: TcpStream) -> WebSocket<TcpStream> {
    let request = get(
        "/ws",
        "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    );
    stream.write_all(request.replace("close", "Upgrade").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    let connection = Connection::client(Negotiated::default(), ConnectionOptions::new(), || [1, 2, 3, 4]);
    WebSocket::new(stream, connection, &[], &adapter::Options::new())
}

async fn send(socket: &mut WebSocket<TcpStream>, request: &Value) {
    socket.send(&request.to_string()).await.unwrap();
    // What is sent while more is at hand to be read leaves with the answers to that: here somebody else is read first.
    socket.flush().await.unwrap();
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
            while socket.next().await.is_some() {}
            return frame.map_or(1005, |(code, _)| code.0);
        }
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n")
}

fn post(session: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /send?session={session} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

const BOB: &str = "session=session-of-Bob------&nick=Bob&link=link-of-bob";

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
async fn the_page_is_served_and_every_path_has_its_answer() {
    let chat = start(Limits::default()).await;
    let page = chat.ask(&get("/?transport=ws", "")).await;
    let (head, body) = parts(&page);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n")
            && head.contains("\r\ncontent-security-policy: default-src 'none'; script-src 'sha256-")
    );
    assert_eq!(body, PAGE);
    let long = "x".repeat(70_000);
    for (request, status) in [
        (get("/favicon.ico", ""), "204"),
        (get("/nowhere", ""), "404"),
        (get("/", "").replace("GET", "POST"), "405"),
        (get("/ws", ""), "426"),
        (get("/ws", "").replace("GET", "POST"), "405"),
        (get(&format!("/{long}"), ""), "414"),
        (get("/", &format!("A: {long}{long}\r\n")), "431"),
        ("GET / HTTP/1.1\nHost : h\n\n".to_owned(), "400"),
        (post("x", "Expect: 100-continue\r\n", "{}"), "100"),
        (
            get("/send", "Transfer-Encoding: chunked\r\n").replace("GET", "POST") + "2\r\n{}\r\n0\r\n\r\n",
            "410",
        ),
        (post("nobody", "", "{}"), "410"),
        (post("nobody", "", &"x".repeat(32 * 1024)), "410"),
        (post("nobody", "", &"x".repeat(32 * 1024 + 1)), "413"),
        (get("/send?session=x&callback=alert", ""), "400"),
        (get("/jsonp?since=0&callback=alert(1)//", ""), "400"),
        (get("/jsonp?since=0&callback=pushlineJsonp1%0d%0a", ""), "400"),
        (get("/polling?since=-1", ""), "400"),
    ] {
        let answer = chat.ask(&request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{}: {answer}",
            &request[..request.len().min(60)]
        );
    }
}

#[tokio::test]
async fn one_who_does_not_say_hello_or_misbehaves_is_sent_away() {
    let chat = start(Limits { members: 1, strikes: 3, ..Limits::default() }).await;
    for first in [json!({"type": "ping"}), json!("hello"), json!({"type": "hello"})] {
        let mut socket = chat.connect().await;
        send(&mut socket, &first).await;
        assert_eq!(close_code(&mut socket).await, 1008, "{first}");
    }
    let mut ada = chat.join("Ada").await;
    for (nick, error, code) in [("ADA", "taken", 1008), ("Bob", "full", 1013)] {
        let mut socket = chat.connect().await;
        send(&mut socket, &json!({"type": "hello", "session": "s".repeat(16), "nick": nick})).await;
        assert_eq!(next(&mut socket).await["code"], error);
        assert_eq!(close_code(&mut socket).await, code, "{error}");
    }
    send(&mut ada, &json!({"type": "shout"})).await;
    assert_eq!(next(&mut ada).await["code"], "bad");
    ada.send(&[0]).await.unwrap();
    assert_eq!(next(&mut ada).await["code"], "bad");
    send(&mut ada, &json!({"type": "say", "id": "nothing-in-it", "text": ""})).await;
    assert_eq!(close_code(&mut ada).await, 1008);
    let mut ada = chat.connect().await;
    ada.send(&"x".repeat(33 * 1024)).await.unwrap();
    assert_eq!(close_code(&mut ada).await, 1009);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_dropped_and_slows_nobody() {
    const MESSAGES: usize = 1200;
    let chat = start(Limits { burst: MESSAGES as u64, grace_cut: 0, ..Limits::default() }).await;
    let mut ada = chat.join("Ada").await;
    let mut bob = chat.join("Bob").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = chat.join_over(socket.connect(chat.address).await.unwrap(), "Slow").await;

    // 9.6 MB: more than what the kernel takes and the queues hold. `slow` reads none of it meanwhile.
    let text = "🌿".repeat(2000);
    let mut gone = false;
    for number in 0..MESSAGES {
        let id = format!("message-{number}");
        send(&mut ada, &json!({"type": "say", "id": id, "text": text})).await;
        loop {
            let event = next(&mut bob).await;
            gone |= event["type"] == "leave";
            if event["type"] == "message" {
                assert_eq!(event["id"], id);
                break;
            }
        }
        while next(&mut ada).await["id"] != id {}
    }
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
async fn the_end_closes_everything_and_waits_for_nobody() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    let mut stranger = chat.connect().await;
    let deaf = chat.join("Deaf").await;
    let mut half = TcpStream::connect(chat.address).await.unwrap();
    half.write_all(b"GET / HT").await.unwrap();
    let mut events = TcpStream::connect(chat.address).await.unwrap();
    events.write_all(get(&format!("/events?{BOB}"), "").as_bytes()).await.unwrap();
    while next(&mut ada).await["nick"] != "Bob" {}

    chat.end.send(()).unwrap();
    assert_eq!((close_code(&mut ada).await, close_code(&mut stranger).await), (1001, 1001));
    assert_eq!(half.read(&mut [0; 9]).await.unwrap_or(0), 0);
    let mut told = String::new();
    events.read_to_string(&mut told).await.unwrap();
    assert!(told.contains(r#"data: {"type":"bye","code":1001"#), "{told}");
    // One neither reads nor closes; the test would hang if it were waited for.
    chat.task.await.unwrap();
    drop(deaf);
    assert!(TcpStream::connect(chat.address).await.is_err());
}

#[tokio::test]
async fn a_poll_that_was_lost_is_answered_again_and_another_node_goes_on() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    let poll = async |query: String| chat.ask(&get(&format!("/polling?{BOB}&since={query}"), "")).await;
    for _ in 0..2 {
        let (texts, _) = polled(&poll("0".to_owned()).await);
        assert_eq!(
            (texts.len(), &texts[0]["type"], &texts[0]["nick"]),
            (3, &json!("welcome"), &json!("Bob"))
        );
    }
    let (texts, cursor) = polled(&poll("0".to_owned()).await);
    send(&mut ada, &json!({"type": "say", "id": "message-1", "text": "hello"})).await;
    while next(&mut ada).await["text"] != "hello" {}
    // Twice the same question, twice the same answer; what is acknowledged does not come again.
    for _ in 0..2 {
        let (texts, next) = polled(&poll(cursor.to_string()).await);
        assert_eq!((texts.len(), &texts[0]["text"], next), (1, &json!("hello"), cursor + 1));
    }
    assert_eq!(polled(&poll((cursor + 1).to_string()).await).0, [] as [Value; 0]);
    // To a node that knows no such visit, it goes on from the cursor, with higher numbers, without another welcome.
    let at = format!(
        "{}&at={}",
        cursor + 1,
        crate::id::Id::from_seq(texts.last().unwrap()["seq"].as_u64().unwrap())
    );
    let moved = async |since: String| {
        chat.ask(&get(&format!("/polling?{}&since={since}", BOB.replace("link-of-bob", "link-of-other")), ""))
            .await
    };
    let (texts, next_cursor) = polled(&moved(at.clone()).await);
    assert_eq!((texts.len(), &texts[0]["text"]), (1, &json!("hello")));
    assert!(next_cursor > cursor + 1);
    assert_eq!(polled(&moved(at).await), (texts, next_cursor));
    // Without a cursor, or without a visit, it is gone.
    let late = chat.ask(&get("/polling?session=session-of-Bob-------&link=another-link&since=3", "")).await;
    assert!(late.starts_with("HTTP/1.1 410 "), "{late}");
    let jsonp =
        chat.ask(&get("/jsonp?session=x&link=another-link&since=3&callback=pushlineJsonp1", "")).await;
    assert_eq!(parts(&jsonp).1, r#"/**/pushlineJsonp1({"cursor":0,"gone":true,"messages":[]});"#);
}

#[tokio::test]
async fn what_is_posted_or_asked_for_is_said() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    chat.ask(&get(&format!("/polling?{BOB}&since=0"), "")).await;
    let session = hello("Bob", None).session;
    let by_post = post(&session, "", r#"{"type":"say","id":"message-1","text":"by POST"}"#);
    assert!(chat.ask(&by_post).await.starts_with("HTTP/1.1 204 "));
    while next(&mut ada).await["text"] != "by POST" {}
    let text = "%7B%22type%22:%22say%22,%22id%22:%22message-2%22,%22text%22:%22by+GET%22%7D";
    let by_get = get(&format!("/send?session={session}&callback=pushlineJsonp2&text={text}"), "");
    assert_eq!(parts(&chat.ask(&by_get).await).1, r#"/**/pushlineJsonp2({"status":204});"#);
    while next(&mut ada).await["text"] != "by GET" {}
    for path in ["/polling", "/long-polling", "/jsonp", "/events"] {
        let query = "session=ssssssssssssssss&nick=ada&link=link-of-ada&since=0&callback=pushlineJsonp1";
        let told = chat.ask(&get(&format!("{path}?{query}"), "")).await;
        assert!(told.contains("taken") && told.contains("bye") && told.contains("1008"), "{path}: {told}");
    }
}

#[tokio::test]
async fn an_event_stream_goes_on_where_the_last_event_id_says() {
    let chat = start(Limits::default()).await;
    let mut ada = chat.join("Ada").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        send(&mut ada, &json!({"type": "say", "id": format!("message-{number}"), "text": "hello"})).await;
        ids.push(crate::id::Id::from_seq(next(&mut ada).await["seq"].as_u64().unwrap()).to_string());
    }
    let mut stream = TcpStream::connect(chat.address).await.unwrap();
    let request = get(&format!("/events?{BOB}&cursor=old.1"), &format!("Last-Event-ID: {}\r\n", ids[1]));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains(r#""nick":"Bob","seq""#) {
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        answer.push_str(str::from_utf8(&bytes[..length]).unwrap());
    }
    assert!(answer.contains("content-type: text/event-stream\r\n") && answer.contains("retry: 250\n\n"));
    let came: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!((came.len(), came[0]), (2, &*ids[2]));
}

/// Their connections stay open, as far as the server can see, and nobody is at the other end.
#[tokio::test(start_paused = true)]
async fn those_who_vanish_without_a_word_are_released_on_every_transport() {
    let chat = start(Limits::default()).await;
    let mut deserted = Vec::new();
    for transport in &TRANSPORTS[1..] {
        let path = if *transport == "sse" { "events" } else { transport };
        let query = format!(
            "session=session-of-{transport:-<16}&nick={transport}&link=link-of-all&since=0&callback=pushlineJsonp1&origin=http://h"
        );
        let mut stream = TcpStream::connect(chat.address).await.unwrap();
        stream
            .write_all(get(&format!("/{path}?{query}"), "").replace("close", "keep-alive").as_bytes())
            .await
            .unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "{transport}");
        deserted.push(stream);
    }
    let _socket = chat.join("ws").await;
    let (_seat, heard) = enter(&chat.server.chat, "", "Ada").await;
    let mut left = Vec::new();
    let begun = tokio::time::Instant::now();
    while left.len() < TRANSPORTS.len() {
        assert!(begun.elapsed() < Duration::from_secs(150), "{left:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        left.extend(heard.heard().iter().filter_map(|event| event.strip_prefix("leave ").map(str::to_owned)));
    }
    left.sort();
    let mut expected = TRANSPORTS.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test(start_paused = true)]
async fn polling_sessions_that_never_came_again_make_room() {
    let limits = Limits { per_address: 2, ..Limits::default() };
    let chat = start(limits).await;
    let poll = async |name: &str, since: u64| {
        let query = format!("session=session-of-{name:-<16}&nick={name}&link=link-of-all&since={since}");
        let answer = chat.ask(&get(&format!("/polling?{query}"), "")).await;
        (answer.contains(r#"welcome"#), polled(&answer).1)
    };
    let (_, cursor) = poll("one", 0).await;
    assert!(poll("two", 0).await.0);
    poll("one", cursor).await;
    // Not at once: the second may be on its way.
    assert!(!poll("three", 0).await.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(poll("three", 0).await.0);
    // The one that made room is the one that never spoke.
    assert!(!poll("four", 0).await.0);
    assert!(!poll("one", cursor).await.0);
}

#[tokio::test]
async fn websockets_count_as_the_connections_that_they_are() {
    let chat = start(Limits { per_address: 1, ..Limits::default() }).await;
    // Two for each of its members, and sixteen for who is none.
    let mut sockets = Vec::new();
    for _ in 0..18 {
        sockets.push(chat.connect().await);
    }
    let is_let_in = async || {
        let mut stream = TcpStream::connect(chat.address).await.unwrap();
        let _ = stream.write_all(get("/", "").as_bytes()).await;
        stream.read_u8().await.is_ok()
    };
    assert!(!is_let_in().await);
    sockets.pop();
    while !is_let_in().await {}
}

#[tokio::test]
async fn origins_are_refused_or_named_and_transports_left_out() {
    let options = Options {
        allowed: vec!["http://good.example".to_owned()],
        disabled: vec!["long-polling".to_owned(), "polling".to_owned()],
        ..Options::default()
    };
    let chat = start_with(options, Limits::default()).await;
    let path = format!("/jsonp?{BOB}&since=0&callback=pushlineJsonp1");
    let good = chat.ask(&get(&path, "Origin: http://good.example\r\n")).await;
    assert!(good.contains("\r\naccess-control-allow-origin: http://good.example\r\n"), "{good}");
    let evil = chat.ask(&get(&path, "Origin: http://evil.example\r\n")).await;
    assert!(evil.starts_with("HTTP/1.1 403 ") && !evil.contains("access-control-allow-origin"), "{evil}");
    for (origin, status) in
        [("http://h", "426"), ("http://evil.example", "403"), ("http://h\r\nOrigin: http://h", "403")]
    {
        let answer = chat.ask(&get("/ws", &format!("Origin: {origin}\r\n"))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
    }
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
        get("/events", &format!("Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n"))
            .replace("GET /", "OPTIONS /")
    };
    assert!(chat.ask(&preflight("http://good.example")).await.starts_with("HTTP/1.1 204 "));
    assert!(chat.ask(&preflight("null")).await.starts_with("HTTP/1.1 403 "));
    assert!(chat.ask(&get("/polling?since=0", "")).await.starts_with("HTTP/1.1 404 "));
}

// Redis.

/// What the script was called with, from the operation on.
type Calls = Arc<Mutex<Vec<Vec<String>>>>;

/// A Redis that says nothing to who enters until they have given it up.
async fn slow_redis() -> (String, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, calls) = (format!("redis://{}/", listener.local_addr().unwrap()), Calls::default());
    let called = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(slow_connection(BufReader::new(stream), Arc::clone(&called)));
        }
    });
    (url, calls)
}

async fn slow_connection(mut stream: BufReader<TcpStream>, calls: Calls) -> Option<()> {
    loop {
        let count = length(&mut stream).await?;
        let mut words = Vec::with_capacity(count);
        for _ in 0..count {
            let mut word = vec![0; length(&mut stream).await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
        }
        // EVALSHA, the script, 9 and the keys.
        let call = words.get(12..).unwrap_or_default();
        let answer = match (&*words[0], call.first().map(String::as_str)) {
            ("EVALSHA", Some("open")) => "*5\r\n$1\r\ne\r\n$1\r\ns\r\n$3\r\n1-0\r\n$1\r\n0\r\n$3\r\n0-0\r\n",
            ("EVALSHA", _) => "*6\r\n:0\r\n:1\r\n$0\r\n\r\n:0\r\n$1\r\n0\r\n*0\r\n",
            ("XREVRANGE", _) => "*0\r\n",
            ("XREAD", _) => "*-1\r\n",
            _ => "+OK\r\n",
        };
        match call.first().map(String::as_str) {
            Some("enter") => tokio::time::sleep(Duration::from_secs(3)).await,
            _ if words[0] == "XREAD" => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => {}
        }
        if words[0] == "EVALSHA" {
            calls.lock().unwrap().push(call.to_vec());
        }
        stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The number in a line such as `*3` or `$12`.
async fn length(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

#[tokio::test]
async fn who_was_let_in_too_late_leaves_again() {
    let (url, calls) = slow_redis().await;
    let limits = Arc::new(Limits::default());
    let engine = Engine::Redis(Box::new(Redis::new(&url, Arc::clone(&limits)).unwrap()));
    let chat = Chat::new(engine, limits);
    let hello = Hello { nick: "Ada".to_owned(), session: "0123456789abcdef".to_owned(), ..Hello::default() };
    let Err(refused) = chat.join("lobby", &hello, None, "").await else { panic!("nobody answers in time") };
    assert_eq!(refused.code, "away");
    // Redis did it after all; from then on it is told that nobody is there, as often as it takes.
    let of = |operation: &str| {
        let calls = calls.lock().unwrap();
        calls.iter().filter(|call| call[0] == operation).cloned().collect::<Vec<_>>()
    };
    while of("tick").len() < 2 {
        chat.tick().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let [entered] = &of("enter")[..] else { panic!("once") };
    let (member, attempt) = (entered[6].clone(), format!("attempt{}", entered[10]));
    for told in of("tick") {
        assert_eq!(told[8..], [member.clone(), attempt.clone(), "8000".to_owned(), "0".to_owned()]);
    }
}
