//! A client of one of the frameworks in the room: what is the same for all of them, whatever carries it.
//!
//! It says what a page says over a WebSocket (`protocol.rs`), a hello first, which may name the `room`; it hears what a page
//! hears. After a cut it says hello again with its cursor, whether
//! the framework's session goes on or it has opened a new one. What ends it is told as the
//! last message, since not every framework can say why it closes.
//!
//! SockJS and Atmosphere give each client a task, which waits for the next message. Socket.IO, CometD and Pushlet call a
//! function with whatever any client says: [`Mailboxes`](pushline::adapter::tokio::Mailboxes) make tasks of that.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
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

/// Requests of one client that may wait to be dealt with.
pub const REQUESTS: usize = 64;

/// Serves a client: what it says comes in a stream, which ends when it is gone; `send` sends it a text, and is `false` if it
/// is gone, or does not fetch what it is sent. Gives why the client is sent away, which it has heard as the last message;
/// `None` if it has gone by itself.
pub async fn talk(
    server: &Server,
    mut said: impl Stream<Item = String> + Unpin,
    send: impl Fn(&str) -> bool,
) -> Option<(u16, String)> {
    let end = |code: u16, text: &str| {
        send(Told::bye(code, text).json());
        Some((code, text.to_owned()))
    };
    let mut stop = server.stop.subscribe();
    let first = tokio::select! {
        first = timeout(HELLO_WITHIN, said.next()) => first.ok().flatten(),
        () = stopped(&mut stop) => return end(GOING_AWAY, ""),
    };
    let mut text = first.unwrap_or_default();
    // Each turn is a hello: the first, and those of a client that had its session of the framework cut and taken up again.
    loop {
        let hello = (text.len() <= MAX_REQUEST).then(|| protocol::parse(&text));
        let Some(Ok(Request::Hello(hello))) = hello else {
            return end(POLICY_VIOLATION, "the first message is to be a hello");
        };
        let entry = match Box::pin(server.chat.join(&hello.room, &hello, None, "")).await {
            Ok(entry) => entry,
            Err(refusal) => {
                send(Told::answer(&refusal.answer(None)).json());
                return end(refusal.bye(), refusal.code);
            }
        };
        let seat = entry.seat;
        let (queue, queued) = mpsc::channel(QUEUE);
        let (bye, ended) = watch::channel(None);
        let is_sent = std::iter::once(entry.welcome).chain(entry.missed).all(|told| send(told.json()));
        if !is_sent || !seat.attach("", Box::new(Queue { queue, bye })) {
            return end(TRY_AGAIN_LATER, "too slow");
        }
        match converse(&mut said, &send, &seat, queued, ended).await {
            Next::Hello(hello) => text = hello,
            Next::Bye(code, text) => return end(code, &text),
            Next::Cut => return None, // the member may come back
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
    said: &mut (impl Stream<Item = String> + Unpin),
    send: impl Fn(&str) -> bool,
    seat: &Seat,
    mut queued: mpsc::Receiver<Told>,
    mut ended: watch::Receiver<Option<(u16, String)>>,
) -> Next {
    loop {
        let text = tokio::select! {
            biased; // what was told before the end goes out before it
            Some(told) = queued.recv() => match send(told.json()) {
                true => continue,
                false => return Next::Bye(TRY_AGAIN_LATER, "too slow".to_owned()),
            },
            bye = ended.wait_for(Option::is_some) => {
                let (code, text) = bye.ok().and_then(|bye| bye.clone()).unwrap_or_default();
                return Next::Bye(code, text);
            }
            text = said.next() => text,
        };
        match text {
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
