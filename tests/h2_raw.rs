//! Peers of HTTP/2 that are written frame by frame, good and bad, against hyper's adapter in both roles (RFC 8441, RFC 9113).

#[path = "common/raw_h2.rs"]
mod raw_h2;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pushline::adapter::hyper::{Http2, Socket, refuse, upgrade};
use pushline::adapter::{Error, Options};
use pushline::ws::handshake::{ClientError, ClientOptions, ServerOptions, Uri};
use raw_h2::{BASE, CANCEL, DATA, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, code};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

fn serve(then: fn(Socket) -> tokio::task::JoinHandle<()>) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = service_fn(move |mut request: Request<Incoming>| async move {
            Ok::<_, Infallible>(match upgrade(&mut request, &ServerOptions::new(), &Options::new()) {
                Ok((response, socket)) => {
                    tokio::spawn(async move { then(socket.await.unwrap()).await });
                    response
                }
                Err(rejection) => refuse::<String>(&rejection),
            })
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.enable_connect_protocol().serve_connection(TokioIo::new(far), service).await;
    });
    near
}

fn drain(mut socket: Socket) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} })
}

/// H2-01: the setting is announced.
#[tokio::test]
async fn the_server_announces_extended_connect() {
    let mut raw = Raw::client(serve(drain)).await;
    let frame = raw.next().await.unwrap();
    assert_eq!((frame.kind, frame.stream), (SETTINGS, 0));
    assert!(frame.payload.chunks(6).any(|setting| setting == [0, 8, 0, 0, 0, 1]), "{frame:?}");
}

/// H2-04, H2-06, H2-08, H2-14: what is malformed is reset with PROTOCOL_ERROR or answered with its status, each on its own
/// stream; the connection goes on.
#[tokio::test]
async fn requests_good_and_bad() {
    let mut raw = Raw::client(serve(drain)).await;
    let without =
        |left_out: &str| -> Vec<_> { BASE.into_iter().filter(|(name, _)| *name != left_out).collect() };
    let with = |name: &'static str, value: &'static str| {
        let mut fields = without(name);
        let at = if name.starts_with(':') { 0 } else { fields.len() };
        fields.insert(at, (name, value));
        fields
    };
    // RFC 7541 Appendix A: 8 is `:status: 200`, 12 is `:status: 400`. Statuses that have no number there are 0 here: the
    // table of `h2_table.rs` has them all.
    let reset = Err(1);
    let rows = [
        (BASE.to_vec(), Ok(0x88)),
        (without(":path"), reset),
        (without(":scheme"), reset),
        (without(":protocol"), reset), // it has :path and :scheme (RFC 9113 8.5)
        (vec![(":method", "CONNECT"), (":authority", "h:1")], Ok(0)), // 501
        (with("connection", "upgrade"), reset),
        (with("upgrade", "websocket"), reset),
        (with("te", "gzip"), reset),
        (with(":protocol", "foo"), Ok(0)), // 501
        (with(":method", "GET"), reset),
        (with("sec-websocket-version", "12"), Ok(0x8c)),
        (with("content-length", "0"), Ok(0x8c)),
        (with("host", "other"), Ok(0x8c)),
        (with("origin", "https://evil.example"), Ok(0)), // 403
        (BASE.to_vec(), Ok(0x88)),
        // This one hyper takes for an error of the whole connection.
        (with("X", "y"), reset),
    ];
    for (number, (fields, expected)) in rows.into_iter().enumerate() {
        let stream = 2 * u32::try_from(number).unwrap() + 1;
        raw.send_headers(0, stream, &fields).await;
        let frame = raw.next_of(stream).await.unwrap();
        let outcome = match frame.kind {
            // A change of the table's size may come first.
            HEADERS => match frame.payload.iter().find(|byte| **byte >= 0x40) {
                Some(status @ 0x88..=0x8e) => Ok(*status),
                _ => Ok(0),
            },
            RST_STREAM => Err(code(&frame.payload)),
            GOAWAY => Err(code(&frame.payload[4..])),
            _ => panic!("{frame:?}"),
        };
        assert_eq!(outcome, expected, "{fields:?}");
    }
}

/// H2-12: after the closing handshake the stream ends with END_STREAM.
#[tokio::test]
async fn an_orderly_close_ends_the_stream() {
    let mut raw = Raw::client(serve(drain)).await;
    raw.send_headers(0, 1, &BASE).await;
    assert_eq!(raw.next_of(1).await.unwrap().kind, HEADERS);
    raw.send(DATA, 0, 1, b"\x88\x82\0\0\0\0\x03\xe8").await;
    let mut data = Vec::new();
    loop {
        let frame = raw.next_of(1).await.unwrap();
        assert_eq!(frame.kind, DATA, "{frame:?}");
        data.extend_from_slice(&frame.payload);
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(data, b"\x88\x02\x03\xe8");
}

/// H2-12: a socket that is dropped ends its stream at once, without a close frame: for the peer, that is 1006. RFC 8441 5
/// would have it reset with CANCEL; hyper offers no way to.
#[tokio::test]
async fn an_abort_ends_the_stream() {
    let mut raw = Raw::client(serve(|socket| tokio::spawn(async move { drop(socket) }))).await;
    raw.send_headers(0, 1, &BASE).await;
    assert_eq!(raw.next_of(1).await.unwrap().kind, HEADERS);
    let frame = raw.next_of(1).await.unwrap();
    assert!(
        frame.kind == RST_STREAM || frame.flags & END_STREAM != 0 && frame.payload.is_empty(),
        "{frame:?}"
    );
}

/// What a client makes of a server that answers its HEADERS in this way.
async fn dial(
    setting: &[u32],
    answer: impl AsyncFnOnce(&mut Raw<DuplexStream>),
) -> (Result<Option<Error>, Error>, Option<Frame>) {
    let (near, far) = duplex(64 * 1024);
    let client = tokio::spawn(async move {
        let http2 = Http2::new(near).await?;
        let uri = Uri::parse("ws://h/chat").unwrap();
        let mut socket = http2.connect(&uri, &ClientOptions::new(), &Options::new()).await?;
        let next = timeout(Duration::from_secs(5), socket.next()).await.unwrap();
        Ok(next.and_then(Result::err))
    });
    let mut raw = Raw::server(far, setting).await;
    let frame = raw.next_of(1).await;
    let mut last = None;
    if frame.is_some_and(|frame| frame.kind == HEADERS) {
        answer(&mut raw).await;
        last = raw.next_of(1).await;
    }
    (client.await.unwrap(), last)
}

/// Each ends in time, with an error that says what it was.
#[tokio::test]
async fn servers_that_misbehave() {
    let enabled = [1];
    // The response ends the stream at once.
    let (outcome, _) =
        dial(&enabled, async |raw| raw.send_headers(END_STREAM, 1, &[(":status", "200")]).await).await;
    assert!(matches!(outcome, Ok(Some(Error::Aborted | Error::Io(_)))), "{outcome:?}");
    // Reset instead of an answer: REFUSED_STREAM.
    let (outcome, _) = dial(&enabled, async |raw| raw.send(RST_STREAM, 0, 1, &[0, 0, 0, 7]).await).await;
    assert!(matches!(outcome, Err(Error::Io(_))), "{outcome:?}");
    // H2-12: reset in the middle of a frame.
    let (outcome, _) = dial(&enabled, async |raw| {
        raw.send_headers(0, 1, &[(":status", "200")]).await;
        raw.send(DATA, 0, 1, b"\x81\x05He").await;
        raw.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]).await;
    })
    .await;
    assert!(matches!(outcome, Ok(Some(Error::Aborted | Error::Io(_)))), "{outcome:?}");
    // Fields of a connection in the response.
    let (outcome, _) = dial(&enabled, async |raw| {
        raw.send_headers(0, 1, &[(":status", "200"), ("upgrade", "websocket")]).await;
    })
    .await;
    assert!(matches!(outcome, Err(Error::Io(_) | Error::Handshake(_))), "{outcome:?}");
    // H2-03: a setting that is neither 0 nor 1.
    let (outcome, _) = dial(&[2], async |_| ()).await;
    assert!(matches!(outcome, Err(Error::Io(_) | Error::Handshake(_))), "{outcome:?}");
}

/// H2-11: a subprotocol that was not offered: the stream is reset with CANCEL.
#[tokio::test]
async fn an_unoffered_subprotocol_resets_the_stream() {
    let (outcome, last) = dial(&[1], async |raw| {
        raw.send_headers(0, 1, &[(":status", "200"), ("sec-websocket-protocol", "x")]).await;
    })
    .await;
    let Err(Error::Handshake(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.error, ClientError::UnofferedSubprotocol);
    let last = last.unwrap();
    assert_eq!((last.kind, code(&last.payload)), (RST_STREAM, CANCEL), "{last:?}");
}
