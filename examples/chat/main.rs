//! A chat in the browser, over every transport that a browser knows: `chat [--listen ADDR]`, by default on
//! 127.0.0.1:8080; `/?room=NAME` is a room of its own. `--help` tells the rest. Ctrl-C ends it. With `--redis URL` any
//! number of such servers are one (`docs/cluster.md`).
//!
//! | file | |
//! |---|---|
//! | `page.html` | the page, in one file; `page.rs` has its Content-Security-Policy |
//! | `protocol.rs` | what page and room say to each other |
//! | `chat.rs` | what a member can do, whatever the transport. **Begin here** |
//! | `ws.rs` `sse.rs` `xhr_streaming.rs` `polling.rs` `jsonp.rs` `iframe.rs` | the transports |
//! | `sockjs.rs` `socketio.rs` `cometd.rs` `atmosphere.rs` `pushlet.rs` | the frameworks' clients, all by `talk.rs` |
//! | `visit.rs` | the clients that poll or stream, from request to request |
//! | `room.rs` | a room as this node sees it; with `told.rs` (each event in the form of each transport) and `id.rs` |
//! | `engine.rs` | what holds the rooms: `local.rs`, this process; `redis.rs` and `redis.lua`, a Redis |
//! | `rules.rs` `access.rs` | what may be said, whose pages may say it |
//! | `server.rs` `connections.rs` `tls.rs` `options.rs` | paths, connections; the command line |

mod access;
mod atmosphere;
mod chat;
mod cometd;
mod connections;
mod engine;
mod id;
mod iframe;
mod jsonp;
mod local;
mod options;
mod page;
mod polling;
mod protocol;
mod pushlet;
mod redis;
mod room;
mod rules;
mod server;
mod socketio;
mod sockjs;
mod sse;
mod talk;
#[cfg(test)]
mod tests;
mod tls;
mod told;
mod visit;
mod ws;
mod xhr_streaming;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::engine::Engine;
use crate::options::{Options, USAGE};
use crate::server::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let limits = Arc::new(options.limits.clone());
    let engine = match &options.redis {
        Some(url) => Engine::Redis(Box::new(redis::Redis::new(url, Arc::clone(&limits))?)),
        None => Engine::Local,
    };
    let tls = if options.tls { Some(tls::acceptor()?) } else { None };
    let address = options.listen.clone();
    let server = Arc::new(Server::new(options, engine, limits)?);
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("chat on {scheme}://{}/", listener.local_addr()?);
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("cannot wait for Ctrl-C: {error}");
        }
    };
    connections::run(listener, server, tls, interrupt).await;
    Ok(())
}
