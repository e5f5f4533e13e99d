//! JSON written straight into a buffer.

use std::io::Write;

use crate::base::Timestamp;

/// Appends `bytes`, which are part of valid UTF-8, escaped for the inside of a JSON string (RFC 8259 §7).
///
/// Runs that need no escape are found in blocks of 32 bytes, which the compiler turns into vector code, then the first byte that
/// needs one in blocks of 8. A split in the middle of a character does no harm.
pub fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    loop {
        let clean = clean_prefix(rest);
        let (run, tail) = rest.split_at(clean);
        out.extend_from_slice(run);
        let Some((&byte, after)) = tail.split_first() else { return };
        escape_byte(out, byte);
        rest = after;
    }
}

fn clean_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes[at..].first_chunk::<32>() {
        if block.iter().fold(false, |found, &byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\')) {
            break;
        }
        at += 32;
    }
    while let Some(block) = bytes[at..].first_chunk::<8>() {
        let found = special_bytes(u64::from_le_bytes(*block));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len() - at)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// High bits of the bytes that need an escape; exact for the lowest one, which is all that is asked.
fn special_bytes(block: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = block.wrapping_sub(ONES * 0x20) & !block;
    (control | zero(block ^ (ONES * b'"' as u64)) | zero(block ^ (ONES * b'\\' as u64))) & (ONES << 7)
}

fn escape_byte(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// Appends whole microseconds as milliseconds with at most 3 decimals.
pub fn millis(out: &mut Vec<u8>, micros: i64) {
    let sign = if micros < 0 { "-" } else { "" };
    decimal(out, sign, micros.unsigned_abs(), 1000, 3);
}

/// Appends a time as seconds since 1970 with at most 6 decimals.
pub fn epoch_seconds(out: &mut Vec<u8>, time: Timestamp) {
    let micros = time.0.div_euclid(1000);
    let sign = if micros < 0 { "-" } else { "" };
    decimal(out, sign, micros.unsigned_abs(), 1_000_000, 6);
}

fn decimal(out: &mut Vec<u8>, sign: &str, value: u64, unit: u64, digits: usize) {
    let (whole, part) = (value / unit, value % unit);
    if part == 0 {
        put(out, format_args!("{sign}{whole}"));
        return;
    }
    put(out, format_args!("{sign}{whole}.{part:0digits$}"));
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Appends formatted text; a `Vec` takes everything.
pub fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// An object that is being written: puts the commas.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Goes on with an object that has members already.
    pub fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out, is_empty: false }
    }

    /// Writes the key; the value is to follow in the buffer.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A string member.
    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key), value);
        self
    }

    /// A number, `true` or `false`.
    pub fn plain(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        put(self.key(key), format_args!("{value}"));
        self
    }

    /// Microseconds as milliseconds.
    pub fn millis(&mut self, key: &str, micros: i64) -> &mut Self {
        millis(self.key(key), micros);
        self
    }

    /// A value that serde_json writes; what cannot be written becomes an empty object.
    pub fn value(&mut self, key: &str, value: &impl serde::Serialize) -> &mut Self {
        let out = self.key(key);
        let start = out.len();
        if serde_json::to_writer(&mut *out, value).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"{}");
        }
        self
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}

/// Appends an array; `each` writes one element.
pub fn array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    let mut is_first = true;
    for item in items {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        each(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_parses_back(text in "\\PC*", raw in proptest::collection::vec(0u8..0x80, 0..200), cut in 0usize..300) {
            for bytes in [text.as_bytes(), &raw, &[text.as_bytes(), &raw, text.as_bytes()].concat()] {
                let (head, tail) = bytes.split_at(cut.min(bytes.len()));
                let mut out = vec![b'"'];
                escape(&mut out, head);
                escape(&mut out, tail);
                out.push(b'"');
                let back: String = serde_json::from_slice(&out).unwrap();
                prop_assert_eq!(back.as_bytes(), bytes);
            }
        }

        #[test]
        fn the_first_special_byte_is_found(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let expected = bytes.iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len());
            prop_assert_eq!(clean_prefix(&bytes), expected);
        }
    }

    #[test]
    fn decimals_are_short_and_exact() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&|out| millis(out, 0)), "0");
        assert_eq!(text(&|out| millis(out, 12_345)), "12.345");
        assert_eq!(text(&|out| millis(out, 12_300)), "12.3");
        assert_eq!(text(&|out| millis(out, 5)), "0.005");
        assert_eq!(text(&|out| millis(out, -1500)), "-1.5");
        assert_eq!(text(&|out| epoch_seconds(out, Timestamp(1_795_393_527_880_618_999))), "1795393527.880618");
        assert_eq!(text(&|out| epoch_seconds(out, Timestamp(-1))), "-0.000001");
        assert_eq!(text(&|out| millis(out, i64::MIN)), "-9223372036854775.808");
    }
}
