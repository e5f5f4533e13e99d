//! The chunked transfer coding ([RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)).

use crate::base::{Budget, Lease};

use super::reader::BlankLine;

/// What the next bytes of a chunked body are.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// `used` bytes of framing.
    Framing {
        /// How many bytes.
        used: usize,
    },
    /// `len` bytes of content.
    Content {
        /// How many bytes.
        len: usize,
    },
    /// `used` bytes of framing, and the body is over.
    End {
        /// How many bytes.
        used: usize,
    },
    /// The framing is broken at the first byte that was given.
    Malformed,
    /// The body is not chunked at all, though its head says so: nothing was read of it.
    NotChunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    BeforeSize,
    /// Behind the first digit.
    Size,
    /// Behind the digits; what comes up to the line end does not matter.
    Extension,
    /// In the content of a chunk.
    Content,
    /// Behind the content of a chunk.
    AfterContent,
    /// Behind the last chunk.
    Trailers,
}

/// Decoder of the chunked coding.
#[derive(Debug)]
pub struct Chunked {
    at: At,
    /// Size of the chunk while it is read, then what remains of it.
    left: u64,
    /// Bytes of extensions of this chunk.
    extension: usize,
    is_first: bool,
    trailers: Vec<u8>,
    lease: Lease,
    blank: BlankLine,
    limit: usize,
}

impl Chunked {
    /// A decoder at the first byte of the body; `limit` bounds extensions and trailers.
    pub fn new(limit: usize, budget: &Budget) -> Self {
        Self {
            at: At::BeforeSize,
            left: 0,
            extension: 0,
            is_first: true,
            trailers: Vec::new(),
            lease: budget.lease(),
            blank: BlankLine::default(),
            limit,
        }
    }

    /// Content bytes of this chunk that are still to come, when the place is inside one.
    pub fn left(&self) -> Option<u64> {
        (self.at == At::Content).then_some(self.left)
    }

    /// Passes over lost content, at most what is [`left`](Self::left).
    pub fn skip(&mut self, len: u64) {
        if let Some(left) = self.left() {
            self.advance(len.min(left));
        }
    }

    /// Field lines behind the last chunk, read so far.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Reads on; call it again with the bytes that were not used.
    pub fn read(&mut self, data: &[u8]) -> Piece {
        match self.at {
            At::Content => {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                self.advance(len as u64);
                Piece::Content { len }
            }
            At::Trailers => {
                let end = self.blank.find(data);
                let used = end.unwrap_or(data.len());
                if self.trailers.len() + used > self.limit {
                    return Piece::Malformed;
                }
                self.trailers.extend_from_slice(&data[..used]);
                self.lease.set(self.trailers.capacity());
                if end.is_some() { Piece::End { used } } else { Piece::Framing { used } }
            }
            _ => self.read_line(data),
        }
    }

    fn advance(&mut self, len: u64) {
        self.left -= len;
        if self.left == 0 {
            self.at = At::AfterContent;
        }
    }

    fn read_line(&mut self, data: &[u8]) -> Piece {
        for (index, &byte) in data.iter().enumerate() {
            match (self.at, byte) {
                (At::AfterContent, b'\r') => {}
                (At::AfterContent, b'\n') => self.at = At::BeforeSize,
                (At::BeforeSize, b' ' | b'\t' | b'\r' | b'\n') if self.extension < self.limit => self.extension += 1,
                (At::BeforeSize | At::Size, _) if byte.is_ascii_hexdigit() => {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    if self.left >> 60 != 0 {
                        return Piece::Malformed;
                    }
                    self.left = self.left << 4 | u64::from(digit);
                    self.at = At::Size;
                }
                (At::BeforeSize, _) if self.is_first && self.extension == 0 => return Piece::NotChunked,
                (At::Size | At::Extension, b'\n') => {
                    self.extension = 0;
                    self.is_first = false;
                    self.at = if self.left == 0 { At::Trailers } else { At::Content };
                    return Piece::Framing { used: index + 1 };
                }
                (At::Size | At::Extension, _) if self.extension < self.limit => {
                    self.extension += 1;
                    self.at = At::Extension;
                }
                _ => return Piece::Malformed,
            }
        }
        Piece::Framing { used: data.len() }
    }
}
