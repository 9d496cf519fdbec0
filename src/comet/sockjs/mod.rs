//! SockJS 0.3.3: a WebSocket's messages over whatever a browser can do, with the clients that speak it (`sockjs-client`,
//! Spring's STOMP over SockJS).
//!
//! A [`SockJsService`] says what a [`HttpRequest`](super::HttpRequest) asks for; a [`SockJsSession`] holds what one client is to be sent and
//! writes it frame by frame, over each transport alike. With the feature `hyper`, `adapter::frameworks` serves both.
//!
//! | file | what |
//! |---|---|
//! | `route.rs` | greeting, iframe page, info, the session URLs; CORS, cookies, caching: [`SockJsService`] |
//! | `session.rs` | open, heartbeat, message and close frames, limits and times: [`SockJsSession`] |
//! | `frame.rs` | the escapes, and what each transport puts around a frame: [`SockJsMessage`], [`SockJsTransport`] |
//! | `incoming.rs` | what clients send: [`SockJsMessages`] |
//!
//! There is no acknowledgement and no resumption: what is under way when a connection is cut is lost, and the session
//! with it. Who needs more has `comet::CometSession`, or Socket.IO.
//!
//! ```
//! use core::time::Duration;
//! use pushline::comet::HttpRequest;
//! use pushline::comet::sockjs::{SockJsOptions, SockJsMessage, SockJsReply, SockJsService, SockJsSession};
//!
//! let now = Duration::ZERO; // a virtual clock: time since the start
//! let service = SockJsService::new();
//! let request = HttpRequest::new("POST", "/000/abcdefgh/xhr", &[], b"");
//! let SockJsReply::Receive { session, transport, head } = service.route(&request, 0) else { panic!("it is one") };
//! assert_eq!((session, head.status), ("abcdefgh", 200));
//!
//! let mut session = SockJsSession::new(SockJsOptions::new(), now); // one for each identifier
//! session.receive(transport, now)?;
//! let mut body = head.body;
//! while session.next_frame(now, &mut body).is_some() {}
//! assert_eq!(body, b"o\n");
//! # Ok::<(), pushline::comet::sockjs::Busy>(())
//! ```

mod frame;
mod incoming;
mod route;
mod session;

pub use frame::{SockJsMessage, SockJsTransport};
pub use incoming::{BrokenJson, SockJsMessages};
pub use route::{MAX_ID, SockJsReply, SockJsService};
pub use session::{Busy, NotTaken, Sent, SockJsOptions, SockJsSession, SockJsTicket};
