//! Sends messages of many lengths to an echo server and compares what comes back:
//! `echo_client URL [--window-bits N] [--no-context-takeover] [--ca FILE]`. The first two are what is offered of
//! permessage-deflate, for both directions; FILE holds the certificate (DER) that is trusted instead of the public authorities.

use pushline::adapter::Options;
use pushline::adapter::blocking::connect;
use pushline::ws::Message;
use pushline::ws::deflate::{Compression, DeflateOptions, Terms, WindowBits};
use pushline::ws::handshake::ClientOptions;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .ok_or("usage: echo_client URL [--window-bits N] [--no-context-takeover] [--ca FILE]")?;
    let (mut window_bits, mut no_takeover, mut options) = (WindowBits::MAX, false, Options::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--window-bits" => {
                let bits = arguments.next().and_then(|bits| bits.parse().ok());
                window_bits = bits.and_then(WindowBits::new).ok_or("--window-bits 8 to 15")?;
            }
            "--no-context-takeover" => no_takeover = true,
            "--ca" => {
                let mut roots = RootCertStore::empty();
                roots.add(std::fs::read(arguments.next().ok_or("--ca FILE")?)?.into())?;
                let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
                options = options.tls(Arc::new(config));
            }
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    let terms = Terms {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        client_max_window_bits: Some(WindowBits::MAX),
        ..Terms::default()
    };
    let policy = Compression::Dedicated { window_bits, memory_level: 8 };
    let deflate = DeflateOptions::new(policy).terms(terms).threshold(0);
    let mut socket = connect(&url, ClientOptions::new().deflate(deflate), &options)?;
    // Twice, so that the second time may refer to the first.
    for len in [0, 1, 125, 126, 4096, 70 * 1024].repeat(2) {
        let text: String = "a\u{e9}\u{20ac}\u{1f600} and so on; ".chars().cycle().take(len).collect();
        let bytes: Vec<u8> =
            (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24 & 0x9f) as u8).collect();
        for message in [Message::from(text), Message::from(bytes)] {
            socket.send(message.clone())?;
            loop {
                match socket.next()? {
                    Some(echo) if echo == message => break,
                    Some(Message::Ping(_) | Message::Pong(_)) => {}
                    Some(other) => {
                        return Err(format!("{len}: {} bytes came back", other.payload().len()).into());
                    }
                    None => return Err(format!("{len}: closed").into()),
                }
            }
        }
    }
    socket.close(1000, "")?;
    while socket.next()?.is_some() {}
    Ok(())
}
