//! What a [`Life`] asks its host for, and how it ends: the words, without a rule. The rules are in `life.rs`.

#[cfg(doc)]
use super::Life;
use super::error::ProtocolError;
use super::times::TimedOut;

/// The next action of a host for a connection: see [`Life::step`].
///
/// ```
/// use core::time::Duration;
/// use pushline::ws::{ConnectionOptions, Connection, Life, Negotiated, Side, Step, Times};
///
/// let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
/// let mut life = Life::new(Times::new(), connection.role(), Duration::ZERO);
/// let (_, sender) = connection.split();
/// life.sync(&sender);
/// assert_eq!(life.step(Side::Reading), Step::Read);
/// life.read_blocked();
/// assert_eq!(life.step(Side::Reading), Step::Wait(Some(Duration::from_secs(30)))); // until a ping is due
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<I> {
    /// Write what is queued, then [`Life::written`], [`Life::write_blocked`] or [`Life::write_failed`].
    Write,
    /// End our direction of the transport, then [`Life::shut`], [`Life::write_blocked`] or [`Life::write_failed`].
    Shutdown,
    /// Queue a ping, then [`Life::pinged`].
    Ping,
    /// Read into the inbox and look for events, then [`Life::received`], [`Life::read_blocked`], [`Life::eof`] or
    /// [`Life::read_failed`].
    Read,
    /// As [`Read`](Self::Read), but what is read is dropped: the peer has said its last.
    Drain,
    /// Tell the time: [`Life::tick`].
    Clock,
    /// Wait until the transport is ready or the instant has come; then [`Life::ready`], and go on. If the instant is over
    /// already, nothing that was there has moved it: [`Life::tick`].
    Wait(Option<I>),
    /// It is over; the transport is to be dropped.
    Over(End),
}

/// The end of a connection and its cause: see [`Step::Over`].
///
/// ```
/// use pushline::ws::{End, TimedOut};
///
/// /// What a server's log should say of it.
/// fn is_worth_a_line(end: End) -> bool {
///     !matches!(end, End::Closed | End::Aborted | End::TimedOut(TimedOut::Ping))
/// }
/// assert!(!is_worth_a_line(End::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// With the peer's close frame (RFC 6455 7.1.4). What the transport did after it does not count.
    Closed,
    /// The peer broke the protocol; the close frame that says so was written, if the transport took it (7.1.7).
    Protocol(ProtocolError),
    /// The transport failed. The host knows how.
    Transport,
    /// The transport ended without a close frame (7.1.5, code 1006).
    Aborted,
    /// The peer took too long.
    TimedOut(TimedOut),
}

/// The side of a connection that asks for the next [`Step`].
///
/// ```
/// use pushline::ws::Side;
///
/// // A host with one task for both directions is the reading side.
/// let side = Side::Reading;
/// # let _ = side;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Reads, and writes what is queued.
    Reading,
    /// Only writes. It does not judge whether a pong is late: that may lie unread in the transport.
    Writing,
}
