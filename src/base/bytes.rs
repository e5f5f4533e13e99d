//! A cursor over bytes that never reads past the end.

/// The input ended before the field did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

/// Cursor over a byte slice; every read either advances past the whole field or leaves the cursor where it was.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes already read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not yet read, without reading them.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let taken = self.rest().get(..len).ok_or(Short)?;
        self.at += len;
        Ok(taken)
    }

    /// Skips `len` bytes.
    pub fn skip(&mut self, len: usize) -> Result<(), Short> {
        self.take(len).map(|_| ())
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let taken = self.rest().first_chunk::<N>().ok_or(Short)?;
        self.at += N;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, network order.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes, network order.
    pub fn u24(&mut self) -> Result<u32, Short> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, network order.
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, network order.
    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    /// A QUIC variable-length integer, 1 to 8 bytes ([RFC 9000 §16](https://www.rfc-editor.org/rfc/rfc9000#section-16)).
    ///
    /// ```text
    ///  0 1 2 3 4 5 6 7
    /// +-+-+-+-+-+-+-+-+
    /// |len|   value ...   length of the whole field = 1 << len
    /// +-+-+-+-+-+-+-+-+
    /// ```
    pub fn varint(&mut self) -> Result<u64, Short> {
        let first = *self.rest().first().ok_or(Short)?;
        let bytes = self.take(1 << (first >> 6))?;
        Ok(bytes[1..].iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(Short));
        assert_eq!(reader.u16(), Ok(0x0102));
        assert_eq!(reader.take(2), Err(Short));
        assert_eq!(reader.u8(), Ok(3));
        assert!(reader.is_empty());
    }

    /// The samples of RFC 9000 appendix A.1.
    #[test]
    fn varints_of_the_rfc() {
        let sample = |bytes: &[u8]| Reader::new(bytes).varint();
        assert_eq!(sample(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]), Ok(151_288_809_941_952_652));
        assert_eq!(sample(&[0x9d, 0x7f, 0x3e, 0x7d]), Ok(494_878_333));
        assert_eq!(sample(&[0x7b, 0xbd]), Ok(15_293));
        assert_eq!(sample(&[0x25]), Ok(37));
        assert_eq!(sample(&[0x40, 0x25]), Ok(37));
        assert_eq!(sample(&[0x7b]), Err(Short));
    }
}
