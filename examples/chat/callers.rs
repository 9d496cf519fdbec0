//! The clients of a framework that calls a function with whatever any of them says: here it waits for the task of each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::poll_fn;
use tokio::sync::mpsc;

use crate::server::Server;
use crate::talk::talk;

/// Requests of one client that may wait to be dealt with.
const REQUESTS: usize = 64;

/// The clients of a framework, by its name for each: what they say waits until it is dealt with.
#[derive(Clone)]
pub struct Callers<K> {
    server: Arc<Server>,
    waiting: Arc<Mutex<HashMap<K, mpsc::Sender<String>>>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Callers<K> {
    pub fn new(server: &Arc<Server>) -> Self {
        Self { server: Arc::clone(server), waiting: Arc::default() }
    }

    /// A client came, and perhaps said this already. The future serves it until it has [left](Self::left) or is sent away;
    /// `send` sends it a text.
    pub fn came<S>(
        &self,
        client: K,
        first: Option<String>,
        send: S,
    ) -> impl Future<Output = ()> + Send + use<K, S>
    where
        S: Fn(&str) -> bool + Send + Sync,
    {
        let (said, mut saying) = mpsc::channel(REQUESTS);
        if let Some(first) = first {
            let _ = said.try_send(first); // it is empty
        }
        self.lock().insert(client.clone(), said);
        let callers = self.clone();
        async move {
            talk(&callers.server, poll_fn(|cx| saying.poll_recv(cx)), send).await;
            drop(saying);
            let mut waiting = callers.lock();
            // Unless it came again meanwhile.
            if waiting.get(&client).is_some_and(mpsc::Sender::is_closed) {
                waiting.remove(&client);
            }
        }
    }

    /// A client said this. `Some(false)`: more waits than is dealt with; `None`: it is not served, and has to come again.
    pub fn said(&self, client: &K, text: &str) -> Option<bool> {
        let waiting = self.lock();
        let said = waiting.get(client).filter(|said| !said.is_closed())?;
        Some(said.try_send(text.to_owned()).is_ok())
    }

    /// Whether what a client says next can wait.
    pub fn has_room(&self, client: &K) -> bool {
        self.lock().get(client).is_none_or(|said| said.is_closed() || said.capacity() > 0)
    }

    pub fn left(&self, client: &K) {
        self.lock().remove(client);
    }

    /// Looks which clients have left.
    pub fn retain(&self, is_there: impl Fn(&K) -> bool) {
        self.lock().retain(|client, _| is_there(client));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, mpsc::Sender<String>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
