//! The conformance driver from outside, as a stranger would use it: the frame rows of the checklist through
//! every option of `driver ws`, and conversations whose answers are known word for word.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;

mod common;
#[path = "common/driver.rs"]
mod driver;
#[path = "common/examples.rs"]
mod examples;
#[path = "../src/fuzzing/ws/model.rs"]
mod model;
#[path = "common/ws_rows.rs"]
mod ws_rows;

use common::hex;
use driver::run;
use model::{Rules, Token, encode, receive, with_replies};
use ws_rows::{Case, rows};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One way to use `driver ws`.
#[derive(Clone, Copy, Debug)]
struct Mode {
    options: &'static str,
    raw: bool,
    auto: bool,
    /// Parts are put together before they are compared.
    parts: bool,
    key: [u8; 4],
}

const MODES: [Mode; 8] = {
    let plain = Mode { options: "", raw: false, auto: true, parts: false, key: KEY };
    [
        plain,
        Mode { options: "raw=1", raw: true, ..plain },
        Mode { options: "owned=1", ..plain },
        Mode { options: "parts=1", parts: true, ..plain },
        Mode { options: "auto=0", auto: false, ..plain },
        Mode { options: "raw=1 mask=00000000", raw: true, key: [0; 4], ..plain },
        Mode {
            options: "owned=1 auto=0 raw=1 mask=01020304",
            raw: true,
            auto: false,
            key: [1, 2, 3, 4],
            ..plain
        },
        Mode { options: "owned=1 parts=1 raw=1", raw: true, parts: true, ..plain },
    ]
};

/// The driver's word for a token.
fn words(token: &Token, mode: Mode) -> Vec<String> {
    match token {
        Token::Text(text) => vec![format!("<text:{}", hex(text))],
        Token::Binary(payload) => vec![format!("<binary:{}", hex(payload))],
        Token::Ping(payload) => vec![format!("<ping:{}", hex(payload))],
        Token::Pong(payload) => vec![format!("<pong:{}", hex(payload))],
        Token::Close(code, reason) => vec![format!("<close:{}:{}", code.unwrap_or(1005), hex(reason))],
        Token::Fail(code) => vec![format!("<fail:{code}")],
        Token::Finished => vec!["^EOF".to_owned()],
        Token::Wrote(frame) => {
            let (fin, opcode) = (frame.first >> 7, frame.first & 0x0f);
            let mut words = vec![format!("^frame:{opcode}:{fin}:0:{}", hex(&frame.payload))];
            if mode.raw {
                words.push(format!("^raw:{}", hex(&encode(frame.first, frame.key, &frame.payload))));
            }
            words
        }
    }
}

/// What is to be answered to the pieces, each a line, and to `>EOF` after them.
fn expected(case: &Case, mode: Mode, pieces: &[&[u8]]) -> Vec<Vec<String>> {
    let events = receive(&case.rules, &case.bytes).tokens;
    let mut answers = Vec::new();
    let (mut fed, mut over, mut finished) = (0, false, false);
    let mut events = events.into_iter().peekable();
    for piece in pieces {
        fed += piece.len();
        let mut answer = Vec::new();
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= fed) {
            let fails = matches!(event, Token::Fail(_));
            over |= fails || matches!(event, Token::Close(..));
            let tokens = with_replies(&case.rules, [event], mode.key);
            // The close of a failure goes out in any case.
            let kept = if mode.auto || fails { tokens.len() } else { 1 };
            for token in &tokens[..kept] {
                finished |= *token == Token::Finished;
                answer.extend(words(token, mode));
            }
        }
        answers.push(answer);
    }
    let mut end = Vec::new();
    if !over {
        end.push("<abnormal:1006".to_owned());
    }
    if !finished {
        end.push("^EOF".to_owned());
    }
    answers.push(end);
    answers
}

/// Puts parts together; what is left over is dropped. All in one answer, in their order.
fn together(answers: &[Vec<String>]) -> Vec<String> {
    let mut partial = String::new();
    let mut words = Vec::new();
    for word in answers.iter().flatten() {
        let Some(part) = word.strip_prefix("<part:") else {
            assert!(!word.starts_with("<text") && !word.starts_with("<binary"), "a whole message: {word}");
            words.push(word.clone());
            continue;
        };
        let [kind, fin, bytes] = part.split(':').collect::<Vec<_>>()[..] else { panic!("{word}") };
        assert!(fin == "1" || !bytes.is_empty(), "an empty part: {word}");
        partial.push_str(bytes);
        if fin == "1" {
            words.push(format!("<{kind}:{}", std::mem::take(&mut partial)));
        }
    }
    words
}

/// All the ways to cut a row: whole, byte by byte, and eight that are not regular.
fn cuts(bytes: &[u8], seed: u64) -> Vec<Vec<&[u8]>> {
    let mut cuts = vec![vec![bytes], bytes.chunks(1).collect()];
    let mut state = seed | 1;
    for _ in 0..8 {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            // xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (piece, tail) = rest.split_at((1 + (state >> 20) as usize % 9).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        cuts.push(pieces);
    }
    cuts
}

#[test]
fn the_frame_rows_come_out_of_the_driver() {
    let cases: Vec<(&str, Case)> =
        rows().flat_map(|row| row.cases.into_iter().map(move |case| (row.id, case))).collect();
    assert!(cases.len() > 150, "{} cases", cases.len());
    for mode in MODES {
        // Those with the same command line one after the other, with a reset between them.
        let mut options: Vec<String> = cases.iter().map(|(_, case)| command(&case.rules, mode)).collect();
        options.sort();
        options.dedup();
        for options in options {
            let (mut lines, mut ends, mut answers) = (Vec::new(), Vec::new(), Vec::new());
            for (id, case) in cases.iter().filter(|(_, case)| command(&case.rules, mode) == options) {
                for pieces in cuts(&case.bytes, lines.len() as u64 * 0x9e37_79b9) {
                    lines.extend(pieces.iter().map(|piece| format!(">{}", hex(piece))));
                    lines.extend([
                        ">EOF".to_owned(),
                        ">8100".to_owned(),
                        ">EOF".to_owned(),
                        "reset".to_owned(),
                    ]);
                    // Nothing is said after the end.
                    let mut expected = expected(case, mode, &pieces);
                    expected.extend([vec![], vec![], vec![]]);
                    ends.push((*id, lines.len(), pieces));
                    answers.push(expected);
                }
            }
            let seen = run(&options, &lines);
            assert_eq!(seen.len(), lines.len());
            let mut from = 0;
            for ((id, to, pieces), expected) in ends.into_iter().zip(answers) {
                let seen = &seen[from..to];
                if mode.parts {
                    assert_eq!(together(seen), expected.concat(), "{id}: {options}: {pieces:02x?}");
                } else {
                    assert_eq!(seen, expected, "{id}: {options}: {pieces:02x?}");
                }
                from = to;
            }
        }
    }
}

/// The command line for the rules and the mode.
fn command(rules: &Rules, mode: Mode) -> String {
    let mut line = format!("ws {}", if rules.server { "server" } else { "client" });
    let defaults = Rules::defaults(rules.server);
    for (key, value, default) in [
        ("max_frame", rules.max_frame, defaults.max_frame),
        ("max_message", rules.max_message, defaults.max_message),
        ("max_fragments", rules.max_fragments, defaults.max_fragments),
    ] {
        if value != default {
            write!(line, " {key}={value}").expect("a string");
        }
    }
    if mode.options.is_empty() { line } else { format!("{line} {}", mode.options) }
}

/// Lines and their answers, word for word.
fn conversation(options: &str, talk: &[(&str, &[&str])]) {
    let lines: Vec<&str> = talk.iter().map(|(line, _)| *line).collect();
    let answers = run(options, &lines);
    for ((line, expected), answer) in talk.iter().zip(&answers) {
        assert_eq!(answer, expected, "{options}: {line}");
    }
    assert_eq!(answers.len(), talk.len());
}

#[test]
fn a_server_sends() {
    conversation(
        "ws server raw=1",
        &[
            ("!text:1:48656c6c6f", &["^frame:1:1:0:48656c6c6f", "^raw:810548656c6c6f"]),
            ("!binary:1:", &["^frame:2:1:0:", "^raw:8200"]),
            ("!continuation:1:", &["=err NoMessageInProgress"]),
            ("!continuation:0:61", &["=err NoMessageInProgress"]),
            ("!text:0:61", &["^frame:1:0:0:61", "^raw:010161"]),
            ("!binary:1:62", &["=err MessageInProgress"]),
            ("!text:0:62", &["=err MessageInProgress"]),
            ("!ping:70", &["^frame:9:1:0:70", "^raw:890170"]),
            ("!continuation:0:", &["^frame:0:0:0:", "^raw:0000"]),
            ("!continuation:1:63", &["^frame:0:1:0:63", "^raw:800163"]),
            ("!text:1:ff", &["=err InvalidUtf8"]),
            ("!text:0:e282", &["^frame:1:0:0:e282", "^raw:0102e282"]),
            ("!continuation:1:41", &["=err InvalidUtf8"]),
            ("!continuation:1:", &["=err InvalidUtf8"]),
            ("!continuation:1:ac", &["^frame:0:1:0:ac", "^raw:8001ac"]),
            ("!pong:", &["^frame:10:1:0:", "^raw:8a00"]),
            ("!pong", &["^frame:10:1:0:", "^raw:8a00"]),
            ("!ping:00*126", &["=err ControlTooLong"]),
            ("!pong:00*126", &["=err ControlTooLong"]),
            ("!close:1005:", &["=err InvalidCloseCode"]),
            ("!close:1006:", &["=err InvalidCloseCode"]),
            ("!close:999:", &["=err InvalidCloseCode"]),
            ("!close:5000:", &["=err InvalidCloseCode"]),
            ("!close:1000:72*124", &["=err ReasonTooLong"]),
            ("!close:1000:ff", &["=err InvalidUtf8"]),
            ("!close:1000:627965", &["^frame:8:1:0:03e8627965", "^raw:880503e8627965"]),
            ("!text:1:61", &["=err Closed"]),
            ("!text:0:61", &["=err Closed"]),
            ("!ping:", &["=err Closed"]),
            ("!close", &["=err Closed"]),
            (">818437fa213d5b9b5558", &["<text:6c617465"]),
            (">888237fa213d3412", &["<close:1000:", "^EOF"]),
            (">818037fa213d", &[]),
            (">EOF", &[]),
            ("!text:1:61", &["=err Closed"]),
            ("reset", &[]),
            ("!text:1:61", &["^frame:1:1:0:61", "^raw:810161"]),
            (">EOF", &["<abnormal:1006", "^EOF"]),
            (">EOF", &[]),
            ("!close", &["=err Closed"]),
        ],
    );
}

#[test]
fn a_client_sends() {
    conversation(
        "ws client raw=1",
        &[
            ("!text:1:48656c6c6f", &["^frame:1:1:0:48656c6c6f", "^raw:818537fa213d7f9f4d5158"]),
            ("!ping:", &["^frame:9:1:0:", "^raw:898037fa213d"]),
            (">890170", &["<ping:70", "^frame:10:1:0:70", "^raw:8a8137fa213d47"]),
            (">8a00", &["<pong:"]),
            (">8800", &["<close:1005:", "^frame:8:1:0:", "^raw:888037fa213d"]),
            (">8800", &[]),
            (">EOF", &["^EOF"]),
            ("reset", &[]),
            ("!close", &["^frame:8:1:0:", "^raw:888037fa213d"]),
            (">880203e9", &["<close:1001:"]),
            (">EOF", &["^EOF"]),
            ("reset", &[]),
            ("!close:1000:", &["^frame:8:1:0:03e8", "^raw:888237fa213d3412"]),
            (">c100", &["<fail:1002", "^EOF"]),
            (">EOF", &[]),
            ("reset", &[]),
            ("!close:1000:", &["^frame:8:1:0:03e8", "^raw:888237fa213d3412"]),
            (">EOF", &["<abnormal:1006", "^EOF"]),
        ],
    );
    conversation(
        "ws client raw=1 mask=00000000",
        &[("!text:1:61", &["^frame:1:1:0:61", "^raw:81810000000061"])],
    );
}

#[test]
fn replies_can_be_left_to_the_caller() {
    for owned in ["", " owned=1"] {
        conversation(
            &format!("ws server auto=0{owned}"),
            &[
                (">898137fa213d47", &["<ping:70"]),
                ("!pong:70", &["^frame:10:1:0:70"]),
                (">888537fa213d3412434452", &["<close:1000:627965"]),
                ("!text:1:61", &["=err Closed"]),
                ("!pong:70", &["=err Closed"]),
                ("!close:1000:", &["^frame:8:1:0:03e8", "^EOF"]),
                ("!close:1000:", &["=err Closed"]),
                ("reset", &[]),
                (">888037fa213d", &["<close:1005:"]),
                (">EOF", &["^EOF"]),
                ("reset", &[]),
                (">c18037fa213d", &["<fail:1002", "^frame:8:1:0:03ea", "^EOF"]),
            ],
        );
    }
}

#[test]
fn messages_come_in_parts() {
    for owned in ["", " owned=1"] {
        conversation(
            &format!("ws client parts=1{owned}"),
            &[
                (">8103616263", &["<part:text:1:616263"]),
                (">8200", &["<part:binary:1:"]),
                (">0103616263", &["<part:text:0:616263"]),
                (">8003c3", &[]),
                (">a4", &["<part:text:0:c3a4"]),
                (">64", &["<part:text:1:64"]),
            ],
        );
        conversation(
            &format!("ws client parts=1 max_message=6{owned}"),
            &[
                (">010361", &["<part:text:0:61"]),
                (">62c3", &["<part:text:0:62"]),
                (">890170", &["<ping:70", "^frame:10:1:0:70"]),
                (">0000", &[]),
                (">8001a4", &["<part:text:1:c3a4"]),
                (">0203010203", &["<part:binary:0:010203"]),
                (">0003040506", &["<part:binary:0:040506"]),
                (">8000", &["<part:binary:1:"]),
                (">0203010203", &["<part:binary:0:010203"]),
                (">8004", &["<fail:1009", "^frame:8:1:0:03f1", "^EOF"]),
                ("reset", &[]),
                // What came before the bad byte, however it came.
                (">8103", &[]),
                (">6162ff", &["<part:text:0:6162", "<fail:1007", "^frame:8:1:0:03ef", "^EOF"]),
            ],
        );
    }
}

#[test]
fn limits_and_runs_of_bytes() {
    for owned in ["", " owned=1"] {
        let long = format!("<binary:{}", "2a".repeat(65_536));
        let sent = format!("^frame:2:1:0:{}", "2a".repeat(65_536));
        conversation(
            &format!("ws client{owned}"),
            &[
                (">827f0000000000010000+2a*65536", &[&long]),
                ("!binary:1:2a*65536", &[&sent]),
                (">81+05+48656c6c6f", &["<text:48656c6c6f"]),
                (">827f7fffffffffffffff", &["<fail:1009", "^frame:8:1:0:03f1", "^EOF"]),
            ],
        );
        conversation(
            &format!("ws client max_frame=2 max_message=4 max_fragments=3{owned}"),
            &[
                (">82020102", &["<binary:0102"]),
                (">020201028002", &[]),
                (">0304", &["<binary:01020304"]),
                (">0200000081", &["<fail:1002", "^frame:8:1:0:03ea", "^EOF"]),
                ("reset", &[]),
                (">8203", &["<fail:1009", "^frame:8:1:0:03f1", "^EOF"]),
                ("reset", &[]),
                (">02020102000203048001", &["<fail:1009", "^frame:8:1:0:03f1", "^EOF"]),
                ("reset", &[]),
                (">020000000000", &[]),
                (">8000", &["<fail:1008", "^frame:8:1:0:03f0", "^EOF"]),
            ],
        );
    }
}

/// Lines that make no sense are answered, and change nothing.
#[test]
fn bad_lines_are_answered() {
    let lines: [&[u8]; 27] = [
        b"",
        b"x",
        b"text:1:61",
        b"!",
        b"!nothing",
        b"!text",
        b"!text:1",
        b"!text:2:61",
        b"!text::61",
        b"!text:1:6",
        b"!text:1:6x",
        b"!text:1:61*",
        b"!text:1:61*x",
        b"!text:1:61*-1",
        b"!text:1:61*99999999999999999999",
        b"!text:1:61*2000000000",
        b"!close:x:",
        b"!close:65536:",
        b"!close:+1000:",
        b"!close::",
        b"!close:1000:6",
        b"!ping:6",
        b">6",
        b">zz",
        b">eof",
        b">61*",
        b">\xff\xfe",
    ];
    for line in lines {
        let start: &[u8] = b"!text:0:61";
        let answers = run("ws server", &[start, line, b"!continuation:1:62", b">898037fa213d"]);
        assert!(answers[1].len() == 1 && answers[1][0].starts_with("!bad "), "{line:?}: {answers:?}");
        assert_eq!(answers[0], ["^frame:1:0:0:61"]);
        assert_eq!(answers[2], ["^frame:0:1:0:62"]);
        assert_eq!(answers[3], ["<ping:", "^frame:10:1:0:"]);
    }
}

#[test]
fn bad_command_lines_are_answered() {
    for options in [
        "",
        "nothing",
        "ws",
        "ws nobody",
        "ws server colour=1",
        "ws server raw",
        "ws server parts=2",
        "ws server max_frame=x",
        "ws server max_message=-1",
        "ws server max_message=+1",
        "ws server max_fragments=4294967296",
        "ws client mask=0",
        "ws client mask=000000",
        "ws client mask=zz000000",
    ] {
        let answers = run::<&[u8]>(options, &[]);
        assert!(
            matches!(&answers[..], [answer] if answer.len() == 1 && answer[0].starts_with("!bad ")),
            "{options}"
        );
    }
}
