//! What the reading half of a connection finds to be owed, until the writing half queues it.
#![allow(
    clippy::indexing_slicing,
    reason = "up to the length of a control payload, 125 at most, in an array of that"
)]

use super::end;
use crate::ws::{CloseCode, MAX_CONTROL_LEN, Reply, Sender};
use std::boxed::Box;

/// What is owed to the peer. Of pings only the latest, so that a flood of them costs one pong and no memory (RFC 6455
/// 5.5.3).
#[derive(Debug, Default)]
pub(super) struct Owed {
    pong: Option<Payload>,
    /// The heartbeat asks for a ping.
    ping: bool,
    /// A close frame of our own, asked for while another thread was writing.
    own_close: Option<(CloseCode, Box<str>)>,
    /// The peer's close, with its code.
    close: Option<Option<CloseCode>>,
    /// The close code of a failure.
    fail: Option<CloseCode>,
    /// Not owed, but to be told in the same way: the transport gives no more bytes.
    eof: bool,
}

#[derive(Debug)]
struct Payload {
    bytes: [u8; MAX_CONTROL_LEN],
    len: usize,
}

impl Owed {
    pub(super) fn add(&mut self, reply: Reply<'_>) {
        match reply {
            Reply::Pong(payload) => {
                let mut bytes = [0; MAX_CONTROL_LEN];
                bytes[..payload.len()].copy_from_slice(payload);
                self.pong = Some(Payload { bytes, len: payload.len() });
            }
            Reply::Close(code) => self.close = Some(code),
            Reply::Fail(code) => self.fail = Some(code),
        }
    }

    pub(super) const fn add_ping(&mut self) {
        self.ping = true;
    }

    pub(super) const fn is_ping(&self) -> bool {
        self.ping
    }

    /// The first one counts.
    pub(super) fn add_own_close(&mut self, code: CloseCode, reason: &str) {
        self.own_close.get_or_insert_with(|| (code, reason.into()));
    }

    pub(super) const fn add_eof(&mut self) {
        self.eof = true;
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.pong.is_none()
            && !self.ping
            && self.own_close.is_none()
            && self.close.is_none()
            && self.fail.is_none()
            && !self.eof
    }

    /// Queues it all. Whether something that was queued before is lost by that.
    pub(super) fn pay(self, sender: &mut Sender) -> bool {
        if let Some(Payload { bytes, len }) = self.pong {
            sender.reply(Reply::Pong(&bytes[..len]));
        }
        if self.ping {
            let _ = sender.ping(&[]); // Closed: then nobody needs it
        }
        if let Some(code) = self.close {
            sender.reply(Reply::Close(code));
        }
        if let Some(code) = self.fail {
            sender.reply(Reply::Fail(code));
        }
        if let Some((code, reason)) = self.own_close {
            let _ = end::close(sender, code, &reason); // Closing already: then the peer's or the fault's goes out
        }
        self.eof && end::receive_eof(sender)
    }
}
