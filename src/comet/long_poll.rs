//! Requests held until there is news, one at a time for each client: the state of one client's session.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "cursors that the log has checked; numbers of 64 bits are not used up"
)]

use super::log::{Log, LogMessages, TooLarge};
use super::script::{CometMessage, write_number};
use crate::heartbeat::{Deadline, Instant};
use crate::settings::settings;
use bytes::BufMut;
use core::time::Duration;

settings! {
    /// Limits and times of a [`CometSession`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use pushline::comet::CometOptions;
    ///
    /// let short_polling = CometOptions::new().hold(Duration::ZERO);
    /// assert_ne!(short_polling, CometOptions::new());
    /// ```
    #[derive(Copy)]
    CometOptions {
        /// How long a request without news is held, or a stream silent. Default 25 seconds, under the 30 after which
        /// some proxies give up. Zero makes it short polling.
        hold: Duration = Duration::from_secs(25);
        /// How long a session lives without a request, or with one whose response does not take the sign of life that was due.
        /// Default 60 seconds.
        ///
        /// Without it what vanished clients left behind, and those who read nothing, is never released.
        idle: Duration = Duration::from_secs(60);
        /// Messages held for a client that does not fetch them; at least one. Default 1024.
        ///
        /// Without it a client that stays away makes the server hold all that it missed. The oldest go first.
        max_messages: usize = 1024;
        /// Bytes of messages held, escapes included. Default 1 MiB.
        ///
        /// Without it few large messages do what many small ones may not.
        max_bytes: usize = 1 << 20;
        /// Bytes of messages in one answer; a message that is longer goes alone. Default 256 KiB.
        ///
        /// Without it a client that fell behind makes the server build one answer of all that it missed, and fetches
        /// it again from the start whenever it breaks.
        max_answer: usize = 256 << 10;
    }
}

/// One client's session: its log, and the one request that waits for news.
///
/// [`push`](Self::push), [`poll`](Self::poll), [`stream`](Self::stream) and [`close`](Self::close) tell it what
/// happens; [`next_answer`](Self::next_answer), asked after each of them and at
/// [`next_deadline`](Self::next_deadline), says what to send. It reads no clock and holds no connection.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{CometOptions, AnswerKind, CometMessage, CometSession};
///
/// let seconds = Duration::from_secs; // a virtual clock: time since the start
/// let mut session = CometSession::new(CometOptions::new(), seconds(0));
/// session.push(CometMessage::text("one"))?;
///
/// let first = session.poll(0, seconds(1));
/// assert!(first.superseded.is_none());
/// let answer = session.next_answer(seconds(1)).expect("there is news");
/// assert_eq!((answer.status(), answer.cursor), (200, 1));
///
/// let _ = session.poll(1, seconds(2)); // acknowledges the message; nothing new
/// assert_eq!(session.next_deadline(), Some(seconds(27)));
/// assert!(session.next_answer(seconds(26)).is_none());
/// let answer = session.next_answer(seconds(27)).expect("held long enough");
/// assert!(matches!(answer.kind, AnswerKind::Empty));
/// assert_eq!(answer.status(), 204);
///
/// assert!(session.is_expired(seconds(27 + 60)));
/// # Ok::<(), pushline::comet::TooLarge>(())
/// ```
#[derive(Clone, Debug)]
pub struct CometSession<I> {
    config: CometOptions,
    log: Log,
    request: Option<HttpRequest<I>>,
    /// Runs while there is no request.
    idle: Deadline<I>,
    tickets: u64,
}

#[derive(Clone, Debug)]
struct HttpRequest<I> {
    ticket: CometTicket,
    /// What it has been sent.
    cursor: u64,
    hold: Deadline<I>,
    /// Goes on after an answer.
    stream: bool,
}

/// Names one request of a session.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{CometOptions, CometSession};
///
/// let mut session = CometSession::new(CometOptions::new(), Duration::ZERO);
/// let first = session.poll(0, Duration::ZERO).ticket;
/// assert_ne!(first, session.poll(0, Duration::ZERO).ticket);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CometTicket(u64);

/// The outcome of opening a request: its ticket, and the answer to the request that it has replaced.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{CometOptions, CometSession};
///
/// let mut session = CometSession::new(CometOptions::new(), Duration::ZERO);
/// let older = session.poll(0, Duration::ZERO);
/// let newer = session.poll(0, Duration::ZERO);
/// let answer = newer.superseded.expect("the older was waiting");
/// assert_eq!((answer.ticket, answer.status()), (older.ticket, 204));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CometOpened {
    /// The request: [`CometSession::next_answer`] names it.
    pub ticket: CometTicket,
    /// The empty answer to the older request, whose place this one has taken; a stream just ends.
    pub superseded: Option<CometAnswer<'static>>,
}

/// The answer to a request: messages, nothing new, or gone.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{CometOptions, CometMessage, CometSession};
///
/// let mut session = CometSession::new(CometOptions::new().max_messages(1), Duration::ZERO);
/// session.push(CometMessage::text("one"))?;
/// session.push(CometMessage::text("two"))?;
/// let _ = session.poll(0, Duration::ZERO);
/// let answer = session.next_answer(Duration::ZERO).expect("the first has fallen off");
/// let mut body = Vec::new();
/// answer.write_json(&mut body);
/// assert_eq!((answer.status(), &body[..]), (410, &br#"{"cursor":1,"gone":true,"messages":[]}"#[..]));
/// # Ok::<(), pushline::comet::TooLarge>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CometAnswer<'s> {
    /// The request that is answered.
    pub ticket: CometTicket,
    /// The cursor of a client that has got this answer.
    pub cursor: u64,
    /// What the answer is.
    pub kind: AnswerKind<'s>,
}

/// The kind of a [`CometAnswer`].
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::{AnswerKind, CometMessage, CometOptions, CometSession};
///
/// let mut session = CometSession::new(CometOptions::new(), Duration::ZERO);
/// session.push(CometMessage::text("one")).unwrap();
/// let _ = session.poll(0, Duration::ZERO);
/// let answer = session.next_answer(Duration::ZERO).expect("there is news");
/// let AnswerKind::Messages(messages) = answer.kind else { panic!("not held") };
/// assert_eq!(messages.count(), 1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnswerKind<'s> {
    /// News, at least one message: status 200.
    Messages(LogMessages<'s>),
    /// No news for as long as requests are held, or a newer request has come: status 204. To a stream: a sign of
    /// life, and no end.
    Empty,
    /// The cursor fell off the log, or is of another session: status 410. The client has missed messages; it loads
    /// what it shows afresh and goes on from the answer's cursor. A stream ends.
    Gone,
}

impl<I: Instant> CometSession<I> {
    /// A session with no messages and no request.
    #[must_use]
    pub fn new(config: CometOptions, now: I) -> Self {
        Self {
            config,
            log: Log::new(config.max_messages, config.max_bytes),
            request: None,
            idle: Deadline::new(now, config.idle),
            tickets: 0,
        }
    }

    /// The same, whose first message is numbered `cursor + 1`: for a client that was served elsewhere before, by a node
    /// that is no more, and that goes on with the numbers it knows.
    ///
    /// ```
    /// use core::time::Duration;
    /// use pushline::comet::{CometOptions, CometMessage, CometSession};
    ///
    /// let mut session = CometSession::new(CometOptions::new(), Duration::ZERO).starting_at(41);
    /// assert_eq!(session.push(CometMessage::text("the answer"))?, 42);
    /// # Ok::<(), pushline::comet::TooLarge>(())
    /// ```
    #[must_use]
    pub fn starting_at(mut self, cursor: u64) -> Self {
        self.log = self.log.starting_at(cursor);
        self
    }

    /// A message for the client. Answers its number.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], with the message in it, if it is larger than [`CometOptions::max_bytes`].
    pub fn push(&mut self, message: CometMessage) -> Result<u64, TooLarge> {
        self.log.push(message)
    }

    /// A request came that is answered once, by a client that has the messages up to `since`.
    pub fn poll(&mut self, since: u64, now: I) -> CometOpened {
        self.open(since, false, now)
    }

    /// A request came whose answer goes on, by a client that has the messages up to `since`. What it is sent is
    /// held until a later request acknowledges it.
    pub fn stream(&mut self, since: u64, now: I) -> CometOpened {
        self.open(since, true, now)
    }

    /// A request's connection is gone, or its response has ended before the session said so (a stream's byte budget
    /// is spent). Another request than the one that waits is none of its business.
    pub fn close(&mut self, ticket: CometTicket, now: I) {
        if self.request.as_ref().is_some_and(|request| request.ticket == ticket) {
            self.request = None;
            self.idle = Deadline::new(now, self.config.idle);
        }
    }

    /// What to send now, if anything. One answer a call, as long as there is one; a poll waits no longer after its
    /// own, a stream does unless it is [`AnswerKind::Gone`].
    pub fn next_answer(&mut self, now: I) -> Option<CometAnswer<'_>> {
        let request = self.request.as_mut()?;
        let ticket = request.ticket;
        let (kind, cursor) = match self.log.after(request.cursor) {
            None => (AnswerKind::Gone, self.log.oldest()),
            Some(messages) if messages.len() > 0 => {
                let messages = messages.limit(self.config.max_answer);
                let cursor = request.cursor + messages.len() as u64;
                (AnswerKind::Messages(messages), cursor)
            }
            Some(_) if request.hold.is_over(now) => (AnswerKind::Empty, request.cursor),
            Some(_) => return None,
        };
        if request.stream && !matches!(kind, AnswerKind::Gone) {
            request.cursor = cursor;
            request.hold = Deadline::new(now, self.config.hold);
        } else {
            self.request = None;
            self.idle = Deadline::new(now, self.config.idle);
        }
        Some(CometAnswer { ticket, cursor, kind })
    }

    /// When to ask [`next_answer`](Self::next_answer) or [`is_expired`](Self::is_expired) even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        match &self.request {
            Some(request) => request.hold.next_deadline(),
            None => self.idle.next_deadline(),
        }
    }

    /// Whether the client has stayed away for too long, or its request has not been asked for an answer since one was due
    /// ([`CometOptions::hold`]) for as long: drop the session.
    #[must_use]
    pub fn is_expired(&self, now: I) -> bool {
        let stands_still = |request: &HttpRequest<I>| request.hold.is_over_since(self.config.idle, now);
        self.request.as_ref().map_or(self.idle.is_over(now), stands_still)
    }

    /// The messages held.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    fn open(&mut self, since: u64, stream: bool, now: I) -> CometOpened {
        if self.log.after(since).is_some() {
            self.log.release(since);
        }
        self.tickets += 1;
        let ticket = CometTicket(self.tickets);
        let hold = Deadline::new(now, self.config.hold);
        self.idle.clear();
        let older = self.request.replace(HttpRequest { ticket, cursor: since, hold, stream });
        let superseded = older.map(|older| CometAnswer {
            ticket: older.ticket,
            cursor: older.cursor,
            kind: AnswerKind::Empty,
        });
        CometOpened { ticket, superseded }
    }
}

impl CometAnswer<'_> {
    /// The HTTP status for a poll: 200, 204 or 410.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            AnswerKind::Messages(_) => 200,
            AnswerKind::Empty => 204,
            AnswerKind::Gone => 410,
        }
    }

    /// Appends the answer as JSON to `out`: `{"cursor":14,"messages":[{"id":14,"data":"…"}]}`, with `"gone":true`
    /// after the cursor if messages were lost. A response with status 204 has no body; then this is for
    /// [`jsonp`](super::jsonp), where there is no status to see.
    ///
    /// # Panics
    ///
    /// If `out` cannot grow and has not the room: 64 bytes, and 36 and the literal for each message.
    pub fn write_json(&self, out: &mut impl BufMut) {
        out.put_slice(b"{\"cursor\":");
        write_number(self.cursor, out);
        if matches!(self.kind, AnswerKind::Gone) {
            out.put_slice(b",\"gone\":true");
        }
        out.put_slice(b",\"messages\":[");
        if let AnswerKind::Messages(messages) = &self.kind {
            for (at, (id, message)) in messages.clone().enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                message.write_event(id, out);
            }
        }
        out.put_slice(b"]}");
    }
}

/// The cursor in a request, as in `?since=14`: decimal digits and nothing else; `None` if it is not that.
///
/// ```
/// use pushline::comet::parse_cursor;
///
/// assert_eq!(parse_cursor("14"), Some(14));
/// assert_eq!((parse_cursor(""), parse_cursor("+1"), parse_cursor("99999999999999999999")), (None, None, None));
/// ```
#[must_use]
pub fn parse_cursor(text: &str) -> Option<u64> {
    // `parse` takes a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
