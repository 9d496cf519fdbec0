//! A client of one of the frameworks in the room: what is the same for all of them, whatever carries it.
//!
//! It says what a page says over a WebSocket (`protocol.rs`), a hello first, which may name the `room`; it hears what a page
//! hears. After a cut it says hello again with its cursor, whether
//! the framework's session goes on or it has opened a new one. What ends it is told as the
//! last message, since not every framework can say why it closes.
//!
//! SockJS and Atmosphere give each client a task, which waits for the next message: a [`Client`]. Socket.IO, CometD and Pushlet
//! call a function with whatever any client says: `callers.rs` makes clients of that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::chat::Seat;
use crate::connections::stopped;
use crate::protocol::{self, GOING_AWAY, MAX_REQUEST, POLICY_VIOLATION, Request, TRY_AGAIN_LATER};
use crate::room::Sink;
use crate::server::Server;
use crate::told::Told;

/// Time for the hello. Without it, a client that never says one would be held for ever.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// What may wait for one client until it is handed to the framework, which has bounds of its own.
const QUEUE: usize = 256;

/// A framework's session with one client.
pub trait Client: Send {
    /// What it says next; `None` once it is gone. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<String>> + Send;
    /// Sends it this; `false` if it is gone, or does not fetch what it is sent.
    fn send(&mut self, text: &str) -> bool;
    /// Ends the session, behind what was sent. By default it goes on: the client has heard that this was the last message, and
    /// may say hello again.
    fn close(self, code: u16, reason: &str)
    where
        Self: Sized,
    {
        let _ = (code, reason);
    }
}

/// Serves a client until it is gone.
pub async fn talk(server: Arc<Server>, mut client: impl Client) {
    let mut stop = server.stop.subscribe();
    let first = tokio::select! {
        first = timeout(HELLO_WITHIN, client.next()) => first.ok().flatten(),
        () = stopped(&mut stop) => return end(client, GOING_AWAY, ""),
    };
    let mut said = first.unwrap_or_default();
    // Each turn is a hello: the first, and those of a client that had its session of the framework cut and taken up again.
    loop {
        let hello = (said.len() <= MAX_REQUEST).then(|| protocol::parse(&said));
        let Some(Ok(Request::Hello(hello))) = hello else {
            return end(client, POLICY_VIOLATION, "the first message is to be a hello");
        };
        let entry = match Box::pin(server.chat.join(&hello.room, &hello, None, "")).await {
            Ok(entry) => entry,
            Err(refusal) => {
                client.send(Told::answer(&refusal.answer(None)).json());
                return end(client, refusal.bye(), refusal.code);
            }
        };
        let seat = entry.seat;
        let (queue, queued) = mpsc::channel(QUEUE);
        let (bye, ended) = watch::channel(None);
        let is_sent = std::iter::once(entry.welcome).chain(entry.missed).all(|told| client.send(told.json()));
        if !is_sent || !seat.attach("", Box::new(Queue { queue, bye })) {
            return end(client, TRY_AGAIN_LATER, "too slow");
        }
        match converse(&mut client, &seat, queued, ended).await {
            Next::Hello(text) => said = text,
            Next::Bye(code, text) => return end(client, code, &text),
            Next::Cut => return, // the member may come back
        }
    }
}

/// How a conversation ends.
enum Next {
    Hello(String),
    Bye(u16, String),
    Cut,
}

async fn converse(
    client: &mut impl Client,
    seat: &Seat,
    mut queued: mpsc::Receiver<Told>,
    mut ended: watch::Receiver<Option<(u16, String)>>,
) -> Next {
    loop {
        let said = tokio::select! {
            biased; // what was told before the end goes out before it
            Some(told) = queued.recv() => match client.send(told.json()) {
                true => continue,
                false => return Next::Bye(TRY_AGAIN_LATER, "too slow".to_owned()),
            },
            bye = ended.wait_for(Option::is_some) => {
                let (code, text) = bye.ok().and_then(|bye| bye.clone()).unwrap_or_default();
                return Next::Bye(code, text);
            }
            said = client.next() => said,
        };
        match said {
            Some(text) if text.len() > MAX_REQUEST => {
                return Next::Bye(POLICY_VIOLATION, "that is too long".to_owned());
            }
            Some(text) if matches!(protocol::parse(&text), Ok(Request::Hello(_))) => {
                return Next::Hello(text);
            }
            Some(text) => Box::pin(seat.receive(&text)).await,
            None => return Next::Cut,
        }
    }
}

fn end(mut client: impl Client, code: u16, text: &str) {
    client.send(Told::bye(code, text).json());
    client.close(code, text);
}

struct Queue {
    queue: mpsc::Sender<Told>,
    bye: watch::Sender<Option<(u16, String)>>,
}

impl Sink for Queue {
    fn tell(&self, told: &Told) -> bool {
        self.queue.try_send(told.clone()).is_ok()
    }

    fn bye(&self, code: u16, text: &str) {
        self.bye.send_replace(Some((code, text.to_owned())));
    }
}
