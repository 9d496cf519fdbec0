//! What the applications of SockJS and Atmosphere do to the sessions that they are called with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::adapter::frameworks::{FrameworkBody, SockJs, SockJsSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn who_begins_a_session_may_ask_how_many_there_are() {
    static SERVICE: OnceLock<SockJs> = OnceLock::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let service = SERVICE.get_or_init(|| {
        SockJs::new("/echo", |socket: SockJsSocket| {
            SEEN.fetch_add(SERVICE.get().unwrap().sessions(), Ordering::Relaxed);
            async move { socket.close(3000, "") }
        })
    });
    // On a thread of its own: what hangs would hang the test.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let request = http::Request::post("/echo/000/s1/xhr").body(FrameworkBody::default()).unwrap();
        runtime.block_on(async {
            service.serve(request).await;
            tokio::task::yield_now().await;
        });
        tell.send(()).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_secs(10)).is_ok(), "it hangs");
    assert_eq!(SEEN.load(Ordering::Relaxed), 1);
}
