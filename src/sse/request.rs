//! What a request for an event stream says, and how its response is known (HTML 9.2.2, 9.2.3).

use crate::http1::syntax::{is_token, trim};

/// The fields of a request for an event stream, names in lower case (HTML 9.2.2): what is accepted, that no
/// cache may answer, that nothing is to be compressed, and the last event ID, unless it is empty. An ID with CR, LF or NUL is left out, too: no
/// stream gives one, and it would forge a field.
///
/// ```
/// use pushline::sse::request_fields;
///
/// let fields: Vec<_> = request_fields("7").collect();
/// assert_eq!(
///     fields,
///     [
///         ("accept", "text/event-stream"),
///         ("accept-encoding", "identity"),
///         ("cache-control", "no-cache"),
///         ("last-event-id", "7"),
///     ]
/// );
/// ```
pub fn request_fields(last_event_id: &str) -> impl Iterator<Item = (&'static str, &str)> {
    let is_sound = |id: &str| !id.is_empty() && !id.contains(['\r', '\n', '\0']);
    let id = is_sound(last_event_id).then_some(("last-event-id", last_event_id));
    let fields =
        [("accept", super::CONTENT_TYPE), ("accept-encoding", "identity"), ("cache-control", "no-cache")];
    fields.into_iter().chain(id)
}

/// Whether a `Content-Type` is that of an event stream, whatever its parameters: an event stream is UTF-8
/// even if it says otherwise (HTML 9.2.3). Of several types in a list the last one counts
/// (Fetch 2.2.2, "extract a MIME type").
///
/// ```
/// use pushline::sse::is_event_stream;
///
/// assert!(is_event_stream(b"Text/Event-Stream; charset=windows-1252"));
/// assert!(!is_event_stream(b"text/plain"));
/// ```
#[must_use]
pub fn is_event_stream(content_type: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let elements = content_type.split(|&byte| {
        // Only in a quoted string does a backslash take the next byte's meaning, and hide it a comma.
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return byte == b',' && !quoted,
        }
        false
    });
    let types = elements.filter_map(essence).filter(|essence| *essence != b"*/*");
    types.fold(false, |_, essence| essence.eq_ignore_ascii_case(super::CONTENT_TYPE.as_bytes()))
}

/// `type/subtype`, without parameters; `None` if it is none.
fn essence(media_type: &[u8]) -> Option<&[u8]> {
    let essence = trim(media_type.split(|&byte| byte == b';').next()?);
    let slash = essence.iter().position(|&byte| byte == b'/')?;
    let (main, sub) = essence.split_at(slash);
    (is_token(main) && is_token(sub.get(1..)?)).then_some(essence)
}

/// Whether a browser asks a server of another origin before it sends this ID to it: if it is longer than
/// 128 bytes or has a CORS-unsafe request-header byte (Fetch 2.2.2). A server saves its clients a round
/// trip by choosing IDs that are neither.
///
/// ```
/// use pushline::sse::needs_preflight;
///
/// assert!(!needs_preflight("2026-11-21/00042"));
/// assert!(needs_preflight("<42>"));
/// ```
#[must_use]
pub fn needs_preflight(last_event_id: &str) -> bool {
    let unsafe_byte = |byte: u8| byte < b' ' && byte != b'\t' || b"\"():<>?@[\\]{}\x7f".contains(&byte);
    last_event_id.len() > 128 || last_event_id.bytes().any(unsafe_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_type_of_a_list_counts() {
        for (value, is) in [
            ("text/event-stream", true),
            (" \ttext/event-stream\t ", true),
            ("text/event-stream ; a=b", true),
            ("text/event-stream;", true),
            ("text/html, text/event-stream", true),
            ("text/event-stream, */*", true),
            ("text/event-stream,", true),
            ("text/event-stream, nothing", true),
            ("text/event-stream; a=\", text/html\"", true),
            ("text/event-stream; a=\"\\\", text/html\"", true),
            ("text/event-stream; a=\", text/html", true),
            ("text/event-stream, text/html", false),
            ("text/event-stream; a=\"\", text/html", false),
            ("text/event-stream; a=\\\", text/html", true),
            ("text/html; a=\", text/event-stream\"", false),
            ("text/event-streams", false),
            ("text/event-stream charset=utf-8", false),
            ("text/event-stream/x", false),
            ("\"text/event-stream\"", false),
            ("text /event-stream", false),
            ("event-stream", false),
            ("/event-stream", false),
            ("text/", false),
            (";text/event-stream", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(is_event_stream(value.as_bytes()), is, "{value}");
        }
    }

    #[test]
    fn an_id_forges_no_field() {
        for id in ["", "1\r\nX: y", "1\n", "\r", "1\0"] {
            assert_eq!(request_fields(id).count(), 3, "{id:?}");
        }
        assert_eq!(request_fields("\u{1} é").last(), Some(("last-event-id", "\u{1} é")));
    }

    #[test]
    fn ids_that_need_a_preflight() {
        assert!(!needs_preflight(&"a".repeat(128)));
        assert!(needs_preflight(&"a".repeat(129)));
        assert!(!needs_preflight("…\t é"));
        for byte in "\"():<>?@[\\]{}\x7f\x01\x1f".chars() {
            assert!(needs_preflight(byte.encode_utf8(&mut [0; 4])), "{byte:?}");
        }
    }
}
