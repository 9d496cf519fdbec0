//! NUL-delimited messages in every cut, their limit, and the policy file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::every_cut;
use proptest::collection::vec;
use proptest::prelude::*;
use pushline::comet::flash::{FlashDecoder, FlashError, POLICY_REQUEST, encode, policy};

fn decode(limit: usize, parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, FlashError> {
    let mut decoder = FlashDecoder::new(limit);
    let mut messages = Vec::new();
    for part in parts {
        let mut input = *part;
        while let Some(message) = decoder.decode(&mut input)? {
            messages.push(message.to_vec());
        }
        assert!(input.is_empty());
    }
    Ok(messages)
}

#[test]
fn messages_in_every_cut() {
    let messages: Vec<&[u8]> = vec![b"one", b"", b"a longer one", b"", b"", POLICY_REQUEST, b"\xff\xfe"];
    let mut wire = Vec::new();
    for message in &messages {
        encode(message, &mut wire).unwrap();
    }
    wire.extend_from_slice(b"unfinished");
    every_cut(&wire, |parts| assert_eq!(decode(100, parts).unwrap(), messages));
}

proptest! {
    #[test]
    fn any_messages_in_any_parts(
        messages in vec(vec(1_u8.., 0..20), 0..20),
        rest in vec(1_u8.., 0..20),
        part in 1_usize..50,
    ) {
        let mut wire = Vec::new();
        for message in &messages {
            encode(message, &mut wire).unwrap();
        }
        wire.extend_from_slice(&rest);
        let parts: Vec<&[u8]> = wire.chunks(part).collect();
        assert_eq!(decode(20, &parts), Ok(messages));
    }
}

#[test]
fn the_longest_message() {
    for (length, accepted) in [(9, true), (10, true), (11, false)] {
        let wire = ["a".repeat(length), "\0b\0".to_owned()].concat();
        every_cut(wire.as_bytes(), |parts| {
            let expected = accepted.then(|| vec!["a".repeat(length).into_bytes(), b"b".to_vec()]);
            assert_eq!(decode(10, parts), expected.ok_or(FlashError::TooLong), "{length}");
        });
        // Refused as soon as it is too long, not when it ends.
        assert_eq!(decode(10, &["a".repeat(length).as_bytes()]).is_ok(), accepted);
    }
    let mut decoder = FlashDecoder::new(1);
    for input in [&b"ab"[..], b"", b"\0"] {
        assert_eq!(decoder.decode(&mut &*input), Err(FlashError::TooLong), "the error stays");
    }
    assert_eq!(decode(0, &[b"\0\0"]), Ok(vec![vec![], vec![]]));
    assert_eq!(decode(0, &[b"a"]), Err(FlashError::TooLong));
    assert_eq!(decode(usize::MAX, &[b"a", b"\0"]), Ok(vec![b"a".to_vec()]));
}

#[test]
fn a_message_with_a_nul_is_not_sent() {
    let mut wire = Vec::new();
    for message in [&b"\0"[..], b"a\0b", b"a\0"] {
        assert_eq!(encode(message, &mut wire), Err(FlashError::Nul));
    }
    assert!(wire.is_empty());
}

#[test]
fn policy_file() {
    let mut out = Vec::new();
    policy(&[("*", "*"), ("www.example.com", "843,5000-5010"), ("*.example.com", "80-80")], &mut out)
        .unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<?xml version=\"1.0\"?><!DOCTYPE cross-domain-policy SYSTEM \
         \"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd\"><cross-domain-policy>\
         <allow-access-from domain=\"*\" to-ports=\"*\"/>\
         <allow-access-from domain=\"www.example.com\" to-ports=\"843,5000-5010\"/>\
         <allow-access-from domain=\"*.example.com\" to-ports=\"80-80\"/></cross-domain-policy>\0"
    );
}

#[test]
fn policy_injection() {
    for (domain, ports) in [
        ("", "80"),
        ("*.", "80"),
        ("**", "80"),
        ("a\"/><x y=\"", "80"),
        ("a&b", "80"),
        ("a<b", "80"),
        ("a b", "80"),
        ("a\0b", "80"),
        ("a.*", "80"),
        ("a\r\nb", "80"),
        ("a", ""),
        ("a", "\""),
        ("a", "80,"),
        ("a", "80-"),
        ("a", "-80"),
        ("a", "+80"),
        ("a", "65536"),
        ("a", "1-2-3"),
        ("a", "5010-5000"),
        ("a", "*,80"),
        ("a", "80 "),
        ("a", "80\"/>"),
    ] {
        let mut out = Vec::new();
        assert_eq!(
            policy(&[("ok", "1"), (domain, ports)], &mut out),
            Err(FlashError::InvalidPolicy),
            "{domain:?} {ports:?}"
        );
        assert!(out.is_empty());
    }
}
