//! The conformance driver: lines in, lines out, so that any table of bytes can be run against the
//! crate from outside. `driver MODE [key=value ...]`; one answer per input line, ended by `.`.
//!
//! This file dispatches; `text.rs` has the notations; each mode is a file that calls the public API.

mod chunked;
mod deflate;
mod handshake;
mod http1;
mod sse;
mod text;
mod ws;

use std::io::{BufRead, Write};

/// One mode of the driver: a line comes in, tokens go out, one a line.
trait Mode {
    /// Answers one line. `Err` becomes `!bad WHY`.
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String>;

    /// Starts afresh.
    fn reset(&mut self);
}

fn mode(name: &str, options: &[String]) -> Result<Box<dyn Mode>, String> {
    match name {
        "chunked" => Ok(Box::new(chunked::Decode::new(options)?)),
        "chunked-encode" => Ok(Box::new(chunked::Encode::new(options)?)),
        "ws" => Ok(Box::new(ws::Ws::new(options)?)),
        "handshake-client" => Ok(Box::new(handshake::Verifier::new(options)?)),
        "handshake-server" => Ok(Box::new(handshake::Server::new(options)?)),
        "http1" => Ok(Box::new(http1::Heads::new(options)?)),
        "sse" => Ok(Box::new(sse::Decode::new(options)?)),
        "sse-encode" => Ok(Box::new(sse::Encode::new(options)?)),
        "deflate" => deflate::codec(options),
        "pmd" => deflate::negotiation(options),
        _ => Err(format!("unknown mode {name}")),
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (name, options) = match arguments.split_first() {
        Some((name, options)) => (name.as_str(), options),
        None => ("", &[][..]),
    };
    let mut output = std::io::stdout().lock();
    if name == "handshake-request" {
        let answer = handshake::request(options).unwrap_or_else(|why| format!("!bad {why}"));
        let _ = writeln!(output, "{answer}\n.");
        return;
    }
    let mut mode = match mode(name, options) {
        Ok(mode) => mode,
        Err(why) => {
            let _ = writeln!(output, "!bad {why}\n.");
            return;
        }
    };
    let mut out = Vec::new();
    for line in std::io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { return };
        out.clear();
        match str::from_utf8(line.strip_suffix(b"\r").unwrap_or(&line)) {
            Ok("reset") => mode.reset(),
            Ok(line) => {
                if let Err(why) = mode.line(line, &mut out) {
                    out.push(format!("!bad {why}"));
                }
            }
            Err(_) => out.push("!bad not UTF-8".to_owned()),
        }
        out.push(".".to_owned());
        let answer = out.join("\n") + "\n";
        if output.write_all(answer.as_bytes()).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}
