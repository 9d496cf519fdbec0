//! `driver sse` and `driver sse-encode`: event streams, both directions.

use crate::Mode;
use crate::text::{Options, hex, unescape, unhex};
use pushline::sse::{Block, DecodeError, EventDecoder, EventLimits, Input, Item};
use std::time::Duration;

/// `>HEX` and `>EOF` in; events, reconnection times, comments or the failure out.
pub struct Decode {
    /// The decoder as it is before the first read.
    fresh: EventDecoder,
    decoder: EventDecoder,
    /// A failure was told: nothing more of this stream.
    failed: bool,
}

impl Decode {
    pub fn new(options: &[String]) -> Result<Self, String> {
        let options = Options::parse(options, &["max_event", "last_id"])?;
        let mut limits = EventLimits::new();
        if let Some(bytes) = options.number("max_event")? {
            limits = limits.max_event(bytes);
        }
        let mut fresh = EventDecoder::with_limits(limits);
        let last_id = text(unescape(options.text("last_id").unwrap_or_default())?)?;
        fresh.set_last_event_id(&last_id).map_err(|error| error.to_string())?;
        Ok(Self { decoder: fresh.clone(), fresh, failed: false })
    }

    fn read(&mut self, bytes: &[u8], out: &mut Vec<String>) -> Result<(), DecodeError> {
        let mut input = Input::new(bytes);
        while let Some(item) = self.decoder.decode(&mut input)? {
            out.push(match item {
                Item::Event(event) => {
                    let [event_type, id, data] = [event.event_type, event.last_event_id, event.data]
                        .map(|field| hex(field.as_bytes()));
                    format!("<event:{event_type}:{id}:{data}")
                }
                Item::Retry(time) => format!("<retry:{}", time.as_millis()),
                Item::Comment(text) => format!("<comment:{}", hex(text.as_bytes())),
                _ => continue,
            });
        }
        Ok(())
    }
}

impl Mode for Decode {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        match line.strip_prefix('>').ok_or("expected >HEX or >EOF")? {
            // What comes after it is the next connection's stream.
            "EOF" => {
                self.decoder.receive_eof();
                self.failed = false;
                out.push(format!("<last_id:{}", hex(self.decoder.last_event_id().as_bytes())));
            }
            read => {
                let bytes = unhex(read)?;
                if !self.failed
                    && let Err(error) = self.read(&bytes, out)
                {
                    out.push(format!("<fail:{error:?}"));
                    self.failed = true;
                }
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.decoder = self.fresh.clone();
        self.failed = false;
    }
}

/// `event=HEX id=HEX retry=N comment=HEX data=HEX` in, each optional; the bytes written out.
pub struct Encode;

impl Encode {
    pub fn new(options: &[String]) -> Result<Self, String> {
        Options::parse(options, &[])?;
        Ok(Self)
    }
}

impl Mode for Encode {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let fields: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        let given = Options::parse(&fields, &["event", "id", "retry", "comment", "data"])?;
        if given.len() < fields.len() {
            return Err("a field is given twice".to_owned());
        }
        let field = |key: &str| given.text(key).map(|digits| text(unhex(digits)?)).transpose();
        let [event_type, id, comment, data] =
            [field("event")?, field("id")?, field("comment")?, field("data")?];
        let mut block = Block::new();
        if let Some(event_type) = &event_type {
            block = block.event_type(event_type);
        }
        if let Some(id) = &id {
            block = block.id(id);
        }
        if given.text("retry").is_some_and(|digits| digits.contains('+')) {
            return Err("retry is digits".to_owned());
        }
        if let Some(time) = given.number("retry")? {
            block = block.retry(Duration::from_millis(time));
        }
        if let Some(comment) = &comment {
            block = block.comment(comment);
        }
        if let Some(data) = &data {
            block = block.data(data);
        }
        let mut wire = Vec::new();
        out.push(match block.encode(&mut wire) {
            Ok(()) => hex(&wire),
            Err(error) => format!("error {error:?}"),
        });
        Ok(())
    }

    fn reset(&mut self) {}
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}
