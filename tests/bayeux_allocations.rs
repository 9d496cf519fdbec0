//! What Bayeux allocates: a message once for all who hear it, a connect for its own reply, a session its size.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;

use allocations::{allocations, memory};
use pushline::comet::bayeux::{BayeuxRequest, Broker, BrokerOptions, Channel, ClientId, Host, Link, Output};
use pushline::json;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

struct Program(u128);

impl Host for Program {
    fn client_id(&mut self) -> Option<ClientId> {
        self.0 += 1;
        Some(ClientId::new(self.0.to_be_bytes()))
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }
}

type Server = Broker<Duration, Program>;

/// A client on a WebSocket of its own, subscribed to `/chat`, with its connect held.
fn join(broker: &mut Server) -> Link {
    let id = ClientId::new((broker.sessions() as u128 + 1).to_be_bytes());
    let socket = broker.socket();
    for text in [
        r#"[{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"]}]"#.to_string(),
        format!(r#"[{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"/chat"}}]"#),
        format!(r#"[{{"channel":"/meta/connect","id":"1","clientId":"{id}"}}]"#),
    ] {
        broker.frame(socket, &text, NOW).unwrap();
        while broker.take(socket, NOW).is_some() {}
    }
    while broker.next_ready().is_some() {}
    socket
}

#[test]
fn a_message_for_many_is_made_once() {
    let mut counts = Vec::new();
    for subscribers in [1, 10, 1000] {
        let mut broker = Broker::new(BrokerOptions::new(), Program(0));
        let sockets: Vec<_> = (0..subscribers).map(|_| join(&mut broker)).collect();
        let data = json::check(r#"{"text":"hello"}"#).unwrap();
        let channel = Channel::parse("/chat").unwrap();
        let mut round = || {
            broker.publish(channel, data);
            let mut heard = 0;
            while let Some(link) = broker.next_ready() {
                assert!(matches!(broker.take(link, NOW), Some(Output::Prepared(_))));
                heard += 1;
            }
            assert_eq!(heard, sockets.len());
        };
        round(); // the queues have room from now on
        counts.push(allocations(|| (0..10).for_each(|_| round())) / 10);
    }
    // The text, its frame, and the counts of who shares it.
    assert!(counts[0] <= 5, "{counts:?}");
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn a_connect_costs_its_reply() {
    let mut broker = Broker::new(BrokerOptions::new(), Program(0));
    join(&mut broker);
    let id = ClientId::new(1u128.to_be_bytes());
    let text =
        format!(r#"[{{"channel":"/meta/connect","id":"1","clientId":"{id}","advice":{{"timeout":0}}}}]"#);
    let mut round = || {
        let link = broker.request(BayeuxRequest::new(&[&text]), NOW).unwrap();
        while broker.next_ready().is_some() {}
        assert!(matches!(broker.take(link, NOW), Some(Output::Answer(200, _))));
    };
    round();
    // The messages' list, the id, the reply as it grows, the answer.
    let count = allocations(|| (0..100).for_each(|_| round())) / 100;
    assert!(count <= 10, "{count}");
}

#[test]
fn a_session_is_small() {
    let mut broker = Broker::new(BrokerOptions::new(), Program(0));
    join(&mut broker);
    let held = memory(|| {
        (0..1000).for_each(|_| {
            let _ = join(&mut broker);
        })
    })
    .1 / 1000;
    println!("{held} bytes a session");
    assert!(held < 1536, "{held}");
}
