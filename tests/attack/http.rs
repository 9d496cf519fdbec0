//! Heads and chunked bodies (RFC 9112), against the readers themselves.

use crate::cost::{KIB, MIB, linear_bytes, scale};
use pushline::Inbox;
use pushline::http1::chunked::{self, ChunkedDecoder, Piece};
use pushline::http1::head::{HeadError, HeadLimits, HeadReader, RequestHead, Slots};
use pushline::ws::handshake::{Accepted, Opening, OpeningStep, ServerOptions};
use std::time::Duration;

/// What a server's handshake writes when these bytes come `read` at a time, and how many it had taken by then.
fn answer(bytes: &[u8], read: usize) -> (String, usize) {
    let options = ServerOptions::new();
    let mut opening = Opening::server(&options, |_: &RequestHead<'_, '_>, _: &mut Accepted<'_>| Ok(()));
    let mut inbox = Inbox::new();
    let (mut taken, mut out) = (0, Vec::new());
    loop {
        match opening.step(&mut inbox, Duration::ZERO) {
            OpeningStep::Read => {
                let space = inbox.space();
                let length = space.len().min(read).min(bytes.len() - taken);
                if length == 0 {
                    opening.receive_eof();
                    continue;
                }
                space[..length].copy_from_slice(&bytes[taken..][..length]);
                inbox.filled(length);
                taken += length;
            }
            OpeningStep::Write => {
                let length = opening.outgoing().len();
                out.extend_from_slice(opening.outgoing());
                opening.written(length);
            }
            OpeningStep::Flush => opening.flushed(),
            OpeningStep::Shutdown | OpeningStep::Done => return (String::from_utf8(out).unwrap(), taken),
        }
    }
}

/// 8 MiB, a byte at a time. By default, it is over after 16 KiB.
#[test]
fn heads_in_reads_of_a_byte() {
    let fields = |size: usize| {
        [
            &b"GET / HTTP/1.1\r\nHost: h\r\n"[..],
            &format!("x: {}\r\n", "y".repeat(4091)).into_bytes().repeat(size / 4096),
        ]
        .concat()
    };
    let line = |size: usize| [b"GET /", &b"x".repeat(size)[..]].concat();
    for (name, make) in
        [("heads of many fields", &fields as &dyn Fn(usize) -> Vec<u8>), ("heads of one line", &line)]
    {
        linear_bytes(name, 8 * KIB, 64, make, |bytes| {
            let limits = HeadLimits::new().head(usize::MAX).line(usize::MAX).fields(usize::MAX);
            let mut reader = HeadReader::new(limits);
            for end in 1..=bytes.len() {
                let mut slots = Slots::<4096>::with_room();
                assert_eq!(
                    reader.read_request(&bytes[..end], &mut slots).map(|head| head.is_none()),
                    Ok(true)
                );
            }
        });
        for read in [1, usize::MAX] {
            let (held, _) = crate::allocations::memory(|| {
                let (response, taken) = answer(&make(8 * MIB)[..64 * KIB], read);
                assert!(
                    response.starts_with("HTTP/1.1 431 ") || response.starts_with("HTTP/1.1 414 "),
                    "{response}"
                );
                assert!(taken <= 16 * KIB + 1 || read > 1, "{taken}");
            });
            // Most of it is the attack itself.
            assert!(held <= 18 * MIB as isize, "{held}");
        }
    }
}

#[test]
fn a_hundred_thousand_fields() {
    let head =
        |count: usize| [&b"GET / HTTP/1.1\r\nHost: h\r\n"[..], &b"a:\r\n".repeat(count), b"\r\n"].concat();
    // With room for as many as a handshake has at most.
    linear_bytes("fields", 12_500, 64 * KIB, head, |bytes| {
        let limits = HeadLimits::new().head(usize::MAX).line(usize::MAX).fields(usize::MAX);
        let mut slots = Slots::<1024>::with_room();
        let refused = HeadReader::new(limits).read_request(bytes, &mut slots).err();
        assert_eq!(refused, Some(HeadError::TooManyFields));
    });
    let (response, _) = answer(&head(100_000), 1460);
    assert!(response.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{response}");
}

fn decode(limits: chunked::ChunkedLimits, bytes: &[u8], read: usize) -> Result<usize, chunked::ChunkedError> {
    let mut decoder = ChunkedDecoder::new(limits);
    let mut data = 0;
    for part in bytes.chunks(read) {
        let mut rest = part;
        while !rest.is_empty() {
            let (taken, piece) = decoder.decode(rest)?;
            rest = &rest[taken..];
            match piece {
                Some(Piece::Data(piece)) => data += piece.len(),
                Some(Piece::End) => return Ok(data),
                None => assert!(rest.is_empty()),
            }
        }
    }
    Ok(data)
}

#[test]
fn chunked_floods() {
    use chunked::ChunkedError;
    let free = chunked::ChunkedLimits::default()
        .max_overhead(u64::MAX)
        .max_extension(u64::MAX)
        .max_extensions(u64::MAX);
    let by_default = chunked::ChunkedLimits::default();
    let tiny = |count: usize| b"1\r\nx\r\n".repeat(count);
    let extension = |size: usize| [b"1;", &b"x".repeat(size)[..]].concat();
    let extensions = |count: usize| b"1;a=b\r\nx\r\n".repeat(count);
    let zeros = |size: usize| b"0000000000000001\r\nx\r\n".repeat(size);
    for (name, make, error) in [
        ("chunks of a byte", &tiny as &dyn Fn(usize) -> Vec<u8>, ChunkedError::TooMuchOverhead),
        ("an endless extension", &extension, ChunkedError::ExtensionTooLong),
        ("extensions", &extensions, ChunkedError::TooManyExtensions),
        ("zeros before sizes", &zeros, ChunkedError::TooMuchOverhead),
    ] {
        for read in [1, 1460] {
            linear_bytes(name, 8 * KIB, KIB, make, |bytes| {
                assert!(decode(free, bytes, read).is_ok());
            });
            let error = Some(error);
            assert_eq!(decode(by_default, &make(MIB), read).err(), error, "{name}");
        }
    }
    let size =
        decode(chunked::ChunkedLimits::default().max_body(MIB as u64), b"FFFFFFFFFFFFFFF\r\n", 1).err();
    assert_eq!(size, Some(ChunkedError::BodyTooLong));
    let trailers = |count: usize| [&b"0\r\n"[..], &b"a: b\r\n".repeat(count)].concat();
    let free = chunked::ChunkedLimits::default().max_trailer_bytes(usize::MAX).max_trailer_fields(usize::MAX);
    linear_bytes("trailers", 2 * KIB, 8 * MIB * scale(), trailers, |bytes| {
        assert!(decode(free, bytes, 1460).is_ok());
    });
    let (held, _) = crate::allocations::memory(|| {
        assert!(decode(by_default, &trailers(10_000)[..60_000], 1460).is_err());
    });
    assert!(held < 140 * KIB as isize, "{held}");
}
