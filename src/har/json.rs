//! JSON written straight into a buffer.

mod escape;

use std::io::Write;

pub use escape::escape;
use escape::is_special;

use crate::base::Timestamp;

/// True when no byte needs an escape, and all are ASCII that is seen, or spaces.
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |is_plain, &byte| is_plain & (b' '..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\'))
}

/// True when `text` is a run of members of an object (RFC 8259 §4). Slow: for assertions only.
pub fn is_members(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(&[b"{", text, b"}"].concat()).is_ok()
}

/// Appends a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// Appends whole microseconds as milliseconds with at most 3 decimals.
pub fn millis(out: &mut Vec<u8>, micros: i64) {
    decimal::<3>(out, micros);
}

/// Appends a time as seconds since 1970 with at most 6 decimals.
pub fn epoch_seconds(out: &mut Vec<u8>, time: Timestamp) {
    decimal::<6>(out, time.0.div_euclid(1000));
}

/// Appends a number whose last digits stand behind the point, without zeros at its end.
fn decimal<const DIGITS: usize>(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let unit = const { 10u64.pow(DIGITS as u32) };
    let value = number.unsigned_abs();
    (value / unit).write(out);
    let rest = value % unit;
    if rest == 0 {
        return;
    }
    let mut digits = [0; DIGITS];
    put_digits(&mut digits, rest);
    let len = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
    out.push(b'.');
    out.extend_from_slice(digits.get(..len).unwrap_or_default());
}

/// Writes the last digits of a number, as many as there is room for.
#[inline]
pub fn put_digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A value that JSON writes without quotes.
pub trait Plain {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Plain for $number {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, usize, i32, i64, i128);

impl Plain for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// JSON that is ready, and no bytes of a capture.
impl Plain for &'static str {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
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

    /// Writes the key, which needs no escape; the value is to follow in the buffer.
    #[inline(always)]
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        debug_assert!(!key.bytes().any(is_special), "{key:?} stands in the file as it is");
        self.out.reserve(key.len() + 4);
        self.out.extend_from_slice(if self.is_empty { b"\"" } else { b",\"" });
        self.is_empty = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string member.
    #[inline(always)]
    pub fn string(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key), value);
        self
    }

    /// A string member of visible ASCII that needs no escape: a number or address as text.
    pub fn shown(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        put(self.key(key), format_args!("\"{value}\""));
        self
    }

    /// A string member with a number in it.
    pub fn quoted(&mut self, key: &str, value: impl Plain) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        value.write(out);
        out.push(b'"');
        self
    }

    /// A number, `true` or `false`, or JSON that is ready.
    #[inline(always)]
    pub fn plain(&mut self, key: &str, value: impl Plain) -> &mut Self {
        value.write(self.key(key));
        self
    }

    /// Microseconds as milliseconds.
    #[inline(always)]
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
