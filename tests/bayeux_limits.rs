//! Each limit of `bayeux::BrokerOptions` at one less, at it, and at one more; batches over cuts; Z85 and routes against models.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::comet::bayeux::{
    BayeuxRefusal, BayeuxRequest, Broker, BrokerOptions, Channel, ClientId, Host, Link, Output, Pattern,
    Routes,
};
use pushline::json;
use pushline::raw::z85;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

struct Program(u32);

impl Host for Program {
    fn client_id(&mut self) -> Option<ClientId> {
        self.0 += 1;
        Some(id(self.0))
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }
}

fn id(number: u32) -> ClientId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ClientId::new(bytes)
}

type Server = Broker<Duration, Program>;

fn server(config: BrokerOptions) -> Server {
    Broker::new(config, Program(0))
}

fn open(broker: &mut Server, text: &str) -> Result<Link, BayeuxRefusal> {
    broker.request(BayeuxRequest::new(&[text]), NOW)
}

fn ask(broker: &mut Server, text: &str) -> String {
    let link = open(broker, text).unwrap();
    answer(broker, link)
}

fn answer(broker: &mut Server, link: Link) -> String {
    match broker.take(link, NOW) {
        Some(Output::Answer(200, text)) => text,
        other => panic!("{other:?}"),
    }
}

fn join(broker: &mut Server, ext: &str) -> bool {
    let text = format!(r#"{{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"]{ext}}}"#);
    ask(broker, &text).contains(r#""successful":true"#)
}

fn subscribe(broker: &mut Server, client: u32, pattern: &str) -> String {
    let client = id(client);
    ask(
        broker,
        &format!(r#"{{"channel":"/meta/subscribe","clientId":"{client}","subscription":"{pattern}"}}"#),
    )
}

fn connect(client: u32, ack: u64) -> String {
    let client = id(client);
    format!(
        r#"{{"channel":"/meta/connect","clientId":"{client}","ext":{{"ack":{ack}}},"advice":{{"timeout":0}}}}"#
    )
}

fn publish(broker: &mut Server, data: &str) {
    broker.publish(Channel::parse("/chat").unwrap(), json::check(data).unwrap());
}

#[test]
fn sessions() {
    let mut broker = server(BrokerOptions::new().max_sessions(2));
    assert!(join(&mut broker, "") && join(&mut broker, ""));
    assert!(!join(&mut broker, ""));
    ask(&mut broker, &format!(r#"{{"channel":"/meta/disconnect","clientId":"{}"}}"#, id(1)));
    assert!(join(&mut broker, ""));
    assert_eq!(broker.sessions(), 2);
}

#[test]
fn subscriptions_of_a_client() {
    let mut broker = server(BrokerOptions::new().max_subscriptions(2));
    join(&mut broker, "");
    assert!(subscribe(&mut broker, 1, "/a").contains(":true"));
    assert!(subscribe(&mut broker, 1, "/b").contains(":true"));
    assert!(subscribe(&mut broker, 1, "/c").contains("403:max_subscriptions:subscribe_denied"));
    // What it has already takes no room.
    assert!(subscribe(&mut broker, 1, "/a").contains(":true"));
}

#[test]
fn channels() {
    let mut broker = server(BrokerOptions::new().max_channels(2));
    join(&mut broker, "");
    assert!(subscribe(&mut broker, 1, "/a").contains(":true"));
    assert!(subscribe(&mut broker, 1, "/b/*").contains(":true"));
    assert!(subscribe(&mut broker, 1, "/c").contains("403:max_channels:create_denied"));
    assert!(subscribe(&mut broker, 1, "/b/**").contains(":true"), "the prefix is there");
    ask(
        &mut broker,
        &format!(r#"{{"channel":"/meta/unsubscribe","clientId":"{}","subscription":"/a"}}"#, id(1)),
    );
    assert!(subscribe(&mut broker, 1, "/c").contains(":true"));
    assert_eq!(broker.routes().len(), 2);
}

#[test]
fn length_of_a_channel() {
    let mut broker = server(BrokerOptions::new().max_channel_length(20));
    join(&mut broker, "");
    for (length, good) in [(19, true), (20, true), (21, false)] {
        let name = format!("/{}", "a".repeat(length - 1));
        assert_eq!(subscribe(&mut broker, 1, &name).contains(":true"), good, "{length}");
        let client = id(1);
        let text = format!(r#"{{"channel":"{name}","clientId":"{client}","data":1}}"#);
        assert_eq!(ask(&mut broker, &text).contains(":true"), good, "{length}");
    }
}

#[test]
fn messages_and_bytes_that_wait() {
    // [{"channel":"/chat","data":1}] is 30 bytes.
    for (config, fits) in [
        (BrokerOptions::new().max_queue(3), 3),
        (BrokerOptions::new().max_queue_bytes(89), 2),
        (BrokerOptions::new().max_queue_bytes(90), 3),
        (BrokerOptions::new().max_queue_bytes(91), 3),
    ] {
        for ext in ["", r#","ext":{"ack":true}"#] {
            let mut broker = server(config);
            join(&mut broker, ext);
            subscribe(&mut broker, 1, "/chat");
            for count in 1..=fits + 1 {
                publish(&mut broker, "1");
                assert_eq!(broker.is_open(id(1)), count <= fits);
            }
            assert_eq!((broker.sessions(), broker.routes().is_empty()), (0, true));
            assert_eq!(broker.next_deadline(), None);
        }
    }
}

/// With the extension ack, a batch goes with the answer to a connect. What comes while none is held waits for the next one,
/// and whoever asks for output meanwhile is told that there is none.
#[test]
fn what_comes_between_two_connects_of_a_websocket() {
    let mut broker = server(BrokerOptions::new());
    let socket = broker.socket();
    let take = |broker: &mut Server| match broker.take(socket, NOW) {
        Some(Output::Text(text)) => Some(text),
        None => None,
        other => panic!("{other:?}"),
    };
    let handshake =
        r#"{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"],"ext":{"ack":true}}"#;
    broker.frame(socket, handshake, NOW).unwrap();
    assert!(take(&mut broker).unwrap().contains(r#""successful":true"#));
    broker.frame(socket, &connect(1, 0), NOW).unwrap();
    assert!(take(&mut broker).unwrap().contains("/meta/connect"));

    assert!(broker.deliver(id(1), Channel::parse("/chat").unwrap(), json::check("7").unwrap()));
    assert_eq!(take(&mut broker), None);
    broker.frame(socket, &connect(1, 0), NOW).unwrap();
    assert_eq!(numbers(&take(&mut broker).unwrap()), [7]);
    assert_eq!(take(&mut broker), None);
}

#[test]
fn replies_that_a_websocket_does_not_read() {
    let mut broker = server(BrokerOptions::new().max_queue_bytes(60));
    let socket = broker.socket();
    // {"channel":"","successful":false,"error":"400::channel_missing"} is 64 bytes.
    assert_eq!(broker.frame(socket, "{}", NOW), Err(BayeuxRefusal::TooLarge));
    assert!(matches!(broker.take(socket, NOW), Some(Output::Close(1009))));
    for (limit, fits) in [(63, false), (64, true), (65, true)] {
        let mut broker = server(BrokerOptions::new().max_queue_bytes(limit));
        let socket = broker.socket();
        assert_eq!(broker.frame(socket, "{}", NOW).is_ok(), fits);
    }
}

#[test]
fn sizes_of_requests_messages_and_batches() {
    let message = |length: usize| format!(r#"{{"x":"{}"}}"#, "a".repeat(length - 8));
    for (length, good) in [(99, true), (100, true), (101, false)] {
        let mut broker = server(BrokerOptions::new().max_request(100));
        assert_eq!(open(&mut broker, &message(length)).is_ok(), good);
        let halves = [message(50), message(length - 50)];
        let result = broker.request(BayeuxRequest::new(&[&halves[0], &halves[1]]), NOW);
        assert_eq!(result.err(), (!good).then_some(BayeuxRefusal::TooLarge));
        let mut broker = server(BrokerOptions::new().max_message(100));
        let batch = format!("[{},{}]", message(20), message(length));
        assert_eq!(open(&mut broker, &batch).err(), (!good).then_some(BayeuxRefusal::TooLarge));
        let mut broker = server(BrokerOptions::new().max_batch(100));
        let batch = format!("[{}]", vec!["{}"; length].join(","));
        assert_eq!(open(&mut broker, &batch).err(), (!good).then_some(BayeuxRefusal::TooLarge));
    }
}

#[test]
fn bytes_of_an_answer() {
    // {"channel":"/chat","data":1} is 28 bytes.
    for (limit, expected) in [(55, 1), (56, 2), (57, 2), (0, 1)] {
        let mut broker = server(BrokerOptions::new().max_answer(limit));
        join(&mut broker, "");
        subscribe(&mut broker, 1, "/chat");
        (0..3).for_each(|_| publish(&mut broker, "1"));
        let text = ask(&mut broker, &connect(1, 0));
        assert_eq!(text.matches("/chat").count(), expected, "{limit}");
    }
}

#[test]
fn connects_of_a_browser() {
    for (limit, expected) in [(1, [false, true, true]), (2, [false, false, true]), (3, [false, false, false])]
    {
        let mut broker = server(BrokerOptions::new().max_held_per_browser(limit));
        let answered = [1, 2, 3].map(|client| {
            join(&mut broker, "");
            let text = format!(r#"{{"channel":"/meta/connect","clientId":"{}"}}"#, id(client));
            let link = broker.request(BayeuxRequest::new(&[&text]).browser(Some([5; 16])), NOW).unwrap();
            broker.take(link, NOW).is_some()
        });
        assert_eq!(answered, expected);
    }
}

#[test]
fn bombs() {
    let mut broker = server(BrokerOptions::new());
    for bomb in ["[".repeat(200_000), r#"{"a":"#.repeat(40_000), format!("[{}]", "[],".repeat(80_000))] {
        assert!(open(&mut broker, &bomb).is_err());
    }
    assert_eq!((broker.links(), broker.sessions()), (0, 0));
}

/// What others have is not seen: neither by guessing, nor by a client whose session is over.
#[test]
fn sessions_of_others() {
    let mut broker = server(BrokerOptions::new());
    join(&mut broker, "");
    subscribe(&mut broker, 1, "/chat");
    publish(&mut broker, "\"secret\"");
    for guess in ["", "1", "00000000000000000000000000000000", &"f".repeat(32), &"0".repeat(33), " "] {
        let text = format!(r#"{{"channel":"/meta/connect","clientId":"{guess}","advice":{{"timeout":0}}}}"#);
        let reply = ask(&mut broker, &text);
        assert!(reply.contains("402::session_unknown") && !reply.contains("secret"), "{reply}");
    }
    let upper = format!(
        r#"{{"channel":"/chat","clientId":"{}","data":1}}"#,
        id(0xabcd_ef00).to_string().to_uppercase()
    );
    assert!(ask(&mut broker, &upper).contains("402"));
    assert!(ask(&mut broker, &connect(1, 0)).contains("secret"));
}

#[test]
fn a_host_whose_ids_repeat_gives_nobody_anothers_session() {
    struct Same;
    impl Host for Same {
        fn client_id(&mut self) -> Option<ClientId> {
            Some(id(1))
        }
        fn unix_millis(&mut self) -> u64 {
            0
        }
    }
    let mut broker = Broker::new(BrokerOptions::new(), Same);
    let replies = [(); 2].map(|()| {
        let text = r#"{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"]}"#;
        let link = broker.request(BayeuxRequest::new(&[text]), NOW).unwrap();
        let Some(Output::Answer(200, text)) = broker.take(link, NOW) else { panic!("no answer") };
        text
    });
    assert!(replies[0].contains(":true") && replies[1].contains("403::handshake_denied"));
}

/// The numbers in an answer's messages.
fn numbers(text: &str) -> Vec<u32> {
    let messages = json::check(text).unwrap();
    let data = messages.array().unwrap().filter_map(|message| message.object()?.get("data"));
    data.map(|data| data.as_str().parse().unwrap()).collect()
}

proptest! {
    /// Whichever answers are lost, each message arrives once and in order.
    #[test]
    fn acknowledged_batches(
        lost in prop::collection::vec(any::<bool>(), 1..40),
        counts in prop::collection::vec(0..5u32, 40),
        max_answer in 0..200usize,
    ) {
        let mut broker = server(BrokerOptions::new().max_answer(max_answer));
        join(&mut broker, r#","ext":{"ack":true}"#);
        subscribe(&mut broker, 1, "/chat");
        let (mut sent, mut batch, mut heard) = (0, 0, Vec::new());
        let more = std::iter::repeat_n(false, 210);
        for (at, lost) in lost.into_iter().chain(more).enumerate() {
            for _ in 0..counts.get(at).copied().unwrap_or(0) {
                publish(&mut broker, &sent.to_string());
                sent += 1;
            }
            let text = ask(&mut broker, &connect(1, batch));
            if !lost {
                let at = text.find(r#""ack":"#).unwrap() + 6;
                let end = text[at..].find('}').unwrap() + at;
                batch = text[at..end].parse().unwrap();
                heard.extend(numbers(&text));
            }
        }
        prop_assert_eq!(heard, (0..sent).collect::<Vec<_>>());
    }

    #[test]
    fn z85_there_and_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut text = String::new();
        z85::encode(&bytes, &mut text);
        prop_assert_eq!(z85::decode(&text), Some(bytes));
        // It needs no escape in JSON.
        prop_assert!(!text.contains(['"', '\\']));
    }

    #[test]
    fn z85_of_anything(text in "[0-9a-zA-Z#\\$%&]{0,12}") {
        if let Some(bytes) = z85::decode(&text) {
            prop_assert!(bytes.len() < text.len() + 1);
        }
    }

    #[test]
    fn routes_against_each_pattern_by_itself(
        patterns in prop::collection::vec("(/[ab]){0,3}(/a|/\\*|/\\*\\*)", 0..20),
        names in prop::collection::vec("(/[ab]){1,5}", 1..10),
    ) {
        let mut routes = Routes::default();
        for (client, pattern) in patterns.iter().enumerate() {
            prop_assert!(routes.insert(Pattern::parse(pattern).unwrap(), id(client as u32)));
        }
        for name in &names {
            let channel = Channel::parse(name).unwrap();
            let mut actual: Vec<_> = routes.matching(channel).collect();
            actual.sort_unstable();
            let matches = |pattern: &str| Pattern::parse(pattern).unwrap().matches(channel);
            let expected = (0..).zip(&patterns).filter(|(_, pattern)| matches(pattern)).map(|(client, _)| id(client));
            prop_assert_eq!(actual, expected.collect::<Vec<_>>());
        }
        for (client, pattern) in patterns.iter().enumerate() {
            prop_assert!(routes.remove(Pattern::parse(pattern).unwrap(), id(client as u32)));
        }
        prop_assert!(routes.is_empty());
    }
}

/// What a connect puts off is seen to later: a session ends when it has been left alone for so long, and not before.
#[test]
fn a_session_ends_after_its_last_connect() {
    let seconds = Duration::from_secs;
    let mut broker = server(BrokerOptions::new().max_interval(seconds(10)));
    assert!(join(&mut broker, ""));
    for now in (5..100).step_by(7).map(seconds) {
        broker.advance(now);
        let link = broker.request(BayeuxRequest::new(&[&connect(1, 0)]), now).unwrap();
        assert!(matches!(broker.take(link, now), Some(Output::Answer(200, _))));
        assert!(broker.next_deadline().unwrap() <= now + seconds(10));
    }
    let last = seconds(96);
    broker.advance(last + seconds(10) - Duration::from_nanos(1));
    assert_eq!((broker.sessions(), broker.next_deadline()), (1, Some(last + seconds(10))));
    broker.advance(last + seconds(10));
    assert_eq!((broker.sessions(), broker.next_deadline()), (0, None));

    // One that is held longer than the session lives without it.
    assert!(join(&mut broker, ""));
    let held = format!(r#"{{"channel":"/meta/connect","clientId":"{}"}}"#, id(2));
    let link = broker.request(BayeuxRequest::new(&[&held]), NOW).unwrap();
    broker.advance(seconds(30) - Duration::from_nanos(1));
    assert!(broker.take(link, seconds(29)).is_none());
    broker.advance(seconds(30));
    assert!(matches!(broker.take(link, seconds(30)), Some(Output::Answer(200, _))));
    assert_eq!(broker.next_deadline(), Some(seconds(40)));
}
