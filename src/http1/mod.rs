//! HTTP/1.1 message syntax: heads and chunked bodies (RFC 9112).

pub mod authority;
pub mod chunked;
pub mod head;
pub mod syntax;
