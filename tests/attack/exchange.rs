//! Requests to the servers behind hyper, without a socket.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Runtime};

/// One thread, so that what is allocated is counted; a clock that goes on when all wait.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// A body that comes at once and ends, or does not end.
pub struct Load {
    bytes: Option<Bytes>,
    stalls: bool,
}

impl Body for Load {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.bytes.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

pub const HOST: &str = "chat.example";

pub fn request(method: &str, target: &str, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Load> {
    let mut request = Request::builder().method(method).uri(target).header("host", HOST);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Load { bytes: Some(body.into()), stalls: false }).unwrap()
}

pub fn get(target: &str) -> Request<Load> {
    request("GET", target, &[], "")
}

pub fn post(target: &str, body: impl Into<Bytes>) -> Request<Load> {
    request("POST", target, &[("content-type", "text/plain;charset=UTF-8")], body)
}

/// A request whose body stops in the middle.
pub fn stalled(mut request: Request<Load>) -> Request<Load> {
    request.body_mut().stalls = true;
    request
}

/// A request as the page of another site has it sent.
pub fn foreign(mut request: Request<Load>) -> Request<Load> {
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    request
}

/// The status and the body, which ends.
pub async fn read<B: Body>(response: Response<B>) -> (u16, String)
where
    B::Error: std::fmt::Debug,
{
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
