//! Pushlet: `/pushlet.srv`. A client publishes on `/chat` what it says, as the field `text`, and hears there as well, in the
//! same field; both are the texts of `protocol.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pushline::adapter::frameworks::Pushlet;
use pushline::comet::pushlet::{Publication, PushletOptions};
use pushline::ws::handshake::OriginPolicy;
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::server::Server;
use crate::talk::{Client, REQUESTS, talk};

const SUBJECT: &str = "/chat";

/// How often it is looked whether a session is still there.
const LOOK: Duration = Duration::from_secs(5);

/// What waits of each session.
type Requests = Arc<Mutex<HashMap<String, mpsc::Sender<String>>>>;

/// The service. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> Pushlet {
    let (server, requests) = (Arc::clone(server), Requests::default());
    let itself = Arc::new(OnceLock::<Pushlet>::new());
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
    itself.get_or_init(|| Pushlet::moderated("/pushlet.srv", config, decide)).clone()
}

fn said(server: &Arc<Server>, pushlet: &Pushlet, requests: &Requests, session: &str, text: &str) {
    let mut waiting = requests.lock().unwrap_or_else(PoisonError::into_inner);
    let known = waiting.get(session).filter(|said| !said.is_closed());
    if let Some(said) = known {
        // One that says more than is dealt with is not answered: it says it again, as after any loss.
        let _ = said.try_send(text.to_owned());
        return;
    }
    let (said, saying) = mpsc::channel(REQUESTS);
    let _ = said.try_send(text.to_owned()); // it is empty
    waiting.insert(session.to_owned(), said);
    drop(waiting);
    let (session, pushlet) = (session.to_owned(), pushlet.clone());
    let (server, requests) = (Arc::clone(server), Arc::clone(requests));
    tokio::spawn(async move {
        talk(server, Member { session: session.clone(), saying, pushlet }).await;
        let mut waiting = requests.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(&session).is_some_and(mpsc::Sender::is_closed) {
            waiting.remove(&session);
        }
    });
}

struct Member {
    session: String,
    saying: mpsc::Receiver<String>,
    pushlet: Pushlet,
}

impl Client for Member {
    async fn next(&mut self) -> Option<String> {
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                said = self.saying.recv() => return said,
                _ = looks.tick() => if !self.pushlet.is_open(&self.session) { return None },
            }
        }
    }

    fn send(&mut self, text: &str) -> bool {
        self.pushlet.send(&self.session, SUBJECT, &[("text", text)])
    }

    /// The client hears that it was the last message, and may say hello again.
    fn close(self, _: u16, _: &str) {}
}
