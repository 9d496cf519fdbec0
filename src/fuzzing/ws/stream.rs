//! Turns a fuzzer's bytes into streams of frames: mostly valid ones, so that the fuzzer gets deep, some
//! of them damaged. What a frame carries stands unmasked in the fuzzer's bytes.

use super::model::{Rules, encode, unmask};
use crate::ws::deflate::{Compression, DeflateOptions, Deflater, Direction, WindowBits};

/// The fuzzer's bytes, taken off the front; zeros when there are no more.
#[derive(Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Two bytes, as a number.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// One byte, as a choice.
    pub fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len.min(self.0.len()));
        self.0 = tail;
        head
    }

    /// A payload of a length at which something changes, or any other.
    pub fn payload(&mut self) -> Vec<u8> {
        let len = match self.byte() {
            kind @ 0..=127 => usize::from(kind % 16),
            128..=175 => usize::from(self.byte() % 140),
            176..=207 => self.number() % 1_000,
            208..=239 => 120 + usize::from(self.byte() % 16),
            240..=250 => 4_090 + usize::from(self.byte() % 16),
            251..=254 => 16_380 + usize::from(self.byte() % 16),
            255 => 65_530 + usize::from(self.byte() % 16),
        };
        // A long payload is a short piece again and again.
        let piece = self.take(len.min(64));
        let piece = if piece.is_empty() { b"x" } else { piece };
        piece.iter().copied().cycle().take(len).collect()
    }

    /// As [`payload`](Self::payload), of characters of all widths.
    pub fn text(&mut self) -> String {
        let characters =
            ['a', '\u{7f}', '\u{80}', '\u{e4}', '\u{800}', '\u{20ac}', '\u{ffff}', '\u{1f600}', '\u{10ffff}'];
        self.payload()
            .iter()
            .take(20_000)
            .map(|byte| characters[usize::from(*byte) % characters.len()])
            .collect()
    }
}

/// What compresses the messages of a stream, if that is agreed.
fn deflater(input: &mut Input<'_>, rules: &Rules) -> Option<Deflater> {
    let context_takeover = rules.deflate?;
    let window_bits = WindowBits::new(8 + input.byte() % 8)?;
    let policy = Compression::Dedicated { window_bits, memory_level: 1 };
    let options = DeflateOptions::new(policy).level(input.byte() % 10);
    Some(Deflater::new(Direction { context_takeover, window_bits }, &options))
}

/// A stream of frames as a peer under these rules might send it.
pub fn frames(input: &mut Input<'_>, rules: &Rules) -> Vec<u8> {
    let server = rules.server;
    let mut deflater = deflater(input, rules);
    let mut compressed = false;
    let mut stream = Vec::new();
    // What is left of a text that was cut into fragments, anywhere; or whether binary is in progress.
    let (mut in_progress, mut text) = (false, Vec::new());
    while !input.is_empty() && stream.len() < 100_000 {
        let key = server.then(|| if input.coin() { [0; 4] } else { [0x37, 0xfa, 0x21, 0x3d] });
        let choice = input.byte() % 32;
        let control =
            |opcode: u8, payload: &[u8]| encode(0x80 | opcode, key, &payload[..payload.len().min(125)]);
        let mut frame = match choice {
            0..=3 => control(9 + (choice & 1), &input.payload()),
            4 => {
                let code = match input.byte() % 4 {
                    0 => (input.number() as u16).to_be_bytes().to_vec(),
                    1 => Vec::new(),
                    _ => (1000 + u16::from(input.byte() % 20)).to_be_bytes().to_vec(),
                };
                control(8, &[code, input.text().into_bytes()].concat()[..])
            }
            5 => input.take(16).to_vec(),
            _ => {
                let fin = choice > 14;
                let opcode = match in_progress {
                    true => 0,
                    false => 1 + (choice & 1),
                };
                if opcode == 1 {
                    text = input.text().into_bytes();
                }
                let mut payload =
                    if text.is_empty() { input.payload() } else { fragment(&mut text, fin, input) };
                let mut first = u8::from(fin) << 7 | opcode;
                if let Some(deflater) = &mut deflater {
                    if !in_progress {
                        compressed = input.byte() % 4 > 0;
                        first |= u8::from(compressed) << 6;
                    }
                    // Or what the fuzzer takes for compressed.
                    if compressed && input.byte() % 16 > 0 {
                        let plain = std::mem::take(&mut payload);
                        deflater.deflate(&plain, &mut payload, fin);
                    }
                }
                in_progress = !fin;
                if fin {
                    text.clear();
                }
                encode(first, key, &payload)
            }
        };
        if input.byte() < 12 {
            damage(&mut frame, input);
        }
        stream.append(&mut frame);
    }
    if input.byte() < 64 {
        let cut = stream.len() - input.number().min(stream.len());
        stream.truncate(cut);
    }
    stream
}

/// The next fragment of a text: all of it if it is the last one.
fn fragment(text: &mut Vec<u8>, fin: bool, input: &mut Input<'_>) -> Vec<u8> {
    let len = if fin { text.len() } else { input.number() % (text.len() + 1) };
    let rest = text.split_off(len);
    std::mem::replace(text, rest)
}

/// Makes one thing wrong, perhaps.
fn damage(frame: &mut Vec<u8>, input: &mut Input<'_>) {
    if frame.len() < 2 {
        return;
    }
    match input.byte() % 8 {
        0 => frame[0] ^= 1 << (input.byte() % 8),
        1 => frame[1] ^= 1 << (input.byte() % 8),
        2 => {
            // Longer than it need be.
            let len = frame[1] & 0x7f;
            if len < 126 {
                frame[1] = frame[1] & 0x80 | 126;
                frame.splice(2..2, [0, len]);
            }
        }
        3 => {
            frame[1] |= 127;
            frame.splice(2..2, [input.byte(), 0, 0, 0, 0, input.byte(), input.byte(), input.byte()]);
        }
        4 => frame.truncate(frame.len() - 1),
        5 => {
            // A bad byte near the end.
            let at = frame.len() - 1 - usize::from(input.byte() % 4).min(frame.len() - 1);
            let byte = unmask(&[input.byte()], &[0x37]);
            frame.splice(at..=at, byte);
        }
        _ => {
            let at = input.number() % frame.len();
            frame[at] ^= input.byte();
        }
    }
}

/// Cuts `bytes` into pieces, large ones and small ones, as `seed` will have it.
pub fn cut(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed | 1;
    let mut next = move || {
        // xorshift64: any sequence that is not regular will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let most = [1, 2, 3, 7, 16, 100, 1_500, 70_000][next() % 8];
        let (piece, tail) = rest.split_at((1 + next() % most).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
