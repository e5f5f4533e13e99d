//! Frames of HTTP/2 ([RFC 9113 §4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).

use crate::base::Reader;
use crate::http::StreamPriority;

/// What every client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Octets of a frame header.
pub const HEADER_LEN: usize = 9;

/// SETTINGS_MAX_FRAME_SIZE before anybody sets it (RFC 9113 §6.5.2).
pub const DEFAULT_MAX_FRAME: u32 = 16_384;

/// Frame types (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the RFC")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    /// RFC 7838
    pub const ALTSVC: u8 = 10;
    /// RFC 8336
    pub const ORIGIN: u8 = 12;
    /// RFC 9218
    pub const PRIORITY_UPDATE: u8 = 16;
}

/// Flags (RFC 9113 §6).
pub mod flag {
    #![allow(missing_docs, reason = "the names are those of the RFC")]
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Header of a frame.
///
/// ```text
/// +-----------------------------------------------+
/// |                 Length (24)                   |
/// +---------------+---------------+---------------+
/// |   Type (8)    |   Flags (8)   |
/// +-+-------------+---------------+-------------------------------+
/// |R|                 Stream Identifier (31)                      |
/// +=+=============================================================+
/// |                   Frame Payload (0...)                      ...
/// +---------------------------------------------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Octets of the payload.
    pub length: u32,
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream, without the reserved bit.
    pub stream: u32,
}

impl FrameHeader {
    /// Reads the nine octets.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    /// True when this flag is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Octets of the frame.
    pub fn size(self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.length)
    }

    /// True when the frame breaks no rule that a peer must answer by closing the connection. A frame that does is more
    /// likely a sign that the place in the byte stream is wrong than the work of an endpoint.
    pub fn is_legal(self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => on_stream,
            kind::PUSH_PROMISE => on_stream && self.length >= 4,
            kind::PRIORITY => on_stream && self.length == 5,
            kind::RST_STREAM => on_stream && self.length == 4,
            kind::SETTINGS => !on_stream && self.length.is_multiple_of(6) && (!self.has(flag::ACK) || self.length == 0),
            kind::PING => !on_stream && self.length == 8,
            kind::GOAWAY => !on_stream && self.length >= 8,
            kind::WINDOW_UPDATE => self.length == 4,
            _ => true,
        }
    }

    /// True when the nine octets look like a frame header even where nothing says that one stands here: a type that is
    /// sent in practice, no flag the type does not have, a common length, a stream the sender could use by now.
    pub fn is_plausible(bytes: &[u8; HEADER_LEN], highest_stream: u32) -> bool {
        let header = Self::parse(bytes);
        let flags = match header.kind {
            kind::DATA => flag::END_STREAM | flag::PADDED,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
            kind::PUSH_PROMISE => flag::END_HEADERS | flag::PADDED,
            kind::CONTINUATION => flag::END_HEADERS,
            kind::SETTINGS | kind::PING => flag::ACK,
            kind::PRIORITY | kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => 0,
            kind::ALTSVC | kind::ORIGIN | kind::PRIORITY_UPDATE => 0,
            _ => return false,
        };
        let is_empty =
            header.length == 0 && matches!(header.kind, kind::HEADERS | kind::ALTSVC | kind::PRIORITY_UPDATE);
        // Where no stream is known yet, long-lived connections are still far from the end of the 31 bits.
        let highest_stream = if highest_stream == 0 { 1 << 26 } else { highest_stream };
        let in_range = header.stream <= highest_stream.saturating_add(20_000);
        let reserved = bytes.get(5).is_some_and(|byte| byte & 0x80 != 0);
        header.flags & !flags == 0
            && header.length <= DEFAULT_MAX_FRAME
            && !is_empty
            && !reserved
            && in_range
            && header.is_legal()
    }
}

/// A payload that does not hold what its type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Payload of HEADERS or PUSH_PROMISE without what surrounds the header block fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// PUSH_PROMISE: the promised stream.
    pub promised: Option<u32>,
    /// HEADERS: its priority fields (RFC 7540 §6.2).
    pub priority: Option<StreamPriority>,
    /// The fragment.
    pub block: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Takes a payload apart. Of a payload that is not `whole` the start is at hand, and the padding may not be.
    ///
    /// ```text
    /// [Pad Length (8)]  [E (1) Dependency (31) Weight (8)]  [R (1) Promised Stream (31)]  Fragment  [Padding]
    /// ```
    pub fn parse(header: FrameHeader, payload: &'a [u8], whole: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let padding = if header.has(flag::PADDED) { reader.u8().map_err(|_| Malformed)? } else { 0 };
        let priority = if header.kind == kind::HEADERS && header.has(flag::PRIORITY) {
            let dependency = reader.u32().map_err(|_| Malformed)?;
            let weight = u16::from(reader.u8().map_err(|_| Malformed)?) + 1;
            Some(StreamPriority { weight, dependency: dependency & 0x7fff_ffff, exclusive: dependency >> 31 == 1 })
        } else {
            None
        };
        let promised = if header.kind == kind::PUSH_PROMISE {
            Some(reader.u32().map_err(|_| Malformed)? & 0x7fff_ffff)
        } else {
            None
        };
        // Counted from the end of the whole payload, of which some may be missing here.
        let missing = if whole { 0 } else { (header.length as usize).saturating_sub(payload.len()) };
        let padding = usize::from(padding);
        if padding > reader.remaining() + missing {
            return Err(Malformed);
        }
        let keep = (reader.remaining() + missing - padding).min(reader.remaining());
        let block = reader.take(keep).map_err(|_| Malformed)?;
        Ok(Self { promised, priority, block })
    }
}

/// Identifiers and values of a SETTINGS payload, or of a decoded HTTP2-Settings field.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.chunks_exact(6).filter_map(|setting| {
        let mut reader = Reader::new(setting);
        Some((reader.u16().ok()?, reader.u32().ok()?))
    })
}

/// SETTINGS_HEADER_TABLE_SIZE (RFC 9113 §6.5.2).
pub const HEADER_TABLE_SIZE: u16 = 1;
