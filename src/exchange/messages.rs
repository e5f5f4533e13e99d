//! Messages inside bodies, whatever version of HTTP carries them: WebSocket, server-sent events, gRPC.

use super::model::{StreamMessage, StreamMessageKind};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Span, Stamp};
use crate::http::grpc::{self, GrpcEvent};
use crate::http::sse::{self, SseItem};
use crate::http::websocket::{self, WebSocketEvent};
use crate::http::{Completeness, Headers, RequestHead, ResponseHead};
use crate::tcp::Side;

/// Reads the messages of one exchange.
pub(super) struct Interpreter {
    format: Format,
    messages: Messages,
}

/// What the bodies are made of.
enum Format {
    /// Nothing that is looked into.
    Plain,
    WebSocket(Box<websocket::Decoder>),
    Events(Box<sse::Parser>),
    Grpc {
        request: Option<Box<grpc::Decoder>>,
        response: Option<Box<grpc::Decoder>>,
    },
}

/// The messages so far, within bounds.
struct Messages {
    list: Vec<StreamMessage>,
    /// Trailer fields that came inside a body (gRPC-Web).
    trailers: Headers,
    bytes: usize,
    lease: Lease,
    anomalies: Anomalies,
    /// Bytes of each side that were not read.
    unread: [u64; 2],
    most: usize,
    most_bytes: u64,
    anomalies_kept: usize,
}

impl Messages {
    fn add(&mut self, side: Side, stamp: Stamp, wire_size: u64, completeness: Completeness, kind: StreamMessageKind) {
        let len = match &kind {
            StreamMessageKind::WebSocket { data, .. } | StreamMessageKind::Grpc { data, .. } => data.capacity(),
            StreamMessageKind::Event { name, id, data } => name.capacity() + id.capacity() + data.capacity(),
        };
        if self.list.len() >= self.most || (self.bytes + len) as u64 > self.most_bytes {
            return self.fault(AnomalyKind::TooManyMessages, stamp);
        }
        self.bytes += len;
        self.list.push(StreamMessage { side, stamp, wire_size, completeness, kind });
        self.lease.set(self.bytes + self.list.capacity() * size_of::<StreamMessage>());
    }

    fn fault(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    /// Bytes that belong to no message.
    fn pass_over(&mut self, side: Side, bytes: u64, stamp: Stamp) {
        if let Some(unread) = self.unread.get_mut(side.index()) {
            *unread = unread.saturating_add(bytes);
        }
        self.fault(AnomalyKind::MessagesUnread, stamp);
    }

    fn websocket(&mut self, event: WebSocketEvent<'_>) {
        match event {
            WebSocketEvent::Message(message) => {
                let kind = StreamMessageKind::WebSocket { opcode: message.opcode, data: message.data.to_vec() };
                self.add(message.side, message.stamp, message.wire_size, message.completeness, kind);
            }
            WebSocketEvent::Anomaly(_, kind, stamp) => self.fault(kind, stamp),
            WebSocketEvent::Unread(side, bytes, stamp) => self.pass_over(side, bytes, stamp),
        }
    }

    fn event(&mut self, item: SseItem<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match item {
            SseItem::Event(event) => {
                let kind =
                    StreamMessageKind::Event { name: text(event.name), id: text(event.id), data: text(event.data) };
                self.add(Side::Server, event.stamp, event.wire_size, Completeness::Whole, kind);
            }
            SseItem::Anomaly(kind, stamp) => self.fault(kind, stamp),
            SseItem::Unread(bytes, stamp) => self.pass_over(Side::Server, bytes, stamp),
        }
    }

    fn grpc(&mut self, side: Side, event: GrpcEvent<'_>) {
        match event {
            GrpcEvent::Message(message) => {
                let kind = StreamMessageKind::Grpc { compressed: message.compressed, data: message.data.to_vec() };
                self.add(side, message.stamp, message.wire_size, message.completeness, kind);
            }
            GrpcEvent::Trailers(trailers) => self.trailers = trailers,
            GrpcEvent::Anomaly(kind, stamp) => self.fault(kind, stamp),
            GrpcEvent::Unread(bytes, stamp) => self.pass_over(side, bytes, stamp),
        }
    }
}

/// What an interpreter leaves behind.
pub(super) struct Found {
    pub(super) messages: Vec<StreamMessage>,
    /// Trailer fields that came inside the response body.
    pub(super) trailers: Headers,
    pub(super) anomalies: Anomalies,
    /// Bytes of each side that were not read.
    pub(super) unread: [u64; 2],
    /// What the messages hold of the budget.
    pub(super) lease: Lease,
}

impl Interpreter {
    /// Of a request whose fields say what its body is.
    pub(super) fn for_request(head: &RequestHead, limits: &Limits, budget: &Budget) -> Self {
        let messages = Messages {
            list: Vec::new(),
            trailers: Headers::default(),
            bytes: 0,
            lease: budget.lease(),
            anomalies: Anomalies::default(),
            unread: [0; 2],
            most: limits.messages,
            most_bytes: limits.body.min(limits.memory as u64 / 4),
            anomalies_kept: limits.anomalies_kept,
        };
        let format = match grpc::Decoder::new(&head.headers, limits, budget) {
            Some(decoder) => Format::Grpc { request: Some(Box::new(decoder)), response: None },
            None => Format::Plain,
        };
        Self { format, messages }
    }

    /// The final response came: its fields say what its body is.
    pub(super) fn answered(&mut self, response: &ResponseHead, limits: &Limits, budget: &Budget) {
        if let Some(decoder) = grpc::Decoder::new(&response.headers, limits, budget) {
            let decoder = Some(Box::new(decoder));
            match &mut self.format {
                Format::Grpc { response, .. } => *response = decoder,
                format => *format = Format::Grpc { request: None, response: decoder },
            }
        } else if is_event_stream(&response.headers) {
            self.format = Format::Events(Box::new(sse::Parser::new(limits, budget)));
        }
    }

    /// The connection became a WebSocket.
    pub(super) fn become_websocket(&mut self, response: &ResponseHead, limits: &Limits, budget: &Budget) {
        self.format = Format::WebSocket(Box::new(websocket::Decoder::new(&response.headers, limits, budget)));
    }

    /// True when it looks into the content of that side.
    pub(super) fn reads(&self, side: Side) -> bool {
        match &self.format {
            Format::Plain => false,
            Format::WebSocket(_) => true,
            Format::Events(_) => side == Side::Server,
            Format::Grpc { request, response } => match side {
                Side::Client => request.is_some(),
                Side::Server => response.is_some(),
            },
        }
    }

    /// The next content bytes, decoded.
    pub(super) fn push(&mut self, side: Side, bytes: &[u8], span: Span) {
        let Self { format, messages } = self;
        match (format, side) {
            (Format::WebSocket(decoder), _) => decoder.push(side, bytes, span, &mut |event| messages.websocket(event)),
            (Format::Events(parser), Side::Server) => parser.push(bytes, span, &mut |item| messages.event(item)),
            (Format::Grpc { request: Some(decoder), .. }, Side::Client)
            | (Format::Grpc { response: Some(decoder), .. }, Side::Server) => {
                decoder.push(bytes, span, &mut |event| messages.grpc(side, event));
            }
            _ => {}
        }
    }

    /// Content bytes that could not be decoded.
    pub(super) fn pass_over(&mut self, side: Side, bytes: u64, stamp: Stamp) {
        self.messages.pass_over(side, bytes, stamp);
    }

    /// Content bytes are missing.
    pub(super) fn lose(&mut self, side: Side, len: u64) {
        let Self { format, messages } = self;
        match (format, side) {
            (Format::WebSocket(decoder), _) => decoder.lose(side, len, &mut |event| messages.websocket(event)),
            (Format::Events(parser), Side::Server) => parser.lose(),
            (Format::Grpc { request: Some(decoder), .. }, Side::Client)
            | (Format::Grpc { response: Some(decoder), .. }, Side::Server) => {
                decoder.lose(len, &mut |event| messages.grpc(side, event));
            }
            _ => {}
        }
    }

    /// The exchange is over.
    pub(super) fn finish(mut self) -> Found {
        let messages = &mut self.messages;
        match &mut self.format {
            Format::Plain => {}
            Format::WebSocket(decoder) => decoder.finish(&mut |event| messages.websocket(event)),
            Format::Events(parser) => parser.finish(&mut |item| messages.event(item)),
            Format::Grpc { request, response } => {
                for (side, decoder) in [(Side::Client, request), (Side::Server, response)] {
                    if let Some(decoder) = decoder {
                        decoder.finish(&mut |event| messages.grpc(side, event));
                    }
                }
            }
        }
        let Messages { mut list, trailers, anomalies, unread, lease, .. } = self.messages;
        // Behind a hole messages may have waited for what follows them.
        if !list.is_sorted_by_key(|message| (message.stamp.time, message.stamp.frame)) {
            list.sort_by_key(|message| (message.stamp.time, message.stamp.frame));
        }
        Found { messages: list, trailers, anomalies, unread, lease }
    }
}

fn is_event_stream(headers: &Headers) -> bool {
    let value = headers.first("content-type").unwrap_or_default();
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"text/event-stream")
}
