//! Indents compact JSON while it passes by.

use std::io::{self, Write};

/// Passes compact JSON on, indented by one space a level.
pub struct Pretty<W> {
    into: W,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// An object or array was opened and holds nothing yet.
    is_fresh: bool,
    line: Vec<u8>,
}

impl<W: Write> Pretty<W> {
    /// Writes to `into`.
    pub fn new(into: W) -> Self {
        Self { into, depth: 0, in_string: false, is_escaped: false, is_fresh: false, line: Vec::new() }
    }

    /// Where it writes to.
    pub fn inner(&self) -> &W {
        &self.into
    }

    fn break_line(&mut self) {
        self.line.push(b'\n');
        self.line.resize(self.line.len() + self.depth, b' ');
    }

    /// The part of `bytes` that stays inside the string, its end included.
    fn string(&mut self, bytes: &[u8]) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            return bytes.len().min(1);
        }
        match memchr::memchr2(b'"', b'\\', bytes) {
            None => bytes.len(),
            Some(at) => {
                self.is_escaped = bytes.get(at) == Some(&b'\\');
                self.in_string = self.is_escaped;
                at + 1
            }
        }
    }

    fn structure(&mut self, byte: u8) {
        if matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
            if !std::mem::take(&mut self.is_fresh) {
                self.break_line();
            }
        } else if std::mem::take(&mut self.is_fresh) {
            self.break_line();
        }
        self.line.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.is_fresh = true;
            }
            b',' => self.break_line(),
            b':' => self.line.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }
}

impl<W: Write> Write for Pretty<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let len = if self.in_string {
                let len = self.string(rest);
                self.line.extend_from_slice(rest.get(..len).unwrap_or_default());
                len
            } else {
                self.structure(byte);
                1
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        self.into.write_all(&self.line)?;
        self.line.clear();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_white_space_is_added() {
        let value =
            json!({"a": [], "b": {}, "c": [1, {"d": "x\\\"{},:[]\n"}], "e": "", "f": -1.5, "g": [[null, true]]});
        let compact = serde_json::to_vec(&value).unwrap();
        for split in 1..compact.len() {
            let mut out = Vec::new();
            let mut pretty = Pretty::new(&mut out);
            for part in compact.chunks(split) {
                pretty.write_all(part).unwrap();
            }
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), value);
            assert!(out.starts_with(b"{\n \"a\": [],\n \"b\": {},\n \"c\": [\n  1,\n  {\n   \"d\""));
        }
    }
}
