//! What every table test needs: the escapes of tests/cases, and all the ways to cut input.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

/// Rows of a tab-separated table: comments and the header line left out.
pub fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("id\t"))
        .map(|line| line.split('\t').collect())
}

/// Undoes `\r \n \t \0 \\ \s`(space) `\xHH` and `\*{TEXT,N}` (TEXT repeated N times).
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&kind, tail) = rest.split_first().expect("a backslash stands for something");
        rest = tail;
        match kind {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b's' => out.push(b' '),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            b'*' => {
                let end = rest.iter().position(|&b| b == b'}').expect("closing brace");
                let inside = std::str::from_utf8(&rest[1..end]).unwrap();
                let (text, count) = inside.rsplit_once(',').expect("TEXT,N");
                out.extend(unescape(text).repeat(count.parse().unwrap()));
                rest = &rest[end + 1..];
            }
            other => panic!("unknown escape \\{}", other as char),
        }
    }
    out
}

/// Undoes lower-case hex; spaces between groups are allowed.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "odd number of hex digits: {text}");
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Calls `check` with the input cut in every way a decoder must not care about: whole, byte by
/// byte, and at every two-way split (at most 600 of them, evenly spread, when the input is long).
pub fn every_cut(input: &[u8], mut check: impl FnMut(&[&[u8]])) {
    check(&[input]);
    check(&input.chunks(1).collect::<Vec<_>>());
    let step = input.len().div_ceil(600).max(1);
    for at in (1..input.len()).step_by(step) {
        let (head, tail) = input.split_at(at);
        check(&[head, tail]);
    }
}
