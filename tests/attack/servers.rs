//! The examples as programs, through their sockets: they answer what they should, take no more memory than they may, and serve
//! on.

use crate::cost::{MIB, scale};
use crate::websocket::frame;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that runs, until this is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cargo puts the example. `cargo test` has built them all, `cargo test --test attack` none: cargo knows.
fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--all-features", "--example", name]);
    if path.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    path.extend(["examples", name]);
    path
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = Command::new(program(name))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("a line with the address").unwrap();
            if let Some((_, rest)) = line.split_once("://") {
                break rest.split(['/', ' ']).next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// The first line of what these bytes are answered with; `None` if there is no answer.
    fn status(&self, bytes: &[u8]) -> Option<u16> {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut line = String::new();
        let _ = BufReader::new(stream).read_line(&mut line);
        line.split(' ').nth(1).and_then(|status| status.parse().ok())
    }

    fn get(&self, target: &str, fields: &str) -> Option<u16> {
        let host = &self.address;
        self.status(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").as_bytes())
    }

    /// A WebSocket at this path.
    fn open(&self, path: &str) -> TcpStream {
        let mut stream = self.connect();
        let host = &self.address;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        stream
    }

    /// Bytes of memory; `None` where the system does not tell.
    fn memory(&self) -> Option<usize> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).ok()?;
        statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
    }
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

/// The close code at the end of what is read.
fn close_code(mut stream: TcpStream) -> Option<u16> {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read);
    let [.., 0x88, length, high, low] = &read[..read.len().min(4)] else {
        let at = read.windows(2).rposition(|pair| pair[0] == 0x88 && pair[1] >= 2)?;
        return Some(u16::from_be_bytes([*read.get(at + 2)?, *read.get(at + 3)?]));
    };
    (*length >= 2).then(|| u16::from_be_bytes([*high, *low]))
}

/// A hundred of each at a time.
fn websockets(server: &Server, path: &str) {
    let before = server.memory();
    for (name, bytes, code) in [
        ("a claimed length", [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat(), 1009),
        ("not masked", vec![0x81, 1, b'x'], 1002),
        ("not UTF-8", frame(0x81, &[0xff]), 1007),
        ("a reserved bit", frame(0xb1, b""), 1002),
        ("fragments that do not belong", frame(0x80, b"x"), 1002),
        (
            "close, and more behind it",
            [frame(0x88, &1000_u16.to_be_bytes()), frame(0x82, &[0; 1000]).repeat(100)].concat(),
            1000,
        ),
    ] {
        let mut streams: Vec<_> = (0..100).map(|_| server.open(path)).collect();
        for stream in &mut streams {
            let _ = stream.write_all(&bytes);
        }
        for stream in streams {
            assert_eq!(close_code(stream), Some(code), "{name} at {path}");
        }
    }
    // Half a message each, and half a head.
    let held: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = if number % 2 == 0 { server.open(path) } else { server.connect() };
            let half = if number % 2 == 0 { frame(1, b"hel")[..5].to_vec() } else { b"GET / HT".to_vec() };
            stream.write_all(&half).unwrap();
            stream
        })
        .collect();
    if let (Some(before), Some(after)) = (before, server.memory()) {
        assert!(after < before + 40 * MIB, "{before} {after}");
    }
    drop(held);
}

#[test]
fn echo_servers() {
    for name in ["echo_tokio", "echo_blocking"] {
        let server = Server::start(name);
        for _ in 0..scale() {
            websockets(&server, "/");
        }
        assert_eq!(
            server.status(&[b"GET / HTTP/1.1\r\nHost: h\r\nx: ", &b"y".repeat(64 * 1024)[..]].concat()),
            Some(431)
        );
        let mut stream = server.open("/");
        stream.write_all(&frame(0x81, b"still there")).unwrap();
        let mut echo = [0; 13];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo[2..], b"still there");
    }
}

/// The chat, by its URLs alone.
#[test]
fn the_chat() {
    let server = Server::start("chat");
    assert_eq!(server.get("/", ""), Some(200));
    for _ in 0..scale() {
        websockets(&server, "/ws");
    }
    // Heads that are too large or none.
    for head in [
        [b"GET / HTTP/1.1\r\nHost: h\r\nx: ", &b"y".repeat(4 * MIB)[..]].concat(),
        format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:\r\n".repeat(100_000)).into_bytes(),
        b"\0\x01\x02\xff\r\n\r\n".to_vec(),
        b"GET http:// HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let status = server.status(&head);
        assert!(
            status.is_none_or(|status| (400..=431).contains(&status)),
            "{status:?} for {:.60?}",
            String::from_utf8_lossy(&head)
        );
    }
    // Pages of others, on whichever transport there is.
    let evil = "Origin: https://evil.example\r\n";
    for path in [
        "/ws",
        "/events",
        "/polling",
        "/xhr-streaming",
        "/jsonp?callback=f",
        "/iframe?origin=https://evil.example",
    ] {
        let fields = if path == "/ws" { format!("{UPGRADE}{evil}") } else { evil.to_owned() };
        let status = server.get(path, &fields);
        assert!(status.is_some_and(|status| (400..=426).contains(&status)), "{path}: {status:?}");
    }
    for (path, what) in [
        ("/jsonp?callback=alert(1)", "a callback that injects"),
        ("/jsonp?callback=opener.document.activeElement.click", "a callback that leads out"),
        ("/polling?since=-1", "a cursor that is none"),
        ("/polling?since=99999999999999999999999", "a cursor that overflows"),
        ("/iframe?origin=*", "an origin that is none"),
        ("/iframe?origin=null", "an origin that is none"),
        ("/../../etc/passwd", "a path that leads out"),
    ] {
        let status = server.get(path, "");
        assert!(status.is_some_and(|status| (400..=426).contains(&status)), "{what}: {status:?}");
    }
    let begun = Instant::now();
    assert_eq!(server.get("/", ""), Some(200));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
