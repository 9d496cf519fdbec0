//! A stand-in for the server of a language model: answers every POST with the same recorded stream, token by token.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pushline::adapter::blocking::sse::EventReader;
use pushline::adapter::tokio::sse::{Error, EventResponse, EventWriter};
use pushline::http1::head::BodyFraming;
use pushline::sse::Block;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::DONE;
use crate::http::{self, read_request, respond};

pub const RECORDING: &[u8] = include_bytes!("recording.sse");

/// What became of the streams.
#[derive(Debug, Default)]
pub struct Counts {
    begun: AtomicU64,
    finished: AtomicU64,
    cancelled: AtomicU64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [begun, finished, cancelled] =
            [&self.begun, &self.finished, &self.cancelled].map(|count| count.load(Ordering::Relaxed));
        write!(f, "begun {begun}, finished {finished}, cancelled {cancelled}")
    }
}

/// Starts it on a free port; its URL.
pub async fn start(delay: Duration, counts: Arc<Counts>) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    tokio::spawn(http::accept(listener, move |stream| {
        let counts = Arc::clone(&counts);
        async move {
            counts.begun.fetch_add(1, Ordering::Relaxed);
            let count = match play(stream, delay).await {
                Ok(true) => &counts.finished,
                Ok(false) | Err(_) => &counts.cancelled,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    Ok(url)
}

/// Plays the recording. Whether it was heard to the end.
async fn play(mut stream: TcpStream, delay: Duration) -> Result<bool, Error> {
    let request = read_request(&mut stream).await?;
    if request.method != "POST" {
        respond(&mut stream, &request.method, 405, &[("allow", "POST")], "").await?;
        return Ok(true);
    }
    let mut writer = EventWriter::new(stream, request.version, &EventResponse::new());
    for event in EventReader::new(RECORDING, BodyFraming::UntilClose) {
        let event = event?;
        writer.send(&Block::new().data(&event.data)).await?;
        if event.data == DONE {
            break;
        }
        tokio::select! {
            () = sleep(delay) => {}
            left = writer.left() => return left.map(|()| false),
        }
    }
    // Whoever has seen that may well be gone.
    writer.flush().await?;
    let _ = writer.finish().await;
    Ok(true)
}
