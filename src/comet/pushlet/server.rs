//! Sessions, subjects, and what is written to whom.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]
#![allow(clippy::indexing_slicing, reason = "ten bytes of a hash of twenty")]

use super::super::exchange::{HttpRequest, HttpResponse, form_pairs, may};
use super::super::{NO_STORE, NOSNIFF};
use super::PushletOptions;
use super::event::{Event, Format, is_name};
use crate::heartbeat::{Deadline, Instant};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;
use sha1::{Digest, Sha1};

/// What a request needs that a state machine cannot have.
///
/// ```
/// use pushline::comet::pushlet::Fresh;
///
/// let fresh = Fresh { id: [7; 16], time: 1_700_000_000 }; // random, in earnest
/// # let _ = fresh;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// 128 random bits, for the identifier of a session that may begin: whoever knows it is the client.
    pub id: [u8; 16],
    /// Seconds since 1970, for `p_time`.
    pub time: u64,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum PushletReply {
    /// This answer.
    Response(HttpResponse),
    /// What [`PushletServer::next_piece`] writes for this ticket, after `head`.
    Listen {
        /// The response's name.
        ticket: PushletTicket,
        /// Status, fields, and the start of the body.
        head: HttpResponse,
    },
}

/// Names one response that events are written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PushletTicket {
    session: Arc<str>,
    number: u64,
    format: Format,
}

/// A Pushlet server: takes requests, and says what is written to the responses that listen.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::HttpRequest;
/// use pushline::comet::pushlet::{PushletOptions, Fresh, PushletReply, PushletServer};
///
/// let now = Duration::ZERO; // a virtual clock: time since the start
/// let mut server = PushletServer::new(PushletOptions::new());
/// let fresh = |id| Fresh { id: [id; 16], time: 0 };
/// let mut ask = |server: &mut PushletServer<Duration>, target: &str, id| {
///     server.request(&HttpRequest::new("GET", target, &[], b""), fresh(id), now)
/// };
///
/// let target = "/?p_event=join-listen&p_mode=stream&p_format=xml&p_subject=/chat";
/// let PushletReply::Listen { ticket, .. } = ask(&mut server, target, 1) else { panic!("it listens") };
/// let joined = ask(&mut server, "/?p_event=join&p_format=json", 2);
/// let id = "02".repeat(16);
/// ask(&mut server, &format!("/?p_event=publish&p_id={id}&p_subject=/chat&text=hello"), 3);
///
/// let mut body = Vec::new();
/// while server.next_piece(&ticket, now, &mut body).is_some() {}
/// assert!(String::from_utf8_lossy(&body).contains(" text=\"hello\" "));
/// # let _ = joined;
/// ```
#[derive(Clone, Debug)]
pub struct PushletServer<I> {
    config: PushletOptions,
    sessions: BTreeMap<Arc<str>, CometSession<I>>,
    /// Sessions by the names that others know them by.
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// Responses that something may have to be written to.
    ready: Vec<PushletTicket>,
    tickets: u64,
    /// What the last request has published, if the program is to see it first.
    publication: Option<Publication>,
}

/// What a client has published, to be looked at by the program ([`PushletOptions::moderated`]).
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::pushlet::{PushletOptions, Fresh, PushletServer};
/// use std::time::Duration;
///
/// let mut server = PushletServer::new(PushletOptions::new().moderated(true));
/// let mut ask = |server: &mut PushletServer<Duration>, target: &str| {
///     server.request(&HttpRequest::new("GET", target, &[], b""), Fresh { id: [1; 16], time: 0 }, Duration::ZERO)
/// };
/// ask(&mut server, "/?p_event=join");
/// let id = "01".repeat(16);
/// ask(&mut server, &format!("/?p_event=publish&p_id={id}&p_subject=/chat&text=hello"));
/// let publication = server.take_publication().expect("it was published");
/// assert_eq!((publication.session(), publication.subject()), (&*id, "/chat"));
/// assert_eq!(publication.get("text"), Some("hello"));
/// server.forward(publication); // to the subscribers, after all
/// ```
#[derive(Clone, Debug)]
pub struct Publication {
    session: Arc<str>,
    to: Option<Arc<str>>,
    event: Event,
}

impl Publication {
    /// The session (`p_id`) that has published it. It is that client's secret.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.event.get("p_subject").unwrap_or_default()
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.event.get(name)
    }
}

#[derive(Clone, Debug)]
struct CometSession<I> {
    name: Arc<str>,
    format: Format,
    mode: Mode,
    listening: bool,
    subscriptions: Vec<Subscription>,
    sids: u64,
    queue: VecDeque<Arc<Event>>,
    aborted: bool,
    receiver: Option<Receiver<I>>,
    lease: Deadline<I>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stream,
    Pull,
    Poll,
}

#[derive(Clone, Debug)]
struct Subscription {
    sid: String,
    subject: String,
    label: Option<String>,
}

#[derive(Clone, Debug)]
struct Receiver<I> {
    number: u64,
    /// The number of its next event.
    sequence: u64,
    hold: Deadline<I>,
}

impl<I: Instant> PushletServer<I> {
    /// A server without sessions.
    #[must_use]
    pub fn new(config: PushletOptions) -> Self {
        Self {
            config,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            ready: Vec::new(),
            tickets: 0,
            publication: None,
        }
    }

    /// A request came: a `GET` with a query, or a `POST` with a form.
    pub fn request(&mut self, request: &HttpRequest<'_>, fresh: Fresh, now: I) -> PushletReply {
        if !may(&self.config.origins, request) {
            return refuse(403, "Origin not allowed.\n");
        }
        let form = match request.method {
            "GET" => request.query.as_bytes(),
            "POST" if request.is_form() => request.body,
            "POST" => return refuse(415, "POST takes a form.\n"),
            _ => return PushletReply::Response(HttpResponse::new(405).with("Allow", "GET, POST")),
        };
        // One more than may be, to see that there are too many.
        let most = self.config.max_fields.saturating_add(1);
        let parameters: Vec<_> = form_pairs(form, most).collect();
        let find = |name: &str| parameters.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
        match find("p_event") {
            None => refuse(400, "No p_event.\n"),
            Some(event @ ("join" | "join-listen")) => self.join(event, &find, fresh, now),
            Some(event) => match find("p_id").map(Arc::from) {
                Some(id) if self.sessions.contains_key(&id) => {
                    self.command(event, id, &find, &parameters, fresh.time, now)
                }
                _ => refuse(400, "No such session: join first.\n"),
            },
        }
    }

    /// Publishes an event of the server's own. Names that are no XML names are left out.
    pub fn publish(&mut self, subject: &str, fields: &[(&str, &str)], time: u64) {
        let fields = fields.iter().map(|(name, value)| (Cow::from(*name), Cow::from(*value)));
        self.deliver(data(subject, "", time, fields), None);
    }

    /// What the last request has published, with [`PushletOptions::moderated`]: to be asked for after each.
    pub fn take_publication(&mut self) -> Option<Publication> {
        self.publication.take()
    }

    /// Delivers what a client has published as if it had not been looked at.
    pub fn forward(&mut self, publication: Publication) {
        self.deliver(publication.event, publication.to.as_ref());
    }

    /// Sends an event of the server's own to one session, whatever it has subscribed to. `false` if there is no such
    /// session, or it does not listen. Names that are no XML names are left out.
    pub fn send(&mut self, session: &str, subject: &str, fields: &[(&str, &str)], time: u64) -> bool {
        let listens = |(id, session): (&Arc<str>, &CometSession<I>)| session.listening.then(|| id.clone());
        let Some(id) = self.sessions.get_key_value(session).and_then(listens) else { return false };
        let fields = fields.iter().map(|(name, value)| (Cow::from(*name), Cow::from(*value)));
        self.deliver(data(subject, "", time, fields), Some(&id));
        true
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn is_open(&self, session: &str) -> bool {
        self.sessions.contains_key(session)
    }

    /// Appends what is to be written to this response now, if anything, and answers whether the response ends there.
    pub fn next_piece(&mut self, ticket: &PushletTicket, now: I, out: &mut Vec<u8>) -> Option<bool> {
        let (format, lease) = (ticket.format, self.config.lease);
        let waits = |session: &&mut CometSession<I>| session.number() == Some(ticket.number);
        let Some(session) = self.sessions.get_mut(&ticket.session).filter(waits) else {
            // The client has left, or a newer response has taken the place of this one.
            format.end(out);
            return Some(true);
        };
        let receiver = session.receiver.as_mut()?;
        let mut write = |event: &Event| {
            format.event(event, receiver.sequence, false, out);
            receiver.sequence += 1;
        };
        if session.aborted {
            write(&Event::new("abort").with("p_reason", "too many events wait"));
            format.end(out);
            self.remove(&ticket.session);
            return Some(true);
        }
        if session.queue.is_empty() {
            if !receiver.hold.is_over(now) {
                return None;
            }
            write(&Event::new("hb"));
        }
        session.queue.drain(..).for_each(|event| write(&event));
        session.lease = Deadline::new(now, lease);
        receiver.hold = Deadline::new(now, self.config.hold);
        if session.mode == Mode::Stream {
            return Some(false);
        }
        self.refresh(&ticket.session, out);
        Some(true)
    }

    /// A response's client has left.
    pub fn close(&mut self, ticket: &PushletTicket) {
        if let Some(session) = self.sessions.get_mut(&ticket.session)
            && session.number() == Some(ticket.number)
        {
            session.receiver = None;
        }
    }

    /// A response to ask [`next_piece`](Self::next_piece) for after what has happened; ask until there is none.
    pub fn next_ready(&mut self) -> Option<PushletTicket> {
        self.ready.pop()
    }

    /// When to ask [`next_piece`](Self::next_piece) for this response even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self, ticket: &PushletTicket) -> Option<I> {
        self.sessions.get(&ticket.session)?.receiver.as_ref()?.hold.next_deadline()
    }

    /// Ends sessions whose lease is out: call it now and then. One that listens in a stream is there.
    pub fn sweep(&mut self, now: I) {
        let is_out = |session: &CometSession<I>| session.receiver.is_none() && session.lease.is_over(now);
        let out = self.sessions.iter().filter(|(_, session)| is_out(session)).map(|(id, _)| id.clone());
        for id in out.collect::<Vec<_>>() {
            self.remove(&id);
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn join<'p>(
        &mut self,
        event: &str,
        find: &dyn Fn(&str) -> Option<&'p str>,
        fresh: Fresh,
        now: I,
    ) -> PushletReply {
        let Some(format) = Format::parse(find("p_format").unwrap_or("js")) else {
            return refuse(400, "p_format is js, xml, xml-strict or json.\n");
        };
        if self.sessions.len() >= self.config.max_sessions {
            return refuse(503, "Too many sessions.\n");
        }
        let id: Arc<str> = hex(&fresh.id).into();
        let name: Arc<str> = hex(&Sha1::digest(id.as_bytes())[..10]).into();
        self.names.insert(name.clone(), id.clone());
        let session = CometSession {
            name,
            format,
            mode: Mode::Stream,
            listening: false,
            subscriptions: Vec::new(),
            sids: 0,
            queue: VecDeque::new(),
            aborted: false,
            receiver: None,
            lease: Deadline::new(now, self.config.lease),
        };
        self.sessions.insert(id.clone(), session);
        if event == "join-listen" {
            return self.listen("join-listen-ack", id, find, now);
        }
        answer(format, &Event::new("join-ack").with("p_id", id.to_string()).with("p_format", format.name()))
    }

    fn command<'p>(
        &mut self,
        event: &str,
        id: Arc<str>,
        find: &dyn Fn(&str) -> Option<&'p str>,
        parameters: &[(Cow<'p, str>, Cow<'p, str>)],
        time: u64,
        now: I,
    ) -> PushletReply {
        let Some(session) = self.sessions.get_mut(&id) else { return refuse(400, "No such session.\n") };
        session.lease = Deadline::new(now, self.config.lease);
        let (format, own) = (session.format, id.to_string());
        let ack = match event {
            "listen" => return self.listen("listen-ack", id, find, now),
            "refresh" if !session.listening => Err("listen first".into()),
            "refresh" => return self.open(&id, &Event::new("refresh-ack"), false, now),
            "hb" => Ok(Event::new("hb-ack")),
            "leave" => {
                self.remove(&id);
                Ok(Event::new("leave-ack").with("p_id", own.clone()))
            }
            "subscribe" => self.subscribe(&id, find).map(|subscription| {
                let ack = Event::new("subscribe-ack").with("p_id", own.clone());
                subscribed(ack.with("p_subject", subscription.subject.clone()), &subscription)
            }),
            "unsubscribe" => match find("p_sid") {
                None => {
                    session.subscriptions.clear();
                    Ok(Event::new("unsubscribe-ack").with("p_id", own.clone()))
                }
                Some(sid) => match session.subscriptions.iter().position(|one| one.sid == sid) {
                    None => Err(format!("no subscription for sid={sid}")),
                    Some(at) => {
                        let gone = session.subscriptions.remove(at);
                        let ack = Event::new("unsubscribe-ack").with("p_id", own.clone());
                        Ok(subscribed(ack.with("p_subject", gone.subject.clone()), &gone))
                    }
                },
            },
            "publish" => {
                let name = session.name.clone();
                self.published(&id, &name, find, parameters, time).map(|()| Event::new("publish-ack"))
            }
            _ => Err("unknown p_event".into()),
        };
        let nack = |reason: String| Event::new("nack").with("p_id", own.clone()).with("p_reason", reason);
        answer(format, &ack.unwrap_or_else(nack))
    }

    fn subscribe<'p>(
        &mut self,
        id: &Arc<str>,
        find: &dyn Fn(&str) -> Option<&'p str>,
    ) -> Result<Subscription, String> {
        let subject = find("p_subject").filter(|subject| !subject.is_empty()).ok_or("no subject provided")?;
        let label = find("p_label").map(String::from);
        if subject.len() + label.as_ref().map_or(0, String::len) > self.config.max_bytes {
            return Err("subject is too long".into());
        }
        let session = self.sessions.get_mut(id).ok_or("no such session")?;
        // Each event is compared with all of them.
        let subjects = |list: &str| list.split(',').count();
        let held: usize = session.subscriptions.iter().map(|one| subjects(&one.subject)).sum();
        if held.saturating_add(subjects(subject)) > self.config.max_subscriptions {
            return Err("too many subscriptions".into());
        }
        session.sids += 1;
        let subscription = Subscription { sid: session.sids.to_string(), subject: subject.into(), label };
        session.subscriptions.push(subscription.clone());
        Ok(subscription)
    }

    fn published<'p>(
        &mut self,
        id: &Arc<str>,
        name: &Arc<str>,
        find: &dyn Fn(&str) -> Option<&'p str>,
        parameters: &[(Cow<'p, str>, Cow<'p, str>)],
        time: u64,
    ) -> Result<(), String> {
        let subject = find("p_subject").filter(|subject| !subject.is_empty()).ok_or("no subject provided")?;
        let bytes = parameters.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if parameters.len() > self.config.max_fields || bytes > self.config.max_bytes {
            return Err("the event is too large".into());
        }
        if let Some((name, _)) = parameters.iter().find(|(name, _)| !is_name(name)) {
            return Err(format!("not a name: {name}"));
        }
        let own = parameters.iter().filter(|(field, _)| field != "p_id").cloned();
        let event = data(subject, name, time, own);
        let known = |to| self.names.get(to).cloned().ok_or("nobody of this name");
        let to = find("p_to").map(known).transpose()?;
        if self.config.moderated {
            self.publication = Some(Publication { session: id.clone(), to, event });
        } else {
            self.deliver(event, to.as_ref());
        }
        Ok(())
    }

    /// To the one, or to all who have subscribed.
    fn deliver(&mut self, event: Event, to: Option<&Arc<str>>) {
        let subject = event.get("p_subject").unwrap_or_default().to_string();
        let event = Arc::new(event);
        let is_in = |list: &str| {
            let mut subjects = list.split(',').map(str::trim);
            subjects.any(|prefix| !prefix.is_empty() && subject.starts_with(prefix))
        };
        for (id, session) in &mut self.sessions {
            let is_meant = match to {
                Some(to) => to == id,
                None => session.subscriptions.iter().any(|one| is_in(&one.subject)),
            };
            if !is_meant || !session.listening || session.aborted {
                continue;
            }
            if session.queue.len() >= self.config.max_events {
                session.aborted = true;
                session.queue = VecDeque::new();
            } else {
                session.queue.push_back(event.clone());
            }
            self.ready.extend(session.ticket(id));
        }
    }

    fn listen<'p>(
        &mut self,
        ack: &'static str,
        id: Arc<str>,
        find: &dyn Fn(&str) -> Option<&'p str>,
        now: I,
    ) -> PushletReply {
        let mode = match find("p_mode").unwrap_or("stream") {
            "stream" => Mode::Stream,
            "pull" => Mode::Pull,
            "poll" => Mode::Poll,
            _ => return refuse(400, "p_mode is stream, pull or poll.\n"),
        };
        let subscription = find("p_subject").map(|_| self.subscribe(&id, find)).transpose();
        let Some(session) = self.sessions.get_mut(&id) else { return refuse(400, "No such session.\n") };
        let format = session.format;
        let subscription = match subscription {
            Ok(subscription) => subscription,
            Err(reason) => {
                let nack = Event::new("nack").with("p_id", id.to_string());
                return answer(format, &nack.with("p_reason", reason));
            }
        };
        session.listening = true;
        session.mode = mode;
        let ack = Event::new(ack)
            .with("p_id", id.to_string())
            .with("p_mode", mode.name())
            .with("p_format", format.name());
        let ack = subscription.iter().fold(ack, subscribed);
        self.open(&id, &ack, mode != Mode::Stream, now)
    }

    /// Begins a response that events are written to; or, if the client is to come back for them, ends it.
    fn open(&mut self, id: &Arc<str>, ack: &Event, ends: bool, now: I) -> PushletReply {
        let Some(session) = self.sessions.get_mut(id) else { return refuse(400, "No such session.\n") };
        let mut head = head(session.format);
        session.format.start(&mut head.body);
        session.format.event(ack, 0, true, &mut head.body);
        if ends {
            self.refresh(id, &mut head.body);
            return PushletReply::Response(head);
        }
        self.tickets += 1;
        // A stream says at once that it is there; a poll has nothing to wait for.
        let hold = if session.mode == Mode::Pull { self.config.hold } else { Duration::ZERO };
        let receiver = Receiver { number: self.tickets, sequence: 1, hold: Deadline::new(now, hold) };
        self.ready.extend(session.ticket(id));
        session.receiver = Some(receiver);
        let ticket = PushletTicket { session: id.clone(), number: self.tickets, format: session.format };
        PushletReply::Listen { ticket, head }
    }

    /// Tells the client to come back, and ends the response.
    fn refresh(&mut self, id: &Arc<str>, out: &mut Vec<u8>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.receiver = None;
        let wait = if session.mode == Mode::Poll { self.config.poll_wait } else { Duration::ZERO };
        let event = Event::new("refresh")
            .with("p_wait", wait.as_millis().to_string())
            .with("p_url", format!("{}?p_id={id}&p_event=refresh", self.config.url));
        session.format.event(&event, 0, false, out);
        session.format.end(out);
    }

    fn remove(&mut self, id: &Arc<str>) {
        if let Some(session) = self.sessions.remove(id) {
            self.names.remove(&session.name);
            self.ready.extend(session.ticket(id));
        }
    }
}

impl<I> CometSession<I> {
    /// The response that waits.
    fn number(&self) -> Option<u64> {
        self.receiver.as_ref().map(|receiver| receiver.number)
    }

    fn ticket(&self, id: &Arc<str>) -> Option<PushletTicket> {
        self.number().map(|number| PushletTicket { session: id.clone(), number, format: self.format })
    }
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Pull => "pull",
            Self::Poll => "poll",
        }
    }
}

fn subscribed(ack: Event, subscription: &Subscription) -> Event {
    ack.with("p_sid", subscription.sid.clone()).with_some("p_label", subscription.label.as_ref())
}

/// The first of a name counts: what the server says of an event stands before what its publisher says.
fn data<'p>(
    subject: &str,
    from: &str,
    time: u64,
    fields: impl Iterator<Item = (Cow<'p, str>, Cow<'p, str>)>,
) -> Event {
    let event = Event::new("data").with("p_subject", subject.to_string());
    let event = event.with("p_from", from.to_string()).with("p_time", time.to_string());
    let fields = fields.filter(|(name, _)| is_name(name) && name != "p_seq");
    fields.fold(event, |event, (name, value)| event.with(name.into_owned(), value.into_owned()))
}

fn head(format: Format) -> HttpResponse {
    let head = HttpResponse::new(200).with("Content-Type", format.content_type());
    head.with(NO_STORE.0, NO_STORE.1).with(NOSNIFF.0, NOSNIFF.1)
}

fn answer(format: Format, event: &Event) -> PushletReply {
    let mut response = head(format);
    format.start(&mut response.body);
    format.event(event, 0, true, &mut response.body);
    format.end(&mut response.body);
    PushletReply::Response(response)
}

fn refuse(status: u16, reason: &str) -> PushletReply {
    PushletReply::Response(HttpResponse::text(status, reason).with(NO_STORE.0, NO_STORE.1))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
