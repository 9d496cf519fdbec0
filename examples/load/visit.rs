//! The clients that poll or stream: requests, one after the other, each for what comes after the last message.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use crate::client::{Client, Ended};
use crate::http::{Wire, speak};
use crate::options::Transport;
use crate::world::World;

/// Between two polls that nobody holds.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// An answer to a poll.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    gone: bool,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

/// One message of it, or one event of a stream.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    gone: bool,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// A client of this connection, and the number of the last message that came.
struct Visit<'a> {
    client: &'a Client,
    world: &'a World,
    since: u64,
}

/// A visit to one node, until it ends.
pub async fn connection(client: &Client, world: &World, node: usize) -> Result<(), Ended> {
    let mut visit = Visit { client, world, since: 0 };
    tokio::select! {
        ended = visit.ask_again_and_again(node) => ended,
        ended = speak(client, world) => ended,
    }
}

impl Visit<'_> {
    async fn ask_again_and_again(&mut self, node: usize) -> Result<(), Ended> {
        let Self { client, world, .. } = *self;
        let link = format!("link{:016x}", world.random());
        let mut wire = Wire::connect(world, node).await?;
        // As a page that connects keeps saying who it was when it did.
        let query = client.query();
        loop {
            if !wire.is_open() {
                wire = Wire::connect(world, node).await?;
            }
            let more = match client.transport {
                Transport::Jsonp => "&callback=pushlineJsonp1".to_owned(),
                Transport::Iframe => format!("&origin=http://{}", world.authority(node)),
                _ => String::new(),
            };
            let (path, since, at, room) =
                (client.transport.name(), self.since, client.cursor(), world.room());
            let target = format!("/{path}?{query}&link={link}&since={since}&at={at}{room}{more}");
            let status = wire.ask("GET", &target, "").await?;
            match (status, client.transport) {
                (204, _) => drop(wire.rest().await?),
                (200, Transport::XhrStreaming | Transport::Iframe) => self.stream(&mut wire).await?,
                (200 | 410, _) => self.answer(&wire.rest().await?)?,
                _ => return Err(format!("the server answers {status}").into()),
            }
            if client.transport == Transport::Polling {
                sleep(POLL_EVERY).await;
            }
        }
    }

    /// Lines, each with an event in it.
    async fn stream(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let mut data = Vec::new();
        loop {
            let goes_on = wire.more(&mut data).await?;
            let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in data[..whole].split(|byte| *byte == b'\n') {
                // In an iframe there is a script around it, and markup in other lines.
                let start = match self.client.transport {
                    Transport::Iframe => line.iter().position(|byte| *byte == b'(').map(|at| at + 1),
                    _ => line.starts_with(b"{").then_some(0),
                };
                let event = start.and_then(|start| line.get(start..)).filter(|event| event.starts_with(b"{"));
                let events =
                    event.map(|event| serde_json::Deserializer::from_slice(event).into_iter::<Message<'_>>());
                if let Some(event) = events.and_then(|mut events| events.next()) {
                    self.take(event?)?;
                }
            }
            data.drain(..whole);
            if data.is_empty() {
                // The next event may be a while away.
                data = Vec::new();
            }
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, body: &[u8]) -> Result<(), Ended> {
        // JSONP has a call around it.
        let start = body.iter().position(|byte| *byte == b'{').ok_or("an answer without an object")?;
        let mut answers = serde_json::Deserializer::from_slice(&body[start..]).into_iter::<Answer<'_>>();
        let answer = answers.next().ok_or("an answer without an object")??;
        if answer.gone {
            return Err("too late: the server has no longer all that was missed".into());
        }
        answer.messages.into_iter().try_for_each(|message| self.take(message))
    }

    fn take(&mut self, message: Message<'_>) -> Result<(), Ended> {
        if message.gone {
            return Err("too late: the server has no longer all that was missed".into());
        }
        if message.id <= self.since {
            self.world.seen_again();
            return Ok(());
        }
        self.since = message.id;
        self.client.hear(self.world, message.data.as_deref().unwrap_or_default())
    }
}
