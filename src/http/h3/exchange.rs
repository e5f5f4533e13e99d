//! One request stream with its response, or one push stream.

use super::framer::{Framer, Piece, kind};
use super::qpack::{Decoder, Readiness, UNTIL_SETTINGS};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Reader, Span, Stamp, Timestamp};
use crate::http::section::{Authorities, Section, SectionLimits};
use crate::http::stream::{Frames, Progress, Stream};
use crate::http::{Abort, HttpEvent, StreamId, Version};
use crate::tcp::{Chunk, Position, Side};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// H3_NO_ERROR ([RFC 9114 §8.1](https://www.rfc-editor.org/rfc/rfc9114#section-8.1)).
const NO_ERROR: u64 = 0x100;

/// Promises that are remembered once they are told.
const PROMISES: usize = 1000;

/// What all exchanges of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: SectionLimits,
    /// Largest section on the wire.
    pub(super) head: usize,
    pub(super) budget: Budget,
    /// Decoder of what each side sends.
    pub(super) decoders: [Decoder; 2],
    /// Sections of each side that wait: inserts they need, and their stream.
    pub(super) waiting: [BTreeSet<(u64, u64)>; 2],
    /// Promised requests that no stream has taken up, by push identifier.
    pub(super) promises: BTreeMap<u64, Promise>,
    /// Push identifiers promised so far, the last few: a promise may be repeated on other streams.
    pub(super) promised: BTreeSet<u64>,
    /// Bytes held back by all exchanges, and by promises.
    pub(super) held: usize,
    /// Authorities that requests named.
    pub(super) authorities: Authorities,
    pub(super) lease: Lease,
    pub(super) anomalies: Anomalies,
    pub(super) anomalies_kept: usize,
}

/// A promised request.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) parent: StreamId,
    pub(super) section: Section,
    pub(super) frames: Frames,
}

/// What comes on one direction of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'a> {
    Data(Chunk<'a>),
    Gap { len: u64, stamp: Stamp },
    Fin(Stamp),
    Reset { reason: Abort, stamp: Stamp },
}

/// The same, held back.
#[derive(Debug)]
enum Held {
    Data { bytes: Vec<u8>, from: usize, span: Span, offset: u64 },
    Gap { len: u64, stamp: Stamp },
    Fin(Stamp),
    Reset { reason: Abort, stamp: Stamp },
}

/// A section that waits for inserts.
#[derive(Debug)]
struct Blocked {
    bytes: Vec<u8>,
    frames: Frames,
    /// For a promise: its push identifier.
    push: Option<u64>,
    required: u64,
}

/// What a frame came to.
enum Read {
    Section(Box<Section>, Frames),
    Promise(u64, Box<Section>, Frames),
    Blocked(Blocked),
    Nothing,
}

#[derive(Debug)]
struct Half {
    framer: Framer,
    blocked: Option<Blocked>,
    queue: VecDeque<Held>,
}

/// One exchange. What cannot be told yet is held back: what follows a blocked section, and a response whose request has not come.
#[derive(Debug)]
pub(super) struct Exchange {
    quic_id: u64,
    /// Its first bytes.
    since: Stamp,
    stream: Option<Stream>,
    /// True when the request is lost, so that nothing can be told.
    is_dead: bool,
    halves: [Half; 2],
}

impl Shared {
    pub(super) fn note(&mut self, kind: AnomalyKind, stamp: Stamp) {
        self.anomalies.note(kind, Some(stamp), self.anomalies_kept);
    }

    /// Decoder of what a side sends.
    pub(super) fn decoder(&mut self, side: Side) -> &mut Decoder {
        let [client, server] = &mut self.decoders;
        if side == Side::Client { client } else { server }
    }

    /// Sections of a side that wait.
    pub(super) fn waiting(&mut self, side: Side) -> &mut BTreeSet<(u64, u64)> {
        let [client, server] = &mut self.waiting;
        if side == Side::Client { client } else { server }
    }

    /// A section of this side that need wait no longer.
    pub(super) fn due(&mut self, side: Side) -> Option<(u64, u64)> {
        let decoder = self.decoder(side);
        let (inserted, has_lost, has_settings) = (decoder.inserted(), decoder.has_lost(), decoder.has_settings());
        let waiting = self.waiting(side);
        let first = waiting.first().filter(|(required, _)| *required <= inserted || has_lost);
        let last = waiting.last().filter(|(required, _)| *required == UNTIL_SETTINGS && has_settings);
        first.or(last).copied()
    }

    fn hold(&mut self, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
        self.lease.set(self.held);
    }

    /// Reads a frame of a request or push stream.
    fn read(&mut self, side: Side, kind: u64, payload: &[u8], whole: bool, frames: Frames) -> Read {
        match kind {
            kind::HEADERS => return self.decode(side, payload, whole, frames, None, !whole),
            kind::PUSH_PROMISE if side == Side::Server => {
                let mut reader = Reader::new(payload);
                if let Ok(push) = reader.varint() {
                    return self.decode(side, reader.rest(), whole, frames, Some(push), !whole);
                }
            }
            _ => {}
        }
        self.note(AnomalyKind::FrameMalformed, frames.span.last);
        Read::Nothing
    }

    /// Decodes a section, or says what it waits for.
    fn decode(
        &mut self,
        side: Side,
        bytes: &[u8],
        whole: bool,
        frames: Frames,
        push: Option<u64>,
        is_last_chance: bool,
    ) -> Read {
        let mut section = Box::new(Section::new(&self.limits));
        match self.decoder(side).section(bytes, is_last_chance, &mut |field| section.push(field)) {
            Ok(Readiness::Decoded) => {}
            Ok(Readiness::Blocked(required)) => {
                return Read::Blocked(Blocked { bytes: bytes.to_vec(), frames, push, required });
            }
            Err(_) => section.is_malformed |= whole,
        }
        section.has_unknown |= !whole;
        section.is_recovered = self.decoder(side).is_recovered();
        match push {
            None => Read::Section(section, frames),
            Some(push) => Read::Promise(push, section, frames),
        }
    }

    /// Keeps a promise until its stream comes. It may be repeated, and is told once.
    fn promise(&mut self, push: u64, promise: Promise) {
        if !self.promised.insert(push) {
            return;
        }
        if self.promised.len() > PROMISES {
            self.promised.pop_first();
        }
        self.hold(promise.section.allocated());
        self.promises.insert(push, promise);
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
        self.lease.set(self.held);
    }
}

impl Input<'_> {
    /// When it came.
    pub(super) fn stamp(self) -> Stamp {
        match self {
            Input::Data(chunk) => chunk.span.first,
            Input::Gap { stamp, .. } | Input::Fin(stamp) | Input::Reset { stamp, .. } => stamp,
        }
    }
}

impl Held {
    fn new(input: Input<'_>) -> Self {
        match input {
            Input::Data(Chunk { data, span, offset, .. }) => Held::Data { bytes: data.to_vec(), from: 0, span, offset },
            Input::Gap { len, stamp } => Held::Gap { len, stamp },
            Input::Fin(stamp) => Held::Fin(stamp),
            Input::Reset { reason, stamp } => Held::Reset { reason, stamp },
        }
    }

    fn input(&self) -> Input<'_> {
        match *self {
            Held::Data { ref bytes, from, span, offset } => {
                let data = bytes.get(from..).unwrap_or_default();
                let offset = offset.wrapping_add(from as u64);
                Input::Data(Chunk { data, span, offset, position: Position::default() })
            }
            Held::Gap { len, stamp } => Input::Gap { len, stamp },
            Held::Fin(stamp) => Input::Fin(stamp),
            Held::Reset { reason, stamp } => Input::Reset { reason, stamp },
        }
    }

    /// Bytes it takes while it waits.
    fn size(&self) -> usize {
        let bytes = if let Held::Data { bytes, .. } = self { bytes.capacity() } else { 0 };
        bytes + size_of::<Held>()
    }
}

impl Half {
    fn new(shared: &Shared) -> Self {
        Self { framer: Framer::new(shared.head, &shared.budget), blocked: None, queue: VecDeque::new() }
    }

    fn is_empty(&self) -> bool {
        self.blocked.is_none() && self.queue.is_empty()
    }
}

impl Exchange {
    /// A request stream of which nothing has come.
    pub(super) fn new(quic_id: u64, since: Stamp, shared: &Shared) -> Self {
        Self { quic_id, since, stream: None, is_dead: false, halves: [Half::new(shared), Half::new(shared)] }
    }

    /// True when all of it has been told.
    pub(super) fn is_over(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_done) && self.halves.iter().all(Half::is_empty)
    }

    /// When it began, while nothing of it was told.
    pub(super) fn pending_since(&self) -> Option<Timestamp> {
        (self.stream.is_none() && !self.is_dead).then_some(self.since.time)
    }

    /// True when nothing can be told of it.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// True when its request has been told.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn half(&mut self, side: Side) -> &mut Half {
        let [request, response] = &mut self.halves;
        if side == Side::Client { request } else { response }
    }

    /// True when what comes on this side has to wait.
    fn is_held(&self, side: Side) -> bool {
        let [request, response] = &self.halves;
        match side {
            Side::Client => request.blocked.is_some(),
            Side::Server => response.blocked.is_some() || self.stream.is_none(),
        }
    }

    /// The server promised this request, and keeps its promise on this stream.
    pub(super) fn take_up(&mut self, promise: Promise, shared: &mut Shared, out: Sink<'_>) {
        shared.release(promise.section.allocated());
        let id = StreamId(self.quic_id);
        self.stream = Some(Stream::promised(id, promise.parent, promise.section, promise.frames, out));
        self.run_queue(Side::Server, shared, out);
    }

    /// Takes what comes next on one side.
    pub(super) fn push(&mut self, side: Side, input: Input<'_>, shared: &mut Shared, out: Sink<'_>) {
        if self.is_dead {
            if side == Side::Server && matches!(input, Input::Data(Chunk { offset: 0, .. })) {
                shared.note(AnomalyKind::ResponseWithoutRequest, input.stamp());
            }
            return;
        }
        let was_open = self.is_open();
        if self.is_held(side) || !self.half(side).queue.is_empty() {
            self.hold(side, Held::new(input), shared);
        } else if let Some(rest) = self.process(side, input, shared, out) {
            self.hold(side, Held::new(Input::Data(rest)), shared);
        }
        if !was_open && self.is_open() {
            self.run_queue(Side::Server, shared, out);
        }
    }

    fn hold(&mut self, side: Side, held: Held, shared: &mut Shared) {
        shared.hold(held.size());
        self.half(side).queue.push_back(held);
    }

    /// Works off what was held back, until something has to wait again.
    fn run_queue(&mut self, side: Side, shared: &mut Shared, out: Sink<'_>) {
        while !self.is_held(side)
            && !self.is_dead
            && let Some(mut held) = self.half(side).queue.pop_front()
        {
            shared.release(held.size());
            let left = self.process(side, held.input(), shared, out).map(|rest| rest.data.len());
            if let (Some(left), Held::Data { bytes, from, .. }) = (left, &mut held) {
                *from = bytes.len() - left;
                shared.hold(held.size());
                self.half(side).queue.push_front(held);
            }
        }
    }

    /// Inserts have come that a section of this side waits for. With `is_last_chance` it waits no longer.
    pub(super) fn wake(&mut self, side: Side, is_last_chance: bool, shared: &mut Shared, out: Sink<'_>) {
        let was_open = self.is_open();
        if let Some(blocked) = self.half(side).blocked.take() {
            shared.release(blocked.bytes.capacity());
            shared.waiting(side).remove(&(blocked.required, self.quic_id));
            let Blocked { bytes, frames, push, .. } = blocked;
            let read = shared.decode(side, &bytes, true, frames, push, is_last_chance);
            self.take(side, read, shared, out);
            self.run_queue(side, shared, out);
        }
        if !was_open && self.is_open() {
            self.run_queue(Side::Server, shared, out);
        }
    }

    /// Gives up what is held back: `is_dead` from now on.
    pub(super) fn bury(&mut self, stamp: Stamp, shared: &mut Shared) {
        if self.stream.is_none() && !self.half(Side::Server).queue.is_empty() {
            shared.note(AnomalyKind::ResponseWithoutRequest, stamp);
        }
        self.is_dead = true;
        for side in Side::BOTH {
            let half = self.half(side);
            let queue = std::mem::take(&mut half.queue);
            let blocked = half.blocked.take();
            shared.release(queue.iter().map(Held::size).sum());
            if let Some(blocked) = blocked {
                shared.release(blocked.bytes.capacity());
                shared.waiting(side).remove(&(blocked.required, self.quic_id));
            }
        }
    }

    /// Tells what is held back as far as it is known. A response whose request has not come is given up.
    pub(super) fn flush(&mut self, stamp: Stamp, shared: &mut Shared, out: Sink<'_>) {
        for side in Side::BOTH {
            while self.half(side).blocked.is_some() {
                self.wake(side, true, shared, out);
            }
        }
        if self.stream.is_none() {
            self.bury(stamp, shared);
        }
    }

    /// Neither message will become complete.
    pub(super) fn abandon(&mut self, reason: Abort, stamp: Stamp, shared: &mut Shared, out: Sink<'_>) {
        self.flush(stamp, shared, out);
        if let Some(stream) = &mut self.stream {
            stream.abandon(reason, stamp, out);
        }
        self.bury(stamp, shared);
    }

    /// Takes what comes next; the rest of a chunk that has to wait.
    fn process<'c>(&mut self, side: Side, input: Input<'c>, shared: &mut Shared, out: Sink<'_>) -> Option<Chunk<'c>> {
        match input {
            Input::Data(mut chunk) => {
                while !chunk.data.is_empty() && !self.is_dead {
                    self.piece(side, &mut chunk, shared, out);
                    if self.is_held(side) {
                        return Some(chunk).filter(|rest| !rest.data.is_empty());
                    }
                }
            }
            Input::Gap { len, stamp } => self.gap(side, len, stamp, shared, out),
            Input::Fin(stamp) => self.fin(side, stamp, shared, out),
            Input::Reset { reason, stamp } => match &mut self.stream {
                Some(stream) => {
                    if matches!(reason, Abort::StreamReset(code) if code != NO_ERROR)
                        && stream.progress(side) != Progress::Done
                    {
                        stream.fault(AnomalyKind::StreamError, stamp, out);
                    }
                    stream.abort(side, reason, stamp, out);
                }
                None => self.bury(stamp, shared),
            },
        }
        None
    }

    /// Reads one piece off the chunk.
    fn piece(&mut self, side: Side, chunk: &mut Chunk<'_>, shared: &mut Shared, out: Sink<'_>) {
        let [request, response] = &mut self.halves;
        let half = if side == Side::Client { request } else { response };
        match half.framer.next(chunk) {
            Some(Piece::Framing(octets)) => {
                if let Some(stream) = &mut self.stream {
                    stream.framing(side, octets);
                }
            }
            Some(Piece::Data(content)) => {
                if let Some(stream) = &mut self.stream {
                    return stream.content(side, content, 0, out);
                }
                // Content without a request before it.
                let stamp = content.span.first;
                shared.note(AnomalyKind::FrameMalformed, stamp);
                self.bury(stamp, shared);
            }
            Some(Piece::Frame { kind, payload, whole, span, size }) => {
                let frames = Frames { version: Version::Http3, span, size, priority: None };
                let read = shared.read(side, kind, payload, whole, frames);
                self.take(side, read, shared, out);
            }
            None => {}
        }
    }

    /// A section was read, or has to wait.
    fn take(&mut self, side: Side, read: Read, shared: &mut Shared, out: Sink<'_>) {
        let (mut section, frames) = match read {
            Read::Section(section, frames) => (*section, frames),
            Read::Promise(push, mut section, frames) => {
                shared.authorities.complete(&mut section);
                let parent = StreamId(self.quic_id);
                return shared.promise(push, Promise { parent, section: *section, frames });
            }
            Read::Blocked(blocked) => {
                shared.hold(blocked.bytes.capacity());
                shared.waiting(side).insert((blocked.required, self.quic_id));
                self.half(side).blocked = Some(blocked);
                return;
            }
            Read::Nothing => return,
        };
        match (&mut self.stream, side) {
            // In HTTP/3 the end of the stream ends the message.
            (Some(stream), side) => stream.section(side, section, frames, false, out),
            (place @ None, Side::Client) => {
                shared.authorities.complete(&mut section);
                *place = Some(Stream::open(StreamId(self.quic_id), section, frames, out));
            }
            (None, Side::Server) => {}
        }
    }

    fn gap(&mut self, side: Side, len: u64, stamp: Stamp, shared: &mut Shared, out: Sink<'_>) {
        let cut = self.half(side).framer.gap(len);
        let (content, is_torn) = (cut.content, cut.is_torn);
        if let Some(Piece::Frame { kind, payload, whole, span, size }) = cut.frame {
            let frames =
                Frames { version: Version::Http3, span: span.join(Span::of(stamp, false)), size, priority: None };
            let read = shared.read(side, kind, payload, whole, frames);
            self.take(side, read, shared, out);
        }
        let Some(stream) = &mut self.stream else {
            return if is_torn {
                self.bury(stamp, shared)
            };
        };
        if is_torn {
            stream.tear(side);
        }
        // Where the response has not begun there is no content to be lost.
        if stream.progress(side) == Progress::Body
            && let Some(len) = content.or(is_torn.then_some(0))
        {
            stream.lost(side, len, stamp, 0, out);
        }
    }

    fn fin(&mut self, side: Side, stamp: Stamp, shared: &mut Shared, out: Sink<'_>) {
        let is_whole = self.half(side).framer.is_at_boundary();
        match &mut self.stream {
            // A stream that ends within a frame (RFC 9114 §7.1).
            Some(stream) if !is_whole => {
                if stream.progress(side) != Progress::Done {
                    stream.fault(AnomalyKind::FrameMalformed, stamp, out);
                }
                stream.abort(side, Abort::Malformed, stamp, out);
            }
            Some(stream) => stream.finish(side, Span::of(stamp, false), out),
            None if side == Side::Client => self.bury(stamp, shared),
            None => {}
        }
    }
}
