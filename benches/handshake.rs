//! The server's handshake in memory: what a browser sends, and the 101 that answers it.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pushline::http1::head::{HeadLimits, HeadReader, Slots};
use pushline::ws::handshake::{Key, ServerOptions, accept_request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What Chrome sends, 600 bytes or so.
const REQUEST: &[u8] = b"GET /chat?room=lobby HTTP/1.1\r\n\
    Host: server.example.com:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://server.example.com:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    \r\n";

/// A stream that has the request at hand and counts what is written.
struct Memory {
    request: &'static [u8],
    written: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(std::mem::take(&mut self.request));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written += bytes.len();
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    let options = ServerOptions::new();
    let mut out = Vec::with_capacity(1024);
    group.bench_function("request to 101", |b| {
        b.iter(|| {
            out.clear();
            let mut slots = Slots::new();
            let head = options.reader().read_request(black_box(REQUEST), &mut slots).unwrap().unwrap();
            accept_request(&options, &head).unwrap().write_to(&mut out);
            assert_eq!(black_box(&out).len(), 129);
        });
    });
    group.bench_function("request in reads of 100 bytes to 101", |b| {
        b.iter(|| {
            out.clear();
            let mut reader = options.reader();
            for end in (100..REQUEST.len()).step_by(100) {
                assert!(
                    reader.read_request(black_box(&REQUEST[..end]), &mut Slots::new()).unwrap().is_none()
                );
            }
            let mut slots = Slots::new();
            let head = reader.read_request(black_box(REQUEST), &mut slots).unwrap().unwrap();
            accept_request(&options, &head).unwrap().write_to(&mut out);
            assert_eq!(black_box(&out).len(), 129);
        });
    });
    group.bench_function("head alone", |b| {
        b.iter(|| {
            let mut slots = Slots::new();
            let mut reader = HeadReader::new(HeadLimits::default());
            reader.read_request(black_box(REQUEST), &mut slots).unwrap().unwrap().len()
        });
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let adapter_options = pushline::adapter::Options::new();
    group.bench_function("accept over tokio", |b| {
        b.iter(|| {
            let stream = Memory { request: black_box(REQUEST), written: 0 };
            let accepting = pushline::adapter::tokio::accept(stream, &options, &adapter_options);
            assert_eq!(runtime.block_on(accepting).unwrap().get_ref().written, 129);
        });
    });
    group.bench_function("block_on alone", |b| b.iter(|| runtime.block_on(std::future::ready(black_box(1)))));
    // What cannot be saved: the parser and the hash.
    group.bench_function("limit: httparse alone", |b| {
        b.iter(|| {
            let mut headers = [const { std::mem::MaybeUninit::uninit() }; 64];
            let mut request = httparse::Request::new(&mut []);
            request.parse_with_uninit_headers(black_box(REQUEST), &mut headers).unwrap().unwrap()
        });
    });
    group.bench_function("limit: key alone", |b| {
        b.iter(|| Key::parse(black_box(b"dGhlIHNhbXBsZSBub25jZQ==")).unwrap().accept());
    });
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
