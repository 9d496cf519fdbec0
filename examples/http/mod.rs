//! What the examples need of HTTP: read a request, answer it with a page or a few words.

use std::io;
use std::time::Duration;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use pushline::http1::head::{
    BodyFraming, FieldLines, HeadLimits, HeadReader, Slots, Version, write_response,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Time for a whole request, and for the client to take a short answer.
const WITHIN: Duration = Duration::from_secs(15);

/// The most bytes of content that a request may have.
const MAX_CONTENT: u64 = 64 * 1024;

/// One request; its connection serves no other.
#[derive(Debug)]
#[allow(dead_code, reason = "no example uses all of it")]
pub struct Request {
    pub method: String,
    pub path: String,
    pub version: Version,
    pub last_event_id: Option<Vec<u8>>,
    pub content_type: Option<Vec<u8>>,
    pub content: Vec<u8>,
}

/// Accepts connections for ever.
pub async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
            // Out of file descriptors, most likely: some will be free again.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Reads a request; one that cannot be read is answered.
pub async fn read_request(stream: &mut TcpStream) -> io::Result<Request> {
    match timeout(WITHIN, read(stream)).await {
        Ok(Ok(Ok(request))) => Ok(request),
        Ok(Ok(Err(status))) => {
            respond(stream, "", status, &[], "This request cannot be served.\n").await?;
            Err(io::ErrorKind::InvalidData.into())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The request, or the status that refuses it.
async fn read(stream: &mut TcpStream) -> io::Result<Result<Request, u16>> {
    let mut received = Vec::with_capacity(2048);
    let mut reader = HeadReader::new(HeadLimits::default());
    let (mut request, length) = loop {
        let mut slots = Slots::new();
        match reader.read_request(&received, &mut slots) {
            Ok(Some(head)) => {
                let length = match head.body() {
                    BodyFraming::None => 0,
                    BodyFraming::Length(length) if length <= MAX_CONTENT => length as usize,
                    BodyFraming::Length(_) => return Ok(Err(413)),
                    _ => return Ok(Err(411)),
                };
                let field = |name| head.field(name).map(<[u8]>::to_vec);
                let request = Request {
                    method: head.method().to_owned(),
                    path: head.path().to_owned(),
                    version: head.version(),
                    last_event_id: field("last-event-id"),
                    content_type: field("content-type"),
                    content: Vec::new(),
                };
                let end = head.len();
                received.drain(..end);
                break (request, length);
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(error.status())),
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    while received.len() < length {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    received.truncate(length);
    request.content = received;
    Ok(Ok(request))
}

/// Answers a request of this method, and ends the connection.
pub async fn respond(
    stream: &mut TcpStream,
    method: &str,
    status: u16,
    fields: &[(&str, &str)],
    content: &str,
) -> io::Result<()> {
    let mut lines = FieldLines::new();
    let length = content.len().to_string();
    let text = ("content-type", "text/plain; charset=utf-8");
    let text = (!fields.iter().any(|(name, _)| *name == text.0) && status != 204).then_some(text);
    let length = (status != 204).then_some(("content-length", length.as_str()));
    let rest = [("x-content-type-options", "nosniff"), ("connection", "close")];
    for (name, value) in fields.iter().copied().chain(text).chain(length).chain(rest) {
        lines.push(name, value).map_err(io::Error::other)?;
    }
    let mut out = Vec::with_capacity(512 + content.len());
    write_response(&mut out, status, &lines).map_err(io::Error::other)?;
    // RFC 9110 9.3.2: what HEAD asks for is the length of the content, not the content.
    if method != "HEAD" {
        out.extend_from_slice(content.as_bytes());
    }
    timeout(WITHIN, stream.write_all(&out)).await??;
    stream.shutdown().await
}

/// Answers with a page that has one script and one style, and runs nothing else.
pub async fn respond_page(stream: &mut TcpStream, method: &str, page: &str) -> io::Result<()> {
    let hash = |element: &str| {
        let inner = page.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
        let inner = inner.split_once(&format!("</{element}>")).map_or("", |(inner, _)| inner);
        Base64Display::new(&Sha256::digest(inner), &STANDARD).to_string()
    };
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    );
    let fields = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", policy.as_str()),
        ("cache-control", "no-cache"),
    ];
    respond(stream, method, 200, &fields, page).await
}
