//! The text of an entry: JSON that is being written, and the bodies that are too large to be part of it.

use std::io;

use super::content::{Encoder, Form, steps};
use super::json::{escape, is_members};
use crate::base::Stored;

/// A run of members of a JSON object that is being written.
#[derive(Debug)]
pub struct Draft {
    /// JSON being written.
    pub text: Vec<u8>,
    bodies: Vec<Body>,
}

/// A body in the spool that stands inside a text.
#[derive(Debug)]
pub struct Body {
    /// Where in the text.
    at: usize,
    form: Form,
    parts: Vec<Stored>,
}

/// Room for the members behind a large string, which would be copied for their sake otherwise.
const BEHIND: usize = 4096;

/// Text that is finished, with bodies in the spool.
#[derive(Debug)]
pub struct Text {
    /// The text without those bodies.
    text: Vec<u8>,
    /// In the order of their places.
    bodies: Vec<Body>,
}

impl Draft {
    /// An empty draft.
    pub fn new() -> Self {
        Self { text: Vec::with_capacity(2048), bodies: Vec::new() }
    }

    /// Writes a string of `bytes` in `form`.
    pub fn inside(&mut self, form: Form, bytes: &[u8]) {
        self.text.push(b'"');
        self.text.reserve(form.size_hint(bytes.len()) + (bytes.len() / 4).clamp(64, BEHIND));
        let mut encoder = Encoder::new(form);
        encoder.push(bytes, &mut self.text);
        encoder.end(&mut self.text);
        self.text.push(b'"');
    }

    /// Writes a string of bytes in the spool.
    pub fn body(&mut self, form: Form, parts: &[Stored]) {
        self.text.push(b'"');
        self.bodies.push(Body { at: self.text.len(), form, parts: parts.to_vec() });
        self.text.push(b'"');
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        if text.len() > 4096 {
            self.inside(Form::Text, text.as_bytes());
        } else {
            self.text.push(b'"');
            escape(&mut self.text, text.as_bytes());
            self.text.push(b'"');
        }
    }

    /// The text: a run of members of a JSON object, as [`Object`](super::json::Object) and its kin write them.
    pub fn finish(self) -> Text {
        debug_assert!(is_members(&self.text), "{}", self.text.escape_ascii());
        Text { text: self.text, bodies: self.bodies }
    }
}

impl Text {
    /// Bytes it takes in memory.
    pub fn allocated(&self) -> usize {
        let parts: usize = self.bodies.iter().map(|body| size_of_val(body.parts.as_slice())).sum();
        self.text.capacity() + self.bodies.capacity() * size_of::<Body>() + parts
    }

    /// Hands on the text, bodies and all, in pieces of bounded size but for those that are in memory anyway.
    pub fn pieces<E: From<io::Error>>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self { text, bodies } = self;
        let mut from = 0;
        for body in bodies {
            each(text.get(from..body.at).unwrap_or_default())?;
            from = body.at;
            let (mut encoder, mut coded) = (Encoder::new(body.form), Vec::new());
            steps(&body.parts, |bytes| {
                coded.clear();
                encoder.push(bytes, &mut coded);
                each(&coded)
            })?;
            coded.clear();
            encoder.end(&mut coded);
            each(&coded)?;
        }
        each(text.get(from..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Spool;

    #[test]
    fn large_and_small_pieces_come_out_in_order() {
        let mut spool = Spool::new(None);
        let large: Vec<u8> = (0..700_001u32).map(|n| n as u8).collect();
        let parts = [spool.append(&large[..400_000]), spool.append(&large[400_000..])];
        let mut draft = Draft::new();
        draft.text.extend_from_slice(b"\"a\":");
        draft.inside(Form::Text, "x\"\n".repeat(20_000).as_bytes());
        draft.text.extend_from_slice(b",\"b\":");
        draft.body(Form::Base64, &parts);
        draft.text.extend_from_slice(b",\"c\":");
        draft.string("é");
        draft.text.extend_from_slice(b",\"d\":");
        draft.body(Form::Decoded(encoding_rs::WINDOWS_1252), &parts);
        let text = draft.finish();
        assert!(text.allocated() < 500_000, "bodies in the spool are not in memory");
        let mut out = b"{".to_vec();
        text.pieces(|piece| std::io::Write::write_all(&mut out, piece)).unwrap();
        out.push(b'}');
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["a"], "x\"\n".repeat(20_000));
        assert_eq!(read["b"], base64_simd::STANDARD.encode_to_string(&large));
        assert_eq!(read["c"], "é");
        assert_eq!(read["d"], encoding_rs::WINDOWS_1252.decode(&large).0.as_ref());
    }

    /// What every test and fuzzer relies on.
    #[test]
    #[should_panic(expected = "NaN")]
    fn a_broken_draft_stops_a_debug_build() {
        let mut draft = Draft::new();
        draft.text.extend_from_slice(b"\"a\":NaN");
        draft.finish();
    }
}
