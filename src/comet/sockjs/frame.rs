//! Frames, messages, and how each transport writes a frame.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums and differences of lengths of what is in memory, and capacities"
)]

use super::super::jsonp::Callback;
use super::super::put;
use super::super::script::write_literal;
use crate::json;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

/// A message as SockJS sends it, made once and shared by all that receive it: a JSON string in which what browsers and
/// proxies garble is escaped.
///
/// ```
/// use pushline::comet::sockjs::SockJsMessage;
///
/// assert_eq!(SockJsMessage::text("it's \"it\"\u{feff}\u{200c}\0\n").literal(), "\"it's \\\"it\\\"\u{feff}\\u200c\\u0000\\n\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockJsMessage(Arc<str>);

impl SockJsMessage {
    /// A message of this text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut literal = String::with_capacity(text.len() + 2);
        write_string(text, &mut literal);
        Self(literal.into())
    }

    /// The JSON string, its quotes included.
    #[must_use]
    pub fn literal(&self) -> &str {
        &self.0
    }

    /// The text, as a WebSocket without frames sends it.
    pub(super) fn to_text(&self) -> Cow<'_, str> {
        let string = json::check(&self.0).ok().and_then(|value| value.string());
        string.map(|string| string.to_cow()).unwrap_or_default()
    }
}

/// Appends `text` as a JSON string (RFC 8259 7), with the escapes that the protocol asks servers for ("JSON Unicode
/// Encoding": U+0000 to 001F, 200C to 200F, 2028 to 202F, 2060 to 206F, FFF0 to FFFF).
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let special = matches!(character, '\0'..='\x1f' | '"' | '\\' | '\u{200c}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{fff0}'..='\u{ffff}');
        if !special {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                // Writing into a `String` cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// `c[3000,"Go away!"]`.
pub(super) fn close_frame(code: u16, reason: &str) -> String {
    let mut frame = String::with_capacity(reason.len() + 12);
    let _ = write!(frame, "c[{code},");
    write_string(reason, &mut frame);
    frame.push(']');
    frame
}

/// The transport by which a client receives: what is around each frame, and whether the response goes on after it.
///
/// ```
/// use pushline::comet::sockjs::SockJsTransport;
///
/// let mut out = Vec::new();
/// SockJsTransport::EventSource.write_frame("a[\"hello\"]", &mut out);
/// assert_eq!(out, b"data: a[\"hello\"]\r\n\r\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SockJsTransport {
    /// `/xhr`: one frame, and the response ends.
    Xhr,
    /// `/xhr_streaming`: a frame a line.
    XhrStreaming,
    /// `/eventsource`: a frame an event.
    EventSource,
    /// `/htmlfile`: a frame a script, which calls this function's object in the parent.
    HtmlFile(Box<str>),
    /// `/jsonp`: one frame, as a call of this function.
    Jsonp(Box<str>),
    /// `/<server>/<session>/websocket`: a frame a text message.
    WebSocket,
    /// `/websocket`: messages as they are, no frames.
    RawWebSocket,
}

impl SockJsTransport {
    /// Whether the response ends after one frame.
    #[must_use]
    pub const fn is_polling(&self) -> bool {
        matches!(self, Self::Xhr | Self::Jsonp(_))
    }

    pub(super) const fn is_websocket(&self) -> bool {
        matches!(self, Self::WebSocket | Self::RawWebSocket)
    }

    /// Whether the response ends once it has carried so many bytes: the client keeps all of them.
    pub(super) const fn is_limited(&self) -> bool {
        matches!(self, Self::XhrStreaming | Self::EventSource | Self::HtmlFile(_))
    }

    /// The media type of the response.
    pub(super) const fn content_type(&self) -> &'static str {
        match self {
            Self::Xhr | Self::XhrStreaming | Self::Jsonp(_) => "application/javascript; charset=UTF-8",
            Self::EventSource => "text/event-stream",
            Self::HtmlFile(_) => "text/html; charset=UTF-8",
            Self::WebSocket | Self::RawWebSocket => "text/plain; charset=UTF-8",
        }
    }

    pub(super) fn html_file(callback: Callback<'_>) -> Self {
        Self::HtmlFile(callback.as_str().into())
    }

    pub(super) fn jsonp(callback: Callback<'_>) -> Self {
        Self::Jsonp(callback.as_str().into())
    }

    /// Appends what comes before the first frame, and answers whether there is such a thing.
    pub fn write_prelude(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::XhrStreaming => {
                out.resize(out.len() + 2048, b'h');
                out.push(b'\n');
            }
            Self::EventSource => out.extend_from_slice(b"\r\n"),
            Self::HtmlFile(callback) => {
                let start = out.len();
                out.extend_from_slice(HTML_HEAD.as_bytes());
                out.extend_from_slice(callback.as_bytes());
                out.extend_from_slice(HTML_REST.as_bytes());
                // Browsers show nothing of a document before its first KiB.
                out.resize(out.len().max(start + 1024), b' ');
                out.extend_from_slice(b"\r\n\r\n");
            }
            _ => return false,
        }
        true
    }

    /// Appends a frame.
    pub fn write_frame(&self, frame: &str, out: &mut Vec<u8>) {
        match self {
            Self::Xhr | Self::XhrStreaming => put(out, &["", frame, "\n"]),
            Self::EventSource => {
                out.extend_from_slice(b"data: ");
                // The client, `sockjs-client` 1.6, runs `decodeURI` over it, as its server escapes percent signs.
                for (at, part) in frame.split('%').enumerate() {
                    put(out, &[if at > 0 { "%25" } else { "" }, part]);
                }
                out.extend_from_slice(b"\r\n\r\n");
            }
            Self::WebSocket | Self::RawWebSocket => put(out, &[frame]),
            Self::HtmlFile(_) => {
                out.extend_from_slice(b"<script>\np(");
                write_literal(frame, out);
                out.extend_from_slice(b");\n</script>\r\n");
            }
            Self::Jsonp(callback) => {
                put(out, &["/**/", callback, "("]);
                write_literal(frame, out);
                out.extend_from_slice(b");\r\n");
            }
        }
    }
}

const HTML_HEAD: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent."#;

const HTML_REST: &str = r";
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
";
