//! Bayeux, of CometD and Faye: `/cometd`. A client publishes on `/service/chat` what it says, and hears on `/chat`, to which
//! it subscribes; both are the objects of `protocol.rs`. With the `ack` extension nothing is lost over a failed response;
//! without it, a cut client says hello again with its cursor.

use std::collections::HashMap;
use std::sync::Arc;

use pushline::adapter::bayeux::{self, BayeuxOptions, BayeuxService};
use pushline::comet::bayeux::{BayeuxMessage, Channel, ClientId, Denied, Host, Pattern};
use pushline::json::{self, Value};
use tokio::sync::mpsc;

use crate::server::Server;
use crate::talk::{Client, REQUESTS, talk};

/// Where the room is heard, and where it is spoken to.
const HEARD: &str = "/chat";
const SAID: &str = "/service/chat";

/// The service. Whose pages may use it was decided before: see `access`.
pub fn service(server: &Arc<Server>) -> BayeuxService<Members> {
    let (opened, mut opens) = mpsc::unbounded_channel(); // as many as there are sessions, which are bounded
    let options = BayeuxOptions::new().callback_polling(true);
    let service = BayeuxService::new(options, Members { opened, saying: HashMap::new() });
    let (server, there) = (Arc::clone(server), service.clone());
    tokio::spawn(async move {
        while let Some((client, saying)) = opens.recv().await {
            let member = Member { client, saying, service: there.clone() };
            tokio::spawn(talk(Arc::clone(&server), member));
        }
    });
    service
}

/// What is allowed, and what waits of each client.
pub struct Members {
    opened: mpsc::UnboundedSender<(ClientId, mpsc::Receiver<String>)>,
    saying: HashMap<ClientId, mpsc::Sender<String>>,
}

impl Host for Members {
    fn client_id(&mut self) -> Option<ClientId> {
        bayeux::client_id()
    }

    fn unix_millis(&mut self) -> u64 {
        bayeux::unix_millis()
    }

    fn may_subscribe(&mut self, _: ClientId, pattern: Pattern<'_>) -> Result<(), Denied> {
        if pattern.as_str() == HEARD { Ok(()) } else { Err(Denied("only_/chat")) }
    }

    fn may_publish(
        &mut self,
        client: ClientId,
        channel: Channel<'_>,
        _: &BayeuxMessage<'_>,
    ) -> Result<(), Denied> {
        if channel.as_str() != SAID {
            return Err(Denied("only_/service/chat"));
        }
        let has_room =
            self.saying.get(&client).is_none_or(|saying| saying.is_closed() || saying.capacity() > 0);
        if has_room { Ok(()) } else { Err(Denied("too_fast")) }
    }

    fn published(&mut self, client: ClientId, _: Channel<'_>, data: Value<'_>) {
        if self.saying.get(&client).is_none_or(mpsc::Sender::is_closed) {
            self.opened(client); // it was told that it was over, and says hello again
        }
        if let Some(saying) = self.saying.get(&client) {
            let _ = saying.try_send(data.as_str().to_owned()); // there was room
        }
    }

    fn opened(&mut self, client: ClientId) {
        let (said, saying) = mpsc::channel(REQUESTS);
        self.saying.insert(client, said);
        let _ = self.opened.send((client, saying)); // or the program is ending
    }

    fn closed(&mut self, client: ClientId) {
        self.saying.remove(&client);
    }
}

struct Member {
    client: ClientId,
    saying: mpsc::Receiver<String>,
    service: BayeuxService<Members>,
}

impl Client for Member {
    async fn next(&mut self) -> Option<String> {
        self.saying.recv().await
    }

    fn send(&mut self, text: &str) -> bool {
        let (channel, data) = (Channel::parse(HEARD), json::check(text));
        channel.zip(data.ok()).is_some_and(|(channel, data)| self.service.deliver(self.client, channel, data))
    }

    /// The client hears that it was the last message, and may say hello again.
    fn close(self, _: u16, _: &str) {}
}
