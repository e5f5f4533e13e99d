//! What any byte stream hands on, be it TCP, the plaintext of TLS, or a QUIC stream.

use crate::base::{Span, Stamp, Timestamp};

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end that opened the connection, as far as is known.
    Client,
    /// The end that was connected to.
    Server,
}

impl Side {
    /// Both, client first.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The other end.
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// 0 for the client, 1 for the server.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Where bytes lie between the two directions of a TCP connection: what was said first, and what was said in answer to what.
///
/// Both numbers count bytes of TCP, also where the bytes themselves are plaintext of TLS or content of a tunnel. A stream whose
/// start is not in the capture begins at an offset that leaves room for what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Offset of the first byte, or of the record that carried it, in its sender's stream.
    pub sent: u64,
    /// End of the other side's stream as the sender knew it then: what the segment acknowledged. 0 when that is unknown.
    pub acked: u64,
}

impl Position {
    /// The position `bytes` further on in the same segment or record.
    #[must_use]
    pub fn after(self, bytes: usize) -> Self {
        Self { sent: self.sent.saturating_add(bytes as u64), ..self }
    }
}

/// Bytes in stream order with the frames they came from.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// Where they came from. Times never run backwards within one side: bytes that waited behind a hole carry the time at
    /// which the hole was filled, for only then could the receiver read them.
    pub span: Span,
    /// Offset of the first byte in its direction of the stream, counting lost bytes.
    pub offset: u64,
    /// Where they lie between both directions of their TCP connection; all zeros in a stream of QUIC, which needs none.
    pub position: Position,
}

impl<'a> Chunk<'a> {
    /// The chunk without its first `len` bytes; empty when it has no more.
    #[must_use]
    pub fn from(self, len: usize) -> Self {
        Self {
            data: self.data.get(len..).unwrap_or_default(),
            offset: self.offset.saturating_add(len as u64),
            position: self.position.after(len),
            ..self
        }
    }

    /// The first `len` bytes of the chunk.
    #[must_use]
    pub fn up_to(self, len: usize) -> Self {
        Self { data: self.data.get(..len).unwrap_or(self.data), ..self }
    }
}

/// What happened in one direction of a stream; the side that sent it is told beside it.
#[derive(Debug, Clone, Copy)]
pub enum StreamEvent<'a> {
    /// The next bytes.
    Data(Chunk<'a>),
    /// Bytes that are not in the capture; what follows comes after them.
    Gap {
        /// How many; 0 when that is unknown.
        len: u64,
        /// Where the loss was found.
        stamp: Stamp,
    },
    /// The sender sends no more.
    Fin(Stamp),
    /// The connection was torn down; both directions are over.
    Reset(Stamp),
}

impl StreamEvent<'_> {
    /// When it happened, or began to.
    #[inline]
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Data(chunk) => chunk.span.first.time,
            Self::Gap { stamp, .. } | Self::Fin(stamp) | Self::Reset(stamp) => stamp.time,
        }
    }
}
