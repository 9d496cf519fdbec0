//! A chat room in the browser: `chat [--listen ADDR] [--compress]`, by default on 127.0.0.1:8080, without
//! permessage-deflate. Ctrl-C ends it.
//!
//! | file | |
//! |---|---|
//! | `page.html` | the page, in one file; `page.rs` has its Content-Security-Policy |
//! | `protocol.rs` | what page and room say to each other |
//! | `room.rs` | the room: members, messages. No I/O, no clock; with `rules.rs` (names, texts) and `history.rs` (the past) |
//! | `hub.rs` | from the room to the connections |
//! | `ws.rs` | a connection: WebSocket |
//! | `http.rs` | a connection before that: paths, responses, the upgrade |
//! | `server.rs` | accepts connections, ends them |

mod history;
mod http;
mod hub;
mod page;
mod protocol;
mod room;
mod rules;
mod server;
#[cfg(test)]
mod tests;
mod ws;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use pushline::ws::deflate::{Compression, DeflateOptions};
use tokio::net::TcpListener;

use crate::protocol::Millis;
use crate::room::Limits;
use crate::server::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let (compress, arguments): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument == "--compress");
    let Some(address) = address(arguments.into_iter()) else {
        eprintln!("usage: chat [--listen ADDR] [--compress]");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = listener.local_addr() {
        println!("chat on http://{address}/");
    }
    let interrupt = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("cannot wait for Ctrl-C: {error}");
        }
    };
    let mut server = Server::new(Limits::default(), time_of_day());
    if !compress.is_empty() {
        // One compressed form of a message serves all, and nobody who is silent holds memory for it.
        server.handshake = server.handshake.deflate(DeflateOptions::new(Compression::Shared));
    }
    server::run(listener, Arc::new(server), interrupt).await;
    ExitCode::SUCCESS
}

/// The address to listen on; `None` if the arguments are wrong.
fn address(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    let address = match arguments.next().as_deref() {
        None => return Some("127.0.0.1:8080".to_owned()),
        Some("--listen") => arguments.next()?,
        Some(other) => other.strip_prefix("--listen=")?.to_owned(),
    };
    arguments.next().is_none().then_some(address)
}

#[expect(clippy::disallowed_methods, reason = "the program, not the library, reads the clock")]
fn time_of_day() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or_default()
}
