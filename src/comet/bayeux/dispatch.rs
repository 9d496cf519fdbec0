//! What each message does, and its reply (Bayeux 1.0, 4 Meta message definitions, 5 Event message definitions).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]

use super::broker::{Broker, Link};
use super::channel::{Channel, Pattern};
use super::host::{ClientId, Denied, Host};
use super::message::BayeuxMessage;
use super::reply::{Advice, Reply, TimeSync};
use super::session::{CometSession, Held};
use crate::heartbeat::Instant;
use crate::json::Value;
use core::time::Duration;
use std::borrow::Cow;
use std::format;
use std::vec::Vec;

/// The transports that there are (4.1.1 supportedConnectionTypes).
const TRANSPORTS: [&str; 3] = ["websocket", "long-polling", "callback-polling"];

/// An error reply: code, argument, text, and what the client is to do.
type Failure = (u16, &'static str, &'static str, Option<Advice>);

const fn failure(code: u16, args: &'static str, text: &'static str) -> Failure {
    (code, args, text, None)
}

/// A message is done, and its reply written; or failed, and this is to be its reply.
type Done = Result<(), Failure>;

/// The program has refused.
fn denied(text: &'static str) -> impl FnOnce(Denied) -> Failure {
    move |Denied(reason)| failure(403, reason, text)
}

impl<I: Instant, H: Host> Broker<I, H> {
    pub(super) fn dispatch(
        &mut self,
        link: Link,
        messages: &[BayeuxMessage<'_>],
        browser: Option<u128>,
        now: I,
    ) {
        self.advance(now);
        // 4.1: who shakes hands sends nothing else, and if so it is ignored.
        let is_handshake = |message: &&BayeuxMessage<'_>| {
            message.channel.is_some_and(|channel| channel.is("/meta/handshake"))
        };
        if let Some(handshake) = messages.iter().find(is_handshake) {
            return self.message(link, handshake, browser, now);
        }
        for message in messages {
            self.message(link, message, browser, now);
        }
    }

    fn message(&mut self, link: Link, message: &BayeuxMessage<'_>, browser: Option<u128>, now: I) {
        if let Err((code, args, text, advice)) = self.perform(link, message, browser, now) {
            self.reply(link, message, |reply| {
                let reply = match message.subscription {
                    Some(subscription) => reply.field("subscription", subscription.as_str()),
                    None => reply,
                };
                let reply = reply.error(code, args, text);
                match advice {
                    Some(advice) => reply.advice(advice),
                    None => reply,
                }
                .end();
            });
        }
    }

    fn perform(&mut self, link: Link, message: &BayeuxMessage<'_>, browser: Option<u128>, now: I) -> Done {
        // 3.5: an id is a string; Faye and others send numbers as well.
        if message.id.is_some_and(|id| id.string().is_none() && !id.is_number()) {
            return Err(failure(405, "", "message_id_invalid"));
        }
        let name = message.channel.ok_or(failure(400, "", "channel_missing"))?.to_cow();
        let channel = Channel::parse(&name)
            .filter(|_| name.len() <= self.config.max_channel_length)
            .ok_or(failure(405, "", "channel_invalid"))?;
        if channel.as_str() == "/meta/handshake" {
            return self.handshake(link, message, now);
        }
        let unknown = (402, "", "session_unknown", Some(Advice::Handshake(Duration::ZERO)));
        let client = message.client_id().filter(|client| self.is_open(*client)).ok_or(unknown)?;
        match channel.as_str() {
            "/meta/connect" => self.connect(link, client, message, browser, now),
            "/meta/subscribe" => self.subscribe(link, client, message),
            "/meta/unsubscribe" => self.unsubscribe(link, client, message),
            "/meta/disconnect" => {
                // The connect that is held is answered first: a client closes its WebSocket at the other reply.
                self.end(client, Advice::None, now);
                self.ok(link, message, |reply| reply.ok());
                Ok(())
            }
            _ if channel.is_meta() => Err(failure(405, "", "channel_invalid")),
            _ => self.publication(link, client, channel, message),
        }
    }

    /// A reply to a meta message, with what its extensions ask for.
    fn ok(&mut self, link: Link, message: &BayeuxMessage<'_>, write: impl FnOnce(Reply<'_>) -> Reply<'_>) {
        let timesync = TimeSync::new(message, self.host.unix_millis());
        self.reply(link, message, |reply| write(reply).ext(None, timesync).end());
    }

    /// 4.1.
    fn handshake(&mut self, link: Link, message: &BayeuxMessage<'_>, now: I) -> Done {
        let none = Some(Advice::None);
        let version = message.get("version").and_then(|version| version.string()).map(|text| text.to_cow());
        if !version.is_none_or(|version| version == "1" || version.starts_with("1.")) {
            return Err((400, "", "version_unsupported", none));
        }
        let offered: Vec<_> = message
            .get("supportedConnectionTypes")
            .and_then(|types| types.array())
            .into_iter()
            .flatten()
            .filter_map(|name| name.string())
            .collect();
        if !TRANSPORTS.iter().any(|name| offered.iter().any(|offered| offered.is(name))) {
            return Err((400, "", "connection_type_unsupported", none));
        }
        self.host.may_handshake(message).map_err(|denied| (403, denied.0, "handshake_denied", none))?;
        if self.sessions.len() >= self.config.max_sessions {
            let later = Advice::Handshake(self.config.max_interval);
            return Err((403, "max_sessions", "handshake_denied", Some(later)));
        }
        // An id that is there already is not random: another's session is not given away.
        let fresh = self.host.client_id().filter(|client| !self.is_open(*client));
        let client = fresh.ok_or((403, "", "handshake_denied", none))?;
        // The extension ack is asked for by `true`, or by an object that says so.
        let wants_ack = message.ext("ack").is_some_and(|ack| {
            let enabled = ack.object().and_then(|ack| ack.get("enabled"));
            ack.as_bool().or(enabled.and_then(|enabled| enabled.as_bool())) == Some(true)
        });
        let ack = wants_ack && self.config.ack;
        let patience = now.saturating_add(CometSession::<I>::patience(&self.config));
        self.sessions.insert(client, CometSession::new(ack, patience));
        self.deadlines.insert((patience, client));
        let timesync = TimeSync::new(message, self.host.unix_millis());
        self.reply(link, message, |reply| {
            reply
                .ok()
                .field("clientId", &format!("\"{client}\""))
                .field("version", "\"1.0\"")
                .field("minimumVersion", "\"1.0\"")
                .field("supportedConnectionTypes", &format!("{TRANSPORTS:?}"))
                .ext(ack.then_some("true"), timesync)
                .advice(Advice::Retry)
                .end();
        });
        self.host.opened(client);
        Ok(())
    }

    /// 4.2.
    fn connect(
        &mut self,
        link: Link,
        client: ClientId,
        message: &BayeuxMessage<'_>,
        browser: Option<u128>,
        now: I,
    ) -> Done {
        if message.connection_type.is_some_and(|transport| !TRANSPORTS.iter().any(|name| transport.is(name)))
        {
            return Err((400, "", "connection_type_unsupported", Some(Advice::Retry)));
        }
        self.supersede(client, link, now);
        let Some(state) = self.links.get(link) else { return Ok(()) };
        let is_socket = state.is_socket;
        if let Some(other) = state.client.replace(client)
            && other != client
        {
            self.supersede(other, link, now);
            if let Some(session) = self.sessions.get_mut(&other) {
                session.socket = None;
            }
            if let Some(state) = self.links.get(link) {
                state.client = Some(client);
            }
        }
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        let old = session.socket;
        session.socket = is_socket.then_some(link);
        if session.ack {
            session.acknowledge(message.ext("ack").and_then(|ack| ack.as_u64()).unwrap_or(0));
        }
        if let Some(state) = old.filter(|old| *old != link).and_then(|old| self.links.get(old)) {
            state.client = None;
        }
        let asked = message.advice.as_ref().and_then(|advice| advice.get("timeout")?.as_u64());
        let timeout = asked.map_or(self.config.timeout, Duration::from_millis).min(self.config.timeout);
        let held = Held {
            link,
            id: message.id.map(|id| id.as_str().into()),
            timesync: TimeSync::new(message, self.host.unix_millis()),
            due: timeout.is_zero(),
            browser: browser.filter(|_| !timeout.is_zero()),
            multiple: false,
        };
        self.hold(client, held, now.saturating_add(timeout));
        Ok(())
    }

    /// 4.4: one subscription or several, all of them or none.
    fn subscribe(&mut self, link: Link, client: ClientId, message: &BayeuxMessage<'_>) -> Done {
        let asked = subscriptions(message.subscription)?;
        let mut patterns = Vec::new();
        for text in &asked {
            let pattern = Pattern::parse(text)
                .filter(|pattern| !pattern.is_meta() && text.len() <= self.config.max_channel_length)
                .ok_or(failure(403, "", "subscription_invalid"))?;
            self.host.may_subscribe(client, pattern).map_err(denied("subscribe_denied"))?;
            if !pattern.is_service() {
                patterns.push(pattern);
            }
        }
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        patterns.retain(|pattern| find(&session.subscriptions, *pattern).is_err());
        patterns.sort_unstable_by_key(|pattern| pattern.as_str());
        patterns.dedup();
        if session.subscriptions.len() + patterns.len() > self.config.max_subscriptions {
            return Err(failure(403, "max_subscriptions", "subscribe_denied"));
        }
        let mut prefixes: Vec<_> =
            patterns.iter().filter(|pattern| !self.routes.knows(**pattern)).map(|p| p.prefix()).collect();
        prefixes.dedup();
        if self.routes.len() + prefixes.len() > self.config.max_channels {
            return Err(failure(403, "max_channels", "create_denied"));
        }
        for pattern in &patterns {
            if !self.routes.contains(*pattern) {
                self.host.may_create(client, *pattern).map_err(denied("create_denied"))?;
            }
        }
        for pattern in patterns {
            if let Err(at) = find(&session.subscriptions, pattern) {
                session.subscriptions.insert(at, pattern.as_str().into());
                self.routes.insert(pattern, client);
            }
        }
        self.acknowledge_subscription(link, message);
        Ok(())
    }

    /// 4.5. What the client is not subscribed to is no error.
    fn unsubscribe(&mut self, link: Link, client: ClientId, message: &BayeuxMessage<'_>) -> Done {
        let asked = subscriptions(message.subscription)?;
        let patterns: Option<Vec<_>> = asked.iter().map(|text| Pattern::parse(text)).collect();
        let patterns = patterns.ok_or(failure(403, "", "subscription_invalid"))?;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        for pattern in patterns {
            if let Ok(at) = find(&session.subscriptions, pattern) {
                session.subscriptions.remove(at);
                self.routes.remove(pattern, client);
            }
        }
        self.acknowledge_subscription(link, message);
        Ok(())
    }

    fn acknowledge_subscription(&mut self, link: Link, message: &BayeuxMessage<'_>) {
        self.ok(link, message, |reply| match message.subscription {
            Some(subscription) => reply.ok().field("subscription", subscription.as_str()),
            None => reply.ok(),
        });
    }

    /// 5.1.
    fn publication(
        &mut self,
        link: Link,
        client: ClientId,
        channel: Channel<'_>,
        message: &BayeuxMessage<'_>,
    ) -> Done {
        let data = message.data().ok_or(failure(400, "", "data_missing"))?;
        let binary = message.ext("binary");
        if binary.is_some() && !message.is_binary() {
            return Err(failure(400, "binary", "data_invalid"));
        }
        self.host.may_publish(client, channel, message).map_err(denied("publish_denied"))?;
        if channel.is_broadcast()
            && let Some(pattern) = Pattern::parse(channel.as_str())
            && !self.routes.contains(pattern)
        {
            self.host.may_create(client, pattern).map_err(denied("create_denied"))?;
        }
        self.host.published(client, channel, data);
        if channel.is_broadcast() {
            let event = self.event(channel, data, binary.as_ref().map(Value::as_str));
            self.route(channel, &event);
        }
        // 5.2: without `data`, by which clients tell messages from replies.
        self.reply(link, message, |reply| reply.ok().end());
        Ok(())
    }
}

/// A channel or an array of them (4.4.1).
fn subscriptions(value: Option<Value<'_>>) -> Result<Vec<Cow<'_, str>>, Failure> {
    let value = value.ok_or(failure(403, "", "subscription_missing"))?;
    let all: Option<Vec<_>> = match value.array() {
        Some(values) => values.map(|value| Some(value.string()?.to_cow())).collect(),
        None => value.string().map(|text| Vec::from([text.to_cow()])),
    };
    all.filter(|all| !all.is_empty()).ok_or(failure(403, "", "subscription_invalid"))
}

fn find(sorted: &[std::boxed::Box<str>], pattern: Pattern<'_>) -> Result<usize, usize> {
    sorted.binary_search_by(|held| (**held).cmp(pattern.as_str()))
}
