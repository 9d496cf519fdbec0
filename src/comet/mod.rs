//! The push transports before and beside WebSocket, each over plain HTTP responses: long and short polling, JSONP,
//! XHR streaming, streaming into an iframe, and the cross-origin rules that go with them.
//!
//! All of it is history that still works where nothing else does: behind proxies that break WebSocket, on clients that
//! can only fetch. A server keeps one [`CometSession`] a client; the message that goes in once comes out on whichever
//! transport the client can use, and moves with it to another, because all of them count alike:
//!
//! - the server numbers a session's messages from 1; a client's *cursor* is the number of the last one that it has;
//! - each request says its cursor (`?since=14`), which acknowledges that message and all before it;
//! - what is not acknowledged is sent again: at least once on the wire, and exactly once for a client that looks at
//!   the number;
//! - what fell off the bounded log is *gone*, and the client is told, so that it can load the state afresh.
//!
//! | file | what | client |
//! |---|---|---|
//! | `log.rs` | numbered messages, bounded, resumed at a cursor: [`Log`] | |
//! | `long_poll.rs` | requests held until there is news: [`CometSession`] | `fetch`, XHR |
//! | `jsonp.rs` | the answer as a call: [`jsonp`] | `<script src>` |
//! | `stream.rs` | one long response, a message at a time: [`StreamWriter`] | XHR, iframe, IE's `htmlfile` |
//! | `script.rs` | text as a JavaScript and JSON string that is safe inside HTML: [`CometMessage`] | |
//! | `cors.rs` | which other origins may read the answers: [`cors`] | |
//! | `flash.rs` | NUL-delimited messages and the policy file: [`flash`] | Flash's XMLSocket |
//!
//! A message is an event `{"id":14,"data":"…"}` everywhere; an answer to a poll is
//! `{"cursor":14,"messages":[…]}`, a JSON text and a JavaScript expression alike.
//!
//! ```
//! use core::time::Duration;
//! use pushline::comet::{CometOptions, CometMessage, CometSession};
//!
//! let seconds = Duration::from_secs; // a virtual clock: time since the start
//! let mut session = CometSession::new(CometOptions::new(), seconds(0));
//!
//! // GET /poll?since=0: nothing yet, so the request is held.
//! let poll = session.poll(0, seconds(1));
//! assert!(session.next_answer(seconds(1)).is_none());
//!
//! // A message comes, and answers it.
//! session.push(CometMessage::text("hello </script>"))?;
//! let answer = session.next_answer(seconds(2)).expect("there is news");
//! assert_eq!((answer.ticket, answer.status()), (poll.ticket, 200));
//! let mut body = Vec::new();
//! answer.write_json(&mut body);
//! assert_eq!(body, br#"{"cursor":1,"messages":[{"id":1,"data":"hello \u003c/script\u003e"}]}"#);
//! # Ok::<(), pushline::comet::TooLarge>(())
//! ```
//!
//! Who may ask is the caller's business: a session's name in a URL is a secret, so make it of 128 random bits.
//!
// In place of the files that the page links to.
#![doc = "[frameworks]: crate::adapter\n[socketio]: crate::adapter\n[cometd]: crate::adapter\n"]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![doc = include_str!("../../docs/transports.md")]

#[cfg(feature = "atmosphere")]
pub mod atmosphere;
#[cfg(feature = "bayeux")]
pub mod bayeux;
pub mod cors;
#[cfg(any(feature = "atmosphere", feature = "pushlet", feature = "sockjs"))]
mod exchange;
pub mod flash;
#[cfg(any(feature = "atmosphere", feature = "bayeux", feature = "pushlet", feature = "sockjs"))]
mod form;
pub mod jsonp;
mod log;
mod long_poll;
#[cfg(feature = "pushlet")]
pub mod pushlet;
mod script;
#[cfg(feature = "sockjs")]
pub mod sockjs;
mod stream;
#[cfg(feature = "pushlet")]
mod xml;

#[cfg(any(feature = "atmosphere", feature = "pushlet", feature = "sockjs"))]
pub use exchange::{HttpRequest, HttpResponse};
pub use log::{Log, LogMessages, TooLarge};
pub use long_poll::{
    AnswerKind, CometAnswer, CometOpened, CometOptions, CometSession, CometTicket, parse_cursor,
};
pub use script::{CometMessage, write_literal};
pub use stream::{StreamOptions, StreamWriter};

/// What every answer carries: the type that it says it is, and not kept by anyone on the way.
pub(crate) const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
pub(crate) const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");

/// The fields of a poll's answer ([`CometAnswer::write_json`]).
///
/// ```
/// assert_eq!(pushline::comet::JSON_FIELDS[0], ("Content-Type", "application/json"));
/// ```
pub const JSON_FIELDS: [(&str, &str); 3] = [("Content-Type", "application/json"), NO_STORE, NOSNIFF];

#[cfg(any(feature = "bayeux", feature = "pushlet", feature = "sockjs"))]
fn put(out: &mut alloc::vec::Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}
