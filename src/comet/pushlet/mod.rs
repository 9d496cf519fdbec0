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

mod format;
mod server;
mod session;

pub use format::Format;
pub use server::{Fresh, Publication, PushletReply, PushletServer};
pub use session::PushletTicket;

use crate::settings::settings;
use crate::ws::handshake::OriginPolicy;
use alloc::borrow::Cow;
use core::time::Duration;

settings! {
    /// Limits and times of a [`PushletServer`].
    ///
    /// ```
    /// use pushline::comet::pushlet::PushletOptions;
    ///
    /// assert_ne!(PushletOptions::new().max_events(16), PushletOptions::default());
    /// ```
    PushletOptions {
        /// Whether what clients publish is handed to the program ([`PushletServer::take_publication`]) in place of the subscribers.
        /// Default `false`.
        ///
        /// Without it every client may publish anything on every subject.
        moderated: bool = false;
        /// How long a session lives without a request, or with a response that takes nothing of what waits for it. Default 3
        /// minutes.
        ///
        /// Without it what vanished clients left behind, and those who read nothing, is never released.
        lease: Duration = Duration::from_secs(180);
        /// How long a pull is held, or a stream silent, until a heartbeat. Default 20 seconds. Zero has pulls answered at once,
        /// and no heartbeats in streams.
        hold: Duration = Duration::from_secs(20);
        /// How long a client in poll mode is told to wait. Default 6 seconds; one in pull mode comes back at once.
        poll_wait: Duration = Duration::from_secs(6);
        /// Sessions at a time, default 10 000; more are answered 503.
        ///
        /// Without it whoever joins again and again makes the server hold as many sessions.
        max_sessions: usize = 10_000;
        /// Subscriptions of a session, those to a list of subjects counted each; default 32. More get a `nack`.
        ///
        /// Without it one client makes each event as costly as it likes.
        max_subscriptions: usize = 32;
        /// Events that wait for a client, default 256. At one more the session is aborted, as the original does; if the client
        /// does not fetch that either, it ends with its lease.
        ///
        /// Without it a client that does not fetch makes the server hold all that is published.
        max_events: usize = 256;
        /// Parameters of an event, default 32; one with more gets a `nack`.
        max_fields: usize = 32;
        /// Bytes of an event's names and values, default 16 KiB; a larger one gets a `nack`. So is a list of subjects.
        ///
        /// Without it the limit on events is none on memory.
        max_bytes: usize = 16 << 10;
    } into {
        /// The path that clients are told to come back to. Default `/pushlet.srv`.
        url: Cow<'static, str> = Cow::Borrowed("/pushlet.srv");
        /// Which pages may use the server. Default: those of its own host, and clients that are no browsers; others are
        /// answered 403.
        ///
        /// Without it any page can have its visitors' browsers open sessions.
        origins: OriginPolicy = OriginPolicy::same_host();
    }
}
