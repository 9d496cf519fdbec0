//! Fields, and how each format writes them as an event.

use super::super::exchange::HttpResponse;
use super::super::script::write_literal;
use super::super::{NO_STORE, NOSNIFF};
use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

/// Names and values, in order: an event, or the parameters of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'f>(pub(super) Vec<(Cow<'f, str>, Cow<'f, str>)>);

impl<'f> Fields<'f> {
    pub(super) fn event(kind: impl Into<Cow<'f, str>>) -> Self {
        Self::default().with("p_event", kind)
    }

    /// The first of a name counts.
    pub(super) fn with(mut self, name: impl Into<Cow<'f, str>>, value: impl Into<Cow<'f, str>>) -> Self {
        let name = name.into();
        if self.get(&name).is_none() {
            self.0.push((name, value.into()));
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The subject that a request names.
    pub(super) fn subject(&self) -> Result<&str, &'static str> {
        self.get("p_subject").filter(|subject| !subject.is_empty()).ok_or("no subject provided")
    }
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
        put(&mut response.body, start);
        self.write(first, None, &mut response.body);
        response
    }

    /// A further event; `sequence` is its number in the response, if it has one.
    pub(super) fn event(self, event: &Fields<'_>, sequence: Option<u64>, out: &mut Vec<u8>) {
        let [.., between, _] = self.document();
        put(out, between);
        self.write(event, sequence, out);
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        let [.., end] = self.document();
        put(out, end);
    }

    /// The end of a response whose client is to come back to `url`.
    pub(super) fn end_and_refresh(self, url: &str, wait: Duration, out: &mut Vec<u8>) {
        let wait = wait.as_millis().to_string();
        self.event(&Fields::event("refresh").with("p_wait", &*wait).with("p_url", url), None, out);
        if self == Self::Js {
            // The page that is shown in a frame comes back by itself.
            put(out, "<script>setTimeout(function() { location.href = ");
            write_literal(url, out);
            [" }, ", &wait, ");</script>\n"].into_iter().for_each(|part| put(out, part));
        }
        self.end(out);
    }

    fn write(self, event: &Fields<'_>, sequence: Option<u64>, out: &mut Vec<u8>) {
        let [start, is, and, end] = match self {
            Self::Js => ["<script>parent.push(", ", ", ", ", ");</script>\n"],
            Self::Xml | Self::XmlStrict => ["<event ", "=", " ", " />"],
            Self::Json => ["{", ":", ",", "}"],
        };
        let number = sequence.map(|number| ("p_seq".into(), number.to_string().into()));
        for (at, (name, value)) in event.0.iter().chain(&number).enumerate() {
            put(out, if at > 0 { and } else { start });
            if matches!(self, Self::Xml | Self::XmlStrict) {
                put(out, name);
                put(out, is);
                write_attribute(value, out);
            } else {
                write_literal(name, out);
                put(out, is);
                write_literal(value, out);
            }
        }
        put(out, end);
    }
}

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><title>pushlet</title></head><body>\n";

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// XML 1.0, 2.2 and 3.3.3: what is no character of a document becomes U+FFFD, and line ends are kept.
fn write_attribute(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in value.chars() {
        match character {
            '&' => put(out, "&amp;"),
            '<' => put(out, "&lt;"),
            '>' => put(out, "&gt;"),
            '"' => put(out, "&quot;"),
            '\'' => put(out, "&#39;"),
            '\t' => put(out, "&#9;"),
            '\n' => put(out, "&#10;"),
            '\r' => put(out, "&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => put(out, "\u{fffd}"),
            other => put(out, other.encode_utf8(&mut [0; 4])),
        }
    }
    out.push(b'"');
}

/// Whether a parameter's name may be an attribute's (XML 1.0, 2.3), of at most 64 bytes.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"))
}
