//! The chunked codec against a parser that has the whole input before it and looks ahead (RFC 9112 7.1).

use crate::http1::chunked::{
    ChunkedDecoder, ChunkedEncodeError, ChunkedEncoder, ChunkedError, ChunkedLimits, Piece,
};

/// What became of a body: data, trailers, and the end: how many bytes were read, and if not to the end of the
/// body, why. A refused body's last byte read is the bad one.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    read: usize,
    stop: Result<(), ChunkedError>,
}

/// Four bytes choose small limits, one the cuts, the rest is the body: decoder and model agree on all of it.
pub fn decode(data: &[u8]) {
    let [body, extension, extensions, overhead, trailers, cuts, input @ ..] = data else { return };
    let model = Model {
        input,
        at: 0,
        body: Vec::new(),
        trailers: Vec::new(),
        body_left: u64::from(*body) << (body & 7),
        max_extension: u64::from(*extension),
        extensions_left: u64::from(*extensions),
        overhead: 0,
        max_overhead: u64::from(*overhead),
        trailer_bytes_left: usize::from(*trailers),
        trailer_fields_left: usize::from(trailers & 7),
    };
    let limits = ChunkedLimits::default()
        .max_body(model.body_left)
        .max_extension(model.max_extension)
        .max_extensions(model.extensions_left)
        .max_overhead(model.max_overhead)
        .max_trailer_bytes(model.trailer_bytes_left)
        .max_trailer_fields(model.trailer_fields_left);
    let expected = model.run();

    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&limits, &bytes), expected, "byte by byte");
    let mut whole = run(&limits, &[input]);
    if whole.stop.is_err() && whole.stop != Err(ChunkedError::UnexpectedEof) {
        // The decoder does not tell where in its input the bad byte stands.
        whole.read = expected.read;
    }
    assert_eq!(whole, expected, "whole");
    let mut pieces = run(&limits, &cut(input, *cuts));
    pieces.read = expected.read;
    assert_eq!(pieces, expected, "in pieces");
}

/// Writes and trailers from the data; what the decoder reads is what was written, write by write.
pub fn roundtrip(data: &[u8]) {
    let [cuts, count, rest @ ..] = data else { return };
    let (mut encoder, mut copied) = (ChunkedEncoder::chunked(), ChunkedEncoder::chunked());
    let (mut wire, mut copy) = (Vec::new(), Vec::new());
    let mut writes: Vec<&[u8]> = Vec::new();
    let mut lines = rest.split(|&byte| byte == b'\n');
    for write in lines.by_ref().take(usize::from(*count)) {
        wire.extend(encoder.chunk(write).unwrap().slices().concat());
        copied.put(write, &mut copy).unwrap();
        writes.extend((!write.is_empty()).then_some(write));
    }
    let trailers: Vec<(&str, &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
        })
        .take(64)
        .collect();
    let sent = match encoder.finish(&trailers, &mut wire) {
        Ok(()) => trailers,
        Err(_) => {
            encoder.finish(&[], &mut wire).unwrap();
            Vec::new()
        }
    };
    copied.finish(&sent, &mut copy).unwrap();
    assert_eq!(wire, copy);

    let limits = ChunkedLimits::default().max_trailer_bytes(usize::MAX);
    let whole = run(&limits, &[&wire]);
    assert_eq!(whole.stop, Ok(()));
    assert_eq!(whole.read, wire.len());
    assert_eq!(whole.body, writes.concat());
    assert!(whole.trailers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).eq(sent));
    assert_eq!(run(&limits, &cut(&wire, *cuts)), whole);

    let mut decoder = ChunkedDecoder::new(limits);
    let mut input = wire.as_slice();
    for write in writes {
        let (consumed, piece) = decoder.decode(input).unwrap();
        assert_eq!(piece, Some(Piece::Data(write)), "one write, one piece");
        input = &input[consumed..];
    }
    assert_eq!(decoder.decode(input), Ok((input.len(), Some(Piece::End))));
}

/// Pieces of lengths that follow from `seed`.
pub(super) fn cut(mut input: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed) | 0x100;
    let mut pieces = Vec::new();
    while !input.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = input.split_at((state >> 28) as usize % (input.len() + 1));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

fn run(limits: &ChunkedLimits, parts: &[&[u8]]) -> Outcome {
    let mut decoder = ChunkedDecoder::new(*limits);
    let mut outcome = Outcome { body: Vec::new(), trailers: Vec::new(), read: 0, stop: Ok(()) };
    'parts: for part in parts {
        let mut input = *part;
        loop {
            match decoder.decode(input) {
                Ok((consumed, piece)) => {
                    input = &input[consumed..];
                    outcome.read += consumed;
                    match piece {
                        Some(Piece::Data(data)) => {
                            assert!(!data.is_empty());
                            outcome.body.extend_from_slice(data);
                        }
                        Some(Piece::End) => break 'parts,
                        None => break assert!(input.is_empty(), "asked for more with input at hand"),
                    }
                }
                Err(error) => {
                    outcome.read += 1;
                    assert_eq!(decoder.decode(input), Err(error));
                    break 'parts;
                }
            }
        }
    }
    outcome.stop = decoder.receive_eof();
    outcome.trailers = decoder.trailers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    outcome
}

/// The grammar, top down.
struct Model<'i> {
    input: &'i [u8],
    at: usize,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    body_left: u64,
    max_extension: u64,
    extensions_left: u64,
    overhead: u64,
    max_overhead: u64,
    trailer_bytes_left: usize,
    trailer_fields_left: usize,
}

impl Model<'_> {
    fn run(mut self) -> Outcome {
        let stop = self.chunked_body();
        match stop {
            Ok(()) => {}
            Err(ChunkedError::UnexpectedEof) => self.trailers.clear(),
            Err(_) => {
                self.trailers.clear();
                self.at += 1;
            }
        }
        Outcome { body: self.body, trailers: self.trailers, read: self.at, stop }
    }

    fn chunked_body(&mut self) -> Result<(), ChunkedError> {
        loop {
            let size = self.size_line()?;
            if size == 0 {
                return self.trailer_section();
            }
            let rest = &self.input[self.at..];
            let data = &rest[..rest.len().min(size as usize)];
            self.body.extend_from_slice(data);
            self.body_left -= size;
            self.at += data.len();
            self.overhead = self.overhead.saturating_sub(4 * data.len() as u64);
            self.framing(|byte| byte == b'\r', ChunkedError::BadDataEnd)?;
            self.framing(|byte| byte == b'\n', ChunkedError::BadDataEnd)?;
        }
    }

    fn size_line(&mut self) -> Result<u64, ChunkedError> {
        let start = self.at;
        while self.peek()?.is_ascii_hexdigit() {
            if self.at - start == 16 {
                return Err(ChunkedError::SizeTooLong);
            }
            if self.size(start, self.at + 1) > self.body_left {
                return Err(ChunkedError::BodyTooLong);
            }
            self.framing(|_| true, ChunkedError::BadSize)?;
        }
        let size = self.size(start, self.at);
        if self.at == start {
            return Err(ChunkedError::BadSize);
        }
        let extensions = self.at;
        let mut white = self.white_space(extensions)?;
        while self.peek()? == b';' {
            self.extension(extensions, |byte| byte == b';')?;
            self.white_space(extensions)?;
            self.token(extensions)?;
            white = self.white_space(extensions)?;
            if self.peek()? == b'=' {
                self.extension(extensions, |byte| byte == b'=')?;
                self.white_space(extensions)?;
                if self.peek()? == b'"' {
                    self.quoted_string(extensions)?;
                } else {
                    self.token(extensions)?;
                }
                white = self.white_space(extensions)?;
            }
        }
        let plain = self.at == extensions;
        self.framing(
            |byte| byte == b'\r' && !white,
            if plain { ChunkedError::BadSize } else { ChunkedError::BadExtension },
        )?;
        self.framing(|byte| byte == b'\n', ChunkedError::BadLineEnd)?;
        Ok(size)
    }

    fn size(&self, start: usize, end: usize) -> u64 {
        let digits = str::from_utf8(&self.input[start..end]).unwrap();
        if digits.is_empty() { 0 } else { u64::from_str_radix(digits, 16).unwrap() }
    }

    fn white_space(&mut self, start: usize) -> Result<bool, ChunkedError> {
        let before = self.at;
        while matches!(self.peek()?, b' ' | b'\t') {
            self.extension(start, |_| true)?;
        }
        Ok(self.at > before)
    }

    fn token(&mut self, start: usize) -> Result<(), ChunkedError> {
        self.extension(start, is_tchar)?;
        while is_tchar(self.peek()?) {
            self.extension(start, is_tchar)?;
        }
        Ok(())
    }

    fn quoted_string(&mut self, start: usize) -> Result<(), ChunkedError> {
        self.extension(start, |byte| byte == b'"')?;
        loop {
            match self.peek()? {
                b'"' => return self.extension(start, |byte| byte == b'"'),
                b'\\' => {
                    self.extension(start, |byte| byte == b'\\')?;
                    self.extension(start, is_text)?;
                }
                _ => self.extension(start, is_text)?,
            }
        }
    }

    fn trailer_section(&mut self) -> Result<(), ChunkedError> {
        while self.peek()? != b'\r' {
            let start = self.at;
            while self.at == start || self.peek()? != b':' {
                if !is_tchar(self.peek()?) {
                    return Err(ChunkedError::BadTrailer);
                }
                self.trailer_byte()?;
                if self.at == start + 1 {
                    // Undone if the limit is broken, so that the bad byte is the one before.
                    self.at -= 1;
                    self.trailer_fields_left =
                        self.trailer_fields_left.checked_sub(1).ok_or(ChunkedError::TooManyTrailers)?;
                    self.at += 1;
                }
            }
            let colon = self.at;
            self.trailer_byte()?;
            while self.peek()? != b'\r' {
                if !is_text(self.peek()?) {
                    return Err(ChunkedError::BadTrailer);
                }
                self.trailer_byte()?;
            }
            let end = self.at;
            self.trailer_byte()?;
            if self.peek()? != b'\n' {
                return Err(ChunkedError::BadLineEnd);
            }
            self.trailer_byte()?;
            let name = str::from_utf8(&self.input[start..colon]).unwrap();
            let mut value = &self.input[colon + 1..end];
            while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
                value = rest;
            }
            let is_forbidden = FORBIDDEN.split(' ').any(|forbidden| forbidden == name.to_ascii_lowercase());
            let sendable = ChunkedEncoder::chunked().finish(&[(name, value)], &mut Vec::new());
            assert_eq!(
                sendable,
                if is_forbidden { Err(ChunkedEncodeError::ForbiddenTrailer) } else { Ok(()) }
            );
            if !is_forbidden {
                self.trailers.push((name.to_owned(), value.to_vec()));
            }
        }
        self.at += 1;
        if self.peek()? != b'\n' {
            return Err(ChunkedError::BadLineEnd);
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Result<u8, ChunkedError> {
        self.input.get(self.at).copied().ok_or(ChunkedError::UnexpectedEof)
    }

    fn trailer_byte(&mut self) -> Result<(), ChunkedError> {
        self.trailer_bytes_left =
            self.trailer_bytes_left.checked_sub(1).ok_or(ChunkedError::TrailersTooLong)?;
        self.at += 1;
        Ok(())
    }

    fn framing(&mut self, allowed: impl Fn(u8) -> bool, error: ChunkedError) -> Result<(), ChunkedError> {
        if !allowed(self.peek()?) {
            return Err(error);
        }
        if self.overhead == self.max_overhead {
            return Err(ChunkedError::TooMuchOverhead);
        }
        self.overhead += 1;
        self.at += 1;
        Ok(())
    }

    fn extension(&mut self, start: usize, allowed: impl Fn(u8) -> bool) -> Result<(), ChunkedError> {
        if !allowed(self.peek()?) {
            return Err(ChunkedError::BadExtension);
        }
        if (self.at - start) as u64 == self.max_extension {
            return Err(ChunkedError::ExtensionTooLong);
        }
        self.extensions_left = self.extensions_left.checked_sub(1).ok_or(ChunkedError::TooManyExtensions)?;
        self.framing(allowed, ChunkedError::BadExtension)
    }
}

/// RFC 9110 6.5.1: what is about framing, routing, authentication, modifiers of the request, control data of the response, and
/// how to read the content.
const FORBIDDEN: &str = "accept-ranges age authentication-info authorization cache-control connection content-disposition \
    content-encoding content-length content-location content-range content-type cookie date expect \
    expires forwarded host http2-settings if-match if-modified-since if-none-match if-range \
    if-unmodified-since keep-alive location max-forwards origin pragma proxy-authenticate \
    proxy-authentication-info proxy-authorization proxy-connection range retry-after set-cookie te \
    trailer transfer-encoding upgrade vary via warning www-authenticate x-forwarded-for x-forwarded-host \
    x-forwarded-port x-forwarded-proto x-real-ip";

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
