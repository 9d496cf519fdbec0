//! Names of channels, and the patterns that subscriptions are to (Bayeux 1.0, 2.2 Channels).
#![allow(clippy::arithmetic_side_effects, reason = "no longer than the pattern that it ends")]

use core::fmt;

/// The name of a channel: segments of letters, digits and `-_!~()$@`, each behind a slash.
///
/// ```
/// use pushline::comet::bayeux::Channel;
///
/// assert!(Channel::parse("/chat/room-1").is_some_and(|channel| channel.is_broadcast()));
/// assert!(Channel::parse("/service/echo").is_some_and(|channel| channel.is_service()));
/// assert!(Channel::parse("/meta/connect").is_some_and(|channel| channel.is_meta()));
/// for invalid in ["", "/", "chat", "/chat/", "//chat", "/a b", "/chat/*", "/caf\u{e9}"] {
///     assert!(Channel::parse(invalid).is_none());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel<'c>(&'c str);

impl<'c> Channel<'c> {
    /// The channel of this name; `None` if it is no name of one.
    #[must_use]
    pub fn parse(name: &'c str) -> Option<Self> {
        // Bayeux 1.0, appendix A: channel_name = 1*( "/" channel_segment ).
        let mut segments = name.strip_prefix('/')?.split('/');
        segments.all(|segment| !segment.is_empty() && segment.bytes().all(is_token)).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'c str {
        self.0
    }

    /// 2.2.2: below `/meta`, of the protocol itself.
    #[must_use]
    pub fn is_meta(self) -> bool {
        is_below(self.0, "/meta")
    }

    /// 2.2.3: below `/service`, between one client and the server.
    #[must_use]
    pub fn is_service(self) -> bool {
        is_below(self.0, "/service")
    }

    /// 2.2.1: what is published there goes to all who are subscribed.
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        !self.is_meta() && !self.is_service()
    }
}

impl fmt::Display for Channel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The target of a subscription: a channel, or those below one: `/chat/*` the segment after, `/chat/**` any number of
/// segments after, at least one.
///
/// ```
/// use pushline::comet::bayeux::{Channel, Pattern};
///
/// let one = Pattern::parse("/chat/*").expect("a pattern");
/// let deep = Pattern::parse("/chat/**").expect("a pattern");
/// let [chat, room, seat] = ["/chat", "/chat/1", "/chat/1/a"].map(|name| Channel::parse(name).unwrap());
/// assert_eq!([chat, room, seat].map(|channel| one.matches(channel)), [false, true, false]);
/// assert_eq!([chat, room, seat].map(|channel| deep.matches(channel)), [false, true, true]);
/// assert!(Pattern::parse("/*/chat").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pattern<'p> {
    text: &'p str,
    pub(super) depth: Depth,
}

/// How far below its prefix a pattern reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Depth {
    Itself,
    One,
    Any,
}

impl<'p> Pattern<'p> {
    /// The pattern that this is; `None` if it is none.
    #[must_use]
    pub fn parse(text: &'p str) -> Option<Self> {
        let (prefix, depth) = match (text.strip_suffix("/**"), text.strip_suffix("/*")) {
            (Some(prefix), _) => (prefix, Depth::Any),
            (None, Some(prefix)) => (prefix, Depth::One),
            (None, None) => (text, Depth::Itself),
        };
        let is_root = prefix.is_empty() && depth != Depth::Itself;
        (is_root || Channel::parse(prefix).is_some()).then_some(Self { text, depth })
    }

    /// The text of it.
    #[must_use]
    pub const fn as_str(self) -> &'p str {
        self.text
    }

    /// What stands before the stars.
    pub(super) fn prefix(self) -> &'p str {
        let stars = match self.depth {
            Depth::Itself => 0,
            Depth::One => 2,
            Depth::Any => 3,
        };
        self.text.get(..self.text.len() - stars).unwrap_or_default()
    }

    /// Whether it is a channel of the protocol's, or reaches for these by name.
    #[must_use]
    pub fn is_meta(self) -> bool {
        is_below(self.text, "/meta")
    }

    /// Whether it is a service channel, or reaches for these by name.
    #[must_use]
    pub fn is_service(self) -> bool {
        is_below(self.text, "/service")
    }

    /// Whether what is published on `channel` is for its subscribers.
    #[must_use]
    pub fn matches(self, channel: Channel<'_>) -> bool {
        let below = channel.0.strip_prefix(self.prefix());
        match self.depth {
            Depth::Itself => below == Some(""),
            Depth::One => {
                below.and_then(|below| below.strip_prefix('/')).is_some_and(|one| !one.contains('/'))
            }
            Depth::Any => below.is_some_and(|below| below.starts_with('/')),
        }
    }
}

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// Appendix A: `token`, and what `mark` allows besides.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'!' | b'~' | b'(' | b')' | b'$' | b'@')
}

fn is_below(name: &str, first: &str) -> bool {
    name.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
