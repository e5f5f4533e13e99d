//! Integers with a prefix and string literals, as HPACK and QPACK write them.

use super::huffman;
use crate::base::Reader;
use std::borrow::Cow;

/// A field line or instruction that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodingError {
    /// The input ends inside it.
    Short,
    /// An integer beyond 62 bits.
    Integer,
    /// A Huffman coded string that is none.
    Huffman,
    /// A reference to an entry that is not there.
    Index,
    /// A dynamic table size beyond what the decoder's side allowed, or where none may stand.
    Capacity,
    /// A Required Insert Count or Base that cannot be.
    Prefix,
}

/// Reads an integer whose first byte leaves it the low `bits` bits ([RFC 7541 §5.1](https://www.rfc-editor.org/rfc/rfc7541#section-5.1)).
///
/// ```text
///   0   1   2   3   4   5   6   7
/// +---+---+---+---+---+---+---+---+
/// | ? | ? | ? | value, or all ones|
/// +---+---+---+-------------------+
/// | 1 |    low 7 bits of the rest |   and so on, until the first bit is 0
/// +---+---------------------------+
/// ```
pub fn integer(reader: &mut Reader<'_>, bits: u32) -> Result<u64, CodingError> {
    let mut ahead = *reader;
    let mask = (1u64 << bits) - 1;
    let mut value = u64::from(ahead.u8().map_err(|_| CodingError::Short)?) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let byte = ahead.u8().map_err(|_| CodingError::Short)?;
            // Nine groups of seven bits hold 62 bits and more; a tenth is padding or too much.
            if shift > 56 {
                return Err(CodingError::Integer);
            }
            value = value.saturating_add(u64::from(byte & 0x7f) << shift);
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        if value >= 1 << 62 {
            return Err(CodingError::Integer);
        }
    }
    *reader = ahead;
    Ok(value)
}

/// A string literal as it stands in the block.
#[derive(Debug, Clone, Copy)]
pub struct Literal<'a> {
    bytes: &'a [u8],
    is_coded: bool,
}

impl<'a> Literal<'a> {
    /// Reads a literal whose first byte leaves it a Huffman flag and the low `bits` bits of its length
    /// ([RFC 7541 §5.2](https://www.rfc-editor.org/rfc/rfc7541#section-5.2)).
    pub fn read(reader: &mut Reader<'a>, bits: u32) -> Result<Self, CodingError> {
        let mut ahead = *reader;
        let is_coded = ahead.rest().first().is_some_and(|byte| byte >> bits & 1 == 1);
        let length = usize::try_from(integer(&mut ahead, bits)?).map_err(|_| CodingError::Integer)?;
        let bytes = ahead.take(length).map_err(|_| CodingError::Short)?;
        *reader = ahead;
        Ok(Self { bytes, is_coded })
    }

    /// The octets; coded ones are decoded into `scratch`, replacing what it held.
    pub fn text<'s>(self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], CodingError>
    where
        'a: 's,
    {
        if !self.is_coded {
            return Ok(self.bytes);
        }
        scratch.clear();
        huffman::decode(self.bytes, scratch).map_err(|_| CodingError::Huffman)?;
        Ok(scratch)
    }

    /// The octets, in memory of their own when they are coded.
    pub fn into_text(self) -> Result<Cow<'a, [u8]>, CodingError> {
        if !self.is_coded {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut text = Vec::new();
        huffman::decode(self.bytes, &mut text).map_err(|_| CodingError::Huffman)?;
        Ok(Cow::Owned(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of RFC 7541 appendix C.1.
    #[test]
    fn integers_of_the_rfc() {
        let sample = |bytes: &[u8], bits| integer(&mut Reader::new(bytes), bits);
        assert_eq!(sample(&[0xea], 5), Ok(10));
        assert_eq!(sample(&[0x1f, 0x9a, 0x0a], 5), Ok(1337));
        assert_eq!(sample(&[0x2a], 8), Ok(42));
        assert_eq!(sample(&[0x1f, 0x9a], 5), Err(CodingError::Short));
        assert_eq!(
            sample(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 5),
            Err(CodingError::Integer)
        );
        assert_eq!(sample(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 7), Err(CodingError::Integer));
    }

    #[test]
    fn a_short_literal_moves_nothing() {
        let mut reader = Reader::new(&[0x03, b'a', b'b']);
        assert!(Literal::read(&mut reader, 7).is_err());
        assert_eq!(reader.position(), 0);
    }
}
