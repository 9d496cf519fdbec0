//! SockJS 0.3.3: a WebSocket's messages over whatever a browser can do, with the clients that speak it (`sockjs-client`,
//! Spring's STOMP over SockJS).
//!
//! A [`Service`] says what a [`Request`](super::Request) asks for; a [`Session`] holds what one client is to be sent and
//! writes it frame by frame, over each transport alike. With the feature `hyper`, `adapter::frameworks` serves both.
//!
//! | file | what |
//! |---|---|
//! | `route.rs` | greeting, iframe page, info, the session URLs; CORS, cookies, caching: [`Service`] |
//! | `session.rs` | open, heartbeat, message and close frames, limits and times: [`Session`] |
//! | `frame.rs` | the escapes, and what each transport puts around a frame: [`Message`], [`Transport`] |
//! | `incoming.rs` | what clients send: [`Messages`] |
//!
//! There is no acknowledgement and no resumption: what is under way when a connection is cut is lost, and the session
//! with it. Who needs more has `comet::Session`, or Socket.IO.
//!
//! ```
//! use core::time::Duration;
//! use pushline::comet::Request;
//! use pushline::comet::sockjs::{Config, Message, Reply, Service, Session};
//!
//! let now = Duration::ZERO; // a virtual clock: time since the start
//! let service = Service::new();
//! let request = Request::new("POST", "/000/abcdefgh/xhr", &[], b"");
//! let Reply::Receive { session, transport, head } = service.route(&request, 0) else { panic!("it is one") };
//! assert_eq!((session, head.status), ("abcdefgh", 200));
//!
//! let mut session = Session::new(Config::new(), now); // one for each identifier
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

pub use frame::{Message, Transport};
pub use incoming::{BrokenJson, Messages};
pub use route::{MAX_ID, Reply, Service};
pub use session::{Busy, Config, NotTaken, Sent, Session, Ticket};
