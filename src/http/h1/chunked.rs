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

/// True when a segment is made of whole chunks, as servers send them that write one part after another. Content seldom is.
fn are_chunks(segment: &[u8]) -> bool {
    // Digits that the largest chunk of a segment may have.
    const DIGITS: usize = 8;
    let mut rest = segment.strip_prefix(b"\r\n").unwrap_or(segment);
    while let Some(end) = memchr::memmem::find(rest.get(..64).unwrap_or(rest), b"\r\n") {
        let line = &rest[..end];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_size = (1..=DIGITS).contains(&digits) && matches!(line.get(digits), None | Some(b';' | b' '));
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(size) = size.filter(|_| is_size) else { return false };
        let behind = &rest[end + 2..];
        if size == 0 {
            return behind.starts_with(b"\r\n");
        }
        match behind.get(size..).and_then(|behind| behind.strip_prefix(b"\r\n")) {
            Some([]) => return true,
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    false
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
    /// Behind missing bytes.
    Lost,
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
    /// How far its sender had received the other side, when it sent what was read last.
    pub acked: u64,
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
            acked: 0,
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

    /// Bytes are missing, and the end of this chunk is among them.
    pub fn lose(&mut self) {
        self.at = At::Lost;
    }

    /// True while nothing was read behind missing bytes.
    pub fn is_lost(&self) -> bool {
        self.at == At::Lost
    }

    /// Goes on behind missing bytes that held the end of this chunk, when `segment` is made of whole chunks. That it belongs to the
    /// same body is for the caller to know.
    pub fn resume(&mut self, segment: &[u8]) -> bool {
        let is_made_of_chunks = are_chunks(segment);
        if is_made_of_chunks {
            self.left = 0;
            self.extension = 0;
            self.is_first = false;
            self.at = At::BeforeSize;
        }
        is_made_of_chunks
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
            At::Lost => Piece::Malformed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_goes_on_with_a_segment_of_whole_chunks() {
        for segment in [
            "5\r\nhello\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "\r\n1;x=y\r\na\r\n1\r\nb\r\n",
            "0\r\n\r\n",
            "00a\r\n0123456789\r\n",
        ] {
            let mut chunked = Chunked::new(1000, &Budget::new(1 << 20));
            chunked.lose();
            assert!(chunked.is_lost() && chunked.resume(segment.as_bytes()) && !chunked.is_lost(), "{segment:?}");
            let mut rest = segment.as_bytes();
            while !rest.is_empty() {
                match chunked.read(rest) {
                    Piece::Framing { used } | Piece::Content { len: used } | Piece::End { used } => {
                        rest = &rest[used..]
                    }
                    piece => panic!("{piece:?} of {segment:?}"),
                }
            }
        }
        let others = [
            "",
            "5",
            "5\r\nhell",
            "5\r\nhello",
            "5\r\nhello there\r\n",
            "data: 5\r\n",
            "\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "0\r\n",
        ];
        for segment in others {
            let mut chunked = Chunked::new(1000, &Budget::new(1 << 20));
            chunked.lose();
            assert!(!chunked.resume(segment.as_bytes()) && chunked.is_lost(), "{segment:?}");
        }
    }
}
