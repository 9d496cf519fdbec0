//! Each crate, used as its documentation recommends where speed matters. A file each.

mod fastwebsockets;
mod pushline;
mod sans_io;
mod sockudo;
mod soketto;
mod tokio_tungstenite;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod wtx;
mod yawc;

use crate::hash;
use crate::wire::Wire;
use bytes::Bytes;
use std::future::Future;
use std::hint::black_box;

/// What was received.
#[derive(Default)]
pub struct Tally {
    pub messages: usize,
    pub bytes: usize,
    /// Hashed if asked for, not while time is taken.
    pub hash: Option<u64>,
}

impl Tally {
    #[inline(always)]
    fn message(&mut self, payload: &[u8]) {
        let payload = black_box(payload);
        self.messages += 1;
        self.bytes += payload.len();
        if let Some(hash) = &mut self.hash {
            *hash = hash::message(*hash, payload);
        }
    }

    /// For a crate that does not check itself whether a text is UTF-8.
    #[inline(always)]
    fn unchecked(&mut self, text: bool, payload: &[u8]) {
        if text {
            std::str::from_utf8(payload).expect("UTF-8");
        }
        self.message(payload);
    }
}

/// A server that receives.
pub trait Receive {
    fn receive(&mut self, messages: usize, tally: &mut Tally);
}

/// An end that sends binary messages.
pub trait Send {
    fn send(&mut self, messages: usize, flush_every: usize, payload: &Bytes);
}

/// Whose row it is, and with whom it is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// pushline's state machine: beside all.
    Core,
    /// pushline's owned messages and adapters: beside those that do I/O and check messages.
    Adapter,
    /// Does I/O and delivers checked messages.
    Peer,
    /// Does not check whether text is UTF-8: std's check is added. Marked `*`.
    Unchecked,
    /// Does no I/O. Marked `**`.
    Bare,
}

impl Class {
    pub fn ours(self) -> bool {
        matches!(self, Self::Core | Self::Adapter)
    }
}

/// One row of the tables.
pub struct Row {
    pub name: &'static str,
    pub class: Class,
    pub receive: Option<MakeReceiver>,
    pub send: Option<MakeSender>,
}

/// Over this transport, with reads of so many bytes.
pub type MakeReceiver = fn(Wire, usize) -> Box<dyn Receive>;

/// Over this transport; as a client?
pub type MakeSender = fn(Wire, bool) -> Box<dyn Send>;

pub const ROWS: &[Row] = &[
    pushline::CORE,
    pushline::OWNED,
    pushline::TOKIO,
    pushline::BLOCKING,
    tungstenite::ROW,
    tokio_tungstenite::ROW,
    fastwebsockets::ROW,
    tokio_websockets::ROW,
    yawc::ROW,
    sockudo::STREAM,
    sockudo::PROTOCOL,
    soketto::ROW,
    wtx::ROW,
    web_socket::ROW,
    sans_io::ROW,
];

/// Runs a future on a runtime with timers, the same for all.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
