//! Bayeux, of CometD and Faye: `/cometd`. A client publishes on `/service/chat` what it says, and hears on `/chat`, to which
//! it subscribes; both are the objects of `protocol.rs`. With the `ack` extension nothing is lost over a failed response;
//! without it, a cut client says hello again with its cursor.

use std::sync::{Arc, OnceLock};

use axum::Router;
use pushline::adapter::bayeux::{self, BayeuxOptions, BayeuxService};
use pushline::adapter::tokio::Mailboxes;
use pushline::comet::bayeux::{BayeuxMessage, Channel, ClientId, Denied, Host, Pattern};
use pushline::json::{self, Value};

use crate::server::Server;
use crate::talk::{REQUESTS, talk};

/// Where the room is heard, and where it is spoken to.
const HEARD: &str = "/chat";
const SAID: &str = "/service/chat";

/// The paths. Whose pages may use them was decided before: see `access`.
pub fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let itself = Arc::new(OnceLock::new());
    let (server, service) = (Arc::clone(server), Arc::clone(&itself));
    let members = Members { server, service, requests: Mailboxes::new(REQUESTS) };
    let options = BayeuxOptions::new().callback_polling(true);
    let cometd = itself.get_or_init(|| BayeuxService::new(options, members)).clone();
    // CometD's client appends the name of the meta channel.
    Router::new().route_service("/cometd", cometd.clone()).route_service("/cometd/{*rest}", cometd)
}

/// What is allowed, and who is there.
struct Members {
    server: Arc<Server>,
    service: Arc<OnceLock<BayeuxService<Self>>>,
    requests: Mailboxes<ClientId, String>,
}

impl Members {
    /// One that is new, or was told that it was over and says hello again.
    fn come(&self, client: ClientId) {
        let Some(service) = self.service.get().cloned() else { return };
        let Some(said) = self.requests.try_open(client) else { return };
        let server = Arc::clone(&self.server);
        let send = move |text: &str| {
            let (channel, data) = (Channel::parse(HEARD), json::check(text));
            channel.zip(data.ok()).is_some_and(|(channel, data)| service.deliver(client, channel, data))
        };
        tokio::spawn(async move { talk(&server, said, send).await });
    }
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
        if self.requests.room(&client) == Some(0) { Err(Denied("too_fast")) } else { Ok(()) }
    }

    fn published(&mut self, client: ClientId, _: Channel<'_>, data: Value<'_>) {
        self.come(client);
        let _ = self.requests.send(&client, data.as_str().to_owned()); // there was room
    }

    fn opened(&mut self, client: ClientId) {
        self.come(client);
    }

    fn closed(&mut self, client: ClientId) {
        self.requests.close(&client);
    }
}
