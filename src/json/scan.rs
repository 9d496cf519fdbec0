//! The grammar (RFC 8259 2 to 7), a byte at a time; strings eight at a time.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "a place in a text that is in memory, depth up to its limit, a word of eight bytes"
)]

use super::{Error, MAX_DEPTH};

/// One bit a level: whether it is an object.
type Levels = u128;
const _: () = assert!(MAX_DEPTH == Levels::BITS as usize);

#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    /// Behind the opening bracket of a checked text.
    pub(super) const fn inside(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    const fn error<T>(&self) -> Result<T, Error> {
        Err(Error::Syntax { at: self.at })
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return self.error();
        }
        self.at += 1;
        Ok(())
    }

    /// RFC 8259 2: `ws`.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// RFC 8259 3: one value, whatever is inside it.
    pub(super) fn value(&mut self) -> Result<(), Error> {
        let (mut levels, mut depth): (Levels, usize) = (0, 0);
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(open @ (b'[' | b'{')) => {
                    if depth == MAX_DEPTH {
                        return Err(Error::TooDeep { at: self.at });
                    }
                    let object = open == b'{';
                    levels = levels << 1 | Levels::from(object);
                    depth += 1;
                    self.at += 1;
                    self.space();
                    if !matches!((self.peek(), object), (Some(b']'), false) | (Some(b'}'), true)) {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return self.error(),
            }
            // A value has ended, or an empty array or object is about to.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = levels & 1 == 1;
                self.space();
                match (self.peek(), object) {
                    (Some(b']'), false) | (Some(b'}'), true) => {
                        self.at += 1;
                        levels >>= 1;
                        depth -= 1;
                    }
                    (Some(b','), _) => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    _ => return self.error(),
                }
            }
        }
    }

    /// RFC 8259 4: a member's name and its colon.
    fn key(&mut self) -> Result<(), Error> {
        self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Error> {
        for &byte in word {
            self.expect(byte)?;
        }
        Ok(())
    }

    /// RFC 8259 6.
    fn number(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1, // no digit after a leading zero
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let Some(b'0'..=b'9') = self.peek() else { return self.error() };
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    /// RFC 8259 7, from quote to quote.
    fn string(&mut self) -> Result<(), Error> {
        self.expect(b'"')?;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                    return self.error();
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.error(),
                    }
                }
                _ => return self.error(), // a control character, or the end
            }
        }
    }

    /// Over all that stands in a string as it is.
    fn plain(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (words, _) = rest.as_chunks::<8>();
        for word in words {
            let found = special(u64::from_le_bytes(*word));
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek()
            && byte >= b' '
            && !matches!(byte, b'"' | b'\\')
        {
            self.at += 1;
        }
    }

    /// In a checked array or object: the start of the next item, if there is one.
    pub(super) fn item(&mut self) -> Option<usize> {
        self.space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
        (!matches!(self.peek(), Some(b']' | b'}') | None)).then_some(self.at)
    }

    /// In a checked object, behind a key: the start of its value.
    pub(super) fn after_colon(&mut self) -> usize {
        self.space();
        self.at += 1;
        self.space();
        self.at
    }

    /// In checked text, where a value starts: where it ends.
    pub(super) fn end_of_value(&mut self) -> Option<usize> {
        self.value().ok().map(|()| self.at)
    }
}

/// The high bit of each byte that ends the plain part of a string: quote, backslash, control characters. Bytes above
/// the first one found may be marked wrongly, by the borrow.
const fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word
    }
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (below(word, b' ') | quote | backslash) & HIGHS
}
