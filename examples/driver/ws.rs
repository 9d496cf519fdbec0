//! `driver ws ROLE`: a connection that has just finished its handshake.

use crate::text::{Options, hex, number, unhex};
use crate::{Mode, deflate};
use bytes::Buf;
use pushline::Inbox;
use pushline::raw::Header;
use pushline::raw::apply_mask;
use pushline::ws::{
    CloseFrame, Connection, ConnectionOptions, Event, Message, Negotiated, Opcode, UsageError,
};

const KEYS: &[&str] = &[
    "max_message",
    "max_frame",
    "max_fragments",
    "parts",
    "owned",
    "pmd",
    "snct",
    "cnct",
    "smwb",
    "cmwb",
    "mask",
    "auto",
    "raw",
];

pub struct Ws {
    server: bool,
    config: ConnectionOptions,
    negotiated: Negotiated,
    mask: [u8; 4],
    owned: bool,
    raw: bool,
    run: Run,
}

/// What `reset` makes anew.
struct Run {
    connection: Connection,
    inbox: Received,
    /// A close, a failure or the end was seen: bytes answer nothing any more.
    ended: bool,
    eof: bool,
    finished: bool,
}

enum Received {
    Lent(Inbox),
    Owned(Inbox),
}

impl Ws {
    pub fn new(words: &[String]) -> Result<Self, String> {
        let (role, words) = words.split_first().ok_or("no role")?;
        let server = match role.as_str() {
            "server" => true,
            "client" => false,
            other => return Err(format!("unknown role {other}")),
        };
        let options = Options::parse(words, KEYS)?;
        let mut config = ConnectionOptions::new();
        if let Some(bytes) = options.number("max_message")? {
            config = config.max_message(bytes);
        }
        if let Some(bytes) = options.number("max_frame")? {
            config = config.max_frame(bytes);
        }
        if let Some(count) = options.number("max_fragments")? {
            config = config.max_fragments(count);
        }
        let parts = options.switch("parts")?.unwrap_or(false);
        let auto = options.switch("auto")?.unwrap_or(true);
        config = config.parts(parts).auto_pong(auto).auto_close(auto);
        let mask = unhex(options.text("mask").unwrap_or("37fa213d"))?;
        let mask = <[u8; 4]>::try_from(mask).map_err(|_| "mask is four bytes")?;
        let negotiated = deflate::negotiated(&options)?;
        // Parts are lent whatever the front end: the owned one gives whole messages.
        let owned = options.switch("owned")?.unwrap_or(false) && !parts;
        let run = Run::new(server, negotiated.clone(), config, mask, owned);
        Ok(Self {
            server,
            config,
            negotiated,
            mask,
            owned,
            raw: options.switch("raw")?.unwrap_or(false),
            run,
        })
    }
}

impl Run {
    fn new(
        server: bool,
        negotiated: Negotiated,
        config: ConnectionOptions,
        mask: [u8; 4],
        owned: bool,
    ) -> Self {
        let connection = if server {
            Connection::server(negotiated, config)
        } else {
            Connection::client(negotiated, config, move || mask)
        };
        let inbox = if owned {
            Received::Owned(Inbox::with_read_size(16 * 1024))
        } else {
            Received::Lent(Inbox::new())
        };
        Self { connection, inbox, ended: false, eof: false, finished: false }
    }

    /// Feeds received bytes and reports every event with the writes that it causes.
    fn receive(&mut self, bytes: &[u8], raw: bool, out: &mut Vec<String>) {
        match &mut self.inbox {
            Received::Lent(inbox) => drop(inbox.extend(bytes)),
            Received::Owned(inbox) => drop(inbox.extend(bytes)),
        }
        while !self.ended {
            let token = match &mut self.inbox {
                Received::Lent(inbox) => {
                    self.connection.next_event(inbox).map(|event| event.map(|event| lent(&event)))
                }
                Received::Owned(inbox) => {
                    self.connection.next_owned(inbox).map(|message| message.map(|m| owned(&m)))
                }
            };
            match token {
                Ok(Some(token)) => {
                    self.ended = token.starts_with("<close");
                    out.push(token);
                }
                Ok(None) => break,
                Err(error) => {
                    self.ended = true;
                    out.push(format!("<fail:{}", error.close_code()));
                }
            }
            self.written(raw, out);
        }
    }

    /// Reports the frames that are written, and the end of the connection.
    fn written(&mut self, raw: bool, out: &mut Vec<String>) {
        let outgoing = self.connection.outgoing();
        let mut bytes = outgoing.copy_to_bytes(outgoing.remaining());
        while let Ok(Some((header, len))) = Header::parse(&bytes) {
            let frame = bytes.split_to(len + header.payload_len as usize);
            let mut payload = frame[len..].to_vec();
            apply_mask(&mut payload, header.mask.unwrap_or_default());
            let (fin, rsv1) = (u8::from(header.fin), u8::from(header.rsv & 4 != 0));
            out.push(format!("^frame:{}:{fin}:{rsv1}:{}", header.opcode as u8, hex(&payload)));
            if raw {
                out.push(format!("^raw:{}", hex(&frame)));
            }
        }
        if self.connection.is_finished() && !self.finished {
            self.finished = true;
            out.push("^EOF".to_owned());
        }
    }

    fn receive_eof(&mut self, raw: bool, out: &mut Vec<String>) {
        if self.eof {
            return;
        }
        self.connection.receive_eof();
        if !self.ended {
            out.push("<abnormal:1006".to_owned());
        }
        (self.ended, self.eof) = (true, true);
        self.written(raw, out);
    }

    /// Makes the call that stands behind `!`.
    fn call(&mut self, call: &str) -> Result<Result<(), UsageError>, String> {
        let (name, arguments) = call.split_once(':').unwrap_or((call, ""));
        let connection = &mut self.connection;
        Ok(match name {
            "text" | "binary" | "continuation" => {
                let (fin, payload) = arguments.split_once(':').ok_or("FIN:HEX is missing")?;
                let payload = unhex(payload)?;
                let fin = match fin {
                    "0" => false,
                    "1" => true,
                    _ => return Err("FIN is 0 or 1".to_owned()),
                };
                match (name, fin) {
                    ("text", true) => match str::from_utf8(&payload) {
                        Ok(text) => connection.send(text),
                        Err(_) => Err(UsageError::InvalidUtf8),
                    },
                    ("text", false) => connection.send_fragment(Opcode::Text, false, &payload),
                    ("binary", true) => connection.send(&payload),
                    ("binary", false) => connection.send_fragment(Opcode::Binary, false, &payload),
                    _ => connection.send_fragment(Opcode::Continuation, fin, &payload),
                }
            }
            "ping" => connection.ping(&unhex(arguments)?),
            "pong" => connection.pong(&unhex(arguments)?),
            "close" if call == name => connection.close_without_code(),
            "close" => {
                let (code, reason) = arguments.split_once(':').unwrap_or((arguments, ""));
                let code: u16 = number(code).ok_or(format!("bad code {code}"))?;
                match String::from_utf8(unhex(reason)?) {
                    Ok(reason) => connection.close(code, &reason),
                    Err(_) => Err(UsageError::InvalidUtf8),
                }
            }
            _ => return Err(format!("unknown call {name}")),
        })
    }
}

impl Mode for Ws {
    fn line(&mut self, line: &str, out: &mut Vec<String>) -> Result<(), String> {
        if line == ">EOF" {
            self.run.receive_eof(self.raw, out);
        } else if let Some(bytes) = line.strip_prefix('>') {
            self.run.receive(&unhex(bytes)?, self.raw, out);
        } else if let Some(call) = line.strip_prefix('!') {
            match self.run.call(call)? {
                Ok(()) => self.run.written(self.raw, out),
                // The name alone: what stands in brackets behind it is for people.
                Err(error) => {
                    let name = format!("{error:?}");
                    out.push(format!("=err {}", name.split('(').next().unwrap_or_default()));
                }
            }
        } else {
            return Err("neither > nor !".to_owned());
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.run = Run::new(self.server, self.negotiated.clone(), self.config, self.mask, self.owned);
    }
}

fn close(code: u16, reason: &str) -> String {
    format!("<close:{code}:{}", hex(reason.as_bytes()))
}

fn lent(event: &Event<'_>) -> String {
    match event {
        Event::Text(text) => format!("<text:{}", hex(text.as_bytes())),
        Event::Binary(payload) => format!("<binary:{}", hex(payload)),
        Event::TextPart { text, fin } => format!("<part:text:{}:{}", u8::from(*fin), hex(text.as_bytes())),
        Event::BinaryPart { payload, fin } => format!("<part:binary:{}:{}", u8::from(*fin), hex(payload)),
        Event::Ping(payload) => format!("<ping:{}", hex(payload)),
        Event::Pong(payload) => format!("<pong:{}", hex(payload)),
        Event::Close(Some(CloseFrame { code, reason })) => close(code.0, reason),
        Event::Close(None) => close(1005, ""),
        other => format!("<unknown:{other:?}"),
    }
}

fn owned(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("<text:{}", hex(text.as_bytes())),
        Message::Binary(payload) => format!("<binary:{}", hex(payload)),
        Message::Ping(payload) => format!("<ping:{}", hex(payload)),
        Message::Pong(payload) => format!("<pong:{}", hex(payload)),
        Message::Close(Some((code, reason))) => close(code.0, reason),
        Message::Close(None) => close(1005, ""),
        other => format!("<unknown:{other:?}"),
    }
}
