//! Server-Sent Events: `/events`, a response that goes on. What the page says comes by `/send`.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use pushline::adapter::tokio::Outbox;
use pushline::adapter::tokio::sse::EventBody;
use pushline::sse::{Block, PreparedEvent};
use tokio::time::sleep;

use crate::chat::Entry;
use crate::protocol::{Hello, TRY_AGAIN_LATER};
use crate::room::Sink;
use crate::server::{Asked, OUTBOX, STREAM_FOR, turned_away};
use crate::told::Told;

/// The longest silence of an event stream.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);

/// How soon a browser reconnects an event stream.
const RECONNECT: Duration = Duration::from_millis(250);

/// An event stream. The browser repeats the URL when it comes back, and says in a field how far it got.
pub async fn events(Asked { server, params, from }: Asked, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let hello = Hello { cursor: last.or(params.hello.cursor), ..params.hello };
    let Entry { seat, welcome, missed, .. } = match server.chat.join(&hello.room, &hello, from, "").await {
        Ok(entry) => entry,
        Err(refusal) => {
            let told = turned_away(&refusal);
            let told = stream::iter(told.into_iter().filter_map(|told| told.block()));
            return EventBody::new(told).into_response();
        }
    };
    let (outbox, events) = Outbox::stream(OUTBOX);
    if !seat.attach("", Box::new(outbox.clone())) {
        outbox.close(TRY_AGAIN_LATER, "");
    }
    drop(outbox);
    let told = std::iter::once(welcome).chain(missed).filter_map(|told| told.block());
    let first = Block::new().retry(RECONNECT).prepare().ok().into_iter().chain(told);
    let events = events.starting_with(first).take_until(Box::pin(sleep(STREAM_FOR)));
    // The seat goes with the body, when the client has left or the stream is over.
    let events = events.map(move |event| {
        let _ = &seat;
        event
    });
    EventBody::new(events).keep_alive(Some(KEEP_ALIVE_AFTER)).into_response()
}

impl Sink for Outbox<PreparedEvent> {
    fn tell(&self, told: &Told) -> bool {
        told.block().is_some_and(|block| self.send(block).is_ok())
    }

    fn bye(&self, code: u16, text: &str) {
        if let Some(bye) = Told::bye(code, text).block() {
            // If it has no room for that either, it just ends.
            let _ = self.send(bye);
        }
        self.close(code, text);
    }
}
