//! `driver http1 request|response [max_head=N]`: one head a line, in escaped text.

use pushline::http1::head::{BodyFraming, HeadError, HeadLimits, HeadReader, Slots};

use crate::Mode;
use crate::text::{Options, escape, hex, unescape};

/// Reads heads, each by a reader of its own.
pub struct Heads {
    limits: HeadLimits,
    kind: Kind,
}

enum Kind {
    Request,
    Response,
}

impl Heads {
    pub fn new(words: &[String]) -> Result<Self, String> {
        let (kind, words) = words.split_first().ok_or("request or response?")?;
        let kind = match kind.as_str() {
            "request" => Kind::Request,
            "response" => Kind::Response,
            other => return Err(format!("neither request nor response: {other}")),
        };
        let options = Options::parse(words, &["max_head"])?;
        let default = HeadLimits::default();
        let head = options.number("max_head")?.unwrap_or(default.head);
        Ok(Self { limits: HeadLimits::new().head(head), kind })
    }
}

impl Mode for Heads {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let bytes = unescape(line)?;
        let mut reader = HeadReader::new(self.limits);
        let mut slots = Slots::new();
        match self.kind {
            Kind::Request => match reader.read_request(&bytes, &mut slots) {
                Ok(Some(head)) => {
                    out.push(format!("ok {} {} {}", head.method(), head.target(), head.version()));
                    show(out, head.fields(), head.body(), &bytes[head.len()..]);
                }
                Ok(None) => out.push("incomplete".to_owned()),
                Err(error) => out.push(refused(error)),
            },
            Kind::Response => match reader.read_response(&bytes, &mut slots) {
                Ok(Some(head)) => {
                    out.push(format!("ok {} {}", head.status(), head.version()));
                    show(out, head.fields(), head.body("GET"), &bytes[head.len()..]);
                }
                Ok(None) => out.push("incomplete".to_owned()),
                Err(error) => out.push(refused(error)),
            },
        }
        Ok(())
    }

    fn reset(&mut self) {}
}

fn show<'a>(
    out: &mut Vec<String>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: BodyFraming,
    rest: &[u8],
) {
    out.extend(fields.map(|(name, value)| format!("field {name}: {}", escape(value))));
    out.push(match body {
        BodyFraming::None => "body none".to_owned(),
        BodyFraming::Length(length) => format!("body length {length}"),
        BodyFraming::Chunked => "body chunked".to_owned(),
        BodyFraming::UntilClose => "body until-close".to_owned(),
    });
    out.push(format!("rest={}", hex(rest)));
}

fn refused(error: HeadError) -> String {
    format!("error {} {}", error.status(), error.name())
}
