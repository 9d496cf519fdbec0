//! A dashboard that ticks: `sse_server [--listen ADDR] [--cut N] [--play FILE]`, by default on 127.0.0.1:8081.
//!
//! `/` is the page, `/events` its stream. A client that comes back gets what it missed; one that was away for too long,
//! or knew an earlier run of the server, is told so. There is no queue for each client: the log is the queue, and a
//! client that is slow to read is a client that has missed something.
//!
//! `--cut N` cuts each stream after N events, in the middle of the next. `--play FILE` serves the events of a file
//! instead of ticks: a line each, JSON with any of `event`, `id`, `data`, `comment` and `retry` (milliseconds).

#[path = "../http/mod.rs"]
mod http;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pushline::adapter::tokio::sse::{Error, EventResponse, EventWriter};
use pushline::sse::{Block, EncodeError, PreparedEvent, ReplayLog, Resume};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use crate::http::{Request, read_request, respond, respond_page};

const PAGE: &str = include_str!("page.html");

/// How often there is something new.
const TICK: Duration = Duration::from_millis(500);

/// How many ticks a new client gets to begin with.
const HISTORY: u64 = 60;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: sse_server [--listen ADDR] [--cut N] [--play FILE]";
    let (mut listen, mut cut, mut play) = ("127.0.0.1:8081".to_owned(), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(usage)?;
        match argument.as_str() {
            "--listen" => listen = value,
            "--cut" => cut = Some(value.parse()?),
            "--play" => play = Some(std::fs::read_to_string(value)?),
            _ => return Err(usage.into()),
        }
    }
    let listener = TcpListener::bind(&listen).await?;
    println!("dashboard on http://{}/", listener.local_addr()?);
    let feed = Arc::new(match play {
        Some(lines) => Feed::recorded(&lines)?,
        None => Feed::new(std::process::id())?,
    });
    if feed.ticks {
        tokio::spawn(tick(Arc::clone(&feed)));
    }
    http::accept(listener, move |stream| {
        let feed = Arc::clone(&feed);
        async move {
            // Ends of connections are nobody's concern here.
            let _ = serve(stream, &feed, cut).await;
        }
    })
    .await;
    Ok(())
}

/// What all clients are served from.
struct Feed {
    log: Mutex<ReplayLog>,
    /// The number of the last tick.
    newest: watch::Sender<u64>,
    /// Tells this run of the server from others: it is part of each ID.
    run: u32,
    ticks: bool,
}

/// An event as `--play` reads it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Recorded {
    event: Option<String>,
    id: Option<String>,
    data: Option<String>,
    comment: Option<String>,
    retry: Option<u64>,
}

impl Feed {
    /// The ID from which a new client is served a recording.
    const START: &str = "start";

    fn new(run: u32) -> Result<Self, EncodeError> {
        let mut log = ReplayLog::default();
        // What a client has seen that has seen no tick.
        log.push(Block::new().id(&format!("{run}-0")).prepare()?);
        Ok(Self { log: Mutex::new(log), newest: watch::Sender::new(0), run, ticks: true })
    }

    fn recorded(lines: &str) -> Result<Self, Box<dyn std::error::Error>> {
        // All of it stays.
        let mut log = ReplayLog::new(usize::MAX, usize::MAX);
        log.push(Block::new().id(Self::START).prepare()?);
        for line in lines.lines() {
            let recorded: Recorded = serde_json::from_str(line)?;
            let mut block = Block::new();
            if let Some(event_type) = &recorded.event {
                block = block.event_type(event_type);
            }
            if let Some(id) = &recorded.id {
                block = block.id(id);
            }
            if let Some(data) = &recorded.data {
                block = block.data(data);
            }
            if let Some(comment) = &recorded.comment {
                block = block.comment(comment);
            }
            if let Some(retry) = recorded.retry {
                block = block.retry(Duration::from_millis(retry));
            }
            log.push(block.prepare()?);
        }
        Ok(Self { log: Mutex::new(log), newest: watch::Sender::new(0), run: 0, ticks: false })
    }

    fn id(&self, number: u64) -> Vec<u8> {
        if self.ticks { format!("{}-{number}", self.run).into_bytes() } else { Self::START.into() }
    }

    /// Adds a tick.
    fn push(&self, data: &str) {
        self.newest.send_modify(|number| {
            *number += 1;
            let id = format!("{}-{number}", self.run);
            // The ID is digits and a hyphen: it can be encoded.
            if let Ok(event) = Block::new().event_type("tick").id(&id).data(data).prepare() {
                self.log().push(event);
            }
        });
    }

    /// What a client has missed that has seen this event last; `None` if that cannot be told.
    fn since(&self, last_event_id: &[u8]) -> Option<Vec<PreparedEvent>> {
        match self.log().resume(Some(last_event_id)) {
            Resume::From(missed) => Some(missed.cloned().collect()),
            Resume::Fresh | Resume::Gone => None,
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, ReplayLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Invents measurements: three quantities that wander.
async fn tick(feed: Arc<Feed>) {
    let began = Instant::now();
    let mut ticks = interval(TICK);
    let mut seed = feed.run | 1;
    let mut levels = [40.0, 55.0, 25.0];
    loop {
        ticks.tick().await;
        for level in &mut levels {
            // Xorshift: good enough to look alive.
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            let step = f64::from(seed) / f64::from(u32::MAX) * 12.0 - 6.0;
            *level = f64::clamp(*level + step, 2.0, 98.0);
        }
        let [cpu, memory, network] = levels;
        let uptime = began.elapsed().as_secs();
        feed.push(&format!(
            r#"{{"uptime":{uptime},"cpu":{cpu:.1},"memory":{memory:.1},"network":{network:.1}}}"#
        ));
    }
}

async fn serve(mut stream: TcpStream, feed: &Feed, cut: Option<u64>) -> Result<(), Error> {
    let request = read_request(&mut stream).await?;
    let method = request.method.as_str();
    match (method, request.path.as_str()) {
        ("GET", "/events") => events(stream, &request, feed, cut).await?,
        (_, "/events") => respond(&mut stream, method, 405, &[("allow", "GET")], "").await?,
        ("GET" | "HEAD", "/") => respond_page(&mut stream, method, PAGE).await?,
        ("GET" | "HEAD", "/favicon.ico") => respond(&mut stream, method, 204, &[], "").await?,
        (_, "/" | "/favicon.ico") => respond(&mut stream, method, 405, &[("allow", "GET, HEAD")], "").await?,
        _ => {
            respond(&mut stream, method, 404, &[], "There is nothing here. The dashboard is at /.\n").await?
        }
    }
    Ok(())
}

/// Serves one client, from what it missed to whatever comes.
async fn events(
    mut stream: TcpStream,
    request: &Request,
    feed: &Feed,
    cut: Option<u64>,
) -> Result<(), Error> {
    let mut newest = feed.newest.subscribe();
    let mut left = cut.unwrap_or(u64::MAX);
    let mut writer = EventWriter::new(&mut stream, request.version, &EventResponse::new());
    if feed.ticks {
        writer.send(&Block::new().retry(Duration::from_secs(1))).await?;
    }
    let now = *newest.borrow_and_update();
    let named = request.last_event_id.clone().filter(|id| !id.is_empty());
    let mut seen = named.unwrap_or_else(|| feed.id(now.saturating_sub(HISTORY)));
    loop {
        match feed.since(&seen) {
            Some(missed) => {
                for event in missed {
                    if left == 0 {
                        writer.flush().await?;
                        drop(writer);
                        // A chunk that never ends.
                        stream.write_all(b"ff\r\nid: cut\ndata: this is never dis").await?;
                        return Ok(());
                    }
                    left -= 1;
                    writer.send_prepared(&event).await?;
                    if let Some(id) = event.id() {
                        seen = id.to_vec();
                    }
                }
            }
            // Too much was missed, or another run of the server was seen: from here on, with a word about it.
            None => {
                let number = *newest.borrow_and_update();
                seen = feed.id(number);
                let id = String::from_utf8_lossy(&seen).into_owned();
                writer.send(&Block::new().event_type("gap").id(&id).data("")).await?;
            }
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return writer.finish().await },
            left = writer.left() => return left,
        }
    }
}
