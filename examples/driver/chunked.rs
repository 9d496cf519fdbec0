//! `driver chunked` and `driver chunked-encode`: the chunked transfer coding, both directions.

use crate::Mode;
use crate::text::{Options, hex, unescape, unhex};
use pushline::http1::chunked::{ChunkedDecoder, ChunkedEncoder, ChunkedError, ChunkedLimits, Piece};

/// `>HEX` and `>EOF` in; data, trailers, the end or the failure out.
pub struct Decode {
    decoder: ChunkedDecoder,
    limits: ChunkedLimits,
    /// The end or a failure was told: nothing more until `reset`.
    over: bool,
}

impl Decode {
    pub fn new(options: &[String]) -> Result<Self, String> {
        let options = Options::parse(options, &["max_body"])?;
        let mut limits = ChunkedLimits::default();
        if let Some(bytes) = options.number("max_body")? {
            limits = limits.max_body(bytes);
        }
        Ok(Self { decoder: ChunkedDecoder::new(limits), limits, over: false })
    }

    fn read(&mut self, mut input: &[u8], out: &mut Vec<String>) -> Result<(), ChunkedError> {
        loop {
            let (consumed, piece) = self.decoder.decode(input)?;
            input = &input[consumed..];
            match piece {
                Some(Piece::Data(data)) => out.push(format!("<data:{}", hex(data))),
                Some(Piece::End) => {
                    for (name, value) in self.decoder.trailers() {
                        out.push(format!("<trailer:{}:{}", hex(name.as_bytes()), hex(value)));
                    }
                    out.push(format!("<end:{}", input.len()));
                    self.over = true;
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }
}

impl Mode for Decode {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let read = line.strip_prefix('>').ok_or("expected >HEX or >EOF")?;
        let input = if read == "EOF" { None } else { Some(unhex(read)?) };
        if self.over {
            return Ok(());
        }
        let result = match input {
            Some(input) => self.read(&input, out),
            None => self.decoder.receive_eof(),
        };
        if let Err(error) = result {
            out.push(format!("<fail:{error:?}"));
            self.over = true;
        }
        Ok(())
    }

    fn reset(&mut self) {
        *self = Self { decoder: ChunkedDecoder::new(self.limits), limits: self.limits, over: false };
    }
}

/// `HEX` (one write) and `finish [name=value,...]` in; the bytes written out.
pub struct Encode {
    encoder: ChunkedEncoder,
}

impl Encode {
    pub fn new(options: &[String]) -> Result<Self, String> {
        Options::parse(options, &[])?;
        Ok(Self { encoder: ChunkedEncoder::chunked() })
    }
}

impl Mode for Encode {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let mut wire = Vec::new();
        let result = match line.strip_prefix("finish") {
            None => self.encoder.put(&unhex(line)?, &mut wire),
            Some(list) => {
                let trailers = trailers(list)?;
                let trailers: Vec<_> =
                    trailers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                self.encoder.finish(&trailers, &mut wire)
            }
        };
        out.push(match result {
            Ok(()) => hex(&wire),
            Err(error) => format!("error {error:?}"),
        });
        Ok(())
    }

    fn reset(&mut self) {
        self.encoder = ChunkedEncoder::chunked();
    }
}

/// ` name=value,...`, both escaped text; empty: none.
fn trailers(list: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let list = list.strip_prefix(' ').ok_or("expected finish name=value,...")?;
    list.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("expected name=value")?;
            let name = String::from_utf8(unescape(name)?).map_err(|_| "name is not UTF-8")?;
            Ok((name, unescape(value)?))
        })
        .collect()
}
