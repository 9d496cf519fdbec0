//! The rows of the RFC 6455 checklist about frames and connections: every one is run, or listed with the
//! reason why not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::{Buf, Bytes};
use pushline::heartbeat::{Beat, CLOSE_TIMEOUT, Deadline, Heartbeat, PING_INTERVAL, PING_TIMEOUT};
use pushline::raw::{apply_mask, rotate};
use pushline::ws::OsKeys;
use pushline::ws::{CloseCode, Connection, ConnectionOptions, Event, Message, Opcode, State, UsageError};
// The shared modules name these as the crate does.
use pushline::{Inbox, ws};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

mod common;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;
#[path = "../src/fuzzing/ws/observe.rs"]
mod observe;
#[path = "common/ws_rows.rs"]
mod ws_rows;

use common::{every_cut, unhex};
use model::{Frame, Rules, Token, decode, encode, receive, with_replies};
use observe::{Front, KEY, Observed, connection, observe};
use ws_rows::{Case, GROUPS, TABLE, rows};

/// Rows that are not run here, and why.
const NOT_HERE: [(&str, &str); 4] = [
    ("LM-04", "needs an allocator that counts: tests/ws_alloc.rs"),
    (
        "LM-07",
        "the limits on frames are probed in tests/ws_limits.rs, the one on the head with the handshake",
    ),
    ("CL-20", "reconnecting is not the connection's business: it belongs to whoever makes the next one"),
    ("U8-18", "is about compressed text: tests/ws_deflate.rs, with the group PD"),
];

/// Groups of the table that are other tests' business.
const OTHER_GROUPS: [&str; 7] = ["URI", "CH", "CR", "SH", "PN", "PD", "H2"];

/// Rows whose input is prose: what stands there is done by a function.
fn by_hand() -> HashMap<&'static str, fn()> {
    HashMap::from([
        ("FR-06", sent_lengths as fn()),
        ("FR-07", sent_lengths),
        ("FR-08", sent_lengths),
        ("FR-09", sent_lengths),
        ("FR-10", sent_lengths),
        ("FR-33", every_split_of_the_header),
        ("FR-37", eof_inside_a_frame),
        ("MK-04", a_client_masks_every_frame),
        ("MK-05", a_server_masks_none),
        ("MK-06", every_frame_has_a_fresh_key),
        ("MK-10", every_alignment),
        ("MK-11", unmasked_frames_by_option),
        ("FG-12", no_message_between_own_fragments),
        ("FG-13", control_frames_between_own_fragments),
        ("FG-16", many_small_fragments),
        ("FG-17", a_message_that_is_never_held),
        ("CT-01", control_payloads_at_the_limit),
        ("CT-02", control_payloads_over_the_limit),
        ("CT-08", ten_pings),
        ("CT-11", no_long_control_payload_is_sent),
        ("CT-12", a_flood_of_pings),
        ("CT-13", no_automatic_pong),
        ("CL-05", the_longest_reason),
        ("CL-06", a_reason_too_long),
        ("CL-07", no_data_after_a_close),
        ("CL-09", closes_that_cross),
        ("CL-10", data_after_the_own_close),
        ("CL-12", who_closes_the_transport),
        ("CL-13", who_closes_the_transport),
        ("CL-14", eof_after_the_closing_handshake),
        ("CL-15", eof_without_a_close),
        ("CL-16", a_failure_says_so_and_ends),
        ("CL-17", a_failure_says_so_and_ends),
        ("CL-18", a_close_inside_the_own_message),
        ("CL-19", a_close_that_is_never_answered),
        ("SC-30", codes_that_must_not_be_sent),
        ("SC-31", no_code_is_not_echoed_as_1005),
        ("SC-32", a_server_fails_inside),
        ("U8-13", bad_text_inside_a_frame),
        ("LM-05", pings_are_not_part_of_the_message),
        ("LM-06", a_peer_that_does_not_read),
        ("LM-08", an_idle_peer),
    ])
}

#[test]
fn every_row_is_run_or_listed() {
    for line in TABLE.lines().skip(1) {
        let group = line.split('-').next().unwrap_or_default();
        assert!(GROUPS.contains(&group) != OTHER_GROUPS.contains(&group), "whose is {line}?");
    }
    let (by_hand, not_here) = (by_hand(), HashMap::from(NOT_HERE));
    let mut failed = Vec::new();
    let mut unused: HashSet<&str> = by_hand.keys().chain(not_here.keys()).copied().collect();
    let mut run = 0;
    for row in rows() {
        unused.remove(row.id);
        if not_here.contains_key(row.id) {
            assert!(!by_hand.contains_key(row.id), "{} is listed twice", row.id);
            continue;
        }
        run += 1;
        let result = std::panic::catch_unwind(|| match by_hand.get(row.id) {
            Some(function) => function(),
            None => {
                assert!(!row.cases.is_empty(), "the input is prose and no function does it");
                row.cases.iter().for_each(|case| check(case, row.expected));
            }
        });
        if result.is_err() {
            failed.push(row.id);
        }
    }
    assert!(failed.is_empty(), "rows that failed: {failed:?}");
    assert!(unused.is_empty(), "not in the table: {unused:?}");
    assert_eq!(run + not_here.len(), rows().count());
}

/// One clause of what is expected.
#[derive(Debug, PartialEq)]
enum Clause {
    /// An event.
    Is(Token),
    /// A text, whatever it says.
    SomeText,
    /// A binary message, whatever is in it.
    SomeBinary,
    /// A ping, whatever is in it.
    SomePing,
    /// A frame is written.
    Writes(u8, Vec<u8>),
    /// Nothing is written for what came before.
    WritesNothing,
    /// A failure takes no memory.
    NoMemory,
    /// Says nothing that the list of events does not say.
    Nothing,
}

/// Reads `expected`: clauses between `;`, `,` and `then`, remarks in brackets.
fn clauses(expected: &str) -> Vec<Clause> {
    let mut plain = String::new();
    let mut depth = 0;
    for (at, c) in expected.char_indices() {
        match c {
            // A remark; not what belongs to Close(..).
            '(' if depth > 0 || expected[..at].ends_with(' ') => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let plain = plain.replace(", then ", ";").replace(" then ", ";").replace(", ", ";");
    plain.split(';').map(str::trim).filter(|clause| !clause.is_empty()).flat_map(clause).collect()
}

fn clause(text: &str) -> Vec<Clause> {
    let text = text.strip_prefix("only ").unwrap_or(text);
    let number = |text: &str| text.split(' ').next().and_then(|digits| digits.parse::<u16>().ok());
    if let Some(code) = text.strip_prefix("fail ").and_then(number) {
        let known = [
            "",
            "at once",
            "once",
            "at the second header",
            "at the fourth",
            "before any payload byte is stored",
        ];
        assert!(known.contains(&text.get(9..).unwrap_or_default().trim()), "unknown remark: {text}");
        return vec![Clause::Is(Token::Fail(code))];
    }
    if let Some(inside) = text.strip_prefix("Close(") {
        let (code, reason) =
            inside.trim_end_matches(')').split_once(',').unwrap_or((inside.trim_end_matches(')'), "\"\""));
        let code: u16 = code.parse().expect("a close code");
        let code = if code == 1005 { None } else { Some(code) };
        return vec![Clause::Is(Token::Close(code, payload(reason)))];
    }
    let one = match text.split_once(' ').unwrap_or((text, "")) {
        ("Text", "") => Clause::SomeText,
        ("Text", "with U+FEFF first") => Clause::Is(Token::Text("\u{feff}a".into())),
        ("Text", "U+1F600") => Clause::Is(Token::Text("\u{1f600}".into())),
        ("Text", "\"a\" x3 in order") => {
            return (0..3).map(|_| Clause::Is(Token::Text(b"a".to_vec()))).collect();
        }
        ("Text", what) => Clause::Is(Token::Text(payload(what))),
        ("same", "Binary") => Clause::SomeBinary,
        ("Binary", what) => Clause::Is(Token::Binary(payload(what))),
        ("Ping", "") => Clause::SomePing,
        ("Ping", what) => Clause::Is(Token::Ping(payload(what))),
        ("Pong", what) => Clause::Is(Token::Pong(payload(what))),
        ("a", "client answers with a masked pong \"Hello\"") => Clause::Writes(0x8a, b"Hello".to_vec()),
        ("pong", "with empty payload") => {
            return vec![Clause::Is(Token::Ping(Vec::new())), Clause::Writes(0x8a, Vec::new())];
        }
        ("pong", "00fffe written") => Clause::Writes(0x8a, vec![0, 0xff, 0xfe]),
        ("close", "1000 written") => Clause::Writes(0x88, vec![0x03, 0xe8]),
        ("close", "3000 written") => Clause::Writes(0x88, vec![0x0b, 0xb8]),
        ("close", "echoed") => Clause::Writes(0x88, vec![0x03, 0xe8]),
        ("88", "00 written") => Clause::Writes(0x88, Vec::new()),
        ("nothing", "written") => Clause::WritesNothing,
        ("no", "allocation") => Clause::NoMemory,
        ("no", "Text" | "error") | ("from", "the header alone" | "the 2-byte header") => Clause::Nothing,
        ("nothing", "written for the ping") => Clause::Nothing,
        _ => panic!("unknown clause: {text}"),
    };
    vec![one]
}

/// `"text"`, `[]` or hex.
fn payload(text: &str) -> Vec<u8> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').expect("a closing quote").as_bytes().to_vec(),
        None if text == "[]" => Vec::new(),
        None => unhex(text),
    }
}

/// Feeds a row's bytes in every cut through every front end: the table's events, the model's tokens.
fn check(case: &Case, expected: &str) {
    let clauses = clauses(expected);
    let model = receive(&case.rules, &case.bytes).tokens;
    let tokens = with_replies(&case.rules, model.iter().map(|(_, token)| token.clone()), KEY);
    for front in [Front::Lent, Front::Fixed(1_024), Front::Owned, Front::Parts] {
        every_cut(&case.bytes, |pieces| {
            let seen = observe(&case.rules, front, pieces);
            assert_eq!(seen.tokens, tokens, "{front:?} {pieces:02x?}");
            follows(&clauses, &seen, case.rules.server);
        });
    }
    if clauses.contains(&Clause::NoMemory) {
        let mut inbox = Inbox::new();
        let mut connection = connection(&case.rules, ConnectionOptions::new());
        assert_eq!(inbox.extend(&case.bytes), case.bytes.len());
        let before = inbox.capacity();
        assert!(connection.next_event(&mut inbox).is_err());
        let _ = inbox.space();
        assert_eq!(inbox.capacity(), before);
    }
}

/// Whether what was seen is what the clauses say, and no event besides.
fn follows(clauses: &[Clause], seen: &Observed, server: bool) {
    let (mut events, mut writes) = (Vec::new(), Vec::new());
    for token in &seen.tokens {
        match token {
            Token::Wrote(frame) => {
                assert_eq!(frame.key.is_none(), server, "a client masks, a server does not");
                writes.push(frame);
            }
            Token::Finished => {}
            event => events.push(event),
        }
    }
    let mut events = events.into_iter();
    for clause in clauses {
        match clause {
            Clause::Is(token) => assert_eq!(events.next(), Some(token)),
            Clause::SomeText => assert!(matches!(events.next(), Some(Token::Text(_)))),
            Clause::SomeBinary => assert!(matches!(events.next(), Some(Token::Binary(_)))),
            Clause::SomePing => assert!(matches!(events.next(), Some(Token::Ping(_)))),
            Clause::Writes(first, payload) => {
                assert!(writes.iter().any(|frame| frame.first == *first && frame.payload == *payload));
            }
            Clause::WritesNothing => assert!(writes.is_empty()),
            Clause::NoMemory | Clause::Nothing => {}
        }
    }
    assert_eq!(events.next(), None, "more than the table says");
}

#[test]
fn clauses_are_read_as_they_are_meant() {
    use Clause::*;
    let text = |text: &str| Is(Token::Text(text.into()));
    assert_eq!(clauses("Text \"ab\" then fail 1002"), [text("ab"), Is(Token::Fail(1002))]);
    assert_eq!(
        clauses("Ping \"p\" (pong, first), then Text \"a b\""),
        [Is(Token::Ping(b"p".to_vec())), text("a b")]
    );
    assert_eq!(
        clauses("Close(1005,\"\"); 88 00 written (masked for a client)"),
        [Is(Token::Close(None, Vec::new())), Writes(0x88, Vec::new())]
    );
    assert_eq!(clauses("Close(1000,\"bye\")"), [Is(Token::Close(Some(1000), b"bye".to_vec()))]);
}

/// Both roles, with the default settings.
fn ends() -> [Connection; 2] {
    [true, false].map(|server| connection(&Rules::defaults(server), ConnectionOptions::new()))
}

/// Everything that is to be written, taken apart.
fn written(connection: &mut Connection) -> Vec<Frame> {
    let outgoing = connection.outgoing();
    let bytes = outgoing.copy_to_bytes(outgoing.remaining());
    decode(&bytes).expect("whole frames")
}

/// First bytes and payloads of everything that is to be written.
fn payloads(connection: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    written(connection).into_iter().map(|frame| (frame.first, frame.payload)).collect()
}

/// Receives one frame that the peer of `connection` sends, and what it is seen as.
fn receives(connection: &mut Connection, first: u8, payload: &[u8]) -> Option<Token> {
    let key = (connection.role() == ws::Role::Server).then_some(KEY);
    let mut inbox = Inbox::new();
    let frame = encode(first, key, payload);
    assert_eq!(inbox.extend(&frame), frame.len());
    let mut seen = Observed::default();
    match connection.next_event(&mut inbox) {
        Ok(event) => event.and_then(|event| seen.lent(&event)),
        Err(error) => Some(Token::Fail(error.close_code().0)),
    }
}

fn sent_lengths() {
    let headers: [(usize, &str); 8] = [
        (0, "8200"),
        (1, "8201"),
        (125, "827d"),
        (126, "827e007e"),
        (256, "827e0100"),
        (65_535, "827effff"),
        (65_536, "827f0000000000010000"),
        (70_000, "827f0000000000011170"),
    ];
    for (len, header) in headers {
        for by_reference in [false, true] {
            let [mut server, mut client] = ends();
            for connection in [&mut server, &mut client] {
                if by_reference {
                    let message = Message::Binary(Bytes::from(vec![0; len]));
                    connection.send(message).expect("room for a message");
                } else {
                    connection.send(&vec![0; len][..]).expect("room for a message");
                }
            }
            let outgoing = server.outgoing();
            let bytes = outgoing.copy_to_bytes(outgoing.remaining());
            let header = unhex(header);
            assert_eq!(bytes[..header.len()], header);
            assert_eq!(bytes[header.len()..], vec![0; len]);
            let expected = Frame { first: 0x82, key: Some(KEY), payload: vec![0; len] };
            assert_eq!(written(&mut client), [expected]);
        }
    }
}

fn every_split_of_the_header() {
    let cases = [
        (true, unhex("818537fa213d7f9f4d5158")),
        (true, encode(0x82, Some(KEY), &[0; 256])),
        (false, encode(0x82, None, &[0; 256])),
        (true, encode(0x82, Some(KEY), &[7; 65_536])),
        (false, encode(0x82, None, &[7; 65_536])),
    ];
    for (server, bytes) in cases {
        let expected = receive(&Rules::defaults(server), &bytes).tokens;
        let expected: Vec<Token> = expected.into_iter().map(|(_, token)| token).collect();
        assert_eq!(expected.len(), 1);
        let run = |pieces: &[&[u8]]| {
            assert_eq!(
                observe(&Rules::defaults(server), Front::Lent, pieces).tokens,
                expected,
                "{} pieces",
                pieces.len()
            );
        };
        every_cut(&bytes, run);
        // Every cut of the header itself.
        for at in 1..16.min(bytes.len()) {
            let (head, tail) = bytes.split_at(at);
            run(&[head, tail]);
        }
    }
}

fn eof_inside_a_frame() {
    let [mut server, _] = ends();
    let mut inbox = Inbox::new();
    assert_eq!(inbox.extend(&unhex("8185 37fa213d 7f9f")), 8);
    assert_eq!(server.next_event(&mut inbox), Ok(None));
    server.receive_eof();
    assert_eq!((server.state(), server.queued()), (State::Aborted, 0));
    assert!(server.is_finished());
}

fn a_client_masks_every_frame() {
    let [_, mut client] = ends();
    client.send("").expect("open");
    client.ping(b"").expect("open");
    client.close_without_code().expect("open");
    let outgoing = client.outgoing();
    let bytes = outgoing.copy_to_bytes(outgoing.remaining());
    let expected = unhex("8980 37fa213d 8180 37fa213d 8880 37fa213d");
    assert_eq!(bytes, expected, "the ping overtakes");
}

fn a_server_masks_none() {
    let [mut server, _] = ends();
    server.send("Hello").expect("open");
    assert_eq!(server.outgoing().chunk(), unhex("810548656c6c6f"));
}

fn every_frame_has_a_fresh_key() {
    let config = ConnectionOptions::new().max_outgoing(4 << 20);
    let mut client = Connection::client(ws::Negotiated::default(), config, OsKeys);
    let mut keys: Vec<[u8; 4]> = Vec::new();
    for _ in 0..250 {
        client.send("text").expect("open");
        client.send(&[0; 200]).expect("open");
        client.send(Message::Binary(vec![0; 5_000].into())).expect("open");
        client.ping(b"ping").expect("open");
        keys.extend(written(&mut client).iter().filter_map(|frame| frame.key));
    }
    assert_eq!(keys.len(), 1_000);
    let distinct: HashSet<_> = keys.iter().collect();
    // By the birthday bound 1,000 keys of 32 bits repeat once in some 8,600 runs; twice never.
    assert!(distinct.len() + 1 >= keys.len());
    // No counter either: neighbours do not have one difference.
    let steps: HashSet<u32> = keys
        .windows(2)
        .map(|pair| u32::from_be_bytes(pair[1]).wrapping_sub(u32::from_be_bytes(pair[0])))
        .collect();
    assert!(steps.len() + 2 >= keys.len() - 1);
}

fn every_alignment() {
    let source: Vec<u8> = (0..400_u32).map(|n| ((n * 131) >> 2) as u8).collect();
    for offset in 0..64 {
        for len in 0..=300 {
            let key = rotate(KEY, len + offset);
            let mut buffer = source.clone();
            apply_mask(&mut buffer[offset..offset + len], key);
            let expected = model::unmask(&source[offset..offset + len], &key);
            assert_eq!(buffer[offset..offset + len], expected, "{offset} {len}");
            assert_eq!(
                (&buffer[..offset], &buffer[offset + len..]),
                (&source[..offset], &source[offset + len..])
            );
        }
    }
}

fn unmasked_frames_by_option() {
    let mut rules = Rules::defaults(true);
    rules.accept_unmasked = true;
    let unmasked = unhex("810548656c6c6f");
    every_cut(&unmasked, |pieces| {
        assert_eq!(observe(&rules, Front::Lent, pieces).tokens, [Token::Text(b"Hello".to_vec())]);
    });
    // By nothing else; and masked ones are still taken. A client has no such option.
    assert_eq!(observe(&Rules::defaults(true), Front::Lent, &[&unmasked]).tokens[0], Token::Fail(1002));
    let masked = unhex("818537fa213d7f9f4d5158");
    assert_eq!(observe(&rules, Front::Lent, &[&masked]).tokens, [Token::Text(b"Hello".to_vec())]);
    rules.server = false;
    assert_eq!(observe(&rules, Front::Lent, &[&masked]).tokens[0], Token::Fail(1002));
}

fn no_message_between_own_fragments() {
    for mut connection in ends() {
        connection.send_fragment(Opcode::Text, false, b"a").expect("open");
        let queued = connection.queued();
        let refused = Err(UsageError::MessageInProgress);
        assert_eq!(connection.send(b"b"), refused);
        assert_eq!(connection.send("b"), refused);
        assert_eq!(connection.send_fragment(Opcode::Binary, true, b"b"), refused);
        assert_eq!(connection.send(&ws::Prepared::text("b")), refused);
        assert_eq!(connection.send(Message::from("b")), refused);
        assert_eq!(connection.queued(), queued);
        connection.send_fragment(Opcode::Continuation, true, b"c").expect("open");
        assert_eq!(
            connection.send_fragment(Opcode::Continuation, true, b"d"),
            Err(UsageError::NoMessageInProgress)
        );
        assert_eq!(payloads(&mut connection), [(0x01, b"a".to_vec()), (0x80, b"c".to_vec())]);
    }
}

fn control_frames_between_own_fragments() {
    for mut connection in ends() {
        connection.send_fragment(Opcode::Text, false, b"a").expect("open");
        let first = payloads(&mut connection);
        connection.ping(b"p").expect("open");
        connection.send_fragment(Opcode::Continuation, true, b"c").expect("open");
        let rest = payloads(&mut connection);
        let expected = [(0x01, b"a".to_vec()), (0x89, b"p".to_vec()), (0x80, b"c".to_vec())];
        assert_eq!([first, rest].concat(), expected);
    }
}

fn many_small_fragments() {
    let rules = Rules::defaults(true);
    let mut connection = connection(&rules, ConnectionOptions::new());
    let mut inbox = Inbox::new();
    for n in 0..100_000 {
        let fragment = encode(if n == 0 { 0x02 } else { 0x00 }, Some(KEY), &[n as u8]);
        assert_eq!(inbox.extend(&fragment), fragment.len());
        assert_eq!(connection.next_event(&mut inbox), Ok(None));
    }
    assert!(inbox.capacity() <= 2 * 100_000 + pushline::READ_SIZE, "{} bytes", inbox.capacity());
    let last = encode(0x80, Some(KEY), &[]);
    assert_eq!(inbox.extend(&last), last.len());
    let whole: Vec<u8> = (0..100_000).map(|n| n as u8).collect();
    assert_eq!(connection.next_event(&mut inbox), Ok(Some(Event::Binary(&whole))));
}

fn a_message_that_is_never_held() {
    const FRAME: usize = 64 * 1024;
    let config = ConnectionOptions::new().parts(true).max_message(2 << 30);
    let mut connection = Connection::client(ws::Negotiated::default(), config, || KEY);
    let mut inbox = Inbox::new();
    let mut frame = encode(0x02, None, &vec![7; FRAME]);
    let mut received = 0;
    for n in 0..(1 << 30) / FRAME {
        assert_eq!(inbox.extend(&frame), frame.len());
        while let Some(event) = connection.next_event(&mut inbox).expect("within the limits") {
            let Event::BinaryPart { payload, fin: false } = event else { panic!("{event:?}") };
            received += payload.len();
        }
        frame[0] = 0x00;
        assert_eq!(received, (n + 1) * FRAME);
    }
    assert!(inbox.capacity() < 2 * FRAME, "{} bytes", inbox.capacity());
}

fn control_payloads_at_the_limit() {
    for mut connection in ends() {
        let payload = vec![b'x'; 125];
        assert_eq!(receives(&mut connection, 0x89, &payload), Some(Token::Ping(payload.clone())));
        assert_eq!(payloads(&mut connection), [(0x8a, payload)]);
    }
}

fn control_payloads_over_the_limit() {
    for (server, header) in [(true, "89fe"), (false, "897e")] {
        for first in ["88", "89", "8a"] {
            let header = unhex(&header.replace("89", first));
            let tokens = observe(&Rules::defaults(server), Front::Lent, &[&header]).tokens;
            assert_eq!(tokens[0], Token::Fail(1002));
        }
    }
}

fn ten_pings() {
    for mut connection in ends() {
        for n in 0..10 {
            assert_eq!(receives(&mut connection, 0x89, &[n]), Some(Token::Ping(vec![n])));
        }
        assert_eq!(payloads(&mut connection), [(0x8a, vec![9])]);
    }
}

fn a_flood_of_pings() {
    for server in [true, false] {
        let mut connection = connection(&Rules::defaults(server), ConnectionOptions::new());
        // A frame that is being written: the pong cannot go before its end.
        connection.send(&[0; 1_000]).expect("open");
        connection.outgoing().advance(1);
        let before = connection.queued();
        let ping = encode(0x89, server.then_some(KEY), b"ping");
        let mut inbox = Inbox::new();
        for _ in 0..100_000 {
            assert_eq!(inbox.extend(&ping), ping.len());
            assert_eq!(connection.next_event(&mut inbox), Ok(Some(Event::Ping(b"ping"))));
            assert!(connection.queued() <= before + 6 + 4);
        }
        connection.outgoing().advance(before);
        assert_eq!(payloads(&mut connection), [(0x8a, b"ping".to_vec())]);
    }
}

fn no_long_control_payload_is_sent() {
    for mut connection in ends() {
        assert_eq!(connection.ping(&[0; 126]), Err(UsageError::ControlTooLong));
        assert_eq!(connection.pong(&[0; 126]), Err(UsageError::ControlTooLong));
        assert_eq!(connection.queued(), 0);
        assert_eq!(connection.ping(&[0; 125]), Ok(()));
    }
}

fn no_automatic_pong() {
    for server in [true, false] {
        let mut connection = connection(&Rules::defaults(server), ConnectionOptions::new().auto_pong(false));
        assert_eq!(receives(&mut connection, 0x89, b"a"), Some(Token::Ping(b"a".to_vec())));
        assert_eq!(connection.queued(), 0);
        connection.pong(b"a").expect("by hand");
        assert_eq!(payloads(&mut connection), [(0x8a, b"a".to_vec())]);
    }
}

fn the_longest_reason() {
    for mut connection in ends() {
        let payload = [&[0x03, 0xe8], &[b'r'; 123][..]].concat();
        assert_eq!(
            receives(&mut connection, 0x88, &payload),
            Some(Token::Close(Some(1000), vec![b'r'; 123]))
        );
    }
}

fn a_reason_too_long() {
    for mut connection in ends() {
        assert_eq!(connection.close(1000, &"r".repeat(124)), Err(UsageError::ReasonTooLong));
        // Bytes count, not characters; nothing is cut.
        assert_eq!(connection.close(1000, &"\u{e4}".repeat(62)), Err(UsageError::ReasonTooLong));
        assert_eq!((connection.queued(), connection.state()), (0, State::Open));
        assert_eq!(connection.close(1000, &"r".repeat(123)), Ok(()));
        assert_eq!(payloads(&mut connection)[0].1.len(), 125);
    }
}

fn no_data_after_a_close() {
    for mut connection in ends() {
        connection.close(1000, "").expect("open");
        let queued = connection.queued();
        assert_eq!(connection.send("late"), Err(UsageError::Closed));
        assert_eq!(connection.send_fragment(Opcode::Text, true, b"late"), Err(UsageError::Closed));
        assert_eq!(connection.ping(b""), Err(UsageError::Closed));
        assert_eq!(connection.close(1000, ""), Err(UsageError::Closed));
        let message = Message::from(vec![0; 10_000]);
        assert!(connection.has_room(&message.clone().into()), "no room is not why");
        assert_eq!(connection.send(message), Err(UsageError::Closed));
        assert_eq!(connection.queued(), queued);
    }
}

fn closes_that_cross() {
    for mut connection in ends() {
        connection.close(1000, "").expect("open");
        assert_eq!(payloads(&mut connection), [(0x88, vec![0x03, 0xe8])]);
        assert_eq!(
            receives(&mut connection, 0x88, &[0x03, 0xe9]),
            Some(Token::Close(Some(1001), Vec::new()))
        );
        assert_eq!((connection.queued(), connection.state()), (0, State::Closed));
    }
}

fn data_after_the_own_close() {
    for mut connection in ends() {
        connection.close(1000, "").expect("open");
        let _ = payloads(&mut connection);
        assert_eq!(receives(&mut connection, 0x81, b"late"), Some(Token::Text(b"late".to_vec())));
        assert_eq!(connection.state(), State::CloseSent);
        assert!(!connection.is_finished());
        assert_eq!(
            receives(&mut connection, 0x88, &[0x03, 0xe8]),
            Some(Token::Close(Some(1000), Vec::new()))
        );
        assert_eq!((connection.queued(), connection.state()), (0, State::Closed));
    }
}

fn who_closes_the_transport() {
    let [mut server, mut client] = ends();
    for connection in [&mut server, &mut client] {
        assert!(receives(connection, 0x88, &[0x03, 0xe8]).is_some());
        assert_eq!(connection.state(), State::Closed);
        assert!(!connection.is_finished(), "the close frame is still to be written");
        let _ = payloads(connection);
    }
    assert!(server.is_finished(), "the server closes first");
    assert!(!client.is_finished(), "the client waits for it");
    let mut deadline = Deadline::default();
    deadline.start(Duration::ZERO, CLOSE_TIMEOUT);
    assert!(!deadline.is_over(CLOSE_TIMEOUT - Duration::from_nanos(1)));
    assert!(deadline.is_over(CLOSE_TIMEOUT));
    // It is over: the caller drops the transport, as if it had ended.
    client.receive_eof();
    assert!(client.is_finished());
    assert_eq!(client.state(), State::Ended);
}

fn eof_after_the_closing_handshake() {
    for mut connection in ends() {
        let close = receives(&mut connection, 0x88, b"\x03\xe8bye");
        assert_eq!(close, Some(Token::Close(Some(1000), b"bye".to_vec())));
        connection.receive_eof();
        assert_eq!(connection.state(), State::Ended);
        // Half-closed: the answer still goes out.
        assert_eq!(payloads(&mut connection), [(0x88, vec![0x03, 0xe8])]);
        assert!(connection.is_finished());
    }
}

fn eof_without_a_close() {
    for mut connection in ends() {
        connection.send("unsent").expect("open");
        connection.receive_eof();
        assert_eq!((connection.state(), connection.queued()), (State::Aborted, 0));
        assert!(connection.is_finished());
        assert_eq!(connection.send("late"), Err(UsageError::Closed));
        assert_eq!(connection.close(1000, ""), Err(UsageError::Closed));
    }
}

fn a_failure_says_so_and_ends() {
    for (server, input) in [(true, "a18137fa213d56 818137fa213d56"), (false, "818537fa213d7f9f4d5158 810161")]
    {
        every_cut(&unhex(input), |pieces| {
            let key = (!server).then_some(KEY);
            let close = Frame { first: 0x88, key, payload: vec![0x03, 0xea] };
            let expected = [Token::Fail(1002), Token::Wrote(close), Token::Finished];
            assert_eq!(observe(&Rules::defaults(server), Front::Lent, pieces).tokens, expected);
        });
    }
}

fn a_close_inside_the_own_message() {
    for mut connection in ends() {
        connection.send_fragment(Opcode::Text, false, b"a").expect("open");
        assert_eq!(
            receives(&mut connection, 0x88, &[0x03, 0xe9]),
            Some(Token::Close(Some(1001), Vec::new()))
        );
        assert_eq!(connection.send_fragment(Opcode::Continuation, true, b"b"), Err(UsageError::Closed));
        assert_eq!(payloads(&mut connection), [(0x01, b"a".to_vec()), (0x88, vec![0x03, 0xe9])]);
    }
}

fn a_close_that_is_never_answered() {
    for mut connection in ends() {
        connection.close(1000, "").expect("open");
        let _ = payloads(&mut connection);
        let deadline = Deadline::new(Duration::ZERO, CLOSE_TIMEOUT);
        assert!(!connection.is_finished());
        assert!(deadline.is_over(CLOSE_TIMEOUT));
        connection.receive_eof();
        assert_eq!(connection.state(), State::Aborted);
        assert!(connection.is_finished());
    }
}

fn codes_that_must_not_be_sent() {
    for mut connection in ends() {
        let refused = (0..1000).chain(1004..=1006).chain(1015..3000).chain(5000..=u16::MAX);
        for code in refused {
            assert_eq!(connection.close(code, ""), Err(UsageError::InvalidCloseCode(code)));
        }
        assert_eq!((connection.queued(), connection.state()), (0, State::Open));
    }
    for code in (1000..=1003).chain(1007..=1014).chain(3000..=4999) {
        for mut connection in ends() {
            assert_eq!(connection.close(code, ""), Ok(()));
        }
    }
}

fn no_code_is_not_echoed_as_1005() {
    for mut connection in ends() {
        assert_eq!(receives(&mut connection, 0x88, &[]), Some(Token::Close(None, Vec::new())));
        assert_eq!(payloads(&mut connection), [(0x88, Vec::new())]);
    }
}

fn a_server_fails_inside() {
    let [mut server, _] = ends();
    server.close(CloseCode::INTERNAL_ERROR, "").expect("open");
    assert_eq!(payloads(&mut server), [(0x88, vec![0x03, 0xf3])]);
}

fn bad_text_inside_a_frame() {
    let start = b"\xce\xba\xf4\x90";
    for server in [true, false] {
        // 21 bytes are announced; the fourth is bad.
        let frame = encode(0x81, server.then_some(KEY), &[&start[..], &[b'x'; 17]].concat());
        let header = if server { 6 } else { 2 };
        for front in [Front::Lent, Front::Owned, Front::Parts] {
            every_cut(&frame[..header + 4], |pieces| {
                let tokens = observe(&Rules::defaults(server), front, pieces).tokens;
                assert_eq!(tokens[0], Token::Fail(1007));
            });
            assert_eq!(observe(&Rules::defaults(server), front, &[&frame[..header + 3]]).tokens, []);
        }
    }
}

fn pings_are_not_part_of_the_message() {
    for server in [true, false] {
        let mut rules = Rules::defaults(server);
        rules.max_message = 4;
        let key = server.then_some(KEY);
        let frames = [(0x01, &b"ab"[..]), (0x89, &[0; 125]), (0x00, b"c"), (0x8a, &[1; 125]), (0x80, b"d")];
        let stream: Vec<u8> =
            frames.into_iter().flat_map(|(first, payload)| encode(first, key, payload)).collect();
        for front in [Front::Lent, Front::Fixed(4 + 125), Front::Owned, Front::Parts] {
            every_cut(&stream, |pieces| {
                let tokens = observe(&rules, front, pieces).tokens;
                assert_eq!(tokens.last(), Some(&Token::Text(b"abcd".to_vec())), "{front:?}");
                assert_eq!(tokens.len(), 4);
            });
        }
    }
}

fn a_peer_that_does_not_read() {
    const LIMIT: usize = 4 << 20;
    for server in [true, false] {
        let mut connection =
            connection(&Rules::defaults(server), ConnectionOptions::new().max_outgoing(LIMIT));
        let mut taken: Vec<u8> = Vec::new();
        for n in 0..100 {
            let message = Message::Binary(vec![n; 1 << 20].into());
            match connection.send(message) {
                Ok(()) => taken.push(n),
                Err(refused) => assert_eq!(refused, UsageError::Full),
            }
            assert!(connection.queued() <= LIMIT);
        }
        // Of the four that would fill it, the headers leave room for three.
        assert_eq!(taken, [0, 1, 2]);
        let frames = written(&mut connection);
        assert!(frames.iter().zip(&taken).all(|(frame, n)| frame.payload == vec![*n; 1 << 20]));
        assert_eq!(frames.len(), taken.len());
        assert_eq!(connection.send(b"again"), Ok(()));
    }
}

fn an_idle_peer() {
    for mut connection in ends() {
        let mut heartbeat = Heartbeat::new(PING_INTERVAL, PING_TIMEOUT, Duration::ZERO);
        assert_eq!(heartbeat.next_deadline(), PING_INTERVAL);
        assert_eq!(heartbeat.poll(PING_INTERVAL), Some(Beat::Send));
        connection.ping(b"").expect("open");
        assert_eq!(payloads(&mut connection), [(0x89, Vec::new())]);
        assert_eq!(heartbeat.next_deadline(), PING_INTERVAL + PING_TIMEOUT);
        assert_eq!(heartbeat.poll(PING_INTERVAL + PING_TIMEOUT), Some(Beat::Dead));
        connection.receive_eof();
        assert_eq!(connection.state(), State::Aborted);
    }
}
