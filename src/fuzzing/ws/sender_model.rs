//! A sender as plain lists of whole frames: what it has queued, may do and owes.

use super::model::{Token, close_payload, encode};
use crate::ws::{State, UsageError};
use std::collections::VecDeque;

/// The nth masking key.
pub(super) fn key(n: u32) -> [u8; 4] {
    n.wrapping_mul(0x9e37_79b9).to_be_bytes()
}

pub(super) fn keys() -> impl FnMut() -> [u8; 4] + Send + 'static {
    let mut drawn = 0;
    move || {
        drawn += 1;
        key(drawn)
    }
}

/// What a sender has queued and may do: whole frames in plain lists.
#[derive(Default)]
pub(super) struct Model {
    pub(super) client: bool,
    pub(super) auto_pong: bool,
    pub(super) auto_close: bool,
    pub(super) max_outgoing: usize,
    pub(super) fragment_size: usize,
    pub(super) keys: u32,
    pub(super) normal: VecDeque<Vec<u8>>,
    pub(super) pings: VecDeque<Vec<u8>>,
    pub(super) pong: Option<Vec<u8>>,
    /// What is left of the frame that is being written.
    pub(super) current: Vec<u8>,
    /// The opcode of that.
    pub(super) current_opcode: u8,
    /// The longest frame so far, and how much overtook what is urgent.
    pub(super) longest: usize,
    pub(super) waited: usize,
    /// The own fragmented message: `Some(text)` if it is text.
    pub(super) fragmented: Option<Option<Vec<u8>>>,
    pub(super) close_sent: bool,
    pub(super) close_received: bool,
    pub(super) failed: bool,
    pub(super) eof: bool,
}

impl Model {
    pub(super) fn aborted(&self) -> bool {
        self.eof && !self.close_received && !self.failed
    }

    pub(super) fn may_send(&self) -> bool {
        !self.close_sent && !self.close_received && !self.failed && !self.eof
    }

    pub(super) fn may_close(&self) -> bool {
        !self.close_sent && !self.failed && !self.eof
    }

    pub(super) fn state(&self) -> State {
        match (self.close_sent, self.close_received) {
            _ if self.failed => State::Failed,
            (_, true) if self.eof => State::Ended,
            (_, false) if self.eof => State::Aborted,
            (false, false) => State::Open,
            (true, false) => State::CloseSent,
            (false, true) => State::CloseReceived,
            (true, true) => State::Closed,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        let over = match self.state() {
            State::Closed => !self.client,
            state => matches!(state, State::Ended | State::Failed | State::Aborted),
        };
        over && self.queued() == 0
    }

    pub(super) fn queued(&self) -> usize {
        let lists = self.normal.iter().chain(&self.pings).chain(&self.pong);
        self.current.len() + lists.map(Vec::len).sum::<usize>()
    }

    /// How many bytes of pings and pongs are queued.
    pub(super) fn queued_control(&self) -> usize {
        let current = if matches!(self.current_opcode, 9 | 10) { self.current.len() } else { 0 };
        current + self.pings.iter().chain(&self.pong).map(Vec::len).sum::<usize>()
    }

    pub(super) fn unwritten_ping(&self) -> bool {
        !self.pings.is_empty() || self.current_opcode == 9 && !self.current.is_empty()
    }

    pub(super) fn close_unwritten(&self) -> bool {
        self.normal.back().is_some_and(|frame| frame[0] == 0x88)
            || self.current_opcode == 8 && !self.current.is_empty()
    }

    pub(super) fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        self.keys += 1;
        let frame = encode(first, self.client.then(|| key(self.keys)), payload);
        self.longest = self.longest.max(frame.len());
        frame
    }

    fn frame_len(&self, len: usize) -> usize {
        let header = 2 + [0, 2, 8][usize::from(len > 125) + usize::from(len > 65_535)];
        header + if self.client { 4 } else { 0 } + len
    }

    /// What `frames` take, if they may be queued.
    pub(super) fn check_room(&self, payloads: &[&[u8]]) -> Result<(), UsageError> {
        let len: usize = payloads.iter().map(|payload| self.frame_len(payload.len())).sum();
        let queued = self.queued() - self.queued_control();
        if queued > 0 && queued + len > self.max_outgoing {
            return Err(UsageError::Full);
        }
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        opcode: u8,
        payload: &[u8],
        fragment_size: usize,
    ) -> Result<(), UsageError> {
        if !self.may_send() {
            return Err(UsageError::Closed);
        }
        if self.fragmented.is_some() {
            return Err(UsageError::MessageInProgress);
        }
        let mut fragments: Vec<&[u8]> = payload.chunks(self.fragment_size).collect();
        if fragments.is_empty() {
            fragments.push(&[]);
        }
        self.check_room(&fragments)?;
        fragments = payload.chunks(fragment_size).collect();
        if fragments.is_empty() {
            fragments.push(&[]);
        }
        let last = fragments.len() - 1;
        for (n, fragment) in fragments.into_iter().enumerate() {
            let first = u8::from(n == last) << 7 | if n == 0 { opcode } else { 0 };
            let frame = self.frame(first, fragment);
            self.normal.push_back(frame);
        }
        Ok(())
    }

    pub(super) fn send_fragment(&mut self, opcode: u8, fin: bool, payload: &[u8]) -> Result<(), UsageError> {
        if !self.may_send() {
            return Err(UsageError::Closed);
        }
        let in_progress = match (opcode, self.fragmented.clone()) {
            (8.., _) => return Err(UsageError::NotADataFrame),
            (0, None) => return Err(UsageError::NoMessageInProgress),
            (0, Some(message)) => message,
            (_, Some(_)) => return Err(UsageError::MessageInProgress),
            (1, None) => Some(Vec::new()),
            (_, None) => None,
        };
        self.check_room(&[payload])?;
        let in_progress = match in_progress {
            None => None,
            Some(mut text) => {
                text.extend_from_slice(payload);
                match std::str::from_utf8(&text) {
                    Err(error) if fin || error.error_len().is_some() => return Err(UsageError::InvalidUtf8),
                    _ => Some(text),
                }
            }
        };
        self.fragmented = if fin { None } else { Some(in_progress) };
        let frame = self.frame(u8::from(fin) << 7 | opcode, payload);
        self.normal.push_back(frame);
        Ok(())
    }

    pub(super) fn check_control(&self, payload: &[u8]) -> Result<(), UsageError> {
        match payload.len() {
            _ if !self.may_send() => Err(UsageError::Closed),
            126.. => Err(UsageError::ControlTooLong),
            _ => Ok(()),
        }
    }

    pub(super) fn has_room(&self, opcode: u8, payload: &[u8]) -> bool {
        let payload_in_frames: Vec<&[u8]> = match payload {
            [] => vec![&[]],
            _ => payload.chunks(self.fragment_size).collect(),
        };
        match opcode {
            _ if !self.may_send() => true,
            1 | 2 if self.fragmented.is_some() => true,
            1 | 2 => self.check_room(&payload_in_frames).is_ok(),
            9 => payload.len() > 125 || self.queued_control() + self.frame_len(payload.len()) <= 1024,
            _ => true,
        }
    }

    pub(super) fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        if self.queued_control() + self.frame_len(payload.len()) > 1024 {
            return Err(UsageError::Full);
        }
        let frame = self.frame(0x89, payload);
        self.pings.push_back(frame);
        Ok(())
    }

    pub(super) fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.check_control(payload)?;
        self.pong = Some(self.frame(0x8a, payload));
        Ok(())
    }

    pub(super) fn close(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        if !self.may_close() {
            return Err(UsageError::Closed);
        }
        let frame = self.frame(0x88, payload);
        self.normal.push_back(frame);
        self.close_sent = true;
        Ok(())
    }

    /// An event was received.
    pub(super) fn received(&mut self, token: &Token) {
        match token {
            Token::Ping(payload) if self.auto_pong => {
                let _ = self.pong(payload);
            }
            Token::Close(code, _) => {
                let owed = self.auto_close && !self.close_sent && !self.eof;
                self.close_received = true;
                if owed {
                    let _ = self.close(&close_payload(*code));
                }
            }
            Token::Fail(code) => {
                let _ = self.close(&close_payload(Some(*code)));
                self.failed = !self.eof;
            }
            _ => {}
        }
    }

    pub(super) fn receive_eof(&mut self) {
        self.eof = true;
        if self.aborted() {
            self.normal.clear();
            self.pings.clear();
            self.pong = None;
            self.current.clear();
        }
    }

    /// Bytes left: they go on with the frame begun, or begin one that is first in its list.
    pub(super) fn written(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            if self.current.is_empty() {
                self.current_opcode = first & 0x0f;
                self.current = self.begin(first & 0x0f);
            }
            let n = bytes.len().min(self.current.len());
            assert_eq!(bytes[..n], self.current[..n]);
            self.current.drain(..n);
            bytes = &bytes[n..];
        }
    }

    /// The frame that leaves next, of an opcode.
    pub(super) fn begin(&mut self, opcode: u8) -> Vec<u8> {
        let urgent = !self.pings.is_empty() || self.pong.is_some();
        let frame = match opcode {
            9 => self.pings.pop_front(),
            10 => self.pong.take(),
            _ => self.normal.pop_front(),
        };
        let frame = frame.expect("a frame of this kind is queued");
        self.waited = if urgent && opcode < 9 { self.waited + frame.len() } else { 0 };
        // What is urgent waits for a run of small frames at most, and the two around its end.
        assert!(self.waited <= 16 * 1024 + 2 * self.longest, "urgent frames starve");
        frame
    }
}
