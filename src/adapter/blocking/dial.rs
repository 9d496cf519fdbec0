//! From a URL's address to a stream, by a deadline: TCP to the first of a host's addresses that answers (RFC 8305), a
//! tunnel through a proxy if there is one, TLS.
#![allow(clippy::indexing_slicing, reason = "up to what a peek has said, and what the tunnel took of that")]

use super::super::connect::{ATTEMPT_DELAY, failed_at, in_turn};
use super::super::proxy::into_io;
use super::super::route::Route;
use super::super::{Error, TimedOut};
use super::ClientStream;
use crate::http1::Tunnel;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::string::String;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A stream to the server at this address, as far as the first byte of its own.
pub(super) fn dial(
    route: &Route,
    secure: bool,
    address: (&str, u16),
    deadline: Instant,
) -> Result<ClientStream, Error> {
    if secure {
        dial_tls(route, address, deadline)
    } else {
        Ok(through(route, false, address, deadline)?.into())
    }
}

#[cfg(feature = "rustls")]
fn dial_tls(route: &Route, address: (&str, u16), deadline: Instant) -> Result<ClientStream, Error> {
    use super::super::tls::name;
    // What is wrong with these needs no connection.
    let (name, config) = (name(address.0)?, route.tls()?);
    let tcp = through(route, true, address, deadline)?;
    super::tls::client_by(tcp, config, name, deadline)
        .map(ClientStream::from)
        .map_err(|error| late(address, error, deadline))
}

#[cfg(not(feature = "rustls"))]
fn dial_tls(_: &Route, _: (&str, u16), _: Instant) -> Result<ClientStream, Error> {
    use super::super::tls::{TlsError, TlsFault};
    Err(Error::Tls(TlsError::from(TlsFault::Unsupported)))
}

/// TCP to the server, or to the proxy and through it.
fn through(route: &Route, secure: bool, address: (&str, u16), deadline: Instant) -> Result<TcpStream, Error> {
    let Some((proxy, mut tunnel)) = route.tunnel(secure, address)? else { return tcp(address, deadline) };
    let mut stream = tcp(proxy.address(), deadline)?;
    ask(&mut stream, &mut tunnel, deadline).map_err(|error| late(proxy.address(), error, deadline))?;
    Ok(stream)
}

/// Asks a proxy for a tunnel.
fn ask(stream: &mut TcpStream, tunnel: &mut Tunnel, deadline: Instant) -> io::Result<()> {
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(Some(left)),
    };
    stream.set_write_timeout(left()?)?;
    stream.write_all(tunnel.request())?;
    let mut bytes = [0; 2048];
    loop {
        stream.set_read_timeout(left()?)?;
        // Looked at first, so that what is the tunnel's stays in the stream.
        let seen = match stream.peek(&mut bytes) {
            Ok(0) => return Err(into_io(tunnel.receive_eof())),
            Ok(n) => &mut bytes[..n],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let open = tunnel.receive(seen).map_err(into_io)?;
        let taken = open.unwrap_or(seen.len()).min(seen.len());
        stream.read_exact(&mut seen[..taken])?;
        if open.is_some() {
            return Ok(());
        }
    }
}

/// A socket's time was up because ours was: nobody else has told it one.
fn late(address: (&str, u16), error: io::Error, deadline: Instant) -> Error {
    let is_ours = error.raw_os_error().is_none() || Instant::now() >= deadline;
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::TimedOut(TimedOut::Handshake),
        io::ErrorKind::TimedOut if is_ours => Error::TimedOut(TimedOut::Handshake),
        _ => failed_at(address, error).into(),
    }
}

/// A connection to a host, by the deadline.
fn tcp(address @ (host, port): (&str, u16), deadline: Instant) -> Result<TcpStream, Error> {
    let connected = match host.parse() {
        Ok(address) => connect_by(SocketAddr::new(address, port), deadline),
        Err(_) => race(host, port, deadline),
    };
    let stream = connected.map_err(|error| match error {
        Error::Io(error) => Error::Io(failed_at(address, error)),
        error => error,
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connect_by(address: SocketAddr, deadline: Instant) -> Result<TcpStream, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::TimedOut(TimedOut::Handshake));
    }
    TcpStream::connect_timeout(&address, left).map_err(|error| not_connected(error, deadline))
}

/// An attempt's time is ours: what has failed by it is late, whoever sees that first.
fn not_connected(error: io::Error, deadline: Instant) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut if Instant::now() >= deadline => Error::TimedOut(TimedOut::Handshake),
        _ => Error::Io(error),
    }
}

/// Looks the host up and tries its addresses.
fn race(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Error> {
    let (found, news) = channel();
    let host = String::from(host);
    spawn(found, move || (host.as_str(), port).to_socket_addrs())?;
    match next(&news, deadline)? {
        Some(addresses) => first_of(in_turn(addresses?), deadline),
        None => Err(Error::TimedOut(TimedOut::Handshake)),
    }
}

/// Makes attempts side by side (RFC 8305 5).
fn first_of(mut waiting: VecDeque<SocketAddr>, deadline: Instant) -> Result<TcpStream, Error> {
    let (found, news) = channel();
    let mut running = 0;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        if let Some(address) = waiting.pop_front() {
            // With none beside it, an attempt needs no thread.
            if running == 0 && waiting.is_empty() {
                return connect_by(address, deadline);
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(ATTEMPT_DELAY);
            spawn(found.clone(), move || TcpStream::connect_timeout(&address, left))?;
            running += 1;
        } else if running == 0 {
            return Err(not_connected(failed, deadline));
        }
        let pause = if waiting.is_empty() { deadline } else { Instant::now() + ATTEMPT_DELAY };
        match next(&news, pause.min(deadline))? {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => {
                failed = error;
                running -= 1;
            }
            None if Instant::now() >= deadline => return Err(Error::TimedOut(TimedOut::Handshake)),
            None => {}
        }
    }
}

fn spawn<T: Send + 'static>(found: Sender<T>, work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
    // Nobody listens any more when another attempt has won.
    let work = move || drop(found.send(work()));
    thread::Builder::new().name("pushline-connect".into()).spawn(work).map(drop)
}

/// What is found next; `None` if nothing is until then.
fn next<T>(news: &Receiver<T>, until: Instant) -> Result<Option<T>, Error> {
    match news.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(found) => Ok(Some(found)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Error::Aborted),
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_dead_address_costs_its_delay_and_a_refusal_nothing() {
        // Only tokio lets the queue of a listener be chosen: a full one neither answers nor refuses.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let dead = listener.local_addr().unwrap();
        let mut kept = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&dead, ATTEMPT_DELAY / 2) {
            kept.push(stream);
        }
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let good = bind();
        let (good, closed) = (good.local_addr().unwrap(), bind().local_addr().unwrap());
        let within = |time| Instant::now() + time;
        // If each refusal cost a delay, two would cost two.
        for (addresses, least, most) in
            [([dead, good, good], 1, 4), ([closed, closed, good], 0, 2), ([dead, closed, good], 1, 4)]
        {
            let began = Instant::now();
            let stream = first_of(addresses.into(), within(Duration::from_secs(5))).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
            let took = began.elapsed();
            assert!(took >= ATTEMPT_DELAY * least && took < ATTEMPT_DELAY * most, "{took:?}");
        }
        let refused = first_of([closed, closed].into(), within(Duration::from_secs(5))).unwrap_err();
        assert!(matches!(refused, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused));
        for addresses in [&[dead][..], &[dead, dead]] {
            let late = first_of(addresses.iter().copied().collect(), within(ATTEMPT_DELAY * 2)).unwrap_err();
            assert!(matches!(late, Error::TimedOut(TimedOut::Handshake)), "{late:?}");
        }
    }
}
