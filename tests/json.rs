//! The JSON checker against serde_json.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::json::{self, Error, MAX_DEPTH, Value};
use serde::de::IgnoredAny;

/// The table: RFC 8259 by section, what is JSON and where it is not.
#[test]
fn table() {
    let mut rows = 0;
    for line in include_str!("cases/json.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (text, expected) = line.split_once('\t').expect("two columns");
        let text = text.replace("<TAB>", "\t").replace("<LF>", "\n").replace("<US>", "\u{1f}");
        let expected = match expected {
            "ok" => Ok(text.trim_matches([' ', '\t', '\n', '\r'])),
            at => Err(Error::Syntax { at: at.parse().unwrap() }),
        };
        assert_eq!(json::check(&text).map(|value| value.as_str()), expected, "{text}");
        assert_eq!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), expected.is_ok(), "{text}");
        rows += 1;
    }
    assert!(rows > 70);
}

/// RFC 8259 9: an implementation may limit the depth.
#[test]
fn depth_at_the_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested = |depth: usize| open.repeat(depth / levels) + "0" + &close.repeat(depth / levels);
        assert!(json::check(&nested(MAX_DEPTH - levels)).is_ok());
        assert!(json::check(&nested(MAX_DEPTH)).is_ok());
        let at = open.len() * (MAX_DEPTH / levels);
        assert_eq!(json::check(&nested(MAX_DEPTH + levels)), Err(Error::TooDeep { at }));
    }
    // Beside one another they are no depth; a million deep are no recursion.
    assert!(json::check(&format!("[{}[]]", "[],".repeat(1000))).is_ok());
    assert_eq!(json::check(&"[".repeat(1_000_000)), Err(Error::TooDeep { at: MAX_DEPTH }));
}

/// The text of a value, made anew from its parts.
fn rebuilt(value: Value<'_>) -> serde_json::Value {
    if let Some(string) = value.string() {
        return serde_json::Value::String(string.to_cow().into_owned());
    }
    if let Some(items) = value.array() {
        return items.map(rebuilt).collect();
    }
    if let Some(fields) = value.object() {
        return fields.map(|(key, value)| (key.to_cow().into_owned(), rebuilt(value))).collect();
    }
    if let Some(number) = value.as_u64() {
        return number.into();
    }
    if let Some(value) = value.as_bool() {
        return value.into();
    }
    if value.is_null() {
        return serde_json::Value::Null;
    }
    assert!(value.is_number());
    serde_json::from_str(value.as_str()).unwrap()
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[a-z\"\\\\\u{0}-\u{20}]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec(("[a-c\"\u{e9}\\\\]{0,3}", inner), 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_alike(value in any_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        // What serde_json reads, which is not to the last bit what it wrote.
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(rebuilt(json::check(&text).unwrap()), expected);
    }

    #[test]
    fn a_changed_byte_is_judged_alike(value in any_value(), at: prop::sample::Index, byte in 0..128u8) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = str::from_utf8(&bytes) {
            prop_assert_eq!(json::check(text).is_ok(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{}", text);
        }
        if let Ok(text) = str::from_utf8(&bytes[..at]) {
            prop_assert_eq!(json::check(text).is_ok(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn strings_are_written_as_serde_json_does(text: String) {
        let mut out = Vec::new();
        json::write_string(&text, &mut out);
        let out = String::from_utf8(out).unwrap();
        prop_assert_eq!(&out, &serde_json::to_string(&text).unwrap());
        prop_assert!(json::check(&out).unwrap().string().unwrap().is(&text));
    }

    #[test]
    fn escapes_are_read_as_serde_json_does(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xd800..0xe000u16], 0..8)) {
        let text = format!("\"{}\"", units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>());
        let string = json::check(&text).unwrap().string().unwrap();
        prop_assert_eq!(string.to_cow(), String::from_utf16_lossy(&units));
        if let Ok(expected) = serde_json::from_str::<String>(&text) {
            prop_assert!(string.is(&expected));
        }
    }
}

#[test]
fn fields_by_name() {
    let value = json::check(r#"{"a":1,"\u0061":2,"":3,"a\/b":4}"#).unwrap();
    let object = value.object().unwrap();
    let get = |key: &str| object.get(key).and_then(|value| value.as_u64());
    assert_eq!((get("a"), get(""), get("a/b"), get("b")), (Some(2), Some(3), Some(4), None));
    assert!(value.array().is_none() && value.string().is_none() && value.as_f64().is_none());
    let mut items = json::check("[1 , 2]").unwrap().array().unwrap();
    items.next();
    assert_eq!(items.rest(), "2]");
    items.next();
    assert_eq!(items.rest(), "]");
}
