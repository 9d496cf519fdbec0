//! Reads the rows of the RFC 6455 checklist that are about frames: their input, if it is bytes.
#![allow(dead_code)]

use super::model::Rules;

/// The table.
pub const TABLE: &str = include_str!("../cases/rfc6455-checklist.tsv");

/// The groups of the table that are about frames and connections.
pub const GROUPS: [&str; 8] = ["FR", "MK", "FG", "CT", "CL", "SC", "U8", "LM"];

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// What is to be seen.
    pub expected: &'static str,
    /// What is received by a server, by a client or by both; none if the input is prose.
    pub cases: Vec<Case>,
}

/// Bytes that are received under some rules.
#[derive(Debug)]
pub struct Case {
    /// The role and the limits.
    pub rules: Rules,
    /// The received bytes.
    pub bytes: Vec<u8>,
}

/// The rows about frames.
pub fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).filter_map(|line| {
        let [id, _, role, _, input, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("six columns: {line}");
        };
        let group = id.split('-').next().unwrap_or_default();
        GROUPS.contains(&group).then(|| Row { id, expected, cases: cases(role, input).unwrap_or_default() })
    })
}

/// `[KEY=N; ][server: ]HEX[ | client: HEX]`; `None` if the input is prose.
fn cases(role: &str, input: &str) -> Option<Vec<Case>> {
    let mut settings = Vec::new();
    let mut input = input.trim();
    while let Some((setting, rest)) = input.split_once("; ") {
        let (key, value) = setting.split_once('=')?;
        settings.push((key, value.parse().ok()?));
        input = rest;
    }
    let mut cases = Vec::new();
    for part in input.split(" | ") {
        let (role, hex) = part.trim().split_once(": ").unwrap_or((role, part));
        let bytes = bytes(hex)?;
        let server = match role {
            "server" => true,
            "client" => false,
            // The second byte tells: a client's frame is masked.
            "both" => *bytes.get(1)? & 0x80 != 0,
            _ => return None,
        };
        let mut rules = Rules::defaults(server);
        for (key, value) in &settings {
            match *key {
                "max_frame" => rules.max_frame = *value,
                "max_message" => rules.max_message = *value,
                "max_fragments" => rules.max_fragments = *value,
                _ => return None,
            }
        }
        cases.push(Case { rules, bytes });
    }
    Some(cases)
}

/// Hex with spaces, remarks in brackets, and how it is to be cut, which is done in any case.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text =
        text.strip_suffix("in 1-byte chunks").or(text.strip_suffix("split at every offset")).unwrap_or(text);
    let text =
        text.split_once('(').map_or(text, |(before, _)| before).replace("+ key", "37fa213d").replace(' ', "");
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
