//! Operations in any order, against a naive model of what a connection owes; and two ends that talk to
//! each other.

use super::model::{Frame, Rules, Token, close_payload, decode, encode, receive};
use super::observe::Observed;
use super::stream::{Input, frames};
use crate::Inbox;
use crate::ws::deflate::{Compression, DeflateOptions, Params, WindowBits};
use crate::ws::{
    CloseCode, Config, Connection, Message, Negotiated, Opcode, Prepared, Receiver, Role, Sender, State,
    UsageError,
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

/// The nth masking key.
fn key(n: u32) -> [u8; 4] {
    n.wrapping_mul(0x9e37_79b9).to_be_bytes()
}

fn keys() -> impl FnMut() -> [u8; 4] + Send + 'static {
    let mut drawn = 0;
    move || {
        drawn += 1;
        key(drawn)
    }
}

/// What a sender has queued and may do: whole frames in plain lists.
#[derive(Default)]
struct Model {
    client: bool,
    auto_pong: bool,
    auto_close: bool,
    max_outgoing: usize,
    fragment_size: usize,
    keys: u32,
    normal: VecDeque<Vec<u8>>,
    pings: VecDeque<Vec<u8>>,
    pong: Option<Vec<u8>>,
    /// What is left of the frame that is being written.
    current: Vec<u8>,
    /// The longest frame so far, and how much overtook what is urgent.
    longest: usize,
    waited: usize,
    /// The own fragmented message: `Some(text)` if it is text.
    fragmented: Option<Option<Vec<u8>>>,
    close_sent: bool,
    close_received: bool,
    failed: bool,
    eof: bool,
}

impl Model {
    fn aborted(&self) -> bool {
        self.eof && !self.close_received && !self.failed
    }

    fn may_send(&self) -> bool {
        !self.close_sent && !self.close_received && !self.failed && !self.eof
    }

    fn may_close(&self) -> bool {
        !self.close_sent && !self.failed && !self.eof
    }

    fn state(&self) -> State {
        match (self.close_sent, self.close_received) {
            _ if self.failed => State::Failed,
            (_, true) if self.eof => State::Ended,
            (_, false) if self.eof => State::Aborted,
            (false, false) => State::Open,
            (true, false) => State::CloseSent,
            (false, true) => State::CloseReceived,
            (true, true) => State::Closed,
        }
    }

    fn is_finished(&self) -> bool {
        let over = match self.state() {
            State::Closed => !self.client,
            state => matches!(state, State::Ended | State::Failed | State::Aborted),
        };
        over && self.queued() == 0
    }

    fn queued(&self) -> usize {
        let lists = self.normal.iter().chain(&self.pings).chain(&self.pong);
        self.current.len() + lists.map(Vec::len).sum::<usize>()
    }

    fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        self.keys += 1;
        let frame = encode(first, self.client.then(|| key(self.keys)), payload);
        self.longest = self.longest.max(frame.len());
        frame
    }

    /// What `frames` take, if they may be queued.
    fn check_room(&self, payloads: &[&[u8]]) -> Result<(), UsageError> {
        let header = |len: usize| 2 + [0, 2, 8][usize::from(len > 125) + usize::from(len > 65_535)];
        let mask = if self.client { 4 } else { 0 };
        let len: usize = payloads.iter().map(|payload| header(payload.len()) + mask + payload.len()).sum();
        if self.queued() > 0 && self.queued() + len > self.max_outgoing {
            return Err(UsageError::Full);
        }
        Ok(())
    }

    fn send(&mut self, opcode: u8, payload: &[u8], fragment_size: usize) -> Result<(), UsageError> {
        if !self.may_send() {
            return Err(UsageError::Closed);
        }
        if self.fragmented.is_some() {
            return Err(UsageError::MessageInProgress);
        }
        let mut fragments: Vec<&[u8]> = payload.chunks(self.fragment_size).collect();
        if fragments.is_empty() {
            fragments.push(&[]);
        }
        self.check_room(&fragments)?;
        fragments = payload.chunks(fragment_size).collect();
        if fragments.is_empty() {
            fragments.push(&[]);
        }
        let last = fragments.len() - 1;
        for (n, fragment) in fragments.into_iter().enumerate() {
            let first = u8::from(n == last) << 7 | if n == 0 { opcode } else { 0 };
            let frame = self.frame(first, fragment);
            self.normal.push_back(frame);
        }
        Ok(())
    }

    fn send_fragment(&mut self, opcode: u8, fin: bool, payload: &[u8]) -> Result<(), UsageError> {
        if !self.may_send() {
            return Err(UsageError::Closed);
        }
        let in_progress = match (opcode, self.fragmented.clone()) {
            (8.., _) => return Err(UsageError::NotADataFrame),
            (0, None) => return Err(UsageError::NoMessageInProgress),
            (0, Some(message)) => message,
            (_, Some(_)) => return Err(UsageError::MessageInProgress),
            (1, None) => Some(Vec::new()),
            (_, None) => None,
        };
        self.check_room(&[payload])?;
        let in_progress = match in_progress {
            None => None,
            Some(mut text) => {
                text.extend_from_slice(payload);
                match std::str::from_utf8(&text) {
                    Err(error) if fin || error.error_len().is_some() => return Err(UsageError::InvalidUtf8),
                    _ => Some(text),
                }
            }
        };
        self.fragmented = if fin { None } else { Some(in_progress) };
        let frame = self.frame(u8::from(fin) << 7 | opcode, payload);
        self.normal.push_back(frame);
        Ok(())
    }

    fn check_control(&self, payload: &[u8]) -> Result<(), UsageError> {
        match payload.len() {
            _ if !self.may_send() => Err(UsageError::Closed),
            126.. => Err(UsageError::ControlTooLong),
            _ => Ok(()),
        }
    }

    fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        self.check_room(&[payload])?;
        let frame = self.frame(0x89, payload);
        self.pings.push_back(frame);
        Ok(())
    }

    fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        self.pong = Some(self.frame(0x8a, payload));
        Ok(())
    }

    fn close(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        if !self.may_close() {
            return Err(UsageError::Closed);
        }
        let frame = self.frame(0x88, payload);
        self.normal.push_back(frame);
        self.close_sent = true;
        Ok(())
    }

    /// An event was received.
    fn received(&mut self, token: &Token) {
        match token {
            Token::Ping(payload) if self.auto_pong => {
                let _ = self.pong(payload);
            }
            Token::Close(code, _) => {
                let owed = self.auto_close && !self.close_sent && !self.eof;
                self.close_received = true;
                if owed {
                    let _ = self.close(&close_payload(*code));
                }
            }
            Token::Fail(code) => {
                let _ = self.close(&close_payload(Some(*code)));
                self.failed = !self.eof;
            }
            _ => {}
        }
    }

    fn receive_eof(&mut self) {
        self.eof = true;
        if self.aborted() {
            self.normal.clear();
            self.pings.clear();
            self.pong = None;
            self.current.clear();
        }
    }

    /// Bytes left: they go on with the frame begun, or begin one that is first in its list.
    fn written(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            if self.current.is_empty() {
                self.current = self.begin(first & 0x0f);
            }
            let n = bytes.len().min(self.current.len());
            assert_eq!(bytes[..n], self.current[..n]);
            self.current.drain(..n);
            bytes = &bytes[n..];
        }
    }

    /// The frame that leaves next, of an opcode.
    fn begin(&mut self, opcode: u8) -> Vec<u8> {
        let urgent = !self.pings.is_empty() || self.pong.is_some();
        let frame = match opcode {
            9 => self.pings.pop_front(),
            10 => self.pong.take(),
            _ => self.normal.pop_front(),
        };
        let frame = frame.expect("a frame of this kind is queued");
        self.waited = if urgent && opcode < 9 { self.waited + frame.len() } else { 0 };
        // What is urgent waits for a run of small frames at most, and the two around its end.
        assert!(self.waited <= 16 * 1024 + 2 * self.longest, "urgent frames starve");
        frame
    }
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
    let config = Config::new()
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
                    (on!(&mut ends, send_text(&text)), model.send(1, text.as_bytes(), model.fragment_size))
                } else {
                    let payload = text.as_bytes();
                    (on!(&mut ends, send_binary(payload)), model.send(2, payload, model.fragment_size))
                };
                assert_eq!(result, expected);
            }
            4 => {
                let text = input.text();
                let message =
                    if input.coin() { Message::from(text) } else { Message::from(text.into_bytes()) };
                let opcode = if message.as_text().is_some() { 1 } else { 2 };
                let expected = model.send(opcode, message.payload(), model.fragment_size);
                match on!(&mut ends, send(message.clone())) {
                    Ok(()) => assert_eq!(expected, Ok(())),
                    Err(refused) => assert_eq!((Err(refused.error), refused.message), (expected, message)),
                }
            }
            5 => {
                let text = input.text();
                let prepared = Prepared::text(&text);
                assert_eq!(prepared.payload(), text.as_bytes());
                let fragment_size = if model.client { model.fragment_size } else { usize::MAX };
                let expected = model.send(1, text.as_bytes(), fragment_size);
                assert_eq!(on!(&mut ends, send_prepared(&prepared)), expected);
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

fn bits(input: &mut Input<'_>) -> WindowBits {
    WindowBits::new(8 + input.byte() % 8).unwrap_or(WindowBits::MAX)
}

/// One of two ends.
struct Peer {
    connection: Connection,
    inbox: Inbox,
    /// What it saw.
    seen: Observed,
    /// What the other one is to see: messages, pings.
    messages: Vec<Token>,
    pings: Vec<Token>,
    /// A message of which the second half is still to be sent, and where that begins.
    half_sent: Option<(Vec<u8>, usize)>,
}

impl Peer {
    fn new(server: bool, input: &mut Input<'_>, agreed: Option<Params>) -> Self {
        let config =
            Config::new().fragment_size(input.number() % 5_000).max_outgoing(100_000).parts(input.coin());
        let negotiated = agreed.map_or_else(Negotiated::default, |params| {
            let window_bits = bits(input);
            let compression = match input.byte() % 3 {
                0 => Compression::Shared,
                1 => Compression::Compact { window_bits },
                _ => Compression::Dedicated { window_bits, memory_level: 1 },
            };
            let options = DeflateOptions::new(compression).level(input.byte() % 10);
            Negotiated::with_deflate(params, options.threshold(input.byte().into()))
        });
        let connection = if server {
            Connection::server(negotiated, config)
        } else {
            Connection::client(negotiated, config, keys())
        };
        Self {
            connection,
            inbox: Inbox::with_read_size(256),
            seen: Observed::default(),
            messages: Vec::new(),
            pings: Vec::new(),
            half_sent: None,
        }
    }

    /// Sends something; what is refused is refused for want of room or because a close has passed.
    fn send(&mut self, input: &mut Input<'_>) {
        let connection = &mut self.connection;
        if let Some((message, half)) = self.half_sent.take() {
            match connection.send_fragment(Opcode::Continuation, true, &message[half..]) {
                Ok(()) => self.messages.push(Token::Binary(message)),
                Err(UsageError::Full) => self.half_sent = Some((message, half)),
                Err(error) => assert_eq!(error, UsageError::Closed),
            }
            return;
        }
        let choice = input.byte() % 9;
        let text = input.text();
        let bytes = text.clone().into_bytes();
        let sent = match choice {
            0 => connection.send_text(&text),
            1 => connection.send(Message::from(text)).map_err(|refused| refused.error),
            2 => connection.send_binary(&bytes),
            3 => connection.send_prepared(&Prepared::binary(&bytes)),
            4 => connection.send(Message::from(bytes.clone())).map_err(|refused| refused.error),
            5 | 6 => connection.send_fragment(Opcode::Binary, false, &bytes[..bytes.len() / 2]),
            8 => connection.send_plain(Message::from(text)).map_err(|refused| refused.error),
            _ => connection.ping(&bytes[..bytes.len().min(125)]),
        };
        match (sent, choice) {
            (Ok(()), 0 | 1 | 8) => self.messages.push(Token::Text(bytes)),
            (Ok(()), 2..=4) => self.messages.push(Token::Binary(bytes)),
            (Ok(()), 5 | 6) => self.half_sent = Some((bytes.clone(), bytes.len() / 2)),
            (Ok(()), _) => self.pings.push(Token::Ping(bytes[..bytes.len().min(125)].to_vec())),
            (Err(error), _) => assert!(matches!(error, UsageError::Full | UsageError::Closed), "{error}"),
        }
    }

    /// Takes up to `n` bytes of what it wants to have written.
    fn write(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.connection.queued());
        self.connection.outgoing().copy_to_bytes(n).to_vec()
    }

    fn read(&mut self, bytes: &[u8]) {
        assert_eq!(self.inbox.extend(bytes), bytes.len());
        while let Some(event) = self.connection.next_event(&mut self.inbox).expect("both ends keep the rules")
        {
            let token = self.seen.lent(&event);
            self.seen.tokens.extend(token);
        }
    }

    /// What it saw of one kind: messages, pings, pongs or closes.
    fn saw(&self, kind: fn(&Token) -> bool) -> Vec<Token> {
        self.seen.tokens.iter().filter(|token| kind(token)).cloned().collect()
    }
}

const fn is_message(token: &Token) -> bool {
    matches!(token, Token::Text(_) | Token::Binary(_))
}

/// Two ends send each other all there is, in pieces: it arrives, whole and in order; pings are answered, the
/// last one in any case; then one of them closes, or both.
pub fn roundtrip(data: &[u8]) {
    let mut input = Input(data);
    let agreed = input.coin().then(|| Params {
        server_no_context_takeover: input.coin(),
        client_no_context_takeover: input.coin(),
        server_max_window_bits: bits(&mut input),
        client_max_window_bits: bits(&mut input),
    });
    let mut peers = [Peer::new(true, &mut input, agreed), Peer::new(false, &mut input, agreed)];
    let closes = input.byte() % 3;
    let carry = |peers: &mut [Peer; 2], from: usize, n: usize| {
        let bytes = peers[from].write(n);
        peers[1 - from].read(&bytes);
        bytes.len()
    };
    while !input.is_empty() {
        let choice = input.byte();
        let side = usize::from(choice & 1);
        match choice >> 1 & 3 {
            0 | 1 => peers[side].send(&mut input),
            2 => drop(carry(&mut peers, side, input.number())),
            _ => drop(carry(&mut peers, side, 1 + usize::from(input.byte() % 16))),
        }
        for (here, there) in [(0, 1), (1, 0)] {
            let arrived = peers[there].saw(is_message);
            assert!(peers[here].messages.starts_with(&arrived));
        }
    }
    while carry(&mut peers, 0, 1_000) + carry(&mut peers, 1, 1_000) > 0 {}
    for side in [0, 1] {
        // The rest of a message of which one half was sent.
        if peers[side].half_sent.is_some() {
            peers[side].send(&mut input);
        }
        while carry(&mut peers, side, 777) > 0 {}
    }
    for (here, there) in [(0, 1), (1, 0)] {
        assert_eq!(peers[there].saw(is_message), peers[here].messages);
        assert_eq!(peers[there].saw(|token| matches!(token, Token::Ping(_))), peers[here].pings);
        let pongs = peers[here].saw(|token| matches!(token, Token::Pong(_)));
        match (peers[here].pings.last(), pongs.last()) {
            (Some(Token::Ping(ping)), Some(Token::Pong(pong))) => assert_eq!(ping, pong),
            (ping, pong) => assert_eq!((ping, pong), (None, None)),
        }
    }

    let codes = [CloseCode::NORMAL, CloseCode::GOING_AWAY];
    for side in [0, 1] {
        if closes == 2 || usize::from(closes) == side {
            assert_eq!(peers[side].connection.close(codes[side], "bye"), Ok(()));
        }
    }
    while carry(&mut peers, 0, 1) + carry(&mut peers, 1, 1) > 0 {}
    for (here, there) in [(0, 1), (1, 0)] {
        assert_eq!(peers[here].connection.state(), State::Closed);
        let expected = match closes {
            2 => Token::Close(Some(codes[there].0), b"bye".to_vec()),
            by if usize::from(by) == there => Token::Close(Some(codes[there].0), b"bye".to_vec()),
            by => Token::Close(Some(codes[usize::from(by)].0), Vec::new()),
        };
        assert_eq!(peers[here].saw(|token| matches!(token, Token::Close(..))), [expected]);
    }
    // 7.1.1: the server closes the transport, the client waits for that.
    assert!(peers[0].connection.is_finished() && !peers[1].connection.is_finished());
    peers[1].connection.receive_eof();
    assert!(peers[1].connection.is_finished());
    assert_eq!(decode(&peers[1].write(usize::MAX)), Some(Vec::<Frame>::new()));
}
