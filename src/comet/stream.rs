//! One long response, a message at a time: what XMLHttpRequest reads while it loads, and what an iframe runs while it
//! loads (IE's `htmlfile` object is such an iframe). Knows bytes and the budget; the session has the rest.
//!
//! Neither is needed by a browser of today, which has `fetch` streams and EventSource; they are here for clients
//! that have nothing better.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use super::jsonp::Callback;
use super::long_poll::{AnswerKind, CometAnswer};
use super::script::{write_literal, write_number};
use super::{NO_STORE, NOSNIFF, cors};
use crate::settings::settings;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::BufMut;

/// Asks nginx, and proxies that learnt it from there, not to collect the response.
const UNBUFFERED: (&str, &str) = ("X-Accel-Buffering", "no");

settings! {
    /// What a [`StreamWriter`] writes besides messages, and for how long.
    ///
    /// ```
    /// use pushline::comet::StreamOptions;
    ///
    /// let config = StreamOptions::new().budget(1 << 20).padding(0);
    /// assert_ne!(config, StreamOptions::default());
    /// ```
    #[derive(Copy)]
    StreamOptions {
        /// Bytes after which a response ends and the client asks again. Default 128 KiB; the message that reaches it
        /// is the last.
        ///
        /// The client keeps the whole response in memory, and some read it anew for each message: without a budget it
        /// slows down and grows without end.
        budget: usize = 128 << 10;
        /// Bytes at the start that carry nothing. Default 2048, which is what the most stubborn browsers hold back
        /// before they show a page anything.
        padding: usize = 2048;
    }
}

/// Writes one streaming response: [`open`](Self::open) first, then [`write`](Self::write) each answer of a
/// [`CometSession::stream`](super::CometSession::stream) until it says that the response is over.
///
/// Then the connection's task ends the response and tells [`CometSession::close`](super::CometSession::close); the client,
/// seeing the end, asks again with its cursor, and gets what the session holds from there on.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{CometOptions, CometMessage, CometSession, StreamWriter, StreamOptions};
///
/// let now = Duration::ZERO;
/// let mut session = CometSession::new(CometOptions::new(), now);
/// let request = session.stream(0, now);
/// let mut stream = StreamWriter::xhr(StreamOptions::new().padding(0));
/// let mut body = Vec::new();
/// stream.open(&mut body);
///
/// session.push(CometMessage::text("one"))?;
/// while let Some(answer) = session.next_answer(now) {
///     if !stream.write(&answer, &mut body) {
///         session.close(request.ticket, now);
///     }
/// }
/// assert_eq!(body, b"\n{\"id\":1,\"data\":\"one\"}\n");
/// # Ok::<(), pushline::comet::TooLarge>(())
/// ```
#[derive(Clone, Debug)]
pub struct StreamWriter {
    frame: bool,
    /// Whom the events are posted to, if that is a page of another origin.
    origin: Option<Box<str>>,
    /// Around each event.
    before: Vec<u8>,
    after: Vec<u8>,
    padding: usize,
    /// What is left of the budget.
    left: usize,
    over: bool,
}

impl StreamWriter {
    /// The fields of a response that XMLHttpRequest reads. Without `nosniff` some browsers wait for more bytes to
    /// guess the type from.
    pub const XHR_FIELDS: [(&str, &str); 4] =
        [("Content-Type", "text/plain; charset=utf-8"), NO_STORE, NOSNIFF, UNBUFFERED];

    /// The fields of a response that an iframe loads, besides its [policy](Self::content_security_policy).
    pub const FRAME_FIELDS: [(&str, &str); 4] =
        [("Content-Type", "text/html; charset=utf-8"), NO_STORE, NOSNIFF, UNBUFFERED];

    /// A JSON event a line, for a script that looks at the lines that are new each time. Empty lines mean nothing:
    /// the first one holds the padding, others are signs of life.
    #[must_use]
    pub fn xhr(config: StreamOptions) -> Self {
        Self::new(false, Vec::new(), b"\n".to_vec(), config)
    }

    /// A document that calls `parent.CALLBACK(event)` for each event, in a page of the same origin. The page knows
    /// by the iframe's `load` event that the response has ended.
    ///
    /// The page of old was IE's, which loaded the iframe into an `htmlfile` object, so that no throbber turned and no
    /// click was heard: `parent` is that object's window then. No browser of today needs either.
    #[must_use]
    pub fn frame(callback: Callback<'_>, config: StreamOptions) -> Self {
        let before = [b"<script>parent.", callback.as_str().as_bytes(), b"("].concat();
        Self::new(true, before, b")</script>\n".to_vec(), config)
    }

    /// A document that posts each event to its parent, a page of this other origin and of no other.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`](cors::InvalidOrigin) if it is not an origin as a browser writes it; `*` and `null` are none.
    pub fn frame_to(origin: &str, config: StreamOptions) -> Result<Self, cors::InvalidOrigin> {
        cors::check_origin(origin)?;
        let mut after = b",".to_vec();
        write_literal(origin, &mut after);
        after.extend_from_slice(b")</script>\n");
        let stream = Self::new(true, b"<script>parent.postMessage(".to_vec(), after, config);
        Ok(Self { origin: Some(origin.into()), ..stream })
    }

    /// The value of the field `Content-Security-Policy` that a document needs besides
    /// [`FRAME_FIELDS`](Self::FRAME_FIELDS); `None` if the response is none.
    ///
    /// Only the page that the events are for may frame it (CSP 3, 6.4.2). Without that a foreign page frames both it and
    /// the application's, and has the events call functions there. A document of [`frame_to`](Self::frame_to) has no
    /// origin of its own: it needs none to post.
    ///
    /// ```
    /// use pushline::comet::{StreamWriter, StreamOptions};
    ///
    /// let stream = StreamWriter::frame_to("https://app.example", StreamOptions::new())?;
    /// let policy = stream.content_security_policy().unwrap();
    /// assert!(policy.ends_with("sandbox allow-scripts; frame-ancestors https://app.example"));
    /// # Ok::<(), pushline::comet::cors::InvalidOrigin>(())
    /// ```
    #[must_use]
    pub fn content_security_policy(&self) -> Option<String> {
        // The scripts come one by one: no hash or nonce can name them.
        let policy = "default-src 'none'; script-src 'unsafe-inline'; ";
        self.frame.then(|| match &self.origin {
            Some(origin) => [policy, "sandbox allow-scripts; frame-ancestors ", origin].concat(),
            None => [policy, "frame-ancestors 'self'"].concat(),
        })
    }

    fn new(frame: bool, before: Vec<u8>, after: Vec<u8>, config: StreamOptions) -> Self {
        Self { frame, origin: None, before, after, padding: config.padding, left: config.budget, over: false }
    }

    /// Appends what the response starts with to `out`: the padding, and for an iframe the document's head.
    ///
    /// # Panics
    ///
    /// If `out` cannot grow and has not the room: the padding and 100 bytes.
    pub fn open(&mut self, out: &mut impl BufMut) {
        let head: &[u8] = if self.frame { HEAD } else { b"" };
        out.put_slice(head);
        out.put_bytes(b' ', self.padding);
        out.put_slice(b"\n");
        self.left = self.left.saturating_sub(head.len() + self.padding + 1);
    }

    /// Appends an answer to `out`: its messages, or a line end as a sign of life. Answers whether the response goes
    /// on; it is over when the budget is spent, or, after an event `{"cursor":14,"gone":true}`, when messages were
    /// lost. Messages after the one that spends the budget are left out; they come in the next response.
    ///
    /// After the end nothing is written.
    ///
    /// # Panics
    ///
    /// If `out` cannot grow and has not the room: for each message its literal, 36 bytes, and the script around it.
    pub fn write(&mut self, answer: &CometAnswer<'_>, out: &mut impl BufMut) -> bool {
        if self.over {
            return false;
        }
        match &answer.kind {
            AnswerKind::Messages(messages) => {
                for (id, message) in messages.clone() {
                    out.put_slice(&self.before);
                    let length = message.write_event(id, out);
                    out.put_slice(&self.after);
                    self.spend(self.before.len() + length + self.after.len());
                    if self.over {
                        break;
                    }
                }
            }
            AnswerKind::Empty => {
                out.put_slice(b"\n");
                self.spend(1);
            }
            AnswerKind::Gone => {
                out.put_slice(&self.before);
                out.put_slice(b"{\"cursor\":");
                write_number(answer.cursor, out);
                out.put_slice(b",\"gone\":true}");
                out.put_slice(&self.after);
                self.over = true;
            }
        }
        if self.over && self.frame {
            out.put_slice(TAIL);
        }
        !self.over
    }

    fn spend(&mut self, length: usize) {
        self.left = self.left.saturating_sub(length);
        self.over = self.left == 0;
    }
}

const HEAD: &[u8] = b"<!doctype html><html><head><meta charset=\"utf-8\"><title>stream</title></head><body>";
const TAIL: &[u8] = b"</body></html>\n";
