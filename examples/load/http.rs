//! As much of an HTTP/1.1 client as polling takes, on pushline's heads and chunked bodies. A connection that waits holds
//! no buffer.

use std::io;
use std::time::Duration;

use pushline::http1::chunked::{self, Piece};
use pushline::http1::head::{BodyFraming, FieldLines, HeadLimits, HeadReader, Slots, write_request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, Ended};
use crate::options::Transport;
use crate::world::World;

/// The longest silence: requests are held for 20 seconds, and streams say something as often.
const SILENCE: Duration = Duration::from_secs(60);

/// Of a body: what a client may have missed, and a welcome that names everybody in the room.
const MAX_BODY: usize = 16 << 20;

const READ: usize = 4096;

/// A connection to a node.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    authority: String,
    received: Vec<u8>,
    body: Rest,
    keep: bool,
}

/// What is still to come of a body.
#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Box<chunked::ChunkedDecoder>),
    UntilClose,
}

impl Wire {
    pub async fn connect(world: &World, node: usize) -> io::Result<Self> {
        let stream = world.connect(node).await?;
        let authority = world.authority(node).to_owned();
        Ok(Self { stream, authority, received: Vec::new(), body: Rest::Length(0), keep: true })
    }

    /// Whether another request may be sent.
    pub fn is_open(&self) -> bool {
        self.keep
    }

    /// Sends a request and reads the head of the answer: its status.
    pub async fn ask(&mut self, method: &str, target: &str, content: &str) -> Result<u16, Ended> {
        let mut fields = FieldLines::new();
        fields.push("Host", &self.authority)?;
        if method == "POST" {
            fields.push("Content-Type", "text/plain")?;
            fields.push("Content-Length", content.len().to_string())?;
        }
        let mut request = Vec::with_capacity(256 + target.len() + content.len());
        write_request(&mut request, method, target, &fields)?;
        request.extend_from_slice(content.as_bytes());
        timeout(SILENCE, self.stream.write_all(&request)).await??;
        drop(request);
        let mut reader = HeadReader::new(HeadLimits::default());
        loop {
            if let Some(head) = reader.read_response(&self.received, &mut Slots::<32>::with_room())? {
                let (status, length) = (head.status(), head.len());
                self.keep = head.keep_alive(method);
                self.body = match head.body(method) {
                    BodyFraming::None => Rest::Length(0),
                    BodyFraming::Length(length) => Rest::Length(length),
                    BodyFraming::Chunked => Rest::Chunked(Box::new(chunked::ChunkedDecoder::new(
                        chunked::ChunkedLimits::default(),
                    ))),
                    BodyFraming::UntilClose => Rest::UntilClose,
                };
                self.received.drain(..length);
                if status >= 200 {
                    return Ok(status);
                }
                continue;
            }
            if !self.read().await? {
                return Err("the connection ended before the answer".into());
            }
        }
    }

    /// Appends what came of the body to `data`; `false` if that was all.
    pub async fn more(&mut self, data: &mut Vec<u8>) -> Result<bool, Ended> {
        loop {
            let had = data.len();
            if !self.take(data)? {
                return Ok(false);
            }
            if data.len() > MAX_BODY {
                return Err("an answer without end".into());
            }
            if data.len() > had {
                return Ok(true);
            }
            if !self.read().await? {
                let is_all = matches!(self.body, Rest::UntilClose);
                return if is_all { Ok(false) } else { Err("the answer was cut".into()) };
            }
        }
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> Result<Vec<u8>, Ended> {
        let mut data = Vec::new();
        while self.more(&mut data).await? {}
        Ok(data)
    }

    /// Takes what has been received; `false` if the body is complete.
    fn take(&mut self, data: &mut Vec<u8>) -> Result<bool, Ended> {
        match &mut self.body {
            Rest::UntilClose => {
                data.append(&mut self.received);
                Ok(true)
            }
            Rest::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.received.len());
                data.extend(self.received.drain(..here));
                *left -= here as u64;
                Ok(*left > 0)
            }
            Rest::Chunked(decoder) => {
                let mut at = 0;
                let is_over = loop {
                    match decoder.decode(self.received.get(at..).unwrap_or_default())? {
                        (used, Some(Piece::Data(piece))) => {
                            data.extend_from_slice(piece);
                            at += used;
                        }
                        (used, Some(Piece::End)) => {
                            at += used;
                            break true;
                        }
                        (used, None) => {
                            at += used;
                            break false;
                        }
                    }
                };
                self.received.drain(..at);
                Ok(!is_over)
            }
        }
    }

    /// Waits for bytes, and only then makes room for them; `false` at the end.
    async fn read(&mut self) -> io::Result<bool> {
        if self.received.is_empty() {
            self.received = Vec::new();
        }
        loop {
            timeout(SILENCE, self.stream.readable()).await??;
            self.received.reserve(READ);
            match self.stream.try_read_buf(&mut self.received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Ok(read? > 0),
            }
        }
    }
}

/// Sends what the client has to say, on a connection of its own, to any node.
pub async fn speak(client: &Client, world: &World) -> Result<(), Ended> {
    let mut wire = None;
    loop {
        let say = client.next_say(world).await;
        match post(client, world, &mut wire, &say).await {
            Ok(204) => {}
            Ok(status) => {
                world.note(&*Ended::from(format!("saying: {status}")), true);
                client.say_again();
            }
            Err(error) => {
                wire = None;
                world.note(&*error, true);
                client.say_again();
            }
        }
    }
}

/// One request of the page's; the status of the answer.
async fn post(client: &Client, world: &World, wire: &mut Option<Wire>, say: &str) -> Result<u16, Ended> {
    let mut open = match wire.take().filter(Wire::is_open) {
        Some(wire) => wire,
        None => Wire::connect(world, world.any_node(None)).await?,
    };
    let (session, room) = (&client.session, world.room());
    let status = if client.transport == Transport::Jsonp {
        let text = escape(say);
        let target = format!("/send?session={session}&callback=pushlineJsonp1{room}&text={text}");
        open.ask("GET", &target, "").await?;
        let script = open.rest().await?;
        // A script cannot see a status: it is told.
        let digits = script.iter().filter(|byte| byte.is_ascii_digit()).skip(1);
        digits.fold(0_u16, |status, digit| status.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
    } else {
        let status = open.ask("POST", &format!("/send?session={session}{room}"), say).await?;
        open.rest().await?;
        status
    };
    *wire = Some(open);
    Ok(status)
}

/// As a part of a query (RFC 3986 2.1).
fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
