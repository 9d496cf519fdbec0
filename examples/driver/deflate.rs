//! `driver pmd`: offers and answers of permessage-deflate. `driver deflate`: messages through the codec.

use crate::Mode;
use crate::text::{Options, hex, unhex};
use pushline::raw::extensions;
use pushline::raw::{Deflater, Inflater, negotiate, verify};
use pushline::ws::Negotiated;
use pushline::ws::deflate::{
    AnswerError, Compression, DeflateOptions, DeflateParams, Direction, Terms, WindowBits,
};

/// The keys of an offer, of a server's wishes.
pub const KEYS: [&str; 4] = ["snct", "cnct", "smwb", "cmwb"];

fn window_bits(options: &Options, key: &str) -> Result<Option<WindowBits>, String> {
    let bits = options.number(key)?;
    bits.map(|n| WindowBits::new(n).ok_or(format!("{key} is 8 to 15, not {n}"))).transpose()
}

/// Reads [`KEYS`] as an offer or a server's wishes: what is absent is not in it.
pub fn terms(options: &Options) -> Result<Terms, String> {
    Ok(Terms {
        server_no_context_takeover: options.switch("snct")?.unwrap_or(false),
        client_no_context_takeover: options.switch("cnct")?.unwrap_or(false),
        server_max_window_bits: window_bits(options, "smwb")?,
        client_max_window_bits: window_bits(options, "cmwb")?,
    })
}

/// What `pmd=1` and [`KEYS`] say was negotiated. Every message is compressed, so that it can be seen.
pub fn negotiated(options: &Options) -> Result<Negotiated, String> {
    Ok(match options.switch("pmd")? {
        Some(true) => Negotiated::with_deflate(agreed(options)?, policy()),
        _ => Negotiated::default(),
    })
}

/// What `pmd=1` and [`KEYS`] ask for in a handshake, word for word.
pub fn offered(options: &Options) -> Result<Option<DeflateOptions>, String> {
    Ok(match options.switch("pmd")? {
        Some(true) => Some(policy().terms(terms(options)?)),
        _ => None,
    })
}

fn policy() -> DeflateOptions {
    // The tables ask for one offer and no other.
    DeflateOptions::new(Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 })
        .fallback(false)
        .level(6)
        .threshold(0)
}

fn agreed(options: &Options) -> Result<DeflateParams, String> {
    let terms = terms(options)?;
    Ok(DeflateParams {
        server_no_context_takeover: terms.server_no_context_takeover,
        client_no_context_takeover: terms.client_no_context_takeover,
        server_max_window_bits: terms.server_max_window_bits.unwrap_or(WindowBits::MAX),
        client_max_window_bits: terms.client_max_window_bits.unwrap_or(WindowBits::MAX),
    })
}

enum Negotiation {
    Server(Terms),
    Client(Terms),
}

pub fn negotiation(words: &[String]) -> Result<Box<dyn Mode>, String> {
    let (role, words) = words.split_first().ok_or("no role")?;
    let terms = terms(&Options::parse(words, &KEYS)?)?;
    match role.as_str() {
        "server" => Ok(Box::new(Negotiation::Server(terms))),
        "client" => Ok(Box::new(Negotiation::Client(terms))),
        other => Err(format!("unknown role {other}")),
    }
}

impl Mode for Negotiation {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let list = extensions(line.as_bytes());
        out.push(match self {
            Self::Server(wishes) => match negotiate(wishes, list) {
                Some((_, answer)) => format!("accept {answer}"),
                None => "decline".to_owned(),
            },
            Self::Client(offered) => match verify(&[*offered], list) {
                Ok(Some(params)) => format!(
                    "accept snct={} cnct={} smwb={} cmwb={}",
                    u8::from(params.server_no_context_takeover),
                    u8::from(params.client_no_context_takeover),
                    params.server_max_window_bits.get(),
                    params.client_max_window_bits.get()
                ),
                Ok(None) => "error Empty".to_owned(),
                Err(AnswerError::List(error)) => format!("error {error:?}"),
                Err(error) => format!("error {error:?}"),
            },
        });
        Ok(())
    }

    fn reset(&mut self) {}
}

/// One direction of a connection.
struct Codec {
    decode: bool,
    direction: Direction,
    options: DeflateOptions,
    max_message: usize,
    deflater: Deflater,
    inflater: Inflater,
}

pub fn codec(words: &[String]) -> Result<Box<dyn Mode>, String> {
    let (kind, words) = words.split_first().ok_or("neither encode nor decode")?;
    let decode = match kind.as_str() {
        "encode" => false,
        "decode" => true,
        other => return Err(format!("neither encode nor decode: {other}")),
    };
    let keys = Options::parse(words, &["bits", "nct", "max"])?;
    let direction = Direction {
        context_takeover: !keys.switch("nct")?.unwrap_or(false),
        window_bits: window_bits(&keys, "bits")?.unwrap_or(WindowBits::MAX),
    };
    let max_message = keys.number("max")?.unwrap_or(1 << 30);
    // Between messages, a decoder keeps the window that was agreed, and not a byte more.
    let policy = if decode {
        Compression::Compact { window_bits: WindowBits::MAX }
    } else {
        Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 }
    };
    let options = DeflateOptions::new(policy).level(6);
    let deflater = Deflater::new(direction, &options);
    let inflater = Inflater::new(direction, &options, max_message);
    Ok(Box::new(Codec { decode, direction, options, max_message, deflater, inflater }))
}

impl Mode for Codec {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let input = unhex(line)?;
        let mut output = Vec::new();
        if self.decode {
            match self.inflater.inflate(&input, &mut output, usize::MAX, true) {
                Ok(_) => out.push(hex(&output)),
                Err(error) => out.push(format!("error {error:?}")),
            }
        } else {
            self.deflater.deflate(&input, &mut output, true);
            out.push(hex(&output));
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.deflater = Deflater::new(self.direction, &self.options);
        self.inflater = Inflater::new(self.direction, &self.options, self.max_message);
    }
}
