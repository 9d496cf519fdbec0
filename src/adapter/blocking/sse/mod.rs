//! Event streams: written as a response to any `Write`, read from the body of a response from any `Read`, and a client that
//! reconnects by itself.
//!
//! | to | there is |
//! |---|---|
//! | serve a stream | [`EventWriter`] |
//! | read the body of a response | [`EventReader`] |
//! | connect, reconnect and resume | [`EventSource`] |

mod closer;
mod reader;
mod source;
mod writer;

pub use super::super::sse::{
    Error, EventResponse, InvalidUrl, MessageEvent, SourceEvent, SourceOptions, Url,
};
pub use closer::Closer;
pub use reader::EventReader;
pub use source::EventSource;
pub use writer::EventWriter;
