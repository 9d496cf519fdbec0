//! The frameworks' servers in a router of axum's: each answers at its path.
#![cfg(all(
    feature = "axum",
    feature = "sockjs",
    feature = "atmosphere",
    feature = "pushlet",
    feature = "socketio",
    feature = "bayeux"
))]
#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use pushline::adapter::bayeux::{BayeuxOptions, BayeuxService, Everyone};
use pushline::adapter::frameworks::{Atmosphere, Pushlet, SockJs};
use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
use pushline::comet::pushlet::PushletOptions;

#[tokio::test]
async fn each_framework_answers_at_its_path() {
    let sockjs = SockJs::new("/sockjs", |_| async {});
    let bayeux = BayeuxService::new(BayeuxOptions::new(), Everyone);
    let router = Router::new()
        .route_service("/sockjs", sockjs.clone())
        .route_service("/sockjs/{*rest}", sockjs)
        .route_service("/atmosphere", Atmosphere::new("/atmosphere", |_| async {}))
        .route_service("/pushlet.srv", Pushlet::new("/pushlet.srv", PushletOptions::new()))
        .route_service("/socket.io/", SocketIo::new(SocketIoOptions::new()))
        .route_service("/cometd/{*rest}", bayeux);
    let router = TowerToHyperService::new(router);
    let handshake =
        r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
    for (method, path, body, status, answer) in [
        ("GET", "/sockjs", "", 200, "Welcome to SockJS!"),
        ("GET", "/sockjs/info", "", 200, "\"websocket\":true"),
        ("GET", "/atmosphere", "", 400, ""),
        ("GET", "/pushlet.srv?p_event=join&p_format=json", "", 200, "join-ack"),
        ("GET", "/socket.io/?EIO=4&transport=polling", "", 200, "\"sid\""),
        ("POST", "/cometd/handshake", handshake, 200, "\"clientId\""),
        ("GET", "/other", "", 404, ""),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = router.call(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = str::from_utf8(&text).unwrap();
        assert!(text.contains(answer), "{path}: {text}");
    }
}
