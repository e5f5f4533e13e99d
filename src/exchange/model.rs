//! What the exchange floor hands on: one request, its response, and what was inside them.

use crate::base::{Anomalies, Lease, Spool, Stamp, Stored};
use crate::http::{Abort, Completeness, Headers, RequestHead, ResponseHead, StreamId, Upgrade};
use crate::tcp::Side;

/// One request and what came back. Handed on once: when complete, aborted, evicted, or at the end of the capture.
#[derive(Debug)]
pub struct Exchange {
    /// Which exchange of its connection.
    pub stream: StreamId,
    /// Ordinal of the request on its connection, from 0.
    pub number: u32,
    /// The request.
    pub request: Request,
    /// The final response; `None` when none was seen.
    pub response: Option<Response>,
    /// Informational responses before it.
    pub informational: Vec<Informational>,
    /// What the connection became, for 101 and CONNECT.
    pub upgrade: Option<Upgrade>,
    /// True when the URL scheme must be `wss`/`https`: the connection, or the layer it came through, was TLS.
    pub secure: bool,
    /// Messages inside the bodies: WebSocket, server-sent events, gRPC.
    pub messages: Vec<StreamMessage>,
    /// Bytes of them, sent and received, that are in the capture but could not be read, mostly behind missing ones.
    pub unread: [u64; 2],
    /// The stream it was pushed on, when the server promised it.
    pub pushed_on: Option<StreamId>,
    /// Faults of this exchange.
    pub anomalies: Anomalies,
    /// What people wrote to the frames that carried it.
    pub comments: Vec<String>,
    /// True when a frame that carried part of it was selected by the user.
    pub selected: bool,
    /// Arrival of response content: time and wire bytes, joined to a bounded number of steps.
    pub arrivals: Vec<(Stamp, u64)>,
    /// Why no response came and when that was known, when none came.
    pub unanswered: Option<(Abort, Stamp)>,
    /// What heads and messages hold of the budget.
    pub leases: [Lease; 2],
}

impl Exchange {
    /// True when the exchange became a WebSocket or asked for one ([RFC 6455 §4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)),
    /// whatever the answer was.
    pub fn is_websocket(&self) -> bool {
        let fields = &self.request.head.headers;
        let asks = || fields.first("sec-websocket-key").is_some() && fields.has_token("upgrade", "websocket");
        self.upgrade == Some(Upgrade::WebSocket) || asks()
    }
}

/// One direction's way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Complete.
    Complete,
    /// Not complete, and why.
    Aborted(Abort),
}

/// The request of an exchange.
#[derive(Debug)]
pub struct Request {
    /// Start line and fields.
    pub head: Box<RequestHead>,
    /// Content.
    pub body: Body,
    /// Trailer fields.
    pub trailers: Headers,
    /// First byte of the request.
    pub start: Stamp,
    /// Last byte of the request so far.
    pub end: Stamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Every byte of it on the wire.
    pub wire_size: u64,
}

/// The final response of an exchange.
#[derive(Debug)]
pub struct Response {
    /// Status line and fields.
    pub head: Box<ResponseHead>,
    /// Content.
    pub body: Body,
    /// Trailer fields.
    pub trailers: Headers,
    /// First byte of the final response (not of an informational one).
    pub start: Stamp,
    /// Last byte of the response so far.
    pub end: Stamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Every byte of it on the wire.
    pub wire_size: u64,
}

/// An informational response (1xx other than 101).
#[derive(Debug, Clone)]
pub struct Informational {
    /// Status code.
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
    /// When it began.
    pub stamp: Stamp,
}

/// Content of a message, after content decoding.
#[derive(Debug)]
pub struct Body {
    /// Content bytes on the wire, coded, without transfer framing.
    pub wire_size: u64,
    /// Content bytes after content decoding, as far as they could be decoded.
    pub size: u64,
    /// Content bytes that are missing in the capture (wire bytes; 0 when none or unknown).
    pub lost: u64,
    /// True when bytes are missing.
    pub has_gap: bool,
    /// Whether the content is whole.
    pub end: BodyEnd,
    /// The decoded bytes.
    pub kept: Kept,
}

/// Why the kept bytes of a body may not be all of it. The first reason wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// They are all of it.
    Whole,
    /// The message ended early or bytes are missing; what came is kept.
    Cut,
    /// Larger than the limit: only counted.
    TooLarge,
    /// Grew beyond reason when decoded.
    Bomb,
    /// A content coding is not known: kept as coded. The name is kept as sent.
    CodingUnknown(String),
    /// The coded bytes are broken: kept as far as they decode.
    CodingBroken,
    /// The user did not want it.
    Dropped,
}

/// Decoded bytes: the start in the spool when they are many, the rest in memory.
#[derive(Debug)]
pub struct Kept {
    /// Parts in the spool, in order; they come first.
    pub spooled: Vec<Stored>,
    /// The last part.
    pub tail: Vec<u8>,
    /// What `tail` holds of the budget.
    pub lease: Lease,
}

impl Kept {
    /// Lets the last part of content that is in the spool follow it there.
    pub fn settle(&mut self, spool: &mut Spool) {
        if !self.spooled.is_empty() && !self.tail.is_empty() {
            self.spooled.push(spool.append(&self.tail));
            self.tail = Vec::new();
            self.lease.set(0);
        }
    }
}

/// A message inside the bodies of an exchange.
#[derive(Debug, Clone)]
pub struct StreamMessage {
    /// Who sent it.
    pub side: Side,
    /// The frame and time of its last byte.
    pub stamp: Stamp,
    /// Bytes on the wire, with framing.
    pub wire_size: u64,
    /// How much of its content is known.
    pub completeness: Completeness,
    /// What it is.
    pub kind: StreamMessageKind,
}

/// Kinds of messages inside bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamMessageKind {
    /// A WebSocket message or control frame (RFC 6455): 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    WebSocket {
        /// Opcode of the first frame.
        opcode: u8,
        /// Content after unmasking and inflation.
        data: Vec<u8>,
    },
    /// A server-sent event.
    Event {
        /// `event` field, `message` when absent.
        name: String,
        /// Last event id in force.
        id: String,
        /// `data` lines joined by LF.
        data: String,
    },
    /// A length-prefixed gRPC message.
    Grpc {
        /// Compressed flag of the prefix.
        compressed: bool,
        /// Content, decompressed when that was possible.
        data: Vec<u8>,
    },
}
