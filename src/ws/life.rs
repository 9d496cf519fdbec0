//! The life of a connection after its opening handshake: what to do next, until when to wait, and how it ended. Moves no
//! bytes, reads no clock, parses no frames.
//!
//! | rule | where |
//! |---|---|
//! | what is done first: writing, half-closing, reading, waiting | [`Life::step`] |
//! | RFC 6455 5.5.2, 5.5.3: when to ping, when the pong is late | `beat`, `judge` |
//! | how long a write may wait | `judge` |
//! | 7.1.1, 7.1.3: how long the closing handshake may take | `closing_deadline` |
//! | 7.1.1: who closes the transport first, half-closing | `wants_shutdown` |
//! | what is read and dropped behind a close or a fault | [`Step::Drain`], [`MAX_DRAIN`] |
//! | 7.1.4, 7.1.5, 7.1.7: how it ended, and which error wins | `verdict` |
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use super::error::ProtocolError;
#[cfg(feature = "std")]
use super::message::Reply;
use super::sender::Sender;
use super::state::State;
use super::step::{End, Side, Step};
use super::times::{TimedOut, Times};
use crate::heartbeat::Instant;
use core::time::Duration;

/// Bytes that are read and dropped at most after a close frame or a fault: 32 MiB.
///
/// They are read so that the operating system does not reset the connection and take our last bytes with it. Without
/// the limit a peer that never stops keeps us busy for the whole close timeout.
pub const MAX_DRAIN: usize = 32 << 20;

/// Bytes that are still looked at when the close timeout is over: the peer's close frame may be among them.
const LAST_LOOK: usize = 64 * 1024;

/// The shortest time between two pings: an interval of zero is no reason to do nothing else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The life of one connection: a total function of what happened and what time it is.
///
/// A host (an adapter, an event loop) tells it what happened and does what [`step`](Self::step) says, until that is
/// [`Step::Over`]. Its methods are of three kinds. *Facts*: [`sync`](Self::sync), [`written`](Self::written),
/// [`received`](Self::received), [`eof`](Self::eof) and so on; they take no time. *Time*: [`tick`](Self::tick), when
/// asked for by [`Step::Clock`] and when a wait is over. *Output*: [`step`](Self::step).
///
/// Time costs nothing while bytes come: facts are only counted, and stamped with the time once, before the host
/// waits. A deadline is judged after all input that was there has been taken.
///
/// `examples/own_loop.rs` is a whole host.
///
/// ```
/// use core::time::Duration;
/// use pushline::ws::{ConnectionOptions, Connection, End, Life, Negotiated, Side, Step, TimedOut, Times};
///
/// // A peer that says nothing, seen by a host with a clock of its own.
/// let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
/// let mut life = Life::new(Times::new(), connection.role(), Duration::ZERO);
/// let (_, mut sender) = connection.split();
/// let mut now = Duration::ZERO;
/// let end = loop {
///     life.sync(&sender);
///     match life.step(Side::Reading) {
///         Step::Write => {
///             bytes::Buf::advance(sender.outgoing(), 2); // the ping
///             life.written();
///         }
///         Step::Ping => {
///             sender.ping(b"")?;
///             life.pinged();
///         }
///         Step::Read => life.read_blocked(),
///         Step::Clock => life.tick(Side::Reading, now),
///         Step::Wait(Some(until)) if until > now => {
///             now = until; // a pause
///             life.ready();
///         }
///         Step::Wait(_) => life.tick(Side::Reading, now),
///         Step::Over(end) => break end,
///         step => unreachable!("{step:?}"),
///     }
/// };
/// assert_eq!((end, now), (End::TimedOut(TimedOut::Ping), Duration::from_secs(50)));
/// # Ok::<(), pushline::ws::UsageError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Life<I> {
    times: Times,
    client: bool,

    // What is known of the sender: see `sync`.
    state: State,
    queued: usize,
    ping_unwritten: bool,

    // What has happened since the last tick.
    heard: bool,
    progress: bool,
    /// Bytes went out that the transport would not take before: the peer takes what it is sent.
    acknowledged: bool,

    // When it happened.
    /// The last sign of life; once it is `ending`, since when it is.
    since: I,
    ending: bool,
    ping: Ping<I>,
    /// Since when there is something to write and none of it goes out; if it is `all_out` while ending, since when our last
    /// byte is.
    write_since: Option<I>,
    all_out: bool,

    // What the transport does.
    write_blocked: bool,
    read_blocked: bool,
    /// The time was told since the last read.
    ticked: bool,
    /// A pong is late, unless it lies unread in the transport.
    pong_due: bool,
    /// A write is late and was tried once more.
    retried: bool,
    /// The peer's direction has ended or failed, or nobody reads any more.
    read_done: bool,
    /// Our direction has been ended.
    shut: bool,
    /// Our direction has failed.
    broken: bool,

    // How it ends.
    fault: Option<ProtocolError>,
    peer_closed: bool,
    transport_failed: bool,
    /// Nobody reads any more.
    unread: bool,
    condemned: Option<TimedOut>,
    /// Bytes that were drained, or read since the close timeout was over.
    dropped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping<I> {
    No,
    /// To be asked for by `step`.
    Due,
    /// Asked for.
    Asked,
    /// In the queue.
    Queued,
    /// Its last byte was written then: the timeout runs.
    Written(I),
}

impl<I: Instant> Life<I> {
    /// The life of a connection that opens now.
    #[must_use]
    pub const fn new(times: Times, role: super::Role, now: I) -> Self {
        Self {
            times,
            client: matches!(role, super::Role::Client),
            state: State::Open,
            queued: 0,
            ping_unwritten: false,
            heard: false,
            progress: false,
            acknowledged: false,
            since: now,
            ending: false,
            ping: Ping::No,
            write_since: None,
            all_out: false,
            write_blocked: false,
            read_blocked: false,
            ticked: false,
            pong_due: false,
            retried: false,
            read_done: false,
            shut: false,
            broken: false,
            fault: None,
            peer_closed: false,
            transport_failed: false,
            unread: false,
            condemned: None,
            dropped: 0,
        }
    }

    /// Looks how the sender stands: to be called before [`step`](Self::step), whenever something was queued or written.
    #[inline]
    pub fn sync(&mut self, sender: &Sender) {
        self.sync_with(sender, 0);
    }

    /// As [`sync`](Self::sync), with bytes that the transport has taken and not yet passed on.
    #[inline]
    pub fn sync_with(&mut self, sender: &Sender, unflushed: usize) {
        self.queued = sender.queued() + unflushed;
        self.ping_unwritten = sender.unwritten_ping();
        self.state = sender.state();
        if matches!(self.state, State::CloseReceived | State::Closed | State::Ended) {
            self.see_close();
        }
    }

    /// What to do next.
    #[inline]
    pub fn step(&mut self, side: Side) -> Step<I> {
        if let Some(end) = self.end() {
            return Step::Over(end);
        }
        if self.ping == Ping::Due {
            // 5.5.1: nothing follows a close frame.
            if self.is_ending() {
                self.ping = Ping::No;
            } else {
                self.ping = Ping::Asked;
                return Step::Ping;
            }
        }
        if !self.write_blocked && !self.broken {
            if self.queued > 0 {
                return Step::Write;
            }
            if self.wants_shutdown() {
                return Step::Shutdown;
            }
        }
        if side == Side::Reading && !self.read_blocked && !self.read_done {
            // A peer that never stops sending must not keep the clock from being asked.
            if !self.ticked && (self.is_ending() || self.write_blocked && self.queued > 0) {
                return Step::Clock;
            }
            return if self.drains() { Step::Drain } else { Step::Read };
        }
        if self.pong_due || self.is_unstamped() {
            return Step::Clock;
        }
        Step::Wait(self.deadline(side))
    }

    /// Whether whoever reads has nothing to do but that, if nothing is queued: a short look that spares a long one with
    /// each read.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn is_calm(&self) -> bool {
        let ends = self.peer_closed | self.read_done | self.broken | self.unread;
        !(ends | self.read_blocked)
            && self.fault.is_none()
            && self.condemned.is_none()
            && self.ping != Ping::Due
    }

    /// Bytes were written.
    #[inline]
    pub const fn written(&mut self) {
        self.progress = true;
        self.retried = false;
        if self.write_since.is_some() {
            self.acknowledged = true;
        }
    }

    /// The transport takes no more bytes for now.
    #[inline]
    pub const fn write_blocked(&mut self) {
        self.write_blocked = true;
    }

    /// Whether the transport took no more bytes when it was last asked.
    #[cfg(feature = "std")]
    pub(crate) const fn is_write_blocked(&self) -> bool {
        self.write_blocked
    }

    /// The transport will never take another byte. What the peer has sent can still be read.
    pub const fn write_failed(&mut self) {
        self.transport_failed |= !self.is_over();
        self.broken = true;
    }

    /// Our direction of the transport was ended.
    pub const fn shut(&mut self) {
        self.shut = true;
    }

    /// A ping was queued, as [`Step::Ping`] had asked for.
    pub fn pinged(&mut self) {
        if self.ping == Ping::Asked {
            self.ping = Ping::Queued;
        }
    }

    /// `n` bytes were read.
    #[inline]
    pub const fn received(&mut self, n: usize) {
        self.heard = true;
        self.ticked = false;
        if self.condemned.is_some() || self.drains() {
            let n = if n < u32::MAX as usize { n as u32 } else { u32::MAX };
            self.dropped = self.dropped.saturating_add(n);
            self.read_done |= self.dropped as usize > MAX_DRAIN;
        }
    }

    /// The transport has no more bytes for now.
    #[inline]
    pub const fn read_blocked(&mut self) {
        self.read_blocked = true;
    }

    /// The peer's direction of the transport has ended. The sender is told by the host:
    /// [`Sender::receive_eof`].
    pub const fn eof(&mut self) {
        self.read_done = true;
    }

    /// The peer's direction of the transport has failed.
    pub const fn read_failed(&mut self) {
        self.transport_failed |= !self.is_over();
        self.read_done = true;
    }

    /// Whether the sender is to be told of the end of the peer's direction: not while it still has to answer the peer's
    /// close frame, before which what was accepted goes out (RFC 6455 5.5.1).
    #[must_use]
    pub fn is_eof_for_sender(&self, sender: &Sender) -> bool {
        self.read_done && !(self.peer_closed && sender.state() == State::Open)
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Nobody reads any more. What is sent still goes out; the closing handshake is then not waited for.
    pub const fn reader_gone(&mut self) {
        self.unread |= !self.is_over();
        self.read_done = true;
    }

    /// What an event asks to be answered with, if that is not answered at once: a close frame ends what is parsed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn found(&mut self, reply: &Reply<'_>) {
        if matches!(reply, Reply::Close(_)) {
            self.see_close();
        }
    }

    const fn see_close(&mut self) {
        self.peer_closed |= !self.is_over();
    }

    /// The peer broke the protocol.
    pub fn failed(&mut self, fault: ProtocolError) {
        if !self.is_over() {
            self.fault.get_or_insert(fault);
        }
    }

    /// The transport may be ready again.
    #[inline]
    pub const fn ready(&mut self) {
        self.write_blocked = false;
        // When the time to close is over, all that had come was looked at.
        self.read_blocked &= self.condemned.is_some();
    }

    /// Whether our direction of the transport was ended.
    #[cfg(feature = "std")]
    pub(crate) const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether the peer's close frame has come: what the transport does after it does not count.
    #[cfg(feature = "std")]
    pub(crate) const fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// What the time is. Everything since the last call counts as having happened now.
    pub fn tick(&mut self, side: Side, now: I) {
        self.ticked = true;
        let heard = core::mem::take(&mut self.heard);
        if heard {
            self.ping = Ping::No;
        }
        // Progress of a writing that had to wait is life: the peer takes what it is sent.
        let alive = core::mem::take(&mut self.acknowledged) || heard;
        if self.ping == Ping::Queued && !self.ping_unwritten {
            self.ping = Ping::Written(now);
        }
        let is_ending = self.is_ending();
        if !self.ending && (alive || is_ending) {
            self.since = now;
        }
        self.ending = is_ending;
        let progress = core::mem::take(&mut self.progress);
        if self.is_unwritten() {
            // If all was out, it was not the last byte: what is owed came after it.
            if core::mem::take(&mut self.all_out) || progress {
                self.write_since = None;
            }
            self.write_since.get_or_insert(now);
        } else if is_ending {
            if !core::mem::replace(&mut self.all_out, true) {
                self.write_since = Some(now);
            }
        } else {
            self.write_since = None;
        }
        self.judge(side, heard, now);
    }

    /// Whether the peer has said its last: what still comes is dropped.
    #[must_use]
    pub const fn drains(&self) -> bool {
        self.peer_closed || self.fault.is_some()
    }

    /// Whether it is over, or our direction has failed: nothing can be sent any more.
    #[must_use]
    pub const fn is_mute(&self) -> bool {
        self.broken || self.is_over()
    }

    const fn is_over(&self) -> bool {
        self.end().is_some()
    }

    /// How many bytes were waiting to be written at the last [`sync`](Self::sync).
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// Where the closing handshake stood at the last [`sync`](Self::sync).
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How it ended, once it has: whatever is told afterwards, that stays.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        let over = if let Some(what) = self.condemned {
            // Of what has come in time, the peer's close frame may be among it.
            !matches!(what, TimedOut::Close)
                || self.drains()
                || self.read_blocked
                || self.read_done
                || self.dropped as usize > LAST_LOOK
        } else if self.drains() || (self.unread && !self.transport_failed) {
            // Read to the peer's end, written to ours.
            self.read_done && (self.shut || self.broken)
        } else {
            self.read_done
        };
        if over { Some(self.verdict()) } else { None }
    }

    /// RFC 6455 7.1.4: closed cleanly, once the peer's close frame is there; whatever comes later comes too late to
    /// matter. A fault is what is wrong, whatever the transport says beside it.
    const fn verdict(&self) -> End {
        match (self.fault, self.condemned) {
            (Some(fault), _) => End::Protocol(fault),
            _ if self.peer_closed => End::Closed,
            (None, Some(what)) => End::TimedOut(what),
            _ if self.transport_failed => End::Transport,
            // How the peer would have ended it, nobody wanted to know.
            _ if self.unread => End::Closed,
            _ => End::Aborted,
        }
    }

    /// RFC 6455 7.1.1: the server closes the transport first; a client waits for that. After a fault both do.
    const fn wants_shutdown(&self) -> bool {
        let closed = self.peer_closed
            && matches!(self.state, State::Closed | State::Ended | State::Aborted)
            && (!self.client || self.read_done);
        let left = self.unread && !matches!(self.state, State::Open);
        !self.shut && (closed || left || self.fault.is_some())
    }

    /// Whether there is nothing more to come but the end.
    const fn is_ending(&self) -> bool {
        !matches!(self.state, State::Open) || self.broken || self.drains()
    }

    /// Whether something is waiting to be written, and can be.
    const fn is_unwritten(&self) -> bool {
        self.queued > 0 && !self.broken
    }

    /// Whether something has happened of which it is not known when.
    fn is_unstamped(&self) -> bool {
        self.heard
            || self.progress
            || self.is_unwritten() != self.is_stalled()
            || (self.ping == Ping::Queued && !self.ping_unwritten)
            || self.is_ending() != self.ending
    }

    /// When to [tell the time](Self::tick) at the latest: for a host whose reading is its waiting. What has happened since
    /// the last tick is not in it.
    #[must_use]
    pub fn deadline(&self, side: Side) -> Option<I> {
        if self.ending {
            return Some(self.closing_deadline());
        }
        [self.beat(side), self.stall_deadline()].into_iter().flatten().min()
    }

    /// Whether something waits to be written.
    const fn is_stalled(&self) -> bool {
        self.write_since.is_some() && !self.all_out
    }

    /// When a write has waited for too long.
    fn stall_deadline(&self) -> Option<I> {
        self.write_since.map(|since| since.saturating_add(self.times.longest_stall()))
    }

    /// When a ping is due, or its pong late.
    fn beat(&self, side: Side) -> Option<I> {
        let interval = self.times.ping_interval?.get().max(SHORTEST_INTERVAL);
        match self.ping {
            Ping::No => Some(self.since.saturating_add(interval)),
            Ping::Written(at) if side == Side::Reading && !self.unread => {
                Some(at.max(self.since).saturating_add(self.times.ping_timeout.get()))
            }
            // Whether it is written in time is the write timeout's to say.
            Ping::Written(_) | Ping::Due | Ping::Asked | Ping::Queued => None,
        }
    }

    /// The close timeout runs from our last byte; until that is out, from the last one that was. All of it has an end.
    fn closing_deadline(&self) -> I {
        let from = self.write_since.map_or(self.since, |at| at.max(self.since));
        from.saturating_add(self.times.close_timeout.get())
            .min(self.since.saturating_add(self.times.close_limit.get()))
    }

    fn judge(&mut self, side: Side, heard: bool, now: I) {
        self.pong_due = false;
        if self.is_over() {
            return;
        }
        if self.ending {
            if self.condemned.is_none() && self.closing_deadline() <= now {
                self.condemned = Some(TimedOut::Close);
                self.dropped = 0;
            }
            // Who does not read has nothing more to wait for.
            self.read_blocked |= self.condemned.is_some() && side == Side::Writing;
            return;
        }
        if self.stall_deadline().is_some_and(|at| at <= now) {
            // While a peer sends, nobody waits, and what it takes by now was not tried.
            if heard && self.write_blocked && !self.retried {
                self.retried = true;
                self.write_blocked = false;
            } else {
                self.condemned = Some(TimedOut::Write);
            }
        } else if self.beat(side).is_some_and(|at| at <= now) {
            match self.ping {
                Ping::No => self.ping = Ping::Due,
                _ if self.read_blocked || self.read_done => self.condemned = Some(TimedOut::Ping),
                _ => self.pong_due = true,
            }
        }
    }
}
