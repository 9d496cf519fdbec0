//! Where clients wait: requests and WebSockets, and which of them are to be asked for output.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::host::ClientId;
use super::message::BayeuxRefusal;
use crate::ws::Prepared;
use core::hash::{BuildHasherDefault, Hasher};
use std::collections::{HashMap, VecDeque};
use std::string::String;
use std::vec::Vec;

/// Names one request or one WebSocket. Never used twice.
///
/// ```
/// # use pushline::comet::bayeux::{Broker, ClientId, BrokerOptions, Host};
/// # struct Program;
/// # impl Host for Program {
/// #     fn client_id(&mut self) -> Option<ClientId> { Some(ClientId::new([7; 16])) }
/// #     fn unix_millis(&mut self) -> u64 { 0 }
/// # }
/// # use std::time::Duration;
/// let mut broker: Broker<Duration, _> = Broker::new(BrokerOptions::new(), Program);
/// assert_ne!(broker.socket(), broker.socket());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(u64);

/// One HTTP request.
///
/// ```
/// use pushline::comet::bayeux::BayeuxRequest;
///
/// let request = BayeuxRequest::new(&[r#"{"channel":"/meta/handshake"}"#]).browser(Some([3; 16]));
/// # let _ = request;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct BayeuxRequest<'r> {
    pub(super) envelopes: &'r [&'r str],
    pub(super) browser: Option<u128>,
}

impl<'r> BayeuxRequest<'r> {
    /// A request with these envelopes: the body, or each field `message` of a query or a form.
    pub const fn new(envelopes: &'r [&'r str]) -> Self {
        Self { envelopes, browser: None }
    }

    /// The browser that it comes from, if one must count its connections: over HTTP/1.1, the value of a cookie
    /// that all tabs share. See [`BrokerOptions::max_held_per_browser`](super::BrokerOptions::max_held_per_browser).
    pub const fn browser(mut self, browser: Option<[u8; 16]>) -> Self {
        self.browser = match browser {
            Some(id) => Some(u128::from_be_bytes(id)),
            None => None,
        };
        self
    }
}

/// A message to be sent over a link.
///
/// ```
/// use pushline::comet::bayeux::Output;
///
/// /// The text, if it was written for one client alone.
/// fn text(output: Output) -> Option<String> {
///     match output {
///         Output::Answer(_, text) | Output::Text(text) => Some(text),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub enum Output {
    /// The answer to a request: the status, and a JSON array, which is empty unless the status is 200. The link is
    /// no more.
    Answer(u16, String),
    /// A text message for a WebSocket.
    Text(String),
    /// A text message for a WebSocket that others get as well.
    Prepared(Prepared),
    /// The WebSocket is to be closed with this code.
    Close(u16),
}

/// A map by links or client ids.
pub(crate) type ById<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Hashes by a multiplication: these keys are counted, or drawn by the host, and no peer chooses one that is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = wide as u64 ^ (wide >> 64) as u64;
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) is_socket: bool,
    /// The client that has its connect held here, or that is on this WebSocket.
    pub(super) client: Option<ClientId>,
    /// An array without its last bracket, or empty.
    pub(super) replies: Vec<u8>,
    /// Of a request, if it is not 200.
    pub(super) status: Option<u16>,
    pub(super) refused: Option<BayeuxRefusal>,
    is_ready: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    states: ById<Link, State>,
    ready: VecDeque<Link>,
    last: u64,
}

impl Links {
    pub(super) fn open(&mut self, is_socket: bool) -> Link {
        self.last += 1;
        self.states.insert(Link(self.last), State { is_socket, ..State::default() });
        Link(self.last)
    }

    pub(super) fn get(&mut self, link: Link) -> Option<&mut State> {
        self.states.get_mut(&link)
    }

    pub(super) fn remove(&mut self, link: Link) -> Option<State> {
        self.states.remove(&link)
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Has it asked for output, once.
    pub(super) fn wake(&mut self, link: Link) {
        if let Some(state) = self.states.get_mut(&link)
            && !state.is_ready
        {
            state.is_ready = true;
            self.ready.push_back(link);
        }
    }

    pub(super) fn next_ready(&mut self) -> Option<Link> {
        loop {
            let link = self.ready.pop_front()?;
            if let Some(state) = self.states.get_mut(&link) {
                state.is_ready = false;
                return Some(link);
            }
        }
    }
}
