//! Bayeux: long polling, callback polling, WebSockets.

use crate::wire::{Client, Framing, Server, moment, text, until};
use pushline::adapter::bayeux::{BayeuxOptions, BayeuxService, Everyone};
use pushline::comet::bayeux::{BrokerOptions, Channel};
use pushline::json;
use std::time::Duration;

const UNKNOWN: &str = "402::session_unknown";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

struct World {
    server: Server,
    service: BayeuxService<Everyone>,
}

impl World {
    fn new(broker: BrokerOptions) -> Self {
        Self::with(BayeuxOptions::new().broker(broker))
    }

    fn with(options: BayeuxOptions) -> Self {
        let (server, service) = Server::start(|| {
            let service = BayeuxService::new(options.callback_polling(true), Everyone);
            let answer = service.clone();
            (service, move |request| {
                let service = answer.clone();
                async move { service.serve(request).await }
            })
        });
        Self { server, service }
    }

    fn ask(&self, body: &str) -> String {
        let reply = self.server.post("/", body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    /// A client that is subscribed to `/a`.
    fn join(&self, ext: &str) -> String {
        let body = self.ask(&format!(
            r#"{{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]{ext}}}"#
        ));
        let id = body.split_once("\"clientId\":\"").unwrap().1.split('"').next().unwrap().to_owned();
        let body = self.ask(&meta("subscribe", &id, r#","subscription":"/a""#));
        assert!(body.contains("\"successful\":true"), "{body}");
        id
    }

    /// A connect that is not answered yet.
    fn hold(&self, id: &str) -> Client {
        let links = self.links();
        let mut client = Client::connect(self.server.address);
        client.send("POST", "/", &[], &connect(id));
        until("the connect", || self.links() > links);
        client
    }

    fn say(&self, text: &str) {
        let data = format!("\"{text}\"");
        self.service.publish(Channel::parse("/a").unwrap(), json::check(&data).unwrap());
    }

    fn sessions(&self) -> usize {
        self.service.with(|broker| broker.sessions())
    }

    fn links(&self) -> usize {
        self.service.with(|broker| broker.links())
    }

    fn has(&self, sessions: usize, links: usize) {
        until("sessions and links", || (self.sessions(), self.links()) == (sessions, links));
    }
}

fn meta(channel: &str, id: &str, rest: &str) -> String {
    format!(r#"{{"channel":"/meta/{channel}","clientId":"{id}"{rest}}}"#)
}

fn connect(id: &str) -> String {
    meta("connect", id, r#","connectionType":"long-polling""#)
}

/// As a script asks.
fn script(message: &str) -> String {
    let message = message.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    format!("/?jsonp=f&message={message}")
}

/// The texts of the messages.
fn texts(body: &str) -> Vec<String> {
    let rest = body.split("\"data\":\"").skip(1);
    rest.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn identifiers_that_are_nobodys() {
    let world = World::new(BrokerOptions::new());
    let other = world.join("");
    let mut held = world.hold(&other);
    let left = world.join("");
    assert!(world.ask(&meta("disconnect", &left, "")).contains("\"successful\":true"));
    let short = World::new(BrokerOptions::new().max_interval(Duration::from_millis(20)));
    let reply = short
        .ask(r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}"#);
    let expired = reply.split_once("\"clientId\":\"").unwrap().1.split('"').next().unwrap().to_owned();
    short.has(0, 0);
    for (world, id) in [(&world, "0".repeat(32)), (&world, "x".to_owned()), (&world, left), (&short, expired)]
    {
        let mut socket = world.server.websocket("/").unwrap();
        for message in [
            connect(&id),
            meta("subscribe", &id, r#","subscription":"/a""#),
            meta("unsubscribe", &id, r#","subscription":"/a""#),
            meta("disconnect", &id, ""),
            format!(r#"{{"channel":"/a","clientId":"{id}","data":"stolen"}}"#),
        ] {
            let answer = world.ask(&message);
            assert!(answer.contains(UNKNOWN), "{answer}");
            let answer = world.server.get(&script(&message)).body;
            assert!(answer.contains(UNKNOWN), "{answer}");
            socket.send(&*message).unwrap();
            let answer = text(&mut socket).unwrap();
            assert!(answer.contains(UNKNOWN), "{answer}");
        }
    }
    assert!(held.is_silent(), "nothing was published");
    world.say("mine");
    assert_eq!(texts(&held.reply().body), ["mine"]);
    world.has(1, 0);
}

/// A newer connect takes the place of the older, by whichever transport; each message comes once.
#[test]
fn a_session_that_connects_twice() {
    let world = World::new(BrokerOptions::new());
    let id = world.join("");
    let mut first = world.hold(&id);
    let mut second = Client::connect(world.server.address);
    second.send("GET", &script(&connect(&id)), &[], "");
    first.reply().is(500, "another connect has come");
    world.say("one");
    let body = second.reply().body.replace("\\\"", "\"");
    assert_eq!(texts(&body), ["one"]);
    let mut held = world.hold(&id);
    let mut socket = world.server.websocket("/").unwrap();
    socket.send(&*connect(&id)).unwrap();
    held.reply().is(500, "another connect has come");
    world.say("two");
    assert_eq!(texts(&text(&mut socket).unwrap()), ["two"]);
    // Back to polling: the socket's connect is told so, and gets no more.
    let mut held = world.hold(&id);
    let told = text(&mut socket).unwrap();
    assert!(told.contains("409::connect_superseded"), "{told}");
    world.say("three");
    assert_eq!(texts(&held.reply().body), ["three"]);
    let other = world.join("");
    socket.send(&*meta("subscribe", &other, r#","subscription":"/b""#)).unwrap();
    let told = text(&mut socket).unwrap();
    assert!(told.contains("/b") && !told.contains("three"), "{told}");
    drop(socket);
    world.has(2, 0);
}

#[test]
fn bodies_at_their_limits() {
    let world = World::new(BrokerOptions::new().max_request(200));
    let (listener, speaker) = (world.join(""), world.join(""));
    let hears = |mut held: Client| texts(&held.reply().body).concat();
    let publication = |length: usize| {
        let body = format!(r#"{{"channel":"/a","clientId":"{speaker}","data":""}}"#);
        let text = "x".repeat(length - body.len());
        (body.replace(r#""data":""#, &format!(r#""data":"{text}"#)), text)
    };
    for framing in [Framing::Length, Framing::Chunked] {
        for (length, fits) in [(199, true), (200, true), (201, false), (64 << 10, false)] {
            for is_form in [false, true] {
                let held = world.hold(&listener);
                let (body, text) = publication(length);
                let (body, field) =
                    if is_form { (format!("message={body}"), Some(FORM)) } else { (body, None) };
                let mut client = Client::connect(world.server.address);
                client.send_as(framing, "POST", "/", field.as_slice(), &body);
                assert_eq!(
                    client.reply().status,
                    if fits { 200 } else { 413 },
                    "{framing:?} {length} {is_form}"
                );
                if !fits {
                    world.say("");
                }
                assert_eq!(hears(held), if fits { text } else { String::new() });
            }
        }
        // Half of it is nothing.
        let mut held = world.hold(&listener);
        let (body, _) = publication(150);
        let mut client = Client::connect(world.server.address);
        client.send_half(framing, "/", &[], &body);
        moment();
        drop(client);
        world.server.has_connections(1);
        assert!(held.is_silent());
        world.say("next");
        assert_eq!(hears(held), "next");
    }
    for (length, fits) in [(199, true), (200, true), (201, false)] {
        let mut socket = world.server.websocket("/").unwrap();
        let held = world.hold(&listener);
        let (body, expected) = publication(length);
        socket.send(&*body).unwrap();
        let answer = text(&mut socket);
        assert_eq!(answer.is_some_and(|text| text.contains("\"successful\":true")), fits);
        if !fits {
            world.say("");
        }
        assert_eq!(hears(held), if fits { expected } else { String::new() });
        drop(socket);
        world.has(2, 0);
    }
    assert_eq!(world.sessions(), 2);
}

/// A WebSocket that is not read: its queue is bounded, its session ends, its task goes; others get all.
#[test]
fn readers_that_stop() {
    let broker = BrokerOptions::new().max_queue(8);
    let world = World::with(BayeuxOptions::new().broker(broker).write_timeout(Duration::from_millis(100)));
    let join = |ws: &mut dyn FnMut(&str)| {
        let id = world.join("");
        ws(&connect(&id));
        id
    };
    let mut stopped = Client::narrow(world.server.address);
    stopped.upgrade("/");
    assert_eq!(stopped.head().status, 101);
    let stopped_id = join(&mut |message| stopped.raw_frame(message));
    let mut beside = world.server.websocket("/").unwrap();
    let id = join(&mut |message| beside.send(message).unwrap());
    // Both are on their sockets once a message comes there.
    moment();
    for number in 0..120 {
        let message = format!("{number} {}", "x".repeat(16 << 10));
        world.say(&message);
        assert_eq!(texts(&text(&mut beside).unwrap()), [message]);
    }
    world.has(1, 1);
    assert!(world.ask(&connect(&stopped_id)).contains(UNKNOWN));
    world.say("on");
    assert_eq!(texts(&text(&mut beside).unwrap()), ["on"]);
    assert!(world.ask(&meta("disconnect", &id, "")).contains("\"successful\":true"));
    drop(beside);
    world.has(0, 0);
}

#[test]
fn a_client_that_is_away_misses_nothing() {
    for ext in ["", r#","ext":{"ack":true}"#] {
        let world = World::new(BrokerOptions::new());
        let id = world.join(ext);
        // It leaves a connect that is held.
        drop(world.hold(&id));
        world.has(1, 0);
        let all: Vec<_> = (0..5).map(|number| format!("m{number}")).collect();
        all.iter().for_each(|text| world.say(text));
        let body = world.ask(&connect(&id));
        assert_eq!(texts(&body), all);
        if !ext.is_empty() {
            // What it does not say that it has comes again; what it says does not.
            assert_eq!(texts(&world.ask(&meta("connect", &id, r#","ext":{"ack":0}"#))), all);
            world.say("m5");
            assert_eq!(texts(&world.ask(&meta("connect", &id, r#","ext":{"ack":2}"#))), ["m5"]);
        }
        assert_eq!(world.sessions(), 1);
    }
}

#[test]
fn leaving_while_a_connect_is_held() {
    for is_socket in [false, true] {
        let world = World::new(BrokerOptions::new());
        let (id, other) = (world.join(""), world.join(""));
        let mut held = world.hold(&id);
        let mut beside = world.hold(&other);
        let mut post = Client::connect(world.server.address);
        let half = format!(r#"{{"channel":"/a","clientId":"{id}","data":"late"}}"#);
        post.send_half(Framing::Length, "/", &[], &half);
        moment();
        if is_socket {
            let mut socket = world.server.websocket("/").unwrap();
            socket.send(&*meta("disconnect", &id, "")).unwrap();
            assert!(text(&mut socket).unwrap().contains("\"successful\":true"));
        } else {
            assert!(world.ask(&meta("disconnect", &id, "")).contains("\"successful\":true"));
        }
        let told = held.reply();
        assert!(told.status == 200 && told.body.contains("/meta/connect"), "{told:?}");
        post.raw(&" ".repeat(half.len()));
        assert!(post.reply().body.contains(UNKNOWN));
        assert!(beside.is_silent());
        world.say("next");
        assert_eq!(texts(&beside.reply().body), ["next"]);
        world.has(1, 0);
    }
}

#[test]
fn times_without_an_end() {
    let never = Duration::MAX;
    let broker =
        BrokerOptions::new().timeout(never).interval(never).max_interval(never).multiple_interval(never);
    let world = World::with(BayeuxOptions::new().broker(broker).body_timeout(never).write_timeout(never));
    let id = world.join("");
    let mut held = world.hold(&id);
    moment();
    assert!(held.is_silent());
    world.say("a");
    assert_eq!(texts(&held.reply().body), ["a"]);
    let mut socket = world.server.websocket("/").unwrap();
    socket.send(&*connect(&id)).unwrap();
    moment();
    world.say("b");
    assert_eq!(texts(&text(&mut socket).unwrap()), ["b"]);
    drop(socket);
    world.has(1, 0);
}

#[test]
fn times_of_zero() {
    let zero = Duration::ZERO;
    // A connect is answered at once, with what there is.
    let world = World::new(BrokerOptions::new().timeout(zero).multiple_interval(zero));
    let id = world.join("");
    assert!(world.ask(&connect(&id)).contains("\"successful\":true"));
    world.say("a");
    assert_eq!(texts(&world.ask(&connect(&id))), ["a"]);
    let mut socket = world.server.websocket("/").unwrap();
    for _ in 0..2 {
        socket.send(&*connect(&id)).unwrap();
        assert!(text(&mut socket).unwrap().contains("/meta/connect"), "one answer each");
    }
    world.say("b");
    assert_eq!(texts(&text(&mut socket).unwrap()), ["b"]);
    // A session without any time without a connect ends at once; with one it is there.
    let world = World::new(BrokerOptions::new().max_interval(zero));
    let body = world
        .ask(r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}"#);
    assert!(body.contains("\"successful\":true"));
    world.has(0, 0);
    let body = world.server.post(
        "/",
        r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"]}]"#,
    );
    assert_eq!(body.status, 200);
    world.has(0, 0);
    // No time for a body, or for a socket that takes nothing at once.
    let world = World::with(BayeuxOptions::new().body_timeout(zero).write_timeout(zero));
    let mut client = Client::connect(world.server.address);
    client.send_half(Framing::Length, "/", &[], "[]");
    assert_eq!(client.reply().status, 408);
    let mut socket = world.server.websocket("/").unwrap();
    socket.send("[]").unwrap();
    socket.send(r#"{"channel":"/a"}"#).unwrap();
    assert!(text(&mut socket).is_some());
    assert_eq!(world.sessions(), 0);
}
