//! The client's side of the Autobahn test suite: `autobahn_client URL AGENT`. The suite's server says how many cases
//! there are, each is an echo until it closes, and at the end it is asked to write its report.

use pushline::adapter::blocking::connect;
use pushline::adapter::{Error, Options};
use pushline::ws::Message;
use pushline::ws::deflate::{Compression, DeflateOptions, WindowBits};
use pushline::ws::handshake::ClientOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(agent), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let url = url.trim_end_matches('/');
    let cases = count(&format!("{url}/getCaseCount"))?;
    println!("{cases} cases");
    for case in 1..=cases {
        // Many cases break the protocol: how the connection then ends is for the suite to judge.
        if let Err(error) = echo(&format!("{url}/runCase?case={case}&agent={agent}")) {
            println!("case {case}: {error}");
        }
    }
    echo(&format!("{url}/updateReports?agent={agent}"))?;
    Ok(())
}

/// The number that the server sends.
fn count(url: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let mut socket = connect(url, client(), &Options::new())?;
    let mut count = None;
    while let Some(message) = socket.next()? {
        if let Message::Text(text) = message {
            count = Some(text.parse()?);
        }
    }
    count.ok_or_else(|| "the server sent no number of cases".into())
}

/// Sends each message back until the connection is closed.
fn echo(url: &str) -> Result<(), Error> {
    let mut socket = connect(url, client(), &Options::new())?;
    while let Some(message) = socket.next()? {
        if message.is_data() {
            socket.send(message)?;
        }
    }
    Ok(())
}

/// Compression is offered, and used for whatever there is to send.
fn client() -> ClientOptions {
    let policy = Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 };
    ClientOptions::new().deflate(DeflateOptions::new(policy).threshold(0))
}
