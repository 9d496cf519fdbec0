//! The language of the room: JSON texts, one object each, the same on every transport.
//!
//! # From the page
//!
//! | `type`  | fields                       | meaning                                                          |
//! |---------|------------------------------|------------------------------------------------------------------|
//! | `hello` | `session` `nick` `cursor`?   | first on every connection: who I am and the last event I have    |
//! | `say`   | `id` `text`                  | a message; sent again under the same `id` until it is confirmed  |
//! | `nick`  | `nick`                       | I want another name                                              |
//! | `ping`  |                              | are you there?                                                   |
//! | `leave` |                              | I leave for good; no time is left for coming back                |
//!
//! `session` (16 to 64 of `A-Z a-z 0-9 - _`) is the page's secret: a connection that shows it again is the
//! same member coming back. `id` (8 to 64 of the same) is made by the page and unique among all messages.
//!
//! # From the room, to everyone: events
//!
//! | `type`    | fields                                   | meaning                                  |
//! |-----------|------------------------------------------|------------------------------------------|
//! | `message` | `seq` `at` `member` `nick` `id` `text`   | somebody said something                  |
//! | `join`    | `seq` `at` `member` `nick`               | somebody came in                         |
//! | `leave`   | `seq` `at` `member` `nick`               | somebody left                            |
//! | `rename`  | `seq` `at` `member` `nick` `was`         | somebody goes by another name            |
//!
//! `seq` counts up by one from 1. `at` is the time in milliseconds since 1970 (UTC). `member` is a number that
//! nobody else in the room has.
//!
//! # From the room, to one member: answers
//!
//! | `type`    | fields                                            | meaning                                             |
//! |-----------|---------------------------------------------------|-----------------------------------------------------|
//! | `welcome` | `member` `nick` `epoch` `seq` `resumed` `members` `limits` | the answer to `hello`; missed events follow |
//! | `ack`     | `id`                                              | this `say` was already accepted (an event is the confirmation otherwise) |
//! | `error`   | `code` `text` `id`? `retry_ms`?                   | refused; `id` names the `say`; `retry_ms`: not before |
//! | `pong`    |                                                   | the answer to `ping`                                |
//! | `bye`     | `code` `text`                                     | the last one, where a transport has no closing of its own: what a WebSocket's close frame says |
//!
//! # Resuming
//!
//! The cursor is `EPOCH.SEQ`: the `epoch` of the welcome and the `seq` of the last event that arrived. With it the
//! room sends exactly the events after it (`resumed: true`). When it no longer has them all, or is another run of the
//! server (another epoch), or without a cursor, it sends the newest ones (`resumed: false`). The events up to the
//! welcome's `seq` are the past: `members` already counts them.
//!
//! A `say` is confirmed by its own event or by an `ack`. Until then the page keeps it and sends it again after
//! the next welcome; the room drops an `id` it has seen. So nothing is lost and nothing is shown twice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 (UTC), as handed in by the caller.
pub type Millis = u64;

/// A member's public number.
pub type MemberId = u64;

/// Bytes of a request: 2000 characters, each written as a pair of `\uXXXX`, and what is around them. More is not read.
pub const MAX_REQUEST: usize = 32 * 1024;

/// Codes of a `bye`: those of WebSocket closing (RFC 6455 7.4.1).
pub const NORMAL: u16 = 1000;
/// The page is not to come back by itself: it would be refused again.
pub const POLICY_VIOLATION: u16 = 1008;
/// The page may come back at once.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// The session is used by a newer connection: the page is not to come back by itself.
pub const REPLACED: u16 = 4001;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    Hello(Hello),
    Say { id: String, text: String },
    Nick { nick: String },
    Ping,
    Leave,
}

/// The first request on every connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hello {
    pub session: String,
    pub nick: String,
    pub cursor: Option<String>,
}

/// What everyone in the room hears.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    #[serde(flatten)]
    pub what: What<'a>,
    pub seq: u64,
    pub at: Millis,
    pub member: MemberId,
    pub nick: &'a str,
}

/// The kinds of events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum What<'a> {
    Message { id: &'a str, text: &'a str },
    Join,
    Leave,
    Rename { was: &'a str },
}

/// What one member hears.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Answer<'a> {
    Welcome(Welcome<'a>),
    Ack {
        id: &'a str,
    },
    Error {
        code: &'static str,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<Millis>,
    },
    Pong,
    Bye {
        code: u16,
        text: &'a str,
    },
}

/// The answer to a hello that was accepted.
#[derive(Debug, Clone, Serialize)]
pub struct Welcome<'a> {
    pub member: MemberId,
    pub nick: &'a str,
    pub epoch: &'a str,
    pub seq: u64,
    pub resumed: bool,
    pub members: Vec<Person<'a>>,
    pub limits: PageLimits,
}

/// Somebody in the room.
#[derive(Debug, Clone, Serialize)]
pub struct Person<'a> {
    pub member: MemberId,
    pub nick: &'a str,
}

/// What the page should not exceed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageLimits {
    /// Characters of a name.
    pub nick: usize,
    /// Characters of a message.
    pub text: usize,
}

/// Where an event stands: what a page that has it shows when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<'a> {
    pub epoch: &'a str,
    pub seq: u64,
}

impl fmt::Display for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// Reads a request.
///
/// # Errors
/// The text is not one of the objects in this file's first table.
pub fn parse(text: &str) -> Result<Request, serde_json::Error> {
    serde_json::from_str(text)
}

/// Writes an event or an answer.
pub fn write<T: Serialize>(value: &T) -> String {
    // These types hold text, numbers and structs only; serde_json cannot fail on them.
    serde_json::to_string(value).unwrap_or_default()
}

/// Whether a session or message id has the right length and alphabet.
pub fn is_token(text: &str, shortest: usize) -> bool {
    (shortest..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
