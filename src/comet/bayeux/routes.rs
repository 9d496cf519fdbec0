//! Who is subscribed to what, by prefix: a message finds its subscribers in one look-up for each of its segments.

use super::channel::{Channel, Depth, Pattern};
use super::host::ClientId;
use std::boxed::Box;
use std::collections::{BTreeSet, HashMap};

/// The subscriptions of all clients.
///
/// [`matching`](Self::matching) takes two look-ups and one more for each segment of the channel, whatever else there
/// is.
///
/// ```
/// use pushline::comet::bayeux::{Channel, ClientId, Pattern, Routes};
///
/// let (ada, bob) = (ClientId::new([1; 16]), ClientId::new([2; 16]));
/// let mut routes = Routes::default();
/// routes.insert(Pattern::parse("/chat/1").unwrap(), ada);
/// routes.insert(Pattern::parse("/chat/*").unwrap(), bob);
/// routes.insert(Pattern::parse("/**").unwrap(), ada);
/// let heard: Vec<_> = routes.matching(Channel::parse("/chat/1").unwrap()).collect();
/// assert_eq!(heard, [ada, bob, ada]);
/// assert!(routes.remove(Pattern::parse("/chat/1").unwrap(), ada));
/// assert_eq!(routes.matching(Channel::parse("/chat/1").unwrap()).count(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Routes {
    nodes: HashMap<Box<str>, Node>,
}

/// The subscribers whose patterns begin with one prefix.
#[derive(Clone, Debug, Default)]
struct Node {
    itself: BTreeSet<ClientId>,
    one: BTreeSet<ClientId>,
    any: BTreeSet<ClientId>,
}

impl Node {
    fn at(&self, depth: Depth) -> &BTreeSet<ClientId> {
        match depth {
            Depth::Itself => &self.itself,
            Depth::One => &self.one,
            Depth::Any => &self.any,
        }
    }

    fn at_mut(&mut self, depth: Depth) -> &mut BTreeSet<ClientId> {
        match depth {
            Depth::Itself => &mut self.itself,
            Depth::One => &mut self.one,
            Depth::Any => &mut self.any,
        }
    }
}

impl Routes {
    /// Subscribes `client`; whether it was not before.
    pub fn insert(&mut self, pattern: Pattern<'_>, client: ClientId) -> bool {
        if !self.nodes.contains_key(pattern.prefix()) {
            self.nodes.insert(pattern.prefix().into(), Node::default());
        }
        self.nodes.get_mut(pattern.prefix()).is_some_and(|node| node.at_mut(pattern.depth).insert(client))
    }

    /// Ends a subscription; whether there was one. What nobody is subscribed to is forgotten.
    pub fn remove(&mut self, pattern: Pattern<'_>, client: ClientId) -> bool {
        let Some(node) = self.nodes.get_mut(pattern.prefix()) else { return false };
        let removed = node.at_mut(pattern.depth).remove(&client);
        if node.itself.is_empty() && node.one.is_empty() && node.any.is_empty() {
            self.nodes.remove(pattern.prefix());
        }
        removed
    }

    /// Whether anybody is subscribed to exactly this.
    #[must_use]
    pub fn contains(&self, pattern: Pattern<'_>) -> bool {
        self.nodes.get(pattern.prefix()).is_some_and(|node| !node.at(pattern.depth).is_empty())
    }

    /// Whether a subscription to this makes no new prefix.
    pub(super) fn knows(&self, pattern: Pattern<'_>) -> bool {
        self.nodes.contains_key(pattern.prefix())
    }

    /// Prefixes held: channels, and what patterns begin with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nobody is subscribed to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Who is to hear what is published on `channel`: a client once for each of its patterns that match.
    pub fn matching(&self, channel: Channel<'_>) -> impl Iterator<Item = ClientId> {
        let name = channel.as_str();
        let at = |prefix: &str, depth| self.nodes.get(prefix).map(|node| node.at(depth));
        let parent = name.rfind('/').and_then(|end| name.get(..end)).unwrap_or_default();
        let above = name.match_indices('/').filter_map(move |(end, _)| name.get(..end));
        at(name, Depth::Itself)
            .into_iter()
            .chain(at(parent, Depth::One))
            .chain(above.filter_map(move |prefix| at(prefix, Depth::Any)))
            .flatten()
            .copied()
    }
}
