//! [Bayeux](crate::comet::bayeux) behind hyper, and whatever stands on hyper (axum, tower): CometD's and Faye's clients
//! over WebSocket, long polling and callback polling.
//!
//! [`BayeuxService::serve`] answers a request of the `http` crate, whatever its path. `examples/cometd` is a whole program.

mod options;
mod request;
mod socket;
mod state;

pub use options::{BayeuxOptions, Everyone, client_id, unix_millis};

use super::hyper;
use crate::comet::bayeux::{BayeuxRefusal, BayeuxRequest, Broker, Channel, ClientId, Host, form};
use crate::comet::jsonp::{self, Callback};
use crate::json::Value;
use ::tokio::time::Instant;
use core::fmt;
use core::future::Future;
use request::{Asked, Asking, Failed};
use state::{Answer, Shared, Waiting};
use std::borrow::ToOwned;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// A Bayeux server as a function from requests to responses. A clone is the same server.
///
/// ```
/// use pushline::adapter::bayeux::{Everyone, BayeuxOptions, BayeuxService};
/// use pushline::comet::bayeux::Channel;
/// use pushline::json;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let service = BayeuxService::new(BayeuxOptions::new(), Everyone);
/// let handshake = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
/// let request = http::Request::post("/cometd").body(handshake.to_owned())?;
/// let response = service.serve(request).await;
/// assert_eq!(response.status(), 200);
/// assert!(response.body().contains("\"clientId\""));
/// service.publish(Channel::parse("/news").unwrap(), json::check("\"none yet\"")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct BayeuxService<H> {
    shared: Arc<Shared<H>>,
}

impl<H> Clone for BayeuxService<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<H> fmt::Debug for BayeuxService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BayeuxService").finish_non_exhaustive()
    }
}

impl<H: Host + Send + 'static> BayeuxService<H> {
    /// A server without clients. A task of its own keeps the times, until the last clone is gone.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(options: BayeuxOptions, host: H) -> Self {
        let shared = Arc::new(Shared::new(options, host));
        ::tokio::spawn(state::keep_time(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Answers a request: at once, or when there is news. A WebSocket is served by a task of its own.
    ///
    /// Dropping the future before it is done is right when the client has left: nothing is lost that it has not been
    /// sent.
    pub fn serve<B>(&self, mut request: http::Request<B>) -> impl Future<Output = http::Response<String>>
    where
        B: http_body::Body + Send,
    {
        // Looked at before there is a future: while a client waits, only that is held.
        let options = &self.shared.options;
        let origin = request.headers().get("origin").map(|origin| origin.as_bytes().to_owned());
        let decision = options.cors.decide(&request);
        let asking = if request.method() == http::Method::OPTIONS {
            Err(request::preflight(&request, &options.cors))
        } else {
            let asking = if !decision.is_allowed() {
                Err(request::plain(403, "origin not allowed"))
            } else if request.method() == http::Method::CONNECT || request.headers().contains_key("upgrade") {
                Err(self.upgrade(&mut request))
            } else {
                Asking::new(&request, options)
                    .map_err(|Failed(status, reason)| request::plain(status, reason))
            };
            asking.map_err(|mut response| {
                decision.set_fields(response.headers_mut());
                response
            })
        };
        let asking = asking.map(|asking| (asking, request.into_body()));
        async move {
            let (asking, body) = match asking {
                Ok(asking) => asking,
                Err(response) => return response,
            };
            let mut response = match asking.read(body, options).await {
                Ok(asked) => self.answer(asked).await,
                Err(Failed(status, reason)) => request::plain(status, reason),
            };
            options.cors.check(origin.as_deref()).set_fields(response.headers_mut());
            response
        }
    }

    /// What the program publishes goes to all who are subscribed.
    pub fn publish(&self, channel: Channel<'_>, data: Value<'_>) {
        self.shared.with(|broker, _| broker.publish(channel, data));
    }

    /// What the program sends to one client; see [`Broker::deliver`].
    pub fn deliver(&self, client: ClientId, channel: Channel<'_>, data: Value<'_>) -> bool {
        self.shared.with(|broker, _| broker.deliver(client, channel, data))
    }

    /// Does something with the broker, while nobody else does.
    pub fn with<R>(&self, work: impl FnOnce(&mut Broker<Instant, H>) -> R) -> R {
        self.shared.with(|broker, _| work(broker))
    }

    fn upgrade<B>(&self, request: &mut http::Request<B>) -> http::Response<String> {
        // Who may was checked before.
        let options = &self.shared.options;
        match hyper::upgrade(request, &options.handshake, &options.socket) {
            Ok((response, upgrade)) => {
                ::tokio::spawn(socket::serve(self.shared.clone(), upgrade));
                response
            }
            Err(rejection) => hyper::refuse(&rejection),
        }
    }

    async fn answer(&self, asked: Asked) -> http::Response<String> {
        // A script has to be asked for with a name that is one, before anything is done.
        if asked.callback.as_deref().is_some_and(|name| Callback::parse(name).is_err()) {
            return request::plain(400, "callback is not the name of a function");
        }
        let cookie = asked.new_cookie();
        let answer = self.ask(&asked);
        // Not held while the client waits.
        let callback = asked.callback;
        let (status, json) = match answer {
            Ok(Answer::Ready(status, json)) => (status, json),
            Ok(Answer::Held(waiting)) => waiting.answer().await,
            Err(refusal) => return request::plain(refusal.status(), "not a Bayeux request, or too large"),
        };
        let mut response = match callback.as_deref().map(Callback::parse) {
            _ if status != 200 => request::plain(status, "another connect has come"),
            Some(Ok(callback)) => request::response(200, form::script(callback, &json), jsonp::FIELDS),
            _ => request::response(200, json, crate::comet::JSON_FIELDS),
        };
        if let Some(cookie) = cookie {
            response.headers_mut().insert("set-cookie", cookie);
        }
        response
    }

    fn ask(&self, asked: &Asked) -> Result<Answer<H>, BayeuxRefusal> {
        let envelopes: Vec<&str> = asked.envelopes.iter().map(String::as_str).collect();
        Waiting::request(&self.shared, BayeuxRequest::new(&envelopes).browser(asked.browser))
    }
}
