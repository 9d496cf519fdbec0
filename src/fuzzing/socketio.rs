//! Socket.IO: a session with a client that keeps to the protocol over a network that cuts, against the list of what was
//! sent; one whose client does anything; packets against a parse by hand.

use crate::socketio::engine::{
    Data, EngineAnswer, EngineFrame, EngineMessage, EngineOptions, EngineOutput, EnginePacket, EngineSession,
    EngineTicket, SendError, SocketId, records,
};
use crate::socketio::{self, Encoded, PacketKind, PacketLimits, ServerConnection};
use std::collections::VecDeque;
use std::time::Duration;

/// What the client of the model is up to.
struct Client {
    poll: Option<EngineTicket>,
    /// Answers on their way.
    answers: VecDeque<EngineAnswer>,
    /// The socket that it tries, whether it has said `2probe`, and whether it has seen `3probe`.
    probe: Option<(SocketId, bool, bool)>,
    socket: Option<SocketId>,
    got: Vec<u32>,
}

impl Client {
    fn take(&mut self, text: &str) -> bool {
        let mut pinged = false;
        for record in text.split('\u{1e}') {
            match record.split_at(1) {
                ("4", number) => self.got.push(number.parse().unwrap()),
                ("2", "") => pinged = true,
                ("0" | "6" | "1", _) => {}
                other => panic!("{other:?}"),
            }
        }
        pinged
    }
}

/// Each byte is something that the server, the client, the network or the clock does; every message is received once
/// and in order, or is among those that the session says may not have arrived.
pub fn upgrade(data: &[u8]) {
    let mut now = Duration::ZERO;
    let config = EngineOptions::new().max_answer(3);
    let mut session = EngineSession::polling("sid", config, now);
    let mut client =
        Client { poll: None, answers: VecDeque::new(), probe: None, socket: None, got: Vec::new() };
    let (mut sent, mut posted, mut heard) = (0_u32, 0_u32, 0_u32);
    for &byte in data {
        let (action, argument) = (byte & 15, byte >> 4);
        match action {
            0..3 => match session.send(EngineMessage::text(&sent.to_string())) {
                Ok(()) => sent += 1,
                Err(error) => assert!(error == SendError::Closed && !session.is_open()),
            },
            // It does not poll while it waits for its poll to end, to say that it upgrades.
            3 | 4 => {
                let paused = matches!(client.probe, Some((.., true)));
                if client.poll.is_none() && client.answers.is_empty() && client.socket.is_none() && !paused {
                    client.poll = Some(session.poll(now));
                }
            }
            5 | 6 => {
                if let Some(answer) = client.answers.pop_front() {
                    assert_eq!(answer.status(), 200);
                    let pinged = client.take(std::str::from_utf8(answer.body()).unwrap());
                    if pinged {
                        let post = session.post(now);
                        session.packet(post, EnginePacket::parse("3"), now);
                        session.posted(post);
                    }
                }
            }
            7 => {
                // The connection is cut before the answer was written.
                if let Some(answer) = client.answers.pop_front() {
                    session.cut(answer.ticket());
                }
            }
            8 => {
                if client.probe.is_none() && client.socket.is_none() {
                    client.probe = session.socket(now).map(|socket| (socket, false, false));
                }
            }
            9 => {
                if let Some((socket, asked @ false, _)) = &mut client.probe {
                    *asked = true;
                    assert_eq!(session.frame(*socket, EnginePacket::parse("2probe"), now), None);
                }
            }
            10 => {
                if let Some((socket, _, paused)) = &mut client.probe {
                    match session.next_frame(*socket) {
                        Some(EngineOutput::Message(message)) => {
                            assert!(matches!(message.frame(), EngineFrame::Text("3probe")));
                            *paused = true;
                        }
                        Some(EngineOutput::Close) => client.probe = None,
                        None => {}
                    }
                }
            }
            11 => {
                if let Some((socket, _, true)) = client.probe
                    && client.poll.is_none()
                    && client.answers.is_empty()
                {
                    session.frame(socket, EnginePacket::parse("5"), now);
                    client.probe = None;
                    // If it came too late, the socket is told so.
                    client.socket = session.has_socket(socket).then_some(socket);
                }
            }
            12 => {
                if let Some((socket, ..)) = client.probe.take() {
                    match argument % 3 {
                        0 => session.socket_closed(socket, now),
                        1 => drop(session.frame(socket, EnginePacket::parse("4x"), now)),
                        _ => drop(session.frame(socket, EnginePacket::parse(""), now)),
                    }
                    assert!(!session.has_socket(socket));
                    assert!(matches!(session.next_frame(socket), Some(EngineOutput::Close)));
                }
            }
            13 => {
                if let Some(socket) = client.socket
                    && let Some(EngineOutput::Message(message)) = session.next_frame(socket)
                {
                    let EngineFrame::Text(text) = message.frame() else { panic!("a text") };
                    if client.take(text) {
                        session.frame(socket, EnginePacket::parse("3"), now);
                    }
                }
            }
            14 => {
                let number = posted.to_string();
                let text = format!("4{number}");
                let data = match client.socket {
                    Some(socket) => session.frame(socket, EnginePacket::parse(&text), now),
                    None => {
                        let post = session.post(now);
                        let data = session.packet(post, EnginePacket::parse(&text), now);
                        session.posted(post);
                        data
                    }
                };
                posted += 1;
                if let Some(data) = data {
                    assert_eq!(data, Data::Text(&number));
                    heard += 1;
                }
                assert!(heard == posted || !session.is_open());
            }
            _ => {
                now += Duration::from_millis(u64::from(argument) * 150);
                session.tick(now);
            }
        }
        while let Some(answer) = session.next_answer(now) {
            if client.poll == Some(answer.ticket()) {
                client.poll = None;
                if session.closed().is_none() {
                    client.answers.push_back(answer);
                }
            }
        }
        if session.closed().is_some() {
            break;
        }
        check(&session, &client.got, sent);
    }
    check(&session, &client.got, sent);
}

fn check(session: &EngineSession<Duration>, got: &[u32], sent: u32) {
    assert!(got.iter().copied().eq(0..got.len() as u32), "each once, in order: {got:?}");
    let texts = session.unacknowledged().filter_map(|message| match message.frame() {
        EngineFrame::Text(text) => text.strip_prefix('4')?.parse::<u32>().ok(),
        _ => None,
    });
    let left: Vec<u32> = texts.collect();
    let first = left.first().copied().unwrap_or(sent);
    assert!(left.iter().copied().eq(first..sent) && first as usize <= got.len(), "{left:?} of {sent}");
}

/// Anything at all happens to a session. It stays within its bounds, each request is answered once, and what is closed
/// says nothing more.
pub fn session(data: &[u8]) {
    let mut now = Duration::ZERO;
    let config = EngineOptions::new().max_queued(5).max_queued_bytes(100).max_packets(3);
    let mut session = EngineSession::polling("sid", config, now);
    let (mut tickets, mut sockets, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for pair in data.chunks_exact(2) {
        let (action, argument) = (pair[0], pair[1]);
        let ticket = tickets.get(usize::from(argument) % tickets.len().max(1)).copied();
        let socket = sockets.get(usize::from(argument) % sockets.len().max(1)).copied();
        let text =
            ["2probe", "5", "4a", "3", "2", "", "b?", "1", "6", "bAA=="][usize::from(argument >> 4) % 10];
        match action % 11 {
            0 => tickets.push(session.poll(now)),
            1 => tickets.push(session.post(now)),
            2 => ticket
                .into_iter()
                .for_each(|ticket| drop(session.packet(ticket, EnginePacket::parse(text), now))),
            3 => ticket.into_iter().for_each(|ticket| session.posted(ticket)),
            4 => {
                if let Some(ticket) = ticket {
                    session.cut(ticket);
                    open.retain(|open: &EngineTicket| *open != ticket);
                }
            }
            5 => sockets.extend(session.socket(now)),
            6 => socket
                .into_iter()
                .for_each(|socket| drop(session.frame(socket, EnginePacket::parse(text), now))),
            7 => socket.into_iter().for_each(|socket| session.socket_closed(socket, now)),
            8 => drop(session.send(EngineMessage::text(&"x".repeat(usize::from(argument))))),
            9 => now += Duration::from_millis(u64::from(argument) * 100),
            _ if argument == 0 => session.close(now),
            _ => drop(socket.map(|socket| session.next_frame(socket))),
        }
        if matches!(action % 11, 0 | 1) {
            open.extend(tickets.last());
        }
        while let Some(answer) = session.next_answer(now) {
            open.retain(|open| *open != answer.ticket());
            assert!([200, 400].contains(&answer.status()));
            let body = std::str::from_utf8(answer.body()).unwrap();
            assert!(records(body).count() <= 17);
        }
        // One message over the bound, the handshake and a ping.
        assert!(session.queued_bytes() <= 100 + 256 + 128);
        assert_eq!(session.queued_bytes(), session.unacknowledged().map(size).sum::<usize>());
        if session.closed().is_some() {
            assert!(open.is_empty(), "everybody was answered");
            assert!(session.next_deadline().is_none());
            assert_eq!(session.send(EngineMessage::text("")), Err(SendError::Closed));
        }
        assert!(open.len() <= 2);
    }
}

fn size(message: &EngineMessage) -> usize {
    match message.frame() {
        EngineFrame::Text(text) => text.len(),
        EngineFrame::Binary(bytes) => bytes.len(),
        EngineFrame::Shared(prepared) => prepared.payload().len(),
    }
}

/// A packet's text: what is accepted is read as it would be by hand, and means the same when it is written again.
pub fn packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut connection = ServerConnection::new(socketio::SocketIoLimits::new(), Duration::ZERO);
    let _ = connection.receive_text("0");
    assert!(connection.accept("/", "sid", None).is_some());
    let received = connection.receive_text(text);
    let Ok(packet) = socketio::Packet::parse(text, &PacketLimits::new()) else {
        assert!(received.is_err());
        return;
    };
    // By hand: what is left when each part is taken away is the payload.
    let mut rest = &text[1..];
    if matches!(packet.kind, PacketKind::BinaryEvent | PacketKind::BinaryAck) {
        let (count, tail) = rest.split_once('-').unwrap();
        assert_eq!(count.parse(), Ok(packet.attachments));
        rest = tail;
    }
    if rest.starts_with('/') {
        let (namespace, tail) = rest.split_once(',').unwrap_or((rest, ""));
        assert_eq!(namespace, packet.namespace);
        rest = tail;
    } else {
        assert_eq!(packet.namespace, "/");
    }
    let payload = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    assert_eq!(rest[..rest.len() - payload.len()].parse().ok(), packet.id);
    assert_eq!(
        packet.data.map(|data| data.as_str()).unwrap_or(""),
        payload.trim_matches([' ', '\t', '\r', '\n'])
    );

    if packet.kind == PacketKind::Event && packet.namespace == "/" {
        let Ok(Some(socketio::Incoming::Event { id, payload, .. })) = received else {
            panic!("{received:?}")
        };
        let Some(name) = payload.name() else { return };
        let again = Encoded::event("/", &name.to_cow(), &payload, id);
        let parsed = socketio::Packet::parse(&again.text()[1..], &PacketLimits::new()).unwrap();
        assert_eq!((parsed.kind, parsed.id), (packet.kind, packet.id));
        let items = |packet: socketio::Packet<'_>| -> Vec<String> {
            packet.data.unwrap().array().unwrap().skip(1).map(|item| item.as_str().to_owned()).collect()
        };
        assert_eq!(items(parsed), items(packet));
    }
}
