//! Event streams: the decoder against a parser that has the whole stream before it and takes it line by line
//! (HTML 9.2.6), the encoder against the decoder, the replay log against a list of everything ever pushed.

use super::chunked::cut;
use crate::adapter::blocking::sse::{Error, EventReader};
use crate::http1::head::BodyFraming;
use crate::sse::{
    Block, DecodeError, EncodeError, EventDecoder, EventLimits, EventStorage, Input, Item, PreparedEvent,
    ReplayLog, Resume,
};
use core::time::Duration;

/// An item, or an event over a limit, which is skipped.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Type, last event ID, data.
    Event([String; 3]),
    /// Milliseconds.
    Retry(u128),
    Comment(String),
    Failed(DecodeError),
}

/// Three bytes choose small limits, one the cuts, the rest is the stream of two connections: decoder and model
/// agree on all that it says.
pub fn decode(data: &[u8]) {
    let [max_event, max_type, max_id, cuts, stream @ ..] = data else { return };
    let (max_event, max_type, max_id) =
        (usize::from(*max_event), usize::from(*max_type), usize::from(*max_id));
    let limits = EventLimits::new().max_event(max_event).max_type(max_type).max_id(max_id);
    let mut model = Model { max_event, max_type, max_id, last_event_id: String::new(), said: Vec::new() };
    model.stream(stream);
    model.stream(stream);
    let expected = (model.said, model.last_event_id);

    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    let pieces = cut(stream, *cuts);
    let mut buffer = vec![0; max_event + max_type + 2 * max_id];
    for parts in [&[stream][..], &bytes, &pieces] {
        for fresh_input in [false, true] {
            assert_eq!(run(EventDecoder::with_limits(limits), &[parts, parts], fresh_input), expected);
        }
        assert_eq!(
            run(EventDecoder::in_buffer(&mut buffer, limits), &[parts, parts], false),
            expected,
            "in a buffer"
        );
    }
}

/// The owned events of the adapters, cut in each way, against the model. A body that is not UTF-8 is held to no limits:
/// whether bytes of a line that never ends count as they are or as text is nobody's business.
pub fn owned(data: &[u8]) {
    let [max_event, max_type, max_id, cuts, stream @ ..] = data else { return };
    // One read takes any part.
    let stream = &stream[..stream.len().min(4096)];
    let is_text = core::str::from_utf8(stream).is_ok();
    let limit = |limit: &u8| if is_text { usize::from(*limit) } else { stream.len() * 3 + 16 };
    let (max_event, max_type, max_id) = (limit(max_event), limit(max_type), limit(max_id));
    let limits = EventLimits::new().max_event(max_event).max_type(max_type).max_id(max_id);
    let mut model = Model { max_event, max_type, max_id, last_event_id: String::new(), said: Vec::new() };
    model.stream(stream);
    let is_told = |said: &Said| matches!(said, Said::Event(_) | Said::Failed(_));
    let expected: Vec<_> = model.said.into_iter().filter(is_told).collect();

    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    let pieces = cut(stream, *cuts);
    for parts in [&[stream][..], &bytes, &pieces] {
        let reads = Reads { parts: parts.iter() };
        let mut reader =
            EventReader::new(reads, BodyFraming::UntilClose).decoder(EventDecoder::with_limits(limits));
        let mut said = Vec::new();
        for event in &mut reader {
            said.push(match event {
                Ok(event) => Said::Event([event.event.into_owned(), event.id, event.data]),
                Err(Error::Event(error)) => Said::Failed(error),
                Err(error) => panic!("{error:?}"),
            });
        }
        assert_eq!(said, expected);
        assert_eq!(reader.last_event_id(), model.last_event_id);
    }
}

/// One part a read.
struct Reads<'p> {
    parts: core::slice::Iter<'p, &'p [u8]>,
}

impl std::io::Read for Reads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(part) = self.parts.by_ref().find(|part| !part.is_empty()) else { return Ok(0) };
        let n = part.len().min(buffer.len());
        assert_eq!(n, part.len(), "inputs are short");
        buffer[..n].copy_from_slice(part);
        Ok(n)
    }
}

/// What the decoder makes of the streams of connections, one after the other, and the last event ID.
/// `fresh_input` makes a new input of what remains after each item.
fn run<S: EventStorage>(
    mut decoder: EventDecoder<S>,
    streams: &[&[&[u8]]],
    fresh_input: bool,
) -> (Vec<Said>, String) {
    let mut said = Vec::new();
    for parts in streams {
        for part in *parts {
            let mut input = Input::new(part);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(item)) => said.push(match item {
                        Item::Event(event) => Said::Event(
                            [event.event_type, event.last_event_id, event.data].map(str::to_owned),
                        ),
                        Item::Retry(time) => Said::Retry(time.as_millis()),
                        Item::Comment(text) => Said::Comment(text.to_owned()),
                    }),
                    Ok(None) => break,
                    Err(error) => {
                        said.push(Said::Failed(error));
                        assert_eq!(decoder.decode(&mut input), Err(error));
                        decoder.skip_event();
                    }
                }
                if fresh_input {
                    input = Input::new(input.remaining());
                }
            }
            assert!(input.is_empty());
        }
        decoder.receive_eof();
    }
    (said, decoder.last_event_id().to_owned())
}

struct Model {
    max_event: usize,
    max_type: usize,
    max_id: usize,
    last_event_id: String,
    said: Vec<Said>,
}

impl Model {
    fn stream(&mut self, stream: &[u8]) {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        // What may yet become a BOM is no line so far.
        if BOM.starts_with(stream) {
            return;
        }
        let mut rest = stream.strip_prefix(BOM).unwrap_or(stream);
        while !rest.is_empty() {
            match self.block(&mut rest) {
                Ok(()) => {}
                Err(error) => {
                    self.said.push(Said::Failed(error));
                    while line(&mut rest).is_some_and(|line| !line.is_empty()) {}
                }
            }
        }
    }

    /// Takes a block, or what there is of it.
    fn block(&mut self, rest: &mut &[u8]) -> Result<(), DecodeError> {
        let (mut event_type, mut id, mut data) = (String::new(), self.last_event_id.clone(), String::new());
        let mut room = self.max_event;
        loop {
            let before = *rest;
            let Some(line) = line(rest) else {
                return if before.len() > room { Err(DecodeError::EventTooLong) } else { Ok(()) };
            };
            let line = String::from_utf8_lossy(line);
            if line.is_empty() {
                break;
            }
            if line.len() > room {
                return Err(DecodeError::EventTooLong);
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let comment = value;
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "" => {
                    self.said.push(Said::Comment(comment.to_owned()));
                    continue;
                }
                "data" => data = data + value + "\n",
                "event" if value.len() > self.max_type => return Err(DecodeError::TypeTooLong),
                "event" => event_type = value.to_owned(),
                "id" if value.contains('\0') => continue,
                "id" if value.len() > self.max_id => return Err(DecodeError::IdTooLong),
                "id" => id = value.to_owned(),
                "retry" => {
                    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
                        self.said.push(Said::Retry(value.parse().unwrap_or(u64::MAX).into()));
                    }
                    continue;
                }
                _ => continue,
            }
            room = room.saturating_sub(line.len() + 1);
        }
        self.last_event_id = id;
        if let Some(data) = data.strip_suffix('\n') {
            let event_type = if event_type.is_empty() { "message" } else { &event_type };
            self.said.push(Said::Event([event_type, &self.last_event_id, data].map(str::to_owned)));
        }
        Ok(())
    }
}

/// Takes a line, less its end; takes all if it has none.
fn line<'i>(rest: &mut &'i [u8]) -> Option<&'i [u8]> {
    let all = *rest;
    for (at, byte) in all.iter().enumerate() {
        let end = match byte {
            b'\r' if all.get(at + 1) == Some(&b'\n') => 2,
            b'\r' | b'\n' => 1,
            _ => continue,
        };
        *rest = &all[at + end..];
        return Some(&all[..at]);
    }
    *rest = &[];
    None
}

/// Blocks from the data, up to four fields each; what the decoder reads is what was written, lines aside.
pub fn roundtrip(data: &[u8]) {
    let [cuts, rest @ ..] = data else { return };
    let text = String::from_utf8_lossy(rest);
    let mut fields = text.split('|');
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    let mut last_id = "";
    while let Some(kinds) = fields.next() {
        let mut field = |kind: char| if kinds.contains(kind) { fields.next() } else { None };
        let [comment, event_type, id, data, retry] = ['c', 'e', 'i', 'd', 'r'].map(&mut field);
        let retry =
            retry.map(|retry| retry.bytes().fold(7, |sum: u64, byte| sum * 31 % 9999 + u64::from(byte)));
        let mut block = Block::new();
        block = comment.map_or(block, |comment| block.comment(comment));
        block = event_type.map_or(block, |event_type| block.event_type(event_type));
        block = id.map_or(block, |id| block.id(id));
        block = data.map_or(block, |data| block.data(data));
        block = retry.map_or(block, |time| block.retry(Duration::from_millis(time)));

        let before = wire.len();
        let result = block.encode(&mut wire);
        assert_eq!(block.prepare().map(|_| ()), result);
        if event_type.is_some_and(|event_type| event_type.contains(['\r', '\n'])) {
            assert_eq!((result, wire.len()), (Err(EncodeError::LineEndInType), before));
            continue;
        }
        if id.is_some_and(|id| id.contains(['\r', '\n', '\0'])) {
            assert_eq!((result, wire.len()), (Err(EncodeError::BadId), before));
            continue;
        }
        assert_eq!(result, Ok(()));
        let encoded = &wire[before..];
        check_copies(&block, id, encoded);

        let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(comment) = comment {
            expected.extend(lines(comment).split('\n').map(|line| Said::Comment(line.to_owned())));
        }
        expected.extend(retry.map(|time| Said::Retry(time.into())));
        last_id = id.unwrap_or(last_id);
        if let Some(data) = data {
            let event_type = event_type.filter(|name| !name.is_empty()).unwrap_or("message");
            expected.push(Said::Event([event_type.to_owned(), last_id.to_owned(), lines(data)]));
        }
    }
    let limits = EventLimits::new().max_event(usize::MAX).max_type(usize::MAX).max_id(usize::MAX);
    for parts in [&[&wire[..]][..], &cut(&wire, *cuts)] {
        let (said, id) = run(EventDecoder::with_limits(limits), &[parts], false);
        assert_eq!((&said, id.as_str()), (&expected, last_id));
    }
}

/// Every way to encode a block gives the same bytes.
fn check_copies(block: &Block<'_>, id: Option<&str>, encoded: &[u8]) {
    assert_eq!(block.encoded_len(), encoded.len());
    let prepared: PreparedEvent = block.prepare().unwrap();
    assert_eq!((prepared.bytes().as_ref(), prepared.id()), (encoded, id.map(str::as_bytes)));
    let mut room = vec![0xff; encoded.len()];
    assert_eq!(block.encode(&mut room.as_mut_slice()), Ok(()));
    assert_eq!(room, encoded);
    if let Some(short) = encoded.len().checked_sub(1) {
        room.fill(0xff);
        assert_eq!(block.encode(&mut &mut room[..short]), Err(EncodeError::NoRoom));
        assert!(room.iter().all(|&byte| byte == 0xff), "written in part");
    }
}

/// Two bytes choose the bounds, each pair of the rest is an event or a client that comes back.
pub fn replay(data: &[u8]) {
    let [max_events, max_bytes, rest @ ..] = data else { return };
    let (max_events, max_bytes) = (usize::from(*max_events % 16), usize::from(*max_bytes) * 2);
    let mut log = ReplayLog::new(max_events, max_bytes);
    let mut all: Vec<PreparedEvent> = Vec::new();
    for pair in rest.chunks_exact(2) {
        let id = match pair[0] % 16 {
            15 => String::new(),
            number => format!("{number}"),
        };
        if pair[0] < 128 {
            let text = "x".repeat(usize::from(pair[1] % 64));
            let block = Block::new().data(&text);
            let event = match pair[1] / 64 {
                0 => block,
                1 if text.is_empty() => Block::new(),
                _ => block.id(&id),
            };
            all.push(event.prepare().unwrap());
            log.push(all[all.len() - 1].clone());
        }
        // The longest tail within the bounds.
        let size = |events: &[PreparedEvent]| events.iter().map(|event| event.bytes().len()).sum::<usize>();
        let kept = (0..=all.len())
            .find(|&start| all.len() - start <= max_events && size(&all[start..]) <= max_bytes)
            .unwrap();
        assert_eq!((log.len(), log.bytes()), (all.len() - kept, size(&all[kept..])));
        assert_eq!(log.is_empty(), kept == all.len());

        let last_seen = all.iter().rposition(|event| event.id() == Some(id.as_bytes()));
        match (log.resume(Some(id.as_bytes())), last_seen) {
            (Resume::Fresh, _) => assert!(id.is_empty()),
            (Resume::From(missed), Some(seen)) => {
                assert!(seen + 1 >= kept && !id.is_empty());
                assert_eq!(missed.len(), all.len() - seen - 1);
                assert!(missed.eq(&all[seen + 1..]));
            }
            (Resume::Gone, seen) => assert!(seen.is_none_or(|seen| seen + 1 < kept) && !id.is_empty()),
            (Resume::From(_), None) => panic!("from an ID that was never sent"),
        }
        assert!(matches!(log.resume(None), Resume::Fresh));
    }
}
