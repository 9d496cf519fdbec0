//! The frameworks' servers as services of tower: a router of axum's takes them as they are. What they answer is theirs to say;
//! here is only the trait.

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

/// Of a feature: the server, the method that serves, and what its bodies are. The comment says where a router has it.
macro_rules! service {
    ($(#[$doc:meta])* $feature:literal: $type:ty $(where $host:ident: $bound:path)?, $serve:ident, $body:ty) => {
        $(#[$doc])*
        #[cfg(feature = $feature)]
        impl<B: Body<Data: Send> + Send + 'static $(, $host: $bound + Send + 'static)?> Service<Request<B>> for $type {
            type Response = Response<$body>;
            type Error = Infallible;
            type Future = Answer<$body>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<B>) -> Self::Future {
                let service = self.clone();
                Box::pin(async move { Ok(service.$serve(request).await) })
            }
        }
    };
}

service! {
    /// For a router: `route_service`, at the service's path, at `PATH/` (both greet) and at `PATH/{*rest}`.
    "sockjs": super::frameworks::SockJs, serve, super::frameworks::FrameworkBody
}
service! {
    /// For a router: `route_service`, at the service's path.
    "atmosphere": super::frameworks::Atmosphere, serve, super::frameworks::FrameworkBody
}
service! {
    /// For a router: `route_service`, at the service's path.
    "pushlet": super::frameworks::Pushlet, serve, super::frameworks::FrameworkBody
}
service! {
    /// For a router: `route_service`, at `/socket.io/`.
    "socketio": super::socketio::SocketIo, handle, super::socketio::SocketIoBody
}
service! {
    /// For a router: `route_service`, at any path, such as `/cometd`, and at `PATH/{*rest}`, as CometD's client appends the name
    /// of the meta channel.
    "bayeux": super::bayeux::BayeuxService<H> where H: crate::comet::bayeux::Host, serve, std::string::String
}
