//! The WebSocket core against the naive receiver, against itself in other pieces, and end to end.

mod api;
mod life;
mod model;
mod observe;
mod redial;
mod roundtrip;
mod sender_model;
mod stream;

use crate::ws::header::{Header, HeaderError, Opcode};
use model::{Rules, Token, receive, with_replies};
use observe::{Front, KEY, observe};
use stream::{Input, cut, frames};

pub use api::api;
pub use life::life;
pub use redial::redial;
pub use roundtrip::roundtrip;

/// Header: parsed as a naive reader does it, the same from every prefix, and encoded back.
pub fn header(data: &[u8]) {
    let whole = Header::parse(data);
    assert_eq!(whole, naive_header(data));
    // What was not yet known with fewer bytes becomes known once, and stays.
    let known = (0..data.len().min(14)).find(|&len| Header::parse(&data[..len]) != Ok(None));
    for len in known.unwrap_or(data.len())..=data.len().min(15) {
        if known.is_some() {
            assert_eq!(Header::parse(&data[..len]), whole);
        }
    }
    if let Ok(Some((header, len))) = whole {
        let (bytes, encoded) = header.encode();
        assert_eq!(bytes[..encoded], data[..len]);
    }
}

/// RFC 6455 5.2 with numbers of any size.
fn naive_header(data: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let bit = |byte: usize, bit: u8| data[byte] >> (7 - bit) & 1 == 1;
    if data.is_empty() {
        return Ok(None);
    }
    let bits = data[0] & 0x0f;
    let opcode = match bits {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(HeaderError::ReservedOpcode(bits)),
    };
    let fin = bit(0, 0);
    if bits >= 8 && !fin {
        return Err(HeaderError::FragmentedControl);
    }
    if data.len() < 2 {
        return Ok(None);
    }
    let masked = bit(1, 0);
    let short = u128::from(data[1] % 128);
    if bits >= 8 && short > 125 {
        return Err(HeaderError::ControlTooLong);
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if data.len() < 2 + extended {
        return Ok(None);
    }
    let mut len = if extended == 0 { short } else { 0 };
    for byte in &data[2..2 + extended] {
        len = len * 256 + u128::from(*byte);
    }
    if len >= 1 << 63 {
        return Err(HeaderError::LengthTopBit);
    }
    if (extended == 2 && len < 126) || (extended == 8 && len < 65_536) {
        return Err(HeaderError::LengthNotMinimal);
    }
    let end = 2 + extended + if masked { 4 } else { 0 };
    if data.len() < end {
        return Ok(None);
    }
    let mask = masked.then(|| [data[end - 4], data[end - 3], data[end - 2], data[end - 1]]);
    let rsv = u8::from(bit(0, 1)) * 4 + u8::from(bit(0, 2)) * 2 + u8::from(bit(0, 3));
    Ok(Some((Header { fin, rsv, opcode, mask, payload_len: len as u64 }, end)))
}

/// A server that receives.
pub fn server_receive(data: &[u8]) {
    against_the_model(data, true);
}

/// A client that receives.
pub fn client_receive(data: &[u8]) {
    against_the_model(data, false);
}

/// Limits, small ones more often than not.
fn rules(input: &mut Input<'_>, server: bool) -> Rules {
    let limits = input.byte();
    let mut limit =
        |bit: u8, small: u64| if limits >> bit & 1 == 1 { input.number() as u64 % small } else { 1 << 24 };
    Rules {
        server,
        max_frame: limit(0, 20_000),
        max_message: limit(1, 40_000),
        max_fragments: limit(2, 8),
        accept_unmasked: server && limits >> 3 & 3 == 3,
        deflate: [None, None, Some(false), Some(true)][usize::from(limits >> 5 & 3)],
    }
}

/// The same events as the naive receiver; and, byte by byte unless there are many, at the same bytes.
fn against_the_model(data: &[u8], server: bool) {
    let mut input = Input(data);
    let rules = rules(&mut input, server);
    let front = match input.byte() % 3 {
        0 => Front::Lent,
        1 => Front::Owned,
        _ => Front::Parts,
    };
    let stream = frames(&mut input, &rules);
    let expected = receive(&rules, &stream);
    let bytewise = stream.len() <= 5_000;
    let pieces = if bytewise { stream.chunks(1).collect() } else { cut(&stream, stream.len() as u64) };
    let observed = observe(&rules, front, &pieces);
    let (at, events): (Vec<usize>, Vec<Token>) = expected.tokens.into_iter().unzip();
    assert_eq!(observed.tokens, with_replies(&rules, events, KEY));
    let is_event = |token: &Token| !matches!(token, Token::Wrote(_) | Token::Finished);
    let seen =
        observed.tokens.iter().zip(&observed.at).filter(|(token, _)| is_event(token)).map(|(_, at)| *at);
    assert!(!bytewise || seen.eq(at));
    if front == Front::Parts {
        assert_eq!(observed.partial, expected.partial);
    }
}

/// However the bytes are cut and by whichever front end they are read: the same events, output, error.
pub fn split_diff(data: &[u8]) {
    let mut input = Input(data);
    let server = input.coin();
    let rules = rules(&mut input, server);
    let seed = input.number() as u64;
    let stream = frames(&mut input, &rules);
    let whole = observe(&rules, Front::Lent, &[&stream]);
    // Fixed memory that just holds a message within the limits and a control frame besides.
    let fixed = rules.max_message.min(1 << 19) as usize + 14 + 125 + 6;
    for (front, seed) in [
        (Front::Lent, seed),
        (Front::Fixed(fixed), seed + 1),
        (Front::Owned, seed + 2),
        (Front::Parts, seed + 3),
        (Front::Parts, seed + 4),
    ] {
        let observed = observe(&rules, front, &cut(&stream, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert_eq!(observed.tokens, whole.tokens, "{front:?}");
        assert_eq!(observed.error, whole.error, "{front:?}");
    }
}
