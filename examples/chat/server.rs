//! The server: what all connections share, and the loop that accepts them and at last sees them off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pushline::comet::cors::PolicyError;
use pushline::ws::deflate::{Compression, DeflateOptions};
use pushline::ws::handshake::{OriginPolicy, ServerOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::access::Access;
use crate::http;
use crate::hub::Hub;
use crate::options::Options;
use crate::page::{self, PAGE};
use crate::protocol::Millis;
use crate::room::{Limits, Room};
use crate::told::Told;
use crate::visit::{MAX_VISITS, Visits};

/// Connections at once; more are closed as they come. Without it, they could use up all file descriptors.
const MAX_CONNECTIONS: usize = 4096;

/// How often the room looks for members who did not come back.
const TICK: Duration = Duration::from_millis(500);

/// Time for the connections to end when the server does: longer than one of them takes to close.
const GOODBYE_WITHIN: Duration = Duration::from_secs(7);

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    pub hub: Hub<Told>,
    /// The clients that poll or stream.
    pub visits: Visits,
    /// Whose pages may use all this.
    pub access: Access,
    /// What a WebSocket handshake accepts besides.
    pub handshake: ServerOptions,
    pub options: Options,
    /// The page's Content-Security-Policy.
    pub policy: String,
    began: (Instant, Millis),
}

impl Server {
    /// A server with an empty room. `now` is the time of day; from here on a clock that never jumps is counted on.
    ///
    /// # Errors
    /// One of the origins in `options` is none.
    pub fn new(options: Options, limits: Limits, now: Millis) -> Result<Self, PolicyError> {
        // Of the page's servers, too, only what is an origin may stand in its policy.
        Access::new(&options.backends)?;
        // Any earlier run began at another time.
        let room = Room::new(limits, format!("{now:x}"), Told::new);
        // Whose page it is was decided before: see `access`.
        let mut handshake = ServerOptions::new().origin(OriginPolicy::any());
        if options.compress {
            // Nothing is held between messages: a room is mostly quiet.
            handshake = handshake.deflate(DeflateOptions::new(Compression::Shared));
        }
        Ok(Self {
            hub: Hub::new(room),
            visits: Visits::new(MAX_VISITS),
            access: Access::new(&options.allowed)?,
            handshake,
            policy: page::content_security_policy(PAGE, &options),
            options,
            began: (Instant::now(), now),
        })
    }

    /// The time of day.
    pub fn now(&self) -> Millis {
        let (began, at) = self.began;
        at + Millis::try_from(began.elapsed().as_millis()).unwrap_or(Millis::MAX / 2)
    }
}

/// Tells a connection that the server is about to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// One that has not come, and what it is told through.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (stop, stopped) = watch::channel(false);
        (stop, Self(stopped))
    }

    /// Waits for it.
    pub async fn wait(&mut self) {
        // A server that is gone altogether has ended, too.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// Serves until `end` is done; then closes every connection with 1001 and waits for that, but not for ever.
pub async fn run(listener: TcpListener, server: Arc<Server>, end: impl Future<Output = ()>) {
    let (stop, stopped) = Stop::new();
    let mut connections = JoinSet::new();
    let mut ticks = interval(TICK);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = ticks.tick() => server.hub.tick(server.now()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    let (server, stop) = (Arc::clone(&server), stopped.clone());
                    connections.spawn(async move { http::serve(stream, &server, stop).await });
                }
                Ok(_) => {}
                Err(error) => pause(&error).await,
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(GOODBYE_WITHIN, all).await;
}

/// A connection that was gone before it was accepted is no reason to wait; having no file descriptors left is.
async fn pause(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        sleep(Duration::from_millis(100)).await;
    }
}
