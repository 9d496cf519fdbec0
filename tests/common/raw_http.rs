//! An HTTP client that shows what is on the wire: heads, chunks, ends.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_types)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub struct Http {
    stream: TcpStream,
    address: SocketAddr,
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
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }
}

impl Http {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address }
    }

    pub fn send(&mut self, version: &str, method: &str, target: &str, fields: &[(&str, &str)], body: &str) {
        let mut head = format!("{method} {target} HTTP/{version}\r\nHost: {}\r\n", self.address);
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        if method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    }

    /// The head of a response.
    pub fn head(&mut self) -> Reply {
        let mut line = self.line();
        let version = line.split(' ').next().unwrap().to_owned();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        loop {
            line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Reply { version, status, fields, body: String::new() }
    }

    /// A whole response to a request of its own kind.
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

    pub fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether the server has ended the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).unwrap()
    }
}
