//! From a URL's address to a stream: TCP to the first of a host's addresses that answers (RFC 8305), a tunnel through a proxy
//! if there is one, TLS.
//!
//! The caller keeps the time: dropped, it is over.
#![allow(clippy::indexing_slicing, reason = "up to what a peek has said, and what the tunnel took of that")]

use super::super::connect::{ATTEMPT_DELAY, failed_at, in_turn};
use super::super::proxy::into_io;
use super::super::route::Route;
use super::ClientStream;
use crate::http1::Tunnel;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Sleep, sleep};

/// A stream to the server at this address, as far as the first byte of its own. What went wrong with TLS or the proxy is in the
/// error: [`TlsError`](super::super::TlsError), [`TunnelError`](crate::http1::TunnelError).
pub(in crate::adapter) async fn dial(
    route: &Route,
    secure: bool,
    address: (&str, u16),
) -> io::Result<ClientStream> {
    if secure { dial_tls(route, address).await } else { Ok(through(route, false, address).await?.into()) }
}

#[cfg(feature = "rustls")]
async fn dial_tls(route: &Route, address: (&str, u16)) -> io::Result<ClientStream> {
    use super::super::tls::{TlsError, name};
    // What is wrong with these needs no connection.
    let (name, config) = (name(address.0)?, route.tls()?);
    let tcp = through(route, true, address).await?;
    let connector = tokio_rustls::TlsConnector::from(config);
    let connected = connector.connect(name, tcp).await.map_err(TlsError::of_handshake);
    Ok(connected.map_err(|error| failed_at(address, error))?.into())
}

#[cfg(not(feature = "rustls"))]
async fn dial_tls(_: &Route, _: (&str, u16)) -> io::Result<ClientStream> {
    use super::super::tls::{TlsError, TlsFault};
    Err(TlsError::from(TlsFault::Unsupported).into_io())
}

/// TCP to the server, or to the proxy and through it.
async fn through(route: &Route, secure: bool, address: (&str, u16)) -> io::Result<TcpStream> {
    let Some((proxy, tunnel)) = route.tunnel(secure, address)? else { return tcp(address).await };
    let stream = tcp(proxy.address()).await?;
    ask(stream, tunnel).await.map_err(|error| failed_at(proxy.address(), error))
}

/// Asks a proxy for a tunnel.
async fn ask(mut stream: TcpStream, mut tunnel: Tunnel) -> io::Result<TcpStream> {
    stream.write_all(tunnel.request()).await?;
    let mut bytes = [0; 2048];
    loop {
        // Looked at first, so that what is the tunnel's stays in the stream.
        let seen = match stream.peek(&mut bytes).await? {
            0 => return Err(into_io(tunnel.receive_eof())),
            n => &mut bytes[..n],
        };
        let open = tunnel.receive(seen).map_err(into_io)?;
        let taken = open.unwrap_or(seen.len()).min(seen.len());
        stream.read_exact(&mut seen[..taken]).await?;
        if open.is_some() {
            return Ok(stream);
        }
    }
}

/// A connection to a host.
async fn tcp(address: (&str, u16)) -> io::Result<TcpStream> {
    let connected = async {
        let mut race = Race::new(in_turn(lookup_host(address).await?));
        poll_fn(|cx| race.poll(cx)).await
    };
    let stream = connected.await.map_err(|error| failed_at(address, error))?;
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
    use tokio::time::Instant;

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
