//! Packets to be sent: encoded once, attachments by reference, placeholders written as they come.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::payload::Payload;
use super::placeholder::all_resolve;
use crate::json::{self, Value};
use crate::socketio::engine::EngineMessage;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt::Write;

/// The arguments of an event or an answer, of which there may be several: a tuple is its members, the rest goes in a `Json`.
///
/// ```
/// use bytes::Bytes;
/// use pushline::socketio::{Arguments, Encoded};
///
/// let photo = Bytes::from_static(&[1, 2, 3]);
/// let event = Encoded::event("/", "photo", &("holiday", 7, photo), None);
/// assert_eq!(event.text(), r#"451-["photo","holiday",7,{"_placeholder":true,"num":0}]"#);
/// assert_eq!(Encoded::event("/chat", "typing", &(), None).text(), r#"42/chat,["typing"]"#);
/// ```
#[diagnostic::on_unimplemented(note = "`socketio::Json` wraps it")]
pub trait Arguments {
    /// How many attachments [`write`](Self::write) adds.
    fn attachments(&self) -> usize {
        0
    }

    /// Adds each argument.
    fn write(&self, out: &mut ArgumentWriter);
}

/// The output that an [`Arguments`] writes to.
///
/// ```
/// use pushline::json;
/// use pushline::socketio::{Arguments, Encoded, ArgumentWriter};
///
/// struct Point(f64, f64);
/// impl Arguments for Point {
///     fn write(&self, out: &mut ArgumentWriter) {
///         let Self(x, y) = self;
///         out.json_text(&format!(r#"{{"x":{x},"y":{y}}}"#));
///     }
/// }
/// assert_eq!(Encoded::event("/", "move", &Point(1.0, 2.5), None).text(), r#"42["move",{"x":1,"y":2.5}]"#);
/// ```
#[derive(Debug)]
pub struct ArgumentWriter {
    text: String,
    attachments: Vec<Bytes>,
    /// Whether the next one needs a comma before it.
    more: bool,
    /// Whether placeholders mean something.
    binary: bool,
}

impl ArgumentWriter {
    fn comma(&mut self) {
        if core::mem::replace(&mut self.more, true) {
            self.text.push(',');
        }
    }

    /// Adds a string.
    pub fn string(&mut self, text: &str) {
        self.comma();
        json::push_string(text, &mut self.text);
    }

    /// Adds JSON that was checked. In a packet with attachments, JSON that itself says `{"_placeholder":true,...}`
    /// becomes `null`: the attachment is another packet's, and receivers hang up on one that is not there.
    pub fn json(&mut self, value: Value<'_>) {
        let forged = self.binary && !all_resolve(value, 0);
        self.comma();
        self.text.push_str(if forged { "null" } else { value.as_str() });
    }

    /// Adds JSON that is checked here; `null` if it is none.
    pub fn json_text(&mut self, text: &str) {
        match json::check(text) {
            Ok(value) => self.json(value),
            Err(_) => self.json_text("null"),
        }
    }

    /// Adds bytes, by reference.
    pub fn bytes(&mut self, bytes: Bytes) {
        self.comma();
        let number = self.attachments.len();
        let _ = write!(self.text, "{{\"_placeholder\":true,\"num\":{number}}}");
        self.attachments.push(bytes);
    }

    /// Adds arguments as they were received, with their attachments.
    pub(super) fn received(&mut self, payload: &Payload) {
        // Their placeholders count from 0, and are none if there are no attachments.
        if self.binary && (payload.attachments().is_empty() || !self.attachments.is_empty()) {
            return payload.arguments().for_each(|argument| match payload.attachment(argument) {
                Some(bytes) => self.bytes(bytes.clone()),
                None => self.json(argument),
            });
        }
        let arguments = payload.raw_arguments();
        if !arguments.is_empty() {
            self.comma();
            self.text.push_str(arguments);
        }
        self.attachments.extend_from_slice(payload.attachments());
    }
}

impl Arguments for () {
    fn write(&self, _: &mut ArgumentWriter) {}
}

impl<T: Arguments + ?Sized> Arguments for &T {
    fn attachments(&self) -> usize {
        (**self).attachments()
    }

    fn write(&self, out: &mut ArgumentWriter) {
        (**self).write(out);
    }
}

impl Arguments for str {
    fn write(&self, out: &mut ArgumentWriter) {
        out.string(self);
    }
}

impl Arguments for String {
    fn write(&self, out: &mut ArgumentWriter) {
        out.string(self);
    }
}

impl Arguments for Value<'_> {
    fn write(&self, out: &mut ArgumentWriter) {
        out.json(*self);
    }
}

impl Arguments for Bytes {
    fn attachments(&self) -> usize {
        1
    }

    fn write(&self, out: &mut ArgumentWriter) {
        out.bytes(self.clone());
    }
}

macro_rules! display {
    ($($type:ty)*) => {$(
        impl Arguments for $type {
            fn write(&self, out: &mut ArgumentWriter) {
                out.comma();
                let _ = write!(out.text, "{self}");
            }
        }
    )*};
}
display!(bool i32 i64 u32 u64);

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: Arguments),+> Arguments for ($($name,)+) {
            fn attachments(&self) -> usize {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                0 $(+ $name.attachments())+
            }

            fn write(&self, out: &mut ArgumentWriter) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.write(out);)+
            }
        }
    };
}
tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);

/// A packet ready to be sent, to one or to many.
///
/// ```
/// use pushline::socketio::Encoded;
///
/// assert_eq!(Encoded::ack("/", 12, &("ok", true)).text(), r#"4312["ok",true]"#);
/// assert_eq!(Encoded::connect("/chat", "s1", None).text(), r#"40/chat,{"sid":"s1"}"#);
/// assert_eq!(Encoded::disconnect("/").text(), "41");
/// ```
#[derive(Clone, Debug)]
pub struct Encoded {
    text: String,
    attachments: Vec<Bytes>,
}

impl Encoded {
    /// An event, with an ack id if an answer is expected.
    #[must_use]
    pub fn event(
        namespace: &str,
        name: &str,
        arguments: &(impl Arguments + ?Sized),
        id: Option<u64>,
    ) -> Self {
        Self::event_in(String::with_capacity(ROOM), namespace, name, arguments, id)
    }

    /// As [`event`](Self::event), in a buffer of the caller's, whose text goes: with room in it, an event without
    /// attachments allocates nothing.
    ///
    /// ```
    /// use pushline::socketio::Encoded;
    ///
    /// let mut buffer = String::with_capacity(256);
    /// for n in 1..4 {
    ///     let event = Encoded::event_in(buffer, "/", "count", &n, None);
    ///     assert_eq!(event.text(), format!(r#"42["count",{n}]"#));
    ///     buffer = event.into_text();
    /// }
    /// ```
    #[must_use]
    pub fn event_in(
        buffer: String,
        namespace: &str,
        name: &str,
        arguments: &(impl Arguments + ?Sized),
        id: Option<u64>,
    ) -> Self {
        Self::with_arguments(buffer, ["42", "45"], namespace, id, Some(name), arguments)
    }

    /// The packet of an event or an answer that was encoded before: its text and its attachments.
    #[cfg(feature = "hyper")]
    pub(crate) const fn from_parts(text: String, attachments: Vec<Bytes>) -> Self {
        Self { text, attachments }
    }

    /// An event, with one argument more behind the others: its offset.
    #[must_use]
    #[cfg(feature = "hyper")]
    pub(crate) fn with_offset(mut self, offset: &str) -> Self {
        self.text.pop();
        self.text.push(',');
        json::push_string(offset, &mut self.text);
        self.text.push(']');
        self
    }

    /// An answer to an event.
    #[must_use]
    pub fn ack(namespace: &str, id: u64, arguments: &(impl Arguments + ?Sized)) -> Self {
        Self::with_arguments(String::with_capacity(ROOM), ["43", "46"], namespace, Some(id), None, arguments)
    }

    /// A client is let into a namespace; with `pid`, its state can be recovered.
    #[must_use]
    pub fn connect(namespace: &str, sid: &str, pid: Option<&str>) -> Self {
        let mut text = head("40", namespace);
        text.push_str("{\"sid\":");
        json::push_string(sid, &mut text);
        if let Some(pid) = pid {
            text.push_str(",\"pid\":");
            json::push_string(pid, &mut text);
        }
        text.push('}');
        Self { text, attachments: Vec::new() }
    }

    /// A client asks for a namespace: the fields of what it sends along, without the braces.
    pub(super) fn connect_request(namespace: &str, fields: Option<&str>) -> Self {
        let mut text = head("40", namespace);
        if let Some(fields) = fields {
            text.push('{');
            text.push_str(fields);
            text.push('}');
        }
        Self { text, attachments: Vec::new() }
    }

    /// A client is not let in, and why; `data` is for its `error.data`.
    #[must_use]
    pub fn connect_error(namespace: &str, message: &str, data: Option<Value<'_>>) -> Self {
        let mut text = head("44", namespace);
        text.push_str("{\"message\":");
        json::push_string(message, &mut text);
        if let Some(data) = data {
            text.push_str(",\"data\":");
            text.push_str(data.as_str());
        }
        text.push('}');
        Self { text, attachments: Vec::new() }
    }

    /// A client is put out of a namespace.
    #[must_use]
    pub fn disconnect(namespace: &str) -> Self {
        Self { text: head("41", namespace), attachments: Vec::new() }
    }

    fn with_arguments(
        buffer: String,
        [text, binary]: [&str; 2],
        namespace: &str,
        id: Option<u64>,
        name: Option<&str>,
        arguments: &(impl Arguments + ?Sized),
    ) -> Self {
        let count = arguments.attachments();
        let kind = if count > 0 { binary } else { text };
        let mut text = head_in(buffer, kind, count, namespace, id);
        text.push('[');
        let mut out =
            ArgumentWriter { text, attachments: Vec::with_capacity(count), more: false, binary: count > 0 };
        if let Some(name) = name {
            out.string(name);
        }
        arguments.write(&mut out);
        out.text.push(']');
        debug_assert_eq!(out.attachments.len(), count, "Arguments::attachments and write must agree");
        Self { text: out.text, attachments: out.attachments }
    }

    /// The text packet, Engine.IO's digit included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The buffer of the text packet.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// The attachments behind it.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The messages to send, next to one another.
    pub fn into_messages(self) -> impl Iterator<Item = EngineMessage> {
        core::iter::once(EngineMessage::packet(self.text))
            .chain(self.attachments.into_iter().map(EngineMessage::binary))
    }

    /// The same, encoded once for all that they are sent to.
    #[must_use]
    pub fn into_shared(self) -> Vec<EngineMessage> {
        self.into_messages().map(EngineMessage::shared).collect()
    }
}

/// What most packets fit in.
const ROOM: usize = 64;

/// Engine.IO's digit, the type, attachments, namespace and ack id.
fn head(kind: &str, namespace: &str) -> String {
    head_in(String::with_capacity(ROOM), kind, 0, namespace, None)
}

fn head_in(mut text: String, kind: &str, attachments: usize, namespace: &str, id: Option<u64>) -> String {
    text.clear();
    text.push_str(kind);
    if attachments > 0 {
        push_number(attachments as u64, &mut text);
        text.push('-');
    }
    if namespace != "/" {
        text.push_str(namespace);
        text.push(',');
    }
    if let Some(id) = id {
        push_number(id, &mut text);
    }
    text
}

/// Digit by digit, which for short numbers takes a third of what formatting takes.
fn push_number(number: u64, text: &mut String) {
    if number > 9 {
        push_number(number / 10, text);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}
