//! What only the operating system knows: randomness, and the date.
#![allow(clippy::disallowed_methods)] // this is where it is read

use core::time::Duration;

/// Sixteen bytes that nobody can foresee, for the key of one opening handshake (RFC 6455 4.1, 10.3).
///
/// # Errors
///
/// The operating system has no randomness to give.
///
/// ```
/// use pushline::ws::handshake::{ClientHandshake, ClientOptions, Uri};
///
/// let uri = Uri::parse("ws://example.com/chat")?;
/// let client = ClientHandshake::new(ClientOptions::new(), &uri, pushline::adapter::nonce()?);
/// # let _ = client;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn nonce() -> std::io::Result<[u8; 16]> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    Ok(nonce)
}

/// 64 random bits for what merely ought to differ, such as jitter: 0 if there are none to be had.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// The wall time, for the dates of servers.
pub(crate) fn since_1970() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}
