//! JSONP: no callback but a function's name, and no message that is anything but data.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::comet::jsonp::{self, Callback, InvalidCallback, MAX_CALLBACK};
use pushline::comet::{CometMessage, CometOptions, CometSession};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

#[test]
fn names_of_functions() {
    for name in [
        "f",
        "_",
        "$",
        "$$",
        "f1",
        "app.news",
        "a.b.c.d",
        "jQuery321_7",
        "angular.callbacks._0",
        "Infinity1",
        // Words that are reserved may be names of properties.
        "app.import",
        "app.default",
        "$.new",
    ] {
        assert_eq!(Callback::parse(name).map(Callback::as_str), Ok(name));
    }
}

#[test]
fn callback_injection() {
    for name in [
        "",
        " ",
        ".",
        "f.",
        ".f",
        "a..b",
        "1",
        "1f",
        "a.1",
        "f()",
        "alert(1)",
        "alert(1)//",
        "f;alert(1)",
        "f\n",
        "f\r\n",
        "f\r\nX-Injected: 1",
        "f/**/",
        "f g",
        "f\0",
        "f`x`",
        "f'",
        "f\"",
        "<script>",
        "f</script>",
        "f[0]",
        "f['x']",
        "a-b",
        "a+b",
        "a=b",
        "a,b",
        "a%28",
        "\u{feff}f",
        "f\u{2028}",
        "\u{e9}t\u{e9}",
        "\\u0066",
        "f#",
        "f?",
        "f&g",
        "import",
        "new",
        "delete",
        "return",
        "throw",
        "typeof",
        "void",
        "yield",
        "await",
        "function",
        "this",
        "null",
        "import.meta",
        "new.target",
        "super.f",
        "eval",
        // Chains of plain names that lead to other windows and to elements.
        "opener.document.activeElement.click",
        "window.opener.f",
        "parent.f",
        "top.f",
        "frames.a.f",
        "a.contentWindow.f",
        "document.forms.pay.submit",
        "location.reload",
        "history.back",
        "f.constructor",
        "a.__proto__.f",
    ] {
        assert_eq!(Callback::parse(name), Err(InvalidCallback), "{name:?}");
    }
}

#[test]
fn the_longest_name() {
    for (length, accepted) in [(MAX_CALLBACK - 1, true), (MAX_CALLBACK, true), (MAX_CALLBACK + 1, false)] {
        assert_eq!(Callback::parse(&"f".repeat(length)).is_ok(), accepted);
    }
}

fn body(session: &mut CometSession<Duration>, since: u64, callback: &str) -> String {
    let _ = session.poll(since, NOW);
    let answer = session.next_answer(NOW).unwrap();
    let mut body = Vec::new();
    jsonp::write(Callback::parse(callback).unwrap(), &answer, &mut body);
    String::from_utf8(body).unwrap()
}

#[test]
fn every_answer_is_a_call_with_one_object() {
    let mut session = CometSession::new(CometOptions::new().hold(NOW).max_messages(1), NOW);
    assert_eq!(body(&mut session, 0, "f"), r#"/**/f({"cursor":0,"messages":[]});"#);
    session.push(CometMessage::text("alert(1)")).unwrap();
    assert_eq!(
        body(&mut session, 0, "app.news"),
        r#"/**/app.news({"cursor":1,"messages":[{"id":1,"data":"alert(1)"}]});"#
    );
    session.push(CometMessage::text("two")).unwrap();
    assert_eq!(body(&mut session, 0, "f"), r#"/**/f({"cursor":1,"gone":true,"messages":[]});"#);
}

#[test]
fn script_end_injection() {
    let mut session = CometSession::new(CometOptions::new().hold(NOW), NOW);
    for text in
        ["</script><script>alert(1)</script>", "<!--", "-->", "]]>", "\u{2028}\u{2029}", "\"});alert(1)//"]
    {
        session.push(CometMessage::text(text)).unwrap();
    }
    let body = body(&mut session, 0, "f");
    assert!(!body.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\n']), "{body}");
    assert!(body.contains(r#""data":"\"});alert(1)//"}"#), "{body}");
}

#[test]
fn fields() {
    let fields: Vec<_> = jsonp::FIELDS.into();
    assert!(fields.contains(&("Content-Type", "text/javascript; charset=utf-8")));
    assert!(fields.contains(&("X-Content-Type-Options", "nosniff")));
    assert!(fields.contains(&("Cache-Control", "no-store")));
}
