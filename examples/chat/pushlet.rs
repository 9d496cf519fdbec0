//! Pushlet: `/pushlet.srv`. A client publishes on `/chat` what it says, as the field `text`, and hears there as well, in the
//! same field; both are the texts of `protocol.rs`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use pushline::adapter::frameworks::Pushlet;
use pushline::adapter::tokio::Mailboxes;
use pushline::comet::pushlet::{Publication, PushletOptions};
use pushline::ws::handshake::OriginPolicy;
use tokio::time::interval;

use crate::server::Server;
use crate::talk::{REQUESTS, talk};

const SUBJECT: &str = "/chat";

/// How often it is looked which sessions are still there.
const LOOK: Duration = Duration::from_secs(5);

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let (server, requests) = (Arc::clone(server), Mailboxes::new(REQUESTS));
    let (itself, known) = (Arc::new(OnceLock::<Pushlet>::new()), requests.clone());
    let there = Arc::clone(&itself);
    let decide = move |publication: &Publication| {
        if publication.subject() == SUBJECT
            && let (Some(text), Some(pushlet)) = (publication.get("text"), there.get())
        {
            said(&server, pushlet, &requests, publication.session(), text);
        }
        false // nothing goes from client to client but through the room
    };
    // A stream that a proxy cut is missed soon.
    let config = PushletOptions::new().origins(OriginPolicy::any()).lease(Duration::from_secs(60));
    let pushlet = itself.get_or_init(|| Pushlet::moderated("/pushlet.srv", config, decide)).clone();
    let there = pushlet.clone();
    tokio::spawn(async move {
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            known.retain(|session| there.is_open(session));
        }
    });
    Router::new().route_service("/pushlet.srv", pushlet)
}

fn said(
    server: &Arc<Server>,
    pushlet: &Pushlet,
    requests: &Mailboxes<String, String>,
    session: &str,
    text: &str,
) {
    let (server, pushlet, session) = (Arc::clone(server), pushlet.clone(), session.to_owned());
    if let Some(said) = requests.try_open(session.clone()) {
        let to = session.clone();
        let send = move |text: &str| pushlet.send(&to, SUBJECT, &[("text", text)]);
        tokio::spawn(async move { talk(&server, said, send).await });
    }
    // One that says more than is dealt with is not answered: it says it again, as after any loss.
    let _ = requests.send(&session, text.to_owned());
}
