//! Pushlet behind hyper: what one publishes on `/chat`, all who have subscribed to it get.
//!
//! `cargo run --all-features --example pushlet -- --listen 127.0.0.1:8082`, then
//! `curl -N '127.0.0.1:8082/pushlet.srv?p_event=join-listen&p_format=xml&p_mode=stream&p_subject=/chat'`, and with the
//! `p_id` of another join `curl '127.0.0.1:8082/pushlet.srv?p_event=publish&p_id=ID&p_subject=/chat&text=hello'`. The page
//! at `/` does what Pushlet's own client does.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pushline::adapter::frameworks::{FrameworkBody, Pushlet};
use pushline::comet::pushlet::PushletOptions;
use std::convert::Infallible;

async fn answer(pushlet: Pushlet, request: http::Request<Incoming>) -> http::Response<FrameworkBody> {
    if request.uri().path() != "/" {
        return pushlet.serve(request).await;
    }
    let mut response =
        http::Response::new(FrameworkBody::from(include_bytes!("page.html").as_slice().to_vec()));
    let page = http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, page);
    response
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => "127.0.0.1:8082".to_owned(),
        [flag, address] if flag == "--listen" => address.clone(),
        _ => return Err("usage: pushlet [--listen ADDRESS:PORT]".into()),
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    let pushlet = Pushlet::new("/pushlet.srv", PushletOptions::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let pushlet = pushlet.clone();
        let serve = service_fn(move |request| {
            let pushlet = pushlet.clone();
            async move { Ok::<_, Infallible>(answer(pushlet, request).await) }
        });
        tokio::spawn(
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), serve),
        );
    }
}
