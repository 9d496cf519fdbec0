//! Pushlet: events with a subject, published and subscribed by `GET`s to one URL, as its server of 2000 to 2014 did.
//!
//! A client joins, subscribes to subjects and listens; what others publish comes as events: in a response that never
//! ends (stream), in one that is held until there is something (pull), or at once (poll). [`PushletServer`] is all of it:
//! sessions, subjects, and what is written to whom.
//!
//! | parameter | what |
//! |---|---|
//! | `p_event` | `join`, `join-listen`, `listen`, `subscribe`, `unsubscribe`, `publish`, `refresh`, `hb`, `leave` |
//! | `p_id` | the session, from `join-ack` |
//! | `p_format` | `js` (a script that calls `parent.push`), `xml`, `xml-strict`, `json` |
//! | `p_mode` | `stream`, `pull`, `poll` |
//! | `p_subject` | a subject, or a list with commas; what one subscribes to is a prefix of what it gets |
//! | `p_sid`, `p_label` | the subscription, and its name of the client's own |
//! | `p_to` | publish to this one only: the `p_from` of one of its events |
//!
//! What is not as it was: values are escaped in every format; `p_from` is a name that is not the session's identifier,
//! with which anyone could have listened in the sender's place; Java's serialised objects (`ser`) are refused.

mod event;
mod server;

pub use event::Format;
pub use server::{Fresh, Publication, PushletReply, PushletServer, PushletTicket};

use crate::ws::handshake::OriginPolicy;
use alloc::borrow::Cow;
use core::time::Duration;

/// Limits and times of a [`PushletServer`].
///
/// ```
/// use pushline::comet::pushlet::PushletOptions;
///
/// assert_ne!(PushletOptions::new().max_events(16), PushletOptions::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PushletOptions {
    url: Cow<'static, str>,
    lease: Duration,
    hold: Duration,
    poll_wait: Duration,
    max_sessions: usize,
    max_subscriptions: usize,
    max_events: usize,
    max_fields: usize,
    max_bytes: usize,
    moderated: bool,
    origins: OriginPolicy,
}

impl PushletOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            url: Cow::Borrowed("/pushlet.srv"),
            lease: Duration::from_secs(180),
            hold: Duration::from_secs(20),
            poll_wait: Duration::from_secs(6),
            max_sessions: 10_000,
            max_subscriptions: 32,
            max_events: 256,
            max_fields: 32,
            max_bytes: 16 << 10,
            moderated: false,
            origins: OriginPolicy::same_host(),
        }
    }

    /// The path that clients are told to come back to. Default `/pushlet.srv`.
    pub fn url(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.url = path.into();
        self
    }

    /// Which pages may use the server. Default: those of its own host, and clients that are no browsers; others are
    /// answered 403.
    ///
    /// Without it any page can have its visitors' browsers open sessions.
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.origins = origins;
        self
    }

    /// Whether what clients publish is handed to the program ([`PushletServer::take_publication`]) in place of the subscribers.
    /// Default `false`.
    ///
    /// Without it every client may publish anything on every subject.
    pub const fn moderated(mut self, moderated: bool) -> Self {
        self.moderated = moderated;
        self
    }

    /// How long a session lives without a request. Default 3 minutes.
    ///
    /// Without it what vanished clients left behind is never released.
    pub const fn lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// How long a pull is held, or a stream silent, until a heartbeat. Default 20 seconds.
    pub const fn hold(mut self, time: Duration) -> Self {
        self.hold = time;
        self
    }

    /// How long a client in poll mode is told to wait. Default 6 seconds; one in pull mode comes back at once.
    pub const fn poll_wait(mut self, time: Duration) -> Self {
        self.poll_wait = time;
        self
    }

    /// Sessions at a time, default 10 000; more are answered 503.
    ///
    /// Without it whoever joins again and again makes the server hold as many sessions.
    pub const fn max_sessions(mut self, count: usize) -> Self {
        self.max_sessions = count;
        self
    }

    /// Subscriptions of a session, those to a list of subjects counted each; default 32. More get a `nack`.
    ///
    /// Without it one client makes each event as costly as it likes.
    pub const fn max_subscriptions(mut self, count: usize) -> Self {
        self.max_subscriptions = count;
        self
    }

    /// Events that wait for a client, default 256. At one more the session is aborted, as the original does.
    ///
    /// Without it a client that does not fetch makes the server hold all that is published.
    pub const fn max_events(mut self, count: usize) -> Self {
        self.max_events = count;
        self
    }

    /// Parameters of an event, default 32; one with more gets a `nack`.
    pub const fn max_fields(mut self, count: usize) -> Self {
        self.max_fields = count;
        self
    }

    /// Bytes of an event's names and values, default 16 KiB; a larger one gets a `nack`. So is a list of subjects.
    ///
    /// Without it the limit on events is none on memory.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Default for PushletOptions {
    fn default() -> Self {
        Self::new()
    }
}
