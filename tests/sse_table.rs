//! Every row of tests/cases/sse-eventsource.tsv and extra-sse.tsv: what a stream says, in every cut, and what a client makes of
//! what a server does (HTML 9.2).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{every_cut, rows, unescape};
use pushline::backoff::Backoff;
use pushline::sse::{
    CloseReason, EventDecoder, EventLimits, EventStorage, Input, Item, Method, Next, Reconnect,
    ReconnectPolicy, Verdict, needs_preflight, request_fields,
};
use std::time::Duration;

const TABLE: &str = include_str!("cases/sse-eventsource.tsv");
const EXTRA: &str = include_str!("cases/extra-sse.tsv");

/// The last event ID that `@` stands for.
const SEED: &str = "\u{2026}";

/// What we make of reconnection times that the table leaves to us.
const OWN_RETRY: &[(&str, Option<u64>)] = &[("retry-empty", None), ("retry-huge", Some(u64::MAX))];

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Type, last event ID and data.
    events: Vec<[String; 3]>,
    comments: Vec<String>,
    /// The last one set, in milliseconds.
    retry: Option<u64>,
    last_id: String,
}

fn feed<S: EventStorage>(decoder: &mut EventDecoder<S>, parts: &[&[u8]]) -> Outcome {
    let mut outcome = Outcome::default();
    for part in parts {
        let mut input = Input::new(part);
        while let Some(item) = decoder.decode(&mut input).unwrap() {
            match item {
                Item::Event(event) => outcome
                    .events
                    .push([event.event_type, event.last_event_id, event.data].map(str::to_owned)),
                Item::Retry(time) => outcome.retry = Some(u64::try_from(time.as_millis()).unwrap()),
                Item::Comment(text) => outcome.comments.push(text.to_owned()),
                other => panic!("unknown item {other:?}"),
            }
        }
        assert!(input.is_empty(), "asked for more with input at hand");
    }
    decoder.receive_eof();
    outcome.last_id = decoder.last_event_id().to_owned();
    outcome
}

/// What a new decoder makes of the stream, on the heap and in a buffer.
fn run(parts: &[&[u8]], seed: &str, buffer: &mut [u8]) -> Outcome {
    let mut on_heap = EventDecoder::new();
    on_heap.set_last_event_id(seed).unwrap();
    let outcome = feed(&mut on_heap, parts);
    let mut in_buffer = EventDecoder::in_buffer(buffer, EventLimits::new());
    in_buffer.set_last_event_id(seed).unwrap();
    assert_eq!(feed(&mut in_buffer, parts), outcome, "on the heap otherwise than in a buffer");
    outcome
}

fn text(escaped: &str) -> String {
    String::from_utf8(unescape(escaped)).unwrap()
}

fn parse(row: &[&str], buffer: &mut [u8]) {
    let (id, input, expected, last_id, retry) = (row[0], row[3], row[4], row[5], row[6]);
    let seed = if last_id == "@" { SEED } else { "" };
    let unseed = |id: &str| if id == "@" { SEED.to_owned() } else { text(id) };
    let events = expected.split(' ').filter(|event| *event != "-").map(|event| {
        let mut fields = event.splitn(3, '|').map(unseed);
        std::array::from_fn(|_| fields.next().expect("type|id|data"))
    });
    let parts: Vec<Vec<u8>> = input.split('|').map(unescape).collect();
    let outcome = run(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>(), seed, buffer);
    assert_eq!(outcome.events, events.collect::<Vec<_>>(), "{id}");
    assert_eq!(outcome.last_id, unseed(last_id), "{id}");
    let retry = match retry {
        "-" => None,
        "?" => OWN_RETRY.iter().find(|(name, _)| *name == id).expect("listed").1,
        time => Some(time.parse().unwrap()),
    };
    assert_eq!(outcome.retry, retry, "{id}");
    every_cut(&parts.concat(), |parts| {
        assert_eq!(run(parts, seed, buffer), outcome, "{id} in {} parts", parts.len());
    });
}

/// A client, and the time for it.
struct Client {
    reconnect: Reconnect<Duration>,
    decoder: EventDecoder,
    now: Duration,
}

impl Client {
    /// With its first request under way.
    fn new() -> Self {
        let mut client = Self {
            reconnect: Reconnect::new(Method::Get, ReconnectPolicy::new().backoff(Backoff::new().jitter(0))),
            decoder: EventDecoder::new(),
            now: Duration::ZERO,
        };
        assert!(client.reconnect.should_connect(client.now));
        client
    }

    fn open(&mut self) {
        assert_eq!(self.reconnect.response(200, Some(b"text/event-stream"), None), Verdict::Open);
    }

    /// Reads a stream to its end.
    fn read(&mut self, stream: &[u8]) {
        if let Some(time) = feed(&mut self.decoder, &[stream]).retry {
            self.reconnect.set_retry(Duration::from_millis(time));
        }
    }

    /// The connection is gone: waits for `expected`, no less, and connects again.
    fn reconnects_after(&mut self, expected: Duration) {
        let at = self.now + expected;
        assert_eq!(self.reconnect.disconnected(self.now, u64::MAX), Next::At(at));
        assert_eq!(self.reconnect.next_deadline(), Some(at));
        assert!(!self.reconnect.should_connect(at - Duration::from_nanos(1)));
        assert!(self.reconnect.should_connect(at));
        self.now = at;
    }

    fn request_field(&self, name: &str) -> Option<Vec<u8>> {
        let fields: Vec<_> =
            request_fields(self.decoder.last_event_id()).filter(|(field, _)| *field == name).collect();
        assert!(fields.len() <= 1);
        fields.first().map(|(_, value)| value.as_bytes().to_vec())
    }

    /// Closed for good.
    fn has_failed(&mut self, reason: CloseReason) {
        assert_eq!(self.reconnect.closed(), Some(reason));
        assert_eq!(self.reconnect.disconnected(self.now, 0), Next::Closed(reason));
        assert_eq!(self.reconnect.next_deadline(), None);
        assert!(!self.reconnect.should_connect(Duration::MAX));
    }
}

fn http(id: &str, input: &str, expected: &str) {
    const DEFAULT_RETRY: Duration = Duration::from_secs(3);
    let mut client = Client::new();
    match id {
        "eof-reconnect" => {
            client.open();
            client.read(b"retry: 700\ndata: x\n\n");
            client.reconnects_after(Duration::from_millis(700));
        }
        "fail-204-after" => {
            for _ in 0..2 {
                client.open();
                client.reconnects_after(DEFAULT_RETRY);
            }
            let verdict = client.reconnect.response(204, None, None);
            assert_eq!(verdict, Verdict::Closed(CloseReason::NoContent));
            client.has_failed(CloseReason::NoContent);
        }
        "id-header" | "id-header-null" => {
            assert_eq!(client.request_field("last-event-id"), None, "of the first request");
            client.open();
            client.read(if id == "id-header" { "id: \u{2026}\n\n".as_bytes() } else { b"id: a\0\n\n" });
            client.reconnects_after(DEFAULT_RETRY);
            let sent = (id == "id-header").then(|| b"\xe2\x80\xa6".to_vec());
            assert_eq!(client.request_field("last-event-id"), sent);
        }
        "cache" => assert_eq!(client.request_field("cache-control"), Some(b"no-cache".to_vec())),
        "accept" => assert_eq!(client.request_field("accept"), Some(b"text/event-stream".to_vec())),
        "conn-refused" => {
            let mut wait = DEFAULT_RETRY;
            for _ in 0..4 {
                client.reconnects_after(wait);
                wait *= 2;
            }
        }
        "preflight" => {
            assert_eq!(expected, "no preflight / preflight / preflight");
            assert_eq!(["a1", &"a".repeat(255), "e5p3n<3k0k0s"].map(needs_preflight), [false, true, true]);
        }
        _ => {
            let (status, field) = input.split_once(' ').unwrap();
            let status = status.parse().unwrap();
            let (name, value) = field.split_once('=').unwrap();
            let value = Some(value.trim_matches('"').as_bytes()).filter(|value| *value != b"none");
            let verdict = match name {
                "ct" => client.reconnect.response(status, value, None),
                "location" => client.reconnect.response(status, None, value),
                other => panic!("{id}: what is {other}?"),
            };
            match expected {
                "open" => assert_eq!(verdict, Verdict::Open, "{id}"),
                "fail" => {
                    let reason = match status {
                        200 => CloseReason::ContentType,
                        204 => CloseReason::NoContent,
                        _ => CloseReason::Status(status),
                    };
                    assert_eq!(verdict, Verdict::Closed(reason), "{id}");
                    client.has_failed(reason);
                }
                "follow open" => {
                    assert_eq!(verdict, Verdict::Follow(Method::Get), "{id}");
                    client.open();
                }
                other => panic!("{id}: what is {other}?"),
            }
        }
    }
}

#[test]
fn every_row_in_every_cut() {
    let mut buffer = vec![0; 128 << 10];
    let (mut parsed, mut met) = (0, 0);
    for row in rows(TABLE).chain(rows(EXTRA)) {
        match row[2] {
            "parse" => {
                parse(&row, &mut buffer);
                parsed += 1;
            }
            "http" => {
                http(row[0], row[3], row[4]);
                met += 1;
            }
            other => panic!("{}: unknown kind {other}", row[0]),
        }
    }
    assert_eq!((parsed, met), (908, 89));
}

/// The rows about latency: an event comes with the byte that ends its block, be it a CR that an LF may follow.
#[test]
fn an_event_comes_with_the_first_byte_that_ends_its_block() {
    for (stream, at) in [
        (&b"data:a\n\n"[..], 8),
        (b"data:a\r\r", 8),
        (b"data:a\r\n\r\n", 9),
        (b"data:a\r\n\n", 9),
        (b"data:a\n\r\n", 8),
        (b"data:a\xff\r\r\n", 9),
    ] {
        let mut decoder = EventDecoder::new();
        let mut came = Vec::new();
        for (index, byte) in stream.iter().enumerate() {
            let mut input = Input::new(std::slice::from_ref(byte));
            while decoder.decode(&mut input).unwrap().is_some() {
                came.push(index + 1);
            }
        }
        assert_eq!(came, [at], "{stream:?}");
    }
}
