//! Operations in any order, against a naive model of what a connection owes.

use super::model::{Rules, Token, receive};
use super::observe::Observed;
use super::sender_model::{Model, keys};
use super::stream::{Input, frames};
use crate::Inbox;
use crate::ws::{
    CloseCode, Connection, ConnectionOptions, Message, Negotiated, Opcode, Outbound, Prepared, Receiver,
    Role, Sender, UsageError,
};
use bytes::Buf;
use std::collections::VecDeque;
use std::io::IoSlice;

/// A connection whole, or its halves.
enum Ends {
    Joined(Connection),
    Halves(Receiver, Sender),
}

macro_rules! on {
    ($ends:expr, $($call:tt)*) => {
        match $ends {
            Ends::Joined(connection) => connection.$($call)*,
            Ends::Halves(_, sender) => sender.$($call)*,
        }
    };
}

/// Any calls in any order: the same answers, states and bytes as the model's.
pub fn api(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let rules = Rules::defaults(flags & 1 == 1);
    let mut model = Model {
        client: !rules.server,
        auto_pong: flags & 6 != 0,
        auto_close: flags & 24 != 0,
        max_outgoing: if flags & 32 == 0 { input.number() } else { 1 << 20 },
        fragment_size: if flags & 64 == 0 { 125 + input.number() % 8_192 } else { 1 << 20 },
        ..Model::default()
    };
    let config = ConnectionOptions::new()
        .max_outgoing(model.max_outgoing)
        .fragment_size(model.fragment_size)
        .auto_pong(model.auto_pong)
        .auto_close(model.auto_close);
    let connection = if rules.server {
        Connection::server(Negotiated::default(), config)
    } else {
        Connection::client(Negotiated::default(), config, keys())
    };
    let mut ends = if flags & 128 == 0 {
        Ends::Joined(connection)
    } else {
        let (receiver, sender) = connection.split();
        Ends::Halves(receiver, sender)
    };

    let len = input.number() % (input.0.len() + 1);
    let mut incoming = Input(input.take(len));
    let stream = frames(&mut incoming, &rules);
    let mut expected = VecDeque::from(receive(&rules, &stream).tokens);
    let (mut inbox, mut fed, mut output) = (Inbox::new(), 0, Vec::new());

    while !input.is_empty() {
        match input.byte() % 16 {
            0..=2 if !model.eof => {
                let n = (input.number() % 2_000).min(stream.len() - fed);
                assert_eq!(inbox.extend(&stream[fed..fed + n]), n);
                fed += n;
                let now = expected.iter().take_while(|(at, _)| *at <= fed).count();
                let now: Vec<Token> = expected.drain(..now).map(|(_, token)| token).collect();
                assert_eq!(receive_all(&mut ends, &mut inbox, &mut model), now);
            }
            3 => {
                let text = input.text();
                let (result, expected) = if text.len() % 2 == 0 {
                    (on!(&mut ends, send(&text)), model.send(1, text.as_bytes(), model.fragment_size))
                } else {
                    let payload = text.as_bytes();
                    (on!(&mut ends, send(payload)), model.send(2, payload, model.fragment_size))
                };
                assert_eq!(result, expected);
            }
            4 => {
                let text = input.text();
                let message =
                    if input.coin() { Message::from(text) } else { Message::from(text.into_bytes()) };
                let opcode = if message.as_text().is_some() { 1 } else { 2 };
                let room = model.has_room(opcode, message.payload());
                let expected = model.send(opcode, message.payload(), model.fragment_size);
                let outbound = Outbound::from(message);
                assert_eq!(on!(&ends, has_room(&outbound)), room);
                assert_eq!(on!(&mut ends, send(outbound)), expected);
            }
            14 => {
                let (text, pieces_from, most) = (input.text(), input.number(), input.number());
                let (was_empty, mut taken) = (model.queued() == 0, None);
                let expected = model.send(1, text.as_bytes(), model.fragment_size);
                let write = |first: &[u8], second: &[u8]| {
                    assert!(second.is_empty() || text.len() >= pieces_from);
                    let mut bytes = [first, second].concat();
                    bytes.truncate(most);
                    let n = bytes.len();
                    assert_eq!(taken.replace(bytes), None);
                    n
                };
                assert_eq!(on!(&mut ends, send_through(&text, pieces_from, write)), expected);
                if let Some(mut taken) = taken {
                    assert!(was_empty && expected.is_ok());
                    model.written(&taken);
                    output.append(&mut taken);
                }
            }
            5 => {
                let text = input.text();
                let prepared = Prepared::text(&text);
                assert_eq!(prepared.payload(), text.as_bytes());
                let fragment_size = if model.client { model.fragment_size } else { usize::MAX };
                let expected = model.send(1, text.as_bytes(), fragment_size);
                assert_eq!(on!(&mut ends, send(&prepared)), expected);
            }
            6 | 7 => {
                let opcode =
                    [Opcode::Continuation, Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Ping]
                        [usize::from(input.byte() % 5)];
                let fin = input.byte() % 4 == 0;
                let mut payload = input.text().into_bytes();
                payload.truncate(payload.len() - usize::from(input.byte() % 4).min(payload.len()));
                if input.byte() % 8 == 0 {
                    payload = input.payload();
                }
                let expected = model.send_fragment(opcode as u8, fin, &payload);
                assert_eq!(on!(&mut ends, send_fragment(opcode, fin, &payload)), expected);
            }
            8 => {
                let payload = input.payload();
                let outbound = Outbound::from(Message::Ping(payload.clone().into()));
                assert_eq!(on!(&ends, has_room(&outbound)), model.has_room(9, &payload));
                let expected = model.ping(&payload);
                assert_eq!(on!(&mut ends, ping(&payload)), expected);
            }
            9 => {
                let payload = input.payload();
                let expected = model.pong(&payload);
                assert_eq!(on!(&mut ends, pong(&payload)), expected);
            }
            10 if input.byte() < 64 => {
                let (code, reason) = (CloseCode(input.number() as u16), input.text());
                let payload = [&code.0.to_be_bytes(), reason.as_bytes()].concat();
                let expected = match payload.len() {
                    _ if !code.is_allowed() => Err(UsageError::InvalidCloseCode(code.0)),
                    126.. => Err(UsageError::ReasonTooLong),
                    _ => model.close(&payload),
                };
                assert_eq!(on!(&mut ends, close(code, &reason)), expected);
            }
            11 if input.byte() < 32 => {
                let expected = model.close(&[]);
                assert_eq!(on!(&mut ends, close_without_code()), expected);
            }
            12 if input.byte() < 16 => {
                model.receive_eof();
                on!(&mut ends, receive_eof());
            }
            13 => on!(&mut ends, outgoing()).release(),
            _ => {
                let (n, vectored) = (input.number(), input.coin());
                write(on!(&mut ends, outgoing()), &mut model, n, vectored, &mut output);
            }
        }
        let ends = &ends;
        assert_eq!(on!(ends, queued()), model.queued());
        assert_eq!(on!(ends, unwritten_ping()), model.unwritten_ping());
        assert_eq!(on!(ends, close_unwritten()), model.close_unwritten());
        assert_eq!(on!(ends, state()), model.state());
        assert_eq!(on!(ends, is_finished()), model.is_finished());
        assert_eq!(on!(ends, role()), if model.client { Role::Client } else { Role::Server });
    }
    write(on!(&mut ends, outgoing()), &mut model, usize::MAX, true, &mut output);
    assert_eq!(model.queued(), 0);
    // Whatever was called: what was written is what a peer accepts, and nothing follows a close.
    output.truncate(200_000);
    let seen = receive(&Rules::defaults(!rules.server), &output).tokens;
    assert!(!seen.iter().any(|(_, token)| matches!(token, Token::Fail(_))));
    if let Some((at, Token::Close(..))) = seen.last() {
        assert_eq!(*at, output.len());
    }
}

/// All events that there are; the model hears of them.
fn receive_all(ends: &mut Ends, inbox: &mut Inbox, model: &mut Model) -> Vec<Token> {
    let mut seen = Observed::default();
    loop {
        let event = match ends {
            Ends::Joined(connection) => connection.next_event(inbox),
            Ends::Halves(receiver, sender) => {
                let event = receiver.next_event(inbox);
                if let Ok(Some(reply)) = event.map(|event| event.and_then(|event| event.reply())) {
                    sender.reply(reply);
                }
                if let Some(failure) = receiver.failure() {
                    sender.reply(failure);
                }
                event
            }
        };
        let token = match event {
            Ok(Some(event)) => seen.lent(&event).expect("messages are whole"),
            Ok(None) => return seen.tokens,
            Err(_) if model.failed => return seen.tokens,
            Err(error) => Token::Fail(error.close_code().0),
        };
        model.received(&token);
        seen.tokens.push(token);
    }
}

/// Writes up to `n` bytes, by chunks or in one vectored write.
fn write(
    outgoing: &mut crate::Outgoing,
    model: &mut Model,
    mut n: usize,
    vectored: bool,
    output: &mut Vec<u8>,
) {
    while n > 0 && outgoing.has_remaining() {
        let mut taken = Vec::new();
        if vectored {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = outgoing.chunks_vectored(&mut slices);
            assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
            assert_eq!(&*slices[0], outgoing.chunk());
            taken.extend(slices[..count].iter().flat_map(|slice| slice.iter()));
        } else {
            taken.extend_from_slice(outgoing.chunk());
        }
        assert!(!taken.is_empty());
        taken.truncate(n);
        n -= taken.len();
        outgoing.advance(taken.len());
        model.written(&taken);
        output.append(&mut taken);
    }
}
