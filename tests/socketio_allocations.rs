//! What a text packet costs: nothing to read, nothing to write into a buffer; a message for many is encoded once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/scripted.rs"]
mod scripted;

use allocations::{allocations, memory};
use pushline::socketio::engine::{Data, EngineMessage, EngineOptions, EnginePacket, EngineSession, records};
use pushline::socketio::{self, Encoded, PacketLimits, ServerConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const EVENT: &str = r#"42/chat,17["message",{"text":"hello \"you\"","n":[1,2,3]},true]"#;

#[test]
fn reading_a_text_packet() {
    let payload = [EVENT; 10].join("\u{1e}");
    let count = allocations(|| {
        for packet in records(&payload) {
            let Ok(EnginePacket::Message(Data::Text(text))) = packet else { panic!("a text") };
            let packet = socketio::Packet::parse(text, &PacketLimits::new()).unwrap();
            assert_eq!(packet.data.unwrap().array().unwrap().count(), 3);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn writing_a_text_packet() {
    let mut buffer = String::with_capacity(256);
    let count = allocations(|| {
        for n in 0..10_u64 {
            let text = std::mem::take(&mut buffer);
            buffer =
                Encoded::event_in(text, "/chat", "message", &("hello \"you\"", n, true), Some(n)).into_text();
        }
    });
    assert_eq!((count, buffer.as_str()), (0, r#"42/chat,9["message","hello \"you\"",9,true]"#));
}

#[test]
fn a_message_for_many_is_encoded_once() {
    let message = EngineMessage::text("hello").shared();
    let mut sessions: Vec<_> =
        (0..10).map(|_| EngineSession::websocket("sid", EngineOptions::new(), NOW).0).collect();
    for session in &mut sessions {
        session.send(message.clone()).unwrap(); // makes room in the queue
    }
    let count =
        allocations(|| sessions.iter_mut().for_each(|session| session.send(message.clone()).unwrap()));
    assert_eq!(count, 0);
}

/// An idle session holds its handshake's room in the queue, its namespace's name, and nothing else: its options are those
/// of all.
#[test]
fn an_idle_session() {
    let mut kept = Vec::with_capacity(1);
    let (options, limits) = (Arc::new(EngineOptions::new()), Arc::new(socketio::SocketIoLimits::new()));
    let (_, bytes) = memory(|| {
        let (mut session, socket) =
            EngineSession::websocket("12345678901234567890", Arc::clone(&options), NOW);
        let mut connection = ServerConnection::new(Arc::clone(&limits), NOW);
        connection.receive_text("0").unwrap();
        let answer = connection.accept("/", "12345678901234567890", None).unwrap();
        session.send_all(answer.into_messages()).unwrap();
        while session.next_frame(socket).is_some() {}
        kept.push((session, connection));
    });
    let inline = size_of_val(&kept[0]);
    assert!(bytes + inline as isize <= 800, "{bytes} + {inline}");
}

/// A client's session holds nothing of the polls that are over, however often a server ends them.
#[test]
fn polls_that_are_over() {
    use pushline::adapter::socketio::{SocketIoClient, SocketIoClientOptions};
    let server = scripted::Scripted::start();
    let url = server.url("http");
    let polls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&polls);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut peer = server.accept();
        peer.head();
        peer.answer(
            r#"0{"sid":"s1","upgrades":[],"pingInterval":600000,"pingTimeout":600000,"maxPayload":9}"#,
        );
        let mut posts = server.accept();
        posts.request();
        posts.answer("ok");
        for most in [500, 5500] {
            while count.load(Ordering::SeqCst) < most {
                peer.head();
                peer.answer("6");
                count.fetch_add(1, Ordering::SeqCst);
            }
            let _ = told.recv();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wait = |until| {
        runtime.block_on(async {
            while polls.load(Ordering::SeqCst) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    };
    let options = SocketIoClientOptions::new().join("/", None);
    let _client = runtime.block_on(async { SocketIoClient::connect(&url, options) }).unwrap();
    wait(500);
    let (_, bytes) = memory(|| {
        tell.send(()).unwrap();
        wait(5500);
    });
    assert!(bytes < 256 << 10, "{bytes}");
}
