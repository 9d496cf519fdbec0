//! Text in scripts: what a JavaScript engine makes of it is the text, and HTML makes nothing of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::hex;
use proptest::prelude::*;
use pushline::comet::jsonp::{self, Callback};
use pushline::comet::{CometMessage, CometOptions, CometSession, StreamOptions, StreamWriter, write_literal};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn literal(text: &str) -> String {
    let mut out = Vec::new();
    write_literal(text, &mut out);
    assert_eq!(CometMessage::text(text).literal(), out);
    String::from_utf8(out).unwrap()
}

#[test]
fn escapes() {
    for (text, expected) in [
        ("", r#""""#),
        ("plain", r#""plain""#),
        ("it's", r#""it's""#),
        ("\"\\", r#""\"\\""#),
        ("\r\n\t", r#""\r\n\t""#),
        ("\0\u{1}\u{8}\u{b}\u{c}\u{1b}\u{1f}\u{7f}", r#""\u0000\u0001\u0008\u000b\u000c\u001b\u001f\u007f""#),
        ("</script>", r#""\u003c/script\u003e""#),
        ("<!--", r#""\u003c!--""#),
        ("]]>", r#""]]\u003e""#),
        ("&lt;", r#""\u0026lt;""#),
        ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
        // Neighbours of those two, and other characters of the same first byte, stay.
        ("\u{2027}\u{202a}\u{2000}\u{20ac}\u{e2}", "\"\u{2027}\u{202a}\u{2000}\u{20ac}\u{e2}\""),
        ("\u{2028}a\u{201c}\u{2029}", "\"\\u2028a\u{201c}\\u2029\""),
        ("\u{e9}\u{4e2d}\u{1f600}\u{feff}\u{ffff}", "\"\u{e9}\u{4e2d}\u{1f600}\u{feff}\u{ffff}\""),
    ] {
        assert_eq!(literal(text), expected);
    }
}

/// The other way round, the slow way.
fn unescape(literal: &str) -> String {
    let inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("quotes");
    let mut units: Vec<u16> = Vec::new();
    let mut rest = inside.chars();
    while let Some(character) = rest.next() {
        assert!(!character.is_ascii_control() && !"\"<>&\u{2028}\u{2029}".contains(character), "{literal}");
        if character != '\\' {
            units.extend(character.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        units.push(match rest.next().unwrap() {
            'n' => 10,
            'r' => 13,
            't' => 9,
            quoted @ ('"' | '\\') => quoted as u16,
            'u' => u16::from_str_radix(&rest.by_ref().take(4).collect::<String>(), 16).unwrap(),
            other => panic!("unknown escape {other}"),
        });
    }
    String::from_utf16(&units).unwrap()
}

proptest! {
    #[test]
    fn a_literal_means_its_text(text in any::<String>()) {
        assert_eq!(unescape(&literal(&text)), text);
    }

    #[test]
    fn a_literal_of_awkward_text_means_it(
        text in "([<>&\"'\\\\/!a\\-\u{0}-\u{20}\u{7f}\u{2027}-\u{202a}\u{20ac}\u{1f600}]|</script|<!--){0,40}",
    ) {
        assert_eq!(unescape(&literal(&text)), text);
    }
}

/// Texts for the engine: each character below U+0300, the two line separators' neighbourhood, and what hurts.
fn texts() -> Vec<String> {
    let ranges =
        [0..=0x2ff, 0x2000..=0x2040, 0xd7f0..=0xd7ff, 0xe000..=0xe003, 0xfef0..=0xff01, 0xfff0..=0x10010];
    let characters = ranges.into_iter().flatten().filter_map(char::from_u32);
    let mut texts: Vec<String> = characters.map(|character| format!("a{character}b")).collect();
    for text in [
        "",
        "</script>",
        "</SCRIPT\n>",
        "<!--<script>",
        "-->",
        "]]>",
        "\"});alert(1)//",
        "'});alert(1)//",
        "\\",
        "\\\"",
        "\\u0041",
        "${alert(1)}",
        "`",
        "*/",
        "/**/",
        "//",
        "__proto__",
        "\u{1f600}\u{1f468}\u{200d}\u{1f469}",
        "\r\n\r\n",
        "{\"a\":[1,\"<b>\"]}",
    ] {
        texts.push(text.to_owned());
    }
    // Each of the awkward ones next to each.
    let awkward = texts.split_off(texts.len() - 20);
    let pairs = awkward.iter().flat_map(|one| awkward.iter().map(move |other| format!("{one}{other}")));
    texts.extend(pairs);
    texts.extend(awkward);
    texts
}

#[test]
fn a_javascript_engine_reads_what_was_meant() {
    // Who names an engine wants it to be run; tests/browser/run.sh does.
    let named = std::env::var_os("NODE");
    let node = named.clone().unwrap_or_else(|| "node".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js/escape.mjs");
    let child = Command::new(node).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        assert!(named.is_none(), "no engine: {named:?}");
        eprintln!("skipped: there is no node to run the scripts");
        return;
    };
    let mut cases = String::new();
    let mut count = 0;
    let mut case = |kind: &str, expected: &str, output: &[u8]| {
        cases += &format!("{kind} {} {}\n", hex(expected.as_bytes()), hex(output));
        count += 1;
    };
    let texts = texts();
    for text in &texts {
        case("literal", text, literal(text).as_bytes());
    }
    for group in texts.chunks(100) {
        let now = Duration::ZERO;
        let mut session = CometSession::new(CometOptions::new(), now);
        for text in group {
            session.push(CometMessage::text(text)).unwrap();
        }
        // The expected texts as JSON, escaped by other means than those on trial.
        let expected: Vec<String> = group
            .iter()
            .map(|text| text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>())
            .collect();
        let expected = format!("[\"{}\"]", expected.join("\",\""));

        let _ = session.poll(0, now);
        let mut script = Vec::new();
        jsonp::write(Callback::parse("app.news").unwrap(), &session.next_answer(now).unwrap(), &mut script);
        case("jsonp", &expected, &script);

        let config = StreamOptions::new();
        let callback = Callback::parse("app.news").unwrap();
        for mut stream in [
            StreamWriter::frame(callback, config),
            StreamWriter::frame_to("https://a.example", config).unwrap(),
        ] {
            let _ = session.stream(0, now);
            let mut document = Vec::new();
            stream.open(&mut document);
            assert!(stream.write(&session.next_answer(now).unwrap(), &mut document));
            case("frame", &expected, &document);
        }
    }
    child.stdin.take().unwrap().write_all(cases.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.trim(), format!("{count} passed"));
}
