//! Event streams: written as a response, read from a response or from any stream of bytes, and a client that
//! reconnects by itself.
//!
//! | to | there is |
//! |---|---|
//! | serve a stream on a connection without an HTTP server | [`EventWriter`] |
//! | serve a stream through an HTTP server: hyper, axum | [`EventBody`] |
//! | read the body of a response | [`EventReader`], over any `AsyncRead` |
//! | turn a `Stream` of byte chunks into one of events | [`EventStreamExt::eventsource`] |
//! | connect, reconnect and resume | [`EventSource`] |

mod attempt;
mod body;
mod connect;
mod queue;
mod reader;
mod source;
mod stream;
mod timer;
mod writer;

pub use super::super::sse::{
    Error, EventResponse, InvalidUrl, MessageEvent, SourceEvent, SourceOptions, Url,
};
pub use body::EventBody;
pub use connect::Connecting;
pub use queue::{EventQueue, EventSender};
pub use reader::EventReader;
pub use source::EventSource;
pub use stream::{EventStream, EventStreamError, EventStreamExt};
pub(super) use timer::poll_timer;
pub use writer::EventWriter;
