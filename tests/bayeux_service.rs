//! Bayeux behind hyper, without a socket: what requests of HTTP get. The clients themselves are in tests/frameworks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use http::{Request, Response};
use pushline::adapter::bayeux::{BayeuxOptions, BayeuxService, Everyone, client_id};
use pushline::comet::bayeux::{BrokerOptions, Channel, ClientId, Host};
use pushline::comet::cors::CorsPolicy;
use pushline::json;
use std::time::Duration;

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

fn options() -> BayeuxOptions {
    let cors = CorsPolicy::new().allow_origin("https://app.example").unwrap();
    BayeuxOptions::new().cors(cors.credentials(true).unwrap().headers(&["content-type"]).unwrap())
}

fn post(fields: &[(&str, &str)], body: impl Into<String>) -> Request<String> {
    let mut request = Request::post("/cometd").header("host", "chat.example");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

fn get(target: &str) -> Request<String> {
    Request::get(target).header("host", "chat.example").body(String::new()).unwrap()
}

fn id_in(response: &Response<String>) -> String {
    let body = response.body().replace("\\\"", "\"");
    let start = body.find("\"clientId\":\"").unwrap() + 12;
    body[start..start + 32].to_string()
}

#[tokio::test]
async fn a_message_from_the_program_answers_the_connect_that_is_held() {
    let service = BayeuxService::new(options(), Everyone);
    let id = id_in(&service.serve(post(&[], HANDSHAKE)).await);
    let ask = |channel: &str, rest: &str| {
        post(&[], format!(r#"{{"channel":"/meta/{channel}","clientId":"{id}"{rest}}}"#))
    };
    let response = service.serve(ask("subscribe", r#","subscription":"/news""#)).await;
    assert!(response.body().contains("\"successful\":true"));
    let (held, connect) = (service.clone(), ask("connect", ""));
    let held = tokio::spawn(async move { held.serve(connect).await });
    while service.with(|broker| broker.links()) == 0 {
        tokio::task::yield_now().await;
    }
    service.publish(Channel::parse("/news").unwrap(), json::check("\"now\"").unwrap());
    let response = held.await.unwrap();
    assert!(response.body().starts_with(r#"[{"channel":"/news","data":"now"}"#), "{}", response.body());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test(start_paused = true)]
async fn times_are_kept_without_requests() {
    let config = BrokerOptions::new().timeout(Duration::from_secs(3)).max_interval(Duration::from_secs(5));
    let service = BayeuxService::new(options().broker(config), Everyone);
    let id = id_in(&service.serve(post(&[], HANDSHAKE)).await);
    let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{id}"}}"#);
    let began = tokio::time::Instant::now();
    let response = service.serve(post(&[], &*connect)).await;
    assert!(response.body().contains("\"successful\":true"));
    assert!((3000..3100).contains(&began.elapsed().as_millis()));
    tokio::time::sleep(Duration::from_millis(4900)).await;
    assert_eq!(service.with(|broker| broker.sessions()), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(service.with(|broker| broker.sessions()), 0);
    // A client that leaves while its connect is held.
    let id = id_in(&service.serve(post(&[], HANDSHAKE)).await);
    let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{id}"}}"#);
    let left = tokio::time::timeout(Duration::from_secs(1), service.serve(post(&[], connect))).await;
    assert!(left.is_err());
    assert_eq!(service.with(|broker| (broker.links(), broker.sessions())), (0, 1));
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert_eq!(service.with(|broker| broker.sessions()), 0);
}

#[tokio::test]
async fn scripts() {
    let message = HANDSHAKE.replace('"', "%22").replace('[', "%5B").replace(']', "%5D");
    let target = format!("/cometd?jsonp=_cometd_jsonp_0&message={message}");
    let service = BayeuxService::new(options(), Everyone);
    assert_eq!(service.serve(get(&target)).await.status(), 400, "off unless asked for");
    let service = BayeuxService::new(options().callback_polling(true), Everyone);
    let response = service.serve(get(&target)).await;
    assert!(response.body().starts_with("/**/_cometd_jsonp_0(JSON.parse(\"[{"), "{}", response.body());
    assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    for callback in ["alert(1)//", "a%3Bb", "", "%3C/script%3E"] {
        let response = service.serve(get(&format!("/cometd?jsonp={callback}&message={message}"))).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["content-type"].as_bytes()),
            (400, &b"text/plain; charset=utf-8"[..])
        );
    }
    assert_eq!(service.with(|broker| broker.sessions()), 1);
}

/// As Faye's cross-origin transport sends it.
#[tokio::test]
async fn forms() {
    let service = BayeuxService::new(options(), Everyone);
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let body = format!("message={}", HANDSHAKE.replace('"', "%22"));
    let response = service.serve(post(&form, body)).await;
    assert!(response.body().contains("\"successful\":true"));
    let response = service.serve(post(&form, "message=%7B%7D&other=1&message=%5B%7B%7D%5D")).await;
    assert_eq!(response.body().matches("400::channel_missing").count(), 2);
    assert_eq!(service.serve(post(&form, "x=1")).await.status(), 400);
}

#[tokio::test]
async fn origins() {
    let service = BayeuxService::new(options(), Everyone);
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://chat.example", true),
        ("https://chat.example", true),
        ("https://app.example.evil.net", false),
        ("null", false),
    ] {
        let response = service.serve(post(&[("origin", origin)], HANDSHAKE)).await;
        assert_eq!(response.status() == 200, allowed, "{origin}");
        let named = response.headers().get("access-control-allow-origin");
        assert_eq!(named.is_some(), origin == "https://app.example");
        let upgrade = [
            ("origin", origin),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut request = post(&upgrade, "");
        *request.method_mut() = http::Method::GET;
        assert_eq!(service.serve(request).await.status(), if allowed { 101 } else { 403 }, "{origin}");
    }
    let preflight = |origin: &str| {
        let mut request = post(
            &[
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type"),
            ],
            "",
        );
        *request.method_mut() = http::Method::OPTIONS;
        request
    };
    let response = service.serve(preflight("https://app.example")).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-credentials"], "true");
    assert_eq!(service.serve(preflight("https://evil.example")).await.status(), 403);
}

#[tokio::test]
async fn sizes_and_methods() {
    let service = BayeuxService::new(options().broker(BrokerOptions::new().max_request(100)), Everyone);
    for (length, status) in [(99, 200), (100, 200), (101, 413)] {
        let body = format!(r#"{{"x":"{}"}}"#, "a".repeat(length - 8));
        assert_eq!(service.serve(post(&[], &*body)).await.status(), status);
    }
    // A form may be three times as long, escaped byte by byte; what is in it may not.
    let form = |length: usize| {
        let body = format!(r#"{{"x":"{}"}}"#, "a".repeat(length - 8));
        post(&[("content-type", "application/x-www-form-urlencoded")], format!("message={body}"))
    };
    for (length, status) in [(99, 200), (100, 200), (101, 413), (293, 413)] {
        assert_eq!(service.serve(form(length)).await.status(), status);
    }
    for method in [http::Method::PUT, http::Method::DELETE, http::Method::OPTIONS] {
        let mut request = post(&[], HANDSHAKE);
        *request.method_mut() = method;
        let response = service.serve(request).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].as_bytes()),
            (405, &b"GET, POST, OPTIONS"[..])
        );
    }
    assert_eq!(service.serve(get("/cometd")).await.status(), 400);
}

#[tokio::test]
async fn browsers_are_counted_by_a_cookie() {
    let service = BayeuxService::new(options(), Everyone);
    let response = service.serve(post(&[], HANDSHAKE)).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("BAYEUX_BROWSER=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    let cookie = &format!("a=b; {}", cookie.split(';').next().unwrap());
    let again = service.serve(post(&[("cookie", cookie)], HANDSHAKE)).await;
    assert!(!again.headers().contains_key("set-cookie"));
    let connect = |id: String| {
        post(&[("cookie", cookie)], format!(r#"{{"channel":"/meta/connect","clientId":"{id}"}}"#))
    };
    let (held, first) = (service.clone(), connect(id_in(&response)));
    let held = tokio::spawn(async move { held.serve(first).await });
    while service.with(|broker| broker.links()) == 0 {
        tokio::task::yield_now().await;
    }
    let response = service.serve(connect(id_in(&again))).await;
    assert!(response.body().contains(r#""interval":2000"#));
    assert!(response.body().contains(r#""multiple-clients":true"#));
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come() {
    let service = BayeuxService::new(options().body_timeout(Duration::from_secs(4)), Everyone);
    let pending = futures_util::stream::pending::<Result<hyper::body::Frame<bytes::Bytes>, std::io::Error>>();
    let request = post(&[], "").map(|_| http_body_util::StreamBody::new(pending));
    let began = tokio::time::Instant::now();
    assert_eq!(service.serve(request).await.status(), 408);
    assert!((4000..4100).contains(&began.elapsed().as_millis()));
}

/// Its clients' sessions end, and the first one's end is a fault.
struct Faulty(bool);

impl Host for Faulty {
    fn client_id(&mut self) -> Option<ClientId> {
        client_id()
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }

    fn closed(&mut self, _: ClientId) {
        assert!(core::mem::replace(&mut self.0, true), "the application's fault");
    }
}

#[tokio::test(start_paused = true)]
async fn times_are_kept_behind_a_host_that_panics() {
    let config = BrokerOptions::new().max_interval(Duration::from_secs(5));
    let service = BayeuxService::new(options().broker(config), Faulty(false));
    for _ in 0..2 {
        service.serve(post(&[], HANDSHAKE)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(service.with(|broker| broker.sessions()), 0);
}
