//! Connecting: to the first of a host's addresses that answers (RFC 8305), then the handshake.

use super::super::connect::{ATTEMPT_DELAY, in_turn};
use super::super::{Error, Options, TimedOut};
use super::handshake::shake_hands;
use super::websocket::WebSocket;
use crate::heartbeat::Instant as _;
use crate::ws::handshake::{ClientOptions, Response, Uri};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// Connects to a `ws:` URL over TCP. For `wss:`, hand a TLS stream to [`client`](super::client).
///
/// All addresses of the host are tried: a new one each 250 ms, or as soon as one has failed, IPv6 and IPv4 in turn (RFC
/// 8305); the first to answer wins. User information in the URL is sent as basic credentials (RFC 7617).
///
/// # Errors
///
/// [`Error::InvalidUri`], [`Error::Handshake`] with the response if it was not a 101 (a redirect is
/// not followed), [`Error::TimedOut`] after [`Options::handshake_timeout`], [`Error::Io`].
///
/// ```no_run
/// use pushline::adapter::{Options, tokio::connect};
/// use pushline::ws::handshake::ClientOptions;
///
/// # async fn talk() -> Result<(), pushline::adapter::Error> {
/// let mut socket = connect("ws://127.0.0.1:9001/", ClientOptions::new(), &Options::new()).await?;
/// socket.send("Hello").await?;
/// # Ok(())
/// # }
/// ```
pub fn connect<'a>(
    url: &'a str,
    client_options: ClientOptions,
    options: &'a Options,
) -> impl Future<Output = Result<WebSocket<TcpStream>, Error>> + use<'a> {
    // On the heap until it is connected: what is awaited in a task stays in its future for as long as the task lives.
    Box::pin(async move { Ok(open(url, client_options, options).await?.0) })
}

/// As [`connect`], with the server's 101: its fields may be cookies, or say which server it was.
///
/// # Errors
///
/// As [`connect`].
///
/// ```no_run
/// use pushline::adapter::{Options, tokio::connect_with_response};
/// use pushline::ws::handshake::ClientOptions;
///
/// # async fn talk() -> Result<(), pushline::adapter::Error> {
/// let url = "ws://127.0.0.1:9001/";
/// let (socket, response) = connect_with_response(url, ClientOptions::new(), &Options::new()).await?;
/// for (name, value) in response.fields.iter() {
///     println!("{name}: {}", value.escape_ascii());
/// }
/// # let _ = socket;
/// # Ok(())
/// # }
/// ```
pub fn connect_with_response<'a>(
    url: &'a str,
    client_options: ClientOptions,
    options: &'a Options,
) -> impl Future<Output = Result<(WebSocket<TcpStream>, Response), Error>> + use<'a> {
    Box::pin(open(url, client_options, options))
}

async fn open(
    url: &str,
    client_options: ClientOptions,
    options: &Options,
) -> Result<(WebSocket<TcpStream>, Response), Error> {
    let uri = Uri::parse(url)?;
    if uri.is_secure() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a wss URL needs a TLS stream: hand one to `client`",
        )
        .into());
    }
    let deadline = Instant::now().saturating_add(options.handshake_timeout);
    let stream = tcp(uri.address(), deadline).await?;
    shake_hands(stream, &uri, client_options, options, deadline).await
}

/// A connection to a host, by the deadline.
pub(super) async fn tcp((host, port): (&str, u16), deadline: Instant) -> Result<TcpStream, Error> {
    let race = async {
        let mut race = Race::new(in_turn(lookup_host((host, port)).await?));
        poll_fn(|cx| race.poll(cx)).await
    };
    let stream = timeout_at(deadline, race).await.map_err(|_| Error::TimedOut(TimedOut::Handshake))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Attempts side by side (RFC 8305 5).
struct Race {
    waiting: VecDeque<SocketAddr>,
    running: Vec<Attempt>,
    /// Until the next attempt.
    pause: Option<Pin<Box<Sleep>>>,
    /// How the last attempt failed.
    failed: Option<io::Error>,
}

impl Race {
    fn new(waiting: VecDeque<SocketAddr>) -> Self {
        Self { waiting, running: Vec::new(), pause: None, failed: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            let mut index = 0;
            while let Some(attempt) = self.running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        self.failed = Some(error);
                        drop(self.running.swap_remove(index));
                        // RFC 8305 5: the next one need not wait.
                        self.pause = None;
                    }
                    Poll::Pending => index += 1,
                }
            }
            if let Some(pause) = &mut self.pause
                && pause.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            self.pause = None;
            let Some(address) = self.waiting.pop_front() else {
                if !self.running.is_empty() {
                    return Poll::Pending;
                }
                let none = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                return Poll::Ready(Err(self.failed.take().unwrap_or_else(none)));
            };
            self.running.push(Box::pin(TcpStream::connect(address)));
            self.pause = (!self.waiting.is_empty()).then(|| Box::pin(sleep(ATTEMPT_DELAY)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use tokio::net::{TcpListener, TcpSocket};

    /// An address that neither answers nor refuses: a listener whose queue is full.
    async fn dead() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut kept = Vec::new();
        while let Ok(stream) = tokio::time::timeout(ATTEMPT_DELAY / 2, TcpStream::connect(address)).await {
            kept.push(stream.unwrap());
        }
        (listener, kept)
    }

    #[tokio::test]
    async fn a_dead_address_costs_its_delay_and_a_refusal_nothing() {
        let (dead, _kept) = dead().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (dead, good) = (dead.local_addr().unwrap(), good.local_addr().unwrap());
        for (addresses, least, most) in [
            (vec![dead, good], 1, 4),
            (vec![dead, dead, good], 2, 5),
            (vec![closed, closed, good], 0, 1),
            (vec![dead, closed, good], 1, 4),
        ] {
            let began = Instant::now();
            let mut race = Race::new(addresses.into());
            let stream = poll_fn(|cx| race.poll(cx)).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
            let took = began.elapsed();
            assert!(took >= ATTEMPT_DELAY * least && took < ATTEMPT_DELAY * most, "{took:?}");
        }
        let mut race = Race::new([closed, closed].into());
        let error = poll_fn(|cx| race.poll(cx)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
