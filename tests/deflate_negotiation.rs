//! RFC 7692 7.1: rows PN-01 to PN-28 of the checklist, and what the memory policies ask for.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/deflate.rs"]
mod deflate;

use deflate::{largest_distance, noise};
use proptest::prelude::*;
use pushline::raw::extensions;
use pushline::raw::{Deflater, negotiate, offer, verify};
use pushline::ws::deflate::{AnswerError, Compression, DeflateOptions, DeflateParams, Terms, WindowBits};
use pushline::ws::handshake::ListError;

const NOTHING: Terms = Terms {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

fn bits(n: u8) -> Option<WindowBits> {
    Some(WindowBits::new(n).unwrap())
}

/// A server's answer.
fn answer(wishes: Terms, offers: &str) -> Option<String> {
    let (params, text) = negotiate(&wishes, extensions(offers.as_bytes()))?;
    // What the server understands is what a client that offered the same reads in it.
    let anything = Terms { client_max_window_bits: bits(15), ..NOTHING };
    assert_eq!(verify(&[anything], extensions(text.as_bytes())), Ok(Some(params)), "{text}");
    Some(text)
}

/// The answer of a server without wishes.
fn plain(offers: &str) -> Option<String> {
    answer(NOTHING, offers)
}

/// A client's reading.
fn read(offered: Terms, answer: &str) -> Result<Option<DeflateParams>, AnswerError> {
    verify(&[offered], extensions(answer.as_bytes()))
}

fn payload(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    deflater.deflate(message, &mut payload, true);
    payload
}

fn dedicated() -> DeflateOptions {
    DeflateOptions::new(Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 })
}

#[test]
fn pn_01_plain_offer() {
    assert_eq!(plain("permessage-deflate").unwrap(), "permessage-deflate");
}

#[test]
fn pn_02_server_no_context_takeover_is_granted_and_kept() {
    let offers = "permessage-deflate; server_no_context_takeover";
    assert_eq!(plain(offers).unwrap(), offers);
    let (params, _) = negotiate(&NOTHING, extensions(offers.as_bytes())).unwrap();
    let mut deflater = Deflater::new(params.server(), &dedicated());
    for _ in 0..2 {
        assert_eq!(payload(&mut deflater, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }
    assert!(params.client().context_takeover);
}

#[test]
fn pn_03_client_no_context_takeover_is_echoed_or_imposed() {
    let offers = "permessage-deflate; client_no_context_takeover";
    assert_eq!(plain(offers).unwrap(), offers);
    let imposing = Terms { client_no_context_takeover: true, ..NOTHING };
    assert_eq!(answer(imposing, "permessage-deflate").unwrap(), offers);
}

#[test]
fn pn_04_server_window_is_at_most_what_the_offer_says() {
    for offered in 8..=15 {
        let offers = format!("permessage-deflate; server_max_window_bits={offered}");
        assert_eq!(plain(&offers).unwrap(), offers);
        for wished in 8..=15 {
            let wishes = Terms { server_max_window_bits: bits(wished), ..NOTHING };
            let expected = format!("permessage-deflate; server_max_window_bits={}", offered.min(wished));
            assert_eq!(answer(wishes, &offers).unwrap(), expected);
        }
    }
    // RFC 7692 7.1.2.1: a server may limit itself unasked.
    let wishes = Terms { server_max_window_bits: bits(10), ..NOTHING };
    assert_eq!(
        answer(wishes, "permessage-deflate").unwrap(),
        "permessage-deflate; server_max_window_bits=10"
    );
}

#[test]
fn pn_05_server_window_needs_a_value() {
    assert_eq!(plain("permessage-deflate; server_max_window_bits"), None);
}

#[test]
fn pn_06_07_window_bits_are_8_to_15_as_written() {
    let invalid = [
        "7",
        "16",
        "0",
        "08",
        "+9",
        "9a",
        "-9",
        "1",
        "10.",
        "0x9",
        "010",
        "15a",
        "99",
        "100",
        "256",
        "264",
        "65544",
        "4294967304",
        "18446744073709551624",
        "\"\"",
        "\" 9\"",
        "\"9 \"",
        "\"08\"",
        "\"+9\"",
    ];
    for parameter in ["server_max_window_bits", "client_max_window_bits"] {
        for value in invalid {
            assert_eq!(
                plain(&format!("permessage-deflate; {parameter}={value}")),
                None,
                "{parameter}={value}"
            );
        }
        for value in ["9", "\"9\"", "\"\\9\""] {
            let expected = format!("permessage-deflate; {parameter}=9");
            assert_eq!(plain(&format!("permessage-deflate; {parameter}={value}")).unwrap(), expected);
        }
    }
}

#[test]
fn pn_08_client_window_without_a_value() {
    let offers = "permessage-deflate; client_max_window_bits";
    assert_eq!(plain(offers).unwrap(), "permessage-deflate");
    for wished in 8..=14 {
        let wishes = Terms { client_max_window_bits: bits(wished), ..NOTHING };
        let expected = format!("permessage-deflate; client_max_window_bits={wished}");
        assert_eq!(answer(wishes, offers).unwrap(), expected);
    }
}

#[test]
fn pn_09_client_window_is_at_most_what_the_offer_says() {
    for offered in 8..=15 {
        for wished in 8..=15 {
            let wishes = Terms { client_max_window_bits: bits(wished), ..NOTHING };
            let offers = format!("permessage-deflate; client_max_window_bits={offered}");
            let expected = match offered.min(wished) {
                15 => "permessage-deflate".to_owned(),
                agreed => format!("permessage-deflate; client_max_window_bits={agreed}"),
            };
            assert_eq!(answer(wishes, &offers).unwrap(), expected);
        }
    }
}

#[test]
fn pn_10_client_window_is_not_in_the_answer_unless_offered() {
    let wishes = Terms { client_max_window_bits: bits(10), ..NOTHING };
    assert_eq!(answer(wishes, "permessage-deflate").unwrap(), "permessage-deflate");
    let (params, _) = negotiate(&wishes, extensions(b"permessage-deflate")).unwrap();
    assert_eq!(params.client_max_window_bits, WindowBits::MAX);
}

#[test]
fn pn_11_unknown_parameter() {
    for parameter in ["foo", "foo=1", "Server_No_Context_Takeover", "server_max_window_bits_=9"] {
        assert_eq!(plain(&format!("permessage-deflate; {parameter}")), None);
    }
}

#[test]
fn pn_12_duplicate_parameter() {
    let all = [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=9",
        "client_max_window_bits=9",
        "client_max_window_bits",
    ];
    for parameter in all {
        assert_eq!(plain(&format!("permessage-deflate; {parameter}; {parameter}")), None);
    }
    let mixed = "permessage-deflate; client_max_window_bits; client_max_window_bits=9";
    assert_eq!(plain(mixed), None);
}

#[test]
fn pn_13_value_on_a_valueless_parameter() {
    for parameter in ["server_no_context_takeover", "client_no_context_takeover"] {
        for value in ["1", "true", "\"1\"", "15"] {
            assert_eq!(plain(&format!("permessage-deflate; {parameter}={value}")), None);
        }
    }
}

#[test]
fn pn_14_the_first_acceptable_offer_is_chosen() {
    let second = "permessage-deflate; server_max_window_bits=99, permessage-deflate";
    assert_eq!(plain(second).unwrap(), "permessage-deflate");
    let third = "permessage-deflate; foo, permessage-deflate; server_max_window_bits=\"a b\", \
                 permessage-deflate; server_max_window_bits=9, permessage-deflate";
    assert_eq!(plain(third).unwrap(), "permessage-deflate; server_max_window_bits=9");
}

#[test]
fn pn_15_at_most_one_element_in_the_answer() {
    assert_eq!(plain("permessage-deflate, permessage-deflate").unwrap(), "permessage-deflate");
}

#[test]
fn pn_16_other_extensions_are_left_out() {
    assert_eq!(plain("x-foo"), None);
    assert_eq!(plain(""), None);
    assert_eq!(plain("x-foo; bar=1, permessage-deflate, mux; a").unwrap(), "permessage-deflate");
    for similar in ["permessage-deflate2", "x-webkit-deflate-frame", "Permessage-Deflate", "deflate"] {
        assert_eq!(plain(similar), None);
    }
}

#[test]
fn pn_17_window_8_is_promised_and_kept() {
    let offers = "permessage-deflate; server_max_window_bits=8";
    assert_eq!(plain(offers).unwrap(), offers);
    let (params, _) = negotiate(&NOTHING, extensions(offers.as_bytes())).unwrap();
    // Each of these distances could be used, and would be in a larger window.
    let noise = noise(512);
    let message: Vec<u8> =
        (200..=270).chain([300, 400, 511, 512]).flat_map(|n| noise[..n].repeat(2)).collect();
    for level in 1..=9 {
        let mut deflater = Deflater::new(params.server(), &dedicated().level(level));
        for _ in 0..2 {
            let mut stream = payload(&mut deflater, &message);
            stream.extend([0, 0, 0xff, 0xff]);
            let largest = largest_distance(&stream);
            assert!((200..=256).contains(&largest), "level {level}: {largest}");
        }
    }
}

#[test]
fn pn_18_unknown_parameter_in_the_answer() {
    for parameter in ["foo=1", "foo"] {
        let answer = format!("permessage-deflate; {parameter}");
        assert_eq!(read(NOTHING, &answer), Err(AnswerError::UnknownParameter));
    }
}

#[test]
fn pn_19_duplicate_parameter_in_the_answer() {
    let offered = Terms { client_max_window_bits: bits(15), ..NOTHING };
    for parameter in [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=9",
        "client_max_window_bits=9",
    ] {
        let answer = format!("permessage-deflate; {parameter}; {parameter}");
        assert_eq!(read(offered, &answer), Err(AnswerError::DuplicateParameter));
    }
    for parameter in ["server_no_context_takeover=1", "client_no_context_takeover=\"true\""] {
        let answer = format!("permessage-deflate; {parameter}");
        assert_eq!(read(offered, &answer), Err(AnswerError::InvalidValue));
    }
}

#[test]
fn pn_20_server_no_context_takeover_must_be_granted() {
    let offered = Terms { server_no_context_takeover: true, ..NOTHING };
    assert_eq!(read(offered, "permessage-deflate"), Err(AnswerError::ServerTakeover));
    let params = read(offered, "permessage-deflate; server_no_context_takeover").unwrap().unwrap();
    assert!(!params.server().context_takeover);
    // Unasked it may be given.
    assert!(read(NOTHING, "permessage-deflate; server_no_context_takeover").unwrap().is_some());
}

#[test]
fn pn_21_22_server_window_must_be_granted() {
    for offered in 8..=15 {
        let terms = Terms { server_max_window_bits: bits(offered), ..NOTHING };
        assert_eq!(read(terms, "permessage-deflate"), Err(AnswerError::ServerWindow));
        for told in 8..=15 {
            let outcome = read(terms, &format!("permessage-deflate; server_max_window_bits={told}"));
            if told <= offered {
                assert_eq!(outcome.unwrap().unwrap().server_max_window_bits, bits(told).unwrap());
            } else {
                assert_eq!(outcome, Err(AnswerError::ServerWindow));
            }
        }
    }
    // Unasked it may be given.
    let params = read(NOTHING, "permessage-deflate; server_max_window_bits=9").unwrap().unwrap();
    assert_eq!(params.server_max_window_bits, bits(9).unwrap());
}

#[test]
fn pn_23_client_window_though_not_offered() {
    for told in 8..=15 {
        let answer = format!("permessage-deflate; client_max_window_bits={told}");
        assert_eq!(read(NOTHING, &answer), Err(AnswerError::ClientWindow));
    }
}

#[test]
fn pn_24_client_window_without_a_value_in_the_answer() {
    let offered = Terms { client_max_window_bits: bits(15), ..NOTHING };
    let answer = "permessage-deflate; client_max_window_bits";
    assert_eq!(read(offered, answer), Err(AnswerError::InvalidValue));
}

#[test]
fn pn_25_values_outside_8_to_15_never_reach_the_codec() {
    let offered = Terms { client_max_window_bits: bits(15), ..NOTHING };
    for parameter in ["server_max_window_bits", "client_max_window_bits"] {
        for value in ["0", "7", "16", "999999999999", "08", "\"\\08\"", "-8", "255"] {
            let answer = format!("permessage-deflate; {parameter}={value}");
            assert_eq!(read(offered, &answer), Err(AnswerError::InvalidValue));
        }
    }
    let answer = "permessage-deflate; server_max_window_bits";
    assert_eq!(read(offered, answer), Err(AnswerError::InvalidValue));
    let answer = "permessage-deflate; server_max_window_bits=\"1 0\"";
    assert_eq!(read(offered, answer), Err(AnswerError::List(ListError::ValueNotToken)));
}

#[test]
fn pn_26_the_window_in_the_answer_is_obeyed() {
    let offered = Terms { client_max_window_bits: bits(15), ..NOTHING };
    let params = read(offered, "permessage-deflate; client_max_window_bits=9").unwrap().unwrap();
    let message: Vec<u8> = noise(600).into_iter().cycle().take(4096).collect();
    for (agreed, reach) in [(params, 0..=512), (DeflateParams::default(), 600..=32_768)] {
        for level in 1..=9 {
            let mut deflater = Deflater::new(agreed.client(), &dedicated().level(level));
            let mut stream = payload(&mut deflater, &message);
            stream.extend([0, 0, 0xff, 0xff]);
            let largest = largest_distance(&stream);
            assert!(reach.contains(&largest), "level {level}: {largest}");
        }
    }
    // What the client itself offered binds it, whatever the answer leaves out.
    let offered = Terms { client_max_window_bits: bits(9), ..NOTHING };
    let params = read(offered, "permessage-deflate").unwrap().unwrap();
    assert_eq!(params.client_max_window_bits, bits(9).unwrap());
    let answer = "permessage-deflate; client_max_window_bits=10";
    assert_eq!(read(offered, answer), Err(AnswerError::ClientWindow));
}

#[test]
fn pn_27_client_no_context_takeover_in_the_answer_is_obeyed() {
    let params = read(NOTHING, "permessage-deflate; client_no_context_takeover").unwrap().unwrap();
    let mut deflater = Deflater::new(params.client(), &dedicated());
    for _ in 0..2 {
        assert_eq!(payload(&mut deflater, b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }
    // And so is what the client offered to do.
    let offered = Terms { client_no_context_takeover: true, ..NOTHING };
    assert!(!read(offered, "permessage-deflate").unwrap().unwrap().client().context_takeover);
}

#[test]
fn pn_28_two_elements_in_the_answer() {
    let twice = "permessage-deflate, permessage-deflate";
    assert_eq!(read(NOTHING, twice), Err(AnswerError::Repeated));
    assert_eq!(read(NOTHING, "permessage-deflate, x-foo"), Err(AnswerError::NotOffered));
    assert_eq!(read(NOTHING, "x-foo"), Err(AnswerError::NotOffered));
    assert_eq!(read(NOTHING, ""), Ok(None));
    assert_eq!(verify(&[], extensions(b"permessage-deflate")), Err(AnswerError::NotOffered));
}

#[test]
fn a_list_that_breaks_the_grammar_offers_nothing_and_answers_nothing() {
    for broken in [
        "permessage-deflate,;",
        "permessage-deflate; ",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; =9",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate, per message",
    ] {
        assert_eq!(plain(broken), None, "{broken}");
        assert_eq!(read(NOTHING, broken), Err(AnswerError::List(ListError::Malformed)), "{broken}");
    }
}

#[test]
fn of_several_offers_the_answer_has_to_fit_one() {
    let small = Terms { server_max_window_bits: bits(9), ..NOTHING };
    let fresh = Terms { server_no_context_takeover: true, ..NOTHING };
    let offered = [small, fresh];
    assert_eq!(
        offer(&offered),
        "permessage-deflate; server_max_window_bits=9, permessage-deflate; server_no_context_takeover"
    );
    let read = |answer: &str| verify(&offered, extensions(answer.as_bytes()));
    assert!(read("permessage-deflate; server_max_window_bits=8").is_ok());
    assert!(read("permessage-deflate; server_no_context_takeover").is_ok());
    assert_eq!(read("permessage-deflate"), Err(AnswerError::ServerTakeover));
}

#[test]
fn a_policy_asks_for_what_it_needs() {
    let compact = Compression::Compact { window_bits: bits(11).unwrap() };
    let large = Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 };
    let offered = |compression| DeflateOptions::new(compression).offer();
    assert_eq!(offered(Compression::Off), None);
    assert_eq!(
        offered(Compression::Shared).unwrap(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    assert_eq!(
        offered(compact).unwrap(),
        "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11, \
         permessage-deflate; server_no_context_takeover; client_max_window_bits=11"
    );
    assert_eq!(offered(large).unwrap(), "permessage-deflate; client_max_window_bits");

    let answered = |compression, offers: &str| {
        DeflateOptions::new(compression).answer(extensions(offers.as_bytes())).map(|(_, text)| text)
    };
    assert_eq!(answered(Compression::Off, "permessage-deflate"), None);
    assert_eq!(
        answered(Compression::Shared, "permessage-deflate").unwrap(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    assert_eq!(
        answered(compact, "permessage-deflate; client_max_window_bits").unwrap(),
        "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11"
    );
    // A client that keeps its window of 32 KiB may not refer to it.
    assert_eq!(
        answered(compact, "permessage-deflate").unwrap(),
        "permessage-deflate; client_no_context_takeover; server_max_window_bits=11"
    );
    assert_eq!(answered(large, "permessage-deflate").unwrap(), "permessage-deflate");

    // The user's own terms and the policy's: the stricter of both.
    let terms = Terms { server_max_window_bits: bits(9), client_no_context_takeover: true, ..NOTHING };
    assert_eq!(
        DeflateOptions::new(compact).terms(terms).offer().unwrap(),
        "permessage-deflate; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=11, \
         permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=11"
    );
    // RFC 7692 7.1.2.1: also for one that only asks.
    let dedicated =
        DeflateOptions::new(Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 4 });
    let terms = Terms { server_max_window_bits: bits(9), ..NOTHING };
    assert_eq!(
        dedicated.clone().terms(terms).offer().unwrap(),
        "permessage-deflate; server_max_window_bits=9, permessage-deflate"
    );
    assert_eq!(
        dedicated.clone().terms(terms).fallback(false).offer().unwrap(),
        "permessage-deflate; server_max_window_bits=9"
    );
    assert_eq!(dedicated.terms(NOTHING).offer().unwrap(), "permessage-deflate");
}

#[test]
fn both_roles_of_every_pair_of_policies_agree() {
    let windows = || (8..=15).map(|n| bits(n).unwrap());
    let policies: Vec<Compression> = [Compression::Shared]
        .into_iter()
        .chain(windows().map(|window_bits| Compression::Compact { window_bits }))
        .chain(windows().map(|window_bits| Compression::Dedicated { window_bits, memory_level: 4 }))
        .collect();
    for &client in &policies {
        for &server in &policies {
            let (client, server) = (DeflateOptions::new(client), DeflateOptions::new(server));
            let offers = client.offer().unwrap();
            let (params, answer) = server.answer(extensions(offers.as_bytes())).unwrap();
            let read = client.verify(extensions(answer.as_bytes())).unwrap().unwrap();
            assert_eq!(read.server(), params.server(), "{offers} -> {answer}");
            // The client may be stricter with itself than the server knows.
            assert!(read.client().window_bits <= params.client().window_bits);
            assert!(read.client().context_takeover <= params.client().context_takeover);
        }
    }
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let bits = || proptest::option::of((8..=15_u8).prop_map(|n| WindowBits::new(n).unwrap()));
    (any::<bool>(), any::<bool>(), bits(), bits()).prop_map(|(server, client, server_bits, client_bits)| {
        Terms {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        }
    })
}

proptest! {
    /// Whatever is offered and wished for, the answer grants the offer, and both sides read it alike.
    #[test]
    fn every_answer_fits_its_offer(offered in any_terms(), wishes in any_terms()) {
        let (params, answer) = negotiate(&wishes, extensions(offer(&[offered]).as_bytes())).unwrap();
        prop_assert_eq!(verify(&[offered], extensions(answer.as_bytes())), Ok(Some(params)), "{}", answer);
        prop_assert!(params.server_no_context_takeover >= wishes.server_no_context_takeover);
        prop_assert!(params.client_no_context_takeover >= wishes.client_no_context_takeover);
        let wished = wishes.server_max_window_bits.unwrap_or(WindowBits::MAX);
        prop_assert!(params.server_max_window_bits <= wished);
    }
}
