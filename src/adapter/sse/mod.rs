//! What both adapters share about event streams: owned events, errors, the response's head, the framing of the body.
//! No I/O: the reading and writing is in [`blocking::sse`](super::blocking::sse) and `tokio::sse`.

mod client;
mod error;
mod event;
mod incoming;
#[cfg(all(any(doc, doctest), feature = "tokio"))]
#[doc = include_str!("migration.md")]
pub mod migration {}
mod options;
mod outlet;
mod response;

pub use crate::http1::{InvalidUrl, Url};
pub use client::SourceEvent;
pub use error::Error;
pub use event::MessageEvent;
pub use options::SourceOptions;
pub use response::EventResponse;

pub(super) use client::{Client, Failed, Judged, Lost, Refused};
#[cfg(feature = "tokio")]
pub(super) use event::Parser;
pub(super) use incoming::Incoming;
pub(super) use outlet::Outlet;
#[cfg(feature = "tokio")]
pub(super) use response::{KEEP_ALIVE_INTERVAL, WRITE_TIMEOUT, not_zero};
