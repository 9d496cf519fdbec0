//! Request and response heads (RFC 9112 2 to 6), on httparse.
