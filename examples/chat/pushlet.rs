//! Pushlet: `/pushlet.srv`. A client publishes on `/chat` what it says, as the field `text`, and hears there as well, in the
//! same field; both are the texts of `protocol.rs`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use pushline::adapter::frameworks::Pushlet;
use pushline::comet::pushlet::{Publication, PushletOptions};
use pushline::ws::handshake::OriginPolicy;
use tokio::time::interval;

use crate::callers::Callers;
use crate::server::Server;

const SUBJECT: &str = "/chat";

/// How often it is looked which sessions are still there.
const LOOK: Duration = Duration::from_secs(5);

/// The path. Whose pages may use it was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let itself = Arc::new(OnceLock::<Pushlet>::new());
    let (there, callers) = (Arc::clone(&itself), Callers::new(server));
    let known = callers.clone();
    let decide = move |publication: &Publication| {
        if publication.subject() == SUBJECT
            && let (Some(text), Some(pushlet)) = (publication.get("text"), there.get())
        {
            said(&callers, pushlet, publication.session(), text);
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
            known.retain(|session: &String| there.is_open(session));
        }
    });
    Router::new().route("/pushlet.srv", any(async move |request: Request| pushlet.serve(request).await))
}

/// One that says more than is dealt with is not answered: it says it again, as after any loss.
fn said(callers: &Callers<String>, pushlet: &Pushlet, session: &str, text: &str) {
    let (session, pushlet) = (session.to_owned(), pushlet.clone());
    if callers.said(&session, text).is_none() {
        let to = session.clone();
        let send = move |text: &str| pushlet.send(&to, SUBJECT, &[("text", text)]);
        tokio::spawn(callers.came(session, Some(text.to_owned()), send));
    }
}
