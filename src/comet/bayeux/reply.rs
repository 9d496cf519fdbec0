//! What the broker writes: replies, advice, extensions, messages for subscribers.
#![allow(clippy::arithmetic_side_effects, reason = "a date from the server's own clock, and capacities")]

use super::config::BrokerOptions;
use super::message::BayeuxMessage;
use crate::comet::put;
use crate::comet::script::write_number;
use crate::json::{Value, write_string};
use crate::settings::timer_millis;
use core::time::Duration;
use std::format;
use std::io::Write;
use std::string::String;
use std::vec::Vec;

/// A client's sample of its clock, and when it came: the extension timesync.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeSync {
    sent: f64,
    received: u64,
    accuracy: f64,
}

impl TimeSync {
    pub(super) fn new(message: &BayeuxMessage<'_>, now: u64) -> Option<Self> {
        let fields = message.ext("timesync")?.object()?;
        let number = |name| fields.get(name).and_then(|value: Value<'_>| value.as_f64());
        let sent = number("tc")?;
        let accuracy = sent + number("o").unwrap_or(0.0) + number("l").unwrap_or(0.0) - now as f64;
        Some(Self { sent, received: now, accuracy })
    }

    /// `tc` as it came, `ts` when that was, `p` how long ago, `a` how far the client's guess was off.
    fn write(self, now: u64, out: &mut Vec<u8>) {
        let Self { sent, received, accuracy } = self;
        let passed = now.saturating_sub(received);
        // Saturating: what does not fit is no time.
        let (sent, accuracy) = (sent as i64, accuracy as i64);
        // Writing to a vector never fails.
        let _ =
            write!(out, "\"timesync\":{{\"tc\":{sent},\"ts\":{received},\"p\":{passed},\"a\":{accuracy}}}");
    }
}

/// What the next attempt of the client is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    Retry,
    /// The browser holds more connections than it should.
    MultipleClients,
    Handshake(Duration),
    None,
}

/// A reply under way: `{"channel":…,"id":…` so far.
#[must_use]
pub(super) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    config: &'o BrokerOptions,
    now: u64,
}

impl<'o> Reply<'o> {
    /// Appends to the replies in `out`. The channel and the id are the client's own, as they came.
    pub(super) fn new(
        out: &'o mut Vec<u8>,
        config: &'o BrokerOptions,
        now: u64,
        channel: Option<&str>,
        id: Option<&str>,
    ) -> Self {
        separate(out);
        put(out, &["{\"channel\":\"", channel.unwrap_or_default(), "\""]);
        let reply = Self { out, config, now };
        match id {
            Some(id) => reply.field("id", id),
            None => reply,
        }
    }

    /// A field of JSON.
    pub(super) fn field(self, name: &str, json: &str) -> Self {
        put(self.out, &[",\"", name, "\":", json]);
        self
    }

    pub(super) fn ok(self) -> Self {
        self.field("successful", "true")
    }

    /// `code ":" args ":" text` (3.6 error).
    pub(super) fn error(self, code: u16, args: &str, text: &str) -> Self {
        put(self.out, &[",\"successful\":false,\"error\":"]);
        write_string(&format!("{code}:{args}:{text}"), self.out);
        self
    }

    /// Always whole: a client forgets all earlier advice (3.4).
    pub(super) fn advice(self, advice: Advice) -> Self {
        let BrokerOptions { interval, timeout, max_interval, multiple_interval, .. } = *self.config;
        let (reconnect, interval, multiple) = match advice {
            Advice::Retry => ("retry", interval, ""),
            Advice::MultipleClients => ("retry", multiple_interval, ",\"multiple-clients\":true"),
            Advice::Handshake(interval) => ("handshake", interval, ""),
            Advice::None => ("none", interval, ""),
        };
        put(self.out, &[",\"advice\":{\"reconnect\":\"", reconnect, "\""]);
        for (name, time) in [("interval", interval), ("timeout", timeout), ("maxInterval", max_interval)] {
            put(self.out, &[",\"", name, "\":"]);
            write_number(timer_millis(time), self.out);
        }
        put(self.out, &[multiple, "}"]);
        self
    }

    /// The extensions' part. `ack` is written as it is.
    pub(super) fn ext(self, ack: Option<&str>, timesync: Option<TimeSync>) -> Self {
        if ack.is_none() && timesync.is_none() {
            return self;
        }
        put(self.out, &[",\"ext\":{"]);
        if let Some(ack) = ack {
            put(self.out, &["\"ack\":", ack]);
        }
        if let Some(timesync) = timesync {
            if ack.is_some() {
                self.out.push(b',');
            }
            timesync.write(self.now, self.out);
        }
        self.out.push(b'}');
        self
    }

    pub(super) fn end(self) {
        if self.config.timestamp {
            put(self.out, &[",\"timestamp\":\"", &timestamp(self.now), "\""]);
        }
        self.out.push(b'}');
    }
}

/// Appends what stands before a message of an array: its bracket, or a comma.
pub(super) fn separate(out: &mut Vec<u8>) {
    out.push(if out.is_empty() { b'[' } else { b',' });
}

/// `[{"channel":…,"data":…}]`: what subscribers get, in the form that a WebSocket takes.
pub(super) fn event(channel: &str, data: &str, binary: Option<&str>, timestamp: Option<&str>) -> String {
    let mut out = String::with_capacity(channel.len() + data.len() + 96);
    for part in ["[{\"channel\":\"", channel, "\",\"data\":", data] {
        out.push_str(part);
    }
    if let Some(binary) = binary {
        out.push_str(",\"ext\":{\"binary\":");
        out.push_str(binary);
        out.push('}');
    }
    if let Some(timestamp) = timestamp {
        out.push_str(",\"timestamp\":\"");
        out.push_str(timestamp);
        out.push('"');
    }
    out.push_str("}]");
    out
}

/// 3.11: `YYYY-MM-DDThh:mm:ss.ss`, of milliseconds since 1970 UTC.
pub(super) fn timestamp(unix_millis: u64) -> String {
    let (days, millis) = (unix_millis / 86_400_000, unix_millis % 86_400_000);
    // Days since 0000-03-01, counted in cycles of 400 years.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = cycle * 400 + year + u64::from(month <= 2);
    let (hour, minute, second, part) =
        (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000 / 10);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:02}")
}
