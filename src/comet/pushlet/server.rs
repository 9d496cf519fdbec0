//! The server: requests, and what becomes of them.
#![allow(clippy::arithmetic_side_effects, reason = "numbers of 64 bits are not used up")]

use super::super::NO_STORE;
use super::super::exchange::{HttpRequest, HttpResponse, hex, may};
use super::super::form::Fields;
use super::super::xml::is_name;
use super::PushletOptions;
use super::format::{Format, event_of};
use super::session::{Mode, PushletTicket, Result, Session, subject_of};
use crate::heartbeat::{Deadline, Instant};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Random bits and the time of day, which the caller provides for each request.
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

/// The reply to a request: a response, or a stream of events.
///
/// ```
/// use pushline::comet::HttpRequest;
/// use pushline::comet::pushlet::{Fresh, PushletOptions, PushletReply, PushletServer};
/// use std::time::Duration;
///
/// let mut server = PushletServer::<Duration>::new(PushletOptions::new());
/// let request = HttpRequest::new("GET", "/?p_event=join&p_format=xml", &[], b"");
/// let reply = server.request(&request, Fresh { id: [1; 16], time: 0 }, Duration::ZERO);
/// let PushletReply::Response(response) = reply else { panic!("it asks for no events") };
/// assert_eq!(response.status, 200);
/// ```
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
    sessions: BTreeMap<Arc<str>, Session<I>>,
    /// Responses that something may have to be written to.
    ready: Vec<PushletTicket>,
    tickets: u64,
    /// What the last request has published, if the program is to see it first.
    publication: Option<Publication>,
}

/// An event that a client has published, to be looked at by the program ([`PushletOptions::moderated`]).
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
    session: String,
    /// The name of the one that it is for.
    to: Option<String>,
    event: Fields<'static>,
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

impl<I: Instant> PushletServer<I> {
    /// A server without sessions.
    #[must_use]
    pub const fn new(config: PushletOptions) -> Self {
        Self { config, sessions: BTreeMap::new(), ready: Vec::new(), tickets: 0, publication: None }
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
        let form = Fields::parse(form, self.config.max_fields.saturating_add(1));
        let id = match form.get("p_event") {
            None => return refuse(400, "No p_event.\n"),
            Some("join" | "join-listen") => {
                let Some(format) = Format::parse(form.get("p_format").unwrap_or("js")) else {
                    return refuse(400, "p_format is js, xml, xml-strict or json.\n");
                };
                if self.sessions.len() >= self.config.max_sessions {
                    return refuse(503, "Too many sessions.\n");
                }
                let id = hex(&fresh.id);
                self.sessions.insert(id.as_str().into(), Session::new(&id, format));
                Cow::Owned(id)
            }
            Some(_) => Cow::Borrowed(form.get("p_id").unwrap_or_default()),
        };
        let Some(session) = self.sessions.get_mut(&*id) else {
            return refuse(400, "No such session: join first.\n");
        };
        session.lease = Deadline::new(now, self.config.lease);
        let format = session.format;
        self.command(&id, &form, fresh.time, now).unwrap_or_else(|reason| {
            answer(format, &event_of("nack").with("p_id", &*id).with("p_reason", reason))
        })
    }

    /// Publishes an event of the server's own. Names that are no XML names are left out.
    pub fn publish(&mut self, subject: &str, fields: &[(&str, &str)], time: u64) {
        self.deliver(data(subject, "", time, fields), None);
    }

    /// What the last request has published, with [`PushletOptions::moderated`]: to be asked for after each.
    pub fn take_publication(&mut self) -> Option<Publication> {
        self.publication.take()
    }

    /// Delivers what a client has published as if it had not been looked at.
    pub fn forward(&mut self, publication: Publication) {
        self.deliver(publication.event, publication.to.as_deref());
    }

    /// Sends an event of the server's own to one session, whatever it has subscribed to. `false` if there is no such
    /// session, or it does not listen. Names that are no XML names are left out.
    pub fn send(&mut self, session: &str, subject: &str, fields: &[(&str, &str)], time: u64) -> bool {
        let event = Arc::new(data(subject, "", time, fields));
        let session = self.sessions.get_mut(session).filter(|session| session.mode.is_some());
        session.map(|session| self.ready.extend(session.push(&event, self.config.max_events))).is_some()
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn is_open(&self, session: &str) -> bool {
        self.sessions.contains_key(session)
    }

    /// Appends what is to be written to this response now, if anything, and answers whether the response ends there.
    pub fn next_piece(&mut self, ticket: &PushletTicket, now: I, out: &mut Vec<u8>) -> Option<bool> {
        let session = self.sessions.get_mut(&ticket.session);
        let Some(session) = session.filter(|session| session.ticket() == Some(ticket)) else {
            // The client has left, or a newer response has taken the place of this one.
            ticket.format.end(out);
            return Some(true);
        };
        let last = session.write(now, &self.config, out);
        if session.queue.is_none() {
            self.remove(&ticket.session);
        }
        last
    }

    /// A response's client has left.
    pub fn close(&mut self, ticket: &PushletTicket) {
        let session = self.sessions.get_mut(&ticket.session);
        session.and_then(|session| session.receiver.take_if(|receiver| receiver.ticket == *ticket));
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

    /// Ends sessions whose lease is out: call it now and then. One that listens is there, unless it does not take what waits for it.
    pub fn sweep(&mut self, now: I) {
        self.sessions.retain(|_, session| {
            let waits = session.waits(now);
            session.lease = if waits { Deadline::new(now, self.config.lease) } else { session.lease };
            let stays = waits || !session.lease.is_over(now);
            self.ready.extend(session.ticket().filter(|_| !stays).cloned());
            stays
        });
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What a session asks for; or why it does not get it.
    fn command(&mut self, id: &str, form: &Fields<'_>, time: u64, now: I) -> Result<PushletReply> {
        let session = self.sessions.get_mut(id).ok_or("no such session")?;
        let (format, event) = (session.format, form.get("p_event").unwrap_or_default());
        let mut ack = event_of(format!("{event}-ack"));
        if !matches!(event, "refresh" | "hb" | "publish") {
            ack = ack.with("p_id", id);
        }
        match event {
            "join" => ack = ack.with("p_format", format.name()),
            "listen" | "join-listen" => {
                let name = form.get("p_mode").unwrap_or("stream");
                let mode = match name {
                    "stream" => Mode::Stream,
                    "pull" => Mode::Pull,
                    "poll" => Mode::Poll,
                    _ => return Ok(refuse(400, "p_mode is stream, pull or poll.\n")),
                };
                ack = ack.with("p_mode", name).with("p_format", format.name());
                if form.get("p_subject").is_some() {
                    // But not the subject.
                    ack.0.extend(session.subscribe(form, &self.config)?.0.into_iter().skip(1));
                }
                session.mode = Some(mode);
            }
            "refresh" if session.mode.is_none() => return Err("listen first".into()),
            "refresh" | "hb" => {}
            "subscribe" => ack.0.extend(session.subscribe(form, &self.config)?.0),
            "unsubscribe" => match form.get("p_sid") {
                None => session.subscriptions.clear(),
                Some(sid) => ack.0.extend(session.unsubscribe(sid)?.0),
            },
            "publish" => self.published(id, form, time)?,
            "leave" => self.remove(id),
            _ => return Err("unknown p_event".into()),
        }
        let listens = matches!(event, "listen" | "join-listen" | "refresh");
        let Some(session) = self.sessions.get_mut(id).filter(|_| listens) else {
            return Ok(answer(format, &ack));
        };
        // An older response ends.
        self.ready.extend(session.ticket().cloned());
        let mut head = format.begin(&ack);
        if event == "refresh" || session.mode == Some(Mode::Stream) {
            self.tickets += 1;
            return Ok(PushletReply::Listen { ticket: session.open(self.tickets, now, &self.config), head });
        }
        session.end_and_refresh(&self.config, &mut head.body);
        Ok(PushletReply::Response(head))
    }

    fn published(&mut self, id: &str, form: &Fields<'_>, time: u64) -> Result<()> {
        let subject = subject_of(form)?;
        let bytes: usize = form.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        if form.0.len() > self.config.max_fields || bytes > self.config.max_bytes {
            return Err("the event is too large".into());
        }
        if let Some((name, _)) = form.0.iter().find(|(name, _)| !is_name(name)) {
            return Err(format!("not a name: {name}").into());
        }
        let to = form.get("p_to").map(String::from);
        if to.as_ref().is_some_and(|to| !self.sessions.values().any(|session| session.name == *to)) {
            return Err("nobody of this name".into());
        }
        let from = self.sessions.get(id).map_or("", |session| &session.name);
        let own = form.0.iter().filter(|(name, _)| name != "p_id");
        let own: Vec<_> = own.map(|(name, value)| (&**name, &**value)).collect();
        let publication = Publication { session: id.into(), to, event: data(subject, from, time, &own) };
        match self.config.moderated {
            true => self.publication = Some(publication),
            false => self.forward(publication),
        }
        Ok(())
    }

    /// To the one of this name, or to all who have subscribed.
    fn deliver(&mut self, event: Fields<'static>, to: Option<&str>) {
        let event = Arc::new(event);
        let subject = event.get("p_subject").unwrap_or_default();
        for session in self.sessions.values_mut() {
            if to.map_or_else(|| session.hears(subject), |name| session.name == name) {
                self.ready.extend(session.push(&event, self.config.max_events));
            }
        }
    }

    fn remove(&mut self, id: &str) {
        self.ready.extend(self.sessions.remove(id).and_then(|session| session.ticket().cloned()));
    }
}

/// The first of a name counts: what the server says of an event stands before what its publisher says.
fn data(subject: &str, from: &str, time: u64, fields: &[(&str, &str)]) -> Fields<'static> {
    let event = event_of("data").with("p_subject", subject.to_string());
    let event = event.with("p_from", from.to_string()).with("p_time", time.to_string());
    let fields = fields.iter().filter(|(name, _)| is_name(name) && *name != "p_seq");
    fields.fold(event, |event, (name, value)| event.with(name.to_string(), value.to_string()))
}

fn answer(format: Format, event: &Fields<'_>) -> PushletReply {
    let mut response = format.begin(event);
    format.end(&mut response.body);
    PushletReply::Response(response)
}

fn refuse(status: u16, reason: &str) -> PushletReply {
    PushletReply::Response(HttpResponse::text(status, reason).with(NO_STORE.0, NO_STORE.1))
}
