//! Runs the conformance driver as a stranger would: a process, lines in, answers out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The driver's binary, made by the cargo that runs this test, in the place and the profile of this test: it
/// is there already when all tests are run, and then this only makes sure that it is not an old one.
fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let test = std::env::current_exe().expect("this test is a file");
        let [_, _, profile_dir, target_dir] = test.ancestors().take(4).collect::<Vec<_>>()[..] else {
            panic!("not where cargo puts tests: {}", test.display());
        };
        let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "driver", "--profile", profile, "--target-dir"])
            .arg(target_dir)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        let path =
            profile_dir.join("examples").join("driver").with_extension(std::env::consts::EXE_EXTENSION);
        assert!(built.is_ok_and(|status| status.success()), "cargo cannot build {}", path.display());
        path
    })
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
