//! An entry on its way to the file: text that is ready, and references to large bodies that are not.

use std::io::{self, Write};

use encoding_rs::Encoding;

use super::content::{Encoder, Form, steps};
use super::json::escape;
use crate::base::spool::Extent;
use crate::base::{Reader, Short, Spool};

/// Text larger than this goes to the spool on its own, so that it is not copied from list to list.
const TEXT_KEPT: usize = 16 << 10;

/// A draft is a row of pieces. In the spool each is
///
/// ```text
/// tag 0 Text   u32 length, bytes                          copied
/// tag 1 Copy   extent (u64 at, u64 length)                copied from elsewhere in the spool
/// tag 2 Body   u8 form, u8 length and name of a charset,
///              u32 count, extents                         written in that form
/// ```
pub struct Draft<'s> {
    /// Where large text goes.
    pub spool: &'s mut Spool,
    /// JSON being written.
    pub text: Vec<u8>,
    /// Parts of `text` that are the insides of large strings: known to be good, not to be checked again.
    insides: Vec<(usize, usize)>,
    /// What was written, without the insides of large strings, of text that has left `text`.
    skeleton: Vec<u8>,
    pieces: Vec<u8>,
}

impl<'s> Draft<'s> {
    /// An empty draft.
    pub fn new(spool: &'s mut Spool) -> Self {
        Self { spool, text: Vec::with_capacity(2048), insides: Vec::new(), skeleton: Vec::new(), pieces: Vec::new() }
    }

    /// Writes a string of `bytes` in `form`.
    pub fn inside(&mut self, form: Form, bytes: &[u8]) {
        self.text.push(b'"');
        let start = self.text.len();
        // Base64 needs a third more; text seldom as much for its escapes.
        self.text.reserve(bytes.len() + bytes.len() / 3 + 64);
        let mut encoder = Encoder::new(form);
        encoder.push(bytes, &mut self.text);
        encoder.end(&mut self.text);
        self.insides.push((start, self.text.len()));
        self.text.push(b'"');
        self.spill(TEXT_KEPT);
    }

    /// Writes a string of bytes in the spool.
    pub fn body(&mut self, form: Form, parts: &[Extent]) {
        self.text.push(b'"');
        self.spill(0);
        self.pieces.push(2);
        let (tag, name) = match form {
            Form::Text => (0, ""),
            Form::Base64 => (1, ""),
            Form::Decoded(encoding) => (2, encoding.name()),
        };
        self.pieces.extend_from_slice(&[tag, name.len() as u8]);
        self.pieces.extend_from_slice(name.as_bytes());
        self.pieces.extend_from_slice(&(parts.len() as u32).to_be_bytes());
        for part in parts {
            self.extent(*part);
        }
        self.text.push(b'"');
    }

    fn extent(&mut self, extent: Extent) {
        self.pieces.extend_from_slice(&extent.at.to_be_bytes());
        self.pieces.extend_from_slice(&extent.len.to_be_bytes());
    }

    /// Turns `text` into a piece when it is longer than `most`.
    fn spill(&mut self, most: usize) {
        if self.text.len() <= most {
            return;
        }
        let mut from = 0;
        for &(start, end) in &self.insides {
            self.skeleton.extend_from_slice(self.text.get(from..start).unwrap_or_default());
            from = end;
        }
        self.skeleton.extend_from_slice(self.text.get(from..).unwrap_or_default());
        self.insides.clear();
        if self.text.len() > TEXT_KEPT {
            let extent = self.spool.append(&self.text);
            self.pieces.push(1);
            self.extent(extent);
        } else {
            self.pieces.push(0);
            self.pieces.extend_from_slice(&(self.text.len() as u32).to_be_bytes());
            self.pieces.extend_from_slice(&self.text);
        }
        self.text.clear();
    }

    /// The pieces, when what was written is a run of members of a JSON object.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        self.spill(0);
        let members = [b"{", self.skeleton.as_slice(), b"}"].concat();
        serde_json::from_slice::<serde::de::IgnoredAny>(&members).is_ok().then_some(self.pieces)
    }
}

/// Writes out the pieces of a draft.
pub fn write_pieces(pieces: &[u8], spool: &mut Spool, out: &mut dyn Write) -> io::Result<()> {
    let mut reader = Reader::new(pieces);
    while !reader.is_empty() {
        write_piece(&mut reader, spool, out)?;
    }
    Ok(())
}

fn write_piece(reader: &mut Reader<'_>, spool: &mut Spool, out: &mut dyn Write) -> io::Result<()> {
    let broken = |Short| io::Error::from(io::ErrorKind::UnexpectedEof);
    let extent = |reader: &mut Reader<'_>| Ok(Extent { at: reader.u64()?, len: reader.u64()? });
    match reader.u8().map_err(broken)? {
        0 => {
            let len = reader.u32().map_err(broken)?;
            out.write_all(reader.take(len as usize).map_err(broken)?)
        }
        1 => {
            let part = extent(reader).map_err(broken)?;
            steps(spool, &[part], |bytes| out.write_all(bytes))
        }
        _ => {
            let (tag, len) = (reader.u8().map_err(broken)?, reader.u8().map_err(broken)?);
            let charset = reader.take(usize::from(len)).map_err(broken)?;
            let form = match tag {
                0 => Form::Text,
                1 => Form::Base64,
                _ => Form::Decoded(Encoding::for_label(charset).unwrap_or(encoding_rs::WINDOWS_1252)),
            };
            let count = reader.u32().map_err(broken)?;
            let parts: Result<Vec<Extent>, Short> = (0..count).map(|_| extent(reader)).collect();
            let (mut encoder, mut text) = (Encoder::new(form), Vec::new());
            steps(spool, &parts.map_err(broken)?, |bytes| {
                text.clear();
                encoder.push(bytes, &mut text);
                out.write_all(&text)
            })?;
            text.clear();
            encoder.end(&mut text);
            out.write_all(&text)
        }
    }
}

/// A JSON string, for text that may be large.
impl Draft<'_> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_pieces_come_out_in_order() {
        let mut spool = Spool::new(1000, None);
        let large: Vec<u8> = (0..700_001u32).map(|n| n as u8).collect();
        let parts = [spool.append(&large[..400_000]), spool.append(&large[400_000..])];
        let mut draft = Draft::new(&mut spool);
        draft.text.extend_from_slice(b"\"a\":");
        draft.inside(Form::Text, "x\"\n".repeat(200_000).as_bytes());
        draft.text.extend_from_slice(b",\"b\":");
        draft.body(Form::Base64, &parts);
        draft.text.extend_from_slice(b",\"c\":");
        draft.string("é");
        draft.text.extend_from_slice(b",\"d\":");
        draft.body(Form::Decoded(encoding_rs::WINDOWS_1252), &parts);
        let pieces = draft.finish().unwrap();
        let mut out = b"{".to_vec();
        write_pieces(&pieces, &mut spool, &mut out).unwrap();
        out.push(b'}');
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["a"], "x\"\n".repeat(200_000));
        assert_eq!(read["b"], base64_simd::STANDARD.encode_to_string(&large));
        assert_eq!(read["c"], "é");
        assert_eq!(read["d"], encoding_rs::WINDOWS_1252.decode(&large).0.as_ref());
        assert!(pieces.len() < 300, "large text is in the spool");
    }

    #[test]
    fn a_broken_draft_is_refused() {
        let mut spool = Spool::new(1000, None);
        let mut draft = Draft::new(&mut spool);
        draft.text.extend_from_slice(b"\"a\":NaN");
        assert!(draft.finish().is_none());
    }
}
