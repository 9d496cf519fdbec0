//! Server-Sent Events: the event-stream format, reconnecting and resuming (WHATWG HTML 9.2).

mod decode;
mod encode;
mod event;
mod field;
mod input;
mod limits;
mod policy;
mod reconnect;
mod replay;
mod storage;
mod text;

pub use decode::Decoder;
pub use encode::{Block, CONTENT_TYPE, EncodeError, KEEP_ALIVE, Prepared, RESPONSE_FIELDS, put_padding};
pub use event::{Event, Item};
pub use input::Input;
pub use limits::{DecodeError, Limits};
pub use policy::ReconnectPolicy;
pub use reconnect::{
    CloseReason, Method, Next, Reconnect, Verdict, is_event_stream, needs_preflight, request_fields,
};
pub use replay::{Missed, ReplayLog, Resume};
pub use storage::{Fixed, Storage};
