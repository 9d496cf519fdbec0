//! What the protocol's published test suite checks of a server, and more, over sockets and against the example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "common/raw_http.rs"]
mod raw_http;
#[path = "../examples/sockjs/server.rs"]
mod server;

use pushline::adapter::Options;
use pushline::adapter::blocking::{self, ClientStream, WebSocket};
use pushline::ws::Message;
use pushline::ws::handshake::ClientOptions;
use raw_http::{Http, Reply};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const NOT_CACHED: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                server::serve(listener, None).await;
            });
        });
        told.recv().unwrap()
    })
}

/// The path of a session that nobody else has.
fn session(service: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{service}/000/s{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn ask(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Reply {
    let mut http = Http::connect(address());
    http.send(method, target, fields, body);
    http.reply()
}

fn get(target: &str) -> Reply {
    ask("GET", target, &[], "")
}

fn post(target: &str, body: &str) -> Reply {
    ask("POST", target, &[], body)
}

/// A response that goes on.
fn open(method: &str, target: &str) -> (Http, Reply) {
    let mut http = Http::connect(address());
    http.send(method, target, &[], "");
    let head = http.head();
    assert_eq!(head.status, 200);
    assert_eq!((head.field("transfer-encoding"), head.field("content-length")), (Some("chunked"), None));
    (http, head)
}

fn is_cached(reply: &Reply) {
    assert_eq!(reply.field("cache-control"), Some("public, max-age=31536000"));
    assert!(reply.field("expires").is_some());
    assert_eq!(reply.field("last-modified"), None);
}

fn is_not_cached(reply: &Reply) {
    assert_eq!(reply.field("cache-control"), Some(NOT_CACHED));
    assert_eq!((reply.field("expires"), reply.field("last-modified")), (None, None));
}

fn is_shared(reply: &Reply, origin: Option<&str>) {
    assert_eq!(reply.field("access-control-allow-origin"), Some(origin.unwrap_or("*")));
    assert_eq!(reply.field("access-control-allow-credentials"), origin.map(|_| "true"));
}

fn preflights(path: &str, methods: &str) {
    for origin in ["test", "null"] {
        let fields = [("Origin", origin), ("Access-Control-Request-Method", methods)];
        let reply = ask("OPTIONS", path, &fields, "");
        reply.is(204, "");
        is_cached(&reply);
        assert_eq!(reply.field("access-control-max-age"), Some("31536000"));
        assert_eq!(reply.field("access-control-allow-methods"), Some(methods));
        assert_eq!(reply.field("access-control-allow-headers"), None);
        is_shared(&reply, Some(origin));
    }
}

#[test]
fn greeting() {
    for path in ["/echo", "/echo/"] {
        let reply = get(path);
        reply.is(200, "Welcome to SockJS!\n");
        assert_eq!(reply.field("content-type"), Some("text/plain; charset=UTF-8"));
        assert_eq!(reply.field("set-cookie"), None);
    }
    for rest in ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a/a/xhr/"] {
        assert_eq!(get(&format!("/echo{rest}")).status, 404, "{rest}");
    }
    assert_eq!(get("/echoes").status, 404);
}

#[test]
fn iframe_page() {
    let etag = get("/echo/iframe.html").field("etag").unwrap().to_owned();
    for rest in ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"] {
        for query in ["", "?t=1234", "?t=qweqweq123"] {
            let reply = get(&format!("/echo/iframe{rest}.html{query}"));
            assert_eq!((reply.status, reply.field("etag")), (200, Some(&*etag)));
            assert_eq!(reply.field("content-type"), Some("text/html; charset=UTF-8"));
            is_cached(&reply);
            assert_eq!(reply.field("set-cookie"), None);
            assert!(reply.body.starts_with("<!DOCTYPE html>\n<html>\n<head>\n"));
            assert!(reply.body.contains("\n  <script src=\"https://"));
            assert!(reply.body.contains("    SockJS.bootstrap_iframe();\n"));
        }
    }
    for (known, status) in
        [(&*etag, 304), (&*format!("\"x\", W/{etag}"), 304), ("*", 304), ("\"x\"", 200), (&etag[1..], 200)]
    {
        let reply = ask("GET", "/echo/iframe.html", &[("If-None-Match", known)], "");
        assert_eq!(reply.status, status, "{known}");
        if status == 304 {
            assert_eq!((reply.field("content-type"), &*reply.body), (None, ""));
        }
    }
    for path in
        ["iframe.htm", "iframe", "IFRAME.HTML", "IFRAME", "iframe.HTML", "iframe.xml", "iframe-/.html"]
    {
        assert_eq!(get(&format!("/echo/{path}")).status, 404, "{path}");
    }
}

#[test]
fn info() {
    let reply = ask("GET", "/echo/info", &[("Origin", "test")], "");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.field("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(reply.field("set-cookie"), None);
    is_not_cached(&reply);
    is_shared(&reply, Some("test"));
    let facts = |path: &str| -> serde_json::Value { serde_json::from_str(&get(path).body).unwrap() };
    let (one, two) = (facts("/echo/info"), facts("/echo/info"));
    assert_eq!(one["websocket"], true);
    assert_eq!(one["cookie_needed"], false);
    assert_eq!(one["origins"], serde_json::json!(["*:*"]));
    assert!(one["entropy"].as_u64().unwrap() <= u64::from(u32::MAX));
    assert_ne!(one["entropy"], two["entropy"]);
    assert_eq!(facts("/disabled_websocket_echo/info")["websocket"], false);
    assert_eq!(facts("/cookie_needed_echo/info")["cookie_needed"], true);
    preflights("/echo/info", "OPTIONS, GET");
}

#[test]
fn session_urls() {
    for part in ["/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20"] {
        post(&format!("/echo{part}/xhr"), "").is(200, "o\n");
    }
    for part in ["//", "/a./a", "/a/a.", "/./.", "/", "///"] {
        for method in ["GET", "POST"] {
            assert_eq!(ask(method, &format!("/echo{part}/xhr"), &[], "").status, 404, "{part}");
        }
    }
    post("/echo/000/of_any_server/xhr", "").is(200, "o\n");
    post("/echo/001/of_any_server/xhr_send", "[\"a\"]").is(204, "");
    post("/echo/999/of_any_server/xhr", "").is(200, "a[\"a\"]\n");
}

#[test]
fn simple_session() {
    let url = session("/echo");
    post(&format!("{url}/xhr"), "").is(200, "o\n");
    post(&format!("{url}/xhr_send"), "[\"a\"]").is(204, "");
    post(&format!("{url}/xhr"), "").is(200, "a[\"a\"]\n");
    assert_eq!(post("/echo/000/bad_session/xhr_send", "[\"a\"]").status, 404);
    let mut waiting = Http::connect(address());
    waiting.send("POST", &format!("{url}/xhr"), &[], "");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let second = post(&format!("{url}/xhr"), "");
    second.is(200, "c[2010,\"Another connection still open\"]\n");
    // It still waits, and is answered.
    post(&format!("{url}/xhr_send"), "[\"b\"]").is(204, "");
    waiting.reply().is(200, "a[\"b\"]\n");
}

#[test]
fn closed_session() {
    let url = session("/close") + "/xhr";
    post(&url, "").is(200, "o\n");
    for _ in 0..2 {
        post(&url, "").is(200, "c[3000,\"Go away!\"]\n");
    }
    let url = session("/close") + "/jsonp?c=x";
    get(&url).is(200, "/**/x(\"o\");\r\n");
    for _ in 0..2 {
        get(&url).is(200, "/**/x(\"c[3000,\\\"Go away!\\\"]\");\r\n");
    }
}

#[test]
fn xhr_polling() {
    let url = session("/echo");
    for path in ["/xhr", "/xhr_send", "/xhr_streaming"] {
        preflights(&format!("/echo/abc/abc{path}"), "OPTIONS, POST");
    }
    let origin = [("Origin", "test")];
    let reply = ask("POST", &format!("{url}/xhr"), &origin, "");
    reply.is(200, "o\n");
    assert_eq!(reply.field("content-type"), Some("application/javascript; charset=UTF-8"));
    is_shared(&reply, Some("test"));
    is_not_cached(&reply);
    let reply = ask("POST", &format!("{url}/xhr_send"), &origin, "[\"x\"]");
    reply.is(204, "");
    assert_eq!(reply.field("content-type"), Some("text/plain; charset=UTF-8"));
    is_shared(&reply, Some("test"));
    is_not_cached(&reply);
    post(&format!("{url}/xhr"), "").is(200, "a[\"x\"]\n");
    // What is broken, empty, or has no messages in it.
    for (body, status, text) in [
        ("[\"x", 500, "Broken JSON encoding."),
        ("[1]", 500, "Broken JSON encoding."),
        ("{}", 500, "Broken JSON encoding."),
        ("", 500, "Payload expected."),
        ("[]", 204, ""),
        ("[\"a\"]", 204, ""),
    ] {
        post(&format!("{url}/xhr_send"), body).is(status, text);
    }
    let types = [
        "text/plain",
        "T",
        "application/json",
        "application/xml",
        "",
        "application/json; charset=utf-8",
        "text/xml",
    ];
    for media_type in types {
        ask("POST", &format!("{url}/xhr_send"), &[("Content-Type", media_type)], "[\"b\"]").is(204, "");
    }
    post(&format!("{url}/xhr"), "").is(200, &format!("a[\"a\"{}]\n", ",\"b\"".repeat(types.len())));
    assert_eq!(get(&format!("{url}/xhr")).field("allow"), Some("OPTIONS, POST"));
}

#[test]
fn headers_that_a_page_asks_for() {
    let url = session("/echo") + "/xhr";
    for (asked, allowed) in [(Some("a, b, c"), Some("a, b, c")), (Some(""), None), (None, None)] {
        let mut fields = vec![("Origin", "test"), ("Access-Control-Request-Method", "POST")];
        fields.extend(asked.map(|asked| ("Access-Control-Request-Headers", asked)));
        let reply = ask("OPTIONS", &url, &fields, "");
        reply.is(204, "");
        is_shared(&reply, Some("test"));
        assert_eq!(reply.field("access-control-allow-headers"), allowed);
    }
}

#[test]
fn xhr_streaming() {
    let url = session("/echo");
    let (mut stream, head) = open("POST", &format!("{url}/xhr_streaming"));
    assert_eq!(head.field("content-type"), Some("application/javascript; charset=UTF-8"));
    is_not_cached(&head);
    assert_eq!(stream.chunk(), Some("h".repeat(2048) + "\n"));
    assert_eq!(stream.chunk().as_deref(), Some("o\n"));
    // The limit of 4096 bytes: frames count, the prelude does not.
    let message = format!("[\"{}\"]", "x".repeat(128));
    for _ in 0..31 {
        post(&format!("{url}/xhr_send"), &message).is(204, "");
        assert_eq!(stream.chunk(), Some(format!("a{message}\n")));
    }
    assert_eq!(stream.chunk(), None);
    // The session goes on in the next.
    let (mut stream, _) = open("POST", &format!("{url}/xhr_streaming"));
    assert_eq!(stream.chunk().map(|prelude| prelude.len()), Some(2049));
    post(&format!("{url}/xhr_send"), "[\"on\"]").is(204, "");
    assert_eq!(stream.chunk().as_deref(), Some("a[\"on\"]\n"));
}

#[test]
fn event_source() {
    let url = session("/echo");
    let (mut stream, head) = open("GET", &format!("{url}/eventsource"));
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    is_not_cached(&head);
    assert_eq!(stream.chunk().as_deref(), Some("\r\n"));
    assert_eq!(stream.chunk().as_deref(), Some("data: o\r\n\r\n"));
    post(&format!("{url}/xhr_send"), r#"["  \u0000\n\r "]"#).is(204, "");
    assert_eq!(stream.chunk().as_deref(), Some("data: a[\"  \\u0000\\n\\r \"]\r\n\r\n"));
    let message = format!("[\"{}\"]", "x".repeat(4096));
    post(&format!("{url}/xhr_send"), &message).is(204, "");
    assert_eq!(stream.chunk(), Some(format!("data: a{message}\r\n\r\n")));
    assert_eq!(stream.chunk(), None);
}

#[test]
fn html_file() {
    let url = session("/echo");
    let (mut stream, head) = open("GET", &format!("{url}/htmlfile?c=%63allback"));
    assert_eq!(head.field("content-type"), Some("text/html; charset=UTF-8"));
    is_not_cached(&head);
    let page = stream.chunk().unwrap();
    assert!(page.len() > 1024);
    assert!(page.starts_with("<!doctype html>\n<html><head>\n"));
    assert!(page.contains("    var c = parent.callback;\n"));
    assert!(page.trim_end().ends_with("  </script>"));
    assert_eq!(stream.chunk().as_deref(), Some("<script>\np(\"o\");\n</script>\r\n"));
    post(&format!("{url}/xhr_send"), "[\"x\"]").is(204, "");
    assert_eq!(stream.chunk().as_deref(), Some("<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n"));
    // What would end the script, and more than the limit.
    let long = "x".repeat(4096);
    post(&format!("{url}/xhr_send"), &format!("[\"</script>{long}\"]")).is(204, "");
    let expected = format!("<script>\np(\"a[\\\"\\u003c/script\\u003e{long}\\\"]\");\n</script>\r\n");
    assert_eq!(stream.chunk(), Some(expected));
    assert_eq!(stream.chunk(), None);
}

#[test]
fn callbacks() {
    for path in ["htmlfile", "jsonp"] {
        for query in ["", "?c=", "?d=x"] {
            get(&format!("/echo/a/a/{path}{query}")).is(500, "\"callback\" parameter required");
        }
        for name in ["%20", "*", "abc(", "abc%28", "a;b", "%0aalert", "import", &"x".repeat(65)] {
            get(&format!("/echo/a/a/{path}?c={name}")).is(500, "invalid \"callback\" parameter");
        }
    }
}

#[test]
fn jsonp_polling() {
    let url = session("/echo");
    let reply = get(&format!("{url}/jsonp?c=%63allback"));
    reply.is(200, "/**/callback(\"o\");\r\n");
    assert_eq!(reply.field("content-type"), Some("application/javascript; charset=UTF-8"));
    is_not_cached(&reply);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let send = |body: &str| ask("POST", &format!("{url}/jsonp_send"), &form, body);
    let reply = send("d=%5B%22x%22%5D");
    reply.is(200, "ok");
    assert_eq!(reply.field("content-type"), Some("text/plain; charset=UTF-8"));
    is_not_cached(&reply);
    for (body, status, text) in [
        ("d=%5B%22x", 500, "Broken JSON encoding."),
        ("", 500, "Payload expected."),
        ("d=", 500, "Payload expected."),
        ("p=p", 500, "Payload expected."),
        ("d=%5B%5D", 200, "ok"),
        ("d=%5B%22abc%22%5D", 200, "ok"),
    ] {
        send(body).is(status, text);
    }
    let plain = [("Content-Type", "text/plain")];
    ask("POST", &format!("{url}/jsonp_send"), &plain, "[\"%61bc\"]").is(200, "ok");
    get(&format!("{url}/jsonp?c=x")).is(200, "/**/x(\"a[\\\"x\\\",\\\"abc\\\",\\\"%61bc\\\"]\");\r\n");
}

#[test]
fn cookies() {
    let set = |reply: &Reply| reply.field("set-cookie").map(str::to_owned);
    let dummy = Some("JSESSIONID=dummy; path=/".to_owned());
    assert_eq!(set(&get("/cookie_needed_echo/info")), None);
    let url = session("/cookie_needed_echo");
    assert_eq!(set(&post(&format!("{url}/xhr"), "")), dummy);
    for (sent, got) in [
        ("JSESSIONID=abcdef", "abcdef"),
        ("a=b; JSESSIONID=x y; c=d", "x y"),
        ("XJSESSIONID=a", "dummy"),
        (&*format!("JSESSIONID={}", "x".repeat(129)), "dummy"),
    ] {
        let reply = ask("POST", &(session("/cookie_needed_echo") + "/xhr"), &[("Cookie", sent)], "");
        assert_eq!(set(&reply), Some(format!("JSESSIONID={got}; path=/")), "{sent}");
    }
    for (method, path) in
        [("POST", "xhr_streaming"), ("GET", "eventsource"), ("GET", "htmlfile?c=%63allback")]
    {
        let (_stream, head) = open(method, &format!("{}/{path}", session("/cookie_needed_echo")));
        assert_eq!(set(&head), dummy, "{path}");
    }
    let url = session("/cookie_needed_echo");
    assert_eq!(set(&get(&format!("{url}/jsonp?c=x"))), dummy);
    let reply = post(&format!("{url}/jsonp_send"), "[\"x\"]");
    assert_eq!((set(&reply), reply.status), (dummy, 200));
}

#[test]
fn escapes() {
    let characters = |ranges: &[std::ops::RangeInclusive<u32>]| -> String {
        ranges.iter().cloned().flatten().filter_map(char::from_u32).collect()
    };
    // All that a server must escape, unescaped to it.
    let text = characters(&[0x200c..=0x200f, 0x2028..=0x202f, 0x2060..=0x206f, 0xfff0..=0xffff]);
    let escaped: String = text.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect();
    let url = session("/echo");
    post(&format!("{url}/xhr"), "").is(200, "o\n");
    post(&format!("{url}/xhr_send"), &format!("[\"{text}\"]")).is(204, "");
    post(&format!("{url}/xhr"), "").is(200, &format!("a[\"{escaped}\"]\n"));
    // All that there is, escaped to it.
    let all = characters(&[0..=0xffff]);
    let escaped: String = all.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect();
    post(&format!("{url}/xhr_send"), &format!("[\"{}\"]", &escaped[..240_000])).is(204, "");
    let reply = post(&format!("{url}/xhr"), "");
    let messages: Vec<String> = serde_json::from_str(&reply.body[1..]).unwrap();
    assert_eq!(messages[0], all.chars().take(40_000).collect::<String>());
}

#[test]
fn a_response_ends_after_its_close_frame() {
    let url = session("/close") + "/xhr_streaming";
    let (mut one, _) = open("POST", &url);
    one.chunk().unwrap();
    assert_eq!(one.chunk().as_deref(), Some("o\n"));
    assert_eq!(one.chunk().as_deref(), Some("c[3000,\"Go away!\"]\n"));
    assert_eq!(one.chunk(), None);
    let (mut two, _) = open("POST", &url);
    two.chunk().unwrap();
    assert_eq!(two.chunk().as_deref(), Some("c[3000,\"Go away!\"]\n"));
    assert_eq!(two.chunk(), None);
}

#[test]
fn a_cut_response_closes_the_session() {
    for path in ["/xhr_streaming", "/xhr"] {
        let url = session("/echo") + path;
        let first = if path == "/xhr" {
            post(&url, "").is(200, "o\n");
            let mut http = Http::connect(address());
            http.send("POST", &url, &[], "");
            std::thread::sleep(std::time::Duration::from_millis(50));
            http
        } else {
            let (mut http, _) = open("POST", &url);
            http.chunk().unwrap();
            assert_eq!(http.chunk().as_deref(), Some("o\n"));
            http
        };
        let again = || {
            let mut http = Http::connect(address());
            http.send("POST", &url, &[], "");
            let body = http.reply().body;
            body.trim_start_matches('h').trim_start_matches('\n').to_owned()
        };
        let open_still = "c[2010,\"Another connection still open\"]\n";
        assert_eq!(again(), open_still);
        drop(first);
        // The server sees that in its time.
        let frame = (0..500).map(|_| again()).find(|frame| frame != open_still);
        assert_eq!(frame.as_deref(), Some("c[1002,\"Connection interrupted\"]\n"));
        assert_eq!(again(), "c[1002,\"Connection interrupted\"]\n");
    }
}

#[test]
fn http_10_and_11() {
    let keep = [("Connection", "Keep-Alive")];
    for version in ["1.0", "1.1"] {
        let mut http = Http::connect(address());
        for _ in 0..2 {
            http.send_version(version, "GET", "/echo", &keep, "");
            let reply = http.reply();
            reply.is(200, "Welcome to SockJS!\n");
            assert_eq!((reply.field("content-length"), reply.field("transfer-encoding")), (Some("19"), None));
            let connection = reply.field("connection").unwrap_or_default().to_lowercase();
            assert!(connection == "keep-alive" || connection.is_empty() && version == "1.1");
        }
    }
    let mut http = Http::connect(address());
    http.send_version("1.0", "POST", &(session("/close") + "/xhr_streaming"), &keep, "");
    let head = http.head();
    assert_eq!(head.status, 200);
    assert_eq!((head.field("content-length"), head.field("transfer-encoding")), (None, None));
    assert_eq!(http.exactly(2049), "h".repeat(2048) + "\n");
    assert_eq!(http.exactly(2), "o\n");
    assert_eq!(http.exactly(19), "c[3000,\"Go away!\"]\n");
    assert!(http.is_closed());
}

fn websocket(path: &str) -> WebSocket<ClientStream> {
    blocking::connect(&format!("ws://{}{path}", address()), ClientOptions::new(), &Options::new()).unwrap()
}

fn next(socket: &mut WebSocket<ClientStream>) -> Option<String> {
    match socket.next().unwrap()? {
        Message::Text(text) => Some(text.into()),
        Message::Close(close) => Some(format!("{close:?}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn websocket_frames() {
    let url = session("/echo") + "/websocket";
    let (mut one, mut two) = (websocket(&url), websocket(&url));
    for socket in [&mut one, &mut two] {
        assert_eq!(next(socket).as_deref(), Some("o"));
    }
    for text in ["", "[]", "[\"a\"]", "\"b\""] {
        one.send(text).unwrap();
    }
    two.send("[\"c\"]").unwrap();
    assert_eq!(next(&mut two).as_deref(), Some("a[\"c\"]"));
    let mut got = next(&mut one).unwrap();
    if got == "a[\"a\"]" {
        got = next(&mut one).unwrap();
        assert_eq!(got, "a[\"b\"]");
    } else {
        assert_eq!(got, "a[\"a\",\"b\"]");
    }
    // Broken frames end the connection without a word.
    one.send("[\"a").unwrap();
    assert!(one.next().is_err());
    two.close(1000, "").unwrap();
}

#[test]
fn websocket_close() {
    let mut socket = websocket(&(session("/close") + "/websocket"));
    assert_eq!(next(&mut socket).as_deref(), Some("o"));
    assert_eq!(next(&mut socket).as_deref(), Some("c[3000,\"Go away!\"]"));
    assert!(next(&mut socket).unwrap().contains("1000"));
    let mut socket = websocket("/close/websocket");
    let close = next(&mut socket).unwrap();
    assert!(close.contains("3000") && close.contains("Go away!"), "{close}");
}

#[test]
fn raw_websocket() {
    let mut socket = websocket("/echo/websocket");
    for text in ["Hello world!\u{ffff}", "", "[\"a", "\0"] {
        socket.send(text).unwrap();
        assert_eq!(next(&mut socket).as_deref(), Some(text));
    }
    socket.close(1000, "").unwrap();
}

#[test]
fn websocket_refusals() {
    for path in ["/echo/0/0/websocket", "/echo/websocket"] {
        get(path).is(400, "Can \"Upgrade\" only to \"WebSocket\".");
        let fields = [("Upgrade", "WebSocket"), ("Connection", "close")];
        ask("GET", path, &fields, "").is(400, "\"Connection\" must be \"Upgrade\".");
        for fields in [&[("Upgrade", "WebSocket"), ("Connection", "Upgrade")][..], &[]] {
            let reply = ask("POST", path, fields, "");
            reply.is(405, "");
            assert_eq!((reply.field("content-type"), reply.field("allow")), (None, Some("GET")));
        }
    }
    assert_eq!(get("/disabled_websocket_echo/0/0/websocket").status, 404);
    let mut http = Http::connect(address());
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Origin", "http://asd"),
        ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ];
    http.send("GET", &(session("/echo") + "/websocket"), &fields, "");
    let head = http.head();
    assert_eq!(head.status, 101);
    assert_eq!(head.field("sec-websocket-accept"), Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
    assert_eq!(head.field("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(head.field("content-length"), None);
}

#[test]
fn too_much() {
    let url = session("/echo");
    post(&format!("{url}/xhr"), "").is(200, "o\n");
    let body = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
    for (length, status) in [((256 << 10) - 1, 204), (256 << 10, 204), ((256 << 10) + 1, 413)] {
        assert_eq!(post(&format!("{url}/xhr_send"), &body(length)).status, status, "{length}");
    }
}
