//! The frame rows of the RFC 6455 checklist through the conformance driver's process: whole, byte by byte and at
//! random splits, the driver says the same, and what the row expects.

mod common;

use common::{hex, rows, unhex};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const CHECKLIST: &str = include_str!("cases/rfc6455-checklist.tsv");
const GROUPS: [&str; 7] = ["FR", "MK", "FG", "CT", "CL", "SC", "U8"];

struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Driver {
    fn new(arguments: &[&str]) -> Self {
        // Beside this test: target/PROFILE/deps/driver-HASH and target/PROFILE/examples/driver.
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.extend(["examples", "driver"]);
        if !path.exists() {
            // `cargo test` has built the examples, `cargo test --test driver` has not.
            let build = ["build", "--quiet", "--all-features", "--example", "driver"];
            assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
        }
        let mut child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, line: &str) -> Vec<String> {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the driver ended");
            match line.trim_end() {
                "." => return answer,
                token => answer.push(token.to_owned()),
            }
        }
    }

    /// Everything that pieces and the end of input lead to, afresh.
    fn run(&mut self, pieces: &[&[u8]]) -> Vec<String> {
        assert_eq!(self.ask("reset"), [""; 0]);
        let mut tokens = Vec::new();
        for piece in pieces {
            tokens.extend(self.ask(&format!(">{}", hex(piece))));
        }
        tokens.extend(self.ask(">EOF"));
        tokens
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of `role` in a row's input, if they are all there is to it.
fn bytes(input: &str, role: &str, rows_role: &str) -> Option<Vec<u8>> {
    let part = input.split(" | ").find_map(|part| part.trim().strip_prefix(&format!("{role}:")));
    let part = match part {
        Some(part) => part,
        None if rows_role == role && !input.contains(':') => input,
        None => return None,
    };
    let digits = part.trim();
    let plain = !digits.is_empty()
        && digits.bytes().all(|b| b == b' ' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    plain.then(|| unhex(digits))
}

#[test]
fn the_driver_says_of_every_frame_row_what_is_expected_however_it_is_cut() {
    let mut checked = 0;
    for role in ["server", "client"] {
        let mut driver = Driver::new(&["ws", role]);
        for row in rows(CHECKLIST) {
            let [id, _, rows_role, _, input, expected, ..] = row[..] else { continue };
            // A limit, an option or a call that the row sets is the table test's business.
            if !GROUPS.contains(&&id[..2]) || input.contains('=') {
                continue;
            }
            let Some(input) = bytes(input, role, rows_role) else { continue };
            let whole = driver.run(&[&input]);
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ checked;
            let mut cuts = vec![input.chunks(1).collect::<Vec<_>>()];
            for _ in 0..4 {
                let (mut rest, mut pieces) = (&input[..], Vec::new());
                while !rest.is_empty() {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    let (piece, tail) = rest.split_at((seed % 7 + 1).min(rest.len() as u64) as usize);
                    pieces.push(piece);
                    rest = tail;
                }
                cuts.push(pieces);
            }
            for pieces in cuts {
                assert_eq!(driver.run(&pieces), whole, "{id} as {role} in {} pieces", pieces.len());
            }
            let says = |token: &str| {
                whole.iter().any(|said| said == token || said.starts_with(&format!("{token}:")))
            };
            if let Some(code) = expected.strip_prefix("fail ") {
                let code = &code[..4];
                assert!(says(&format!("<fail:{code}")), "{id} as {role}: {whole:?}");
            } else if let Some(code) = expected.strip_prefix("Close(").map(|rest| &rest[..4]) {
                assert!(says(&format!("<close:{code}")), "{id} as {role}: {whole:?}");
            } else if let Some(text) =
                expected.strip_prefix("Text \"").and_then(|rest| rest.split('"').next())
            {
                assert!(says(&format!("<text:{}", hex(text.as_bytes()))), "{id} as {role}: {whole:?}");
            } else {
                assert!(!whole.iter().any(|said| said.starts_with("<fail")), "{id} as {role}: {whole:?}");
            }
            checked += 1;
        }
    }
    println!("{checked} rows and roles");
    assert!(checked >= 150, "only {checked}: has the table changed its form?");
}
