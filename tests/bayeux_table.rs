//! `cases/bayeux-channels.tsv` and `cases/bayeux-sessions.tsv`: names, and whole sessions step by step.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::comet::bayeux::{
    BayeuxMessage, BayeuxRequest, Broker, BrokerOptions, Channel, ClientId, Denied, Host, Link, Output,
    Pattern,
};
use pushline::json;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

#[test]
fn channels() {
    let mut rows = 0;
    for row in include_str!("cases/bayeux-channels.tsv").lines().filter(|row| !row.starts_with('#')) {
        let mut columns = row.split('\t');
        let (text, kind) = (columns.next().unwrap(), columns.next().unwrap());
        let (channel, pattern) = (Channel::parse(text), Pattern::parse(text));
        let actual = match (channel, pattern) {
            (Some(channel), Some(_)) if channel.is_meta() => "meta",
            (Some(channel), Some(_)) if channel.is_service() => "service",
            (Some(channel), Some(_)) if channel.is_broadcast() => "broadcast",
            (None, Some(_)) if text.ends_with("/**") => "any",
            (None, Some(_)) => "one",
            _ => "nothing",
        };
        assert_eq!(actual, kind, "{text}");
        for name in columns {
            let (name, expected) = name.strip_prefix('!').map_or((name, true), |name| (name, false));
            let channel = Channel::parse(name).unwrap();
            assert_eq!(pattern.unwrap().matches(channel), expected, "{text} and {name}");
        }
        rows += 1;
    }
    assert_eq!(rows, 41);
}

/// Gives ids in order, tells the time of the test, and has a policy.
struct Program {
    last: u8,
    millis: Rc<Cell<u64>>,
}

impl Host for Program {
    fn client_id(&mut self) -> Option<ClientId> {
        self.last += 1;
        Some(id(self.last))
    }

    fn unix_millis(&mut self) -> u64 {
        self.millis.get()
    }

    fn may_handshake(&mut self, message: &BayeuxMessage<'_>) -> Result<(), Denied> {
        let token = message.get("token").and_then(|token| token.string());
        if token.is_some_and(|token| token.is("bad")) { Err(Denied("token")) } else { Ok(()) }
    }

    fn may_create(&mut self, _: ClientId, pattern: Pattern<'_>) -> Result<(), Denied> {
        if pattern.as_str() == "/fresh" { Err(Denied("no_new")) } else { Ok(()) }
    }

    fn may_subscribe(&mut self, _: ClientId, pattern: Pattern<'_>) -> Result<(), Denied> {
        if pattern.as_str().starts_with("/secret") { Err(Denied("secret")) } else { Ok(()) }
    }

    fn may_publish(
        &mut self,
        _: ClientId,
        channel: Channel<'_>,
        _: &BayeuxMessage<'_>,
    ) -> Result<(), Denied> {
        if channel.as_str() == "/denied" { Err(Denied("read_only")) } else { Ok(()) }
    }
}

fn id(number: u8) -> ClientId {
    ClientId::new([number; 16])
}

fn expand(text: &str) -> String {
    let advice = |reconnect: &str| {
        format!(r#"{{"reconnect":"{reconnect}","interval":0,"timeout":30000,"maxInterval":10000}}"#)
    };
    let connect = r#"[{"channel":"/meta/connect","id":"c","clientId":"{?}"}]"#;
    let mut text = match text.strip_prefix("{c}") {
        Some(client) => connect.replace('?', client),
        None => text.to_string(),
    };
    for (name, reconnect) in [("{adv}", "retry"), ("{none}", "none"), ("{hs}", "handshake")] {
        text = text.replace(name, &advice(reconnect));
    }
    for (number, name) in ["{A}", "{B}", "{C}"].iter().enumerate() {
        text = text.replace(name, &id(number as u8 + 1).to_string());
    }
    text.replace("{X}", &id(0).to_string())
}

struct Case {
    broker: Broker<Duration, Program>,
    config: BrokerOptions,
    millis: Rc<Cell<u64>>,
    links: HashMap<String, Link>,
    refused: HashMap<String, u16>,
    /// What [`Broker::next_ready`] has named, until nothing was there.
    announced: HashSet<Link>,
}

impl Case {
    fn new(config: BrokerOptions) -> Self {
        let millis = Rc::new(Cell::new(0));
        let broker = Broker::new(config, Program { last: 0, millis: millis.clone() });
        Self {
            broker,
            config,
            millis,
            links: HashMap::new(),
            refused: HashMap::new(),
            announced: HashSet::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.get())
    }

    fn post(&mut self, name: &str, text: &str, tab: bool) {
        let envelopes = [text];
        let request = BayeuxRequest::new(&envelopes).browser(tab.then_some([9; 16]));
        match self.broker.request(request, self.now()) {
            Ok(link) => drop(self.links.insert(name.into(), link)),
            Err(refusal) => drop(self.refused.insert(name.into(), refusal.status())),
        }
    }

    fn taken(&mut self, name: &str) -> Option<String> {
        if let Some(status) = self.refused.get(name) {
            return Some(status.to_string());
        }
        Some(match self.broker.take(self.links[name], self.now())? {
            Output::Answer(200, text) | Output::Text(text) => text,
            Output::Answer(status, text) => {
                assert_eq!(text, "");
                status.to_string()
            }
            Output::Prepared(message) => String::from_utf8(message.payload().to_vec()).unwrap(),
            Output::Close(code) => format!("close {code}"),
            other => panic!("{other:?}"),
        })
    }

    fn step(&mut self, step: &[&str]) {
        match *step {
            ["limit", "timestamp", _] => *self = Self::new(self.config.timestamp(true)),
            ["limit", "max_queue", count] => *self = Self::new(self.config.max_queue(count.parse().unwrap())),
            [join @ ("join" | "join-ack"), _] => {
                let ack = if join == "join-ack" { r#","ext":{"ack":true}"# } else { "" };
                let text = format!(
                    r#"{{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"]{ack}}}"#
                );
                self.post("", &text, false);
                let reply = self.taken("").unwrap();
                assert!(reply.contains(r#""successful":true"#), "{reply}");
                assert_eq!(reply.contains(r#""ext":{"ack":true}"#), !ack.is_empty());
            }
            ["post", name, text] => self.post(name, text, false),
            ["tab", name, text] => self.post(name, text, true),
            ["open", name] => drop(self.links.insert(name.into(), self.broker.socket())),
            ["send", name, text] => {
                let _ = self.broker.frame(self.links[name], text, self.now());
            }
            ["cut", name] => self.broker.closed(self.links[name], self.now()),
            ["at", time] => {
                self.millis.set(time.parse().unwrap());
                self.broker.advance(self.now());
            }
            ["publish", channel, data] => {
                self.broker.publish(Channel::parse(channel).unwrap(), json::check(data).unwrap());
            }
            ["-", name] => {
                assert_eq!(self.taken(name), None);
                self.announced.remove(&self.links[name]);
            }
            ["=", name, expected] => {
                let link = self.links.get(name);
                assert!(link.is_none_or(|link| self.announced.contains(link)), "{name} was not announced");
                assert_eq!(self.taken(name).as_deref(), Some(expected));
            }
            _ => panic!("no step: {step:?}"),
        }
        self.announced.extend(std::iter::from_fn(|| self.broker.next_ready()));
    }
}

#[test]
fn sessions() {
    let mut case = Case::new(BrokerOptions::new());
    let (mut name, mut count) = ("", 0);
    for (number, row) in include_str!("cases/bayeux-sessions.tsv").lines().enumerate() {
        if row.starts_with('#') {
            continue;
        }
        if let Some(next) = row.strip_prefix("case\t") {
            (case, name, count) = (Case::new(BrokerOptions::new()), next, count + 1);
            continue;
        }
        let row = row.split('\t').map(expand).collect::<Vec<_>>();
        println!("{name}, line {}: {row:?}", number + 1);
        case.step(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(count, 29);
}
