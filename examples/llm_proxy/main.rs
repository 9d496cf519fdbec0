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

use pushline::adapter::tokio::sse::{
    Error, EventResponse, EventSource, EventWriter, SourceEvent, SourceOptions, Url,
};
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
    let method = request.method.as_str();
    match (method, request.path.as_str()) {
        // Pages of other sites cannot send this type without asking first, and nobody here answers them.
        ("POST", "/chat") if request.content_type.as_deref().is_some_and(is_json) => {
            return forward(stream, request, upstream).await;
        }
        ("POST", "/chat") => {
            respond(&mut stream, method, 415, &[], "The content is to be application/json.\n").await?
        }
        (_, "/chat") => respond(&mut stream, method, 405, &[("allow", "POST")], "").await?,
        ("GET" | "HEAD", "/") => respond_page(&mut stream, method, PAGE).await?,
        ("GET" | "HEAD", "/counts") => respond(&mut stream, method, 200, &[], &counts.to_string()).await?,
        ("GET" | "HEAD", "/favicon.ico") => respond(&mut stream, method, 204, &[], "").await?,
        (_, "/" | "/counts" | "/favicon.ico") => {
            respond(&mut stream, method, 405, &[("allow", "GET, HEAD")], "").await?
        }
        _ => respond(&mut stream, method, 404, &[], "There is nothing here. The page is at /.\n").await?,
    }
    Ok(())
}

/// Whether a type is that of JSON, whatever its parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Forwards one stream. When this returns, both connections are closed: so a browser that leaves cancels the upstream.
async fn forward(browser: TcpStream, request: Request, upstream: &Url) -> Result<(), Error> {
    let once = ReconnectPolicy::new().max_attempts(Some(1));
    let options = SourceOptions::new().policy(once).post("application/json", request.content);
    let mut source = EventSource::with_url(upstream.clone(), options);
    let mut writer = EventWriter::new(browser, request.version, &EventResponse::new());
    let mut id = String::new();
    loop {
        let update = tokio::select! {
            update = source.next() => update,
            left = writer.left() => return left,
        };
        match update {
            Some(Ok(SourceEvent::Event(event))) => {
                // Said as the upstream said it: what it left out, some clients take ill.
                let mut block = Block::new().data(&event.data);
                if event.event != pushline::sse::EventRef::MESSAGE {
                    block = block.event_type(&event.event);
                }
                if event.id != id {
                    block = block.id(&event.id);
                }
                // Nothing is read from the upstream until the browser has taken this.
                writer.send(&block).await?;
                writer.flush().await?;
                id = event.id;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What the proxy answers when the upstream is this one.
    async fn ask(request: &str, upstream: &Url, counts: &Arc<Counts>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let read = async move {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (answer, served) = tokio::join!(read, serve(stream, upstream, counts));
        served.unwrap();
        answer
    }

    /// As an older client asks: nothing is between it and the events.
    const POST: &str = "POST /chat HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    #[tokio::test]
    async fn the_recording_comes_through_byte_for_byte() {
        let counts = Arc::new(Counts::default());
        let upstream: Url =
            upstream::start(Duration::ZERO, Arc::clone(&counts)).await.unwrap().parse().unwrap();
        let answer = ask(POST, &upstream, &counts).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head}");
        assert!(body.as_bytes() == upstream::RECORDING, "{body}");
        // The upstream learns of it in its own time.
        let finished = async {
            while counts.to_string() != "begun 1, finished 1, cancelled 0" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), finished).await.unwrap();
    }

    #[tokio::test]
    async fn types_and_ids_come_through_and_a_broken_upstream_is_told() {
        for (stream, expected) in [
            (
                "event: a\nid: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\ndata: [DONE]\n\ndata: more\n\n",
                "event: a\nid: 1\ndata: x\n\ndata: y\n\nid: \ndata: z\n\ndata: [DONE]\n\n",
            ),
            ("data: x\n\n", "data: x\n\nevent: broken\ndata: cut\n\n"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let upstream: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
            let server = tokio::spawn(async move {
                let (mut connection, _) = listener.accept().await.unwrap();
                read_request(&mut connection).await.unwrap();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                connection.write_all(format!("{head}{stream}").as_bytes()).await.unwrap();
            });
            let answer = ask(POST, &upstream, &Arc::default()).await;
            assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, expected);
            server.await.unwrap();
        }
    }

    #[test]
    fn json_is_known_by_its_type_alone() {
        for json in ["application/json", "application/json; charset=utf-8", "Application/JSON ;x"] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        // Pages of other sites can send these without asking.
        for other in [
            "",
            "text/plain",
            "text/plain; application/json",
            "text/plain, application/json",
            "application/jsonx",
        ] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }

    #[tokio::test]
    async fn head_is_answered_like_get_without_the_content() {
        let upstream: Url = "http://127.0.0.1:1/".parse().unwrap();
        for path in ["/", "/counts", "/favicon.ico", "/nothing"] {
            let [get, head] =
                ["GET", "HEAD"].map(|method| format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let get = ask(&get, &upstream, &Arc::default()).await;
            let head = ask(&head, &upstream, &Arc::default()).await;
            assert_eq!(get.split_once("\r\n\r\n").unwrap().0, head.strip_suffix("\r\n\r\n").unwrap());
        }
        let answer = ask("PUT / HTTP/1.1\r\nHost: h\r\n\r\n", &upstream, &Arc::default()).await;
        assert!(answer.contains(" 405 ") && answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
}
