//! The rows of tests/cases/extra-*.tsv that are written as conversations with the conformance driver: what it
//! answers to frames, heads, handshakes, offers and lines that make no sense.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

mod common;
#[path = "common/driver.rs"]
mod driver;
#[path = "common/examples.rs"]
mod examples;

use common::{every_cut, hex, rows, unhex};
use driver::run;

struct Row {
    id: &'static str,
    lines: Vec<String>,
    expected: Vec<String>,
}

/// The rows of a table by their command.
fn table(text: &'static str) -> BTreeMap<&'static str, Vec<Row>> {
    let list = |column: &str| column.split(" && ").map(str::to_owned).collect::<Vec<_>>();
    let mut commands = BTreeMap::<_, Vec<_>>::new();
    for row in rows(text) {
        let [id, _section, command, input, expected] = row[..] else { panic!("five columns: {row:?}") };
        commands.entry(command).or_default().push(Row { id, lines: list(input), expected: list(expected) });
    }
    commands
}

/// Runs conversations one after the other and compares all that is answered to each.
fn compare<'r>(
    command: &str,
    talks: impl IntoIterator<Item = (&'r Row, Vec<String>)>,
    told: impl Fn(Vec<String>) -> Vec<String>,
) {
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    for (row, talk) in talks {
        lines.extend(talk);
        lines.push("reset".to_owned());
        ends.push((row, lines.len()));
    }
    let answers = run(command, &lines);
    assert_eq!(answers.len(), lines.len(), "{command}");
    let mut from = 0;
    for (row, to) in ends {
        // A conversation that is answered by nothing at all has an empty column.
        let mut seen = told(answers[from..to].concat());
        if seen.is_empty() {
            seen.push(String::new());
        }
        assert_eq!(seen, row.expected, "{}: {command}: {:?}", row.id, &lines[from..to]);
        from = to;
    }
}

/// Every row as it stands.
fn as_written(text: &'static str) -> usize {
    let mut count = 0;
    for (command, rows) in table(text) {
        count += rows.len();
        compare(command, rows.iter().map(|row| (row, row.lines.clone())), |told| {
            told.into_iter()
                .map(|token| if token.starts_with("!bad ") { "!bad".to_owned() } else { token })
                .collect()
        });
    }
    count
}

/// Received bytes, in every cut.
fn in_every_cut(text: &'static str) -> usize {
    let mut count = 0;
    for (command, mut rows) in table(text) {
        count += rows.len();
        let parts = command.contains("parts=1");
        let mut talks = Vec::new();
        for row in &mut rows {
            row.expected = row.expected.iter().map(|token| spelled_out(token)).collect();
        }
        for row in &rows {
            let [read, end] = &row.lines[..] else { panic!("{}: one read and the end", row.id) };
            every_cut(&bytes(read.strip_prefix('>').unwrap()), |cut| {
                let mut talk: Vec<_> = cut.iter().map(|piece| format!(">{}", hex(piece))).collect();
                talk.push(end.clone());
                talks.push((row, talk));
            });
        }
        compare(command, talks, |told| if parts { together(told) } else { told });
    }
    count
}

/// Hex, run-length coded as the driver reads it.
fn bytes(text: &str) -> Vec<u8> {
    let piece = |piece: &str| match piece.split_once('*') {
        Some((digits, count)) => unhex(digits).repeat(count.parse().unwrap()),
        None => unhex(piece),
    };
    text.split('+').flat_map(piece).collect()
}

/// A token whose bytes are run-length coded, as the driver writes it.
fn spelled_out(token: &str) -> String {
    match token.rsplit_once(':') {
        Some((before, coded)) if coded.contains('*') => format!("{before}:{}", hex(&bytes(coded))),
        _ => token.to_owned(),
    }
}

/// Parts put together; what is left over is dropped.
fn together(told: Vec<String>) -> Vec<String> {
    let mut partial = String::new();
    let mut tokens = Vec::new();
    for token in told {
        let Some(part) = token.strip_prefix("<part:") else {
            tokens.push(token);
            continue;
        };
        let [kind, fin, bytes] = part.split(':').collect::<Vec<_>>()[..] else { panic!("{token}") };
        partial.push_str(bytes);
        if fin == "1" {
            tokens.push(format!("<{kind}:{}", std::mem::take(&mut partial)));
        }
    }
    tokens
}

#[test]
fn frames() {
    assert_eq!(in_every_cut(include_str!("cases/extra-frames.tsv")), 867);
}

#[test]
fn compressed_frames() {
    assert_eq!(in_every_cut(include_str!("cases/extra-deflate-frames.tsv")), 291);
}

#[test]
fn heads_and_handshakes() {
    assert_eq!(as_written(include_str!("cases/extra-heads.tsv")), 408);
    assert_eq!(as_written(include_str!("cases/extra-handshake.tsv")), 403);
}

#[test]
fn negotiation() {
    assert_eq!(as_written(include_str!("cases/extra-negotiation.tsv")), 475);
}

#[test]
fn encoders_sends_and_lines_that_make_no_sense() {
    assert_eq!(as_written(include_str!("cases/extra-driver.tsv")), 234);
}
