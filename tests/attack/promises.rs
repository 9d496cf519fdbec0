//! SECURITY.md names a test for each promise: they exist.

use std::path::Path;

/// `attack::websocket::zip_bombs`, `ws_limits::max_frame`: a file of tests/, maybe a module of it, a function.
fn exists(name: &str) -> bool {
    let parts: Vec<_> = name.split("::").collect();
    let [file, modules @ .., function] = &parts[..] else { return false };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = match modules {
        [] => vec![tests.join(format!("{file}.rs"))],
        [module, ..] => vec![tests.join(file).join(format!("{module}.rs"))],
    };
    files.push(tests.join(file).join("main.rs"));
    files.iter().any(|file| {
        let source = std::fs::read_to_string(file).unwrap_or_default();
        ["fn ", "async fn "].iter().any(|word| source.contains(&format!("{word}{function}(")))
    })
}

#[test]
fn each_promise_has_its_test() {
    let mut rows = 0;
    for line in include_str!("../../SECURITY.md").lines().filter(|line| line.starts_with("| ")) {
        let Some(tests) = line.trim_end_matches([' ', '|']).rsplit(" | ").next() else { continue };
        if !tests.contains("::") {
            continue; // the head of a table
        }
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{line}");
        for name in names {
            assert!(exists(name), "{name} does not exist: {line}");
        }
        rows += 1;
    }
    assert!(rows >= 60, "{rows}");
    assert!(!exists("attack::websocket::no_such_test") && !exists("no_such_file::zip_bombs"));
}
