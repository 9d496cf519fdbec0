//! Socket.IO's client: a session with a server and a network that do anything, against the list of what was sent; what a
//! server says, against which namespaces the client wants to be in.

use crate::socketio::engine::{
    EngineClient, EngineClientOptions, EngineFrame, EngineMessage, EnginePacket, SendError, Task,
    TransportKind, records,
};
use crate::socketio::{ClientConnection, FromServer, SocketIoLimits};
use std::time::Duration;

/// What the client has under way, as its host sees it.
#[derive(Default)]
struct Host {
    polls: usize,
    posts: usize,
    /// A WebSocket was asked for; it is open.
    asked: bool,
    open: bool,
    upgraded: bool,
    /// The numbers of the messages that left, and how many pongs did.
    left: Vec<u32>,
    pongs: usize,
}

impl Host {
    fn leaves(&mut self, record: &str) {
        match record.split_at(1) {
            ("4", number) => self.left.push(number.parse().unwrap()),
            ("3", "") => self.pongs += 1,
            ("1" | "5", "") | ("2", "probe") => {}
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self, task: Task) {
        match task {
            Task::Poll => self.polls += 1,
            Task::Post(body) => {
                assert!(!self.upgraded && !body.is_empty());
                self.posts += 1;
                std::str::from_utf8(&body).unwrap().split('\u{1e}').for_each(|record| self.leaves(record));
            }
            Task::Open => assert!(!std::mem::replace(&mut self.asked, true), "one at a time"),
            Task::Frame(message) => {
                let EngineFrame::Text(text) = message.frame() else { panic!("a text") };
                if text == "5" {
                    assert!(self.polls == 0 && self.posts == 0, "both have ended before");
                    self.upgraded = true;
                }
                self.leaves(text);
            }
            Task::CloseSocket => (self.asked, self.open) = (false, false),
        }
        assert!(self.polls <= 1 && self.posts <= 1);
    }
}

/// Each byte is something that the server, the network, the clock or the application does. Messages leave once and in
/// order, one request of a kind is under way, and the queue keeps to its bounds, however often the server pings.
pub fn session(data: &[u8]) {
    let [first, data @ ..] = data else { return };
    let mut now = Duration::ZERO;
    let mut config = EngineClientOptions::new().upgrade(first & 1 == 0);
    config.max_queued = 5;
    config.max_queued_bytes = 20;
    if first & 2 != 0 {
        config = config.transport(TransportKind::WebSocket);
    }
    let mut client = EngineClient::new(config, now);
    let mut host = Host::default();
    let (mut sent, mut pings) = (0_u32, 0_usize);
    let handshake =
        r#"0{"sid":"s","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":500,"maxPayload":9}"#;
    for &byte in data {
        let (action, argument) = (byte & 7, usize::from(byte >> 3));
        let text = [
            handshake,
            "2",
            "3",
            "6",
            "4x",
            "1",
            "",
            "4\u{1e}2",
            "2\u{1e}2\u{1e}2\u{1e}2\u{1e}2\u{1e}2\u{1e}2",
            "3probe",
            "3probe",
            "0{}",
            "5",
            "bAA==",
            "9",
            "2",
        ][argument % 16];
        let closed = client.closed().is_some();
        let mut came = None;
        match action {
            0 => match client.send(EngineMessage::text(&sent.to_string())) {
                Ok(()) => sent += 1,
                // Five wait: two of the application's at least, with pongs in between.
                Err(SendError::Full) => assert!(client.queued_bytes() >= 7),
                Err(error) => assert_eq!(error, SendError::Closed),
            },
            1 if host.polls > 0 => {
                host.polls = 0;
                client.polled(if argument == 31 { 400 } else { 200 });
                pings += text.split('\u{1e}').filter(|record| record.starts_with('2')).count();
                for packet in records(text) {
                    came = client.packet(packet, now).or(came);
                }
            }
            2 if host.posts > 0 => {
                host.posts = 0;
                client.posted(if argument == 31 { 413 } else { 200 });
            }
            3 if host.polls + host.posts > 0 && argument == 0 => {
                (host.polls, host.posts) = (0, 0);
                client.request_failed();
            }
            4 if host.asked && !host.open => {
                host.open = argument % 4 != 0;
                if host.open {
                    client.socket_opened();
                } else {
                    host.asked = false;
                    client.socket_closed();
                }
            }
            5 if host.open => {
                pings += usize::from(text.starts_with('2'));
                came = client.frame(EnginePacket::parse(text), now);
            }
            6 if host.open && argument % 8 == 0 => {
                (host.asked, host.open) = (false, false);
                client.socket_closed();
            }
            7 if argument == 0 => client.close(),
            7 => {
                now += Duration::from_millis(argument as u64 * 20);
                client.tick(now);
            }
            _ => {}
        }
        assert!(came.is_none() || !closed, "what is closed hears nothing");
        // Six of the application's with up to ten digits, a pong behind each, and the farewell.
        assert!(client.queued_bytes() <= 20 + 11 + 2 * 8 + 1, "{}", client.queued_bytes());
        // A WebSocket that is not open takes nothing.
        while host.open || client.transport() == TransportKind::Polling || client.closed().is_some() {
            let closed = client.closed().is_some();
            let Some(task) = client.next_task() else { break };
            assert!(!closed || matches!(task, Task::CloseSocket), "what is closed is silent");
            host.run(task);
        }
        if !host.open
            && client.transport() == TransportKind::WebSocket
            && !host.asked
            && client.closed().is_none()
        {
            // The one that a client begins with.
            if let Some(task) = client.next_task() {
                host.run(task);
            }
        }
        assert!(host.left.iter().copied().eq(0..host.left.len() as u32), "each once, in order");
        assert!(host.left.len() <= sent as usize && host.pongs <= pings);
        if client.closed().is_some() {
            assert!(client.next_task().is_none());
            assert_eq!(client.send(EngineMessage::text("")), Err(SendError::Closed));
        }
    }
}

/// A text of lines: what a server says, or, behind a `<`, which namespace the client leaves.
pub fn packets(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut client = ClientConnection::<Duration>::new(SocketIoLimits::new());
    let mut wants = vec!["/", "/a"];
    let mut connected = std::collections::HashSet::new();
    wants.iter().for_each(|name| drop(client.join(name, None)));
    assert_eq!(client.opened().count(), 2);
    for line in text.split('\n') {
        if let Some(name) = line.strip_prefix('<') {
            assert_eq!(client.leave(name).is_some(), wants.contains(&name));
            wants.retain(|wanted| *wanted != name);
            continue;
        }
        let said = match line.strip_prefix('>') {
            Some(bytes) => client.receive_binary(bytes.as_bytes().to_vec().into()),
            None => client.receive_text(line),
        };
        let Ok(said) = said else { return };
        match said {
            None => {}
            Some(FromServer::Refused { namespace, .. } | FromServer::Disconnect { namespace }) => {
                assert!(wants.contains(&&*namespace));
                wants.retain(|wanted| **wanted != *namespace);
            }
            Some(FromServer::Connected { namespace, recovered, .. }) => {
                // Told so a second time, with the same secret, a client takes itself for recovered.
                assert!(wants.contains(&&*namespace));
                assert!(connected.contains(&*namespace) || !recovered);
                connected.insert(namespace.to_string());
            }
            Some(FromServer::Event { namespace, payload, .. }) => {
                assert!(wants.contains(&&*namespace));
                // Looking for an attachment must not panic, whatever stands there.
                let _ = payload.arguments().filter_map(|argument| payload.attachment(argument)).count();
            }
            Some(other) => panic!("nothing is awaited: {other:?}"),
        }
        for name in ["/", "/a", "/b"] {
            assert_eq!(client.wants(name), wants.contains(&name));
        }
    }
}
