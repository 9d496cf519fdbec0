//! One client's session: what it has subscribed to, what waits for it, and the response that it is written to.
#![allow(clippy::arithmetic_side_effects, reason = "lengths in memory; numbers of 64 bits are not used up")]

use super::super::exchange::hex;
use super::super::form::Fields;
use super::PushletOptions;
use super::format::{Format, event_of};
use crate::heartbeat::{Deadline, Instant};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use sha1::{Digest, Sha1};

/// Names one response that events are written to.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::pushlet::{Fresh, PushletOptions, PushletReply, PushletServer};
/// use std::time::Duration;
///
/// let mut server = PushletServer::<Duration>::new(PushletOptions::new());
/// let request = HttpRequest::new("GET", "/?p_event=join-listen&p_mode=stream&p_subject=/news", &[], b"");
/// let reply = server.request(&request, Fresh { id: [1; 16], time: 0 }, Duration::ZERO);
/// let PushletReply::Listen { ticket, .. } = reply else { panic!("it asks for events") };
/// server.close(&ticket); // its connection was lost
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PushletTicket {
    pub(super) session: Arc<str>,
    pub(super) number: u64,
    pub(super) format: Format,
}

/// What a client asks for, or why it does not get it.
pub(super) type Result<T> = core::result::Result<T, Cow<'static, str>>;

#[derive(Clone, Debug)]
pub(super) struct Session<I> {
    id: Arc<str>,
    /// What others know it by.
    pub(super) name: String,
    pub(super) format: Format,
    /// How it listens, if it does.
    pub(super) mode: Option<Mode>,
    /// Each a list of subjects, and what the client knows it by.
    pub(super) subscriptions: Vec<Fields<'static>>,
    sids: u64,
    /// What waits; `None` once it was too much.
    pub(super) queue: Option<Vec<Arc<Fields<'static>>>>,
    pub(super) receiver: Option<Receiver<I>>,
    pub(super) lease: Deadline<I>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Stream,
    Pull,
    Poll,
}

/// The response that waits.
#[derive(Clone, Debug)]
pub(super) struct Receiver<I> {
    pub(super) ticket: PushletTicket,
    /// The number of its next event.
    sequence: u64,
    pub(super) hold: Deadline<I>,
}

impl<I: Instant> Session<I> {
    pub(super) fn new(id: &str, format: Format) -> Self {
        Self {
            id: id.into(),
            name: hex(Sha1::digest(id.as_bytes()).iter().take(10)),
            format,
            mode: None,
            subscriptions: Vec::new(),
            sids: 0,
            queue: Some(Vec::new()),
            receiver: None,
            lease: Deadline::default(),
        }
    }

    /// The response that waits.
    pub(super) fn ticket(&self) -> Option<&PushletTicket> {
        self.receiver.as_ref().map(|receiver| &receiver.ticket)
    }

    /// Subscribes, and answers the subjects and what the client knows it by.
    pub(super) fn subscribe(
        &mut self,
        form: &Fields<'_>,
        config: &PushletOptions,
    ) -> Result<Fields<'static>> {
        let (subject, label) = (subject_of(form)?, form.get("p_label"));
        if subject.len() + label.map_or(0, str::len) > config.max_bytes {
            return Err("subject is too long".into());
        }
        // Each event is compared with all of them.
        if self.subjects().chain(subject.split(',')).count() > config.max_subscriptions {
            return Err("too many subscriptions".into());
        }
        self.sids += 1;
        let mut subscription =
            Fields::default().with("p_subject", subject.to_string()).with("p_sid", self.sids.to_string());
        subscription.0.extend(label.map(|label| ("p_label".into(), label.to_string().into())));
        self.subscriptions.push(subscription.clone());
        Ok(subscription)
    }

    /// Ends a subscription, and answers what it was.
    pub(super) fn unsubscribe(&mut self, sid: &str) -> Result<Fields<'static>> {
        let at = self.subscriptions.iter().position(|one| one.get("p_sid") == Some(sid));
        let at = at.ok_or_else(|| format!("no subscription for sid={sid}"))?;
        Ok(self.subscriptions.remove(at))
    }

    /// Whether it has subscribed to this subject.
    pub(super) fn hears(&self, subject: &str) -> bool {
        self.subjects().map(str::trim).any(|prefix| !prefix.is_empty() && subject.starts_with(prefix))
    }

    fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.iter().filter_map(|one| one.get("p_subject")).flat_map(|list| list.split(','))
    }

    /// An event for the client. Names the response that it may have to be written to.
    pub(super) fn push(&mut self, event: &Arc<Fields<'static>>, most: usize) -> Option<PushletTicket> {
        self.mode?;
        match self.queue.as_mut()? {
            queue if queue.len() < most => queue.push(event.clone()),
            _ => self.queue = None,
        }
        self.ticket().cloned()
    }

    /// Whether a response waits, and nothing for it.
    pub(super) fn waits(&self, now: I) -> bool {
        let is_quiet = |receiver: &Receiver<I>| !receiver.hold.is_over(now);
        self.queue.as_ref().is_some_and(Vec::is_empty) && self.receiver.as_ref().is_some_and(is_quiet)
    }

    /// Begins a response that events are written to.
    pub(super) fn open(&mut self, number: u64, now: I, config: &PushletOptions) -> PushletTicket {
        // A stream says at once that it is there; a poll has nothing to wait for.
        let hold = if self.mode == Some(Mode::Pull) { config.hold } else { Duration::ZERO };
        let ticket = PushletTicket { session: self.id.clone(), number, format: self.format };
        self.receiver =
            Some(Receiver { ticket: ticket.clone(), sequence: 1, hold: Deadline::new(now, hold) });
        ticket
    }

    /// Appends what is due to the response that waits, if anything, and answers whether the response ends there.
    pub(super) fn write(&mut self, now: I, config: &PushletOptions, out: &mut Vec<u8>) -> Option<bool> {
        let (format, receiver) = (self.format, self.receiver.as_mut()?);
        let mut write = |event: &Fields<'_>| {
            format.event(event, Some(receiver.sequence), out);
            receiver.sequence += 1;
        };
        let Some(queue) = &mut self.queue else {
            write(&event_of("abort").with("p_reason", "too many events wait"));
            format.end(out);
            return Some(true);
        };
        match queue.is_empty() {
            true if receiver.hold.is_over(now) => write(&event_of("hb")),
            true => return None,
            false => queue.drain(..).for_each(|event| write(&event)),
        }
        self.lease = Deadline::new(now, config.lease);
        receiver.hold = Deadline::of_beat(now, config.hold);
        let goes_on = self.mode == Some(Mode::Stream);
        if !goes_on {
            self.end_and_refresh(config, out);
        }
        Some(!goes_on)
    }

    /// Ends the response, and tells the client to come back.
    pub(super) fn end_and_refresh(&mut self, config: &PushletOptions, out: &mut Vec<u8>) {
        self.receiver = None;
        let wait = if self.mode == Some(Mode::Poll) { config.poll_wait } else { Duration::ZERO };
        let url = format!("{}?p_id={}&p_event=refresh", config.url, self.id);
        self.format.end_and_refresh(&url, wait, out);
    }
}

/// The subject that a request names.
pub(super) fn subject_of<'f>(form: &'f Fields<'_>) -> Result<&'f str> {
    form.get("p_subject").filter(|subject| !subject.is_empty()).ok_or_else(|| "no subject provided".into())
}
