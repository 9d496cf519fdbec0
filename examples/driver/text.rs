//! The driver's notations: `key=value` options, run-length coded hex, escaped text.

use std::collections::HashMap;
use std::str::FromStr;

/// The `key=value` words of the command line.
#[derive(Debug, Default, Clone)]
pub struct Options(HashMap<String, String>);

impl Options {
    /// Reads the words; a word without `=` or with a key not in `known` is refused.
    pub fn parse(words: &[String], known: &[&str]) -> Result<Self, String> {
        let mut options = HashMap::new();
        for word in words {
            let (key, value) = word.split_once('=').ok_or(format!("not key=value: {word}"))?;
            if !known.contains(&key) {
                return Err(format!("unknown key {key}"));
            }
            options.insert(key.to_owned(), value.to_owned());
        }
        Ok(Self(options))
    }

    /// How many keys are given.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The number of a key.
    pub fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        self.text(key).map(|text| number(text).ok_or(format!("bad number {key}={text}"))).transpose()
    }

    /// The switch of a key: 0 or 1.
    pub fn switch(&self, key: &str) -> Result<Option<bool>, String> {
        match self.text(key) {
            None => Ok(None),
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(other) => Err(format!("{key} is 0 or 1, not {other}")),
        }
    }
}

/// Digits alone: the library's own parser takes a sign, too.
pub fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Hex, run-length coded: pieces joined by `+`, a piece is `hex` or `hex*N`.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    const LONGEST: usize = 1 << 30;
    let mut out = Vec::new();
    if text.is_empty() {
        return Ok(out);
    }
    for piece in text.split('+') {
        let (digits, count) = match piece.split_once('*') {
            Some((digits, count)) => (digits, number::<usize>(count).ok_or(format!("bad count {count}"))?),
            None => (piece, 1),
        };
        if !digits.len().is_multiple_of(2) {
            return Err("odd number of hex digits".to_owned());
        }
        let nibble = |byte: u8| char::from(byte).to_digit(16).ok_or("not a hex digit");
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for pair in digits.as_bytes().chunks(2) {
            bytes.push((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8);
        }
        if bytes.len().saturating_mul(count).saturating_add(out.len()) > LONGEST {
            return Err("over 1 GiB".to_owned());
        }
        out.extend(bytes.repeat(count));
    }
    Ok(out)
}

/// Escaped text: printable ASCII as it is, `\r \n \t \0 \\`, `\xHH` for the rest.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// Undoes [`escape`]; `\s` is a space; other bytes stand for themselves.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b's') => b' ',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let mut digit =
                    || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or("\\x needs two digits");
                (digit()? << 4 | digit()?) as u8
            }
            _ => return Err("unknown escape".to_owned()),
        });
    }
    Ok(out)
}
