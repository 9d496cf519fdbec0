//! The life of a `/meta/connect`: held, answered, superseded; and the end of a session (Bayeux 1.0, 4.2).
#![allow(clippy::arithmetic_side_effects, reason = "as many up as down: one for each request that is held")]

use super::broker::{Broker, Link};
use super::channel::Pattern;
use super::config::BrokerOptions;
use super::host::{ClientId, Host};
use super::reply::{Advice, Reply};
use super::session::{CometSession, Held};
use crate::heartbeat::Instant;
use std::string::ToString;
use std::vec::Vec;

impl<I: Instant, H: Host> Broker<I, H> {
    /// Sets when the session is looked at next. What becomes later is seen to when the earlier time has come, so that a
    /// connect moves no entry.
    pub(super) fn schedule(&mut self, client: ClientId, deadline: I) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.deadline = deadline;
        if session.scheduled.is_none_or(|scheduled| deadline < scheduled) {
            if let Some(scheduled) = session.scheduled.replace(deadline) {
                self.deadlines.remove(&(scheduled, client));
            }
            self.deadlines.insert((deadline, client));
        }
    }

    /// Holds a connect; a browser's is counted.
    pub(super) fn hold(&mut self, client: ClientId, mut held: Held, deadline: I) {
        if let Some(browser) = held.browser {
            let count = self.browsers.entry(browser).or_default();
            *count += 1;
            // 3.4 and 8: answered at once, with the advice to come at intervals.
            held.multiple = *count > self.config.max_held_per_browser;
            held.due |= held.multiple;
        }
        if let Some(session) = self.sessions.get_mut(&client) {
            session.held = Some(held);
        }
        self.schedule(client, deadline);
    }

    /// The connect is held no more; from now on the session waits for another.
    pub(super) fn unhold(&mut self, client: ClientId, now: I) -> Option<Held> {
        let held = self.sessions.get_mut(&client)?.held.take()?;
        if let Some(browser) = held.browser
            && let Some(count) = self.browsers.get_mut(&browser)
        {
            *count -= 1;
            if *count == 0 {
                self.browsers.remove(&browser);
            }
        }
        self.schedule(client, now.saturating_add(CometSession::<I>::patience(&self.config)));
        Some(held)
    }

    /// Answers the held connect, with what waits for the client unless that needs none.
    pub(super) fn answer_connect(&mut self, client: ClientId, now: I) {
        let Some(held) = self.unhold(client, now) else { return };
        let advice = if held.multiple { Advice::MultipleClients } else { Advice::Retry };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let Some(state) = self.links.get(held.link) else { return };
        let mut batch = None;
        if !session.is_direct() {
            session.write_batch(&self.config, &mut state.replies);
            batch = session.ack.then(|| session.batch.to_string());
        }
        if !state.is_socket {
            state.client = None;
        }
        let time = self.host.unix_millis();
        connect_reply(&mut state.replies, &self.config, time, &held)
            .ok()
            .ext(batch.as_deref(), held.timesync)
            .advice(advice)
            .end();
    }

    /// A newer connect, or another client on the same link, takes the place of the one that is held.
    pub(super) fn supersede(&mut self, client: ClientId, by: Link, now: I) {
        let Some(held) = self.unhold(client, now) else { return };
        let (config, time) = (&self.config, self.host.unix_millis());
        let Some(state) = self.links.get(held.link) else { return };
        state.client = None;
        if held.link != by && !state.is_socket {
            // Most likely nobody waits there any more; who does tries again.
            state.status = Some(500);
        } else {
            let reply = connect_reply(&mut state.replies, config, time, &held);
            reply.error(409, "", "connect_superseded").advice(Advice::Retry).end();
        }
        self.links.wake(held.link);
    }

    /// Ends a session, and tells a connect that is held.
    pub(super) fn end(&mut self, client: ClientId, advice: Advice, now: I) {
        if let Some(held) = self.unhold(client, now)
            && let Some(state) = self.links.get(held.link)
        {
            let reply = connect_reply(&mut state.replies, &self.config, self.host.unix_millis(), &held);
            match advice {
                Advice::None => reply.ok(),
                _ => reply.error(402, "", "session_unknown"),
            }
            .advice(advice)
            .end();
            state.client = None;
            self.links.wake(held.link);
        }
        let Some(session) = self.sessions.remove(&client) else { return };
        if let Some(scheduled) = session.scheduled {
            self.deadlines.remove(&(scheduled, client));
        }
        if let Some(state) = session.socket.and_then(|socket| self.links.get(socket)) {
            state.client = None;
        }
        for pattern in session.subscriptions.iter().filter_map(|pattern| Pattern::parse(pattern)) {
            self.routes.remove(pattern, client);
        }
        self.host.closed(client);
    }
}

fn connect_reply<'o>(out: &'o mut Vec<u8>, config: &'o BrokerOptions, time: u64, held: &Held) -> Reply<'o> {
    Reply::new(out, config, time, Some("/meta/connect"), held.id.as_deref())
}
