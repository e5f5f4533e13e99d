//! Frames of both directions become events of streams.

use super::frame::{self, FrameHeader, HEADER_LEN, HEADER_TABLE_SIZE, flag, kind};
use super::framer::{Framer, Piece};
use super::hpack::Decoder;
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Reader, Span, Stamp, Timestamp};
use crate::http::section::{Authorities, SectionLimits};
use crate::http::stream::{Progress, Stream};
use crate::http::{Abort, HttpEvent, StreamId, StreamPriority};
use crate::tcp::{Side, StreamEvent};
use std::collections::{BTreeMap, VecDeque};

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// SETTINGS_MAX_FRAME_SIZE (RFC 9113 §6.5.2).
const MAX_FRAME_SIZE: u16 = 5;

/// Octets of SETTINGS that set something.
const SETTINGS_LEN: u64 = HEADER_LEN as u64 + 6;

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
pub(super) enum Roles {
    Unknown,
    Straight,
    Flipped,
}

/// Everything above framing.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) limits: SectionLimits,
    pub(super) open_exchanges: usize,
    pub(super) anomalies_kept: usize,
    pub(super) roles: Roles,
    /// By side as it comes in.
    pub(super) directions: [Direction; 2],
    /// Streams whose messages are not both over. Identifiers only rise, so that closed ones need no memory.
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) lease: Lease,
    /// Highest stream of the client, and highest one the server promised.
    pub(super) highest: [u32; 2],
    /// Authorities that requests named.
    pub(super) authorities: Authorities,
    /// h2c: the HTTP/1.1 request that is stream 1.
    pub(super) upgraded: Option<StreamId>,
    pub(super) anomalies: Anomalies,
}

/// What belongs to the frames of one direction.
#[derive(Debug)]
pub(super) struct Direction {
    pub(super) decoder: Decoder,
    pub(super) block: Option<Block>,
    /// Fragments of `block`.
    pub(super) bytes: Vec<u8>,
    pub(super) lease: Lease,
    /// Largest block that is kept.
    pub(super) bound: usize,
    /// SETTINGS_HEADER_TABLE_SIZE of each SETTINGS frame of this side that the other side has not acknowledged.
    pub(super) settings: VecDeque<Option<u32>>,
    /// SETTINGS_MAX_FRAME_SIZE that this side sent.
    pub(super) max_frame: u32,
    /// True when frames of this direction are missing.
    pub(super) has_lost: bool,
    /// True when messages of this direction end with trailers.
    pub(super) has_trailers: bool,
    /// What is missing since the last header block.
    pub(super) missing: Option<Missing>,
}

/// Frames that are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    /// Octets of them, when that is known.
    pub(super) room: Option<u64>,
    /// What header blocks may be among them.
    pub(super) chance: Chance,
}

/// Header blocks that may be among what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Chance {
    /// None.
    #[default]
    Nothing,
    /// Trailers, on a connection that had none so far.
    Trailers,
    /// Heads of messages, or trailers.
    Heads,
}

impl Default for Missing {
    fn default() -> Self {
        Self { room: Some(0), chance: Chance::Nothing }
    }
}

impl Missing {
    /// So many entries may have been inserted; `None` when nobody knows.
    pub(super) fn inserts(self) -> Option<u64> {
        // A name that is indexed and an empty value are two octets.
        self.room.map(|room| room.saturating_sub(HEADER_LEN as u64) / 2)
    }
}

/// A header block of which fragments are outstanding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) promised: Option<u32>,
    pub(super) priority: Option<StreamPriority>,
    pub(super) is_end_stream: bool,
    pub(super) span: Span,
    /// Octets of its frames.
    pub(super) size: u64,
    /// False when bytes are missing: what is here is its start.
    pub(super) is_whole: bool,
    /// Octets of it that are missing, `None` when nobody knows how many.
    pub(super) lacking: Option<u64>,
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
                authorities: Authorities::default(),
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
        core.streams.insert(1, Stream::answering(exchange));
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
        if matches!(event, StreamEvent::Data(_)) {
            other.answered(&mut |piece| core.piece(side.other(), piece, out));
        }
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

    /// When the oldest of what was taken in and not told came.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let frames = self.framers.iter().filter_map(Framer::pending_since);
        let blocks = self.core.directions.iter().filter_map(|direction| direction.block);
        frames.chain(blocks.map(|block| block.span.first.time)).min()
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
            has_trailers: false,
            missing: None,
        }
    }

    /// Adds a fragment; false when the block is larger than is kept.
    pub(super) fn gather(&mut self, fragment: &[u8]) -> bool {
        if self.bytes.len() + fragment.len() > self.bound {
            return false;
        }
        self.bytes.extend_from_slice(fragment);
        self.lease.set(self.bytes.capacity());
        true
    }
}

impl Core {
    pub(super) fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    /// The true role of a side that came in.
    pub(super) fn role(&self, side: Side) -> Side {
        if self.roles == Roles::Flipped { side.other() } else { side }
    }

    /// Content says that `side` is `role`.
    pub(super) fn settle(&mut self, side: Side, role: Side) {
        if self.roles == Roles::Unknown {
            self.roles = if side == role { Roles::Straight } else { Roles::Flipped };
        }
    }

    /// How the exchange on a stream is called.
    pub(super) fn name(&self, stream: u32) -> StreamId {
        let own = StreamId(u64::from(stream));
        match self.upgraded {
            Some(exchange) if stream == 1 => exchange,
            Some(exchange) if own == exchange => StreamId(1),
            _ => own,
        }
    }

    pub(super) fn piece(&mut self, side: Side, piece: Piece<'_>, out: Sink<'_>) {
        let direction = &self.directions[side.index()];
        // Between the frames of a header block stands nothing else (RFC 9113 §6.10).
        if let Some(block) = direction.block
            && !matches!(piece, Piece::Frame { header, .. } if header.kind == kind::CONTINUATION && header.stream == block.stream)
        {
            let is_torn = matches!(piece, Piece::Lost(_));
            if !is_torn {
                self.note(AnomalyKind::FrameMalformed, block.span.last);
            }
            self.directions[side.index()].block = None;
            let bytes = std::mem::take(&mut self.directions[side.index()].bytes);
            let lacking = block.lacking.filter(|_| is_torn);
            self.decode(side, Block { is_whole: false, lacking, ..block }, &bytes, out);
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
                self.on(stream, |stream| stream.content(role, chunk, framing, out));
            }
            Piece::DataLost { stream, len, stamp, framing } => {
                let role = self.role(side);
                self.on(stream, |stream| stream.lost(role, len, stamp, framing, out));
            }
            Piece::DataEnd { header, framing, span } => {
                let role = self.role(side);
                self.on(header.stream, |stream| {
                    stream.framing(role, framing);
                    if header.has(flag::END_STREAM) {
                        stream.end(role, span, out);
                    }
                });
            }
            Piece::Lost(_) => self.lose(side),
            Piece::Found { room } => self.found(side, room),
            Piece::Garbage(stamp) => {
                self.note(AnomalyKind::FrameMalformed, stamp);
                self.lose(side);
            }
        }
    }

    /// Frames of this side are missing.
    pub(super) fn lose(&mut self, side: Side) {
        let role = self.role(side);
        for stream in self.streams.values_mut() {
            stream.tear(role);
        }
        let chance = self.chance(side);
        let direction = &mut self.directions[side.index()];
        direction.has_lost = true;
        let missing = direction.missing.get_or_insert_default();
        missing.chance = missing.chance.max(chance);
    }

    /// The first frame behind missing ones; `room` octets of frames were not read.
    fn found(&mut self, side: Side, room: Option<u64>) {
        let direction = &mut self.directions[side.index()];
        direction.has_lost = true;
        let missing = direction.missing.get_or_insert_default();
        missing.room = room.and_then(|room| Some(missing.room? + room));
        if room.is_none_or(|room| room >= HEADER_LEN as u64) {
            // The acknowledgment of any SETTINGS may be missing.
            let sizes = self.directions[side.other().index()].settings.iter().flatten().max();
            if let Some(&size) = sizes {
                self.directions[side.index()].decoder.allow_up_to(size as usize);
            }
        }
        if room.is_none_or(|room| room >= SETTINGS_LEN) {
            self.directions[side.index()].settings.clear();
            // SETTINGS may be missing that the other side acts on.
            self.directions[side.other().index()].decoder.allow_any();
        }
    }

    /// What header blocks a side may send now, but for those of new streams: heads and trailers of streams that are open, answers to
    /// requests that were lost.
    pub(super) fn chance(&self, side: Side) -> Chance {
        let role = self.role(side);
        let has_more = match role {
            _ if self.roles == Roles::Unknown => true,
            Side::Server => self.directions[side.other().index()].has_lost,
            Side::Client => false,
        };
        if has_more {
            return Chance::Heads;
        }
        let progress = self.streams.values().map(|stream| stream.progress(role));
        let chance = progress.map(|progress| match progress {
            Progress::Idle => Chance::Heads,
            Progress::Body if self.directions[side.index()].has_trailers => Chance::Heads,
            Progress::Body => Chance::Trailers,
            Progress::Done => Chance::Nothing,
        });
        chance.max().unwrap_or_default()
    }

    pub(super) fn frame(
        &mut self,
        side: Side,
        header: FrameHeader,
        payload: &[u8],
        whole: bool,
        span: Span,
        out: Sink<'_>,
    ) {
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

    /// SETTINGS of one side: what the other side may do.
    pub(super) fn settings(&mut self, side: Side, payload: &[u8]) {
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
    pub(super) fn acknowledged(&mut self, side: Side) {
        let acknowledged = self.directions[side.other().index()].settings.pop_front();
        if let Some(Some(size)) = acknowledged {
            self.directions[side.index()].decoder.allow(size as usize);
        }
    }

    pub(super) fn account(&mut self) {
        self.lease.set(self.streams.len() * (size_of::<Stream>() + 16));
    }
}
