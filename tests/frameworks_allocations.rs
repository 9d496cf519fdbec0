//! What the frameworks' sessions allocate for a message, and hold while they are idle.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;

use allocations::{allocations, memory};
use pushline::comet::{HttpRequest, atmosphere, pushlet, sockjs};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const TEXT: &str = "a message of some length, \"quoted\"";

/// A streaming receiver, and what each message costs from the second on.
#[test]
fn sockjs_messages() {
    let message = sockjs::SockJsMessage::text(TEXT);
    assert!(
        allocations(|| drop(sockjs::SockJsMessage::text("plain").clone())) <= 2,
        "the literal, and its count"
    );
    let config = sockjs::SockJsOptions::new().response_limit(usize::MAX);
    for (transport, most) in [
        (sockjs::SockJsTransport::WebSocket, 1),
        (sockjs::SockJsTransport::XhrStreaming, 1),
        (sockjs::SockJsTransport::EventSource, 1),
        (sockjs::SockJsTransport::HtmlFile("cb".into()), 1),
    ] {
        let mut session = sockjs::SockJsSession::new(config, NOW);
        session.receive(transport.clone(), NOW).unwrap();
        let mut out = Vec::with_capacity(4096);
        let mut round = |_| {
            session.send(message.clone(), NOW).unwrap();
            out.clear();
            while session.next_frame(NOW, &mut out).is_some() {}
        };
        round(0);
        assert!(allocations(|| (0..100).for_each(&mut round)) <= 100 * most, "{transport:?}: the frame");
    }
}

#[test]
fn atmosphere_messages() {
    let target = "?X-Atmosphere-Transport=websocket&X-Atmosphere-TrackMessageSize=true";
    let request = HttpRequest::new("GET", target, &[], b"");
    let atmosphere::AtmosphereReply::Listen(listen) = atmosphere::AtmosphereService::new().route(&request)
    else {
        panic!()
    };
    let mut session = atmosphere::AtmosphereSession::new("id", atmosphere::AtmosphereOptions::new(), NOW);
    let ticket = session.receive(&listen, NOW);
    let message: std::sync::Arc<str> = TEXT.into();
    let mut out = Vec::with_capacity(4096);
    let mut round = |_| {
        session.send(message.clone(), NOW).unwrap();
        out.clear();
        while session.next_frame(ticket, NOW, &mut out).is_some() {}
    };
    round(0);
    assert_eq!(allocations(|| (0..100).for_each(&mut round)), 0);
}

/// One event for many is made once: what a publication costs does not grow with who hears it.
#[test]
fn pushlet_events() {
    let publish = |subscribers: u8| {
        let mut server = pushlet::PushletServer::new(pushlet::PushletOptions::new());
        let mut tickets = Vec::new();
        for number in 0..subscribers {
            let target = "/?p_event=join-listen&p_mode=stream&p_format=json&p_subject=/chat";
            let fresh = pushlet::Fresh { id: [number; 16], time: 0 };
            let request = HttpRequest::new("GET", target, &[], b"");
            let pushlet::PushletReply::Listen { ticket, .. } = server.request(&request, fresh, NOW) else {
                panic!()
            };
            tickets.push(ticket);
        }
        let mut out = Vec::with_capacity(4096);
        let mut round = |_| {
            server.publish("/chat", &[("text", TEXT)], 0);
            while server.next_ready().is_some() {}
            for ticket in &tickets {
                out.clear();
                while server.next_piece(ticket, NOW, &mut out).is_some() {}
            }
        };
        round(0);
        allocations(|| (0..10).for_each(&mut round)) / 10
    };
    let (few, many) = (publish(1), publish(100));
    // The number in each event.
    assert!(many <= few + 2 * 100, "{few} {many}");
}

#[test]
fn idle_sessions() {
    let (_, sockjs) = memory(|| {
        let mut session = sockjs::SockJsSession::new(sockjs::SockJsOptions::new(), NOW);
        session.receive(sockjs::SockJsTransport::WebSocket, NOW).unwrap();
        while session.next_frame(NOW, &mut Vec::new()).is_some() {}
        std::mem::forget(Box::new(session));
    });
    let (_, atmosphere) = memory(|| {
        let session = atmosphere::AtmosphereSession::<Duration>::new(
            "0123456789abcdef0123456789abcdef",
            atmosphere::AtmosphereOptions::new(),
            NOW,
        );
        std::mem::forget(Box::new(session));
    });
    println!("an idle session: SockJS {sockjs} bytes, Atmosphere {atmosphere} bytes");
    assert!(sockjs <= 512 && atmosphere <= 512, "{sockjs} {atmosphere}");
}
