//! WebSocket frames and messages ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)), with permessage-deflate
//! ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length      | 126: length, 16 bits          |
//! |I|S|S|S|       |A|             | 127: length, 64 bits          |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 32 bits, when MASK is set                        |
//! +---------------------------------------------------------------+
//! | payload …                                                     |
//! ```
//!
//! A hole inside a payload leaves the frames in step. Behind any other they go on with the next chunk that begins with frames that
//! fit, and what lies between is counted.

mod half;
mod header;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Limits, Span, Stamp};
use crate::tcp::Side;

use super::{Completeness, Headers};
use half::Half;

/// What the decoder hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketEvent<'a> {
    /// A message, or a control frame.
    Message(WebSocketMessage<'a>),
    /// A fault in the bytes of that side.
    Anomaly(Side, AnomalyKind, Stamp),
    /// So many bytes of that side are in the capture, but could not be told apart.
    Unread(Side, u64, Stamp),
}

/// A message, or a control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketMessage<'a> {
    /// Who sent it.
    pub side: Side,
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Content after unmasking and inflation; of a close, see [`close`].
    pub data: &'a [u8],
    /// Whether that is all of it.
    pub completeness: Completeness,
    /// The frame and time of its last byte.
    pub stamp: Stamp,
    /// Bytes on the wire: frame headers and payloads as sent.
    pub wire_size: u64,
}

/// Status code and reason of the data of a close frame (RFC 6455 §5.5.1).
pub fn close(data: &[u8]) -> Option<(u16, &[u8])> {
    let (code, reason) = data.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), reason))
}

/// Reads both sides of one WebSocket.
#[derive(Debug)]
pub struct Decoder {
    client: Half,
    server: Half,
}

impl Decoder {
    /// A decoder for what follows the 101 response with these fields.
    pub fn new(response: &Headers, limits: &Limits, budget: &Budget) -> Self {
        let deflate = Deflate::negotiated(response);
        Self {
            client: Half::new(Side::Client, deflate, limits, budget),
            server: Half::new(Side::Server, deflate, limits, budget),
        }
    }

    /// Takes in the next bytes of a side.
    pub fn push(&mut self, side: Side, data: &[u8], span: Span, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).push(data, span, out);
    }

    /// Passes over missing bytes of a side; 0 when their number is unknown.
    pub fn lose(&mut self, side: Side, len: u64, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).lose(len, out);
    }

    /// Nothing comes any more.
    pub fn finish(&mut self, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.client.finish(out);
        self.server.finish(out);
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// What was agreed on compression: whether each side forgets its window behind every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deflate {
    client_forgets: bool,
    server_forgets: bool,
}

impl Deflate {
    /// Of `Sec-WebSocket-Extensions`. The window sizes do not matter: a decoder with the largest reads all.
    fn negotiated(response: &Headers) -> Option<Self> {
        response.all("sec-websocket-extensions").flat_map(|value| value.split(|&byte| byte == b',')).find_map(|item| {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            if !parts.next()?.eq_ignore_ascii_case(b"permessage-deflate") {
                return None;
            }
            let mut deflate = Self { client_forgets: false, server_forgets: false };
            for part in parts {
                deflate.client_forgets |= part.eq_ignore_ascii_case(b"client_no_context_takeover");
                deflate.server_forgets |= part.eq_ignore_ascii_case(b"server_no_context_takeover");
            }
            Some(deflate)
        })
    }
}

#[cfg(test)]
mod tests;
