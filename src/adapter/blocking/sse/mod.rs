//! Event streams: written as a response to any `Write`, read from the body of a response from any `Read`.

mod reader;
mod writer;

pub use super::super::sse::{Error, Event, Response};
pub use reader::EventReader;
pub use writer::EventWriter;
