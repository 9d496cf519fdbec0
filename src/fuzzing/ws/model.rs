//! A receiver written straight from RFC 6455, one byte after the other into whole `Vec`s: slow, plain,
//! and sharing nothing with the real one. Included by the tests as well.
#![allow(dead_code, reason = "a test that includes this file may need less of it")]

#[path = "../inflate.rs"]
mod inflate;

use inflate::Plain;

/// What the receiver enforces.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether this is the server's end.
    pub server: bool,
    /// Whether a server takes unmasked frames.
    pub accept_unmasked: bool,
    /// Largest payload of a data frame.
    pub max_frame: u64,
    /// Largest message.
    pub max_message: u64,
    /// Most frames of a message.
    pub max_fragments: u64,
    /// Whether permessage-deflate is agreed, and then whether messages may refer to earlier ones.
    pub deflate: Option<bool>,
}

impl Rules {
    /// Without settings of its own.
    pub const fn defaults(server: bool) -> Self {
        Self {
            server,
            accept_unmasked: false,
            max_frame: 16 << 20,
            max_message: 16 << 20,
            max_fragments: 131_072,
            deflate: None,
        }
    }
}

/// What a connection shows to the outside, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A whole text message.
    Text(Vec<u8>),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame, with its code if it had one, and its reason.
    Close(Option<u16>, Vec<u8>),
    /// The peer broke the protocol; the close code that says how.
    Fail(u16),
    /// A frame was written.
    Wrote(Frame),
    /// All is done: the transport is to be closed.
    Finished,
}

/// A frame as it was written, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte.
    pub first: u8,
    /// Its masking key.
    pub key: Option<[u8; 4]>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What became of received bytes.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events, and whether it failed: each with the number of bytes after which it was known.
    pub tokens: Vec<(usize, Token)>,
    /// Whether the message in progress at the end is text, and what was received of it, up to the
    /// last whole character.
    pub partial: Option<(bool, Vec<u8>)>,
}

/// The message in progress.
struct Message {
    text: bool,
    fragments: u64,
    payload: Vec<u8>,
    /// Bytes of `payload` known to be UTF-8.
    valid: usize,
    /// Its bytes on the wire, if it is compressed.
    compressed: Option<u64>,
}

/// RFC 7692 7.2.2: the stream, fed byte by byte, and all that came out of it before.
struct Context(Plain);

impl Context {
    fn new() -> Self {
        Self(Plain::new())
    }

    /// What one more byte stands for, and whether there is a fault behind that.
    fn byte(&mut self, byte: u8) -> (Vec<u8>, bool) {
        self.0.byte(byte)
    }

    /// Whether a message may end here: behind the tail a block with an `x` in it can be read as such.
    fn end(&mut self) -> bool {
        let block = [0, 0, 0xff, 0xff, 1, 1, 0, 0xfe, 0xff];
        let ends = block.into_iter().all(|byte| self.byte(byte) == (Vec::new(), false));
        let ends = ends && self.byte(b'x') == (b"x".to_vec(), false);
        self.0.history.pop();
        self.0.restart();
        ends
    }
}

/// Receives `bytes`.
pub fn receive(rules: &Rules, bytes: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut message = None;
    let mut context = None;
    let mut frame = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        frame.push(*byte);
        let seen = match after_byte(rules, &frame, &mut message, &mut context) {
            Ok(None) => continue,
            Ok(Some(seen)) => {
                frame.clear();
                seen
            }
            Err(code) => Some(Token::Fail(code)),
        };
        let Some(seen) = seen else { continue };
        let over = matches!(seen, Token::Fail(_) | Token::Close(..));
        outcome.tokens.push((at + 1, seen));
        if over {
            break;
        }
    }
    if let Some(message) = message {
        let len = if message.text { message.valid } else { message.payload.len() };
        if len > 0 {
            outcome.partial = Some((message.text, message.payload[..len].to_vec()));
        }
    }
    outcome
}

/// Judges a frame after each of its bytes. `Some` when it is complete, with what it amounts to.
fn after_byte(
    rules: &Rules,
    frame: &[u8],
    message: &mut Option<Message>,
    context: &mut Option<Context>,
) -> Result<Option<Option<Token>>, u16> {
    let have = frame.len();
    let (fin, reserved, opcode) = (frame[0] & 0x80 != 0, frame[0] & 0x70 != 0, frame[0] & 0x0f);
    let control = opcode >= 8;
    // RFC 7692 6: RSV1 alone, on the first frame of a message.
    let compressed = rules.deflate.is_some() && frame[0] & 0x70 == 0x40 && matches!(opcode, 1 | 2);
    let reserved = reserved && !compressed;
    if have == 1 {
        // 5.2: reserved bits and opcodes; 5.4: fragmentation; 5.5: control frames are not fragmented.
        let known = matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
        let expected = control || (opcode == 0) == message.is_some();
        return if reserved || !known || (control && !fin) || !expected { Err(1002) } else { Ok(None) };
    }
    let masked = frame[1] & 0x80 != 0;
    let short = frame[1] & 0x7f;
    if have == 2 {
        // 5.1: masking; 5.5: at most 125 bytes; 5.5.1: a close code has two.
        let allowed = if rules.server { masked || rules.accept_unmasked } else { !masked };
        if !allowed || (control && short > 125) || (opcode == 8 && short == 1) {
            return Err(1002);
        }
    }
    let before_key = match short {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    if have < before_key {
        return Ok(None);
    }
    let len = match short {
        126 | 127 => frame[2..before_key].iter().fold(0, |len: u64, byte| len << 8 | u64::from(*byte)),
        _ => u64::from(short),
    };
    if have == before_key {
        // 5.2: the shortest form, and 63 bits.
        if (short == 126 && len < 126) || (short == 127 && !(65_536..1 << 63).contains(&len)) {
            return Err(1002);
        }
        // 10.4: the limits.
        if !control {
            let (fragments, size, compressed) =
                message.as_ref().map_or((0, 0, compressed), |message| match message.compressed {
                    Some(size) => (message.fragments, size, true),
                    None => (message.fragments, message.payload.len() as u64, false),
                });
            let slack = if compressed { rules.max_message / 8 + 1024 } else { 0 };
            if fragments + 1 > rules.max_fragments {
                return Err(1008);
            }
            if len > rules.max_frame || len + size > rules.max_message + slack {
                return Err(1009);
            }
        }
    }
    let header = before_key + if masked { 4 } else { 0 };
    if have < header {
        return Ok(None);
    }
    let key: Vec<u8> = if masked { frame[before_key..header].to_vec() } else { vec![0; 4] };
    let complete = (have - header) as u64 == len;
    if control {
        if !complete {
            return Ok(None);
        }
        let payload: Vec<u8> = unmask(&frame[header..], &key);
        return Ok(Some(Some(match opcode {
            8 => close(payload)?,
            9 => Token::Ping(payload),
            _ => Token::Pong(payload),
        })));
    }
    if have == header {
        if opcode != 0 {
            if rules.deflate == Some(false) {
                *context = None;
            }
            let compressed = compressed.then_some(0);
            *message =
                Some(Message { text: opcode == 1, fragments: 0, payload: Vec::new(), valid: 0, compressed });
        }
        if let Some(message) = message {
            message.fragments += 1;
        }
    } else if let Some(message) = message {
        let nth = have - header - 1;
        let byte = frame[have - 1] ^ key[nth % 4];
        let mut fault = None;
        if let Some(size) = &mut message.compressed {
            *size += 1;
            let (mut bytes, damaged) = context.get_or_insert_with(Context::new).byte(byte);
            let most = rules.max_message as usize - message.payload.len();
            fault = match damaged {
                _ if bytes.len() > most => Some(1009),
                true => Some(1007),
                false => None,
            };
            bytes.truncate(most);
            message.payload.append(&mut bytes);
        } else {
            message.payload.push(byte);
        }
        if message.text {
            check_text(message)?;
        }
        if let Some(code) = fault {
            return Err(code);
        }
    }
    if !complete {
        return Ok(None);
    }
    if !fin {
        return Ok(Some(None));
    }
    match message.as_ref() {
        Some(whole) if whole.compressed.is_some() && !context.get_or_insert_with(Context::new).end() => {
            Err(1007)
        }
        // 8.1: the last character must be whole.
        Some(whole) if whole.text && whole.valid < whole.payload.len() => Err(1007),
        _ => Ok(Some(message.take().map(|message| {
            if message.text { Token::Text(message.payload) } else { Token::Binary(message.payload) }
        }))),
    }
}

/// 8.1: text must be UTF-8, as far as it goes.
fn check_text(message: &mut Message) -> Result<(), u16> {
    match std::str::from_utf8(&message.payload[message.valid..]) {
        Ok(text) => message.valid += text.len(),
        Err(error) => {
            // One compressed byte may stand for text, and what is none behind it.
            message.valid += error.valid_up_to();
            if error.error_len().is_some() {
                return Err(1007);
            }
        }
    }
    Ok(())
}

/// 5.5.1, 7.4: the payload of a close frame.
fn close(payload: Vec<u8>) -> Result<Token, u16> {
    if payload.is_empty() {
        return Ok(Token::Close(None, Vec::new()));
    }
    let code = u16::from(payload[0]) << 8 | u16::from(payload[1]);
    let reserved = [1004, 1005, 1006, 1015].contains(&code);
    if !(1000..5000).contains(&code) || (1016..3000).contains(&code) || reserved {
        return Err(1002);
    }
    match std::str::from_utf8(&payload[2..]) {
        Ok(reason) => Ok(Token::Close(Some(code), reason.as_bytes().to_vec())),
        Err(_) => Err(1007),
    }
}

/// XORs the payload with the key, byte by byte (5.3).
pub fn unmask(payload: &[u8], key: &[u8]) -> Vec<u8> {
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// The close frame's payload that answers or reports `code`.
pub fn close_payload(code: Option<u16>) -> Vec<u8> {
    code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec())
}

/// Adds to the events what is written in answer, when everything is written at once: 5.5.2 pongs, 5.5.1
/// the echo of a close, 7.1.7 the close of a failure; and the end, which a client leaves to the server.
pub fn with_replies(rules: &Rules, events: impl IntoIterator<Item = Token>, key: [u8; 4]) -> Vec<Token> {
    let key = if rules.server { None } else { Some(key) };
    let mut tokens = Vec::new();
    for event in events {
        let reply = match &event {
            Token::Ping(payload) => Some((0x8a, payload.clone())),
            Token::Close(code, _) => Some((0x88, close_payload(*code))),
            Token::Fail(code) => Some((0x88, close_payload(Some(*code)))),
            _ => None,
        };
        let finished = match &event {
            Token::Close(..) => rules.server,
            event => matches!(event, Token::Fail(_)),
        };
        tokens.push(event);
        tokens.extend(reply.map(|(first, payload)| Token::Wrote(Frame { first, key, payload })));
        tokens.extend(finished.then_some(Token::Finished));
    }
    tokens
}

/// Encodes a frame as 5.2 draws it.
pub fn encode(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(mask | len as u8),
        len @ 126..=65_535 => {
            frame.push(mask | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key.unwrap_or_default().iter().take(if key.is_some() { 4 } else { 0 }));
    frame.extend(unmask(payload, &key.unwrap_or_default()));
    frame
}

/// Takes written bytes apart into frames; `None` if they are not whole frames in their shortest form.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (len, at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
            len => (usize::from(len), 2),
        };
        let (key, at) = match second & 0x80 {
            0 => (None, at),
            _ => (Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?), at + 4),
        };
        let end = at.checked_add(len)?;
        let payload = unmask(bytes.get(at..end)?, &key.unwrap_or_default());
        if encode(first, key, &payload) != bytes[..end] {
            return None;
        }
        frames.push(Frame { first, key, payload });
        bytes = &bytes[end..];
    }
    Some(frames)
}
