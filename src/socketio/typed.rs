//! Arguments from and into types of one's own (feature `serde`).
#![allow(clippy::arithmetic_side_effects, reason = "two more than the length of a text in memory")]

use super::encode::{ArgumentWriter, Arguments};
use super::payload::Payload;
use alloc::string::String;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One argument that serde makes JSON of; `null` if it cannot.
///
/// ```
/// use pushline::socketio::{Encoded, Json};
///
/// #[derive(serde::Serialize)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
/// let event = Encoded::event("/", "move", &("pawn", Json(Point { x: 1.0, y: 2.5 })), None);
/// assert_eq!(event.text(), r#"42["move","pawn",{"x":1.0,"y":2.5}]"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> Arguments for Json<T> {
    fn write(&self, out: &mut ArgumentWriter) {
        let text = serde_json::to_string(&self.0);
        out.json_text(text.as_deref().unwrap_or("null"));
    }
}

impl Payload {
    /// The arguments as a tuple of types that serde reads. In the place of an attachment stands its placeholder; the bytes
    /// are in [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// What serde_json says if they are others, or more or fewer.
    ///
    /// ```
    /// use pushline::socketio::Payload;
    ///
    /// let payload = Payload::event(r#"["move", "pawn", 4]"#)?;
    /// assert_eq!(payload.parse::<(String, u32)>()?, ("pawn".into(), 4));
    /// assert!(payload.parse::<(String,)>().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let arguments = self.raw_arguments();
        let mut array = String::with_capacity(arguments.len() + 2);
        array.push('[');
        array.push_str(arguments);
        array.push(']');
        serde_json::from_str(&array)
    }
}
