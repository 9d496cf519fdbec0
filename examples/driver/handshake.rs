//! `driver handshake-server`, `handshake-client` and `handshake-request`: the opening handshake, one head a line.

use pushline::http1::head::{HeadLimits, HeadReader, Slots};
use pushline::ws::handshake::{
    ClientError, ClientHandshake, ClientOptions, Key, OriginPolicy, ServerOptions, Uri, accept_request,
};

use crate::text::{Options, escape, hex, unescape};
use crate::{Mode, deflate};

/// The keys of permessage-deflate, the same in all three modes.
const DEFLATE: [&str; 5] = ["pmd", "snct", "cnct", "smwb", "cmwb"];

fn parse(words: &[String], known: &[&str]) -> Result<Options, String> {
    Options::parse(words, &[known, &DEFLATE[..]].concat())
}

fn protocols(options: &Options) -> Vec<&str> {
    options
        .text("protocols")
        .filter(|names| !names.is_empty())
        .map_or(Vec::new(), |names| names.split(',').collect())
}

/// Answers each request with a 101 or a refusal.
pub struct Server {
    options: ServerOptions,
}

impl Server {
    pub fn new(words: &[String]) -> Result<Self, String> {
        let words = parse(words, &["protocols", "origin", "max_head"])?;
        let mut options = ServerOptions::new()
            .subprotocols(protocols(&words))
            .map_err(|error| format!("protocols: {error}"))?;
        options = match words.text("origin") {
            None => options,
            Some("any") => options.origin(OriginPolicy::any()),
            Some("same") => options.origin(OriginPolicy::same_host()),
            Some(list) => options.origin(OriginPolicy::list(list.split(','))),
        };
        if let Some(deflate) = deflate::offered(&words)? {
            options = options.deflate(deflate);
        }
        if let Some(head) = words.number("max_head")? {
            options = options.limits(HeadLimits::new().head(head));
        }
        Ok(Self { options })
    }
}

impl Mode for Server {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let bytes = unescape(line)?;
        let mut slots = Slots::new();
        let refused = match self.options.reader().read_request(&bytes, &mut slots) {
            Ok(None) => {
                out.push("incomplete".to_owned());
                return Ok(());
            }
            Ok(Some(head)) => match accept_request(&self.options, &head) {
                Ok(accepted) => {
                    let rest = hex(&bytes[head.len()..]);
                    out.push(format!("101 {}|rest={rest}", written(&accepted.to_bytes())?));
                    return Ok(());
                }
                Err(rejection) => rejection,
            },
            Err(error) => error.into(),
        };
        let fields = written(&refused.to_bytes())?;
        out.push(format!("{} {}|{fields}", refused.status(), refused.refusal().name()));
        Ok(())
    }

    fn reset(&mut self) {}
}

/// The fields of a response as it was written, names in lower case.
fn written(response: &[u8]) -> Result<String, String> {
    let mut slots = Slots::new();
    let head = HeadReader::new(HeadLimits::default()).read_response(response, &mut slots);
    let head = head.map_err(|error| error.to_string())?.ok_or("the response has no end")?;
    let fields: Vec<String> = head
        .fields()
        .map(|(name, value)| format!("{}: {}", name.to_ascii_lowercase(), escape(value)))
        .collect();
    Ok(fields.join("|"))
}

/// Verifies each response against one key.
pub struct Verifier {
    options: ClientOptions,
    key: Key,
}

impl Verifier {
    pub fn new(words: &[String]) -> Result<Self, String> {
        let (key, words) = words.split_first().ok_or("no key")?;
        let key = Key::parse(key.as_bytes()).ok_or("the key is not the base64 of 16 bytes")?;
        let words = parse(words, &["protocols"])?;
        let mut options = ClientOptions::new()
            .subprotocols(protocols(&words))
            .map_err(|error| format!("protocols: {error}"))?;
        if let Some(deflate) = deflate::offered(&words)? {
            options = options.deflate(deflate);
        }
        Ok(Self { options, key })
    }
}

impl Mode for Verifier {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        let bytes = unescape(line)?;
        let mut client = ClientHandshake::sent(self.options.clone(), self.key);
        out.push(match client.receive(&bytes) {
            Ok(None) => "incomplete".to_owned(),
            Ok(Some(opened)) => {
                let fields = client.response().map(|response| response.fields.clone()).unwrap_or_default();
                let extensions: Vec<String> = fields
                    .iter()
                    .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
                    .map(|(_, value)| escape(value))
                    .collect();
                format!(
                    "ok protocol={} extensions={} rest={}",
                    opened.subprotocol.unwrap_or_default(),
                    extensions.join(", "),
                    hex(&bytes[opened.length..])
                )
            }
            Err(error) => format!("error {}", name(error)),
        });
        Ok(())
    }

    fn reset(&mut self) {}
}

fn name(error: ClientError) -> String {
    match error {
        ClientError::BadHttp(_) => "BadHttp".to_owned(),
        ClientError::BadExtensions(_) => "InvalidHeader(Sec-WebSocket-Extensions)".to_owned(),
        ClientError::MissingHeader(field) => format!("MissingHeader({field})"),
        ClientError::InvalidHeader(field) => format!("InvalidHeader({field})"),
        ClientError::DuplicateHeader(field) => format!("DuplicateHeader({field})"),
        other => format!("{other:?}"),
    }
}

/// `handshake-request URL ...`: reads nothing; the request's head, or why there is none.
pub fn request(words: &[String]) -> Result<String, String> {
    let (url, words) = words.split_first().ok_or("no URL")?;
    let words = parse(words, &["protocols", "origin"])?;
    let Ok(uri) = Uri::parse(url) else {
        return Ok("error InvalidUri".to_owned());
    };
    let mut options = ClientOptions::new();
    if let Some(names) = words.text("protocols") {
        match options.subprotocols(names.split(',')) {
            Ok(with) => options = with,
            Err(_) => return Ok("error InvalidSubprotocol".to_owned()),
        }
    }
    if let Some(deflate) = deflate::offered(&words)? {
        options = options.deflate(deflate);
    }
    if let Some(origin) = words.text("origin") {
        match options.origin(origin) {
            Ok(with) => options = with,
            Err(_) => return Ok("error InvalidHeader".to_owned()),
        }
    }
    Ok(escape(ClientHandshake::new(options, &uri, [0; 16]).request()))
}
