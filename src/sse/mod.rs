//! Server-Sent Events: the event-stream format, reconnecting and resuming (WHATWG HTML 9.2).
