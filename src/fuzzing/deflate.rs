//! permessage-deflate against an inflate and a parameter parser as plain as they come.

use crate::ws::deflate::{
    Compression, DeflateOptions, DeflateParams, Deflater, Direction, InflateError, Inflater, Pool, Terms,
    WindowBits, negotiate, offer, verify,
};
use crate::ws::handshake::fields::{MAX_EXTENSIONS, MAX_PARAMETERS, extensions};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

/// What the first bytes of the input decide.
struct Choices {
    direction: Direction,
    options: DeflateOptions,
    limit: usize,
    cut: NonZeroUsize,
    room: usize,
}

fn choices(bytes: [u8; 5]) -> Choices {
    let [policy, bits, limit, cut, room] = bytes;
    let window_bits = WindowBits::new(8 + bits % 8).unwrap();
    let compression = match policy % 3 {
        0 => Compression::Shared,
        1 => Compression::Compact { window_bits },
        _ => Compression::Dedicated { window_bits, memory_level: 1 + bits % 9 },
    };
    Choices {
        direction: Direction { context_takeover: policy & 0x80 != 0, window_bits },
        options: DeflateOptions::new(compression).level(bits / 8 % 10).pool(Pool::new(1)),
        limit: usize::from(limit) * usize::from(limit),
        cut: NonZeroUsize::new(usize::from(cut) + 1).unwrap(),
        room: usize::from(room) * 16 + 1,
    }
}

/// Two messages into an [`Inflater`], cut as the input says, against [`Naive`].
pub fn inflate(data: &[u8]) {
    let Some((&[split, head @ ..], payloads)) = data.split_first_chunk::<6>() else { return };
    let mut choices = choices(head);
    // Where the window is smaller than what the engine has, it depends on the policy how far back one may
    // refer.
    choices.direction.window_bits = WindowBits::MAX;
    let mut inflater = Inflater::new(choices.direction, &choices.options, choices.limit);
    let mut window = Vec::new();
    let (first, second) = payloads.split_at(usize::from(split).min(payloads.len()));
    for payload in [first, second] {
        if !choices.direction.context_takeover {
            window.clear();
        }
        let expected = naive(payload, &mut window, choices.limit, 32_768);
        let outcome = pieces(&mut inflater, payload, choices.cut.get(), choices.room);
        match (&expected, &outcome) {
            (Ok(expected), Ok(message)) => assert_eq!(expected, message),
            (Err(Fault::TooBig), Err(InflateError::TooBig)) => return,
            (Err(Fault::Bad), Err(InflateError::Data | InflateError::Truncated)) => return,
            other => panic!("{other:?}"),
        }
    }
}

fn pieces(inflater: &mut Inflater, payload: &[u8], cut: usize, room: usize) -> Result<Vec<u8>, InflateError> {
    let mut message = Vec::new();
    let mut rest = payload;
    loop {
        let (mut piece, behind) = rest.split_at(cut.min(rest.len()));
        rest = behind;
        loop {
            let before = message.len();
            let progress = inflater.inflate(piece, &mut message, room, rest.is_empty())?;
            assert!(message.len() - before <= room);
            assert!(progress.done || message.len() - before == room, "stopped for nothing");
            piece = &piece[progress.consumed..];
            if progress.done {
                assert!(piece.is_empty());
                break;
            }
        }
        if rest.is_empty() {
            return Ok(message);
        }
    }
}

/// Fragments into a [`Deflater`]; [`Naive`] gets them back from a window of the agreed size.
pub fn deflate(data: &[u8]) {
    let Some((&head, mut script)) = data.split_first_chunk::<5>() else { return };
    let choices = choices(head);
    let window_len = choices.direction.window_bits.window_len();
    let mut deflater = Deflater::new(choices.direction, &choices.options);
    let (mut payload, mut message, mut window) = (Vec::new(), Vec::new(), Vec::new());
    let mut said = VecDeque::new();
    // Each step: what to do, how many bytes, the bytes.
    while let [what, len, rest @ ..] = script {
        let (fragment, behind) = rest.split_at(usize::from(*len).min(rest.len()));
        script = behind;
        // Short inputs say much: a fragment is repeated, and what was said before comes again.
        let mut bytes = fragment.repeat(1 + usize::from(what >> 4));
        if what & 1 != 0 {
            bytes.extend(said.iter());
        }
        said.extend(&bytes);
        said.drain(..said.len().saturating_sub(2000));
        let end = what & 2 != 0;
        deflater.deflate(&bytes, &mut payload, end);
        message.extend(bytes);
        if what & 4 != 0 {
            deflater.release();
        }
        if end {
            if !choices.direction.context_takeover {
                window.clear();
            }
            assert!(!payload.ends_with(&[0, 0, 0xff, 0xff]));
            assert_eq!(
                naive(&payload, &mut window, usize::MAX, window_len),
                Ok(core::mem::take(&mut message))
            );
            payload.clear();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Not a compressed message.
    Bad,
    /// The limit was passed first.
    TooBig,
}

/// RFC 7692 7.2.2 in one go: the tail put back, everything inflated. `window`: what came before, all of it.
fn naive(payload: &[u8], window: &mut Vec<u8>, limit: usize, reach: usize) -> Result<Vec<u8>, Fault> {
    let stream = [payload, &[0, 0, 0xff, 0xff]].concat();
    let before = window.len();
    let mut naive = Naive { stream: &stream, at: 0, out: window, most: before.saturating_add(limit), reach };
    let end = naive.blocks().map(|()| naive.out.len());
    let message = window[before..].to_vec();
    end.map(|_| message)
}

/// RFC 1951, a bit at a time.
struct Naive<'a> {
    stream: &'a [u8],
    /// In bits.
    at: usize,
    out: &'a mut Vec<u8>,
    most: usize,
    reach: usize,
}

impl Naive<'_> {
    fn blocks(&mut self) -> Result<(), Fault> {
        loop {
            let last = self.bits(1)? == 1;
            match self.bits(2)? {
                0 => {
                    self.at = self.at.next_multiple_of(8);
                    let len = self.bits(16)?;
                    if self.bits(16)? != !len & 0xffff {
                        return Err(Fault::Bad);
                    }
                    for _ in 0..len {
                        let byte = self.bits(8)? as u8;
                        self.put(byte)?;
                    }
                }
                1 => {
                    let mut literals = [8; 288];
                    literals[144..256].fill(9);
                    literals[256..280].fill(7);
                    self.codes(&literals, &[5; 32])?;
                }
                2 => {
                    let (literals, distances) = self.tables()?;
                    self.codes(&literals, &distances)?;
                }
                _ => return Err(Fault::Bad),
            }
            // The block that the tail completes is the last one, wherever in the last byte it ends.
            if self.at > (self.stream.len() - 1) * 8 {
                return Ok(());
            }
            if last {
                self.at = self.at.next_multiple_of(8);
            }
        }
    }

    fn bits(&mut self, count: usize) -> Result<usize, Fault> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.stream.get(self.at / 8).ok_or(Fault::Bad)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }

    fn put(&mut self, byte: u8) -> Result<(), Fault> {
        // What only the tail completes was not there.
        if self.at > (self.stream.len() - 4) * 8 {
            return Err(Fault::Bad);
        }
        if self.out.len() >= self.most {
            return Err(Fault::TooBig);
        }
        self.out.push(byte);
        Ok(())
    }

    /// By canonical codes in the order of their lengths.
    fn symbol(&mut self, lengths: &[u8]) -> Result<usize, Fault> {
        let (mut code, mut next) = (0, 0);
        for len in 1..=15 {
            code = code << 1 | self.bits(1)?;
            next <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &l)| l == len) {
                if next == code {
                    return Ok(symbol);
                }
                next += 1;
            }
        }
        Err(Fault::Bad)
    }

    fn codes(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), Fault> {
        loop {
            let symbol = self.symbol(literals)?;
            let len = match symbol {
                0..=255 => {
                    self.put(symbol as u8)?;
                    continue;
                }
                256 => return Ok(()),
                257..=264 => symbol - 254,
                265..=284 => {
                    let extra = (symbol - 261) / 4;
                    3 + ((4 + (symbol - 261) % 4) << extra) + self.bits(extra)?
                }
                285 => 258,
                _ => return Err(Fault::Bad),
            };
            let code = self.symbol(distances)?;
            let distance = match code {
                0..=3 => code + 1,
                4..=29 => {
                    let extra = code / 2 - 1;
                    1 + ((2 + code % 2) << extra) + self.bits(extra)?
                }
                _ => return Err(Fault::Bad),
            };
            if distance > self.out.len().min(self.reach) {
                return Err(Fault::Bad);
            }
            for _ in 0..len {
                self.put(self.out[self.out.len() - distance])?;
            }
        }
    }

    fn tables(&mut self) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances, codes) = (self.bits(5)? + 257, self.bits(5)? + 1, self.bits(4)? + 4);
        if literals > 286 || distances > 30 {
            return Err(Fault::Bad);
        }
        let mut code_lengths = [0; 19];
        for place in &ORDER[..codes] {
            code_lengths[*place] = self.bits(3)? as u8;
        }
        if unused(&code_lengths) != 0 {
            return Err(Fault::Bad);
        }
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (value, times) = match self.symbol(&code_lengths)? {
                16 => (*lengths.last().ok_or(Fault::Bad)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                len => (len as u8, 1),
            };
            lengths.extend(core::iter::repeat_n(value, times));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(Fault::Bad);
        }
        let distances = lengths.split_off(literals);
        // RFC 1951 3.2.7: one distance code, or none, is no fault; zlib allows the same of literals.
        for lengths in [&lengths, &distances] {
            let one_bit = lengths.iter().all(|&len| len <= 1);
            if unused(lengths) < 0 || (unused(lengths) > 0 && !one_bit) {
                return Err(Fault::Bad);
            }
        }
        Ok((lengths, distances))
    }
}

/// How much of all codes is left over, in units of a code of 15 bits; negative if there are too many.
fn unused(lengths: &[u8]) -> i64 {
    let used: i64 = lengths.iter().filter(|&&len| len > 0).map(|&len| 1 << (15 - len)).sum();
    (1 << 15) - used
}

/// Offers and answers against [`elements`] and a reading of RFC 7692 7.1 by names and numbers.
pub fn negotiation(data: &[u8]) {
    let Some((&[flags, server, client], value)) = data.split_first_chunk::<3>() else { return };
    let bits = |byte: u8| WindowBits::new(byte % 16);
    let terms = Terms {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: bits(server),
        client_max_window_bits: bits(client),
    };
    let list = elements(value);

    let answer = negotiate(&terms, extensions(value));
    let chosen = list.as_ref().and_then(|list| list.iter().flatten().find_map(|element| read(element, true)));
    assert_eq!(answer.is_some(), chosen.is_some());
    if let (Some((params, answer)), Some(offered)) = (answer, chosen) {
        assert_eq!(verify(&[offered], extensions(answer.as_bytes())), Ok(Some(params)), "{answer}");
        assert!(params.server_no_context_takeover >= terms.server_no_context_takeover);
        assert!(params.client_no_context_takeover >= terms.client_no_context_takeover);
        assert!(terms.server_max_window_bits.is_none_or(|wished| params.server_max_window_bits <= wished));
        if offered.client_max_window_bits.is_some() {
            assert!(
                terms.client_max_window_bits.is_none_or(|wished| params.client_max_window_bits <= wished)
            );
        }
    }

    let read = match list.as_deref() {
        Some([]) => Ok(None),
        Some([Some(element)]) => {
            read(element, false).and_then(|answer| agreed(&terms, &answer)).map(Some).ok_or(())
        }
        _ => Err(()),
    };
    assert_eq!(verify(&[terms], extensions(value)).map_err(|_| ()), read);

    // What is written can be read.
    let written = offer(&[terms]);
    let read_back = elements(written.as_bytes()).unwrap();
    assert_eq!(self::read(read_back[0].as_ref().unwrap(), true), Some(terms));
}

type Element = (String, Vec<(String, Option<String>)>);

/// RFC 6455 9.1, by words. `None`: not a list; an element that is `None` has a value that cannot be used.
fn elements(value: &[u8]) -> Option<Vec<Option<Element>>> {
    let mut words: Vec<String> = Vec::new();
    let mut bytes = value.iter().map(|&byte| char::from(byte)).peekable();
    while let Some(first) = bytes.next() {
        let mut word = String::from(first);
        match first {
            ' ' | '\t' => continue,
            ',' | ';' | '=' => {}
            '"' => loop {
                match bytes.next()? {
                    '"' => break,
                    '\\' => word.push(Some(bytes.next()?).filter(text)?),
                    inside => word.push(Some(inside).filter(text)?),
                }
            },
            _ if token(first) => {
                while let Some(next) = bytes.next_if(|&next| token(next)) {
                    word.push(next);
                }
            }
            _ => return None,
        }
        words.push(word);
    }
    let mut list = Vec::new();
    for element in words.split(|word| word == ",").filter(|element| !element.is_empty()) {
        let mut usable = true;
        let mut parts = element.split(|word| word == ";");
        let name = match parts.next()? {
            [name] if name.chars().all(token) => name.clone(),
            _ => return None,
        };
        let mut parameters = Vec::new();
        for part in parts {
            let (name, value) = match part {
                [name] => (name, None),
                [name, equals, value] if equals == "=" => (name, Some(value.clone())),
                _ => return None,
            };
            let value = match value {
                Some(quoted) if quoted.starts_with('"') => {
                    usable &= quoted.len() > 1 && quoted[1..].chars().all(token);
                    Some(String::from(&quoted[1..]))
                }
                Some(value) if !value.chars().all(token) => return None,
                value => value,
            };
            if !name.chars().all(token) {
                return None;
            }
            parameters.push((name.clone(), value));
        }
        if parameters.len() > MAX_PARAMETERS {
            return None;
        }
        list.push(usable.then_some((name, parameters)));
    }
    (list.len() <= MAX_EXTENSIONS).then_some(list)
}

fn token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn text(c: &char) -> bool {
    *c == '\t' || (*c >= ' ' && *c != '\u{7f}')
}

/// RFC 7692 7.1. `None`: another extension, or a fault.
fn read((name, parameters): &Element, offer: bool) -> Option<Terms> {
    let get =
        |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_deref());
    let flag = |wanted| match get(wanted) {
        None => Some(false),
        Some(None) => Some(true),
        Some(Some(_)) => None,
    };
    let bits = |wanted, bare| match get(wanted) {
        None => Some(None),
        Some(None) if bare => Some(WindowBits::new(15)),
        Some(None) => None,
        Some(Some(value)) => {
            let at = ["8", "9", "10", "11", "12", "13", "14", "15"]
                .iter()
                .position(|&allowed| allowed == value)?;
            Some(WindowBits::new(8 + at as u8))
        }
    };
    let terms = Terms {
        server_no_context_takeover: flag("server_no_context_takeover")?,
        client_no_context_takeover: flag("client_no_context_takeover")?,
        server_max_window_bits: bits("server_max_window_bits", false)?,
        client_max_window_bits: bits("client_max_window_bits", offer)?,
    };
    let known = usize::from(terms.server_no_context_takeover)
        + usize::from(terms.client_no_context_takeover)
        + usize::from(terms.server_max_window_bits.is_some())
        + usize::from(terms.client_max_window_bits.is_some());
    (name == "permessage-deflate" && parameters.len() == known).then_some(terms)
}

fn agreed(offered: &Terms, answer: &Terms) -> Option<DeflateParams> {
    let number = |bits: Option<WindowBits>| bits.map_or(15, WindowBits::get);
    let server = number(answer.server_max_window_bits);
    let client = number(answer.client_max_window_bits).min(number(offered.client_max_window_bits));
    let fits = answer.server_no_context_takeover >= offered.server_no_context_takeover
        && answer.server_max_window_bits.is_some() >= offered.server_max_window_bits.is_some()
        && server <= number(offered.server_max_window_bits)
        && answer.client_max_window_bits.is_some() <= offered.client_max_window_bits.is_some()
        && answer.client_max_window_bits.is_none_or(|bits| bits.get() == client);
    fits.then(|| DeflateParams {
        server_no_context_takeover: answer.server_no_context_takeover,
        client_no_context_takeover: answer.client_no_context_takeover || offered.client_no_context_takeover,
        server_max_window_bits: WindowBits::new(server).unwrap(),
        client_max_window_bits: WindowBits::new(client).unwrap(),
    })
}
