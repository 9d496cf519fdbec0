//! The answer to CONNECT: the machine against a model that reads heads one after the other from the whole.

use super::head::{Start, Verdict, model};
use crate::http1::head::{HeadError, HeadLimits, MAX_FIELDS};
use crate::http1::{Tunnel, TunnelError};

/// One byte chooses the limits, one how the rest is cut.
pub fn tunnel(data: &[u8]) {
    let [choice, step, bytes @ ..] = data else { return };
    let limits = match choice & 3 {
        0 => HeadLimits { head: 64, line: 24, fields: 4 },
        1 => HeadLimits { head: 40, line: 64, fields: 64 },
        _ => HeadLimits::default(),
    };
    let fresh = || Tunnel::with_limits("example.com", 443, None, limits).unwrap();
    assert_eq!(fresh().receive(bytes), expected(bytes, &limits), "whole");

    // In pieces: the same verdict, and as many bytes taken.
    let (mut tunnel, mut at) = (fresh(), 0);
    for piece in bytes.chunks(usize::from(*step).max(1)) {
        match tunnel.receive(piece) {
            Ok(None) => at += piece.len(),
            Ok(Some(taken)) => {
                assert!(tunnel.is_open() && taken > 0);
                assert_eq!(expected(bytes, &limits), Ok(Some(at + taken)));
                assert_eq!(tunnel.receive(b"HTTP/1.1 502 X\r\n\r\n"), Ok(Some(0)));
                return;
            }
            Err(error) => {
                assert_eq!(expected(&bytes[..at + piece.len()], &limits), Err(error));
                assert_eq!((tunnel.receive(b"x"), tunnel.receive_eof()), (Err(error), error));
                return;
            }
        }
    }
    assert_eq!(expected(bytes, &limits), Ok(None));
    assert_eq!((tunnel.receive_eof(), tunnel.receive(b"x")), (TunnelError::Ended, Err(TunnelError::Ended)));
}

fn expected(bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, TunnelError> {
    let mut at = 0;
    for interim in 0.. {
        let rest = &bytes[at..];
        let (status, length) = match model(rest, false, limits, limits.fields.min(MAX_FIELDS)) {
            Verdict::Incomplete => return Ok(None),
            Verdict::Head(head) => {
                let Start::Response { status, .. } = head.start else { unreachable!() };
                (status, head.length)
            }
            // How long a body would be is of no account: the head is whole, and its status line is good.
            Verdict::Refused(
                HeadError::BadContentLength
                | HeadError::BadTransferEncoding
                | HeadError::UnsupportedTransferEncoding
                | HeadError::AmbiguousLength,
            ) => {
                let digits = str::from_utf8(&rest[9..12]).unwrap();
                let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
                (digits.parse().unwrap(), end + 4)
            }
            Verdict::Refused(error) => return Err(TunnelError::Malformed(error)),
        };
        at += length;
        match status {
            200..=299 => return Ok(Some(at)),
            407 => return Err(TunnelError::Unauthorized),
            100..=199 if status != 101 && interim < 16 => {}
            status => return Err(TunnelError::Refused(status)),
        }
    }
    unreachable!()
}
