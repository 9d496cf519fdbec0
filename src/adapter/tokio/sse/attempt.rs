//! One request for an event stream, up to the end of the response's head.

use super::{Error, Url};
use crate::http1::head::{Body, FieldLines, Limits, Reader, Slots, write_request};
use crate::sse::{Method, request_fields};
use core::pin::Pin;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How many responses of class 1xx are borne before the one that counts (RFC 9110 15.2).
const INTERIM: usize = 16;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) method: Method,
    /// The caller's fields.
    pub(super) fields: FieldLines,
    /// What a POST sends.
    pub(super) content: Option<(String, Vec<u8>)>,
    pub(super) last_event_id: String,
    /// Credentials are left out: the request goes to another origin than the caller's.
    pub(super) is_foreign: bool,
}

/// A response, its body still to be read.
#[derive(Debug)]
pub(super) struct Answer<S> {
    pub(super) stream: S,
    pub(super) status: u16,
    pub(super) content_type: Option<Vec<u8>>,
    pub(super) location: Option<Vec<u8>>,
    pub(super) body: Body,
    /// What was read behind the head.
    pub(super) received: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum Failed {
    /// There was no connection: not a byte was sent.
    Connect(Error),
    Request(Error),
}

/// An attempt under way. It lives in the client, not in the future of a call.
pub(super) type Attempt<S> = Pin<Box<dyn Future<Output = Result<Answer<S>, Failed>> + Send>>;

/// Connects, sends the request and reads the head of the response.
pub(super) async fn attempt<S>(
    connecting: super::Connecting<S>,
    request: Request,
    connect_timeout: Duration,
    response_timeout: Duration,
) -> Result<Answer<S>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connected = timeout(connect_timeout, connecting).await;
    let mut stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failed::Connect(error.into())),
        Err(_) => return Err(Failed::Connect(Error::TimedOut)),
    };
    let answer = timeout(response_timeout, async {
        stream.write_all(&request.to_bytes()?).await?;
        stream.flush().await?;
        read_head(&mut stream, request.method).await
    });
    match answer.await {
        Ok(Ok(head)) => Ok(head(stream)),
        Ok(Err(error)) => Err(Failed::Request(error)),
        Err(_) => Err(Failed::Request(Error::TimedOut)),
    }
}

/// The head of the final response; it is put together with its stream by the caller.
async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    method: Method,
) -> Result<impl FnOnce(S) -> Answer<S> + use<S>, Error> {
    let mut reader = Reader::new(Limits::default());
    let mut received = Vec::with_capacity(4096);
    let mut interim = 0;
    loop {
        let mut slots = Slots::new();
        if let Some(head) = reader.read_response(&received, &mut slots)? {
            let length = head.len();
            if head.status() / 100 == 1 && interim < INTERIM {
                interim += 1;
                received.drain(..length);
                continue;
            }
            let [content_type, location] =
                ["content-type", "location"].map(|name| head.field(name).map(<[u8]>::to_vec));
            let (status, body) = (head.status(), head.body(name(method)));
            received.drain(..length);
            return Ok(move |stream| Answer { stream, status, content_type, location, body, received });
        }
        // The reader's limits bound what is kept.
        received.reserve(1024);
        if stream.read_buf(&mut received).await? == 0 {
            return Err(Error::Aborted);
        }
    }
}

impl Request {
    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut fields = FieldLines::new();
        let mut push = |name: &str, value: &[u8]| fields.push(name, value);
        let pushed = push("host", self.url.host_field().as_bytes());
        let mut pushed = [pushed].into_iter().collect::<Result<(), _>>();
        for (name, value) in request_fields(&self.last_event_id) {
            // An ID with a control byte cannot stand in a field; the server must do without.
            if name != "last-event-id" || crate::http1::syntax::is_field_value(value.as_bytes()) {
                pushed = pushed.and_then(|()| push(name, value.as_bytes()));
            }
        }
        for (name, value) in self.fields.iter() {
            if !(self.is_foreign && is_credential(name)) {
                pushed = pushed.and_then(|()| push(name, value));
            }
        }
        let content = self.content.as_ref().filter(|_| self.method == Method::Post);
        if let Some((content_type, content)) = content {
            pushed = pushed.and_then(|()| push("content-type", content_type.as_bytes()));
            pushed =
                pushed.and_then(|()| push("content-length", std::format!("{}", content.len()).as_bytes()));
        }
        let mut out = Vec::with_capacity(512);
        pushed.map_err(std::io::Error::other)?;
        write_request(&mut out, name(self.method), self.url.target(), &fields)
            .map_err(std::io::Error::other)?;
        out.extend_from_slice(content.map_or(&[], |(_, content)| content));
        Ok(out)
    }
}

/// What is meant for one origin and must not be sent to another.
fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

const fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
    }
}
