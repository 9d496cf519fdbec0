//! Heads: the reader against a model that takes one byte at a time and knows no limit on its own work.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::http1::head::{BodyFraming, HeadError, HeadLimits, HeadReader, Slots};

/// What was said of some bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Incomplete,
    Refused(HeadError),
    Head(Head),
}

/// A head, copied.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) start: Start,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: BodyFraming,
    pub(super) keep_alive: bool,
    pub(super) length: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    Request { method: String, target: String, old: bool },
    Response { status: u16, old: bool },
}

const FIELDS: usize = 6;

/// One byte chooses role and limits, one how the rest is cut.
pub fn head(data: &[u8]) {
    let [choice, step, bytes @ ..] = data else { return };
    let request = choice & 1 == 0;
    let limits = match choice >> 1 & 3 {
        0 => HeadLimits { head: 64, line: 24, fields: 4 },
        1 => HeadLimits { head: 40, line: 64, fields: 64 },
        _ => HeadLimits::default(),
    };
    let expected = model(bytes, request, &limits, limits.fields.min(FIELDS));
    assert_eq!(read(&mut HeadReader::new(limits), bytes, request), expected, "whole");

    let mut reader = HeadReader::new(limits);
    let step = usize::from(*step).max(1);
    for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
        let verdict = read(&mut reader, &bytes[..end], request);
        if verdict != Verdict::Incomplete || end == bytes.len() {
            assert_eq!(
                verdict,
                model(&bytes[..end], request, &limits, limits.fields.min(FIELDS)),
                "at {end} by {step}"
            );
            break;
        }
    }
}

fn read(reader: &mut HeadReader, bytes: &[u8], request: bool) -> Verdict {
    let mut slots = Slots::<FIELDS>::with_room();
    let copy = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_owned());
    if request {
        match reader.read_request(bytes, &mut slots) {
            Ok(None) => Verdict::Incomplete,
            Err(error) => Verdict::Refused(error),
            Ok(Some(head)) => {
                let old = head.version() < crate::http1::head::Version::Http11;
                let (method, target) = (head.method().to_owned(), head.target().to_owned());
                assert!(head.path().starts_with('/') || target == "*" || method == "CONNECT");
                Verdict::Head(Head {
                    start: Start::Request { method, target, old },
                    fields: head.fields().map(copy).collect(),
                    body: head.body(),
                    keep_alive: head.keep_alive(),
                    length: head.len(),
                })
            }
        }
    } else {
        match reader.read_response(bytes, &mut slots) {
            Ok(None) => Verdict::Incomplete,
            Err(error) => Verdict::Refused(error),
            Ok(Some(head)) => {
                let old = head.version() < crate::http1::head::Version::Http11;
                Verdict::Head(Head {
                    start: Start::Response { status: head.status(), old },
                    fields: head.fields().map(copy).collect(),
                    body: head.body("GET"),
                    keep_alive: head.keep_alive("GET"),
                    length: head.len(),
                })
            }
        }
    }
}

/// The verdict at the first byte that allows one.
pub(super) fn model(bytes: &[u8], request: bool, limits: &HeadLimits, most_fields: usize) -> Verdict {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut begin = 0;
    for end in 1..=bytes.len() {
        if request && limits.line >= 16 && limits.head > 16 {
            if end >= 3 && bytes[0] == 22 && bytes[1] == 3 && bytes[2] <= 4 {
                return Verdict::Refused(HeadError::TlsHandshake);
            }
            if bytes[..end].starts_with(b"PRI * HTTP/2.0\r\n") {
                return Verdict::Refused(HeadError::Http2Preface);
            }
        }
        let ended = bytes[end - 1] == b'\n';
        let line = &bytes[begin..end - usize::from(ended)];
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        let last = ended && content.is_empty() && !lines.is_empty();
        let (too_long, too_large) =
            (content.len() > limits.line, end > limits.head || end == limits.head && !last);
        if too_long || too_large {
            return Verdict::Refused(match lines.len() {
                0 if request => HeadError::RequestLineTooLong,
                _ if too_long => HeadError::LineTooLong,
                _ => HeadError::HeadTooLarge,
            });
        }
        if !ended {
            continue;
        }
        if !line.ends_with(b"\r") {
            return Verdict::Refused(HeadError::BadLineEnd);
        }
        if last {
            return match finish(&lines, request, end) {
                Ok(head) => Verdict::Head(head),
                Err(error) => Verdict::Refused(error),
            };
        }
        let first = lines.is_empty();
        if content.is_empty() {
            if !request || begin > 0 {
                return Verdict::Refused(if request {
                    HeadError::BadRequestLine
                } else {
                    HeadError::BadStatusLine
                });
            }
        } else {
            if lines.len() > most_fields {
                return Verdict::Refused(HeadError::TooManyFields);
            }
            let fault = match first {
                true if content.starts_with(b"\r") => Some(HeadError::BadLineEnd),
                true if request => request_line(content).err(),
                true => status_line(content).err(),
                false => field(content).err(),
            };
            if let Some(fault) = fault {
                return Verdict::Refused(fault);
            }
            lines.push(content);
        }
        begin = end;
    }
    Verdict::Incomplete
}

/// Method, target, whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<(&str, &str, bool), HeadError> {
    let bad = HeadError::BadRequestLine;
    let method_end = line.iter().position(|&byte| byte == b' ').ok_or(bad)?;
    let behind = &line[method_end + 1..];
    let target_end = behind.iter().position(|&byte| byte <= b' ' || byte == 0x7f).ok_or(bad)?;
    let (method, target, version) = (&line[..method_end], &behind[..target_end], &behind[target_end..]);
    let version = version.strip_prefix(b" ").ok_or(bad)?;
    let target = str::from_utf8(target).map_err(|_| bad)?;
    if method.is_empty() || !method.iter().all(|&byte| is_tchar(byte)) || target.is_empty() {
        return Err(bad);
    }
    let method = str::from_utf8(method).unwrap();
    match version {
        b"HTTP/1.1" => Ok((method, target, false)),
        b"HTTP/1.0" => Ok((method, target, true)),
        _ if version.starts_with(b"HTTP/1.0") || version.starts_with(b"HTTP/1.1") => {
            Err(HeadError::BadLineEnd)
        }
        _ if is_version(version.split(|&byte| byte == b'\r').next().unwrap()) => {
            Err(HeadError::UnsupportedHttpVersion)
        }
        _ => Err(bad),
    }
}

/// Status, whether it is HTTP/1.0.
fn status_line(line: &[u8]) -> Result<(u16, bool), HeadError> {
    let bad = HeadError::BadStatusLine;
    let old = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', ..] => *minor == b'0',
        _ => {
            let line = line.split(|&byte| byte == b'\r').next().unwrap();
            let version = line.split(|&byte| byte == b' ').next().unwrap();
            let supported = version == b"HTTP/1.0" || version == b"HTTP/1.1";
            return Err(if is_version(version) && !supported {
                HeadError::UnsupportedHttpVersion
            } else {
                bad
            });
        }
    };
    let (status, reason) = line[9..].split_at_checked(3).ok_or(bad)?;
    if !status.iter().all(u8::is_ascii_digit) || !(reason.is_empty() || reason[0] == b' ') || !is_text(reason)
    {
        return Err(bad);
    }
    Ok((str::from_utf8(status).unwrap().parse().unwrap(), old))
}

/// RFC 9110 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char::from(byte))
}

/// RFC 9110 5.5: VCHAR, obs-text, SP, HTAB.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff))
}

/// RFC 9110 4.2.3, RFC 3986 3.2: whether a host is there, and (inside) a port.
fn authority(text: &[u8]) -> Option<bool> {
    let text = str::from_utf8(text).ok()?;
    let (host, behind) = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, behind) = inside.split_once(']')?;
            (is_ipv6(address), behind)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (is_reg_name(&text[..end]), &text[end..])
        }
    };
    let port = match behind.strip_prefix(':') {
        None if behind.is_empty() => "",
        None => return None,
        Some(port) => port,
    };
    let digits = port.trim_start_matches('0');
    let fits = port.chars().all(|digit| digit.is_ascii_digit())
        && (digits.len() < 5 || digits.len() == 5 && digits <= "65535");
    (host && fits).then_some(!port.is_empty())
}

/// RFC 3986 3.2.2: `*( unreserved / pct-encoded / sub-delims )`, and something.
fn is_reg_name(host: &str) -> bool {
    let mut rest = host;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '%' => {
                let digits = rest.get(1..3).unwrap_or_default();
                if digits.len() < 2 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                    return false;
                }
                3
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' => 1,
            other if "-._~!$&'()*+,;=".contains(other) => 1,
            _ => return false,
        };
        rest = &rest[length..];
    }
    !host.is_empty()
}

/// RFC 3986 3.2.2: eight groups of one to four hexadecimal digits, one run of zeros left out, the last two as IPv4.
fn is_ipv6(address: &str) -> bool {
    let groups = |part: &str, last: bool| -> Option<usize> {
        if part.is_empty() {
            return Some(0);
        }
        let groups: Vec<&str> = part.split(':').collect();
        groups.iter().enumerate().try_fold(0, |count, (at, group)| {
            let is_hex =
                (1..=4).contains(&group.len()) && group.chars().all(|digit| digit.is_ascii_hexdigit());
            match is_hex {
                true => Some(count + 1),
                false => (last && at + 1 == groups.len() && is_ipv4(group)).then_some(count + 2),
            }
        })
    };
    match address.split_once("::") {
        None => groups(address, true) == Some(8),
        Some((left, right)) => {
            groups(left, false).zip(groups(right, true)).is_some_and(|(left, right)| left + right < 8)
        }
    }
}

fn is_ipv4(address: &str) -> bool {
    let octets: Vec<&str> = address.split('.').collect();
    octets.len() == 4
        && octets.iter().all(|octet| {
            (1..=3).contains(&octet.len())
                && octet.chars().all(|digit| digit.is_ascii_digit())
                && (octet.len() == 1 || !octet.starts_with('0'))
                && octet.parse::<u16>().is_ok_and(|number| number < 256)
        })
}

fn is_version(text: &[u8]) -> bool {
    text.len() == 8
        && text.starts_with(b"HTTP/")
        && text[5].is_ascii_digit()
        && text[6] == b'.'
        && text[7].is_ascii_digit()
}

fn field(line: &[u8]) -> Result<(&str, &[u8]), HeadError> {
    if line.starts_with(b"\r") {
        return Err(HeadError::BadLineEnd);
    }
    let end = line.iter().position(|&byte| !is_tchar(byte)).ok_or(HeadError::BadFieldName)?;
    if end == 0 || line[end] != b':' {
        return Err(HeadError::BadFieldName);
    }
    let value = &line[end + 1..];
    if !is_text(value) {
        return Err(HeadError::BadFieldValue);
    }
    let inside = |byte: &u8| *byte != b' ' && *byte != b'\t';
    let value = match (value.iter().position(inside), value.iter().rposition(inside)) {
        (Some(first), Some(last)) => &value[first..=last],
        _ => &[],
    };
    Ok((str::from_utf8(&line[..end]).unwrap(), value))
}

/// The rules about the head as a whole.
fn finish(lines: &[&[u8]], request: bool, length: usize) -> Result<Head, HeadError> {
    let (start, old) = if request {
        let (method, target, old) = request_line(lines[0])?;
        if !is_target(method, target) {
            return Err(HeadError::BadTarget);
        }
        (Start::Request { method: method.to_owned(), target: target.to_owned(), old }, old)
    } else {
        let (status, old) = status_line(lines[0])?;
        if status < 100 {
            return Err(HeadError::BadStatusLine);
        }
        (Start::Response { status, old }, old)
    };
    let fields: Vec<(&str, &[u8])> = lines[1..].iter().map(|line| field(line).unwrap()).collect();
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    let mut coded = false;
    let bodyless = matches!(start, Start::Response { status: 100..=199 | 204 | 304, .. });
    for (name, value) in fields.iter().filter(|_| !bodyless) {
        match name.to_ascii_lowercase().as_str() {
            "host" if matches!(start, Start::Request { .. }) => {
                hosts += 1;
                if hosts > 1 {
                    return Err(HeadError::DuplicateHost);
                }
                authority(value).ok_or(HeadError::BadHost)?;
            }
            "content-length" => {
                for number in items(value) {
                    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
                    let number: u64 =
                        if digits { number.parse().ok() } else { None }.ok_or(HeadError::BadContentLength)?;
                    lengths.push(number);
                    if lengths[0] != number {
                        return Err(HeadError::BadContentLength);
                    }
                }
            }
            "transfer-encoding" => {
                coded = true;
                for coding in items(value).into_iter().filter(|coding| !coding.is_empty()) {
                    if codings.iter().any(|coding| coding == "chunked") {
                        return Err(HeadError::BadTransferEncoding);
                    }
                    codings.push(coding);
                }
            }
            _ => {}
        }
    }
    if coded {
        if codings.last().is_none_or(|coding| coding != "chunked") || old {
            return Err(HeadError::BadTransferEncoding);
        }
        if !lengths.is_empty() {
            return Err(HeadError::AmbiguousLength);
        }
        if codings.len() > 1 {
            return Err(HeadError::UnsupportedTransferEncoding);
        }
    }
    if request && hosts == 0 && !old {
        return Err(HeadError::MissingHost);
    }
    let body = match start {
        Start::Response { status: 100..=199 | 204 | 304, .. } => BodyFraming::None,
        _ if coded => BodyFraming::Chunked,
        _ if !lengths.is_empty() => BodyFraming::Length(lengths[0]),
        Start::Request { .. } => BodyFraming::None,
        Start::Response { .. } => BodyFraming::UntilClose,
    };
    let options: Vec<String> = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| items(value))
        .collect();
    let has = |option: &str| options.iter().any(|other| other == option);
    let keep_alive = !has("close") && (!old || has("keep-alive")) && body != BodyFraming::UntilClose;
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Head { start, fields, body, keep_alive, length })
}

/// A comma-separated list, in lower case; bytes that are not UTF-8 become something that no rule knows.
fn items(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    text.split(',').map(|item| item.trim_matches([' ', '\t']).to_owned()).collect()
}

fn is_target(method: &str, target: &str) -> bool {
    if !target.is_ascii() || target.contains('#') {
        return false;
    }
    match method {
        "CONNECT" => authority(target.as_bytes()) == Some(true),
        "OPTIONS" if target == "*" => true,
        _ if target.starts_with('/') => true,
        _ => {
            let lower = target.to_ascii_lowercase();
            ["http://", "https://", "ws://", "wss://"].iter().any(|scheme| {
                lower.strip_prefix(scheme).is_some_and(|behind| {
                    let authority = behind.split(['/', '?']).next().unwrap();
                    self::authority(authority.as_bytes()).is_some()
                })
            })
        }
    }
}
