//! The JSON checker against the grammar of RFC 8259 written down as a recursive descent, a function a rule.

use crate::json::{self, Error, MAX_DEPTH, Value};

/// Form, depth, and that the walk over a checked text gives all of it.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut model = Model { rest: data, deepest: 0 };
    model.space();
    let valid = model.value(1).is_some() && {
        model.space();
        model.rest.is_empty()
    };
    match json::check(text) {
        Ok(value) => {
            assert!(valid && model.deepest <= MAX_DEPTH);
            assert_eq!(value.as_str(), text.trim_matches([' ', '\t', '\n', '\r']));
            walk(value);
        }
        Err(Error::TooDeep { at }) => {
            assert!(model.deepest > MAX_DEPTH && matches!(data[at], b'[' | b'{'));
        }
        Err(Error::Syntax { at }) => {
            assert!(!valid && at <= text.len());
            // What stands before the fault could have become JSON: it is judged alike by itself, but for its end.
            if let Some(Err(error)) = text.get(..at).map(json::check) {
                assert_eq!(error, Error::Syntax { at });
            }
        }
    }
}

/// Every part of a checked value is a checked value.
fn walk(value: Value<'_>) {
    assert_eq!(json::check(value.as_str()), Ok(value));
    if let Some(string) = value.string() {
        let text = string.to_cow();
        assert!(string.is(&text) && !string.is(&(text.clone() + "x")));
        let mut again = Vec::new();
        json::write_string(&text, &mut again);
        let again = String::from_utf8(again).unwrap();
        assert!(json::check(&again).unwrap().string().unwrap().is(&text));
    }
    let mut kinds = usize::from(value.string().is_some() || value.is_number());
    kinds += usize::from(value.is_null() || value.as_bool().is_some());
    if let Some(items) = value.array() {
        kinds += 1;
        items.for_each(walk);
    }
    if let Some(fields) = value.object() {
        kinds += 1;
        for (key, value) in fields.clone() {
            assert!(fields.get(&key.to_cow()).is_some());
            walk(value);
        }
    }
    assert_eq!(kinds, 1);
}

/// Depth is counted but not limited until the stack is in danger.
struct Model<'a> {
    rest: &'a [u8],
    deepest: usize,
}

impl Model<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text.as_bytes())?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'{' => self.list("{", "}", depth, |model| {
                model.string()?;
                model.space();
                model.take(":")?;
                model.space();
                model.value(depth + 1)
            }),
            b'[' => self.list("[", "]", depth, |model| model.value(depth + 1)),
            b'"' => self.string(),
            b't' => self.take("true"),
            b'f' => self.take("false"),
            b'n' => self.take("null"),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        open: &str,
        close: &str,
        depth: usize,
        item: impl Fn(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        self.deepest = self.deepest.max(depth);
        if depth > 2 * MAX_DEPTH {
            return None;
        }
        self.space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(",")?;
            self.space();
        }
    }

    fn digits(&mut self) -> Option<()> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[digits..];
        (digits > 0).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            self.digits()?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.take("\"")?;
        loop {
            let (&first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => return Some(()),
                0..=0x1f => return None,
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    if escaped == b'u' {
                        let (digits, rest) = self.rest.split_at_checked(4)?;
                        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                        self.rest = rest;
                    } else if !b"\"\\/bfnrt".contains(&escaped) {
                        return None;
                    }
                }
                _ => {}
            }
        }
    }
}
