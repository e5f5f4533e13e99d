//! Frames of both directions become events of streams.

use super::frame::{self, Fragment, FrameHeader, HEADER_TABLE_SIZE, flag, kind};
use super::framer::{Framer, Piece};
use super::hpack::Decoder;
use super::stream::{Message, Progress, Stream, Wish};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Reader, Span, Stamp};
use crate::http::section::{Faults, Section, SectionLimits};
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, PushPromise, StreamId, StreamPriority, Upgrade, Version};
use crate::tcp::{Side, StreamEvent};
use std::collections::{BTreeMap, VecDeque};

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// SETTINGS_MAX_FRAME_SIZE (RFC 9113 §6.5.2).
const MAX_FRAME_SIZE: u16 = 5;

/// SETTINGS frames that wait for their acknowledgment; of more the oldest is forgotten.
const UNACKNOWLEDGED: usize = 16;

/// One HTTP/2 connection.
///
/// When an exchange is over before both its messages are, each message that has not ended is told as aborted, also a response
/// that had not begun.
#[derive(Debug)]
pub struct Connection {
    framers: [Framer; 2],
    core: Core,
}

/// Who is who: the sides as they come in, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Roles {
    Unknown,
    Straight,
    Flipped,
}

/// Everything above framing.
#[derive(Debug)]
struct Core {
    limits: SectionLimits,
    open_exchanges: usize,
    anomalies_kept: usize,
    roles: Roles,
    /// By side as it comes in.
    directions: [Direction; 2],
    /// Streams whose messages are not both over. Identifiers only rise, so that closed ones need no memory.
    streams: BTreeMap<u32, Stream>,
    lease: Lease,
    /// Highest stream of the client, and highest one the server promised.
    highest: [u32; 2],
    /// h2c: the HTTP/1.1 request that is stream 1.
    upgraded: Option<StreamId>,
    anomalies: Anomalies,
}

/// What belongs to the frames of one direction.
#[derive(Debug)]
struct Direction {
    decoder: Decoder,
    block: Option<Block>,
    /// Fragments of `block`.
    bytes: Vec<u8>,
    lease: Lease,
    /// Largest block that is kept.
    bound: usize,
    /// SETTINGS_HEADER_TABLE_SIZE of each SETTINGS frame of this side that the other side has not acknowledged.
    settings: VecDeque<Option<u32>>,
    /// SETTINGS_MAX_FRAME_SIZE that this side sent.
    max_frame: u32,
    /// True when frames of this direction are missing.
    has_lost: bool,
}

/// A header block of which fragments are outstanding.
#[derive(Debug, Clone, Copy)]
struct Block {
    stream: u32,
    promised: Option<u32>,
    priority: Option<StreamPriority>,
    is_end_stream: bool,
    span: Span,
    /// Octets of its frames.
    size: u64,
    /// False when bytes are missing: what is here is its start.
    is_whole: bool,
}

impl Connection {
    /// A connection of which nothing was seen.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            framers: [Framer::new(limits, budget), Framer::new(limits, budget)],
            core: Core {
                limits: limits.into(),
                open_exchanges: limits.open_exchanges.max(1),
                anomalies_kept: limits.anomalies_kept,
                roles: Roles::Unknown,
                directions: [Direction::new(limits, budget), Direction::new(limits, budget)],
                streams: BTreeMap::new(),
                lease: budget.lease(),
                highest: [0; 2],
                upgraded: None,
                anomalies: Anomalies::default(),
            },
        }
    }

    /// A connection that HTTP/1.1 turned into by `Upgrade: h2c` ([RFC 7540 §3.2](https://www.rfc-editor.org/rfc/rfc7540#section-3.2)),
    /// from the first byte behind the request and the 101 response.
    ///
    /// The request was announced by HTTP/1 as `exchange`, and has ended there; its response comes on stream 1 and is told here
    /// under the same name. (Should `exchange` be the number of another stream, then that one is called 1: names stay unique.)
    /// `settings` is the value of the HTTP2-Settings field.
    pub fn upgraded(limits: &Limits, budget: &Budget, exchange: StreamId, settings: Option<&[u8]>) -> Self {
        let mut connection = Self::new(limits, budget);
        let core = &mut connection.core;
        let mut stream = Stream::new(exchange);
        stream.messages[0].progress = Progress::Done;
        // Its method is not known here.
        stream.wish = Wish::Head;
        core.streams.insert(1, stream);
        core.highest[0] = 1;
        core.upgraded = Some(exchange);
        core.roles = Roles::Straight;
        if let Some(payload) = settings.and_then(|value| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(value).ok()) {
            core.settings(Side::Client, &payload);
            core.acknowledged(Side::Server);
        }
        connection
    }

    /// Takes the next event of one side.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>, out: Sink<'_>) {
        let Self { framers, core } = self;
        let [client, server] = framers;
        let (framer, other) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        match event {
            StreamEvent::Data(chunk) => framer.push(chunk, &mut |piece| core.piece(side, piece, out)),
            StreamEvent::Gap { len, stamp } => framer.gap(len, stamp, &mut |piece| core.piece(side, piece, out)),
            StreamEvent::Fin(stamp) => {
                framer.finish(&mut |piece| core.piece(side, piece, out));
                core.fin(side, stamp, out);
            }
            StreamEvent::Reset(stamp) => {
                framer.finish(&mut |piece| core.piece(side, piece, out));
                core.finish(Abort::Reset, stamp, out);
            }
        }
        other.allow(core.directions[side.index()].max_frame);
    }

    /// The connection is over, or no more of it will be looked at: every message that has not ended is aborted.
    pub fn finish(&mut self, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        for side in Side::BOTH {
            let core = &mut self.core;
            self.framers[side.index()].finish(&mut |piece| core.piece(side, piece, out));
        }
        self.core.finish(reason, stamp, out);
    }

    /// True when `Side::Client` of what was pushed is the server: told by the preface or by the heads, so that it may change
    /// from false to true until the first event. The sides of events are always the true ones.
    pub fn is_flipped(&self) -> bool {
        self.core.roles == Roles::Flipped
    }

    /// Faults that belong to no exchange.
    pub fn anomalies(&self) -> &Anomalies {
        &self.core.anomalies
    }
}

impl Direction {
    fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            decoder: Decoder::new(limits.header_table, budget),
            block: None,
            bytes: Vec::new(),
            lease: budget.lease(),
            bound: limits.head,
            settings: VecDeque::new(),
            max_frame: frame::DEFAULT_MAX_FRAME,
            has_lost: false,
        }
    }

    /// Adds a fragment; false when the block is larger than is kept.
    fn gather(&mut self, fragment: &[u8]) -> bool {
        if self.bytes.len() + fragment.len() > self.bound {
            return false;
        }
        self.bytes.extend_from_slice(fragment);
        self.lease.set(self.bytes.capacity());
        true
    }
}

impl Core {
    fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    /// The true role of a side that came in.
    fn role(&self, side: Side) -> Side {
        if self.roles == Roles::Flipped { side.other() } else { side }
    }

    /// Content says that `side` is `role`.
    fn settle(&mut self, side: Side, role: Side) {
        if self.roles == Roles::Unknown {
            self.roles = if side == role { Roles::Straight } else { Roles::Flipped };
        }
    }

    /// How the exchange on a stream is called.
    fn name(&self, stream: u32) -> StreamId {
        let own = StreamId(u64::from(stream));
        match self.upgraded {
            Some(exchange) if stream == 1 => exchange,
            Some(exchange) if own == exchange => StreamId(1),
            _ => own,
        }
    }

    fn piece(&mut self, side: Side, piece: Piece<'_>, out: Sink<'_>) {
        let direction = &self.directions[side.index()];
        // Between the frames of a header block stands nothing else (RFC 9113 §6.10).
        if let Some(block) = direction.block
            && !matches!(piece, Piece::Frame { header, .. } if header.kind == kind::CONTINUATION && header.stream == block.stream)
        {
            if !matches!(piece, Piece::Lost(_)) {
                self.note(AnomalyKind::FrameMalformed, block.span.last);
            }
            self.directions[side.index()].block = None;
            let bytes = std::mem::take(&mut self.directions[side.index()].bytes);
            self.decode(side, Block { is_whole: false, ..block }, &bytes, out);
            self.directions[side.index()].lease.set(0);
        }
        match piece {
            Piece::Preface => self.settle(side, Side::Client),
            Piece::Midway(stamp) => {
                self.note(AnomalyKind::StartMissing, stamp);
                self.lose(side);
            }
            Piece::Frame { header, payload, whole, span } => self.frame(side, header, payload, whole, span, out),
            Piece::Data { stream, chunk, framing } => {
                let role = self.role(side);
                let stamp = chunk.span.first;
                if let Some((id, message)) = self.content(role, stream, stamp, out) {
                    let len = chunk.data.len() as u64;
                    message.wire_size += framing + len;
                    message.content += len;
                    tell_lack(id, role, message, stamp, out);
                    out(HttpEvent { stream: id, kind: HttpEventKind::Body(role, chunk) });
                }
            }
            Piece::DataLost { stream, len, stamp, framing } => {
                let role = self.role(side);
                if let Some((id, message)) = self.content(role, stream, stamp, out) {
                    message.wire_size += framing + len;
                    message.content += len;
                    message.may_lack = false;
                    out(HttpEvent { stream: id, kind: HttpEventKind::Lost(role, len, stamp) });
                }
            }
            Piece::DataEnd { header, framing, span } => {
                let role = self.role(side);
                if let Some((_, message)) = self.content(role, header.stream, span.first, out) {
                    message.wire_size += framing;
                    if header.has(flag::END_STREAM) {
                        self.end(role, header.stream, span, out);
                    }
                }
            }
            Piece::Lost(stamp) => self.lose(side, stamp),
            Piece::Garbage(stamp) => {
                self.note(AnomalyKind::FrameMalformed, stamp);
                self.lose(side);
            }
        }
    }

    /// Frames of this side are missing.
    fn lose(&mut self, side: Side) {
        let role = self.role(side);
        for stream in self.streams.values_mut() {
            let message = &mut stream.messages[role.index()];
            message.is_torn = true;
            message.may_lack = message.progress == Progress::Body;
        }
        let direction = &mut self.directions[side.index()];
        direction.has_lost = true;
        direction.decoder.lose();
        direction.settings.clear();
        // SETTINGS may be missing that the other side acts on.
        self.directions[side.other().index()].decoder.allow_any();
    }

    /// The message that takes content of a DATA frame.
    fn content(&mut self, role: Side, id: u32, stamp: Stamp, out: Sink<'_>) -> Option<(StreamId, &mut Message)> {
        let stream = self.streams.get_mut(&id)?;
        let message = &mut stream.messages[role.index()];
        if message.progress == Progress::Body {
            return Some((stream.id, message));
        }
        // Content before the head or behind the end, where nothing is missing that would explain it.
        if !message.is_torn {
            message.is_torn = true;
            out(HttpEvent { stream: stream.id, kind: HttpEventKind::Anomaly(AnomalyKind::FrameMalformed, stamp) });
        }
        None
    }

    fn frame(&mut self, side: Side, header: FrameHeader, payload: &[u8], whole: bool, span: Span, out: Sink<'_>) {
        match header.kind {
            kind::HEADERS | kind::PUSH_PROMISE => self.headers(side, header, payload, whole, span, out),
            kind::CONTINUATION => self.continuation(side, header, payload, whole, span, out),
            kind::RST_STREAM => {
                let code = Reader::new(payload).u32().unwrap_or(0);
                self.reset(header.stream, u64::from(code), span.last, out);
            }
            kind::SETTINGS if !whole => {
                let other = side.other().index();
                self.directions[other].decoder.allow_any();
            }
            kind::SETTINGS if header.has(flag::ACK) => self.acknowledged(side),
            kind::SETTINGS => self.settings(side, payload),
            kind::GOAWAY => self.goaway(side, payload, span.last, out),
            _ => {}
        }
    }

    fn headers(&mut self, side: Side, header: FrameHeader, payload: &[u8], whole: bool, span: Span, out: Sink<'_>) {
        let parsed = Fragment::parse(header, payload, whole);
        if parsed.is_err() && whole {
            self.note(AnomalyKind::FrameMalformed, span.last);
        }
        let fragment = parsed.unwrap_or(Fragment { promised: None, priority: None, block: &[] });
        let block = Block {
            stream: header.stream,
            promised: fragment.promised,
            priority: fragment.priority,
            is_end_stream: header.kind == kind::HEADERS && header.has(flag::END_STREAM),
            span,
            size: header.size(),
            is_whole: whole && parsed.is_ok(),
        };
        if header.kind == kind::PUSH_PROMISE && fragment.promised.is_none() {
            self.directions[side.index()].decoder.lose();
            return;
        }
        if header.has(flag::END_HEADERS) {
            return self.decode(side, block, fragment.block, out);
        }
        let direction = &mut self.directions[side.index()];
        let is_kept = direction.gather(fragment.block);
        direction.block = Some(Block { is_whole: block.is_whole && is_kept, ..block });
    }

    fn continuation(
        &mut self,
        side: Side,
        header: FrameHeader,
        payload: &[u8],
        whole: bool,
        span: Span,
        out: Sink<'_>,
    ) {
        let direction = &mut self.directions[side.index()];
        let Some(block) = &mut direction.block else {
            // The start of the block is missing.
            direction.decoder.lose();
            if !direction.has_lost {
                self.note(AnomalyKind::FrameMalformed, span.last);
            }
            return;
        };
        block.span = block.span.join(span);
        block.size += header.size();
        let mut gathered = *block;
        // Fragments behind a hole are of no use: fields have no marks to find them by.
        let is_kept = !gathered.is_whole || direction.gather(payload);
        gathered.is_whole &= is_kept && whole;
        direction.block = Some(gathered);
        if header.has(flag::END_HEADERS) {
            direction.block = None;
            let bytes = std::mem::take(&mut direction.bytes);
            self.decode(side, gathered, &bytes, out);
            self.directions[side.index()].lease.set(0);
        }
    }

    /// A header block is complete, or as complete as it gets.
    fn decode(&mut self, side: Side, block: Block, bytes: &[u8], out: Sink<'_>) {
        let mut section = Section::new(&self.limits);
        let decoder = &mut self.directions[side.index()].decoder;
        let result = decoder.decode(bytes, &mut |field| section.push(field));
        if !block.is_whole {
            section.has_unknown = true;
        } else if result.is_err() {
            section.is_malformed = true;
        }
        if !block.is_whole || result.is_err() {
            decoder.lose();
        }
        if block.promised.is_some() {
            self.settle(side, Side::Server);
        } else if section.is_request() {
            self.settle(side, Side::Client);
        } else if section.status().is_some() {
            self.settle(side, Side::Server);
        }
        if let Some(promised) = block.promised {
            return self.promise(promised, block, section, out);
        }
        match self.role(side) {
            Side::Client => self.client_section(block, section, out),
            Side::Server => self.server_section(block, section, out),
        }
    }

    fn client_section(&mut self, block: Block, section: Section, out: Sink<'_>) {
        if self.streams.contains_key(&block.stream) {
            return self.trailers(Side::Client, block, section, out);
        }
        let [highest, _] = &mut self.highest;
        // A closed stream; or, in a capture that starts later, trailers of a request from before.
        if block.stream <= *highest || !section.is_request() && self.directions.iter().any(|it| it.has_lost) {
            return;
        }
        if block.stream.is_multiple_of(2) {
            return self.note(AnomalyKind::FrameMalformed, block.span.last);
        }
        *highest = block.stream;
        let (head, faults) = section.into_request(Version::Http2, block.span, block.size, block.priority);
        let mut stream = Stream::new(self.name(block.stream));
        stream.wish = match (head.method.as_slice(), head.protocol.as_deref()) {
            (b"CONNECT", None) => Wish::Upgrade(Upgrade::Tunnel),
            (b"CONNECT", Some(b"websocket")) => Wish::Upgrade(Upgrade::WebSocket),
            (b"CONNECT", Some(_)) => Wish::Upgrade(Upgrade::Other),
            (b"HEAD", _) => Wish::Head,
            _ => Wish::None,
        };
        let message = &mut stream.messages[Side::Client.index()];
        message.progress = Progress::Body;
        message.stated = stated_length(&head.headers);
        message.wire_size = block.size;
        let id = stream.id;
        self.insert(block.stream, stream, block.span.last, out);
        out(HttpEvent { stream: id, kind: HttpEventKind::Request(head) });
        tell_faults(id, faults, block.span.last, out);
        if block.is_end_stream {
            self.end(Side::Client, block.stream, block.span, out);
        }
    }

    fn server_section(&mut self, block: Block, section: Section, out: Sink<'_>) {
        let Some(stream) = self.streams.get_mut(&block.stream) else {
            // A closed stream, or one whose request was not seen.
            let is_closed = block.stream <= self.highest[usize::from(block.stream.is_multiple_of(2))];
            if !is_closed && section.status().is_some_and(|status| status >= 200) {
                self.note(AnomalyKind::ResponseWithoutRequest, block.span.first);
            }
            return;
        };
        let message = &mut stream.messages[Side::Server.index()];
        if message.progress != Progress::Idle {
            return self.trailers(Side::Server, block, section, out);
        }
        // Trailers of a response whose head is missing.
        if section.is_trailers() && message.is_torn {
            if block.is_end_stream {
                message.progress = Progress::Body;
                self.abort(block.stream, Side::Server, Abort::Lost, block.span.last, out);
            }
            return;
        }
        let id = stream.id;
        let (head, faults) = section.into_response(Version::Http2, block.span, block.size);
        let is_final = head.status >= 200 || head.status == 0 || block.is_end_stream;
        let mut upgrade = None;
        if is_final {
            message.progress = Progress::Body;
            message.wire_size = block.size;
            // Whatever is missing came before it.
            message.is_torn = false;
            match stream.wish {
                Wish::Upgrade(wish) if (200..300).contains(&head.status) => upgrade = Some(wish),
                Wish::Head => {}
                _ if matches!(head.status, 204 | 304) => {}
                _ => message.stated = stated_length(&head.headers),
            }
        }
        out(HttpEvent { stream: id, kind: HttpEventKind::Response(head) });
        tell_faults(id, faults, block.span.last, out);
        if let Some(upgrade) = upgrade {
            out(HttpEvent { stream: id, kind: HttpEventKind::Upgrade(upgrade) });
        }
        if block.is_end_stream {
            self.end(Side::Server, block.stream, block.span, out);
        }
    }

    fn trailers(&mut self, role: Side, block: Block, section: Section, out: Sink<'_>) {
        let stamp = block.span.last;
        let Some(stream) = self.streams.get_mut(&block.stream) else { return };
        let id = stream.id;
        let message = &mut stream.messages[role.index()];
        if message.progress == Progress::Done {
            return out(HttpEvent { stream: id, kind: HttpEventKind::Anomaly(AnomalyKind::FrameMalformed, stamp) });
        }
        message.wire_size += block.size;
        let (headers, faults) = section.into_trailers();
        // Nothing may follow trailers (RFC 9113 §8.1).
        let faults = Faults { is_malformed: faults.is_malformed || !block.is_end_stream, ..faults };
        tell_end_lack(id, role, message, block.span.first, out);
        out(HttpEvent { stream: id, kind: HttpEventKind::Trailers(role, headers) });
        tell_faults(id, faults, stamp, out);
        if block.is_end_stream {
            self.end(role, block.stream, block.span, out);
        }
    }

    fn promise(&mut self, promised: u32, block: Block, section: Section, out: Sink<'_>) {
        if !promised.is_multiple_of(2) || promised <= self.highest[1] {
            return self.note(AnomalyKind::FrameMalformed, block.span.last);
        }
        self.highest[1] = promised;
        let (head, faults) = section.into_request(Version::Http2, block.span, block.size, None);
        let mut stream = Stream::new(self.name(promised));
        if head.method == b"HEAD" {
            stream.wish = Wish::Head;
        }
        let message = &mut stream.messages[Side::Client.index()];
        message.progress = Progress::Body;
        message.wire_size = block.size;
        let id = stream.id;
        let parent = self.name(block.stream);
        self.insert(promised, stream, block.span.last, out);
        out(HttpEvent { stream: id, kind: HttpEventKind::Push(Box::new(PushPromise { parent, head: *head })) });
        tell_faults(id, faults, block.span.last, out);
        self.end(Side::Client, promised, block.span, out);
    }

    /// Opens a stream; the oldest one makes room.
    fn insert(&mut self, id: u32, stream: Stream, stamp: Stamp, out: Sink<'_>) {
        while self.streams.len() >= self.open_exchanges
            && let Some((_, oldest)) = self.streams.pop_first()
        {
            self.note(AnomalyKind::TooManyExchanges, stamp);
            abandon(oldest, Abort::Evicted, stamp, out);
        }
        self.streams.insert(id, stream);
        self.account();
    }

    /// A message is complete.
    fn end(&mut self, role: Side, id: u32, span: Span, out: Sink<'_>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let message = &mut stream.messages[role.index()];
        tell_end_lack(stream.id, role, message, span.last, out);
        if let Some(stated) = message.stated
            && stated != message.content
            && !message.is_torn
        {
            let kind = if message.content < stated { AnomalyKind::BodyCutShort } else { AnomalyKind::LengthConflict };
            out(HttpEvent { stream: stream.id, kind: HttpEventKind::Anomaly(kind, span.last) });
        }
        message.progress = Progress::Done;
        let wire_size = message.wire_size;
        out(HttpEvent { stream: stream.id, kind: HttpEventKind::End { side: role, span, wire_size } });
        // The end of the request is among what is missing; waiting for it would keep the exchange for ever.
        if role == Side::Server && stream.messages[0].is_torn {
            self.abort(id, Side::Client, Abort::Lost, span.last, out);
        }
        self.close(id);
    }

    /// A message will not become complete.
    fn abort(&mut self, id: u32, role: Side, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            abort(stream, role, reason, stamp, out);
            self.close(id);
        }
    }

    /// Forgets a stream that is over.
    fn close(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(Stream::is_done) {
            self.streams.remove(&id);
            self.account();
        }
    }

    fn reset(&mut self, id: u32, code: u64, stamp: Stamp, out: Sink<'_>) {
        if let Some(stream) = self.streams.remove(&id) {
            // NO_ERROR says that the rest of the request is not needed (RFC 9113 §8.1).
            if code != 0 {
                out(HttpEvent { stream: stream.id, kind: HttpEventKind::Anomaly(AnomalyKind::StreamError, stamp) });
            }
            abandon(stream, Abort::StreamReset(code), stamp, out);
            self.account();
        }
    }

    /// SETTINGS of one side: what the other side may do.
    fn settings(&mut self, side: Side, payload: &[u8]) {
        let mut table = None;
        let direction = &mut self.directions[side.index()];
        for (id, value) in frame::settings(payload) {
            match id {
                HEADER_TABLE_SIZE => table = Some(value),
                MAX_FRAME_SIZE => direction.max_frame = direction.max_frame.max(value),
                _ => {}
            }
        }
        if direction.settings.len() == UNACKNOWLEDGED {
            direction.settings.pop_front();
        }
        direction.settings.push_back(table);
    }

    /// A side acts on the oldest SETTINGS of the other.
    fn acknowledged(&mut self, side: Side) {
        let acknowledged = self.directions[side.other().index()].settings.pop_front();
        if let Some(Some(size)) = acknowledged {
            self.directions[side.index()].decoder.allow(size as usize);
        }
    }

    /// Streams above the last one named were not acted on and will not be (RFC 9113 §6.8).
    fn goaway(&mut self, side: Side, payload: &[u8], stamp: Stamp, out: Sink<'_>) {
        let mut reader = Reader::new(payload);
        let (Ok(last), Ok(code)) = (reader.u32(), reader.u32()) else { return };
        if code != 0 {
            self.note(AnomalyKind::StreamError, stamp);
        }
        if self.roles == Roles::Unknown {
            return;
        }
        let is_promised = self.role(side) == Side::Client;
        let from = (last & 0x7fff_ffff).saturating_add(1);
        let refused: Vec<u32> =
            self.streams.range(from..).map(|(&id, _)| id).filter(|id| id.is_multiple_of(2) == is_promised).collect();
        for id in refused {
            if let Some(stream) = self.streams.remove(&id) {
                abandon(stream, Abort::Closed, stamp, out);
            }
        }
        self.account();
    }

    /// One side sends no more.
    fn fin(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        let role = self.role(side);
        for stream in self.streams.values_mut() {
            abort(stream, role, Abort::Closed, stamp, out);
        }
        self.streams.retain(|_, stream| !stream.is_done());
        self.account();
    }

    fn finish(&mut self, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        while let Some((_, stream)) = self.streams.pop_first() {
            abandon(stream, reason, stamp, out);
        }
        self.account();
    }

    fn account(&mut self) {
        self.lease.set(self.streams.len() * (size_of::<Stream>() + 16));
    }
}

/// Aborts both messages as far as they have not ended.
fn abandon(mut stream: Stream, reason: Abort, stamp: Stamp, out: Sink<'_>) {
    for role in Side::BOTH {
        abort(&mut stream, role, reason, stamp, out);
    }
}

fn abort(stream: &mut Stream, role: Side, reason: Abort, stamp: Stamp, out: Sink<'_>) {
    let message = &mut stream.messages[role.index()];
    if message.progress == Progress::Done {
        return;
    }
    message.progress = Progress::Done;
    let is_told = matches!(reason, Abort::StreamReset(_) | Abort::Evicted);
    let reason = if message.is_torn && !is_told { Abort::Lost } else { reason };
    let wire_size = message.wire_size;
    out(HttpEvent { stream: stream.id, kind: HttpEventKind::Abort { side: role, reason, stamp, wire_size } });
}

/// Frames are missing since the last content: content may be.
fn tell_lack(id: StreamId, role: Side, message: &mut Message, stamp: Stamp, out: Sink<'_>) {
    if std::mem::take(&mut message.may_lack) {
        out(HttpEvent { stream: id, kind: HttpEventKind::Lost(role, 0, stamp) });
    }
}

/// The same at the end, where the stated length can say that nothing is missing.
fn tell_end_lack(id: StreamId, role: Side, message: &mut Message, stamp: Stamp, out: Sink<'_>) {
    if message.stated == Some(message.content) {
        message.may_lack = false;
    }
    tell_lack(id, role, message, stamp, out);
}

fn tell_faults(id: StreamId, faults: Faults, stamp: Stamp, out: Sink<'_>) {
    for kind in faults.kinds() {
        out(HttpEvent { stream: id, kind: HttpEventKind::Anomaly(kind, stamp) });
    }
}

fn stated_length(headers: &Headers) -> Option<u64> {
    std::str::from_utf8(headers.first("content-length")?).ok()?.parse().ok()
}
