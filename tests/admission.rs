//! How many are let in, of each address and in all: one fewer than the bound, as many, and one more.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used)]

use pushline::adapter::Admission;
use std::net::IpAddr;
#[cfg(feature = "axum")]
use tokio::io::AsyncWrite as _;

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[test]
fn each_address_is_bounded() {
    for bound in [1, 2, 5] {
        let admission = Admission::new(bound, usize::MAX);
        let mut admitted: Vec<_> = (1..bound).map(|_| admission.enter(address(1)).unwrap()).collect();
        admitted.extend(admission.enter(address(1)));
        assert_eq!(admitted.len(), bound);
        assert!(admission.enter(address(1)).is_none());
        assert!(admission.enter(address(2)).is_some());
        admitted.pop();
        assert!(admission.enter(address(1)).is_some());
    }
    assert!(Admission::new(0, 9).enter(address(1)).is_none());
}

#[test]
fn all_together_are_bounded() {
    for bound in [1_u8, 2, 5] {
        let admission = Admission::new(1, bound.into());
        let mut admitted: Vec<_> = (1..bound).map(|last| admission.enter(address(last)).unwrap()).collect();
        admitted.extend(admission.enter(address(bound)));
        assert_eq!((admitted.len(), admission.count()), (bound.into(), bound.into()));
        assert!(admission.enter(address(200)).is_none());
        admitted.pop();
        assert!(admission.enter(address(200)).is_some());
    }
    assert!(Admission::new(9, 0).enter(address(1)).is_none());
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let admission = Admission::new(2, 9);
    let addresses =
        ["2001:db8::1", "2001:db8::2", "2001:db8::3:4", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1"];
    let admitted = addresses.map(|address| admission.enter(address.parse().unwrap()));
    assert_eq!(admitted.each_ref().map(Option::is_some), [true, true, false, true, true, true]);
    assert!(admission.enter(address(1)).is_none());
    assert_eq!(admission.addresses(), 3);
}

#[test]
fn nothing_is_left_of_those_who_have_gone() {
    let admission = Admission::new(3, 100);
    let same = admission.clone();
    let admitted: Vec<_> =
        (0..50).flat_map(|last| [same.enter(address(last)), same.enter(address(last))]).collect();
    assert_eq!((admission.count(), admission.addresses()), (100, 50));
    drop(admitted);
    assert_eq!((admission.count(), admission.addresses()), (0, 0));
}

/// Behind axum: the future that served a WebSocket's connection is over, the WebSocket is not.
#[cfg(feature = "axum")]
#[tokio::test]
async fn what_is_upgraded_goes_on_counting() {
    use axum::{Router, response::Response, routing::any};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::{server::conn::auto::Builder, service::TowerToHyperService};
    use pushline::adapter::tokio::{Guarded, connect};
    use pushline::adapter::{Options, axum::WebSocketUpgrade};
    use pushline::ws::handshake::ClientOptions;

    async fn echo(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_data() && socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    }

    let admission = Admission::new(1, 9);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let app = TowerToHyperService::new(Router::new().route("/", any(echo)));
    let (over, mut served) = tokio::sync::mpsc::unbounded_channel();
    let same = admission.clone();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let Some(admitted) = same.enter(peer.ip()) else { continue };
            let stream = Guarded::new(stream, admitted);
            assert!(stream.get_ref().peer_addr().is_ok() && stream.is_write_vectored());
            let (app, over) = (app.clone(), over.clone());
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), app).await;
                let _ = over.send(());
            });
        }
    });
    let options = Options::new();
    let connect = || connect(&url, ClientOptions::new(), &options);
    for _ in 0..3 {
        let mut socket = connect().await.unwrap();
        served.recv().await.unwrap();
        assert_eq!(admission.count(), 1);
        assert!(connect().await.is_err());
        socket.send("Hello").await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().as_text(), Some("Hello"));
        socket.close(1000, "").await.unwrap();
        let gone = async {
            while admission.count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.unwrap();
    }
}
