//! A server behind hyper on a port of loopback, and a client that has the bytes in its hands.

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pushline::adapter::Options;
use pushline::adapter::blocking::{self, ClientStream, WebSocket};
use pushline::ws::Message;
use pushline::ws::handshake::ClientOptions;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Serves until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    /// `make` is called inside of the runtime: it gives what the test looks at, and the function that answers.
    pub fn start<T, F, R, B>(make: impl FnOnce() -> (T, F)) -> (Self, T)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<B>> + Send,
        B: Body<Error = Infallible> + Send + 'static,
        B::Data: Send,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guard = runtime.enter();
        let (seen, answer) = make();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                // What the system would take for a client that does not read.
                let _ = socket2::SockRef::from(&stream).set_send_buffer_size(8 << 10);
                count.fetch_add(1, Ordering::SeqCst);
                let (open, answer) = (Open(Arc::clone(&count)), answer.clone());
                let serve = service_fn(move |request| {
                    let answer = answer.clone();
                    async move { Ok::<_, Infallible>(answer(request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), serve);
                tokio::spawn(async move {
                    let _ = connection.with_upgrades().await;
                    drop(open);
                });
            }
        });
        drop(guard);
        (Self { address, connections, _runtime: runtime }, seen)
    }

    /// A request of its own connection, and the whole response.
    pub fn ask(&self, method: &str, target: &str, body: &str) -> Reply {
        let mut client = Client::connect(self.address);
        client.send(method, target, &[], body);
        client.reply()
    }

    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "")
    }

    pub fn post(&self, target: &str, body: &str) -> Reply {
        self.ask("POST", target, body)
    }

    /// A request whose response is not looked at yet.
    pub fn begin(&self, method: &str, target: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.send(method, target, &[], "");
        client
    }

    pub fn websocket(&self, target: &str) -> Result<WebSocket<ClientStream>, pushline::adapter::Error> {
        let url = format!("ws://{}{target}", self.address);
        blocking::connect(&url, ClientOptions::new(), &Options::new())
    }

    /// Waits until the server has noticed that all but so many have left.
    pub fn has_connections(&self, count: usize) {
        until("connections", || self.connections.load(Ordering::SeqCst) == count);
    }
}

/// Waits until it is so. Looks are counted and not seconds: a process that was stopped meanwhile has not looked.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it does not come to be: {what}");
}

/// A moment in which whatever is busy would show.
pub fn moment() {
    std::thread::sleep(Duration::from_millis(150));
}

/// The next text; `None` at the end, however it comes.
pub fn text(socket: &mut WebSocket<ClientStream>) -> Option<String> {
    loop {
        match socket.next() {
            Ok(Some(Message::Text(text))) => return Some(text.into()),
            Ok(Some(Message::Close(_)) | None) | Err(_) => return None,
            Ok(Some(_)) => {}
        }
    }
}

/// One connection of HTTP/1.1.
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

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

impl Client {
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

    fn head_of(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
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
        self.send_as(Framing::Length, method, target, fields, body);
    }

    pub fn send_as(
        &mut self,
        framing: Framing,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) {
        let mut request = self.head_of(method, target, fields);
        match framing {
            Framing::Length if method == "POST" => {
                write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
            Framing::Length => request += "\r\n",
            Framing::Chunked => {
                request += "Transfer-Encoding: chunked\r\n\r\n";
                for chunk in body.as_bytes().chunks(7) {
                    write!(request, "{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
                        .unwrap();
                }
                request += "0\r\n\r\n";
            }
        }
        self.raw(&request);
    }

    /// A request of which this is the beginning of its body.
    pub fn send_half(&mut self, framing: Framing, target: &str, fields: &[(&str, &str)], half: &str) {
        let head = self.head_of("POST", target, fields);
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
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        while let Some((name, value)) = self.line().split_once(':') {
            fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Reply { status, fields, body: String::new() }
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

    fn exactly(&mut self, length: usize) -> String {
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
