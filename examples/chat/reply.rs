//! Responses: a head, and a content that is there or that is yet to come.

use std::borrow::Cow;

use pushline::http1::chunked::Encoder;
use pushline::http1::head::{FieldLines, write_response};

use crate::request::Request;

pub const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
pub const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
pub const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");
pub const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

/// A response.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    lines: FieldLines,
    body: Cow<'static, [u8]>,
}

impl Reply {
    /// A response of this status without content.
    pub fn new(status: u16) -> Self {
        Self { status, lines: FieldLines::new(), body: Cow::Borrowed(&[]) }
    }

    /// A response that says so in words.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let body = text.into().into_bytes();
        Self::new(status).fields(&[TEXT, NOSNIFF]).body(body)
    }

    /// Adds fields. All are the server's own words; one that could split the response is left out.
    pub fn fields(mut self, fields: &[(&str, &str)]) -> Self {
        for (name, value) in fields {
            let _ = self.lines.push(name, value);
        }
        self
    }

    /// Sets the content.
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// The whole of it; only the length of the content for HEAD (RFC 9110 9.3.2).
    pub fn to_bytes(&self, method: &str, keep: bool) -> Vec<u8> {
        let mut reply = Self { body: Cow::Borrowed(&[]), ..self.clone() };
        // RFC 9110 8.6: no Content-Length in a 204.
        if self.status != 204 {
            reply = reply.fields(&[("Content-Length", &self.body.len().to_string())]);
        }
        if !keep {
            reply = reply.fields(&[("Connection", "close")]);
        }
        let mut bytes = reply.head();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The head of a response whose content comes bit by bit, and what to put that in.
    pub fn open(self, request: &Request) -> (Vec<u8>, Encoder) {
        // RFC 9112 6.1: no Transfer-Encoding to a client of HTTP/1.0; the end of the connection is the end.
        let reply = match request.chunked {
            true => self.fields(&[("Transfer-Encoding", "chunked")]),
            false => self,
        };
        let reply = if request.keep { reply } else { reply.fields(&[("Connection", "close")]) };
        (reply.head(), if request.chunked { Encoder::chunked() } else { Encoder::until_close() })
    }

    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512 + self.body.len());
        // It fails for a status that is none, and all of them stand in this program.
        let _ = write_response(&mut bytes, self.status, &self.lines);
        bytes
    }
}
