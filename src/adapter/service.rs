//! The frameworks' servers as services of tower: a router of axum's takes them as they are.

use ::http::{Request, Response};
use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use http_body::Body;
use std::boxed::Box;
use tower_service::Service;

/// What a service gives: each request's own future.
type Answer<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

fn answer<B>(response: impl Future<Output = Response<B>> + Send + 'static) -> Answer<B> {
    Box::pin(async move { Ok(response.await) })
}

/// For a router: `route_service`, at the service's path and at `PATH/{*rest}`.
#[cfg(feature = "sockjs")]
impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for super::frameworks::SockJs {
    type Response = Response<super::frameworks::FrameworkBody>;
    type Error = Infallible;
    type Future = Answer<super::frameworks::FrameworkBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        answer(async move { service.serve(request).await })
    }
}

/// For a router: `route_service`, at the service's path.
#[cfg(feature = "atmosphere")]
impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for super::frameworks::Atmosphere {
    type Response = Response<super::frameworks::FrameworkBody>;
    type Error = Infallible;
    type Future = Answer<super::frameworks::FrameworkBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        answer(async move { service.serve(request).await })
    }
}

/// For a router: `route_service`, at the service's path.
#[cfg(feature = "pushlet")]
impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for super::frameworks::Pushlet {
    type Response = Response<super::frameworks::FrameworkBody>;
    type Error = Infallible;
    type Future = Answer<super::frameworks::FrameworkBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        answer(async move { service.serve(request).await })
    }
}

/// For a router: `route_service`, at `/socket.io/`.
#[cfg(feature = "socketio")]
impl<B: Body<Data: Send> + Send + 'static> Service<Request<B>> for super::socketio::SocketIo {
    type Response = Response<super::socketio::SocketIoBody>;
    type Error = Infallible;
    type Future = Answer<super::socketio::SocketIoBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        answer(async move { service.handle(request).await })
    }
}

/// For a router: `route_service`, at any path, such as `/cometd`, and at `PATH/{*rest}`, as CometD's client appends the name of
/// the meta channel.
#[cfg(feature = "bayeux")]
impl<B, H> Service<Request<B>> for super::bayeux::BayeuxService<H>
where
    B: Body<Data: Send> + Send + 'static,
    H: crate::comet::bayeux::Host + Send + 'static,
{
    type Response = Response<std::string::String>;
    type Error = Infallible;
    type Future = Answer<std::string::String>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        answer(async move { service.serve(request).await })
    }
}
