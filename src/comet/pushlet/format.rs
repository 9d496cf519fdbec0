//! How each format writes fields as an event.

use super::super::exchange::HttpResponse;
use super::super::form::Fields;
use super::super::script::write_literal;
use super::super::xml::write_attribute;
use super::super::{NO_STORE, NOSNIFF, put};
use crate::settings::timer_millis;
use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

/// An event of this kind, as yet without other fields.
pub(super) fn event_of<'f>(kind: impl Into<Cow<'f, str>>) -> Fields<'f> {
    Fields::default().with("p_event", kind)
}

/// The format in which events are written to a client.
///
/// ```
/// use pushline::comet::pushlet::Format;
///
/// assert_eq!(Format::parse("xml-strict"), Some(Format::XmlStrict));
/// assert_eq!(Format::parse("ser"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A document whose scripts call `parent.push('name', "value", …)`.
    Js,
    /// Elements `<event name="value" />` one after the other.
    Xml,
    /// The same inside `<pushlet>`: a whole document at its end.
    XmlStrict,
    /// An array of objects.
    Json,
}

impl Format {
    /// The format of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Js, Self::Xml, Self::XmlStrict, Self::Json].into_iter().find(|format| format.name() == name)
    }

    /// The name of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let [name, ..] = self.document();
        name
    }

    /// Its name and media type, and what stands before all events, between two, and after the last.
    const fn document(self) -> [&'static str; 5] {
        match self {
            Self::Js => ["js", "text/html; charset=UTF-8", HEAD, "", "</body></html>"],
            Self::Xml => ["xml", "text/plain; charset=UTF-8", "", "", ""],
            Self::XmlStrict => ["xml-strict", "text/xml; charset=UTF-8", "<pushlet>", "", "</pushlet>"],
            Self::Json => ["json", "application/json; charset=UTF-8", "[", ",", "]"],
        }
    }

    /// A response, and its first event.
    pub(super) fn begin(self, first: &Fields<'_>) -> HttpResponse {
        let [_, content_type, start, ..] = self.document();
        let mut response = HttpResponse::new(200).with("Content-Type", content_type);
        response.fields.extend([NO_STORE, NOSNIFF].map(|(name, value)| (name, value.into())));
        put(&mut response.body, &[start]);
        self.write(first, None, &mut response.body);
        response
    }

    /// A further event; `sequence` is its number in the response, if it has one.
    pub(super) fn event(self, event: &Fields<'_>, sequence: Option<u64>, out: &mut Vec<u8>) {
        let [.., between, _] = self.document();
        put(out, &[between]);
        self.write(event, sequence, out);
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        let [.., end] = self.document();
        put(out, &[end]);
    }

    /// The end of a response whose client is to come back to `url`.
    pub(super) fn end_and_refresh(self, url: &str, wait: Duration, out: &mut Vec<u8>) {
        let wait = timer_millis(wait).to_string();
        self.event(&event_of("refresh").with("p_wait", &*wait).with("p_url", url), None, out);
        if self == Self::Js {
            // The page that is shown in a frame comes back by itself.
            put(out, &["<script>setTimeout(function() { location.href = "]);
            write_literal(url, out);
            put(out, &[" }, ", &wait, ");</script>\n"]);
        }
        self.end(out);
    }

    fn write(self, event: &Fields<'_>, sequence: Option<u64>, out: &mut Vec<u8>) {
        type Write = fn(&str, &mut Vec<u8>);
        let (name_to, value_to, [start, is, and, end]): (Write, Write, _) = match self {
            Self::Js => (write_literal, write_literal, ["<script>parent.push(", ", ", ", ", ");</script>\n"]),
            Self::Json => (write_literal, write_literal, ["{", ":", ",", "}"]),
            _ => (|name, out| put(out, &[name]), write_attribute, ["<event ", "=", " ", " />"]),
        };
        let number = sequence.map(|number| ("p_seq".into(), number.to_string().into()));
        for (at, (name, value)) in event.0.iter().chain(&number).enumerate() {
            put(out, &[if at > 0 { and } else { start }]);
            name_to(name, out);
            put(out, &[is]);
            value_to(value, out);
        }
        put(out, &[end]);
    }
}

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><title>pushlet</title></head><body>\n";
