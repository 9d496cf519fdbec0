//! Several Socket.IO servers that share a log, in one process: the log is a list with faults. Time is virtual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "common/cluster.rs"]
mod cluster;

use bytes::Bytes;
use cluster::{Log, settle};
use http_body_util::{BodyExt, Full};
use pushline::adapter::socketio::{ClusterOptions, ServerSideError, SocketIo, SocketIoOptions};
use pushline::socketio::{Payload, RecoveryOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};

fn node(log: &Log, recovery: bool, config: ClusterOptions) -> SocketIo {
    let options = if recovery {
        SocketIoOptions::new().recovery(RecoveryOptions::new())
    } else {
        SocketIoOptions::new()
    };
    let io = SocketIo::new(options);
    io.of("/").on("join", |socket, event| async move {
        socket.join(&event.payload.arguments().next().unwrap().string().unwrap().to_cow());
        event.ack(&()).unwrap();
    });
    io.cluster(log.clone(), config).unwrap();
    assert!(io.cluster(log.clone(), config).is_err(), "in one already");
    io
}

/// A client over polling, by hand.
struct Client {
    io: SocketIo,
    engine: String,
    sid: String,
    pid: String,
    offset: Option<String>,
}

async fn ask(io: &SocketIo, sid: &str, post: Option<String>) -> (u16, String) {
    let request = http::Request::builder()
        .method(if post.is_some() { "POST" } else { "GET" })
        .uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    let request = request.body(Full::new(Bytes::from(post.unwrap_or_default()))).unwrap();
    let response = io.handle(request).await;
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

fn field(text: &str, name: &str) -> Option<String> {
    Some(text.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned())
}

impl Client {
    /// Also what it missed, if it was here before.
    async fn open(io: &SocketIo, before: Option<&Self>) -> (Self, Vec<String>) {
        let (_, text) = ask(io, "", None).await;
        let engine = format!("&sid={}", field(&text, "sid").unwrap());
        let mut client =
            Self { io: io.clone(), engine, sid: String::new(), pid: String::new(), offset: None };
        let auth = before.map(|before| match &before.offset {
            Some(offset) => format!(r#"{{"pid":"{}","offset":"{offset}"}}"#, before.pid),
            None => format!(r#"{{"pid":"{}"}}"#, before.pid),
        });
        client.post(&format!("40{}", auth.unwrap_or_default())).await;
        let mut missed = Vec::new();
        while client.sid.is_empty() {
            for packet in client.poll().await {
                match packet.strip_prefix("40") {
                    Some(answer) => {
                        client.sid = field(answer, "sid").unwrap();
                        client.pid = field(answer, "pid").unwrap_or_default();
                    }
                    None => missed.push(packet),
                }
            }
        }
        (client, missed)
    }

    async fn new(io: &SocketIo) -> Self {
        Self::open(io, None).await.0
    }

    async fn post(&self, text: &str) {
        assert_eq!(ask(&self.io, &self.engine, Some(text.into())).await, (200, "ok".into()));
    }

    async fn join(&self, room: &str) {
        self.post(&format!("421[\"join\",\"{room}\"]")).await;
        let (_, text) = ask(&self.io, &self.engine, None).await;
        assert_eq!(text, "431[]");
    }

    async fn poll(&mut self) -> Vec<String> {
        let (status, text) = ask(&self.io, &self.engine, None).await;
        assert_eq!(status, 200);
        text.split('\u{1e}').map(String::from).collect()
    }

    /// What it hears within some time, without the offsets.
    async fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            for packet in timeout(Duration::from_secs(15), self.poll()).await.expect("something comes") {
                if packet.starts_with("42") {
                    heard.push(self.plain(&packet));
                }
            }
        }
        heard
    }

    fn plain(&mut self, packet: &str) -> String {
        let parts: Vec<&str> = packet.trim_start_matches("42[").trim_end_matches(']').split(',').collect();
        if !self.pid.is_empty() {
            self.offset = Some(parts.last().unwrap().trim_matches('"').into());
        }
        parts[1].into()
    }
}

#[tokio::test(start_paused = true)]
async fn rooms_are_everywhere() {
    for recovery in [false, true] {
        let log = Log::default();
        let [one, two] = [(); 2].map(|()| node(&log, recovery, ClusterOptions::new()));
        let (mut a, mut b, mut c) =
            (Client::new(&one).await, Client::new(&two).await, Client::new(&two).await);
        settle(&[&one, &two]).await;
        b.join("room").await;
        c.join("room").await;
        c.join("muted").await;
        one.of("/").emit("all", &1);
        one.of("/").to("room").emit("room", &2);
        two.of("/").to("room").except("muted").emit("some", &3);
        one.of("/").to(&a.sid).emit("one", &4);
        two.of("/").to(&a.sid).emit("one", &5);
        two.of("/").all().local().emit("own", &6);
        if recovery {
            // In one order, but for what is local.
            assert_eq!(a.hear(3).await.len(), 3);
        } else {
            assert_eq!(a.hear(3).await, ["1", "4", "5"]);
        }
        let heard = |mut heard: Vec<String>| {
            heard.sort();
            heard
        };
        assert_eq!(heard(b.hear(4).await), ["1", "2", "3", "6"]);
        assert_eq!(heard(c.hear(3).await), ["1", "2", "6"]);
        let count =
            async |io: &SocketIo, room: &str| io.of("/").to(room).fetch_sockets().await.unwrap().len();
        assert_eq!(one.of("/").all().fetch_sockets().await.unwrap().len(), 3);
        assert_eq!(
            (count(&one, "room").await, count(&two, "muted").await, count(&two, "x").await),
            (2, 1, 0)
        );
        let found = one.of("/").to("muted").fetch_sockets().await.unwrap();
        assert_eq!(
            (found[0].sid.as_str(), &found[0].rooms[..]),
            (&*c.sid, &["room".into(), "muted".into()][..])
        );
        one.of("/").to("room").join("third");
        one.of("/").to("muted").leave("room");
        sleep(Duration::from_secs(1)).await;
        assert_eq!((count(&one, "third").await, count(&one, "room").await), (2, 1));
        one.of("/").to("muted").disconnect();
        sleep(Duration::from_secs(1)).await;
        assert_eq!((count(&one, "third").await, two.of("/").sockets().len()), (1, 1));
        // A node that has died is not waited for.
        two.close();
        drop((b, c, two));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(one.cluster_status().unwrap().others, 0);
        assert!(one.of("/").all().fetch_sockets().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn comes_back_on_another_node() {
    let log = Log::default();
    let [one, two] = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
    settle(&[&one, &two]).await;
    let mut a = Client::new(&one).await;
    a.join("room").await;
    sleep(Duration::from_secs(1)).await;
    for n in 0..3 {
        two.of("/").to("room").emit("n", &n);
    }
    assert_eq!(a.hear(3).await, ["0", "1", "2"]);
    two.of("/").to("room").emit("n", &3);
    two.of("/").to("elsewhere").emit("n", &4);
    sleep(Duration::from_secs(1)).await;
    // Its old node lives, and does not know that it has gone.
    let (mut back, missed) = Client::open(&two, Some(&a)).await;
    assert_eq!((&back.sid, missed.len()), (&a.sid, 1));
    assert_eq!(back.plain(&missed[0]), "3");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(one.of("/").sockets().len(), 0, "its stale connection is closed");
    one.of("/").to("room").emit("n", &5);
    assert_eq!(back.hear(1).await, ["5"]);
    // And again, to one that has just come.
    let three = node(&log, true, ClusterOptions::new());
    sleep(Duration::from_secs(1)).await;
    one.of("/").to("room").emit("n", &6);
    sleep(Duration::from_secs(1)).await;
    let (mut again, missed) = Client::open(&three, Some(&back)).await;
    assert_eq!((&again.sid, missed.len()), (&a.sid, 1));
    assert_eq!(again.plain(&missed[0]), "6");
    let before_the_gap = again.offset.clone().unwrap();
    // A secret that nobody has; one that is no key.
    for pid in ["nobody", "", "../x", &"x".repeat(65)] {
        let stranger = Client { pid: pid.into(), ..Client::new(&one).await };
        assert_ne!(Client::open(&three, Some(&stranger)).await.0.sid, stranger.sid);
    }
    // What is gone from the log before a node has read it ends recovery: the client is somebody new.
    let mut witness = Client::new(&one).await;
    log.state().lost = Some(r#"["n",7]"#);
    one.of("/").emit("n", &7);
    sleep(Duration::from_secs(1)).await;
    one.of("/").emit("n", &8);
    assert_eq!(witness.hear(2).await, ["7", "8"], "what a node says, its own clients hear");
    assert_eq!(again.hear(1).await, ["8"]);
    again.offset = Some(before_the_gap);
    assert_ne!(Client::open(&three, Some(&again)).await.0.sid, again.sid);
}

#[tokio::test(start_paused = true)]
async fn without_the_log() {
    for recovery in [false, true] {
        let log = Log::default();
        let config = ClusterOptions::new().heartbeat(Duration::from_secs(3600)).queued(3);
        let [one, two] =
            [(); 2].map(|()| node(&log, recovery, config.node_timeout(Duration::from_secs(7200))));
        let (mut a, mut b) = (Client::new(&one).await, Client::new(&two).await);
        settle(&[&one, &two]).await;
        sleep(Duration::from_secs(1)).await;
        log.state().away = true;
        for (n, queued, dropped) in [(1_u64, 1, 0), (2, 2, 0), (3, 3, 0), (4, 3, 1), (5, 3, 2)] {
            one.of("/").emit("n", &n);
            sleep(Duration::from_secs(3)).await;
            let status = one.cluster_status().unwrap();
            assert_eq!((status.queued, status.dropped, status.is_away), (queued, dropped, true));
        }
        assert_eq!(a.hear(5).await, ["1", "2", "3", "4", "5"]);
        // The answer to a write is lost, twice: each comes once.
        let before = log.state().records.len();
        log.state().deaf = 2;
        log.state().away = false;
        assert_eq!(b.hear(3).await, ["1", "2", "3"]);
        sleep(Duration::from_secs(3)).await;
        assert!(!one.cluster_status().unwrap().is_away);
        assert!(log.state().records.len() >= before + 2 * 3, "they were written twice");
        one.of("/").emit("n", &6);
        assert_eq!((a.hear(1).await, b.hear(1).await), (vec!["6".into()], vec!["6".into()]));
    }
}

/// An event that clients would hang up on is dropped by who emits it: it leaves no gap in the log, after which nobody could come
/// back.
#[tokio::test(start_paused = true)]
async fn what_no_node_would_take() {
    let log = Log::default();
    let [one, two] = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
    let mut a = Client::new(&one).await;
    let mut b = Client::new(&two).await;
    settle(&[&one, &two]).await;
    one.of("/").emit("n", &1);
    assert_eq!((a.hear(1).await, b.hear(1).await), (vec!["1".into()], vec!["1".into()]));
    let deep = "[".repeat(128) + &"]".repeat(128);
    one.of("/").emit("n", &pushline::json::check(&deep).unwrap());
    one.of("/").emit("disconnect", &());
    one.of("/").server_side_emit("deep", &pushline::json::check(&deep).unwrap()).unwrap();
    assert_eq!(one.cluster_status().unwrap().dropped, 3);
    one.of("/").emit("n", &2);
    assert_eq!(b.hear(1).await, ["2"]);
    two.of("/").emit("n", &3);
    sleep(Duration::from_secs(1)).await;
    let (mut back, missed) = Client::open(&one, Some(&b)).await;
    assert_eq!((&back.sid, missed.len()), (&b.sid, 1), "without a gap it may come back");
    assert_eq!(back.plain(&missed[0]), "3");
}

/// Whatever is in the log, nodes go on, and clients get nothing that they would hang up on.
#[tokio::test(start_paused = true)]
async fn records_of_strangers() {
    let log = Log::default();
    let [one, two] = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
    let mut a = Client::new(&one).await;
    settle(&[&one, &two]).await;
    two.of("/").to("room").emit("n", &("text", Bytes::from_static(b"bytes")));
    two.of("/").all().join("room");
    two.of("/").server_side_emit("said", &("text", Bytes::from_static(b"bytes"))).unwrap();
    let _ = two.of("/").all().fetch_sockets().await;
    sleep(Duration::from_secs(1)).await;
    let real = log.state().records.clone();
    assert!(real.len() > 6);
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 33) as usize) % below
    };
    for _ in 0..20_000 {
        let mut record = real[next(real.len())].to_vec();
        for _ in 0..=next(3) {
            match next(4) {
                0 => record.truncate(next(record.len() + 1)),
                1 => record.push(next(256) as u8),
                _ if record.is_empty() => {}
                2 => record[..].fill(next(256) as u8),
                _ => {
                    let at = next(record.len());
                    record[at] = next(256) as u8;
                }
            }
        }
        // Some other node's: whoever can write in a node's name can silence it.
        if let Some(id) = record.get_mut(2..10) {
            id.fill(next(5) as u8);
        }
        log.state().records.push(record.into());
    }
    let poll = timeout(Duration::from_secs(5), a.poll()).await;
    for packet in poll.iter().flatten() {
        assert!(
            ["42[", "45", "b"].iter().any(|begin| packet.starts_with(begin))
                || packet == "41"
                || packet == "2",
            "{packet}"
        );
    }
    let mut fresh = Client::new(&one).await;
    two.of("/").to(&fresh.sid).emit("n", &7);
    assert_eq!(fresh.hear(1).await, ["7"]);
}

const SECOND: Duration = Duration::from_secs(1);
const FIVE: Duration = Duration::from_secs(5);

/// What each has heard, by its number.
type Heard = Arc<Mutex<Vec<(usize, String)>>>;

/// They keep what they hear, and know their numbers; the third does not say it.
fn listen(nodes: &[&SocketIo]) -> Heard {
    let heard = Heard::default();
    for (number, io) in (1..).zip(nodes) {
        let hears = Arc::clone(&heard);
        io.of("/chat")
            .on_server_side_event("said", move |event| {
                assert!(!event.wants_ack());
                event.ack("nobody asked");
                let bytes = event.payload.bytes(1).map_or(0, |bytes| bytes.len());
                let text = event.payload.arguments().next().unwrap().as_str().to_owned();
                hears.lock().unwrap().push((number, format!("{text} {bytes}")));
                async {}
            })
            .on_server_side_event("number?", move |event| async move {
                sleep(Duration::from_secs(1)).await;
                event.ack(&(number as u64, Bytes::from_static(b"x")));
                event.ack("once is enough");
            })
            .on_server_side_event("numbers?", move |event| async move {
                if number != 3 {
                    event.ack(&(number as u64));
                }
            });
    }
    heard
}

fn numbers(answers: &[Payload]) -> Vec<u64> {
    let number = |answer: &Payload| answer.arguments().next().unwrap().as_u64().unwrap();
    let mut numbers: Vec<u64> = answers.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(start_paused = true)]
async fn servers_among_themselves() {
    for recovery in [false, true] {
        let log = Log::default();
        let [one, two, three] = [(); 3].map(|()| node(&log, recovery, ClusterOptions::new()));
        let heard = listen(&[&one, &two, &three]);
        settle(&[&one, &two, &three]).await;
        let chat = one.of("/chat");
        chat.server_side_emit("said", &("a", Bytes::from_static(b"12345"))).unwrap();
        chat.server_side_emit("said", &2).unwrap();
        one.of("/").server_side_emit("said", "elsewhere").unwrap();
        chat.server_side_emit("nobody hears this", &()).unwrap();
        sleep(Duration::from_secs(1)).await;
        let mut now = std::mem::take(&mut *heard.lock().unwrap());
        now.sort_by_key(|(number, _)| *number); // in order for each
        assert_eq!(now, [(2, "\"a\" 5"), (2, "2 0"), (3, "\"a\" 5"), (3, "2 0")].map(|(n, t)| (n, t.into())));

        let answers = chat.server_side_emit_with_ack("number?", &(), FIVE).await.unwrap();
        assert_eq!(numbers(&answers), [2, 3]);
        assert!(answers.iter().all(|answer| answer.bytes(1).is_some_and(|bytes| &bytes[..] == b"x")));
        let some = chat.server_side_emit_with_ack("numbers?", &(), FIVE).await;
        let Err(ServerSideError::TimedOut { answers }) = some else { panic!("one says nothing") };
        assert_eq!(numbers(&answers), [2]);
        let none = chat.server_side_emit_with_ack("nobody hears this", &(), FIVE).await;
        assert!(matches!(none, Err(ServerSideError::TimedOut { answers }) if answers.is_empty()));
        for name in ["connect", "connection", "new_namespace", "disconnect", "newListener"] {
            let refused = [
                chat.server_side_emit(name, &()).err(),
                chat.server_side_emit_with_ack(name, &(), FIVE).await.err(),
            ];
            assert!(refused.iter().all(|refused| matches!(refused, Some(ServerSideError::ReservedName))));
        }

        // One that has just come does not hear what was before; one that has died is not waited for.
        let four = node(&log, recovery, ClusterOptions::new());
        let late = listen(&[&four]);
        three.close();
        drop(three);
        let asked = chat.server_side_emit_with_ack("numbers?", &(), Duration::from_secs(60)).await.unwrap();
        assert_eq!(numbers(&asked), [2]);
        settle(&[&one, &two, &four]).await;
        assert!(late.lock().unwrap().is_empty());
        log.state().away = true;
        chat.server_side_emit("said", &7).unwrap();
        sleep(Duration::from_secs(10)).await;
        log.state().away = false;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(*late.lock().unwrap(), [(1, "7 0".into())]);
    }
    // Without a cluster there are no others.
    let alone = SocketIo::new(SocketIoOptions::new());
    let heard = listen(&[&alone]);
    alone.of("/chat").server_side_emit("said", &1).unwrap();
    assert!(alone.of("/chat").server_side_emit_with_ack("number?", &(), FIVE).await.unwrap().is_empty());
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn comes_back_elsewhere_without_having_heard_anything() {
    let log = Log::default();
    let [one, two] = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
    settle(&[&one, &two]).await;
    // Signs of life have gone through the log since the namespace's last event.
    two.of("/").emit("n", &0);
    sleep(Duration::from_secs(10)).await;
    let a = Client::new(&one).await;
    sleep(Duration::from_secs(1)).await;
    let (mut back, missed) = Client::open(&two, Some(&a)).await;
    assert_eq!((&back.sid, missed.len()), (&a.sid, 0));
    one.of("/").emit("n", &1);
    assert_eq!(back.hear(1).await, ["1"]);
}

/// A client that is known to have been cut is away for as long on all nodes, that which it was on included.
#[tokio::test(start_paused = true)]
async fn an_absence_is_as_long_everywhere() {
    const ABSENCE: Duration = Duration::from_secs(120);
    for (away, is_log_away) in
        [(ABSENCE - 2 * SECOND, false), (ABSENCE + SECOND, false), (ABSENCE + SECOND, true)]
    {
        for to in 0..2 {
            let log = Log::default();
            let nodes = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
            settle(&[&nodes[0], &nodes[1]]).await;
            let a = Client::new(&nodes[0]).await;
            sleep(SECOND).await;
            log.state().away = is_log_away;
            // Its connection ends without a word to the namespace.
            a.post("1").await;
            sleep(away - SECOND).await;
            log.state().away = false;
            sleep(SECOND).await;
            let (back, _) = Client::open(&nodes[to], Some(&a)).await;
            assert_eq!(back.sid == a.sid, away < ABSENCE, "{away:?} {to} {is_log_away}");
        }
    }
}

/// Of several nodes that a client comes to at once one has it; nobody else gets what it missed.
#[tokio::test(start_paused = true)]
async fn comes_back_on_several_nodes_at_once() {
    let log = Log::default();
    let [one, two, three] = [(); 3].map(|()| node(&log, true, ClusterOptions::new()));
    settle(&[&one, &two, &three]).await;
    let a = Client::new(&one).await;
    sleep(SECOND).await;
    a.post("1").await;
    one.of("/").emit("n", &1);
    sleep(SECOND).await;
    let mut both =
        Vec::from(<[_; 2]>::from(tokio::join!(Client::open(&two, Some(&a)), Client::open(&three, Some(&a)))));
    both.sort_by_key(|(client, _)| client.sid != a.sid);
    let [(first, missed), (second, none)] = &mut both[..] else { panic!() };
    assert_eq!((&first.sid, missed.len()), (&a.sid, 1));
    assert_eq!(first.plain(&missed[0]), "1");
    assert!(second.sid != a.sid && none.is_empty());
    one.of("/").emit("n", &2);
    assert_eq!((first.hear(1).await, second.hear(1).await), (vec!["2".into()], vec!["2".into()]));
    assert_eq!(one.of("/").all().fetch_sockets().await.unwrap().len(), 2);
}

/// A client whose connection ends while a node takes it over is not lost: it may come to any.
#[tokio::test(start_paused = true)]
async fn is_cut_while_a_node_takes_it_over() {
    let log = Log::default();
    let [one, two, three] = [(); 3].map(|()| node(&log, true, ClusterOptions::new()));
    settle(&[&one, &two, &three]).await;
    let mut a = Client::new(&one).await;
    a.join("room").await;
    one.of("/").emit("n", &1);
    assert_eq!(a.hear(1).await, ["1"]);
    sleep(SECOND).await;
    a.post("1").await;
    one.of("/").to("room").emit("n", &2);
    sleep(SECOND).await;
    // The node waits for the log: meanwhile the client leaves.
    log.state().slow = SECOND;
    let (_, text) = ask(&two, "", None).await;
    let engine = format!("&sid={}", field(&text, "sid").unwrap());
    let auth = format!(r#"40{{"pid":"{}","offset":"{}"}}"#, a.pid, a.offset.as_ref().unwrap());
    for text in [auth, "1".into()] {
        assert_eq!(ask(&two, &engine, Some(text)).await.0, 200);
    }
    assert!(log.state().kept.is_empty(), "it is being taken over");
    one.of("/").to("room").emit("n", &3);
    sleep(5 * SECOND).await;
    let (mut back, missed) = Client::open(&three, Some(&a)).await;
    assert_eq!(back.sid, a.sid);
    assert_eq!(missed.iter().map(|packet| back.plain(packet)).collect::<Vec<_>>(), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_in_a_long_silence_is_noticed() {
    let log = Log::default();
    let [one, two] = [(); 2].map(|()| node(&log, true, ClusterOptions::new()));
    settle(&[&one, &two]).await;
    let mut a = Client::new(&two).await;
    one.of("/").emit("n", &0);
    assert_eq!(a.hear(1).await, ["0"]);
    let before = a.offset.clone();
    // All is trimmed before anybody reads it, for longer than it takes for a node to be forgotten.
    log.state().lost = Some("");
    one.of("/").emit("n", &1);
    sleep(Duration::from_secs(30)).await;
    log.state().lost = None;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(a.poll().await, ["2"], "a ping");
    a.post("3").await;
    one.of("/").emit("n", &2);
    assert_eq!(a.hear(1).await, ["2"]);
    a.offset = before;
    let back = Client::open(&two, Some(&a)).await.0;
    assert_ne!(back.sid, a.sid, "it has missed something: it is somebody new");
}
