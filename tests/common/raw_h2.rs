//! One end of a connection of HTTP/2, frame by frame (RFC 9113 4.1).
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const CANCEL: u32 = 8;

/// A request for a WebSocket (RFC 8441 5).
pub const BASE: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "h"),
    ("sec-websocket-version", "13"),
];

/// An end; 5 s for each frame.
pub struct Raw<S>(S);

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub async fn client(stream: S) -> Self {
        Self::client_with(stream, &[]).await
    }

    pub async fn client_with(stream: S, settings: &[u8]) -> Self {
        let mut raw = Self(stream);
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        raw.send(SETTINGS, 0, 0, settings).await;
        raw
    }

    pub async fn server(stream: S, enable_connect_protocol: &[u32]) -> Self {
        let mut raw = Self(stream);
        raw.0.read_exact(&mut [0; 24]).await.unwrap();
        for value in enable_connect_protocol {
            let setting = [&[0, 8], &value.to_be_bytes()[..]].concat();
            raw.send(SETTINGS, 0, 0, &setting).await;
        }
        raw
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // A peer that has given up takes nothing more.
        let _ = self.0.write_all(&[&head, payload].concat()).await;
    }

    /// RFC 7541 6.2.2: literal fields without indexing.
    pub async fn send_headers(&mut self, flags: u8, stream: u32, fields: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.send(HEADERS, flags | END_HEADERS, stream, &block).await;
    }

    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        timeout(Duration::from_secs(5), self.0.read_exact(&mut head)).await.unwrap().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of a stream, or the end of the connection.
    pub async fn next_of(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.send(SETTINGS, 1, 0, &[]).await;
            }
            // Window updates are of no interest.
            if frame.kind == GOAWAY || frame.stream == stream && frame.kind != WINDOW_UPDATE {
                return Some(frame);
            }
        }
    }
}

pub fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}
