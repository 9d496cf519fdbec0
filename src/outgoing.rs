//! Bytes waiting to be written.
/// Bytes waiting to be written.
#[derive(Debug)]
pub struct Outgoing;
