//! Which path gives what. Each transport has a path of its own, so that a switch, or a proxy, can block one of them.
//!
//! | path | transport | |
//! |---|---|---|
//! | `GET /ws` | `ws` | both ways |
//! | `GET /events` | `sse` | an event stream; ids are cursors |
//! | `GET /xhr-streaming` `/long-polling` `/polling` `/jsonp` `/iframe` | as named | the messages of a visit |
//! | `POST /send?session=` | all but `ws` and `jsonp` | one request of the page, as the body |
//! | `GET /send?session=&text=&callback=` | `jsonp` | the same, in the query |
//!
//! The receiving requests have `session`, `nick` and `cursor` of the hello in their query; those of a visit also `link`,
//! its name, and `since`, the last message that arrived. `/jsonp` has the `callback` and `/iframe` the `origin` to post to.

use std::sync::Arc;

use pushline::comet::jsonp::{self, Callback};
use pushline::comet::{Stream, StreamConfig, parse_cursor};

use crate::hub::Place;
use crate::page::PAGE;
use crate::protocol::{Hello, MAX_REQUEST};
use crate::reply::{HTML, NO_STORE, NOSNIFF, Reply};
use crate::request::Request;
use crate::server::{Server, Stop};
use crate::told::Told;
use crate::visit::{Asked, Visit, turned_away};

/// What the page calls its JSONP functions. Only these are called, so that a link to `/jsonp` that found its way into a
/// page that trusts this server's scripts could still call nothing of that page's.
const CALLBACKS: &str = "pushlineJsonp";

/// What a request gets.
#[derive(Debug)]
pub enum Route {
    /// This.
    Reply(Reply),
    /// The next messages of a visit, when there are any.
    Poll(Arc<Visit>, u64),
    /// A visit's messages, as they come.
    Stream(Arc<Visit>, u64, Box<Stream>, Reply),
    /// The room's events, as they come.
    Events(Box<Place<Told>>),
    /// These, and no more.
    TurnedAway([Told; 2]),
}

/// Finds it. CORS fields are the caller's.
pub fn route(request: &Request, server: &Arc<Server>, stop: &Stop) -> Route {
    let transport = match request.path.as_str() {
        "/events" => "sse",
        path => path.trim_start_matches('/'),
    };
    let offers = server.options.offers(transport);
    Route::Reply(match (request.path.as_str(), request.method.as_str()) {
        ("/", "GET" | "HEAD") => {
            let policy = ("Content-Security-Policy", server.policy.as_str());
            let fields =
                [HTML, policy, NOSNIFF, ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache")];
            Reply::new(200).fields(&fields).body(PAGE.as_bytes())
        }
        ("/favicon.ico", "GET" | "HEAD") => {
            Reply::new(204).fields(&[("Cache-Control", "max-age=86400"), NOSNIFF])
        }
        ("/send", "POST") => {
            let text = str::from_utf8(&request.body).unwrap_or_default();
            Reply::new(send(request, text, server)).fields(&[NO_STORE, NOSNIFF])
        }
        ("/send", "GET") if server.options.offers("jsonp") => match callback(request) {
            Some(callback) => {
                let status = send(request, request.query("text"), server);
                let script = format!("/**/{}({{\"status\":{status}}});", callback.as_str());
                Reply::new(200).fields(&jsonp::FIELDS).body(script.into_bytes())
            }
            None => Reply::text(400, "That callback is not called.\n"),
        },
        ("/events", "GET") if offers => return events(request, server),
        ("/xhr-streaming" | "/long-polling" | "/polling" | "/jsonp" | "/iframe", "GET") if offers => {
            return visit(request, server, stop);
        }
        ("/" | "/favicon.ico", _) => not_allowed("GET, HEAD"),
        ("/send", _) => not_allowed("POST"),
        ("/events" | "/xhr-streaming" | "/long-polling" | "/polling" | "/jsonp" | "/iframe", _) if offers => {
            not_allowed("GET")
        }
        _ => Reply::text(404, "There is nothing here. The chat is at /.\n"),
    })
}

fn not_allowed(methods: &str) -> Reply {
    Reply::text(405, format!("This takes {methods}.\n")).fields(&[("Allow", methods)])
}

/// The function that a JSONP response calls, if it is one of the page's.
pub fn callback(request: &Request) -> Option<Callback<'_>> {
    let callback = Callback::parse(request.query("callback")).ok()?;
    callback.as_str().starts_with(CALLBACKS).then_some(callback)
}

/// The status: done, or the page is not in the room (any more), so that it must say hello again.
fn send(request: &Request, text: &str, server: &Server) -> u16 {
    if text.len() > MAX_REQUEST {
        return 413;
    }
    if server.hub.receive_for(request.query("session"), text, server.now()) { 204 } else { 410 }
}

fn hello(request: &Request, cursor: &str) -> Hello {
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    Hello {
        session: request.query("session").to_owned(),
        nick: request.query("nick").to_owned(),
        cursor: cursor.map(str::to_owned),
    }
}

fn events(request: &Request, server: &Server) -> Route {
    // The browser repeats the URL when it comes back, and says in a field how far it got.
    let last = request.field("last-event-id").and_then(|id| str::from_utf8(id).ok());
    let hello = hello(request, last.unwrap_or_else(|| request.query("cursor")));
    match server.hub.hello(&hello, server.now()) {
        Ok(place) => Route::Events(Box::new(place)),
        Err(refusal) => Route::TurnedAway(turned_away(&refusal)),
    }
}

fn visit(request: &Request, server: &Arc<Server>, stop: &Stop) -> Route {
    let Some(since) = parse_cursor(request.query("since")) else {
        return Route::Reply(Reply::text(400, "That is not a cursor.\n"));
    };
    let response = match request.path.as_str() {
        "/xhr-streaming" => {
            Some((Stream::xhr(StreamConfig::new()), Reply::new(200).fields(&Stream::XHR_FIELDS)))
        }
        "/iframe" => {
            let origin = request.query("origin");
            let allowed = server.access.allows(origin, request);
            let Some(stream) = Stream::frame_to(origin, StreamConfig::new()).ok().filter(|_| allowed) else {
                return Route::Reply(Reply::text(403, "That origin may not use this server.\n"));
            };
            // The document's scripts stand in it, one for each message, as they come: no hash or nonce can name them.
            // So it gets no origin and may do nothing but post to its parent, which is a page of that origin.
            let policy = format!(
                "default-src 'none'; script-src 'unsafe-inline'; sandbox allow-scripts; frame-ancestors {origin}"
            );
            let reply = Reply::new(200).fields(&Stream::FRAME_FIELDS);
            Some((stream, reply.fields(&[("Content-Security-Policy", &policy)])))
        }
        "/jsonp" if callback(request).is_none() => {
            return Route::Reply(Reply::text(400, "That callback is not called.\n"));
        }
        _ => None,
    };
    let hold = request.path != "/polling";
    let asked = Asked {
        hello: hello(request, request.query("cursor")),
        link: request.query("link").to_owned(),
        since,
        hold,
    };
    match (server.visits.enter(&asked, server, stop), response) {
        (None, _) => {
            Route::Reply(Reply::text(503, "There are too many here.\n").fields(&[("Retry-After", "5")]))
        }
        (Some(visit), None) => Route::Poll(visit, since),
        (Some(visit), Some((stream, reply))) => Route::Stream(visit, since, Box::new(stream), reply),
    }
}
