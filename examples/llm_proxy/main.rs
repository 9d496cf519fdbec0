//! A proxy for the token stream of a language model:
//! `llm_proxy [--listen ADDR] [--upstream URL] [--delay MS]`, by default on 127.0.0.1:8082.
//!
//! `/` is a page to try it, `POST /chat` the proxy: it sends the content on to the upstream, reads the event stream that
//! answers, and forwards it event by event. A browser that reads slowly slows the upstream down; one that leaves cancels
//! it; `[DONE]` ends it. Without `--upstream` a small one runs in this program and plays a recording, so nothing else is
//! needed; `GET /counts` tells how many of its streams were begun, finished and cancelled.

#[path = "../http/mod.rs"]
mod http;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use pushline::adapter::tokio::sse::{Error, EventSource, EventWriter, Response, SourceOptions, Update, Url};
use pushline::sse::{Block, ReconnectPolicy};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{Request, read_request, respond, respond_page};
use crate::upstream::Counts;

const PAGE: &str = include_str!("page.html");

/// The data of the last event.
pub const DONE: &str = "[DONE]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: llm_proxy [--listen ADDR] [--upstream URL] [--delay MS]";
    let (mut listen, mut upstream, mut delay) =
        ("127.0.0.1:8082".to_owned(), None, Duration::from_millis(25));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(usage)?;
        match argument.as_str() {
            "--listen" => listen = value,
            "--upstream" => upstream = Some(value),
            "--delay" => delay = Duration::from_millis(value.parse()?),
            _ => return Err(usage.into()),
        }
    }
    let counts = Arc::new(Counts::default());
    let upstream: Url = match upstream {
        Some(url) => url.parse()?,
        None => upstream::start(delay, Arc::clone(&counts)).await?.parse()?,
    };
    let listener = TcpListener::bind(&listen).await?;
    println!("proxy on http://{}/ for {upstream}", listener.local_addr()?);
    http::accept(listener, move |stream| {
        let (upstream, counts) = (upstream.clone(), Arc::clone(&counts));
        async move {
            if let Err(error) = serve(stream, &upstream, &counts).await {
                eprintln!("{error}");
            }
        }
    })
    .await;
    Ok(())
}

async fn serve(mut stream: TcpStream, upstream: &Url, counts: &Counts) -> Result<(), Error> {
    let Ok(request) = read_request(&mut stream).await else { return Ok(()) };
    match (request.method.as_str(), request.path.as_str()) {
        // Pages of other sites cannot send this type without asking first, and nobody here answers them.
        ("POST", "/chat") if request.content_type.as_deref() == Some(b"application/json") => {
            return forward(stream, request, upstream).await;
        }
        ("POST", "/chat") => {
            respond(&mut stream, 415, &[], "The content is to be application/json.\n").await?
        }
        ("GET", "/") => respond_page(&mut stream, PAGE).await?,
        ("GET", "/counts") => respond(&mut stream, 200, &[], &counts.to_string()).await?,
        ("GET", "/favicon.ico") => respond(&mut stream, 204, &[], "").await?,
        _ => respond(&mut stream, 404, &[], "There is nothing here. The page is at /.\n").await?,
    }
    Ok(())
}

/// Forwards one stream. When this returns, both connections are closed: so a browser that leaves cancels the upstream.
async fn forward(browser: TcpStream, request: Request, upstream: &Url) -> Result<(), Error> {
    let once = ReconnectPolicy::new().max_attempts(Some(1));
    let options = SourceOptions::new().policy(once).post("application/json", request.content);
    let mut source = EventSource::with_url(upstream.clone(), options);
    let mut writer = EventWriter::new(browser, request.version, &Response::new());
    loop {
        let update = tokio::select! {
            update = source.next() => update,
            left = writer.left() => return left,
        };
        match update {
            Some(Ok(Update::Event(event))) => {
                // Nothing is read from the upstream until the browser has taken this.
                writer.send(&Block::new().event_type(&event.event).data(&event.data)).await?;
                writer.flush().await?;
                if event.data == DONE {
                    return writer.finish().await;
                }
            }
            Some(Ok(_)) => {}
            // The upstream failed, or ended without a word: the browser must not take that for the end.
            broken => {
                let what = broken.and_then(Result::err).map_or("cut".to_owned(), |error| error.to_string());
                writer.send(&Block::new().event_type("broken").data(&what)).await?;
                return writer.finish().await;
            }
        }
    }
}
