//! The lines of a block (HTML 9.2.6): what they say, what is held of them between reads, the dispatch.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "what is held, from where its last line began")]

use super::super::field::Field;
use super::super::input::{Input, Line};
use super::super::limits::DecodeError;
use super::super::storage::{EventStorage, Full};
use super::super::text::{make_text, text_len};
use super::{BOM, EventDecoder, Skipping, set, text, within};
use core::mem::{swap, take};
use simdutf8::compat::from_utf8;

/// What the lines of the block said in this read, lent from it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Said<'i> {
    pub(super) event_type: Option<&'i str>,
    pub(super) id: Option<&'i str>,
    pub(super) data: Option<&'i str>,
}

/// What a call comes to, in terms that do not borrow the decoder.
#[derive(Debug)]
pub(super) enum Step<'i> {
    NeedMore,
    /// What `said` does not tell stands in the storage: the data, the last event ID, and the event type if
    /// `type_held`.
    Event {
        said: Said<'i>,
        type_held: bool,
    },
    /// Milliseconds.
    Retry(u64),
    Comment(&'i str),
    /// A comment that is the last so many bytes of `held`.
    HeldComment(usize),
}

impl<S: EventStorage> EventDecoder<S> {
    /// Takes up what the last call left: what must be done before the next line can be taken whole.
    pub(super) fn resume(&mut self, input: &mut Input<'_>) -> Result<Option<Step<'static>>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if take(&mut self.lent) {
            self.truncate();
        }
        if !input.is_empty() && take(&mut self.after_cr) {
            input.take_byte(b'\n');
        }
        self.skip_bom(input)?;
        self.skip_lines(input);
        if self.held.as_ref().len() == self.data_len {
            return Ok(None);
        }
        match input.take_bytes(&mut self.after_cr) {
            Some(rest_of_line) => self.held_line(rest_of_line),
            None => self.hold_rest(input).map(Some),
        }
    }

    /// HTML 9.2.5: one BOM at the start of the stream is dropped. Part of one is part of a line.
    fn skip_bom(&mut self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        while let Some(&byte) = BOM.get(self.bom)
            && !input.is_empty()
        {
            if input.take_byte(byte) {
                self.bom += 1;
            } else {
                self.hold(&BOM[..self.bom])?;
                self.bom = BOM.len();
            }
        }
        Ok(())
    }

    /// Takes the rest of a block that is being skipped, with the empty line that ends it.
    fn skip_lines(&mut self, input: &mut Input<'_>) {
        while self.skipping != Skipping::No && !input.is_empty() {
            self.skipping = match input.take_bytes(&mut self.after_cr) {
                Some(b"") if self.skipping == Skipping::FromLine => Skipping::No,
                Some(_) => Skipping::FromLine,
                None => {
                    input.take_remaining();
                    Skipping::InLine
                }
            };
        }
    }

    /// Takes lines that start in the input, as far as the next item.
    pub(super) fn lines<'i>(&mut self, input: &mut Input<'i>) -> Result<Step<'i>, DecodeError> {
        let mut said = Said::default();
        while let Some(line) = input.take_line(&mut self.after_cr) {
            let line = match line {
                Line::Text(line) => line,
                Line::Bad(line) => {
                    self.keep(take(&mut said))?;
                    match self.held_line(line)? {
                        Some(step) => return Ok(step),
                        None => continue,
                    }
                }
            };
            if line.is_empty() {
                match self.dispatch(take(&mut said))? {
                    Some(step) => return Ok(step),
                    None => continue,
                }
            }
            if line.len() > self.room {
                return Err(DecodeError::EventTooLong);
            }
            match Field::parse(line) {
                Field::Data(value) => {
                    self.count(line);
                    if said.data.is_none() && self.data_len == 0 {
                        said.data = Some(value);
                    } else {
                        if let Some(first) = said.data.take() {
                            self.keep_data(first)?;
                        }
                        self.keep_data(value)?;
                        self.keep_data_lines(input);
                    }
                }
                Field::Event(value) => {
                    self.count(line);
                    said.event_type = Some(within(value, self.limits.max_type, DecodeError::TypeTooLong)?);
                }
                Field::Id(value) => {
                    self.count(line);
                    said.id = Some(within(value, self.limits.max_id, DecodeError::IdTooLong)?);
                }
                Field::Retry(milliseconds) => {
                    self.keep(said)?;
                    return Ok(Step::Retry(milliseconds));
                }
                Field::Comment(text) => {
                    self.keep(said)?;
                    return Ok(Step::Comment(text));
                }
                Field::Ignored => {}
            }
        }
        self.keep(said)?;
        self.hold_rest(input)
    }

    /// Takes a line whose first part, maybe none, is held, and whose rest this is. Here is where bytes that
    /// are not UTF-8 become U+FFFD.
    fn held_line(&mut self, rest: &[u8]) -> Result<Option<Step<'static>>, DecodeError> {
        let step = self.hold(rest).and_then(|()| self.held_field());
        self.lent = matches!(step, Ok(Some(Step::HeldComment(_))));
        if !self.lent {
            self.truncate();
        }
        step
    }

    /// Reads what is held after the data as a line.
    #[inline(never)]
    fn held_field(&mut self) -> Result<Option<Step<'static>>, DecodeError> {
        let start = self.data_len;
        let line = match from_utf8(&self.held.as_ref()[start..]) {
            Ok(line) => line,
            Err(_) => {
                if text_len(&self.held.as_ref()[start..]) > self.room {
                    return Err(DecodeError::EventTooLong);
                }
                make_text(&mut self.held, start).map_err(|Full| DecodeError::EventTooLong)?;
                text(&self.held.as_ref()[start..])
            }
        };
        let (field, room) = (Field::parse(line), self.room.saturating_sub(line.len() + 1));
        match field {
            Field::Data(value) => {
                // The value takes the place of its line, which has room for it and an LF.
                let (value, end) = (value.len(), start + line.len());
                self.held.as_mut().copy_within(end - value.., start);
                self.data_len += value;
                self.truncate();
                self.keep_data("")?;
            }
            Field::Event(value) => {
                within(value, self.limits.max_type, DecodeError::TypeTooLong)?;
                set(&mut self.event_type, value).map_err(|Full| DecodeError::TypeTooLong)?;
                self.has_type = true;
            }
            Field::Id(value) => {
                within(value, self.limits.max_id, DecodeError::IdTooLong)?;
                set(&mut self.new_id, value).map_err(|Full| DecodeError::IdTooLong)?;
                self.has_new_id = true;
            }
            Field::Retry(milliseconds) => return Ok(Some(Step::Retry(milliseconds))),
            Field::Comment(text) => return Ok(Some(Step::HeldComment(text.len()))),
            Field::Ignored => return Ok(None),
        }
        self.room = room;
        Ok(None)
    }

    /// Ends a block (HTML 9.2.6, "dispatch the event"): the ID is the last event ID from now on, and there is
    /// an event if there is data.
    fn dispatch<'i>(&mut self, said: Said<'i>) -> Result<Option<Step<'i>>, DecodeError> {
        self.room = self.limits.max_event;
        let id_held = take(&mut self.has_new_id);
        if let Some(id) = said.id {
            set(&mut self.id, id).map_err(|Full| DecodeError::IdTooLong)?;
        } else if id_held {
            swap(&mut self.id, &mut self.new_id);
        }
        let type_held = take(&mut self.has_type);
        self.lent = take(&mut self.data_len) > 0;
        Ok((said.data.is_some() || self.lent).then_some(Step::Event { said, type_held }))
    }

    /// Stores what the lines of this read said, for the input may be gone with the next call.
    fn keep(&mut self, said: Said<'_>) -> Result<(), DecodeError> {
        if let Some(event_type) = said.event_type {
            set(&mut self.event_type, event_type).map_err(|Full| DecodeError::TypeTooLong)?;
            self.has_type = true;
        }
        if let Some(id) = said.id {
            set(&mut self.new_id, id).map_err(|Full| DecodeError::IdTooLong)?;
            self.has_new_id = true;
        }
        said.data.map_or(Ok(()), |data| self.keep_data(data))
    }

    /// Appends a line of data and its LF to the data of the block.
    fn keep_data(&mut self, value: &str) -> Result<(), DecodeError> {
        self.held
            .append(value.as_bytes())
            .and_then(|()| self.held.append(b"\n"))
            .map_err(|Full| DecodeError::EventTooLong)?;
        self.data_len = self.held.as_ref().len();
        Ok(())
    }

    /// Appends the lines of data that stand next, as far as the limits let it.
    #[inline]
    fn keep_data_lines(&mut self, input: &mut Input<'_>) {
        let Self { held, room, .. } = self;
        input.take_data_lines(|len, value, padded| {
            let kept = len <= *room
                && match padded {
                    Some(padded) if value.len() <= padded.len() => held.append_short(padded, value.len()),
                    _ => held.append(value),
                }
                .is_ok();
            *room = if kept { room.saturating_sub(len + 1) } else { *room };
            kept
        });
        self.data_len = self.held.as_ref().len();
    }

    /// Holds the line that the input ends in, as far as it has come.
    fn hold_rest<'i>(&mut self, input: &mut Input<'_>) -> Result<Step<'i>, DecodeError> {
        self.hold(input.remaining())?;
        input.take_remaining();
        Ok(Step::NeedMore)
    }

    /// Holds more of a line.
    fn hold(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let len = self.held.as_ref().len() - self.data_len + bytes.len();
        if len > self.room {
            return Err(DecodeError::EventTooLong);
        }
        self.held.append(bytes).map_err(|Full| DecodeError::EventTooLong)
    }

    /// Counts a line against the limit of its block, with one byte for its end.
    fn count(&mut self, line: &str) {
        self.room = self.room.saturating_sub(line.len() + 1);
    }

    /// Drops what is held after the data. Making a storage shorter never fails.
    pub(super) fn truncate(&mut self) {
        let _ = self.held.resize(self.data_len);
    }

    /// Forgets the block.
    pub(super) fn drop_block(&mut self) {
        self.data_len = 0;
        self.truncate();
        self.has_type = false;
        self.has_new_id = false;
        self.room = self.limits.max_event;
        self.lent = false;
    }
}
