//! A chat room in the browser, over every transport that a browser knows: `chat [--listen ADDR]`, by default on
//! 127.0.0.1:8080; `--help` tells the rest. Ctrl-C ends it.
//!
//! | file | |
//! |---|---|
//! | `page.html` | the page, in one file; `page.rs` has its Content-Security-Policy |
//! | `protocol.rs` | what page and room say to each other |
//! | `room.rs` | the room: members, messages. No I/O, no clock; with `rules.rs` (names, texts) and `history.rs` (the past) |
//! | `hub.rs` | from the room to the connections |
//! | `told.rs` | what the room says, in the form of each transport |
//! | `ws.rs` | a connection: WebSocket |
//! | `visit.rs` | the clients that poll or stream, from request to request |
//! | `held.rs` | a response that waits or goes on: polls, streams, Server-Sent Events |
//! | `routes.rs` | which path gives what |
//! | `access.rs` | whose pages may |
//! | `request.rs` `reply.rs` | a request read, a response written |
//! | `http.rs` | a connection: requests, responses, the upgrade |
//! | `server.rs` `options.rs` | accepts connections, ends them; the command line |

mod access;
mod held;
mod history;
mod http;
mod hub;
mod options;
mod page;
mod protocol;
mod reply;
mod request;
mod room;
mod routes;
mod rules;
mod server;
#[cfg(test)]
mod tests;
mod told;
mod visit;
mod ws;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;

use crate::options::{Options, USAGE};
use crate::protocol::Millis;
use crate::room::Limits;
use crate::server::Server;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let limits = Limits::default();
    let limits = Limits { interval: options.interval.unwrap_or(limits.interval), ..limits };
    let address = options.listen.clone();
    let server = match Server::new(options, limits, time_of_day()) {
        Ok(server) => Arc::new(server),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
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
    server::run(listener, server, interrupt).await;
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "the program, not the library, reads the clock")]
fn time_of_day() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or_default()
}
