//! Pushlet: streams, pulls and polls, in each format.

use crate::wire::{Client, Framing, Reply, Server, moment, until};
use pushline::adapter::frameworks::Pushlet;
use pushline::comet::pushlet::PushletOptions;
use std::time::Duration;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const FORMATS: [&str; 4] = ["js", "xml", "xml-strict", "json"];
const NOBODY: &str = "No such session: join first.\n";

fn start(options: PushletOptions) -> (Server, Pushlet) {
    serve(Pushlet::new("/p", options))
}

fn serve(pushlet: Pushlet) -> (Server, Pushlet) {
    Server::start(|| {
        let answer = pushlet.clone();
        (pushlet, move |request| {
            let pushlet = answer.clone();
            async move { pushlet.serve(request).await }
        })
    })
}

/// What an answer says behind this name, in whichever format.
fn value(text: &str, name: &str) -> String {
    let rest = text.split_once(&format!("{name}=\"")).or_else(|| text.split_once(&format!("\"{name}\":\"")));
    let rest =
        rest.or_else(|| text.split_once(&format!("\"{name}\", \""))).unwrap_or_else(|| panic!("{text}")).1;
    rest.split('"').next().unwrap().to_owned()
}

fn ask(server: &Server, query: &str) -> Reply {
    server.get(&format!("/p?p_event={query}"))
}

/// A session that listens in this mode.
fn join(server: &Server, mode: &str, format: &str) -> String {
    let reply = ask(server, &format!("join&p_format={format}"));
    assert_eq!(reply.status, 200);
    let id = value(&reply.body, "p_id");
    if mode != "stream" {
        let reply = ask(server, &format!("listen&p_id={id}&p_mode={mode}&p_subject=/"));
        assert!(reply.body.contains("listen-ack") && reply.body.contains("refresh"), "{}", reply.body);
    }
    id
}

fn begin(server: &Server, query: &str) -> Client {
    let mut client = server.begin("GET", &format!("/p?p_event={query}"));
    assert_eq!(client.head().status, 200);
    client
}

/// A stream that is open, and the session's identifier.
fn stream(server: &Server, format: &str) -> (Client, String) {
    let mut client = begin(server, &format!("join-listen&p_mode=stream&p_subject=/&p_format={format}"));
    let id = value(&client.chunk().unwrap(), "p_id");
    assert!(client.chunk().unwrap().contains("hb"), "it is there");
    (client, id)
}

fn say(pushlet: &Pushlet, text: &str) {
    pushlet.publish("/a", &[("text", text)]);
}

fn has_sessions(pushlet: &Pushlet, count: usize) {
    until("sessions", || pushlet.sessions() == count);
}

#[test]
fn identifiers_that_are_nobodys() {
    let (server, pushlet) = start(PushletOptions::new());
    let (mut mine, _) = stream(&server, "json");
    let left = join(&server, "pull", "json");
    assert!(ask(&server, &format!("leave&p_id={left}")).body.contains("leave-ack"));
    let (short, expires) = start(PushletOptions::new().lease(Duration::from_millis(20)));
    let expired = join(&short, "poll", "json");
    has_sessions(&expires, 0);
    let events =
        ["listen", "refresh", "hb", "subscribe&p_subject=/", "unsubscribe", "publish&p_subject=/", "leave"];
    for (server, id) in
        [(&server, "0".repeat(32)), (&server, String::new()), (&server, left), (&short, expired)]
    {
        for event in events {
            ask(server, &format!("{event}&p_mode=stream&p_id={id}")).is(400, NOBODY);
        }
    }
    say(&pushlet, "mine");
    assert_eq!(value(&mine.chunk().unwrap(), "text"), "mine");
    assert_eq!((pushlet.sessions(), expires.sessions()), (1, 0));
    drop(mine);
}

/// Who listens with a session's identifier takes its place, in whatever mode: the older response ends, each event comes once.
#[test]
fn a_session_that_listens_twice() {
    for format in FORMATS {
        let (server, pushlet) = start(PushletOptions::new());
        let (mut first, id) = stream(&server, format);
        let mut second = begin(&server, &format!("listen&p_mode=stream&p_id={id}"));
        assert!(second.chunk().unwrap().contains("listen-ack"));
        while let Some(chunk) = first.chunk() {
            assert!(!chunk.contains("text"), "{chunk}");
        }
        assert!(second.chunk().unwrap().contains("hb"));
        say(&pushlet, "one");
        assert_eq!(value(&second.chunk().unwrap(), "text"), "one");
        // From a stream to pulls, two of them.
        let reply = ask(&server, &format!("listen&p_mode=pull&p_id={id}"));
        assert!(reply.body.contains("refresh"));
        while let Some(chunk) = second.chunk() {
            assert!(!chunk.contains("text"), "{chunk}");
        }
        let mut older = begin(&server, &format!("refresh&p_id={id}"));
        let mut newer = begin(&server, &format!("refresh&p_id={id}"));
        let (older_ack, newer_ack) = (older.chunk().unwrap(), newer.chunk().unwrap());
        assert!(older_ack.contains("refresh-ack") && newer_ack.contains("refresh-ack"));
        while let Some(chunk) = older.chunk() {
            assert!(!chunk.contains("text"), "{chunk}");
        }
        say(&pushlet, "two");
        assert_eq!(value(&newer.chunk().unwrap(), "text"), "two");
        assert_eq!(newer.chunk(), None);
        assert_eq!(pushlet.sessions(), 1);
    }
}

#[test]
fn bodies_at_their_limits() {
    let (server, pushlet) = serve(Pushlet::new("/p", PushletOptions::new()).max_body(128));
    let (mut listener, id) = stream(&server, "xml");
    for framing in [Framing::Length, Framing::Chunked] {
        for (length, fits) in [(127, true), (128, true), (129, false), (64 << 10, false)] {
            let body = format!("p_event=publish&p_subject=/a&p_id={id}&text=");
            let text = "x".repeat(length - body.len());
            let mut client = Client::connect(server.address);
            client.send_as(framing, "POST", "/p", &[FORM], &(body + &text));
            assert_eq!(client.reply().status, if fits { 200 } else { 413 }, "{framing:?} {length}");
            if fits {
                assert_eq!(value(&listener.chunk().unwrap(), "text"), text);
            }
        }
        let mut client = Client::connect(server.address);
        let half = format!("p_event=publish&p_subject=/a&p_id={id}&text=half");
        client.send_half(framing, "/p", &[FORM], &half);
        let mut joins = Client::connect(server.address);
        joins.send_half(framing, "/p", &[FORM], "p_event=join");
        moment();
        drop((client, joins));
        server.has_connections(1);
        assert_eq!(pushlet.sessions(), 1);
    }
    say(&pushlet, "next");
    assert_eq!(value(&listener.chunk().unwrap(), "text"), "next", "nothing was published by halves");
}

/// As much waits for a client that reads no more as may; those beside it get all; its session ends with its lease.
#[test]
fn readers_that_stop() {
    std::thread::scope(|scope| {
        for format in FORMATS {
            scope.spawn(move || {
                let options = PushletOptions::new().max_events(8).lease(Duration::from_millis(200));
                let (server, pushlet) = start(options);
                let (mut beside, _) = stream(&server, "json");
                let mut stopped = Client::narrow(server.address);
                let target = format!("/p?p_event=join-listen&p_mode=stream&p_subject=/&p_format={format}");
                stopped.send("GET", &target, &[], "");
                let id = {
                    assert_eq!(stopped.head().status, 200);
                    value(&stopped.chunk().unwrap(), "p_id")
                };
                // Far more than connections and limits hold.
                for number in 0..200 {
                    let text = format!("{number} {}", "x".repeat(16 << 10));
                    say(&pushlet, &text);
                    assert_eq!(value(&beside.chunk().unwrap(), "text"), text);
                }
                has_sessions(&pushlet, 1);
                assert!(!pushlet.is_open(&id));
                say(&pushlet, "on");
                assert_eq!(value(&beside.chunk().unwrap(), "text"), "on");
                // It reads on: what there was, and that it was too much or over; no more than that.
                let mut texts = 0;
                while let Some(chunk) = stopped.chunk() {
                    texts += usize::from(chunk.contains("text"));
                }
                assert!(texts < 190, "{texts}");
                drop(beside);
                has_sessions(&pushlet, 0);
            });
        }
    });
}

#[test]
fn a_client_that_is_away_between_two_responses_misses_nothing() {
    for mode in ["pull", "poll"] {
        for format in FORMATS {
            let (server, pushlet) = start(PushletOptions::new());
            let id = join(&server, mode, format);
            // It leaves one in the middle.
            if mode == "pull" {
                let mut held = begin(&server, &format!("refresh&p_id={id}"));
                held.chunk().unwrap();
                drop(held);
                server.has_connections(0);
            }
            (0..3).for_each(|number| say(&pushlet, &format!("m{number}")));
            let body = ask(&server, &format!("refresh&p_id={id}")).body;
            let at: Vec<_> = (0..3).map(|number| body.find(&format!("\"m{number}\"")).unwrap()).collect();
            assert!(at.is_sorted(), "{body}");
            assert_eq!(body.matches("\"m").count(), 3, "{body}");
            assert_eq!(pushlet.sessions(), 1);
        }
    }
}

#[test]
fn a_client_that_leaves_a_stream_and_comes_back() {
    let (server, pushlet) = start(PushletOptions::new());
    let (client, id) = stream(&server, "json");
    drop(client);
    server.has_connections(0);
    (0..3).for_each(|number| say(&pushlet, &format!("m{number}")));
    let mut again = begin(&server, &format!("listen&p_mode=stream&p_id={id}"));
    again.chunk().unwrap();
    let chunk = again.chunk().unwrap();
    assert_eq!(chunk.matches("\"m").count(), 3, "{chunk}");
    drop(again);
    // For good.
    let (server, pushlet) = start(PushletOptions::new().lease(Duration::from_millis(20)));
    drop(stream(&server, "json"));
    has_sessions(&pushlet, 0);
}

#[test]
fn leaving_while_a_response_is_held() {
    for (mode, command) in [("stream", "listen&p_mode=stream"), ("pull", "refresh")] {
        for format in FORMATS {
            let (server, pushlet) = start(PushletOptions::new());
            let id = join(&server, mode, format);
            let mut held = begin(&server, &format!("{command}&p_id={id}"));
            held.chunk().unwrap();
            let mut post = Client::connect(server.address);
            let half = format!("p_event=publish&p_subject=/&text=late&p_id={id}&x=");
            post.send_half(Framing::Length, "/p", &[FORM], &half);
            moment();
            assert!(ask(&server, &format!("leave&p_id={id}")).body.contains("leave-ack"));
            while held.chunk().is_some() {}
            post.raw(&"x".repeat(half.len()));
            post.reply().is(400, NOBODY);
            assert_eq!(pushlet.sessions(), 0);
        }
    }
}

#[test]
fn times_of_zero_and_without_an_end() {
    // A stream has no heartbeats behind the one that says that it is there.
    for hold in [Duration::ZERO, Duration::MAX] {
        let (server, pushlet) = start(PushletOptions::new().hold(hold).lease(Duration::MAX));
        for format in FORMATS {
            let (mut client, _) = stream(&server, format);
            moment();
            say(&pushlet, "a");
            let chunk = client.chunk().unwrap();
            assert_eq!(value(&chunk, "text"), "a");
            moment();
            say(&pushlet, "b");
            assert_eq!(value(&client.chunk().unwrap(), "text"), "b");
        }
        let id = join(&server, "pull", "json");
        if hold.is_zero() {
            let body = ask(&server, &format!("refresh&p_id={id}")).body;
            assert_eq!(body.matches("\"hb\"").count(), 1, "{body}");
        } else {
            let mut held = begin(&server, &format!("refresh&p_id={id}"));
            held.chunk().unwrap();
            moment();
            say(&pushlet, "c");
            assert_eq!(value(&held.chunk().unwrap(), "text"), "c");
        }
    }
    // A lease of zero is over as soon as it is looked at, but who listens is there.
    let (server, pushlet) = start(PushletOptions::new().lease(Duration::ZERO).poll_wait(Duration::MAX));
    let id = join(&server, "poll", "json");
    until("the end of its lease", || !pushlet.is_open(&id));
    let (mut client, _) = stream(&server, "json");
    let id = join(&server, "poll", "json");
    until("the end of its lease", || !pushlet.is_open(&id));
    say(&pushlet, "a");
    assert_eq!(value(&client.chunk().unwrap(), "text"), "a");
}
