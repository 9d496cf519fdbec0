//! An HTTP/1.1 client that has the bytes in its hands: heads, chunks, halves of bodies, ends.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_types)]

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub struct Http {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

/// A response's head, and its body if that was read.
#[derive(Debug)]
pub struct Reply {
    pub version: String,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The status and the body.
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }
}

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    Length,
    Chunked,
}

impl Http {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), address)
    }

    /// One whose system takes little that it does not read.
    pub fn narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into(), address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address, read: Vec::new() }
    }

    fn head_of(&self, version: &str, method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {target} HTTP/{version}\r\nHost: {}\r\n", self.address);
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head
    }

    pub fn raw(&mut self, text: &str) {
        self.raw_bytes(text.as_bytes());
    }

    fn raw_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A short text of a WebSocket (RFC 6455 5.2), masked with a key of zeros.
    pub fn raw_frame(&mut self, text: &str) {
        assert!(text.len() < 126);
        let length = 0x80 | u8::try_from(text.len()).unwrap();
        self.raw_bytes(&[&[0x81, length, 0, 0, 0, 0], text.as_bytes()].concat());
    }

    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) {
        self.send_version("1.1", method, target, fields, body);
    }

    pub fn send_version(
        &mut self,
        version: &str,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) {
        let mut request = self.head_of(version, method, target, fields);
        if method == "POST" {
            write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        self.raw(&format!("{request}\r\n{body}"));
    }

    pub fn send_as(
        &mut self,
        framing: Framing,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) {
        match framing {
            Framing::Length => self.send(method, target, fields, body),
            Framing::Chunked => {
                let head = self.head_of("1.1", method, target, fields);
                let mut request = head + "Transfer-Encoding: chunked\r\n\r\n";
                for chunk in body.as_bytes().chunks(7) {
                    let text = std::str::from_utf8(chunk).unwrap();
                    write!(request, "{:x}\r\n{text}\r\n", chunk.len()).unwrap();
                }
                self.raw(&(request + "0\r\n\r\n"));
            }
        }
    }

    /// A request of which this is the beginning of its body.
    pub fn send_half(&mut self, framing: Framing, target: &str, fields: &[(&str, &str)], half: &str) {
        let head = self.head_of("1.1", "POST", target, fields);
        self.raw(&match framing {
            Framing::Length => format!("{head}Content-Length: {}\r\n\r\n{half}", 2 * half.len()),
            Framing::Chunked => {
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len())
            }
        });
    }

    /// Asks for a WebSocket.
    pub fn upgrade(&mut self, target: &str) {
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        self.send("GET", target, &fields, "");
    }

    pub fn head(&mut self) -> Reply {
        let line = self.line();
        let version = line.split(' ').next().unwrap().to_owned();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        while let Some((name, value)) = self.line().split_once(':') {
            fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Reply { version, status, fields, body: String::new() }
    }

    /// A whole response.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        if reply.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                reply.body += &chunk;
            }
        } else if let Some(length) = reply.field("content-length") {
            reply.body = self.exactly(length.parse().unwrap());
        }
        reply
    }

    /// The next chunk; `None` for the last.
    pub fn chunk(&mut self) -> Option<String> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        let chunk = self.exactly(length);
        assert_eq!(self.exactly(2), "\r\n");
        (length > 0).then_some(chunk)
    }

    /// Whether nothing has come so far.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let is_silent =
            matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        self.read.is_empty() && is_silent
    }

    /// Whether the server has ended the connection.
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }

    pub fn exactly(&mut self, length: usize) -> String {
        while self.read.len() < length {
            assert!(self.fill(), "the connection has ended behind {:?}", String::from_utf8_lossy(&self.read));
        }
        let rest = self.read.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap()
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.exactly(end + 2);
                line.truncate(end);
                return line;
            }
            assert!(self.fill(), "the connection has ended behind {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        for _ in 0..6 {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.read.extend_from_slice(&bytes[..count]);
                    return true;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return false,
            }
        }
        panic!("nothing comes behind {:?}", String::from_utf8_lossy(&self.read));
    }
}
