//! The opening handshake over HTTP/2 and HTTP/3, row by row (RFC 8441, RFC 9220).

use proptest::prelude::*;
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{
    ClientError, ClientOptions, ConnectSetting, Rejection, ServerOptions, Uri, accept_connect, verify_connect,
};

type Field = (String, Vec<u8>);

const BASE: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "server.example.com"),
    ("sec-websocket-version", "13"),
];

/// `BASE-:path|a=b`: the fields of BASE without `:path`. Pseudo-header fields that are added go first.
fn read(fields: &str) -> Vec<Field> {
    let mut read = Vec::new();
    let mut after_base = None;
    for field in fields.split('|') {
        if let Some(without) = field.strip_prefix("BASE") {
            let without: Vec<_> = without.split('-').collect();
            let left_out = |name: &str| {
                // `sec-websocket-version` has dashes of its own.
                without.contains(&name) || (name.starts_with("sec") && without.contains(&"version"))
            };
            let base = BASE.iter().filter(|(name, _)| !left_out(name));
            read.extend(base.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())));
            after_base = (without.len() > 1).then_some(read.len());
            continue;
        }
        let colon = usize::from(field.starts_with(':'));
        let (name, value) = field[colon..].split_once('=').unwrap();
        let value = value.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").replace("\\t", "\t");
        let field = (field[..colon].to_string() + name, value.into_bytes());
        match after_base {
            // What was left out of BASE is put in its place.
            Some(_) if colon == 1 => read.insert(0, field),
            _ => read.push(field),
        }
    }
    read
}

fn pairs(fields: &[Field]) -> impl Iterator<Item = (&str, &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
}

fn show<'a>(status: u16, name: &str, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut text = status.to_string();
    if !name.is_empty() {
        text += &format!(" {name}");
    }
    for (name, value) in fields {
        if name != "Content-Length" {
            text += &format!(" {}={}", name.to_ascii_lowercase(), String::from_utf8_lossy(value));
        }
    }
    text
}

fn rejected(rejection: &Rejection) -> String {
    show(rejection.status(), rejection.refusal().name(), rejection.connect_fields())
}

#[test]
fn rows() {
    let server = ServerOptions::new()
        .subprotocols(["chat"])
        .unwrap()
        .deflate(DeflateOptions::new(Compression::Shared));
    let client = ClientOptions::new().subprotocols(["chat"]).unwrap();
    let mut failed = Vec::new();
    let mut count = 0;
    for row in include_str!("cases/extra-h2.tsv").lines().filter(|row| !row.starts_with('#')) {
        let [id, _, role, fields, expected] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let fields = read(fields);
        let outcome = if role == "server" {
            match accept_connect(&server, pairs(&fields)) {
                Ok(accepted) => show(accepted.status(), "", accepted.fields()),
                Err(rejection) => rejected(&rejection),
            }
        } else {
            match verify_connect(&client, pairs(&fields)) {
                Ok((_, subprotocol)) => {
                    subprotocol.map_or("open".into(), |subprotocol| format!("open {subprotocol}"))
                }
                Err(error) => format!("{error:?}"),
            }
        };
        if outcome != expected {
            failed.push(format!("{id}: {outcome}, not {expected}"));
        }
        count += 1;
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count > 70);
}

/// H2-01 to H2-03: RFC 8441 3.
#[test]
fn the_setting() {
    assert_eq!(ConnectSetting::ID, 0x0008);
    let uri = Uri::parse("wss://server.example.com/chat").unwrap();
    let mut setting = ConnectSetting::new();
    let refused = ClientOptions::new().connect_fields(&uri, setting);
    assert_eq!(refused, Err(ClientError::ConnectNotEnabled));
    assert!(setting.receive(2).is_err() && setting.receive(u64::MAX).is_err());
    setting.receive(0).unwrap();
    assert!(!setting.is_enabled());
    setting.receive(1).unwrap();
    setting.receive(1).unwrap();
    assert!(setting.receive(0).is_err() && setting.is_enabled());
}

/// H2-09: what the client asks for, the server answers, with all that can be negotiated.
#[test]
fn both_roles_agree() {
    let server =
        ServerOptions::new().subprotocols(["b"]).unwrap().deflate(DeflateOptions::new(Compression::Shared));
    let client = ClientOptions::new()
        .subprotocols(["a", "b"])
        .unwrap()
        .deflate(DeflateOptions::new(Compression::Shared))
        .origin("https://[::1]:8443")
        .unwrap()
        .field("X-Y", "z")
        .unwrap();
    let uri = Uri::parse("wss://[::1]:8443/chat?a=b").unwrap();
    let request = client.connect_fields(&uri, ConnectSetting::enabled()).unwrap();
    assert!(request.iter().all(|(name, _)| name.bytes().all(|byte| !byte.is_ascii_uppercase())));
    let accepted = accept_connect(&server, pairs(&request)).unwrap();
    assert_eq!((accepted.status(), accepted.accept_key(), accepted.to_bytes()), (200, None, Vec::new()));
    let mut response = vec![(":status".to_string(), b"200".to_vec())];
    response.extend(accepted.fields().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())));
    let (negotiated, subprotocol) = verify_connect(&client, pairs(&response)).unwrap();
    assert_eq!((negotiated, subprotocol), (accepted.negotiated(), Some("b")));
}

proptest! {
    /// Whatever the fields are, nothing panics, and what is accepted is what a small model says can be.
    #[test]
    fn a_model_agrees(
        picks in prop::collection::vec((0usize..16, 0usize..9), 0..10),
        take in prop::collection::vec(prop::bool::weighted(0.9), 6),
    ) {
        let names = [
            ":method", ":protocol", ":scheme", ":path", ":authority", ":status", ":x", "host", "origin", "upgrade",
            "te", "content-length", "sec-websocket-version", "sec-websocket-key", "X", "x",
        ];
        let values = [
            "CONNECT", "websocket", "https", "/chat", "server.example.com", "13", "trailers", "", " ",
        ];
        let mut fields: Vec<Field> = BASE.iter().zip(&take).filter(|(_, take)| **take)
            .map(|((name, value), _)| (name.to_string(), value.as_bytes().to_vec())).collect();
        fields.extend(picks.iter().map(|&(name, value)| (names[name].to_string(), values[value].into())));
        let all = |name: &str| -> Vec<&[u8]> {
            fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
        };
        let one = |name: &str, value: &str| all(name) == [value.as_bytes()];
        let first_regular = fields.iter().position(|(name, _)| !name.starts_with(':')).unwrap_or(fields.len());
        let host = all("host");
        let authority = all(":authority");
        let valid = ["server.example.com", "CONNECT", "websocket", "https", "13", "trailers"];
        let named = authority.first().or(host.first()).map(|named| String::from_utf8_lossy(named).into_owned());
        let expected = fields.iter().all(|(_, value)| value != b" ")
            && fields[first_regular..].iter().all(|(name, _)| !name.starts_with(':'))
            && one(":method", "CONNECT") && one(":protocol", "websocket") && one(":scheme", "https")
            && one(":path", "/chat") && authority.len() <= 1 && host.len() <= 1
            && named.as_deref().is_some_and(|named| valid.contains(&named))
            && host.iter().all(|host| Some(String::from_utf8_lossy(host).as_ref()) == named.as_deref())
            && ["X", ":x", ":status", "upgrade", "content-length", "origin"].iter().all(|name| all(name).is_empty())
            && all("te").iter().all(|value| *value == b"trailers")
            && one("sec-websocket-version", "13");
        let accepted = accept_connect(&ServerOptions::new(), pairs(&fields)).is_ok();
        prop_assert_eq!(accepted, expected, "{:?}", fields);
    }
}
