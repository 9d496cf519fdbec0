//! A server of one test's, whose every byte the test writes, on a port of loopback.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::disallowed_methods
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Looks at what is waited for: counted and not timed, for a process that was stopped has not looked.
const LOOKS: usize = 600;

pub struct Scripted {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Scripted {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.address)
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Peer {
        for _ in 0..20 * LOOKS {
            match self.try_accept() {
                Some(peer) => return peer,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("nobody connects");
    }

    /// A connection that is there already.
    pub fn try_accept(&self) -> Option<Peer> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Some(Peer { stream, read: Vec::new() })
    }
}

/// A client's connection.
pub struct Peer {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// Reads more; `false` at the end, however it comes.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        for _ in 0..LOOKS {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.read.extend_from_slice(&bytes[..count]);
                    return true;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return false,
            }
        }
        panic!("nothing comes behind {:?}", String::from_utf8_lossy(&self.read));
    }

    #[track_caller]
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.fill(), "the client has left behind {:?}", String::from_utf8_lossy(&self.read));
        }
        let rest = self.read.split_off(length);
        std::mem::replace(&mut self.read, rest)
    }

    /// A request's head, with its empty line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8(self.exactly(end + 4)).unwrap();
            }
            assert!(self.fill(), "the client has left behind {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Whether anything comes within this time.
    pub fn has_head(&mut self, time: Duration) -> bool {
        let began = std::time::Instant::now();
        while self.read.is_empty() && began.elapsed() < time {
            let mut bytes = [0; 1024];
            if let Ok(count @ 1..) = self.stream.read(&mut bytes) {
                self.read.extend_from_slice(&bytes[..count]);
            }
        }
        !self.read.is_empty()
    }

    /// A request whose body has a length, and the body.
    #[track_caller]
    pub fn request(&mut self) -> (String, String) {
        let head = self.head();
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.exactly(length)).unwrap();
        (head, body)
    }

    /// Whatever the client does not take is lost.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// A response of 200 with this body.
    pub fn answer(&mut self, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Reads a request for a WebSocket and lets it in, with these fields as well; gives the request.
    #[track_caller]
    pub fn open(&mut self, fields: &str) -> String {
        let head = self.head();
        self.send(accepted(&head, fields));
        head
    }

    /// A frame of the client's, unmasked: its first byte and its payload (RFC 6455 5.2).
    #[track_caller]
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.exactly(2);
        assert!(head[1] & 0x80 != 0, "a client masks");
        let length = match head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.exactly(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.exactly(8).try_into().unwrap()),
            length => u64::from(length),
        };
        let key = self.exactly(4);
        let mut payload = self.exactly(length.try_into().unwrap());
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[at % 4];
        }
        (head[0], payload)
    }

    /// A whole text of the client's.
    #[track_caller]
    pub fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// All that comes until the end.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// Ends our direction.
    pub fn end(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// A frame of the server's, not masked.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(u8::try_from(length).unwrap()),
        length @ 126..65536 => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// The value of a head's field.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The `Sec-WebSocket-Accept` that answers a request.
pub fn accept_key(head: &str) -> String {
    let key = field(head, "sec-websocket-key").unwrap_or_default();
    let key = pushline::ws::handshake::Key::parse(key.as_bytes()).unwrap();
    key.accept().as_str().to_owned()
}

/// A response that lets a client in.
pub fn accepted(head: &str, fields: &str) -> String {
    let key = accept_key(head);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {key}\r\n{fields}\r\n"
    )
}
