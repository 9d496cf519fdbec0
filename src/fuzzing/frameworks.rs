//! The frameworks: sessions against lists of what was sent, subscriptions against a search through all of them, and
//! requests of any kind, whose answers must not carry what they must not.

use crate::comet::{HttpRequest, HttpResponse, atmosphere, pushlet, sockjs};
use core::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A SockJS session: `o` once and first, then what was sent, once and in order, until a response is cut; then the close.
pub fn sockjs(data: &[u8]) {
    let config = sockjs::SockJsOptions::new().response_limit(30).max_messages(4).max_bytes(40);
    let mut session = sockjs::SockJsSession::new(config, Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut receiver: Option<(sockjs::SockJsTicket, bool)> = None;
    let (mut sent, mut got) = (String::new(), String::new());
    let (mut open, mut closed) = (false, false);
    // When it was closed, and when something was last heard of its response.
    let mut heard_at = now;
    for &byte in data {
        match byte % 8 {
            0 | 1 => {
                let polls = byte & 8 == 0;
                let transport =
                    if polls { sockjs::SockJsTransport::Xhr } else { sockjs::SockJsTransport::WebSocket };
                let ticket = session.receive(transport, now);
                assert_eq!(ticket.is_ok(), receiver.is_none());
                if ticket.is_ok() {
                    heard_at = now;
                }
                receiver = receiver.or(ticket.ok().map(|ticket| (ticket, polls)));
            }
            2 => {
                if let Some((ticket, _)) = receiver.take() {
                    session.cut(ticket, now);
                    (open, closed) = (true, true);
                    sent.clone_from(&got); // the rest is lost
                }
            }
            3 => now += SECOND * u32::from(byte / 8),
            4 => {
                session.close(3000, "bye", now);
                closed = true;
            }
            5 => {
                let text = char::from(b'a' + byte / 8 % 26).to_string();
                if session.send(sockjs::SockJsMessage::text(&text), now).is_ok() {
                    assert!(!closed);
                    sent += &text;
                } else {
                    assert!(closed || session.queued() == 4);
                }
            }
            _ => {
                let mut out = Vec::new();
                let Some(written) = session.next_frame(now, &mut out) else { continue };
                let (ticket, polls) = receiver.unwrap();
                assert_eq!(written.ticket, ticket);
                heard_at = now;
                let text = String::from_utf8(out).unwrap();
                match text.trim_end() {
                    "o" => assert!(!core::mem::replace(&mut open, true)),
                    "h" => assert!(open && !closed),
                    list if list.starts_with('a') => {
                        assert!(open);
                        got.extend(list[1..].chars().filter(char::is_ascii_lowercase));
                    }
                    close => assert!(close.starts_with('c') && closed && open && written.last),
                }
                assert!(written.last || !polls);
                if written.last {
                    receiver = None;
                }
            }
        }
        assert!(sent.starts_with(&got));
        assert_eq!(session.is_closed(), closed);
        // Only a response that stands still is no life: it had the default time.
        if let Some((_, polls)) = receiver
            && session.is_expired(now)
        {
            assert!(polls && heard_at + 50 * SECOND <= now);
        }
    }
}

/// A SockJS request of any kind, and what is sent in it.
pub fn sockjs_route(data: &[u8]) {
    let Some((target, body)) = split(data) else { return };
    let fields =
        [("Origin", &b"https://a.example"[..]), ("Cookie", target.as_bytes()), ("Host", b"a.example")];
    let service = sockjs::SockJsService::new().cookie(true);
    for method in ["GET", "POST", "OPTIONS"] {
        match service.route(&HttpRequest::new(method, target, &fields, body), 0) {
            sockjs::SockJsReply::Response(response) => check(&response),
            sockjs::SockJsReply::Receive { session, transport, head } => {
                check(&head);
                assert!(!session.is_empty() && session.len() <= sockjs::MAX_ID);
                let mut out = Vec::new();
                transport.write_prelude(&mut out);
                transport.write_frame("a[\"</script><!--\"]", &mut out);
                let text = String::from_utf8(out).unwrap();
                match &transport {
                    sockjs::SockJsTransport::HtmlFile(callback)
                    | sockjs::SockJsTransport::Jsonp(callback) => {
                        assert!(
                            callback
                                .bytes()
                                .all(|byte| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte))
                        );
                        assert_eq!(text.matches("</script>").count(), text.matches("<script>").count());
                        assert!(!text.contains("<!--"));
                    }
                    _ => assert!(text.contains("a[\"</script><!--\"]")),
                }
            }
            sockjs::SockJsReply::Send { messages, done, missing, .. } => {
                check(&done);
                check(&missing);
                // What was taken is given back as it was.
                for text in messages.iter() {
                    let message = sockjs::SockJsMessage::text(&text);
                    let again = sockjs::SockJsMessages::parse(message.literal()).unwrap();
                    assert_eq!(again.iter().collect::<Vec<_>>(), [text]);
                }
            }
            sockjs::SockJsReply::WebSocket { .. } => unreachable!("no such fields"),
        }
    }
}

/// An Atmosphere session, read as its client reads it; and requests of any kind.
pub fn atmosphere(data: &[u8]) {
    let Some((target, body)) = split(data) else { return };
    let service = atmosphere::AtmosphereService::new();
    for method in ["GET", "POST"] {
        match service.route(&HttpRequest::new(method, target, &[], body)) {
            atmosphere::AtmosphereReply::Response(response) => check(&response),
            atmosphere::AtmosphereReply::Listen(listen) => check(&listen.head),
            atmosphere::AtmosphereReply::Message { done, .. }
            | atmosphere::AtmosphereReply::Close { done, .. } => check(&done),
        }
    }
    let request = HttpRequest::new(
        "GET",
        "?X-Atmosphere-Transport=streaming&X-Atmosphere-TrackMessageSize=true",
        &[],
        b"",
    );
    let atmosphere::AtmosphereReply::Listen(listen) = service.route(&request) else {
        unreachable!("it listens")
    };
    let mut session = atmosphere::AtmosphereSession::new(
        "id",
        atmosphere::AtmosphereOptions::new().max_messages(4),
        Duration::ZERO,
    );
    let (mut sent, mut got, mut ticket) = (String::new(), String::new(), None);
    for &byte in body {
        match byte % 4 {
            0 => {
                let transport = match byte / 4 % 3 {
                    0 => atmosphere::AtmosphereTransport::WebSocket,
                    1 => atmosphere::AtmosphereTransport::Streaming,
                    _ => atmosphere::AtmosphereTransport::LongPolling,
                };
                let listen = atmosphere::Listen { transport, ..listen.clone() };
                ticket = Some(session.receive(&listen, Duration::ZERO));
            }
            1 => {
                if let Some(ticket) = ticket.take() {
                    session.cut(ticket, Duration::ZERO);
                }
            }
            2 => {
                let text = ["a", "|", "1|b", "\u{1f600}"][usize::from(byte / 4 % 4)];
                if session.send(text.into(), Duration::ZERO).is_ok() {
                    sent += text;
                }
            }
            _ => {
                let mut out = Vec::new();
                let Some(open) = ticket else { continue };
                if session.next_frame(open, Duration::ZERO, &mut out) == Some(true) {
                    ticket = None;
                }
                let units: Vec<u16> = String::from_utf8(out).unwrap().encode_utf16().collect();
                let mut rest = &units[..];
                while !rest.is_empty() {
                    let length = usize::from(rest[0] - u16::from(b'0'));
                    got += &String::from_utf16(&rest[2..2 + length]).unwrap();
                    rest = &rest[2 + length..];
                }
            }
        }
        assert!(sent.starts_with(&got));
    }
}

/// Pushlet requests of any kind, and publications to subscribers, against a search through all subscriptions.
pub fn pushlet(data: &[u8]) {
    let Some((target, ops)) = split(data) else { return };
    let mut server =
        pushlet::PushletServer::new(pushlet::PushletOptions::new().max_subscriptions(3).max_events(1000));
    let ask = |server: &mut pushlet::PushletServer<Duration>, query: &str, id: u8| {
        let target = format!("/?{query}");
        let fresh = pushlet::Fresh { id: [id; 16], time: 0 };
        match server.request(&HttpRequest::new("GET", &target, &[], b""), fresh, Duration::ZERO) {
            pushlet::PushletReply::Response(response) => (response, None),
            pushlet::PushletReply::Listen { ticket, head } => (head, Some(ticket)),
        }
    };
    check(&ask(&mut server, target, 9).0);
    let subjects = ["/", "/a", "/ab", "/b", "/a,/b"];
    let mut tickets = Vec::new();
    for id in 0..3 {
        tickets.extend(ask(&mut server, "p_event=join-listen&p_format=json", id).1);
    }
    let mut model: [Vec<usize>; 3] = Default::default();
    let mut expected = [0; 3];
    for (number, &op) in ops.iter().enumerate() {
        let (who, what) = (usize::from(op % 3), usize::from(op / 3 % 5));
        let id = format!("{who:02x}").repeat(16);
        if op & 128 == 0 {
            let query = format!("p_event=subscribe&p_id={id}&p_subject={}", subjects[what]);
            let body = String::from_utf8(ask(&mut server, &query, 9).0.body).unwrap();
            // A list counts for as many as it names.
            let named = model[who].iter().chain([&what]).map(|&one| subjects[one].split(',').count());
            let fits = named.sum::<usize>() <= 3;
            assert_eq!(body.contains("subscribe-ack"), fits);
            if fits {
                model[who].push(what);
            }
        } else {
            let subject = ["/", "/a", "/ab", "/abc", "/b"][what];
            ask(&mut server, &format!("p_event=publish&p_id={id}&p_subject={subject}&n={number}"), 9);
            for (subscriptions, expected) in model.iter().zip(&mut expected) {
                let hears = |list: &str| list.split(',').any(|prefix| subject.starts_with(prefix));
                *expected += usize::from(subscriptions.iter().any(|&one| hears(subjects[one])));
            }
        }
        if number > 900 {
            break;
        }
    }
    for (ticket, expected) in tickets.iter().zip(expected) {
        let mut out = Vec::new();
        while server.next_piece(ticket, Duration::ZERO, &mut out) == Some(false) {}
        assert_eq!(String::from_utf8(out).unwrap().matches("\"data\"").count(), expected);
    }
}

/// A text and what follows it.
fn split(data: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = data.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((core::str::from_utf8(text).ok()?, rest))
}

/// Nothing of a request may end a field of its answer.
fn check(response: &HttpResponse) {
    assert!((200..600).contains(&response.status));
    for (_, value) in &response.fields {
        assert!(!value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f), "{value:?}");
    }
}
