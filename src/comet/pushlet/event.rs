//! Events, and how each format writes them.

use super::super::script::{write_literal, write_number};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// How events are written to a client.
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
        Some(match name {
            "js" => Self::Js,
            "xml" => Self::Xml,
            "xml-strict" => Self::XmlStrict,
            "json" => Self::Json,
            _ => return None,
        })
    }

    /// The name of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Js => "js",
            Self::Xml => "xml",
            Self::XmlStrict => "xml-strict",
            Self::Json => "json",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Js => "text/html; charset=UTF-8",
            Self::Xml => "text/plain; charset=UTF-8",
            Self::XmlStrict => "text/xml; charset=UTF-8",
            Self::Json => "application/json; charset=UTF-8",
        }
    }

    pub(super) fn start(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Js => HEAD.as_bytes(),
            Self::Xml => b"",
            Self::XmlStrict => b"<pushlet>",
            Self::Json => b"[",
        });
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Js => b"</body></html>",
            Self::Xml => b"",
            Self::XmlStrict => b"</pushlet>",
            Self::Json => b"]",
        });
    }

    /// An event, the first of its response or not; `sequence` is its number there, 0 for none.
    pub(super) fn event(self, event: &Event, sequence: u64, first: bool, out: &mut Vec<u8>) {
        let mut number = Vec::new();
        if sequence > 0 {
            write_number(sequence, &mut number);
        }
        let number = core::str::from_utf8(&number).unwrap_or_default();
        let sequence = (sequence > 0).then_some(("p_seq", number));
        let fields = event.fields.iter().map(|(name, value)| (&**name, &**value)).chain(sequence);
        match self {
            Self::Js => {
                out.extend_from_slice(b"<script>parent.push(");
                for (at, (name, value)) in fields.enumerate() {
                    out.extend_from_slice(if at > 0 { b", " } else { b"" });
                    write_literal(name, out);
                    out.extend_from_slice(b", ");
                    write_literal(value, out);
                }
                out.extend_from_slice(b");</script>\n");
                // The page that is shown in a frame comes back by itself.
                if let (Some("refresh"), Some(url), Some(wait)) =
                    (event.get("p_event"), event.get("p_url"), event.get("p_wait"))
                {
                    out.extend_from_slice(b"<script>setTimeout(function() { location.href = ");
                    write_literal(url, out);
                    out.extend_from_slice(b" }, ");
                    out.extend_from_slice(wait.as_bytes());
                    out.extend_from_slice(b");</script>\n");
                }
            }
            Self::Xml | Self::XmlStrict => {
                out.extend_from_slice(b"<event ");
                for (name, value) in fields {
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"=\"");
                    attribute(value, out);
                    out.extend_from_slice(b"\" ");
                }
                out.extend_from_slice(b"/>");
            }
            Self::Json => {
                out.extend_from_slice(if first { b"{" } else { b",{" });
                for (at, (name, value)) in fields.enumerate() {
                    out.extend_from_slice(if at > 0 { b"," } else { b"" });
                    write_literal(name, out);
                    out.extend_from_slice(b":");
                    write_literal(value, out);
                }
                out.extend_from_slice(b"}");
            }
        }
    }
}

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><title>pushlet</title></head><body>\n";

/// XML 1.0, 2.2 and 3.3.3: what is no character of a document becomes U+FFFD, and line ends are kept.
fn attribute(value: &str, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    for character in value.chars() {
        out.extend_from_slice(match character {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '"' => b"&quot;",
            '\'' => b"&#39;",
            '\t' => b"&#9;",
            '\n' => b"&#10;",
            '\r' => b"&#13;",
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}".as_bytes(),
            other => other.encode_utf8(&mut buffer).as_bytes(),
        });
    }
}

/// Names and values, in order, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Event {
    pub(super) fn new(kind: &'static str) -> Self {
        Self::default().with("p_event", kind)
    }

    pub(super) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        let name = name.into();
        if self.get(&name).is_none() {
            self.fields.push((name, value.into()));
        }
        self
    }

    pub(super) fn with_some(self, name: &'static str, value: Option<&String>) -> Self {
        match value {
            Some(value) => self.with(name, value.clone()),
            None => self,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }
}

/// Whether a parameter's name may be an attribute's (XML 1.0, 2.3), of at most 64 bytes.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"))
}
