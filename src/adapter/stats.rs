//! Counts as plain numbers: of one connection, and of all that share a handle.

use crate::ws::handshake::Refusal;
use crate::ws::{End, Event, Message};
use core::fmt;
use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counts of one connection since its handshake.
///
/// ```
/// use pushline::adapter::Options;
/// use pushline::adapter::blocking::{Untimed, WebSocket};
/// use pushline::ws::Negotiated;
///
/// let wire = std::io::Cursor::new(b"\x81\x05Hello".to_vec());
/// let mut socket = WebSocket::client(Untimed(wire), Negotiated::default(), &Options::new());
/// socket.next()?;
/// assert_eq!((socket.stats().messages_received, socket.stats().bytes_received), (1, 7));
/// # Ok::<(), pushline::adapter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Text and binary messages that were given out, or put aside while a send waited.
    pub messages_received: u64,
    /// Text and binary messages that were taken to be sent.
    pub messages_sent: u64,
    /// Bytes read from the transport: frames, compressed as they are.
    pub bytes_received: u64,
    /// Bytes that the transport took.
    pub bytes_sent: u64,
    /// Pings of the peer's.
    pub pings_received: u64,
    /// Pings of ours, those of the heartbeat included.
    pub pings_sent: u64,
}

impl ConnectionStats {
    const fn values(&self) -> [u64; TRAFFIC] {
        let Self { messages_received, messages_sent, bytes_received, bytes_sent, pings_received, pings_sent } =
            *self;
        [messages_received, messages_sent, bytes_received, bytes_sent, pings_received, pings_sent]
    }
}

/// How many numbers [`ConnectionStats`] has.
const TRAFFIC: usize = 6;

/// A handle to the counts of many connections, such as all of a server: given to [`Options::stats`], read with
/// [`snapshot`](Self::snapshot). A clone is another handle to the same counts.
///
/// Behind axum, a request that is no WebSocket's at all is refused by the extractor, before it has options, and not counted.
///
/// Connections add what they have carried whenever they wait, and when they end: a busy connection touches the shared
/// numbers once for each batch of messages.
///
/// ```
/// use pushline::adapter::{Options, Stats};
///
/// let stats = Stats::new();
/// let options = Options::new().stats(&stats);
/// // ... accept connections with these options; then, for a metrics endpoint:
/// let now = stats.snapshot();
/// println!("websocket_connections {}", now.connections_open());
/// println!("websocket_messages_received_total {}", now.traffic.messages_received);
/// for (reason, count) in now.refusals() {
///     println!("websocket_refused_total{{reason=\"{reason}\"}} {count}");
/// }
/// # let _ = options;
/// ```
///
/// [`Options::stats`]: crate::adapter::Options::stats
#[derive(Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Default)]
struct Counters {
    opened: AtomicU64,
    ended: Ends<AtomicU64>,
    failed: AtomicU64,
    traffic: [AtomicU64; TRAFFIC],
    refused: [AtomicU64; REASONS.len()],
}

/// How connections ended.
#[derive(Default)]
struct Ends<T> {
    closed: T,
    violated: T,
    timed_out: T,
    cut: T,
}

impl Stats {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers as they stand. They are read one after the other, while connections go on.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        let counters = &*self.0;
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let [messages_received, messages_sent, bytes_received, bytes_sent, pings_received, pings_sent] =
            counters.traffic.each_ref().map(load);
        // Ends before openings: what ended was opened.
        let Ends { closed, violated, timed_out, cut } = &counters.ended;
        StatsSnapshot {
            ended_closed: load(closed),
            ended_by_violation: load(violated),
            ended_by_timeout: load(timed_out),
            ended_cut: load(cut),
            connections_opened: load(&counters.opened),
            handshakes_failed: load(&counters.failed),
            traffic: ConnectionStats {
                messages_received,
                messages_sent,
                bytes_received,
                bytes_sent,
                pings_received,
                pings_sent,
            },
            refused: counters.refused.each_ref().map(load),
        }
    }

    /// A server has refused a handshake.
    pub(super) fn count_refusal(&self, refusal: Refusal) {
        if let Some(counter) = self.0.refused.get(reason(refusal)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// A handshake has led to nothing, without a refusal.
    pub(super) fn count_failure(&self) {
        self.0.failed.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

/// Two handles are equal if they lead to the same counts.
impl PartialEq for Stats {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Stats {}

/// The numbers of a [`Stats`] at one time: all only grow.
///
/// ```
/// use pushline::adapter::Stats;
///
/// let now = Stats::new().snapshot();
/// assert_eq!((now.connections_opened, now.connections_open()), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// Connections whose handshake was done.
    pub connections_opened: u64,
    /// Connections that ended with the peer's close frame.
    pub ended_closed: u64,
    /// Connections that ended because the peer broke the protocol.
    pub ended_by_violation: u64,
    /// Connections that ended because the peer took too long.
    pub ended_by_timeout: u64,
    /// Connections that ended without a close frame, and those that were dropped here before their end.
    pub ended_cut: u64,
    /// Handshakes that led to nothing and were not refused: the client left, or took too long; for a client, all that
    /// failed.
    pub handshakes_failed: u64,
    /// What the connections have carried.
    pub traffic: ConnectionStats,
    refused: [u64; REASONS.len()],
}

impl StatsSnapshot {
    /// How many connections are open.
    #[must_use]
    pub const fn connections_open(&self) -> u64 {
        let ended = self.ended_closed + self.ended_by_violation + self.ended_by_timeout + self.ended_cut;
        self.connections_opened.saturating_sub(ended)
    }

    /// How many handshakes were refused, by reason: the names of [`Refusal`]'s variants. Those that are zero are
    /// among them.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.refused)
    }

    /// How many handshakes were refused.
    #[must_use]
    pub fn handshakes_refused(&self) -> u64 {
        self.refused.iter().sum()
    }
}

/// The variants of [`Refusal`].
const REASONS: [&str; 19] = [
    "Head",
    "MethodNotAllowed",
    "BodyAnnounced",
    "NotWebSocket",
    "NotUpgrade",
    "UnsupportedWebSocketVersion",
    "BadWebSocketVersion",
    "MissingKey",
    "BadKey",
    "DuplicateKey",
    "DuplicateOrigin",
    "OriginNotAllowed",
    "HostNotAllowed",
    "BadSubprotocols",
    "BadExtensions",
    "Connect",
    "Timeout",
    "Application",
    "Other",
];

/// Its place in [`REASONS`].
fn reason(refusal: Refusal) -> usize {
    let name = match refusal {
        Refusal::Head(_) => "Head",
        Refusal::Connect(_) => "Connect",
        other => other.name(),
    };
    REASONS.iter().position(|reason| *reason == name).unwrap_or(REASONS.len() - 1)
}

/// What was received and is not yet in a [`Tally`], which another task may hold.
#[derive(Debug, Default)]
pub(super) struct Received {
    messages: u32,
    pings: u32,
}

impl Received {
    #[inline]
    pub(super) fn count_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Text(_) | Event::Binary(_) => self.messages += 1,
            Event::TextPart { fin, .. } | Event::BinaryPart { fin, .. } => self.messages += u32::from(*fin),
            Event::Ping(_) => self.pings += 1,
            _ => {}
        }
    }

    /// One that is text or binary.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn count_message(&mut self) {
        self.messages += 1;
    }

    #[inline]
    pub(super) fn count(&mut self, message: &Message) {
        match message {
            Message::Ping(_) => self.pings += 1,
            message => self.messages += u32::from(message.is_data()),
        }
    }
}

/// The counts of one connection on their way to those of all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) own: ConnectionStats,
    shared: Option<Box<Shared>>,
}

/// Where they are added up.
#[derive(Debug)]
struct Shared {
    stats: Stats,
    /// What was added already.
    told: ConnectionStats,
    end: Option<End>,
}

impl Tally {
    /// Of a connection that opens, and of which so many bytes were received with the handshake.
    pub(super) fn new(shared: Option<&Stats>, received: usize) -> Self {
        let shared = shared.map(|stats| {
            stats.0.opened.fetch_add(1, Relaxed);
            Box::new(Shared { stats: stats.clone(), told: ConnectionStats::default(), end: None })
        });
        let own = ConnectionStats { bytes_received: received as u64, ..ConnectionStats::default() };
        Self { own, shared }
    }

    #[inline]
    pub(super) fn count_event(&mut self, event: &Event<'_>) {
        let mut received = Received::default();
        received.count_event(event);
        self.take(&mut received);
    }

    #[inline]
    pub(super) fn count(&mut self, message: &Message) {
        let mut received = Received::default();
        received.count(message);
        self.take(&mut received);
    }

    /// Takes over what was received.
    #[inline]
    pub(super) fn take(&mut self, received: &mut Received) {
        let Received { messages, pings } = core::mem::take(received);
        self.own.messages_received += u64::from(messages);
        self.own.pings_received += u64::from(pings);
    }

    /// Takes over what was sent.
    #[inline]
    pub(super) fn add_sent(&mut self, sent: &mut ConnectionStats) {
        let sent = core::mem::take(sent);
        self.own.messages_sent += sent.messages_sent;
        self.own.bytes_sent += sent.bytes_sent;
        self.own.pings_sent += sent.pings_sent;
    }

    /// With what is not yet taken over.
    pub(super) fn with(&self, received: &Received) -> ConnectionStats {
        let mut stats = self.own;
        stats.messages_received += u64::from(received.messages);
        stats.pings_received += u64::from(received.pings);
        stats
    }

    /// Adds to the counts of all what is new.
    #[inline]
    pub(super) fn publish(&mut self) {
        if self.shared.is_some() {
            self.add();
        }
    }

    #[inline(never)]
    fn add(&mut self) {
        let Some(shared) = &mut self.shared else { return };
        let Shared { stats, told, .. } = &mut **shared;
        for ((counter, now), before) in stats.0.traffic.iter().zip(self.own.values()).zip(told.values()) {
            if now > before {
                counter.fetch_add(now - before, Relaxed);
            }
        }
        *told = self.own;
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, end: End) {
        if let Some(shared) = &mut self.shared {
            shared.end.get_or_insert(end);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.publish();
        if let Some(shared) = &self.shared {
            let ends = &shared.stats.0.ended;
            let counter = match shared.end {
                Some(End::Closed) => &ends.closed,
                Some(End::Protocol(_)) => &ends.violated,
                Some(End::TimedOut(_)) => &ends.timed_out,
                Some(End::Transport | End::Aborted) | None => &ends.cut,
            };
            counter.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::head::HeadError;

    #[test]
    fn every_reason_has_its_place() {
        let all = [
            Refusal::Head(HeadError::LineTooLong),
            Refusal::MethodNotAllowed,
            Refusal::NotWebSocket,
            Refusal::OriginNotAllowed,
            Refusal::HostNotAllowed,
            Refusal::Timeout,
            Refusal::Application(404),
        ];
        for refusal in all {
            assert_ne!(REASONS[reason(refusal)], "Other", "{refusal:?}");
        }
        let stats = Stats::new();
        stats.count_refusal(Refusal::Application(404));
        stats.count_refusal(Refusal::Application(503));
        stats.count_refusal(Refusal::MissingKey);
        let now = stats.snapshot();
        let counted: std::vec::Vec<_> = now.refusals().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("MissingKey", 1), ("Application", 2)]);
        assert_eq!(now.handshakes_refused(), 3);
    }
}
