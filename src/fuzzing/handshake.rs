//! The handshake: both roles against models that collect everything first and then apply rule after rule.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::head::{Start, Verdict, model};
use crate::http1::authority::Authority;
use crate::http1::head::{BodyFraming, FieldLines, HeadError, HeadLimits, MAX_FIELDS, Slots};
use crate::http1::syntax::{is_field_value, is_token, is_token_byte};
use crate::ws::handshake::fields::{ListError, MAX_EXTENSIONS, MAX_PARAMETERS, MAX_SUBPROTOCOLS};
use crate::ws::handshake::{
    ClientError, ClientHandshake, ClientOptions, Key, Refusal, Rejection, ResponseField, ServerOptions,
    accept_request,
};

type Field = (String, Vec<u8>);

/// Requests: bytes as they come, or lines added to a request that is valid.
pub fn request(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let valid = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let bytes = match choice & 3 {
        0 => bytes.to_owned(),
        1 => [valid, bytes, b"\r\n\r\n\x81"].concat(),
        2 => [valid, &b"Sec-WebSocket-Extensions: "[..], bytes, b"\r\n\r\n"].concat(),
        _ => [valid, &b"Sec-WebSocket-Protocol: "[..], bytes, b"\r\n\r\n"].concat(),
    };
    let options = ServerOptions::new().subprotocols(["b", "a"]).unwrap();
    let mut slots = Slots::new();
    let head = options.reader().read_request(&bytes, &mut slots);
    let expected = model(&bytes, true, &HeadLimits::default(), MAX_FIELDS);
    let Ok(head) = head else {
        let Verdict::Refused(error) = expected else { panic!("{expected:?}") };
        check_rejection(&error.into());
        return;
    };
    let Some(head) = head else {
        assert_eq!(expected, Verdict::Incomplete);
        return;
    };
    let Verdict::Head(expected) = expected else { panic!("{expected:?}") };
    assert_eq!(head.len(), expected.length);
    let expected = serve(&expected.start, &expected.fields, expected.body);
    match accept_request(&options, &head) {
        Ok(accepted) => {
            let mut lines = FieldLines::new();
            for (name, value) in accepted.fields() {
                lines.push(name, value).unwrap();
            }
            let written = [b"HTTP/1.1 101 Switching Protocols\r\n", lines.as_bytes(), b"\r\n"].concat();
            assert_eq!(accepted.to_bytes(), written);
            assert_eq!(Ok(accepted.subprotocol().map(str::to_owned)), expected);
            // What this server accepts, this crate's client opens.
            let key =
                head.fields().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).unwrap().1;
            let options = ClientOptions::new().subprotocols(["a", "b"]).unwrap();
            let opened =
                ClientHandshake::sent(options, Key::parse(key).unwrap()).receive(&written).unwrap().unwrap();
            assert_eq!(opened.subprotocol.as_deref(), accepted.subprotocol());
            assert_eq!(opened.negotiated, accepted.negotiated());
        }
        Err(rejection) => {
            check_rejection(&rejection);
            assert_eq!(Err(rejection.refusal()), expected);
        }
    }
}

/// A refusal is a whole response of the status it names, without a body.
fn check_rejection(rejection: &Rejection) {
    let bytes = rejection.to_bytes();
    let Verdict::Head(head) = model(&bytes, false, &HeadLimits::default(), MAX_FIELDS) else {
        panic!("{rejection}")
    };
    assert_eq!(head.start, Start::Response { status: rejection.status(), old: false });
    assert_eq!((head.length, head.body, head.keep_alive), (bytes.len(), BodyFraming::Length(0), false));
}

/// The subprotocol that the server `["b", "a"]` of the same host selects, or its refusal.
fn serve(start: &Start, fields: &[Field], body: BodyFraming) -> Result<Option<String>, Refusal> {
    let Start::Request { method, target, old } = start else { panic!("a request") };
    let all = |name: &str| -> Vec<&[u8]> {
        fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    let listed = |name: &str, token: &str| {
        all(name).iter().any(|value| {
            String::from_utf8_lossy(value)
                .split(',')
                .any(|item| item.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
        })
    };
    if *old {
        return Err(Refusal::Head(HeadError::UnsupportedHttpVersion));
    }
    if method != "GET" {
        return Err(Refusal::MethodNotAllowed);
    }
    if all("content-length").iter().any(|length| *length != b"0") || body == BodyFraming::Chunked {
        return Err(Refusal::BodyAnnounced);
    }
    if !listed("upgrade", "websocket") {
        return Err(Refusal::NotWebSocket);
    }
    if !listed("connection", "upgrade") {
        return Err(Refusal::NotUpgrade);
    }
    match all("sec-websocket-version")[..] {
        [b"13"] => {}
        [] => return Err(Refusal::UnsupportedWebSocketVersion),
        [one] if !one.contains(&b',') => return Err(Refusal::UnsupportedWebSocketVersion),
        _ => return Err(Refusal::BadWebSocketVersion),
    }
    match all("sec-websocket-key")[..] {
        [] => return Err(Refusal::MissingKey),
        [key] if is_key(key) => {}
        [_] => return Err(Refusal::BadKey),
        _ => return Err(Refusal::DuplicateKey),
    }
    let host = match target.split_once("://").filter(|_| !target.starts_with('/')) {
        Some((_, behind)) => behind.split(['/', '?']).next().unwrap().as_bytes(),
        None => all("host")[0],
    };
    match all("origin")[..] {
        [] => {}
        [origin] if is_page_of(origin, host) => {}
        [_] => return Err(Refusal::OriginNotAllowed),
        _ => return Err(Refusal::DuplicateOrigin),
    }
    let mut offered: Vec<String> = Vec::new();
    for value in all("sec-websocket-protocol") {
        if value.iter().all(|byte| matches!(byte, b' ' | b'\t' | b',')) {
            return Err(Refusal::BadSubprotocols(ListError::Malformed));
        }
        for name in value.split(|&byte| byte == b',').map(|name| String::from_utf8_lossy(name).into_owned()) {
            let name = name.trim_matches([' ', '\t']).to_owned();
            if name.is_empty() {
                continue;
            }
            let error = if !is_token(name.as_bytes()) {
                Some(ListError::Malformed)
            } else if offered.contains(&name) {
                Some(ListError::Duplicate)
            } else {
                (offered.len() == MAX_SUBPROTOCOLS).then_some(ListError::TooMany)
            };
            if let Some(error) = error {
                return Err(Refusal::BadSubprotocols(error));
            }
            offered.push(name);
        }
    }
    for value in all("sec-websocket-extensions") {
        extensions(value).map_err(Refusal::BadExtensions)?;
    }
    Ok(["b", "a"]
        .iter()
        .find(|name| offered.iter().any(|offered| offered == *name))
        .map(|name| (*name).to_owned()))
}

fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key[22..] == *b"=="
        && key[..22].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'+' || *byte == b'/')
}

fn is_page_of(origin: &[u8], host: &[u8]) -> bool {
    let origin = String::from_utf8_lossy(origin).to_ascii_lowercase();
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    [("http://", 80), ("https://", 443)].iter().any(|(scheme, port)| {
        let Some(page) = origin.strip_prefix(scheme) else { return false };
        let (page, host) = (Authority::parse(page.as_bytes()), Authority::parse(host.as_bytes()));
        page.is_some()
            && page.map(|a| (a.host(), a.port().unwrap_or(*port)))
                == host.map(|a| (a.host(), a.port().unwrap_or(*port)))
    })
}

/// A word of an extension list.
enum Word {
    Token,
    /// Whether it is a token once unquoted.
    Quoted(bool),
    Mark(u8),
    Bad,
}

fn words(value: &[u8]) -> Vec<Word> {
    let (mut words, mut at) = (Vec::new(), 0);
    while at < value.len() {
        let end =
            value[at..].iter().position(|&byte| !is_token_byte(byte)).map_or(value.len(), |end| at + end);
        if end > at {
            words.push(Word::Token);
            at = end;
            continue;
        }
        match value[at] {
            b' ' | b'\t' => {}
            mark @ (b',' | b';' | b'=') => words.push(Word::Mark(mark)),
            b'"' => {
                let (mut escaped, mut closed) = (false, None);
                for (index, &byte) in value.iter().enumerate().skip(at + 1) {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => {
                            closed = Some(index);
                            break;
                        }
                        _ => {}
                    }
                }
                match closed {
                    Some(index) if is_field_value(&value[at..index]) => {
                        let mut inside = value[at + 1..index].iter().copied();
                        let mut unquoted = Vec::new();
                        while let Some(byte) = inside.next() {
                            unquoted.extend(if byte == b'\\' { inside.next() } else { Some(byte) });
                        }
                        words.push(Word::Quoted(is_token(&unquoted)));
                        at = index;
                    }
                    _ => words.push(Word::Bad),
                }
            }
            _ => words.push(Word::Bad),
        }
        at += 1;
    }
    words
}

/// The first fault of a list.
fn extensions(value: &[u8]) -> Result<(), ListError> {
    let words = words(value);
    let mut elements = 0;
    for element in words.split(|word| matches!(word, Word::Mark(b','))) {
        let [name, parameters @ ..] = element else { continue };
        elements += 1;
        if elements > MAX_EXTENSIONS {
            return Err(ListError::TooMany);
        }
        if !matches!(name, Word::Token) {
            return Err(ListError::Malformed);
        }
        let mut parts = parameters.split(|word| matches!(word, Word::Mark(b';')));
        if parts.next().is_some_and(|none| !none.is_empty()) {
            return Err(ListError::Malformed);
        }
        let mut tokens = true;
        for (index, part) in parts.enumerate() {
            // A fault that is read before the parameter is over comes before the count.
            match part {
                [Word::Token] | [Word::Token, Word::Mark(b'='), Word::Token | Word::Quoted(true)] => {}
                [Word::Token, next, ..] if index == MAX_PARAMETERS && !matches!(next, Word::Mark(b'=')) => {}
                [Word::Token, Word::Mark(b'='), Word::Token | Word::Quoted(_), ..]
                    if index == MAX_PARAMETERS => {}
                [Word::Token, Word::Mark(b'='), Word::Quoted(false)] => tokens = false,
                _ => return Err(ListError::Malformed),
            }
            if index == MAX_PARAMETERS {
                return Err(ListError::TooMany);
            }
        }
        if !tokens {
            return Err(ListError::ValueNotToken);
        }
    }
    Ok(())
}

/// Responses: bytes as they come, or lines added to a response that is valid.
pub fn response(data: &[u8]) {
    let [choice, step, bytes @ ..] = data else { return };
    let valid = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let interim = b"HTTP/1.1 103 Early Hints\r\n";
    let bytes = match choice & 3 {
        0 => bytes.to_owned(),
        1 => [valid, bytes, b"\r\n\r\n\x81"].concat(),
        2 => [interim, bytes, b"\r\n\r\n", &valid[..], b"\r\n"].concat(),
        _ => [valid, &b"Sec-WebSocket-Protocol: "[..], bytes, b"\r\n\r\n"].concat(),
    };
    let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    let options = ClientOptions::new().subprotocols(["a", "b"]).unwrap();
    let expected = open(&bytes);

    let mut client = ClientHandshake::sent(options.clone(), key);
    let outcome = |client: &mut ClientHandshake, bytes: &[u8]| {
        client.receive(bytes).map(|opened| opened.map(|opened| (opened.subprotocol, opened.length)))
    };
    assert_eq!(outcome(&mut client, &bytes), expected, "whole");

    let mut client = ClientHandshake::sent(options, key);
    let step = usize::from(*step).max(1);
    for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
        let said = outcome(&mut client, &bytes[..end]);
        if said != Ok(None) || end == bytes.len() {
            assert_eq!(said, open(&bytes[..end]), "at {end} by {step}");
            break;
        }
    }
}

/// The subprotocol and how many bytes the response took, of a client that offers `a` and `b`.
fn open(bytes: &[u8]) -> Result<Option<(Option<String>, usize)>, ClientError> {
    use ResponseField::{Accept, Connection, Protocol, Upgrade};
    let mut skipped = 0;
    let head = loop {
        let default = HeadLimits::default();
        let limits = HeadLimits { head: default.head - skipped, ..default };
        match model(&bytes[skipped..], false, &limits, MAX_FIELDS) {
            Verdict::Incomplete => return Ok(None),
            Verdict::Refused(error) => return Err(error.into()),
            Verdict::Head(head) => {
                skipped += head.length;
                if !matches!(head.start, Start::Response { status: 100 | 102..=199, .. }) {
                    break head;
                }
            }
        }
    };
    let Start::Response { status, old } = head.start else { panic!("a response") };
    if status != 101 {
        return Err(ClientError::UnexpectedStatus(status));
    }
    if old {
        return Err(ClientError::BadHttpVersion);
    }
    let all = |name: &str| -> Vec<String> {
        let named = head.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let one = |name: &str, field: ResponseField| match &all(name)[..] {
        [] => Err(ClientError::MissingHeader(field)),
        [value] => Ok(value.clone()),
        _ => Err(ClientError::DuplicateHeader(field)),
    };
    if !one("upgrade", Upgrade)?.eq_ignore_ascii_case("websocket") {
        return Err(ClientError::InvalidHeader(Upgrade));
    }
    let connection = all("connection");
    if connection.is_empty() {
        return Err(ClientError::MissingHeader(Connection));
    }
    let options =
        connection.iter().flat_map(|value| value.split(',')).map(|option| option.trim_matches([' ', '\t']));
    if !vec![""].into_iter().chain(options).any(|option| option.eq_ignore_ascii_case("upgrade")) {
        return Err(ClientError::InvalidHeader(Connection));
    }
    if one("sec-websocket-accept", Accept)? != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
        return Err(ClientError::AcceptMismatch);
    }
    let answers: Vec<&Field> = head
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
        .collect();
    for (_, value) in answers {
        // Nothing was offered: the first element decides, whatever it is.
        if value.iter().any(|byte| !b" \t,".contains(byte)) {
            let first = crate::ws::handshake::fields::extensions(value).next();
            return Err(match first {
                Some(Err(error)) => ClientError::BadExtensions(error),
                _ => ClientError::UnofferedExtension,
            });
        }
    }
    match one("sec-websocket-protocol", Protocol) {
        Err(ClientError::MissingHeader(_)) => Ok(Some((None, skipped))),
        Err(error) => Err(error),
        Ok(name) if name == "a" || name == "b" => Ok(Some((Some(name), skipped))),
        Ok(name) if is_token(name.as_bytes()) => Err(ClientError::UnofferedSubprotocol),
        Ok(_) => Err(ClientError::InvalidHeader(Protocol)),
    }
}
