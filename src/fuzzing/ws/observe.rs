//! Runs a real connection over pieces of bytes and writes down what it shows, in the model's terms.
//! The tests include this file, too: they name the crate's modules at their root.
#![allow(dead_code, reason = "a test that includes this file may need less of it")]

use super::model::{Rules, Token, decode};
use crate::Inbox;
use crate::ws::deflate::{Compression, DeflateOptions, DeflateParams, WindowBits};
use crate::ws::{
    CloseCode, CloseFrame, Connection, ConnectionOptions, Event, Message, Negotiated, ProtocolError,
};
use bytes::Buf;

/// The ways in which a connection can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Whole messages, lent.
    Lent,
    /// Whole messages, lent from fixed memory of this many bytes.
    Fixed(usize),
    /// Whole messages, owned.
    Owned,
    /// Messages in parts.
    Parts,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Events, what they caused to be written, and the end.
    pub tokens: Vec<Token>,
    /// With how many bytes each of the tokens was seen.
    pub at: Vec<usize>,
    /// The error.
    pub error: Option<ProtocolError>,
    /// In parts: what came of an unfinished message, and whether it is text.
    pub partial: Option<(bool, Vec<u8>)>,
}

/// The masking key of a client under observation.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The real connection for the model's rules.
pub fn connection(rules: &Rules, config: ConnectionOptions) -> Connection {
    let config = config
        .max_frame(rules.max_frame as usize)
        .max_message(rules.max_message as usize)
        .max_fragments(rules.max_fragments as u32)
        .accept_unmasked(rules.accept_unmasked);
    if rules.server {
        Connection::server(negotiated(rules), config)
    } else {
        Connection::client(negotiated(rules), config, || KEY)
    }
}

/// What is agreed: a server keeps the window of a context, a client a state.
fn negotiated(rules: &Rules) -> Negotiated {
    let Some(takeover) = rules.deflate else { return Negotiated::default() };
    let window_bits = WindowBits::MAX;
    let compression = match rules.server {
        true => Compression::Compact { window_bits },
        false => Compression::Dedicated { window_bits, memory_level: 4 },
    };
    let params = DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        ..DeflateParams::default()
    };
    Negotiated::with_deflate(params, DeflateOptions::new(compression).threshold(0))
}

/// An inbox of any kind.
enum Received<'m> {
    Lent(Inbox),
    Fixed(Inbox<&'m mut [u8]>),
    Owned(Inbox),
}

/// Feeds the pieces, one read each, and writes down all that follows from them.
pub fn observe(rules: &Rules, front: Front, pieces: &[&[u8]]) -> Observed {
    let mut memory = vec![0; if let Front::Fixed(len) = front { len } else { 0 }];
    let mut inbox = match front {
        Front::Lent | Front::Parts => Received::Lent(Inbox::with_read_size(256)),
        Front::Fixed(_) => Received::Fixed(Inbox::over(&mut memory[..])),
        Front::Owned => Received::Owned(Inbox::with_read_size(256)),
    };
    let mut connection = connection(rules, ConnectionOptions::new().parts(front == Front::Parts));
    let (mut seen, mut fed) = (Observed::default(), 0);
    for piece in pieces {
        let mut piece = *piece;
        // A fixed inbox may take a piece bit by bit.
        loop {
            let taken = match &mut inbox {
                Received::Lent(inbox) => inbox.extend(piece),
                Received::Fixed(inbox) => inbox.extend(piece),
                Received::Owned(inbox) => inbox.extend(piece),
            };
            assert!(taken > 0 || piece.is_empty(), "no room for a message within the limits");
            piece = &piece[taken..];
            fed += taken;
            while seen.next(&mut connection, &mut inbox) {
                seen.replies(&mut connection);
                seen.at.resize(seen.tokens.len(), fed);
            }
            seen.replies(&mut connection);
            seen.at.resize(seen.tokens.len(), fed);
            if piece.is_empty() {
                break;
            }
        }
    }
    seen
}

impl Observed {
    /// Writes down one more event or error; whether there was one.
    fn next(&mut self, connection: &mut Connection, inbox: &mut Received<'_>) -> bool {
        let event = match inbox {
            Received::Lent(inbox) => connection.next_event(inbox).map(|event| event.map(|e| self.lent(&e))),
            Received::Fixed(inbox) => connection.next_event(inbox).map(|event| event.map(|e| self.lent(&e))),
            Received::Owned(inbox) => connection.next_owned(inbox).map(|m| m.map(|m| Some(owned(&m)))),
        };
        match event {
            Ok(Some(token)) => self.tokens.extend(token),
            Ok(None) => return false,
            Err(error) if self.error.is_none() => {
                self.error = Some(error);
                self.tokens.push(Token::Fail(error.close_code().0));
            }
            Err(error) => {
                assert_eq!(self.error, Some(error), "an error stays the same");
                return false;
            }
        }
        true
    }

    /// The token of a lent event; parts are put together, and have one at the end.
    pub fn lent(&mut self, event: &Event<'_>) -> Option<Token> {
        Some(match *event {
            Event::Text(text) => Token::Text(text.as_bytes().to_vec()),
            Event::Binary(payload) => Token::Binary(payload.to_vec()),
            Event::TextPart { text, fin } => return self.part(true, text.as_bytes(), fin),
            Event::BinaryPart { payload, fin } => return self.part(false, payload, fin),
            Event::Ping(payload) => Token::Ping(payload.to_vec()),
            Event::Pong(payload) => Token::Pong(payload.to_vec()),
            Event::Close(close) => close_token(close.map(|CloseFrame { code, reason }| (code, reason))),
            #[allow(unreachable_patterns, reason = "seen from the tests there may be others")]
            ref other => panic!("unknown event {other:?}"),
        })
    }

    fn part(&mut self, text: bool, bytes: &[u8], fin: bool) -> Option<Token> {
        assert!(fin || !bytes.is_empty(), "a part that is not the last has something in it");
        let partial = self.partial.get_or_insert_with(|| (text, Vec::new()));
        assert_eq!(partial.0, text, "the parts of a message are of one kind");
        partial.1.extend_from_slice(bytes);
        if !fin {
            return None;
        }
        let whole = self.partial.take().map(|(_, bytes)| bytes).unwrap_or_default();
        Some(if text { Token::Text(whole) } else { Token::Binary(whole) })
    }

    /// Writes down what is written, and the end.
    fn replies(&mut self, connection: &mut Connection) {
        let outgoing = connection.outgoing();
        let bytes = outgoing.copy_to_bytes(outgoing.remaining());
        let frames = decode(&bytes).expect("whole frames are written");
        self.tokens.extend(frames.into_iter().map(Token::Wrote));
        if connection.is_finished() && self.tokens.last() != Some(&Token::Finished) {
            self.tokens.push(Token::Finished);
        }
    }
}

fn owned(message: &Message) -> Token {
    match message {
        Message::Text(text) => Token::Text(text.as_bytes().to_vec()),
        Message::Binary(payload) => Token::Binary(payload.to_vec()),
        Message::Ping(payload) => Token::Ping(payload.to_vec()),
        Message::Pong(payload) => Token::Pong(payload.to_vec()),
        Message::Close(close) => close_token(close.as_ref().map(|(code, reason)| (*code, &reason[..]))),
        #[allow(unreachable_patterns, reason = "as above")]
        other => panic!("unknown message {other:?}"),
    }
}

fn close_token(close: Option<(CloseCode, &str)>) -> Token {
    match close {
        None => Token::Close(None, Vec::new()),
        Some((code, reason)) => Token::Close(Some(code.0), reason.as_bytes().to_vec()),
    }
}
