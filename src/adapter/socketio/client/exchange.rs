//! Requests of polling: one connection for polls, one for POSTs, both kept open.

use super::super::http::{Failed, SocketIoBody, collect};
use crate::adapter::Options;
use crate::adapter::tokio::dial;
use crate::http1::Url;
use ::hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::string::String;
use std::vec::Vec;
use tokio::time::timeout;

/// A connection, or none yet.
#[derive(Default)]
pub(super) struct Line(Option<SendRequest<SocketIoBody>>);

/// A status and a body; the line to use again.
pub(super) type Reply = Option<(Line, u16, Vec<u8>)>;

impl Line {
    /// `None` if there was no answer, or one over `max` bytes.
    pub(super) async fn exchange(
        self,
        url: Url,
        options: Options,
        target: String,
        post: Option<Vec<u8>>,
        max: usize,
    ) -> Reply {
        let open = self.0.filter(|line| !line.is_closed());
        let mut line = match open {
            Some(line) => line,
            None => {
                let dialing = dial(&options.route, url.is_secure(), url.address());
                let stream = timeout(options.handshake_timeout.get(), dialing).await.ok()?.ok()?;
                let (line, connection) = handshake(TokioIo::new(stream)).await.ok()?;
                tokio::spawn(connection);
                line
            }
        };
        line.ready().await.ok()?;
        let method = if post.is_some() { "POST" } else { "GET" };
        let request = ::http::Request::builder().method(method).uri(target).header("host", url.host_field());
        let request = match post {
            Some(body) => {
                request.header("content-type", "text/plain;charset=UTF-8").body(SocketIoBody::from(body))
            }
            None => request.body(SocketIoBody::default()),
        };
        let response = line.send_request(request.ok()?).await.ok()?;
        let status = response.status().as_u16();
        match collect(response.into_body(), max).await {
            Ok(body) => Some((Self(Some(line)), status, body)),
            Err(Failed::TooLarge | Failed::Cut) => None,
        }
    }
}
