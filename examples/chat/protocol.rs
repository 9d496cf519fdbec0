//! The language of the room: JSON texts, one object each, the same on every transport.
//!
//! # From the page
//!
//! | `type`  | fields                       | meaning                                                          |
//! |---------|------------------------------|------------------------------------------------------------------|
//! | `hello` | `session` `nick` `cursor`? `tag`? | first on every connection: who I am and the last event I have |
//! | `say`   | `id` `text` `to`?            | a message; sent again under the same `id` until it is confirmed  |
//! | `nick`  | `nick`                       | I want another name                                              |
//! | `who`   | `after`?                     | who is here? `after`: the `next` of the last answer              |
//! | `ping`  |                              | are you there?                                                   |
//! | `leave` |                              | I leave for good; no time is left for coming back                |
//!
//! `session` (16 to 64 of `A-Z a-z 0-9 - _`) is the page's secret: a connection that shows it again is the
//! same member coming back. `tag` (1 to 64 of the same) comes back in the welcome: where what was sent before a cut may arrive after it,
//! it tells the answer to this hello from that to the one before. `id` (8 to 64 of the same) is made by the page and unique among all messages. `to` is a member:
//! only the two see the message. The room is the query's `room` (1 to 32 of the same), `lobby` if there is none.
//!
//! # From the room, to everyone: events
//!
//! | `type`    | fields                                   | meaning                                  |
//! |-----------|------------------------------------------|------------------------------------------|
//! | `message` | `seq` `at` `member` `nick` `id` `text` `to`? | somebody said something              |
//! | `join`    | `seq` `at` `member` `nick`               | somebody came in                         |
//! | `leave`   | `seq` `at` `member` `nick`               | somebody left                            |
//! | `rename`  | `seq` `at` `member` `nick` `was`         | somebody goes by another name            |
//!
//! `seq` rises; it is the event's id in the room's log, `MS-N`, as one number: `MS * 1024 + N`. `at` is the time in
//! milliseconds since 1970 (UTC). `member` is a number that nobody else in the room has: a session's is always the same.
//! In a room of more than [`CROWD`](crate::chat::Limits::crowd) members, `join` and `leave` are not told one by one but as a `count`.
//!
//! # From the room, to one member: answers
//!
//! | `type`    | fields                                            | meaning                                             |
//! |-----------|---------------------------------------------------|-----------------------------------------------------|
//! | `welcome` | `member` `nick` `epoch` `seq` `resumed` `members` `count` `limits` `tag`? | the answer to `hello`; missed events follow |
//! | `ack`     | `id`                                              | this `say` was already accepted (an event is the confirmation otherwise) |
//! | `error`   | `code` `text` `id`? `retry_ms`?                   | refused; `id` names the `say`; `retry_ms`: not before |
//! | `people`  | `members` `next`? `count`                         | the answer to `who`; more with `next`               |
//! | `count`   | `count`                                           | how many are here, in a room that is not told who comes and goes |
//! | `pong`    |                                                   | the answer to `ping`                                |
//! | `bye`     | `code` `text`                                     | the last one, where a transport has no closing of its own: what a WebSocket's close frame says |
//!
//! # Resuming
//!
//! The cursor is an event's id, `MS-N`, or `EPOCH.SEQ`: the `epoch` of the welcome and the `seq` of the last event that
//! arrived. With it the room sends exactly the events after it (`resumed: true`). When it no longer has them all, or is
//! another room (another epoch), or without a cursor, it sends the newest ones (`resumed: false`). The events up to the
//! welcome's `seq` are the past: `members` already counts them.
//!
//! A `say` is confirmed by its own event or by an `ack`. Until then the page keeps it and sends it again after
//! the next welcome; the room drops an `id` it has seen. So nothing is lost and nothing is shown twice.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 (UTC), as handed in by the caller.
pub type Millis = u64;

/// A member's public number, below 2^53.
pub type MemberId = u64;

/// Bytes of a request: 2000 characters, each written as a pair of `\uXXXX`, and what is around them. More is not read.
pub const MAX_REQUEST: usize = 32 * 1024;

/// Codes of a `bye`: those of WebSocket closing (RFC 6455 7.4.1).
pub const NORMAL: u16 = 1000;
/// The server ends.
pub const GOING_AWAY: u16 = 1001;
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
    Say { id: String, text: String, to: Option<MemberId> },
    Nick { nick: String },
    Who { after: Option<String> },
    Ping,
    Leave,
}

/// The first request on every connection; by query, on those that have one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hello {
    pub room: String,
    pub session: String,
    pub nick: String,
    pub cursor: Option<String>,
    pub tag: Option<String>,
}

/// What the log holds of an event: all but where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    #[serde(flatten)]
    pub what: What,
    pub member: MemberId,
    pub nick: String,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum What {
    Message {
        id: String,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<MemberId>,
    },
    Join,
    Leave,
    Rename {
        was: String,
    },
}

/// What a room hears.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    #[serde(flatten)]
    pub fact: &'a Fact,
    pub seq: u64,
    pub at: Millis,
}

/// What one member hears.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Answer<'a> {
    Welcome {
        member: MemberId,
        nick: &'a str,
        epoch: &'a str,
        seq: u64,
        resumed: bool,
        members: &'a [Person],
        count: usize,
        limits: PageLimits,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<&'a str>,
    },
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
    People {
        members: &'a [Person],
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
        count: usize,
    },
    Count {
        count: usize,
    },
    Pong,
    Bye {
        code: u16,
        text: &'a str,
    },
}

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    pub member: MemberId,
    pub nick: String,
}

/// What the page should not exceed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageLimits {
    /// Characters of a name.
    pub nick: usize,
    /// Characters of a message.
    pub text: usize,
}

/// Why a request was refused: `code`, `text` and `retry_ms` of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub text: String,
    pub retry_ms: Option<Millis>,
}

impl Refusal {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_ms: None }
    }

    /// Too much for now: the same may be accepted later.
    pub fn later(code: &'static str, text: impl Into<String>, wait: Millis) -> Self {
        Self { retry_ms: Some(wait), ..Self::new(code, text) }
    }

    /// The code of the `bye` that follows when it is a hello that was refused.
    pub fn bye(&self) -> u16 {
        if self.retry_ms.is_some() { TRY_AGAIN_LATER } else { POLICY_VIOLATION }
    }

    /// The refusal as an error; `id` is that of the refused `say`. One of a hello names no time: the transport comes back
    /// in its own.
    pub fn answer<'a>(&'a self, id: Option<&'a str>) -> Answer<'a> {
        let id = id.filter(|id| is_token(id, 8));
        Answer::Error { code: self.code, text: &self.text, id, retry_ms: self.retry_ms }
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
