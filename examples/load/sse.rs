//! A client over Server-Sent Events: it hears by an `EventSource`, which comes back by itself, and says by POST.

use std::sync::Arc;
use std::time::Duration;

use pushline::adapter::tokio::sse::{Connecting, EventSource, SourceEvent, SourceOptions, Url};
use pushline::sse::EventLimits;
use tokio::net::TcpStream;

use crate::client::{Client, Ended};
use crate::http::speak;
use crate::world::World;

/// Silence after which a connection counts as lost: the server sends a comment each 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// A welcome names everybody in the room.
const MAX_EVENT: usize = 16 << 20;

/// Connections to one node after the other, until the server says that it is over.
pub async fn connection(client: &Client, world: &Arc<World>, node: usize) -> Result<(), Ended> {
    let mut source = source(client, world, node)?;
    let hear = async {
        while let Some(update) = source.next().await {
            match update? {
                SourceEvent::Event(event) => client.hear(world, &event.data)?,
                SourceEvent::Lost { error, .. } => {
                    let was_open = client.lost();
                    // A stream that ended as it should is no fault: it is asked for again.
                    if let Some(error) = error {
                        world.note(&error, was_open);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = hear => ended,
        ended = speak(client, world) => ended,
    }
}

fn source(client: &Client, world: &Arc<World>, node: usize) -> Result<EventSource<TcpStream>, Ended> {
    let url: Url =
        format!("http://{}/events?{}{}", world.authority(node), client.query(), world.room()).parse()?;
    let options =
        SourceOptions::new().idle_timeout(Some(SILENCE)).limits(EventLimits::new().max_event(MAX_EVENT));
    // As a load balancer would do it: each connection goes to a node of its own.
    let (shared, mut next) = (Arc::clone(world), node);
    let connector = move |_: &Url| -> Connecting<TcpStream> {
        let (world, node) = (Arc::clone(&shared), next);
        next = world.any_node(Some(node));
        Box::pin(async move { world.connect(node).await })
    };
    let mut source = EventSource::with_connector(url, options, connector);
    source.set_last_event_id(&client.cursor())?;
    Ok(source)
}
