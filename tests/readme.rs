//! The programs of the README are the examples, letter by letter: they compile, and `axum_chat.rs` and `tls/examples.rs` run them.

/// The blocks of `README.md` in a language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    let blocks: Vec<_> = readme
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().trim_end())
        .collect();
    assert!(!blocks.is_empty(), "no block in {language}");
    blocks
}

/// An example without the comment at its head.
fn program(source: &'static str) -> &'static str {
    let mut rest = source;
    while let Some((line, after)) = rest.split_once('\n')
        && (line.is_empty() || line.starts_with("//!"))
    {
        rest = after;
    }
    rest.trim_end()
}

#[test]
fn the_readme_shows_the_examples() {
    let programs = [
        program(include_str!("../examples/axum_chat/main.rs")),
        program(include_str!("../examples/wss_client.rs")),
        program(include_str!("../examples/llm_client.rs")),
    ];
    assert_eq!(blocks("rust"), programs);
    assert_eq!(blocks("html"), [include_str!("../examples/axum_chat/page.html").trim_end()]);
}

/// What the README promises of their length, empty lines not counted.
#[test]
fn they_are_short() {
    let lens: Vec<_> = blocks("rust")
        .iter()
        .map(|block| block.lines().filter(|line| !line.trim().is_empty()).count())
        .collect();
    assert!(lens[0] < 40 && lens[1] < 13 && lens[2] < 15, "{lens:?}");
}
