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
