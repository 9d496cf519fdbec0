//! Bayeux: the server behind hyper.

use crate::allocations::memory;
use crate::cost::{KIB, linear_bytes, scale};
use crate::exchange::{foreign, get, post, read, request, runtime, stalled};
use pushline::adapter::bayeux::{BayeuxOptions, BayeuxService, Everyone};
use pushline::comet::bayeux::{BayeuxMessage, BrokerOptions, Channel, Pattern};
use std::time::Duration;

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

fn service(config: BrokerOptions) -> BayeuxService<Everyone> {
    BayeuxService::new(BayeuxOptions::new().broker(config).callback_polling(true), Everyone)
}

async fn ask(service: &BayeuxService<Everyone>, body: impl Into<bytes::Bytes>) -> (u16, String) {
    read(service.serve(post("/cometd", body)).await).await
}

async fn join(service: &BayeuxService<Everyone>) -> String {
    let (_, body) = ask(service, HANDSHAKE).await;
    let start = body.find("\"clientId\":\"").unwrap() + 12;
    body[start..start + 32].to_owned()
}

#[test]
fn a_flood_of_sessions() {
    const MOST: usize = 500;
    let runtime = runtime();
    let service = runtime.block_on(async { service(BrokerOptions::new().max_sessions(MOST)) });
    let (held, _) = memory(|| {
        runtime.block_on(async {
            for number in 0..4 * MOST * scale() {
                let (status, body) = ask(&service, HANDSHAKE).await;
                assert_eq!(
                    (status, body.contains("\"successful\":true")),
                    (200, number < MOST),
                    "{number} {} {body}",
                    service.with(|broker| broker.sessions())
                );
                assert_eq!(body.contains("403:"), number >= MOST, "{body}");
            }
        });
    });
    assert!(held <= (MOST * 2 * KIB) as isize, "{} bytes a session", held / MOST as isize);
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(service.with(|broker| broker.sessions()), 0);
    });
}

#[test]
fn envelopes_that_are_none() {
    let runtime = runtime();
    runtime.block_on(async {
        let service = service(BrokerOptions::new());
        for body in ["", "1", "\"a\"", "null", "[1]", "[[]]", "[{}", "[{\"channel\":\"a\"},]", "\u{feff}[]"] {
            let (status, _) = ask(&service, body).await;
            assert_eq!(status, 400, "{body}");
        }
        for bomb in ["[".repeat(200_000), "{\"a\":".repeat(40_000), format!("[{}]", "[],".repeat(60_000))] {
            assert_eq!(ask(&service, bomb).await.0, 400);
        }
        assert_eq!(ask(&service, "[".repeat(257 * KIB)).await.0, 413);
        let batch = |count: usize| format!("[{}]", vec![r#"{"channel":"/meta/handshake"}"#; count].join(","));
        for (count, status) in [(255, 200), (256, 200), (257, 413)] {
            assert_eq!(ask(&service, batch(count)).await.0, status, "{count}");
        }
        let form = request(
            "POST",
            "/cometd",
            &[("content-type", "application/x-www-form-urlencoded")],
            "message=%5B1%5D&message=2",
        );
        assert_eq!(read(service.serve(form).await).await.0, 400);
        let begun = tokio::time::Instant::now();
        let (status, _) = read(service.serve(stalled(post("/cometd", "[{"))).await).await;
        assert_eq!(status, 408);
        assert!(begun.elapsed() <= Duration::from_secs(30));
    });
}

/// Others' ids, ids that are none, channels that are none, and more subscriptions than a client may have.
#[test]
fn clients_and_channels() {
    let runtime = runtime();
    runtime.block_on(async {
        let service = service(BrokerOptions::new());
        for id in ["", "0", &"0".repeat(32), &"g".repeat(32), &"f".repeat(33)] {
            for channel in ["/meta/connect", "/meta/subscribe", "/meta/disconnect", "/chat"] {
                let text =
                    format!(r#"{{"channel":"{channel}","clientId":"{id}","subscription":"/a","data":1}}"#);
                let (status, body) = ask(&service, text).await;
                assert_eq!((status, body.contains("402")), (200, true), "{body}");
            }
        }
        let id = join(&service).await;
        let subscribe = |names: String| {
            format!(r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":{names}}}"#)
        };
        for broken in
            ["", "a", "/", "//", "/a//b", "/a/", "/**/a", "/a*", "/a b", "/\u{e9}", &"/a".repeat(129)]
        {
            let (_, body) = ask(&service, subscribe(format!("\"{broken}\""))).await;
            assert!(body.contains("\"successful\":false"), "{broken}: {body}");
        }
        let mut taken = 0;
        for number in 0..1000 {
            let (_, body) = ask(&service, subscribe(format!("\"/a{number}\""))).await;
            taken += usize::from(body.contains("\"successful\":true"));
        }
        assert_eq!(taken, 128);
        let many: Vec<_> = (0..1000).map(|number| format!("\"/b{number}\"")).collect();
        let (_, body) = ask(&service, subscribe(format!("[{}]", many.join(",")))).await;
        assert!(body.contains("\"successful\":false"), "{body}");
    });
}

#[test]
fn forged_origins_and_callbacks() {
    let runtime = runtime();
    runtime.block_on(async {
        let service = service(BrokerOptions::new());
        assert_eq!(read(service.serve(foreign(post("/cometd", HANDSHAKE))).await).await.0, 403);
        for name in ["alert(1)", "a;b", "opener.document.activeElement.click", "top.f", "a.constructor", ""] {
            let target =
                format!("/cometd?jsonp={name}&message=%5B%7B%22channel%22%3A%22%2Fmeta%2Fhandshake%22%7D%5D");
            assert_eq!(read(service.serve(get(&target)).await).await.0, 400, "{name}");
        }
        assert_eq!(service.with(|broker| broker.sessions()), 0);
    });
}

#[test]
fn parsing_is_linear() {
    let fields = |count: usize| format!("{{{}\"channel\":\"/a\"}}", "\"x\":0,".repeat(count)).into_bytes();
    linear_bytes("fields of a message", 8 * KIB, KIB, fields, |text| {
        assert!(BayeuxMessage::parse(std::str::from_utf8(text).unwrap()).is_some());
    });
    let segments = |count: usize| "/a".repeat(count).into_bytes();
    linear_bytes("segments of a channel", 16 * KIB, KIB, segments, |name| {
        let name = std::str::from_utf8(name).unwrap();
        let channel = Channel::parse(name);
        assert!(channel.is_some());
        assert!(Pattern::parse("/a/**").unwrap().matches(channel.unwrap()));
    });
}
