//! Pushlet: its flows as a table, its limits, and what must not be seen of others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::comet::pushlet::{Fresh, PushletOptions, PushletReply, PushletServer, PushletTicket};
use pushline::comet::{HttpRequest, HttpResponse};
use std::collections::HashMap;
use std::time::Duration;

fn id(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

/// A server on a virtual clock.
struct World {
    server: PushletServer<Duration>,
    now: Duration,
    tickets: HashMap<u8, PushletTicket>,
}

impl World {
    fn new(config: PushletOptions) -> Self {
        Self { server: PushletServer::new(config), now: Duration::ZERO, tickets: HashMap::new() }
    }

    fn ask(&mut self, number: u8, query: &str) -> HttpResponse {
        let target = format!("/?{query}");
        let fresh = Fresh { id: [number; 16], time: 1_700_000_000 };
        match self.server.request(&HttpRequest::new("GET", &target, &[], b""), fresh, self.now) {
            PushletReply::Response(response) => response,
            PushletReply::Listen { ticket, head } => {
                self.tickets.insert(number, ticket);
                head
            }
        }
    }

    fn body(&mut self, number: u8, query: &str) -> String {
        String::from_utf8(self.ask(number, query).body).unwrap()
    }

    /// What is written to the response that this session has open, and whether it ends there.
    fn next(&mut self, number: u8) -> Option<(String, bool)> {
        let mut out = Vec::new();
        let last = self.server.next_piece(&self.tickets[&number], self.now, &mut out)?;
        Some((String::from_utf8(out).unwrap(), last))
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = if text == "-" { "".chars() } else { text.chars() };
    while let Some(character) = rest.next() {
        out.push(match character {
            '\\' => match rest.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            },
            other => other,
        });
    }
    out
}

#[test]
fn flows() {
    let table = include_str!("cases/pushlet.tsv");
    let mut worlds: HashMap<&str, World> = HashMap::new();
    let mut count = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [flow, action, argument, status, expect] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let world = worlds.entry(flow).or_insert_with(|| World::new(PushletOptions::new()));
        let expect = unescaped(expect);
        let (number, query) = argument.split_once(' ').unwrap_or((argument, ""));
        let number = number.parse::<u8>().unwrap();
        match action {
            "ask" | "open" => {
                let was = world.tickets.get(&number).cloned();
                let response = world.ask(number, query);
                assert_eq!(String::from_utf8_lossy(&response.body), expect, "{line}");
                assert_eq!(response.status.to_string(), status, "{line}");
                assert_eq!(world.tickets.get(&number) != was.as_ref(), action == "open", "{line}");
                let format = flow.rsplit_once('-').map_or("", |(format, _)| format);
                let media_type = match (status, format) {
                    ("200", "js") => "text/html",
                    ("200", "xml-strict") => "text/xml",
                    ("200", "json") => "application/json",
                    _ => "text/plain",
                };
                let given = response.field("content-type").unwrap();
                assert_eq!(given.split(';').next(), Some(media_type), "{line}");
                assert_eq!(response.field("cache-control"), Some("no-store"), "{line}");
            }
            "next" => {
                let got = world.next(number);
                let expected = (status != "wait").then(|| (expect, status == "last"));
                assert_eq!(got, expected, "{line}");
            }
            "time" => world.now += Duration::from_secs(number.into()),
            _ => panic!("{line}"),
        }
        count += 1;
    }
    assert!(count > 400, "{count}");
}

const LISTEN: &str = "p_event=join-listen&p_format=json&p_mode=stream&p_subject=/";

#[test]
fn limits_at_their_edges() {
    for (limit, fits) in [(1, false), (2, true), (3, true)] {
        let mut world = World::new(PushletOptions::new().max_sessions(limit));
        world.ask(1, LISTEN);
        assert_eq!(world.ask(2, LISTEN).status, if fits { 200 } else { 503 });

        let mut world = World::new(PushletOptions::new().max_subscriptions(limit));
        world.ask(1, LISTEN);
        let second = world.body(1, &format!("p_event=subscribe&p_subject=/&p_id={}", id(1)));
        assert_eq!(second.contains("subscribe-ack"), fits, "{second}");
        assert_eq!(second.contains("too many subscriptions"), !fits);

        let mut world = World::new(PushletOptions::new().max_events(limit));
        world.ask(1, LISTEN);
        for _ in 0..2 {
            world.ask(2, "p_event=join");
            world.ask(1, &format!("p_event=publish&p_subject=/&p_id={}", id(1)));
        }
        let (written, last) = world.next(1).unwrap();
        assert_eq!(
            (written.matches("\"data\"").count(), written.contains("\"abort\"")),
            if fits { (2, false) } else { (0, true) }
        );
        assert_eq!(last, !fits);
        assert_eq!(world.server.sessions(), if fits { 2 } else { 1 });
    }
    // p_event, p_id, p_subject and one more.
    for (limit, fits) in [(3, false), (4, true), (5, true)] {
        let mut world = World::new(PushletOptions::new().max_fields(limit));
        world.ask(1, LISTEN);
        let answer = world.body(1, &format!("p_event=publish&p_id={}&p_subject=/&a=1", id(1)));
        assert_eq!(answer.contains("publish-ack"), fits, "{limit} {answer}");
    }
    let query = format!("p_event=publish&p_id={}&p_subject=/&a=12345", id(1));
    let bytes = query.replace(['&', '='], "").len();
    for (limit, fits) in [(bytes - 1, false), (bytes, true), (bytes + 1, true)] {
        let mut world = World::new(PushletOptions::new().max_bytes(limit));
        world.ask(1, LISTEN);
        assert_eq!(world.body(1, &query).contains("publish-ack"), fits, "{limit}");
    }
}

#[test]
fn a_session_ends_when_its_lease_is_out() {
    let mut world = World::new(PushletOptions::new().lease(Duration::from_secs(180)));
    world.ask(1, "p_event=join");
    world.ask(2, LISTEN);
    world.now = Duration::from_secs(180) - Duration::from_nanos(1);
    world.server.sweep(world.now);
    assert_eq!(world.server.sessions(), 2);
    assert!(!world.next(2).unwrap().1, "it goes on");
    world.now = Duration::from_secs(180);
    world.server.sweep(world.now);
    assert_eq!(world.server.sessions(), 1, "the one that listens is there");
    world.server.close(&world.tickets[&2]);
    world.now += Duration::from_secs(180);
    world.server.sweep(world.now);
    assert_eq!(world.server.sessions(), 0);
}

/// It is there for as long as it has taken all that there is, and for its lease from when something waits: a heartbeat, or
/// where there are none, an event.
#[test]
fn a_response_that_takes_nothing_holds_no_session() {
    for hold in [Duration::from_secs(20), Duration::ZERO] {
        let mut world = World::new(PushletOptions::new().hold(hold).lease(Duration::from_secs(180)));
        world.ask(1, LISTEN);
        assert!(!world.next(1).unwrap().1);
        for seconds in (0..1000).step_by(10) {
            world.now = Duration::from_secs(seconds);
            let _ = world.next(1);
            world.server.sweep(world.now);
        }
        assert!(world.server.is_open(&id(1)));
        world.server.publish("/a", &[], 0);
        world.now += Duration::from_secs(180) - Duration::from_nanos(1);
        world.server.sweep(world.now);
        assert!(world.server.is_open(&id(1)), "{hold:?}");
        world.now += Duration::from_nanos(1);
        world.server.sweep(world.now);
        assert!(!world.server.is_open(&id(1)), "{hold:?}");
    }
}

#[test]
fn a_newer_response_takes_the_place_of_the_older() {
    let mut world = World::new(PushletOptions::new());
    world.ask(1, LISTEN);
    let older = world.tickets[&1].clone();
    world.ask(1, &format!("p_event=listen&p_mode=stream&p_id={}", id(1)));
    assert_eq!(world.server.next_ready(), Some(older.clone()));
    let mut out = Vec::new();
    assert_eq!((world.server.next_piece(&older, world.now, &mut out), &out[..]), (Some(true), &b"]"[..]));
    world.server.close(&older); // it is none of its business
    assert!(!world.next(1).unwrap().1);
}

/// An event's sender cannot be listened to in its place: what others see of it is no identifier.
#[test]
fn identifiers_stay_with_their_clients() {
    let mut world = World::new(PushletOptions::new());
    world.ask(1, LISTEN);
    world.ask(2, "p_event=join");
    world.ask(2, &format!("p_event=publish&p_subject=/&text=hello&p_id={}", id(2)));
    let (written, _) = world.next(1).unwrap();
    assert!(written.contains("hello") && !written.contains(&id(2)), "{written}");
    let event: serde_json::Value = serde_json::from_str(written.trim_start_matches(',')).unwrap();
    let name = event["p_from"].as_str().unwrap();
    for query in ["hb", "leave", "listen", "refresh"] {
        assert_eq!(world.ask(3, &format!("p_event={query}&p_id={name}")).status, 400);
    }
}

#[test]
fn other_methods() {
    let mut world = World::new(PushletOptions::new());
    let form = [("Content-Type", &b"application/x-www-form-urlencoded"[..])];
    let xml = [("Content-Type", &b"text/xml"[..])];
    for (method, fields, status) in [("POST", &form, 200), ("POST", &xml, 415), ("PUT", &form, 405)] {
        let request = HttpRequest::new(method, "/", fields, b"p_event=join&p_format=json");
        let fresh = Fresh { id: [1; 16], time: 0 };
        let PushletReply::Response(response) = world.server.request(&request, fresh, world.now) else {
            panic!()
        };
        assert_eq!(response.status, status);
    }
}

proptest! {
    /// Whatever is published, each format gives it back as it was, but for what XML has no character for; and in no
    /// format does it end what it stands in.
    #[test]
    fn values_survive(text in "\\PC{0,8}[\0-\u{1f}<>&\"'\u{2028}\u{fffe}a]{0,8}", format in 0..4usize) {
        let format = ["js", "xml", "xml-strict", "json"][format];
        let mut world = World::new(PushletOptions::new());
        world.ask(1, &format!("p_event=join-listen&p_format={format}&p_mode=stream&p_subject=/"));
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        world.ask(1, &format!("p_event=publish&p_subject=/&p_id={}&text={encoded}", id(1)));
        let (written, _) = world.next(1).unwrap();
        let (_, rest) = written.split_once(match format { "json" => "\"text\":", "js" => "\"text\", ", _ => " text=" }).unwrap();
        if format.starts_with("xml") {
            let value = rest.split('"').nth(1).unwrap();
            prop_assert!(!value.contains(['<', '>', '\n']));
            let mut read = value.to_owned();
            for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#9;", "\t"),
                ("&#10;", "\n"), ("&#13;", "\r"), ("&amp;", "&")] {
                read = read.replace(entity, character);
            }
            let kept = |character: char| match character {
                '\t' | '\n' | '\r' => character,
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                _ => character,
            };
            prop_assert_eq!(read, text.chars().map(kept).collect::<String>());
        } else {
            let read = serde_json::Deserializer::from_str(rest).into_iter::<String>().next().unwrap().unwrap();
            prop_assert_eq!(&read, &text);
            prop_assert_eq!(written.matches('<').count(), if format == "js" { 2 } else { 0 });
        }
    }
}
