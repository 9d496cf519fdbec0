//! Socket.IO: rooms with clients that stop reading, recovery, times. What is below it is in `engineio`.

use crate::wire::{Client, Server, moment, text, until};
use pushline::adapter::blocking::{ClientStream, WebSocket};
use pushline::adapter::socketio::{SlowClient, SocketIo, SocketIoOptions, SocketRef};
use pushline::socketio::engine::EngineOptions;
use pushline::socketio::{RecoveryOptions, SocketIoLimits};
use std::time::Duration;

type Seen = crate::seen::Seen<SocketRef>;

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const SOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

struct World {
    server: Server,
    io: SocketIo,
    seen: Seen,
}

impl World {
    /// It hears `say`, and asks its client `question` on `ask`: what comes back within `patience` is heard.
    fn new(options: SocketIoOptions, patience: Duration) -> Self {
        let seen = Seen::default();
        let sees = seen.clone();
        let (server, io) = Server::start(|| {
            let io = SocketIo::new(options);
            let [says, asks, connects, leaves] = [(); 4].map(|()| sees.clone());
            io.of("/")
                .on_connect(move |socket, _| {
                    connects.know().senders.push(socket);
                    async {}
                })
                .on_disconnect(move |_, _| {
                    leaves.know().ended += 1;
                    async {}
                })
                .on("say", move |_, event| {
                    says.know()
                        .heard
                        .push(event.payload.arguments().map(|it| it.as_str().to_owned()).collect());
                    async {}
                })
                .on("ask", move |socket, _| {
                    let asks = asks.clone();
                    async move {
                        let answer = socket.emit_with_ack("question", &(), patience).await;
                        asks.know()
                            .heard
                            .push(answer.map_or_else(|error| error.to_string(), |_| "answer".into()));
                    }
                });
            let answer = io.clone();
            (io, move |request| {
                let io = answer.clone();
                async move { io.handle(request).await }
            })
        });
        Self { server, io, seen }
    }

    /// A session on polling, in no namespace yet.
    fn open(&self) -> String {
        let body = self.server.get(OPEN).body;
        let sid = body.split_once("\"sid\":\"").unwrap().1.split('"').next().unwrap();
        format!("{OPEN}&sid={sid}")
    }

    /// One that is in the namespace, and what it was told.
    fn join(&self, auth: &str) -> (String, String) {
        let url = self.open();
        self.server.post(&url, &format!("40{auth}")).is(200, "ok");
        let told = self.server.get(&url).body;
        (url, told)
    }

    fn websocket(&self) -> WebSocket<ClientStream> {
        let mut socket = self.server.websocket(SOCKET).unwrap();
        text(&mut socket).unwrap();
        socket.send("40").unwrap();
        assert!(text(&mut socket).unwrap().starts_with("40{\"sid\""));
        socket
    }

    fn say(&self, text: &str) {
        self.io.of("/").emit("m", text);
    }

    fn has_clients(&self, count: usize) {
        until("clients", || self.io.clients() == count);
    }
}

/// The next message, with pings answered.
fn next(socket: &mut WebSocket<ClientStream>) -> String {
    loop {
        match text(socket).expect("it goes on").as_str() {
            "2" => socket.send("3").unwrap(),
            message => return message.to_owned(),
        }
    }
}

/// The first arguments of the events in an answer.
fn texts(body: &str) -> Vec<String> {
    let rest = body.split("[\"m\",\"").skip(1);
    rest.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// As much waits for a client that reads no more as may; then it is disconnected, or gets nothing more until it has not
/// answered a ping. Others get all.
#[test]
fn readers_that_stop() {
    std::thread::scope(|scope| {
        for slow in [SlowClient::Disconnect, SlowClient::Drop] {
            for is_socket in [true, false] {
                scope.spawn(move || stops_reading(slow, is_socket));
            }
        }
    });
}

fn stops_reading(slow: SlowClient, is_socket: bool) {
    let mut engine = EngineOptions::new().max_queued(8);
    if slow == SlowClient::Drop {
        engine = engine.ping_interval(Duration::from_millis(500)).ping_timeout(Duration::from_secs(2));
    }
    let world = World::new(SocketIoOptions::new().engine(engine).slow_client(slow), Duration::ZERO);
    let mut stopped = Client::narrow(world.server.address);
    if is_socket {
        stopped.upgrade(SOCKET);
        assert_eq!(stopped.head().status, 101);
        stopped.raw_frame("40");
    } else {
        world.join("");
    }
    let sender = world.seen.sender(0);
    let mut beside = world.websocket();
    for number in 0..120 {
        let message = format!("{number} {}", "x".repeat(16 << 10));
        world.say(&message);
        assert_eq!(next(&mut beside), format!("42[\"m\",\"{message}\"]"));
    }
    world.seen_end(&mut beside);
    assert!(!sender.is_connected());
    world.say("on");
    assert_eq!(next(&mut beside), "42[\"m\",\"on\"]");
    assert_eq!(world.io.clients(), 1);
    drop(beside);
    world.has_clients(0);
}

impl World {
    /// Waits until a session has ended, while another goes on.
    fn seen_end(&self, beside: &mut WebSocket<ClientStream>) {
        until("a session's end", || {
            self.say("x");
            assert_eq!(next(beside), "42[\"m\",\"x\"]");
            self.seen.know().ended == 1 && self.io.clients() == 1
        });
    }
}

#[test]
fn attachments_that_do_not_come() {
    let world = World::new(SocketIoOptions::new(), Duration::ZERO);
    let (other, _) = world.join("");
    for end in ["1", "42[\"say\",\"over\"]"] {
        let (url, _) = world.join("");
        let half =
            "452-[\"say\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\u{1e}bAAAA";
        world.server.post(&url, half).is(200, "ok");
        world.server.post(&url, end);
        world.has_clients(1);
        assert_eq!(world.server.get(&url).status, 400);
    }
    world.server.post(&other, "42[\"say\",\"mine\"]").is(200, "ok");
    world.seen.hears(&["\"mine\""]);
    assert_eq!(world.seen.know().ended, 2);
}

/// A client that is cut in the middle of a poll comes back with what it knows, and gets what it missed, once and in order.
#[test]
fn a_client_that_comes_back() {
    for absence in [Duration::from_secs(120), Duration::MAX, Duration::ZERO] {
        let recovery = RecoveryOptions::new().max_absence(absence);
        let world = World::new(SocketIoOptions::new().recovery(recovery), Duration::ZERO);
        let (url, told) = world.join("");
        let pid = told.split_once("\"pid\":\"").unwrap().1.split('"').next().unwrap();
        world.say("first");
        let body = world.server.get(&url).body;
        assert_eq!(texts(&body), ["first"]);
        let offset = body.trim_end_matches("\"]").rsplit('"').next().unwrap();
        let held = world.server.begin("GET", &url);
        moment();
        drop(held);
        world.has_clients(0);
        let all: Vec<_> = (0..5).map(|number| format!("m{number}")).collect();
        all.iter().for_each(|text| world.say(text));
        // Whoever makes a name up is somebody new, and hears nothing of it.
        let (stranger, told) =
            world.join(&format!("{{\"pid\":\"{}\",\"offset\":\"{offset}\"}}", "A".repeat(pid.len())));
        assert!(texts(&told).is_empty() && told.starts_with("40{"), "{told}");
        let (again, mut got) = world.join(&format!("{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}"));
        world.say("last");
        until("what comes last", || {
            got += &world.server.get(&again).body;
            got.contains("last")
        });
        let mut expected = if absence.is_zero() { Vec::new() } else { all };
        expected.push("last".into());
        assert_eq!(texts(&got), expected, "{absence:?}");
        assert_eq!(texts(&world.server.get(&stranger).body), ["last"]);
        assert_eq!(world.io.clients(), 2);
    }
}

/// A client that comes back before its cut was noticed: its stale session is closed, and hears nothing more.
#[test]
fn a_client_that_is_back_before_it_has_left() {
    let world = World::new(SocketIoOptions::new().recovery(RecoveryOptions::new()), Duration::ZERO);
    let (url, told) = world.join("");
    let pid = told.split_once("\"pid\":\"").unwrap().1.split('"').next().unwrap();
    world.say("first");
    let body = world.server.get(&url).body;
    let offset = body.trim_end_matches("\"]").rsplit('"').next().unwrap();
    let mut held = world.server.begin("GET", &url);
    moment();
    let (again, told) = world.join(&format!("{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}"));
    assert!(told.contains(pid), "{told}");
    let stale = held.reply();
    assert!(texts(&stale.body).is_empty(), "{}", stale.body);
    world.has_clients(1);
    world.say("second");
    assert_eq!(texts(&world.server.get(&again).body), ["second"]);
}

#[test]
fn times_of_zero_and_without_an_end() {
    // Without any time to join a namespace a session ends; with all of it, it waits.
    let limits = SocketIoLimits::new();
    let world =
        World::new(SocketIoOptions::new().limits(limits.connect_timeout(Duration::ZERO)), Duration::ZERO);
    world.server.get(OPEN);
    world.has_clients(0);
    let world =
        World::new(SocketIoOptions::new().limits(limits.connect_timeout(Duration::MAX)), Duration::MAX);
    let url = world.open();
    let mut held = world.server.begin("GET", &url);
    moment();
    assert!(held.is_silent());
    world.server.post(&url, "40").is(200, "ok");
    assert!(held.reply().body.starts_with("40"));
    // An answer may take for ever, or no time at all.
    world.server.post(&url, "42[\"ask\"]").is(200, "ok");
    assert_eq!(world.server.get(&url).body, "420[\"question\"]");
    world.server.post(&url, "430[]").is(200, "ok");
    world.seen.hears(&["answer"]);
    let world = World::new(SocketIoOptions::new(), Duration::ZERO);
    let (url, _) = world.join("");
    world.server.post(&url, "42[\"ask\"]").is(200, "ok");
    until("that it took too long", || !world.seen.know().heard.is_empty());
    assert_ne!(world.seen.heard(), ["answer"]);
    assert_eq!(world.io.clients(), 1);
}
