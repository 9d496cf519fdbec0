//! Two ends that talk to each other: what one sends the other sees.

use super::model::{Frame, Token, decode};
use super::observe::Observed;
use super::sender_model::keys;
use super::stream::Input;
use crate::Inbox;
use crate::ws::deflate::{Compression, DeflateOptions, DeflateParams, WindowBits};
use crate::ws::{
    CloseCode, Connection, ConnectionOptions, Message, Negotiated, Opcode, Prepared, State, UsageError,
};
use bytes::Buf;

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
    fn new(server: bool, input: &mut Input<'_>, agreed: Option<DeflateParams>) -> Self {
        let config = ConnectionOptions::new()
            .fragment_size(input.number() % 5_000)
            .max_outgoing(100_000)
            .parts(input.coin());
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
            0 => connection.send(&text),
            1 => connection.send(Message::from(text)),
            2 => connection.send(&bytes),
            3 => connection.send(&Prepared::binary(&bytes)),
            4 => connection.send(Message::from(bytes.clone())),
            5 | 6 => connection.send_fragment(Opcode::Binary, false, &bytes[..bytes.len() / 2]),
            8 => connection.send_plain(Message::from(text)),
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
    let agreed = input.coin().then(|| DeflateParams {
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
