//! What HTTP hands on, the same for versions 0.9 to 3.

use crate::base::anomaly::AnomalyKind;
use crate::base::{Span, Stamp};
use crate::tcp::{Chunk, Side};

/// One exchange on a connection: the ordinal of the request in HTTP/1 (from 0), the stream identifier in HTTP/2 and HTTP/3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId(pub u64);

/// Protocol version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/0.9: a request line without version, an answer without head.
    Http09,
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
    /// HTTP/3
    Http3,
}

/// Header or trailer fields in wire order, in two allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    /// End of the name and end of the value in `bytes`, for each field.
    ends: Vec<(u32, u32)>,
}

impl Headers {
    /// Room for `fields` fields of `bytes` bytes together.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(fields) }
    }

    /// Appends a field; bytes as on the wire, without surrounding white space.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len() as u32));
    }

    /// Name and value of each field.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let field = (&self.bytes[start..name_end as usize], &self.bytes[name_end as usize..value_end as usize]);
            start = value_end as usize;
            field
        })
    }

    /// Value of the first field of that name, in any case.
    #[inline]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let mut start = 0;
        self.ends.iter().find_map(|&ends| self.value_if(name, std::mem::replace(&mut start, ends.1), ends))
    }

    /// Values of all fields of that name, in any case.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&ends| self.value_if(name, std::mem::replace(&mut start, ends.1), ends))
    }

    /// The value of the field between these offsets, if its name is that one. Most names differ in their length already.
    #[inline]
    fn value_if(&self, name: &str, start: u32, (name_end, value_end): (u32, u32)) -> Option<&[u8]> {
        if (name_end - start) as usize != name.len() {
            return None;
        }
        let field = self.bytes.get(start as usize..name_end as usize)?;
        let is_it = field.eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| self.bytes.get(name_end as usize..value_end as usize).unwrap_or_default())
    }

    /// True when a comma-separated list field of that name holds `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is no field.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8
    }
}

/// Priority signals of RFC 7540 §5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPriority {
    /// 1 to 256.
    pub weight: u16,
    /// Stream that this one depends on.
    pub dependency: u32,
    /// Exclusive flag.
    pub exclusive: bool,
}

/// Start of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Method as sent.
    pub method: Vec<u8>,
    /// Request target as sent (RFC 9112 §3.2); `:path` in HTTP/2 and HTTP/3, empty there for CONNECT.
    pub target: Vec<u8>,
    /// Version.
    pub version: Version,
    /// `:scheme`, when sent.
    pub scheme: Option<Vec<u8>>,
    /// `:authority`, when sent. HTTP/1 leaves it to the Host field and the target.
    pub authority: Option<Vec<u8>>,
    /// `:protocol` of an extended CONNECT (RFC 8441).
    pub protocol: Option<Vec<u8>>,
    /// Fields without the pseudo header fields.
    pub headers: Headers,
    /// Frames of the head.
    pub span: Span,
    /// Bytes on the wire: start line to blank line in HTTP/1, header block frames in HTTP/2 and HTTP/3.
    pub size: u64,
    /// Priority that came with the head, in HTTP/2.
    pub priority: Option<StreamPriority>,
}

/// Start of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code; below 200 and not 101 is informational, another head follows.
    pub status: u16,
    /// Reason phrase as sent; empty in HTTP/2 and HTTP/3.
    pub reason: Vec<u8>,
    /// Version.
    pub version: Version,
    /// Fields without the pseudo header fields.
    pub headers: Headers,
    /// Frames of the head.
    pub span: Span,
    /// Bytes on the wire, as in [`RequestHead::size`].
    pub size: u64,
}

/// A request that the server announced itself (RFC 9113 §8.4, RFC 9114 §4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPromise {
    /// The stream it was promised on.
    pub parent: StreamId,
    /// The promised request.
    pub head: RequestHead,
}

/// What the bytes after a head are from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upgrade {
    /// WebSocket frames (RFC 6455); they follow as [`HttpEventKind::Body`] of both sides.
    WebSocket,
    /// A tunnel made by CONNECT; its bytes follow as [`HttpEventKind::Body`] of both sides.
    Tunnel,
    /// HTTP/2 (`h2c`); the final response follows on the same exchange, other exchanges under their own names.
    Http2,
    /// Another protocol, named in the Upgrade field; its bytes follow as [`HttpEventKind::Body`] of both sides.
    Other,
}

/// Why a message did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abort {
    /// The connection was reset.
    Reset,
    /// The connection ended before the message did.
    Closed,
    /// RST_STREAM, RESET_STREAM or STOP_SENDING with this error code.
    StreamReset(u64),
    /// Messages could not be told apart any more.
    Malformed,
    /// Bytes are missing and the rest of the message could not be found.
    Lost,
    /// State was given up because memory ran out.
    Evicted,
    /// The capture ended first.
    CaptureEnd,
}

/// How much of a message inside a body (WebSocket, gRPC) is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Completeness {
    /// All of it.
    #[default]
    Whole,
    /// Bytes of it are missing in the capture: what came before them is known, and what it is.
    Cut,
    /// It is compressed with reference to bytes that were lost: only what it is and its size are known.
    Undecodable,
}

/// One event of one exchange.
#[derive(Debug)]
pub struct HttpEvent<'a> {
    /// Which exchange of the connection.
    pub stream: StreamId,
    /// What happened.
    pub kind: HttpEventKind<'a>,
}

/// What happened in an exchange. `Side::Client` speaks of the request, `Side::Server` of the response.
///
/// Order within one stream: `Request` first (always there: a response whose request is missing is an anomaly, not an event);
/// `Response` any number of times, the last one final; bodies after their head, or after `Upgrade` where the response was lost. `End` or `Abort` once for each side that was begun,
/// and `Abort` for a response that is known not to come; nothing of that side follows them.
#[derive(Debug)]
pub enum HttpEventKind<'a> {
    /// Start of the request.
    Request(Box<RequestHead>),
    /// Start of a response, informational or final.
    Response(Box<ResponseHead>),
    /// The server promised this exchange; stands in the place of `Request`.
    Push(Box<PushPromise>),
    /// Content bytes without transfer framing.
    Body(Side, Chunk<'a>),
    /// Content bytes that are not in the capture; 0 when their number is unknown. Of the server before its `Response` they are those
    /// of a response that was lost.
    Lost(Side, u64, Stamp),
    /// Trailer fields.
    Trailers(Side, Headers),
    /// What the bytes of both sides are from now on; the exchange stays open until both sides end.
    Upgrade(Upgrade),
    /// The message is complete.
    End {
        /// Which message.
        side: Side,
        /// Frames of its last byte.
        span: Span,
        /// Every byte of the message on the wire: head, framing, content, trailers.
        wire_size: u64,
    },
    /// The message will not become complete.
    Abort {
        /// Which message.
        side: Side,
        /// Why.
        reason: Abort,
        /// When that was known.
        stamp: Stamp,
        /// Every byte of the message on the wire so far.
        wire_size: u64,
    },
    /// A fault that belongs to this exchange.
    Anomaly(AnomalyKind, Stamp),
}
