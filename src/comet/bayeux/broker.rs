//! All sessions of a server: requests, frames and time in; answers by link out.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::channel::Channel;
use super::config::BrokerOptions;
use super::host::{ClientId, Host};
pub use super::link::{BayeuxRequest, Link, Output};
use super::link::{ById, Links};
use super::message::{self, BayeuxMessage, BayeuxRefusal};
use super::reply::{self, Advice, Reply};
use super::routes::Routes;
use super::session::CometSession;
use crate::heartbeat::Instant;
use crate::json::Value;
use crate::ws::Prepared;
use std::collections::{BTreeSet, HashMap};
use std::string::String;
use std::vec::Vec;

/// A Bayeux server without its sockets.
///
/// [`request`](Self::request), [`socket`](Self::socket), [`frame`](Self::frame), [`closed`](Self::closed),
/// [`advance`](Self::advance) and [`publish`](Self::publish) tell it what happens. After each of them
/// [`next_ready`](Self::next_ready) names the links that have something to send, and [`take`](Self::take) gives it: a
/// request's answer, or a WebSocket's messages until there are none, when it can take more.
///
/// ```
/// use core::time::Duration;
/// use pushline::comet::bayeux::{Broker, Channel, ClientId, BrokerOptions, Host, Output, BayeuxRequest};
/// use pushline::json;
///
/// struct Program;
/// impl Host for Program {
///     fn client_id(&mut self) -> Option<ClientId> {
///         Some(ClientId::new([7; 16])) // random bytes of the operating system
///     }
///     fn unix_millis(&mut self) -> u64 {
///         0
///     }
/// }
///
/// let now = Duration::ZERO;
/// let mut broker = Broker::new(BrokerOptions::new(), Program);
/// let mut ask = |broker: &mut Broker<_, _>, text: String| {
///     let link = broker.request(BayeuxRequest::new(&[&text]), now)?;
///     Ok::<_, Box<dyn std::error::Error>>(broker.take(link, now))
/// };
/// let answer = ask(&mut broker, r#"{"channel":"/meta/handshake","version":"1.0",
///     "supportedConnectionTypes":["long-polling"]}"#.into())?;
/// assert!(matches!(answer, Some(Output::Answer(200, text)) if text.contains("\"successful\":true")));
///
/// let id = "07".repeat(16);
/// ask(&mut broker, format!(r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"/chat"}}"#))?;
/// // The connect is held until there is news.
/// let connect = format!(r#"{{"channel":"/meta/connect","clientId":"{id}","connectionType":"long-polling"}}"#);
/// let link = broker.request(BayeuxRequest::new(&[&connect]), now)?;
/// assert!(broker.take(link, now).is_none());
/// broker.publish(Channel::parse("/chat").unwrap(), json::check("\"hi\"")?);
/// while broker.next_ready() != Some(link) {}
/// let Some(Output::Answer(200, text)) = broker.take(link, now) else { panic!("there is news") };
/// assert!(text.starts_with(r#"[{"channel":"/chat","data":"hi"},{"channel":"/meta/connect","#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Broker<I, H> {
    pub(super) config: BrokerOptions,
    pub(super) host: H,
    pub(super) sessions: ById<ClientId, CometSession<I>>,
    pub(super) routes: Routes,
    pub(super) links: Links,
    pub(super) deadlines: BTreeSet<(I, ClientId)>,
    /// Connects held for each browser that counts.
    pub(super) browsers: HashMap<u128, usize>,
    published: u64,
}

impl<I: Instant, H: Host> Broker<I, H> {
    /// A broker with no sessions.
    #[must_use]
    pub fn new(config: BrokerOptions, host: H) -> Self {
        Self {
            config,
            host,
            sessions: ById::default(),
            routes: Routes::default(),
            links: Links::default(),
            deadlines: BTreeSet::new(),
            browsers: HashMap::new(),
            published: 0,
        }
    }

    /// A request came. Its answer is there at once, or after [`next_ready`](Self::next_ready) has named it.
    ///
    /// # Errors
    ///
    /// [`BayeuxRefusal`]: answer with its status. Nothing of the request was done.
    pub fn request(&mut self, request: BayeuxRequest<'_>, now: I) -> Result<Link, BayeuxRefusal> {
        let messages = self.read(request.envelopes)?;
        if messages.is_empty() {
            return Err(BayeuxRefusal::NotMessages);
        }
        let link = self.links.open(false);
        self.dispatch(link, &messages, request.browser, now);
        let client = self.links.get(link).and_then(|state| state.client);
        if client.and_then(|client| self.sessions.get(&client)).is_none_or(|session| session.is_due(link)) {
            self.links.wake(link);
        }
        Ok(link)
    }

    /// A WebSocket was opened.
    pub fn socket(&mut self) -> Link {
        self.links.open(true)
    }

    /// A text message came over a WebSocket. An empty array is a sign of life, as Faye's client sends it.
    ///
    /// # Errors
    ///
    /// [`BayeuxRefusal`]: nothing of it was done; the WebSocket is to be closed with its code, as
    /// [`take`](Self::take) says, too.
    pub fn frame(&mut self, link: Link, text: &str, now: I) -> Result<(), BayeuxRefusal> {
        let messages = match self.read(&[text]) {
            Ok(messages) => messages,
            Err(refusal) => {
                self.refuse(link, refusal);
                return Err(refusal);
            }
        };
        self.dispatch(link, &messages, None, now);
        // A client that asks and does not read. The bracket before the first reply is none of them.
        let limit = self.config.max_queue_bytes.saturating_add(1);
        if self.links.get(link).is_some_and(|state| state.replies.len() > limit) {
            self.refuse(link, BayeuxRefusal::TooLarge);
            return Err(BayeuxRefusal::TooLarge);
        }
        self.links.wake(link);
        Ok(())
    }

    /// A request's connection, or a WebSocket, is gone. The session lives on for
    /// [`BrokerOptions::max_interval`], and what it has not been sent waits.
    pub fn closed(&mut self, link: Link, now: I) {
        let Some(client) = self.links.remove(link).and_then(|state| state.client) else { return };
        if let Some(session) = self.sessions.get_mut(&client) {
            if session.socket == Some(link) {
                session.socket = None;
            }
            if session.held.as_ref().is_some_and(|held| held.link == link) {
                self.unhold(client, now);
            }
        }
    }

    /// It is this time: what is due is answered, and who has stayed away for too long is forgotten.
    pub fn advance(&mut self, now: I) {
        while let Some(&(deadline, client)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            session.scheduled = None;
            match &mut session.held {
                _ if session.deadline > now => {
                    let deadline = session.deadline;
                    self.schedule(client, deadline);
                }
                Some(held) => {
                    held.due = true;
                    self.links.wake(held.link);
                }
                None => self.end(client, Advice::Handshake(self.config.interval), now),
            }
        }
    }

    /// When to call [`advance`](Self::advance) even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The program itself publishes: `data` goes to all who are subscribed. Nothing is ever broadcast on
    /// [service](Channel::is_service) and [meta](Channel::is_meta) channels.
    pub fn publish(&mut self, channel: Channel<'_>, data: Value<'_>) {
        let event = self.event(channel, data, None);
        self.route(channel, &event);
    }

    /// The program sends this to one client, subscribed or not, on any channel but those of the protocol. Answers
    /// whether the client has a session that could take it.
    pub fn deliver(&mut self, client: ClientId, channel: Channel<'_>, data: Value<'_>) -> bool {
        if channel.is_meta() {
            return false;
        }
        let event = self.event(channel, data, None);
        self.push(client, &event)
    }

    /// A link that has something to send: [`take`](Self::take) it.
    pub fn next_ready(&mut self) -> Option<Link> {
        self.links.next_ready()
    }

    /// What to send over the link now: for a request its answer, for a WebSocket one message a call.
    pub fn take(&mut self, link: Link, now: I) -> Option<Output> {
        let state = self.links.get(link)?;
        let (client, is_socket) = (state.client, state.is_socket);
        let session = client.and_then(|client| self.sessions.get_mut(&client));
        if is_socket {
            if state.replies.is_empty() {
                if let Some(refusal) = state.refused {
                    return Some(Output::Close(refusal.close_code()));
                }
                let session = session?;
                if session.is_direct() && session.waiting() > 1 {
                    // One frame, and one write, for all that came meanwhile.
                    let mut messages = Vec::new();
                    session.write_batch(&self.config, &mut messages);
                    return Some(Output::Text(array(messages)));
                }
                if session.is_direct()
                    && let Some(event) = session.pop()
                {
                    return Some(Output::Prepared(event));
                }
                if !session.is_due(link) {
                    return None;
                }
                self.answer_connect(client?, now);
            }
            let replies = core::mem::take(&mut self.links.get(link)?.replies);
            return Some(Output::Text(array(replies)));
        }
        if let Some(session) = session {
            if !session.is_due(link) {
                return None;
            }
            self.answer_connect(client?, now);
        }
        let state = self.links.remove(link)?;
        Some(match state.status {
            Some(status) => Output::Answer(status, String::new()),
            None => Output::Answer(200, array(state.replies)),
        })
    }

    /// Sessions at the moment.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Requests and WebSockets at the moment.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Whether this client has a session.
    #[must_use]
    pub fn is_open(&self, client: ClientId) -> bool {
        self.sessions.contains_key(&client)
    }

    /// Who is subscribed to what.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The program that it is in.
    pub fn host(&mut self) -> &mut H {
        &mut self.host
    }

    fn read<'m>(&self, envelopes: &[&'m str]) -> Result<Vec<BayeuxMessage<'m>>, BayeuxRefusal> {
        let mut messages = Vec::new();
        message::read(envelopes, &self.config, |message| messages.push(message))?;
        Ok(messages)
    }

    fn refuse(&mut self, link: Link, refusal: BayeuxRefusal) {
        if let Some(state) = self.links.get(link) {
            state.replies.clear();
            state.refused = Some(refusal);
            self.links.wake(link);
        }
    }

    /// A reply that is going into the link's next answer.
    pub(super) fn reply(&mut self, link: Link, message: &BayeuxMessage<'_>, write: impl FnOnce(Reply<'_>)) {
        let (config, now) = (&self.config, self.host.unix_millis());
        let Some(state) = self.links.get(link) else { return };
        let channel = message.channel.map(|channel| channel.escaped());
        let id = message.id.map(|id| id.as_str());
        write(Reply::new(&mut state.replies, config, now, channel, id));
    }

    pub(super) fn event(&mut self, channel: Channel<'_>, data: Value<'_>, binary: Option<&str>) -> Prepared {
        let time = self.config.timestamp.then(|| reply::timestamp(self.host.unix_millis()));
        Prepared::text(&reply::event(channel.as_str(), data.as_str(), binary, time.as_deref()))
    }

    /// Queues a message for all who are subscribed, once each.
    pub(super) fn route(&mut self, channel: Channel<'_>, event: &Prepared) {
        if !channel.is_broadcast() {
            return;
        }
        self.published += 1;
        let Self { config, sessions, routes, links, published, .. } = self;
        let mut full = Vec::new();
        for client in routes.matching(channel) {
            let Some(session) = sessions.get_mut(&client) else { continue };
            if core::mem::replace(&mut session.heard, *published) == *published {
                continue;
            }
            match session.push(event.clone(), config) {
                Ok(Some(link)) => links.wake(link),
                Ok(None) => {}
                Err(_) => full.push(client),
            }
        }
        full.into_iter().for_each(|client| self.overflow(client));
    }

    fn push(&mut self, client: ClientId, event: &Prepared) -> bool {
        let Some(session) = self.sessions.get_mut(&client) else { return false };
        match session.push(event.clone(), &self.config) {
            Ok(link) => {
                link.into_iter().for_each(|link| self.links.wake(link));
                true
            }
            Err(_) => {
                self.overflow(client);
                false
            }
        }
    }

    fn overflow(&mut self, client: ClientId) {
        if let Some(deadline) = self.sessions.get(&client).map(|session| session.deadline) {
            self.end(client, Advice::Handshake(self.config.interval), deadline);
        }
    }
}

/// The array that these messages begin.
fn array(mut messages: Vec<u8>) -> String {
    if messages.is_empty() {
        messages.push(b'[');
    }
    messages.push(b']');
    // All of it was text when it was written.
    String::from_utf8(messages).unwrap_or_default()
}
