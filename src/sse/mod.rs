//! Server-Sent Events: the event-stream format, reconnecting and resuming (WHATWG HTML 9.2).
//!
//! A server encodes each event as a [`Block`] and keeps the last ones in a [`ReplayLog`]; a client decodes them with a
//! [`EventDecoder`] and asks [`Reconnect`] what to do when the stream ends. None of them does I/O:
//! [`adapter`](crate::adapter) does.
//!
//! ```
//! use pushline::sse::{Block, EventDecoder, Input, Item, ReplayLog, Resume};
//!
//! // The server: one event, for all who listen and for those who come back.
//! let mut log = ReplayLog::default();
//! let event = Block::new().event_type("price").id("7").data("42").prepare()?;
//! log.push(event.clone());
//!
//! // The client, which may be given the bytes in any pieces.
//! let mut decoder = EventDecoder::new();
//! let mut input = Input::new(event.bytes());
//! while let Some(item) = decoder.decode(&mut input)? {
//!     if let Item::Event(event) = item {
//!         assert_eq!((event.event_type, event.data), ("price", "42"));
//!     }
//! }
//!
//! // It was away, and names what it saw last: nothing was missed.
//! let Resume::From(missed) = log.resume(Some(decoder.last_event_id().as_bytes())) else { panic!() };
//! assert_eq!(missed.len(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | HTML | here |
//! |---|---|
//! | 9.2.2 the request | [`request_fields`], [`is_event_stream`] in `request.rs` |
//! | 9.2.2, 9.2.3 request and response as bytes, what a redirection must not take along | [`SourceRequest`], [`SourceResponseReader`] in `exchange.rs` |
//! | 9.2.3 the response, reconnecting | [`Reconnect`], [`ReconnectPolicy`] in `reconnect.rs`, `policy.rs` |
//! | 9.2.4 the last event ID | [`ReplayLog`] in `replay.rs` |
//! | 9.2.5 the format, written | [`Block`], [`PreparedEvent`] in `encode.rs`, text as lines in `lines.rs` |
//! | 9.2.5, 9.2.6 the format, read | [`EventDecoder`], with its [`EventLimits`]; lines in `input.rs`, fields in `field.rs`, blocks and the dispatch in `decode/block.rs` |
//! | 9.2.7 keep-alive | [`KEEP_ALIVE`], with a [`Heartbeat`](crate::heartbeat::Heartbeat) |
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod decode;
mod encode;
mod event;
mod exchange;
mod field;
pub(crate) mod framing;
mod input;
mod limits;
mod lines;
mod policy;
mod reconnect;
mod refusal;
mod replay;
mod request;
mod storage;
mod text;

pub use decode::EventDecoder;
pub use encode::{Block, CONTENT_TYPE, EncodeError, KEEP_ALIVE, PreparedEvent, RESPONSE_FIELDS, put_padding};
pub use event::{EventRef, Item};
pub use exchange::{SourceRequest, SourceResponse, SourceResponseReader};
pub use input::Input;
pub use limits::{DecodeError, EventLimits};
pub use policy::ReconnectPolicy;
pub use reconnect::{CloseReason, Method, Next, Reconnect, Verdict};
pub use refusal::{RefusedResponse, RefusedResponseReader};
pub use replay::{Missed, ReplayLog, Resume};
pub use request::{is_event_stream, needs_preflight, request_fields};
pub use storage::{EventStorage, FixedStorage};
