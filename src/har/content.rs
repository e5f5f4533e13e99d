//! How a body is written: as text, as base64, or decoded to Unicode.

use std::io;

use encoding_rs::{CoderResult, Encoding, UTF_8};

use super::form::{essence, parameter};
use super::json::escape;
use crate::base::Stored;
use crate::exchange::Kept;

/// Bytes of a large body that are in memory at once while it is looked at or written; a multiple of 3, for base64.
const STEP: u64 = 3 << 16;

/// Bytes looked at for a `<meta charset>` ([HTML §13.2.3.2](https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding)).
const PRESCAN: usize = 1024;

/// The form of a body in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// UTF-8 text, byte for byte.
    Text,
    /// Base64 with `encoding: "base64"`.
    Base64,
    /// Text that was in another charset.
    Decoded(&'static Encoding),
}

impl Form {
    /// About how many bytes `len` bytes become.
    pub fn size_hint(self, len: usize) -> usize {
        match self {
            // Text seldom has more escapes than this.
            Form::Text => len + len / 16,
            Form::Base64 => len.div_ceil(3) * 4,
            Form::Decoded(_) => len + len / 4,
        }
    }
}

/// What the bytes of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nature {
    is_utf8: bool,
    is_ascii: bool,
}

impl Nature {
    /// Looks at bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let is_ascii = bytes.is_ascii();
        Self { is_ascii, is_utf8: is_ascii || simdutf8::compat::from_utf8(bytes).is_ok() }
    }
}

/// Looks at bytes as they come; characters may be split anywhere.
#[derive(Debug)]
struct Look {
    nature: Nature,
    /// Start of a character whose end has not come yet.
    carry: Vec<u8>,
}

impl Look {
    fn new() -> Self {
        Self { nature: Nature { is_utf8: true, is_ascii: true }, carry: Vec::new() }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        self.nature.is_ascii = self.nature.is_ascii && bytes.is_ascii();
        while self.nature.is_utf8 && !self.carry.is_empty() {
            let Some((&byte, rest)) = bytes.split_first() else { return };
            self.carry.push(byte);
            bytes = rest;
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) => self.nature.is_utf8 = error.error_len().is_none(),
            }
        }
        if self.nature.is_utf8
            && let Err(error) = simdutf8::compat::from_utf8(bytes)
        {
            self.nature.is_utf8 = error.error_len().is_none();
            self.carry.extend_from_slice(bytes.get(error.valid_up_to()..).unwrap_or_default());
        }
    }

    fn end(self) -> Nature {
        Nature { is_utf8: self.nature.is_utf8 && self.carry.is_empty(), ..self.nature }
    }
}

/// Bytes of a body that lie in the spool, a step at a time.
pub fn steps<E: From<io::Error>>(parts: &[Stored], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for part in parts {
        part.steps(0, STEP, &mut each)?;
    }
    Ok(())
}

/// Looks at all kept bytes.
pub fn nature(kept: &Kept) -> io::Result<Nature> {
    if kept.spooled.is_empty() {
        return Ok(Nature::of(&kept.tail));
    }
    let mut look = Look::new();
    steps(&kept.spooled, |bytes| {
        look.push(bytes);
        io::Result::Ok(())
    })?;
    look.push(&kept.tail);
    Ok(look.end())
}

/// Which form keeps a body byte for byte in every reader.
///
/// Readers take text without charset as UTF-8 for JSON, scripts, style sheets, HTML and XML only; other text types as Latin-1.
pub fn exact_form(nature: Nature, content_type: &str) -> Form {
    let is_text = nature.is_ascii
        || match parameter(content_type, "charset") {
            Some(charset) => {
                ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
            }
            None => is_unicode_type(content_type),
        };
    if nature.is_utf8 && is_text { Form::Text } else { Form::Base64 }
}

fn is_unicode_type(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    let (_, sub) = essence.split_once('/').unwrap_or_default();
    let family = sub.rsplit('+').next().unwrap_or(sub);
    matches!(
        family,
        "json" | "xml" | "html" | "css" | "javascript" | "ecmascript" | "x-javascript" | "event-stream" | "x-ndjson"
    )
}

fn is_text_type(content_type: &str) -> bool {
    essence(content_type).get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
        || is_unicode_type(content_type)
}

/// The form for readers who want text: Unicode for every text type. The charset is that of a byte order mark, else of the Content-Type,
/// else of a `<meta>` in the first bytes, else UTF-8 where the bytes are, else windows-1252, as browsers have it.
pub fn readable_form(nature: Nature, content_type: &str, start: &[u8]) -> Form {
    if !is_text_type(content_type) {
        return exact_form(nature, content_type);
    }
    let stated = || {
        let label = parameter(content_type, "charset").or_else(|| meta_charset(start));
        label.and_then(|label| Encoding::for_label(label.as_bytes()))
    };
    let encoding = match Encoding::for_bom(start) {
        Some((encoding, _)) => Some(encoding),
        None => stated(),
    };
    match encoding {
        Some(encoding) if encoding == UTF_8 && nature.is_utf8 => Form::Text,
        Some(encoding) if encoding != UTF_8 && !(nature.is_ascii && encoding.is_ascii_compatible()) => {
            Form::Decoded(encoding)
        }
        _ if nature.is_utf8 => Form::Text,
        Some(encoding) => Form::Decoded(encoding),
        None => Form::Decoded(encoding_rs::WINDOWS_1252),
    }
}

/// The charset of `<meta charset=…>`, `<meta … content="…; charset=…">` or `<?xml … encoding=…?>` near the start.
fn meta_charset(start: &[u8]) -> Option<String> {
    let start = start.get(..PRESCAN.min(start.len()))?.to_ascii_lowercase();
    let label_after = |word: &[u8]| {
        let mut from = 0;
        while let Some(found) = memchr::memmem::find(start.get(from..)?, word) {
            from += found + word.len();
            let rest = start.get(from..)?.trim_ascii_start();
            if let Some(value) = rest.strip_prefix(b"=") {
                let value = value.trim_ascii_start();
                let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
                let end = value.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"-_:.".contains(byte))?;
                return String::from_utf8(value.get(..end)?.to_vec()).ok();
            }
        }
        None
    };
    if start.starts_with(b"<?xml") {
        return label_after(b"encoding");
    }
    memchr::memmem::find(&start, b"<meta").and_then(|_| label_after(b"charset"))
}

/// Turns the bytes of one body into what stands between the quotes.
pub struct Encoder {
    form: Form,
    /// Bytes of an unfinished base64 group.
    carry: Vec<u8>,
    decoder: Option<encoding_rs::Decoder>,
}

impl Encoder {
    /// An encoder at the start of a body.
    pub fn new(form: Form) -> Self {
        let decoder = match form {
            Form::Decoded(encoding) => Some(encoding.new_decoder_with_bom_removal()),
            Form::Text | Form::Base64 => None,
        };
        Self { form, carry: Vec::new(), decoder }
    }

    /// Appends the next bytes.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::Text => escape(out, bytes),
            Form::Base64 => {
                let mut bytes = bytes;
                if !self.carry.is_empty() {
                    let (fill, rest) = bytes.split_at(bytes.len().min(3 - self.carry.len()));
                    self.carry.extend_from_slice(fill);
                    bytes = rest;
                    if self.carry.len() < 3 {
                        return;
                    }
                    base64_simd::STANDARD.encode_append(&self.carry, out);
                    self.carry.clear();
                }
                let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % 3);
                base64_simd::STANDARD.encode_append(whole, out);
                self.carry.extend_from_slice(rest);
            }
            Form::Decoded(_) => self.decode(bytes, out, false),
        }
    }

    /// Appends what is still held back.
    pub fn end(mut self, out: &mut Vec<u8>) {
        if self.form == Form::Base64 {
            base64_simd::STANDARD.encode_append(&self.carry, out);
        }
        self.decode(&[], out, true);
    }

    fn decode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>, is_last: bool) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut text = [0; 4096];
        loop {
            let (result, read, written, _) = decoder.decode_to_utf8(bytes, &mut text, is_last);
            escape(out, text.get(..written).unwrap_or_default());
            bytes = bytes.get(read..).unwrap_or_default();
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Budget, Spool};
    use proptest::prelude::*;

    fn encoded(form: Form, pieces: &[&[u8]]) -> String {
        let (mut encoder, mut out) = (Encoder::new(form), vec![b'"']);
        for piece in pieces {
            encoder.push(piece, &mut out);
        }
        encoder.end(&mut out);
        out.push(b'"');
        serde_json::from_slice(&out).unwrap()
    }

    proptest! {
        #[test]
        fn splits_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,60}", a in 0usize..300, b in 0usize..300) {
            let (a, b) = (a.min(b).min(bytes.len()), a.max(b).min(bytes.len()));
            let pieces = [&bytes[..a], &bytes[a..b], &bytes[b..]];
            prop_assert_eq!(encoded(Form::Base64, &pieces), base64_simd::STANDARD.encode_to_string(&bytes));
            let whole = encoding_rs::SHIFT_JIS.decode(&bytes).0.into_owned();
            prop_assert_eq!(encoded(Form::Decoded(encoding_rs::SHIFT_JIS), &pieces), whole);
            for bytes in [&bytes, text.as_bytes()] {
                let mut spool = Spool::new(None);
                let cut = a.min(bytes.len());
                let kept = Kept {
                    spooled: vec![spool.append(&bytes[..cut / 2]), spool.append(&bytes[cut / 2..cut])],
                    tail: bytes[cut..].to_vec(),
                    lease: Budget::new(0).lease(),
                };
                prop_assert_eq!(nature(&kept).unwrap(), Nature::of(bytes));
            }
        }
    }

    #[test]
    fn only_text_that_every_reader_keeps_is_text() {
        let cases: &[(&[u8], &str, Form)] = &[
            (b"plain", "text/plain", Form::Text),
            (b"plain", "image/png", Form::Text),
            ("ü".as_bytes(), "text/plain", Form::Base64),
            ("ü".as_bytes(), "text/plain; charset=\"UTF-8\"", Form::Text),
            ("ü".as_bytes(), "text/html; charset=iso-8859-1", Form::Base64),
            ("ü".as_bytes(), "text/html", Form::Text),
            ("ü".as_bytes(), "application/problem+json", Form::Text),
            ("ü".as_bytes(), "image/svg+xml", Form::Text),
            ("ü".as_bytes(), "", Form::Base64),
            (b"\xfc", "text/html; charset=utf-8", Form::Base64),
        ];
        for (bytes, content_type, form) in cases {
            assert_eq!(exact_form(Nature::of(bytes), content_type), *form, "{content_type}");
        }
    }

    #[test]
    fn readers_of_text_get_unicode() {
        let read =
            |bytes: &[u8], content_type: &str| encoded(readable_form(Nature::of(bytes), content_type, bytes), &[bytes]);
        assert_eq!(read(b"caf\xe9", "text/plain; charset=iso-8859-1"), "café");
        assert_eq!(read(b"caf\xe9", "text/plain"), "café");
        assert_eq!(read("café".as_bytes(), "text/plain"), "café");
        assert_eq!(read(b"\xff\xfeh\0i\0", "text/html"), "hi");
        assert_eq!(read(b"h\0i\0", "text/html; charset=utf-16le"), "hi");
        assert_eq!(read(b"<meta charset='euc-kr'>\xb0\xa1", "text/html"), "<meta charset='euc-kr'>가");
        assert_eq!(
            read(b"<meta http-equiv=x content=\"text/html; charset=Shift_JIS\">\x82\xa0", "text/html").chars().last(),
            Some('あ')
        );
        assert_eq!(read(b"<?xml version='1.0' encoding='koi8-r'?>\xc1", "application/xml").chars().last(), Some('а'));
        assert_eq!(read(b"\x89PNG\xff", "image/png"), "iVBOR/8=");
    }
}
