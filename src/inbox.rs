//! Received bytes.
/// Received bytes not yet consumed.
#[derive(Debug)]
pub struct Inbox;
