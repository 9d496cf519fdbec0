//! A session's times and its end: heartbeat, the deadlines of an upgrade and of closing, who is told what when it is over
//! (Engine.IO 4, "Heartbeat", "Upgrade").
#![allow(clippy::arithmetic_side_effects, reason = "half of a time")]

use super::answer::Said;
#[cfg(doc)]
use super::config::EngineOptions;
use super::packet::{Data, EngineMessage, EnginePacket, InvalidEnginePacket};
use super::session::{EngineSession, State};
use super::words::EngineCloseReason;
use crate::heartbeat::{Deadline, Instant};
use core::time::Duration;

impl<I: Instant> EngineSession<I> {
    /// Ends the session. What is queued still goes, until [`EngineOptions::close_timeout`]; then the client is told.
    pub fn close(&mut self, now: I) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.end_probe(now);
            self.closing = Deadline::new(now, self.config.close_timeout);
        }
    }

    /// Ends the session for a fault of the client that a layer above has found.
    pub fn fail(&mut self) {
        self.finish(EngineCloseReason::ParseError);
    }

    /// What is due: a ping, the end of an upgrade or a session that takes too long. The inputs call it, too.
    pub fn tick(&mut self, now: I) {
        if self.closing.is_over(now) {
            return self.finish(EngineCloseReason::ForcedClose);
        }
        if let Some(probe) = self.probe {
            if probe.deadline.is_over(now) {
                self.end_probe(now);
            }
            return; // no heartbeat meanwhile: the client has paused its polls
        }
        if self.state != State::Open || now < self.beat {
            return;
        }
        if self.awaiting {
            return self.finish(EngineCloseReason::PingTimeout);
        }
        self.awaiting = true;
        self.queue.push(EngineMessage::fixed("2"));
        // From when it was due, so that both sides reckon alike; unless it was late, which is not the client's fault.
        let timeout = self.config.ping_timeout;
        let late = now >= self.beat.saturating_add(timeout / 2);
        self.beat = if late { now } else { self.beat }.saturating_add(timeout);
    }

    /// When to call [`tick`](Self::tick) and ask for output even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        match (self.state, self.probe) {
            (State::Closed(_), _) => None,
            (State::Closing, _) => self.closing.next_deadline(),
            (State::Open, None) => Some(self.beat),
            (State::Open, Some(probe)) => {
                let noop = probe.noop.filter(|_| self.poll.is_some());
                noop.into_iter().chain(probe.deadline.next_deadline()).min()
            }
        }
    }

    pub(super) fn take<'a>(
        &mut self,
        packet: Result<EnginePacket<'a>, InvalidEnginePacket>,
        now: I,
    ) -> Option<Data<'a>> {
        match packet {
            Ok(EnginePacket::Message(data)) => return (self.state == State::Open).then_some(data),
            Ok(EnginePacket::Pong(_)) => {
                self.awaiting = false;
                self.beat = now.saturating_add(self.config.ping_interval);
            }
            Ok(EnginePacket::Close) => self.finish(EngineCloseReason::TransportClose),
            Ok(EnginePacket::Open(_) | EnginePacket::Upgrade | EnginePacket::Noop) => {}
            // "Heartbeat": since version 4 it is the server who pings.
            Ok(EnginePacket::Ping(_)) | Err(InvalidEnginePacket) => {
                self.finish(EngineCloseReason::ParseError)
            }
        }
        None
    }

    /// The heartbeat goes on: a client that had something to answer has its time for it again.
    pub(super) fn end_probe(&mut self, now: I) {
        if self.probe.take().is_some() {
            let wait = if self.awaiting { self.config.ping_timeout } else { Duration::ZERO };
            self.beat = self.beat.max(now.saturating_add(wait));
        }
    }

    pub(super) fn finish(&mut self, reason: EngineCloseReason) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let reason = if self.state == State::Closing { EngineCloseReason::ForcedClose } else { reason };
        self.state = State::Closed(reason);
        let by_client = reason == EngineCloseReason::TransportClose;
        if let Some(poll) = self.poll.take() {
            self.answer(poll, if by_client { Said::Noop } else { Said::Close });
        }
        if let Some(post) = self.post.take() {
            self.answer(post, if by_client { Said::Ok } else { Said::Refused });
        }
        self.closing.clear();
        self.probe = None;
    }
}
