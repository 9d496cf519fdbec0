//! Runs the conformance driver as a stranger would: a process, lines in, answers out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::examples::example;

/// The driver's binary.
fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| example("driver"))
}

/// Runs the driver over the lines: the answer to each, in tokens.
pub fn run<L: AsRef<[u8]>>(options: &str, lines: &[L]) -> Vec<Vec<String>> {
    let mut child = Command::new(driver())
        .args(options.split(' ').filter(|word| !word.is_empty()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the driver starts");
    let mut input = child.stdin.take().expect("piped");
    let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_ref(), b"\n"].concat()).collect();
    // Written while it is read, since neither pipe holds everything.
    let writer = std::thread::spawn(move || drop(input.write_all(&text)));
    let output = child.wait_with_output().expect("the driver ends");
    writer.join().expect("all is written");
    assert!(output.status.success(), "the driver exits 0: {options}");
    let output = String::from_utf8(output.stdout).expect("answers are text");
    let mut answers = vec![Vec::new()];
    for line in output.lines() {
        match line {
            "." => answers.push(Vec::new()),
            token => answers.last_mut().expect("one at least").push(token.to_owned()),
        }
    }
    assert_eq!(answers.pop(), Some(Vec::new()), "every answer ends with a dot");
    answers
}
