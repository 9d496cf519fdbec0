//! Every row of the RFC 6455 checklist about URLs, requests and responses (URI-*, CH-*, CR-*, SH-*): heads whole, byte by
//! byte and at every two-way split.

mod common;

use common::{every_cut, rows, unescape, unhex};
use pushline::Inbox;
use pushline::http1::head::{HeadLimits, InvalidField, Slots};
use pushline::raw::MAX_EXTENSIONS;
use pushline::ws::deflate::{Compression, DeflateOptions, WindowBits};
use pushline::ws::handshake::ListError;
use pushline::ws::handshake::{
    Accepted, ClientError, ClientHandshake, ClientOptions, Key, NotOffered, OriginPolicy, Refusal, Rejection,
    ServerOptions, Uri, accept_request,
};
use pushline::ws::{Connection, ConnectionOptions, Event, Negotiated};

const CHECKLIST: &str = include_str!("cases/rfc6455-checklist.tsv");
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Rows that this runner cannot decide, each with the reason.
const ELSEWHERE: [(&str, &str); 1] =
    [("SH-43", "time is the adapters': heartbeat::Deadline; what is answered then is checked below")];

/// Rows about extensions, with what is answered if permessage-deflate is on; the first two need it.
const PMD: [(&str, Option<&str>); 5] = [
    ("SH-47", Some("permessage-deflate")),
    ("SH-49", Some("permessage-deflate; server_max_window_bits=10")),
    ("SH-48", None),
    ("SH-50", None),
    ("SH-52", None),
];

struct Row<'a> {
    id: &'a str,
    input: &'a str,
    expected: &'a str,
}

#[test]
fn every_row() {
    let mut checked = 0;
    for row in rows(CHECKLIST) {
        let row = Row { id: row[0], input: row[4], expected: row[5] };
        if ELSEWHERE.iter().any(|(id, _)| *id == row.id) {
            continue;
        }
        match row.id.split_once('-').map(|(kind, _)| kind) {
            Some("URI") => uri(&row),
            Some("CH") => client_request(&row),
            Some("CR") => client_response(&row),
            Some("SH") => {
                let pmd = PMD.iter().position(|(id, _)| *id == row.id);
                if pmd.is_none_or(|at| at >= 2) {
                    server(&row, None);
                }
                if let Some(at) = pmd {
                    let policy = Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 4 };
                    server(&row, Some((DeflateOptions::new(policy), PMD[at].1)));
                }
            }
            _ => continue,
        }
        checked += 1;
    }
    assert_eq!(checked, 9 + 12 + 27 + 52 - ELSEWHERE.len());
}

// The client's request.

fn client(url: &str, options: ClientOptions) -> ClientHandshake {
    ClientHandshake::new(options, &Uri::parse(url).expect(url), *b"the sample nonce")
}

/// The request for a URL, as text.
fn request_to(url: &str, options: ClientOptions) -> String {
    String::from_utf8(client(url, options).request().to_vec()).unwrap()
}

/// The request as it is, without options.
fn plain_request() -> String {
    request_to("ws://server.example.com/chat", ClientOptions::new())
}

fn has_line(request: &str, line: &str) -> bool {
    request.split("\r\n").filter(|other| *other == line).count() == 1
}

fn uri(row: &Row<'_>) {
    let target = |url: &str| request_to(url, ClientOptions::new()).split(' ').nth(1).map(str::to_owned);
    let host =
        |url: &str, host: &str| has_line(&request_to(url, ClientOptions::new()), &format!("Host: {host}"));
    match row.id {
        "URI-01" => {
            for (url, port) in row.input.split_whitespace().zip([80, 443]) {
                assert_eq!(Uri::parse(url).map(|uri| uri.port()), Ok(port), "{url}");
                assert!(host(url, "h"), "{url}");
            }
        }
        "URI-02" | "URI-07" => assert!(host(row.input, row.expected.strip_prefix("Host: ").unwrap())),
        "URI-03" | "URI-04" => {
            assert_eq!(target(row.input).as_deref(), row.expected.split('"').nth(1), "{}", row.id);
        }
        "URI-05" | "URI-06" => assert!(Uri::parse(row.input).is_err(), "{}", row.input),
        "URI-08" => {
            assert!(host(row.input, "h"));
            assert!(!request_to(row.input, ClientOptions::new()).contains('@'));
            assert!(!request_to(row.input, ClientOptions::new()).contains("Authorization"));
        }
        "URI-09" => {
            for byte in ["\r\nX: y", "\r", "\n", " ", "\0"] {
                assert!(Uri::parse(&format!("ws://h/a{byte}")).is_err(), "{byte:?}");
                assert!(Uri::parse(&format!("ws://h/a?{byte}")).is_err(), "{byte:?}");
            }
        }
        other => panic!("no check for {other}"),
    }
}

fn client_request(row: &Row<'_>) {
    let options = ClientOptions::new;
    match row.id {
        "CH-01" => assert!(plain_request().starts_with("GET /chat HTTP/1.1\r\n")),
        "CH-02" => {
            assert!(has_line(&plain_request(), "Host: server.example.com"));
            assert_eq!(plain_request().matches("Host:").count(), 1);
        }
        "CH-03" | "CH-04" | "CH-05" => assert!(has_line(&plain_request(), row.expected), "{}", row.id),
        "CH-06" => {
            let mut keys: Vec<_> = (0..1000)
                .map(|_| Key::from_nonce(pushline::adapter::nonce().unwrap()).as_str().to_owned())
                .collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), 1000);
        }
        "CH-07" => {
            assert!(has_line(&plain_request(), "Sec-WebSocket-Version: 13"));
            assert_eq!(plain_request().matches("Sec-WebSocket-Version").count(), 1);
        }
        "CH-08" => {
            for (offer, error) in [
                (&["chat", "chat"][..], ListError::Duplicate),
                (&[""], ListError::Malformed),
                (&["a b"], ListError::Malformed),
                (&["a,b"], ListError::Malformed),
            ] {
                assert_eq!(options().subprotocols(offer.iter().copied()).err(), Some(error), "{offer:?}");
            }
        }
        "CH-09" => {
            let request = request_to("ws://h/", options().subprotocols(["chat", "superchat"]).unwrap());
            assert!(has_line(&request, row.expected));
        }
        "CH-10" => {
            assert_eq!(options().field("X", "a\r\nY: b").err(), Some(InvalidField::Value));
            assert_eq!(options().field("X", "a\0").err(), Some(InvalidField::Value));
            assert_eq!(options().field("X Y", "a").err(), Some(InvalidField::Name));
            for name in [
                "Sec-WebSocket-Key",
                "sec-websocket-anything",
                "HOST",
                "Upgrade",
                "connection",
                "Content-Length",
                "Transfer-Encoding",
            ] {
                assert_eq!(options().field(name, "x").err(), Some(InvalidField::Reserved), "{name}");
            }
            assert!(has_line(&request_to("ws://h/", options().field("X", "a").unwrap()), "X: a"));
        }
        "CH-11" => {
            // There is no connection to send on: what makes one comes out of the response.
            let mut client = client("ws://server.example.com/chat", options());
            assert_eq!(client.receive(b""), Ok(None));
            assert_eq!(client.receive(b"HTTP/1.1 101 "), Ok(None));
            let opened = client.receive(&response("")).unwrap().unwrap();
            let mut connection =
                Connection::client(opened.negotiated, ConnectionOptions::default(), || [7; 4]);
            connection.send("now").unwrap();
        }
        "CH-12" => {
            assert!(!plain_request().contains("Origin"));
            let request = request_to("ws://h/", options().origin("https://example.com").unwrap());
            assert!(has_line(&request, row.expected));
            assert_eq!(request.matches("Origin").count(), 1);
            assert!(options().origin("https://a, https://b").is_err());
        }
        other => panic!("no check for {other}"),
    }
}

// The response to the client.

/// A valid response with these lines behind the others.
fn response(lines: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// What stands in brackets behind the bytes.
fn note(input: &str) -> &str {
    input.rsplit_once("   [").map_or("", |(_, note)| note.trim_end_matches(']'))
}

/// The bytes of a row's head: without what stands in words behind it; `a*20000` is written out.
fn head(input: &str) -> Vec<u8> {
    let (mut text, mut frames) = (input, Vec::new());
    for remark in ["   [", " in 1-byte chunks", " followed by "] {
        if let Some((before, behind)) = text.split_once(remark) {
            if remark == " followed by " {
                frames = unhex(behind);
            }
            text = before;
        }
    }
    let text = text.replace("a*20000", &"a".repeat(20_000));
    [unescape(&text), frames].concat()
}

/// In the words of the table.
fn verdict(outcome: Result<Option<pushline::ws::handshake::Opened>, ClientError>) -> String {
    match outcome {
        Ok(None) => "incomplete".to_owned(),
        Ok(Some(opened)) => format!("open {}", opened.subprotocol.unwrap_or_default()).trim_end().to_owned(),
        Err(ClientError::BadHttp(_)) => "reject BadHttp".to_owned(),
        Err(ClientError::MissingHeader(field)) => format!("reject MissingHeader({field})"),
        Err(ClientError::InvalidHeader(field)) => format!("reject InvalidHeader({field})"),
        Err(ClientError::DuplicateHeader(_)) => "reject DuplicateHeader".to_owned(),
        Err(error) => format!("reject {error:?}"),
    }
}

fn client_response(row: &Row<'_>) {
    let bytes = head(row.input);
    let offered: Vec<&str> = match note(row.input).strip_prefix("offered: ") {
        None | Some("none") => Vec::new(),
        Some(names) => names.split(", ").collect(),
    };
    let options = ClientOptions::new().subprotocols(offered).unwrap();
    let expected = match row.id {
        "CR-17" => "open superchat",
        // At most one name: this is none.
        "CR-18" => "reject InvalidHeader(Sec-WebSocket-Protocol)",
        // Both policies leave the five bytes to the frame parser: see below.
        "CR-27" => "open",
        _ => row.expected.split([';', ',']).next().unwrap().split(" with ").next().unwrap(),
    };
    let expected =
        expected.trim_end_matches(" (policy)").trim_end_matches(" without buffering past the limit");
    every_cut(&bytes, |pieces| {
        let mut client = ClientHandshake::sent(options.clone(), Key::parse(KEY.as_bytes()).unwrap());
        let mut received = Vec::new();
        let mut outcome = Ok(None);
        for piece in pieces {
            received.extend_from_slice(piece);
            outcome = client.receive(&received);
            if outcome != Ok(None) {
                break;
            }
        }
        if row.id == "CR-26" {
            assert_eq!(outcome, Ok(None));
            outcome = Err(client.receive_eof());
        }
        assert_eq!(verdict(outcome.clone()), expected, "{} in {} pieces", row.id, pieces.len());
        match row.id {
            "CR-02" => assert_eq!(client.response().unwrap().status, 200),
            "CR-03" => {
                let response = client.response().unwrap();
                let location = response.fields.iter().find(|(name, _)| *name == "Location");
                assert_eq!(location, Some(("Location", &b"ws://other/"[..])));
                assert_eq!(response.length, bytes.len());
            }
            "CR-21" => {
                let opened = outcome.unwrap().unwrap();
                assert_eq!(bytes[opened.length..], [0x81, 0x02, 0x68, 0x69]);
                let mut connection =
                    Connection::client(opened.negotiated, ConnectionOptions::default(), || [7; 4]);
                let mut inbox: Inbox = Inbox::new();
                assert_eq!(inbox.extend(&bytes[opened.length..]), 4);
                assert_eq!(connection.next_event(&mut inbox), Ok(Some(Event::Text("hi"))));
            }
            "CR-24" => assert!(received.len() <= HeadLimits::default().head || pieces.len() < 3),
            "CR-27" => {
                assert_eq!(outcome.unwrap().unwrap().length, bytes.len(), "the bytes behind it are frames")
            }
            _ => {}
        }
    });
    if row.id == "CR-23" {
        for (from, to) in [
            ("Upgrade: websocket\r\n", "Upgrade:\r\n websocket\r\n"),
            ("Upgrade: websocket\r\n", "Upgrade: websocket\n"),
            ("Upgrade: websocket\r\n", "Upgrade: web\rsocket\r\n"),
        ] {
            let spoilt = String::from_utf8(response("")).unwrap().replace(from, to);
            let mut client = ClientHandshake::sent(ClientOptions::new(), Key::parse(KEY.as_bytes()).unwrap());
            assert_eq!(verdict(client.receive(spoilt.as_bytes())), "reject BadHttp", "{to:?}");
        }
    }
}

#[test]
fn interim_responses_count_against_the_limit() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let key = Key::parse(KEY.as_bytes()).unwrap();
    let total = 3 * interim.len() + response("").len();
    let bytes = [&interim.repeat(3)[..], &response("")].concat();
    for (head, open) in [(total - 1, false), (total, true), (total + 1, true)] {
        let limits = HeadLimits::new().head(head);
        every_cut(&bytes, |pieces| {
            let mut client = ClientHandshake::sent(ClientOptions::new().limits(limits), key);
            let mut received = Vec::new();
            let mut outcome = Ok(None);
            for piece in pieces {
                received.extend_from_slice(piece);
                outcome = client.receive(&received);
                if outcome != Ok(None) {
                    break;
                }
            }
            match outcome {
                Ok(Some(opened)) => assert!(open && opened.length == total),
                outcome => {
                    assert!(!open && outcome == Err(ClientError::HeadTooLarge), "{outcome:?} at {head}")
                }
            }
        });
    }
    // Endless interim responses: refused after 16 KiB.
    let endless = interim.repeat(10_000);
    let mut client = ClientHandshake::sent(ClientOptions::new(), key);
    let read = (1..).map(|reads| 1460 * reads).find(|&read| client.receive(&endless[..read]).is_err());
    assert_eq!(read, Some(HeadLimits::default().head.next_multiple_of(1460)));
}

// The request to the server.

/// What a server answers, and the bytes behind the head.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    rest: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads what was written.
    fn read(written: &[u8], rest: &[u8]) -> Self {
        let mut slots = Slots::new();
        let head = ServerOptions::new().reader().read_response(written, &mut slots).unwrap().unwrap();
        assert_eq!(head.len(), written.len(), "no body");
        let fields =
            head.fields().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        Self { status: head.status(), fields: fields.collect(), rest: rest.to_vec() }
    }
}

/// Feeds a server; `decide` is the application.
fn answer_with(
    options: &ServerOptions,
    pieces: &[&[u8]],
    decide: impl Fn(&str, &mut Accepted<'_>),
) -> Option<Answer> {
    let mut reader = options.reader();
    let mut received = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        let mut slots = Slots::new();
        let rejection = match reader.read_request(&received, &mut slots) {
            Ok(None) => continue,
            Ok(Some(head)) => match accept_request(options, &head) {
                Ok(mut accepted) => {
                    decide(head.path(), &mut accepted);
                    return Some(Answer::read(&accepted.to_bytes(), &received[head.len()..]));
                }
                Err(rejection) => rejection,
            },
            Err(error) => Rejection::from(error),
        };
        assert!(received.len() <= HeadLimits::default().head || pieces.len() < 3, "buffered past the limit");
        return Some(Answer::read(&rejection.to_bytes(), &[]));
    }
    None
}

fn answer(options: &ServerOptions, pieces: &[&[u8]]) -> Option<Answer> {
    answer_with(options, pieces, |_, _| {})
}

/// A valid request with these lines behind the others.
fn request(lines: &str) -> Vec<u8> {
    format!(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// The statuses that a row allows.
fn statuses(row: &Row<'_>) -> Vec<u16> {
    let words = row.expected.split([' ', ',', ';', '(']);
    let found: Vec<u16> =
        words.filter_map(|word| word.parse().ok()).filter(|status| (101..600).contains(status)).collect();
    match row.id {
        "SH-18" => vec![101],
        // An allow-list does not say that None is fine.
        "SH-29" => vec![403],
        "SH-25" | "SH-26" | "SH-39" | "SH-44" | "SH-49" => vec![101],
        // The element is passed over, the rest is a valid handshake.
        "SH-50" => vec![101],
        _ => found,
    }
}

fn server(row: &Row<'_>, pmd: Option<(DeflateOptions, Option<&str>)>) {
    let mut options = ServerOptions::new();
    let mut extensions = None;
    if let Some((deflate, answered)) = pmd {
        options = options.deflate(deflate);
        extensions = answered;
    }
    if let Some(origin) = note(row.input).strip_prefix("allowed: ") {
        options = options.origin(OriginPolicy::list([origin]));
    }
    let supported: &[&str] = match row.id {
        "SH-24" => &["superchat", "chat"],
        "SH-26" => &["superchat"],
        _ => &[],
    };
    options = options.subprotocols(supported.iter().copied()).unwrap();
    let bytes = match row.id {
        "SH-25" | "SH-44" => request(""),
        "SH-39" => [request(""), unhex("818237fa213d5f93")].concat(),
        "SH-40" => format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000)).into_bytes(),
        "SH-51" => request(&format!("Sec-WebSocket-Extensions: a; b=\"{}\r\n", "\\c".repeat(4000))),
        "SH-52" => {
            request(&format!("Sec-WebSocket-Extensions: {}\r\n", ["permessage-deflate"; 400].join(",")))
        }
        _ => head(row.input),
    };
    let allowed = match row.id {
        // The row leaves it open ("policy"): RFC 9110 5.6.1.2 has empty elements ignored.
        "SH-27" => vec![101],
        // RFC 6455 9.1: the value is no token, which spoils the handshake and not the extension alone.
        "SH-50" => vec![400],
        _ => statuses(row),
    };
    assert!(!allowed.is_empty(), "{}: no status in {}", row.id, row.expected);
    every_cut(&bytes, |pieces| {
        let answer = answer(&options, pieces).unwrap_or_else(|| panic!("{}: no answer", row.id));
        let context = format!("{} in {} pieces: {answer:?}", row.id, pieces.len());
        assert!(allowed.contains(&answer.status), "{context}");
        let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        if answer.status == 101 {
            assert_eq!(answer.field("Sec-WebSocket-Accept"), accept, "{context}");
            assert_eq!(answer.field("Sec-WebSocket-Extensions"), extensions, "{context}");
        } else {
            assert_eq!(answer.field("Sec-WebSocket-Accept"), None, "{context}");
            assert_eq!(answer.field("Content-Length"), Some("0"), "{context}");
            assert!(answer.field("Connection").unwrap().starts_with("close"), "{context}");
        }
        if answer.status == 426 {
            assert_eq!(answer.field("Upgrade"), Some("websocket"), "{context}");
            assert_eq!(answer.field("Connection"), Some("close, Upgrade"), "{context}");
        }
        if row.expected.contains("Sec-WebSocket-Version: 13") {
            assert_eq!(answer.field("Sec-WebSocket-Version"), Some("13"), "{context}");
        }
        match row.id {
            "SH-02" => assert_eq!(answer.field("Allow"), Some("GET"), "{context}"),
            "SH-22" => {
                let names: Vec<&str> = answer.fields.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(names, ["Upgrade", "Connection", "Sec-WebSocket-Accept"]);
                assert_eq!(answer.field("Upgrade"), Some("websocket"));
                assert_eq!(answer.field("Connection"), Some("Upgrade"));
            }
            "SH-23" => assert_eq!(answer.field("Sec-WebSocket-Protocol"), None),
            "SH-24" | "SH-26" => {
                assert_eq!(answer.field("Sec-WebSocket-Protocol"), Some("superchat"), "{context}")
            }
            "SH-39" => {
                let length = request("").len();
                assert!(bytes[length..].starts_with(&answer.rest), "{context}");
                if pieces.len() == 1 {
                    let mut inbox: Inbox = Inbox::new();
                    assert_eq!(inbox.extend(&answer.rest), 8);
                    let mut connection =
                        Connection::server(Negotiated::default(), ConnectionOptions::default());
                    assert_eq!(connection.next_event(&mut inbox), Ok(Some(Event::Text("hi"))));
                }
            }
            _ => {}
        }
    });
    match row.id {
        "SH-25" => {
            answer_with(&options, &[&bytes], |_, accepted| {
                assert_eq!(accepted.select_subprotocol(Some("x")), Err(NotOffered));
                assert_eq!(accepted.subprotocol(), None);
            });
        }
        "SH-26" => {
            answer_with(&options, &[&bytes], |_, accepted| {
                assert_eq!(accepted.offered_subprotocols(), ["chat", "superchat"]);
            });
        }
        "SH-27" => {
            for value in ["chat, chat", "a b", "", ",", "chat,,chat", "\"chat\""] {
                let bytes = request(&format!("Sec-WebSocket-Protocol: {value}\r\n"));
                assert_eq!(answer(&options, &[&bytes]).unwrap().status, 400, "{value}");
            }
        }
        "SH-44" => {
            let plain = answer(&options, &[&bytes]);
            let tried = answer_with(&options, &[&bytes], |_, accepted| {
                assert_eq!(accepted.add_field("X", "a\r\nSet-Cookie: b"), Err(InvalidField::Value));
                assert_eq!(accepted.add_field("Sec-WebSocket-Accept", "x"), Err(InvalidField::Reserved));
                assert_eq!(accepted.add_field("X Y", "x"), Err(InvalidField::Name));
            });
            assert_eq!(tried, plain);
            assert!(ServerOptions::new().field("X", "a\nb").is_err());
        }
        "SH-45" => {
            answer_with(&options, &[&bytes], |path, _| assert_eq!(path, "/chat"));
        }
        "SH-46" => {
            let authority = String::from_utf8(request("")).unwrap().replace("/chat", "server.example.com:80");
            assert_eq!(answer(&options, &[authority.as_bytes()]).unwrap().status, 400);
        }
        _ => {}
    }
}

#[test]
fn refusals_that_have_no_row() {
    let refusal = |bytes: &[u8]| {
        let options = ServerOptions::new();
        let mut slots = Slots::new();
        let head = options.reader().read_request(bytes, &mut slots).unwrap().unwrap();
        accept_request(&options, &head).map(|_| ()).map_err(|rejection| rejection.refusal())
    };
    let without =
        |line: &str| String::from_utf8(request("")).unwrap().replace(&format!("{line}\r\n"), "").into_bytes();
    assert_eq!(refusal(&request("")), Ok(()));
    assert_eq!(refusal(&request("Content-Length: 0\r\n")), Ok(()));
    assert_eq!(refusal(&without("Sec-WebSocket-Version: 13")), Err(Refusal::UnsupportedWebSocketVersion));
    assert_eq!(refusal(&request("Sec-WebSocket-Version: 13\r\n")), Err(Refusal::BadWebSocketVersion));
    // Same host is the default, and a page of another one is refused.
    assert_eq!(refusal(&request("Origin: https://server.example.com\r\n")), Ok(()));
    assert_eq!(refusal(&request("Origin: https://evil.example\r\n")), Err(Refusal::OriginNotAllowed));
    assert_eq!(refusal(&request("Origin: null\r\n")), Err(Refusal::OriginNotAllowed));
    // The bound on offers: the most and one more.
    let offers =
        |count: usize| request(&format!("Sec-WebSocket-Extensions: {}\r\n", vec!["x"; count].join(",")));
    assert_eq!(refusal(&offers(MAX_EXTENSIONS)), Ok(()));
    assert_eq!(refusal(&offers(MAX_EXTENSIONS + 1)), Err(Refusal::BadExtensions(ListError::TooMany)));
    // Several lines are one list: a fault in the second is a fault.
    let lines = request("Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: a; =1\r\n");
    assert_eq!(refusal(&lines), Err(Refusal::BadExtensions(ListError::Malformed)));
    // In absolute form, the target says which host it is (RFC 9112 3.2.2).
    let absolute = |origin: &str| {
        let text = String::from_utf8(request(&format!("Origin: {origin}\r\n"))).unwrap();
        text.replace("GET /chat", "GET http://other.example/chat").into_bytes()
    };
    assert_eq!(refusal(&absolute("https://other.example")), Ok(()));
    assert_eq!(refusal(&absolute("https://server.example.com")), Err(Refusal::OriginNotAllowed));
    // SH-43: what is answered when the time is up.
    assert_eq!(Rejection::from(Refusal::Timeout).status(), 408);
    assert!(Rejection::from(Refusal::Timeout).to_bytes().starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
}

#[test]
fn an_application_refuses_with_its_own_status() {
    let rejection = Rejection::new(401).field("WWW-Authenticate", "Basic realm=\"x\"").unwrap();
    assert_eq!(
        rejection.to_bytes(),
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    for status in [0, 99, 101, 200, 299, 600, 65535] {
        assert_eq!(Rejection::new(status).status(), 500, "{status}");
    }
    for status in [300, 404, 599] {
        assert_eq!(Rejection::new(status).status(), status);
    }
    assert_eq!(Rejection::new(404).field("Connection", "keep-alive"), Err(InvalidField::Reserved));
    assert_eq!(Rejection::new(404).field("X", "a\r\nb"), Err(InvalidField::Value));
}

/// RFC 6455 9.1: a list with a fault in it fails the handshake, whatever else is in it.
#[test]
fn parameters_of_any_extension_are_held_to_the_grammar() {
    let mut options = vec![ServerOptions::new()];
    let deflate = DeflateOptions::new(Compression::Shared);
    options.push(ServerOptions::new().deflate(deflate));
    for options in options {
        for value in [
            "foo; bar=\" \"",
            "foo; bar=\"b@z\"",
            "foo;bar=\"\"",
            "permessage-deflate, foo; bar=\" \"",
            "foo; bar=\"\\ \", permessage-deflate",
        ] {
            let bytes = request(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
            every_cut(&bytes, |pieces| assert_eq!(answer(&options, pieces).unwrap().status, 400, "{value}"));
        }
        for value in ["foo; bar=\"b\"", ",\t, ,  ,foo  ,,", ""] {
            let bytes = request(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
            assert_eq!(answer(&options, &[&bytes]).unwrap().status, 101, "{value}");
        }
    }
}

/// Against DNS rebinding: see `ServerOptions::hosts`.
#[test]
fn only_the_servers_own_names_are_served() {
    let serve = |names: &[&str], host: &str| {
        let options = ServerOptions::new().hosts(names.iter().copied()).unwrap();
        let request = String::from_utf8(request(&format!("Origin: http://{host}\r\n"))).unwrap();
        let request = request.replace("Host: server.example.com", &format!("Host: {host}"));
        answer(&options, &[request.as_bytes()]).unwrap().status
    };
    for (names, host, status) in [
        (&[][..], "evil.example", 101),
        (&["localhost", "[::1]"], "localhost", 101),
        (&["localhost", "[::1]"], "LOCALHOST:8080", 101),
        (&["localhost", "[::1]"], "[::1]:8080", 101),
        (&["localhost:8080"], "localhost:8080", 101),
        (&["localhost:8080"], "localhost:8081", 421),
        (&["localhost:8080"], "localhost", 421),
        (&["localhost"], "localhost.evil.example", 421),
        (&["localhost"], "evil.example", 421),
        (&["localhost"], "127.0.0.1", 421),
    ] {
        assert_eq!(serve(names, host), status, "{names:?} {host}");
    }
    for name in ["", "http://h", "a b", "::1", "h:x"] {
        assert!(ServerOptions::new().hosts([name]).is_err(), "{name}");
    }
}
