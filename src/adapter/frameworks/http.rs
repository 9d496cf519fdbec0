//! Between the types of the `http` crate and the frameworks' own.

use super::FrameworkBody;
use crate::comet::{HttpRequest, HttpResponse};
use ::http::header::{HeaderName, HeaderValue};
use bytes::{Buf, BytesMut};
use core::future::poll_fn;
use core::pin::pin;
use core::time::Duration;
use std::vec::Vec;

/// Reads a body of at most so many bytes within so long; or the answer to one that is not to be had.
pub(super) async fn read<B: http_body::Body>(
    body: B,
    most: usize,
    within: Duration,
) -> Result<BytesMut, HttpResponse> {
    let mut body = pin!(body);
    let reading = async {
        let mut read = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|_| HttpResponse::text(400, "The body broke off.\n"))?;
            if let Ok(mut data) = frame.into_data() {
                if data.remaining() > most - read.len() {
                    return Err(HttpResponse::text(413, "The body is too large.\n"));
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    read.extend_from_slice(chunk);
                    let length = chunk.len();
                    data.advance(length);
                }
            }
        }
        Ok(read)
    };
    match tokio::time::timeout(within, reading).await {
        Ok(read) => read,
        Err(_) => Err(HttpResponse::text(408, "The body took too long.\n")),
    }
}

/// Calls `route` with the request below `prefix`; `None` if it is not there.
pub(super) fn with_request<T>(
    parts: &::http::request::Parts,
    prefix: &str,
    body: &[u8],
    route: impl FnOnce(&HttpRequest<'_>) -> T,
) -> Option<T> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let target =
        target.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))?;
    // Over HTTP/2 the host is `:authority`; a `Host` beside it does not count (RFC 9113 8.3.1).
    let authority = parts.uri.authority().map(|authority| ("host", authority.as_str().as_bytes()));
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let fields: Vec<_> = authority.into_iter().chain(fields).collect();
    Some(route(&HttpRequest::new(parts.method.as_str(), target, &fields, body)))
}

/// The response with its own body.
pub(super) fn respond(mut response: HttpResponse) -> ::http::Response<FrameworkBody> {
    let body = core::mem::take(&mut response.body);
    respond_with(response, FrameworkBody::from(bytes::Bytes::from(body)))
}

/// The response with this body.
pub(super) fn respond_with(head: HttpResponse, body: FrameworkBody) -> ::http::Response<FrameworkBody> {
    let mut response = ::http::Response::new(body);
    *response.status_mut() =
        ::http::StatusCode::from_u16(head.status).unwrap_or(::http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in head.fields {
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        if let (Ok(name), Ok(value)) = pair {
            response.headers_mut().append(name, value);
        }
    }
    response
}
