//! Which stream is what, and what the control and QPACK streams say.

use super::exchange::{Exchange, Input, Shared, Sink};
use super::framer::{Framer, Piece, advance, kind};
use super::qpack::Decoder;
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Reader, Stamp, Timestamp};
use crate::http::section::Authorities;
use crate::http::stream::Stream;
use crate::http::{Abort, StreamId};
use crate::tcp::{Chunk, Side, StreamEvent};
use std::collections::{BTreeMap, BTreeSet};

/// Types of unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2).
mod stream_type {
    pub(super) const CONTROL: u64 = 0;
    pub(super) const PUSH: u64 = 1;
    pub(super) const QPACK_ENCODER: u64 = 2;
}

/// SETTINGS_QPACK_MAX_TABLE_CAPACITY ([RFC 9204 §5](https://www.rfc-editor.org/rfc/rfc9204#section-5)).
const QPACK_MAX_TABLE_CAPACITY: u64 = 1;

/// Unidirectional streams that are followed at once: four are needed, and some whose type has not come.
const FOLLOWED: usize = 64;

/// Where pushed exchanges without a stream are called: beyond all QUIC stream identifiers.
const UNKEPT_PROMISE: u64 = 1 << 62;

/// HTTP/3 on one QUIC connection.
///
/// An exchange is called by the identifier of its request stream, a pushed one by that of its push stream; a promise of which no
/// stream comes is told at the end, as 2⁶² + push identifier. When an exchange is over before both its messages are, each message
/// that has not ended is told as aborted, also a response that had not begun.
#[derive(Debug)]
pub struct Connection {
    shared: Shared,
    exchanges: BTreeMap<u64, Exchange>,
    /// Unidirectional streams that are followed; pushes become exchanges.
    streams: BTreeMap<u64, Unidirectional>,
    /// Requests that GOAWAY gave up: what still comes on their streams begins no other exchange. Of too many the oldest are forgotten.
    abandoned: BTreeSet<u64>,
    /// Push streams whose promise has not come, by push identifier.
    unpromised: BTreeMap<u64, u64>,
    /// Of each side: whether its control and its encoder stream were seen.
    has_control: [bool; 2],
    has_encoder: [bool; 2],
    open_exchanges: usize,
    /// Bytes that may be held back.
    bound: usize,
    lease: Lease,
}

/// A unidirectional stream.
#[derive(Debug)]
enum Unidirectional {
    Head(Head),
    Control { framer: Framer, has_settings: bool },
    Encoder,
}

/// The type of a stream, and for a push its identifier, as far as they have come.
#[derive(Debug, Clone, Copy)]
struct Head {
    bytes: [u8; 16],
    have: u8,
}

/// What a control stream says.
enum Said {
    /// The table capacity of SETTINGS.
    Settings(u64),
    /// The first request that is not acted on.
    Goaway(u64, Stamp),
}

impl Connection {
    /// A connection of which nothing was seen.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        let decoder = || Decoder::new(limits.header_table, budget);
        Self {
            shared: Shared {
                limits: limits.into(),
                head: limits.head,
                budget: budget.clone(),
                decoders: [decoder(), decoder()],
                waiting: [BTreeSet::new(), BTreeSet::new()],
                promises: BTreeMap::new(),
                promised: BTreeSet::new(),
                held: 0,
                authorities: Authorities::default(),
                lease: budget.lease(),
                anomalies: Anomalies::default(),
                anomalies_kept: limits.anomalies_kept,
            },
            exchanges: BTreeMap::new(),
            streams: BTreeMap::new(),
            unpromised: BTreeMap::new(),
            has_control: [false; 2],
            has_encoder: [false; 2],
            abandoned: BTreeSet::new(),
            open_exchanges: limits.open_exchanges.max(1),
            bound: limits.blocked,
            lease: budget.lease(),
        }
    }

    /// Takes the next event of one direction of a QUIC stream. [`StreamEvent::Reset`] means that the stream was given up on the
    /// way here; for RESET_STREAM there is [`reset`](Self::reset).
    pub fn push(&mut self, stream: u64, side: Side, event: StreamEvent<'_>, out: Sink<'_>) {
        let input = match event {
            StreamEvent::Data(chunk) => Input::Data(chunk),
            StreamEvent::Gap { len, stamp } => Input::Gap { len, stamp },
            StreamEvent::Fin(stamp) => Input::Fin(stamp),
            StreamEvent::Reset(stamp) => Input::Reset { reason: Abort::Evicted, stamp },
        };
        self.input(stream, side, input, out);
    }

    /// `side` ends its direction of a stream with an error code (RESET_STREAM), or was asked to (STOP_SENDING from the other side).
    pub fn reset(&mut self, stream: u64, side: Side, code: u64, stamp: Stamp, out: Sink<'_>) {
        self.input(stream, side, Input::Reset { reason: Abort::StreamReset(code), stamp }, out);
    }

    /// The connection is over, or no more of it will be looked at: every message that has not ended is aborted.
    pub fn finish(&mut self, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        while let Some((_, mut exchange)) = self.exchanges.pop_first() {
            exchange.abandon(reason, stamp, &mut self.shared, out);
            self.keep_promises(out);
        }
        while let Some((push, promise)) = self.shared.promises.pop_first() {
            self.shared.release(promise.section.allocated());
            let id = StreamId(UNKEPT_PROMISE | push);
            let mut stream = Stream::promised(id, promise.parent, promise.section, promise.frames, out);
            stream.abandon(reason, stamp, out);
        }
        self.unpromised.clear();
        self.streams.clear();
        self.account();
    }

    /// When the oldest exchange began whose request could not be told yet.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let exchanges = self.exchanges.values().filter_map(Exchange::pending_since);
        let promises = self.shared.promises.values().map(|promise| promise.frames.span.first.time);
        exchanges.chain(promises).min()
    }

    /// Faults that belong to no exchange.
    pub fn anomalies(&self) -> &Anomalies {
        &self.shared.anomalies
    }

    fn input(&mut self, id: u64, side: Side, input: Input<'_>, out: Sink<'_>) {
        // The low bits say who opened the stream, and whether both may send (RFC 9000 §2.1).
        match (id & 3, side) {
            (0, _) => self.exchange(id, side, input, out),
            (2, Side::Client) => self.unidirectional(id, side, input, out),
            (3, Side::Server) if self.exchanges.contains_key(&id) => self.exchange(id, side, input, out),
            (3, Side::Server) => self.unidirectional(id, side, input, out),
            // Streams opened by the server for both directions are not HTTP.
            _ => return,
        }
        self.keep_promises(out);
        if self.shared.held > self.bound {
            self.relieve(id, input.stamp(), out);
        }
    }

    fn exchange(&mut self, id: u64, side: Side, input: Input<'_>, out: Sink<'_>) {
        // A stream is opened by its first bytes, or the loss of them; anything else is the rest of one that is over.
        let is_start = match input {
            Input::Data(Chunk { offset, .. }) => offset == 0,
            Input::Gap { .. } => side == Side::Client,
            Input::Fin(_) | Input::Reset { .. } => false,
        };
        if is_start && !self.exchanges.contains_key(&id) && !self.abandoned.contains(&id) {
            self.open(id, input.stamp(), out);
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.push(side, input, &mut self.shared, out);
        // One of which nothing can be told stays until its response is over, so that this is not taken for another one.
        let is_last = side == Side::Server && matches!(input, Input::Fin(_) | Input::Reset { .. });
        if exchange.is_over() || exchange.is_dead() && is_last {
            self.exchanges.remove(&id);
            self.account();
        }
    }

    /// Begins to follow an exchange; the oldest one makes room.
    fn open(&mut self, id: u64, stamp: Stamp, out: Sink<'_>) {
        while self.exchanges.len() >= self.open_exchanges
            && let Some((_, mut oldest)) = self.exchanges.pop_first()
        {
            self.shared.note(AnomalyKind::TooManyExchanges, stamp);
            oldest.abandon(Abort::Evicted, stamp, &mut self.shared, out);
        }
        self.exchanges.insert(id, Exchange::new(id, stamp, &self.shared));
        self.account();
    }

    fn unidirectional(&mut self, id: u64, side: Side, input: Input<'_>, out: Sink<'_>) {
        let is_start = matches!(input, Input::Data(Chunk { offset: 0, .. })) && self.streams.len() < FOLLOWED;
        match self.streams.get_mut(&id) {
            None if is_start => {
                self.head(id, side, Head { bytes: [0; 16], have: 0 }, input, out);
            }
            // The rest of a stream that is not followed.
            None if matches!(input, Input::Data(_) | Input::Fin(_)) => {}
            None => self.lose_unknown(side, input.stamp(), out),
            Some(Unidirectional::Head(head)) => {
                let head = *head;
                self.streams.remove(&id);
                self.head(id, side, head, input, out);
            }
            Some(Unidirectional::Control { .. }) => self.control(id, side, input, out),
            Some(Unidirectional::Encoder) => self.instructions(side, input, out),
        }
    }

    /// Reads the type of a stream, and the push identifier behind it.
    fn head(&mut self, id: u64, side: Side, mut head: Head, input: Input<'_>, out: Sink<'_>) {
        let Input::Data(mut chunk) = input else {
            return if !matches!(input, Input::Fin(_)) {
                self.lose_unknown(side, input.stamp(), out)
            };
        };
        while let &[byte] = advance(&mut chunk, 1).data {
            let Some(place) = head.bytes.get_mut(usize::from(head.have)) else { return };
            *place = byte;
            head.have += 1;
            let mut reader = Reader::new(head.bytes.get(..usize::from(head.have)).unwrap_or_default());
            let Ok(kind) = reader.varint() else { continue };
            if kind != stream_type::PUSH {
                self.follow(id, side, kind);
            } else if let Ok(push) = reader.varint() {
                self.open(id, input.stamp(), out);
                self.unpromised.insert(push, id);
            } else {
                continue;
            }
            if !chunk.data.is_empty() {
                self.input(id, side, Input::Data(chunk), out);
            }
            return;
        }
        self.streams.insert(id, Unidirectional::Head(head));
    }

    /// The start of a stream is missing: it may have been any.
    fn lose_unknown(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        if !self.has_encoder[side.index()] {
            self.lose_inserts(side, stamp, out);
        }
        if !self.has_control[side.index()] {
            self.lose_inserts(side.other(), stamp, out);
        }
    }

    fn control(&mut self, id: u64, side: Side, input: Input<'_>, out: Sink<'_>) {
        let Some(Unidirectional::Control { framer, has_settings }) = self.streams.get_mut(&id) else { return };
        match input {
            Input::Data(mut chunk) => {
                let mut said = Vec::new();
                while !chunk.data.is_empty() {
                    let Some(Piece::Frame { kind, payload, span, .. }) = framer.next(&mut chunk) else { continue };
                    match kind {
                        kind::SETTINGS => {
                            *has_settings = true;
                            said.push(Said::Settings(capacity(payload)));
                        }
                        kind::GOAWAY => {
                            said.extend(Reader::new(payload).varint().map(|first| Said::Goaway(first, span.last)));
                        }
                        _ => {}
                    }
                }
                for said in said {
                    self.heed(side, said, out);
                }
            }
            Input::Gap { len, stamp } => {
                framer.gap(len);
                if !*has_settings {
                    self.lose_inserts(side.other(), stamp, out);
                }
            }
            Input::Fin(_) | Input::Reset { .. } => {}
        }
    }

    fn instructions(&mut self, side: Side, input: Input<'_>, out: Sink<'_>) {
        match input {
            Input::Data(chunk) => {
                let decoder = self.shared.decoder(side);
                let before = decoder.inserted();
                match decoder.instructions(chunk.data) {
                    Ok(()) if decoder.inserted() == before => {}
                    Ok(()) => self.wake(side, out),
                    Err(_) => {
                        self.shared.note(AnomalyKind::FrameMalformed, chunk.span.last);
                        self.lose_inserts(side, chunk.span.last, out);
                    }
                }
            }
            Input::Gap { stamp, .. } | Input::Reset { stamp, .. } => self.lose_inserts(side, stamp, out),
            Input::Fin(_) => {}
        }
    }

    /// The type of a stream has come.
    fn follow(&mut self, id: u64, side: Side, kind: u64) {
        let at = side.index();
        let stream = match kind {
            stream_type::CONTROL if !self.has_control[at] => {
                self.has_control[at] = true;
                let framer = Framer::new(self.shared.head, &self.shared.budget);
                Unidirectional::Control { framer, has_settings: false }
            }
            stream_type::QPACK_ENCODER if !self.has_encoder[at] => {
                self.has_encoder[at] = true;
                Unidirectional::Encoder
            }
            // The decoder stream, types of extensions, and reserved ones.
            _ => return,
        };
        self.streams.insert(id, stream);
    }

    fn heed(&mut self, side: Side, said: Said, out: Sink<'_>) {
        match said {
            Said::Settings(capacity) => {
                self.shared.decoder(side.other()).allow(capacity);
                self.wake(side.other(), out);
            }
            // These requests were not acted on and will not be (RFC 9114 §5.2).
            Said::Goaway(first, stamp) if side == Side::Server => {
                for (&id, exchange) in self.exchanges.range_mut(first..).filter(|(id, _)| *id & 3 == 0) {
                    exchange.abandon(Abort::Closed, stamp, &mut self.shared, out);
                    self.abandoned.insert(id);
                }
                while self.abandoned.len() > self.open_exchanges {
                    self.abandoned.pop_first();
                }
                self.sweep();
            }
            Said::Goaway(..) => {}
        }
    }

    /// Inserts of a side are missing, or what they are counted by.
    fn lose_inserts(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        self.shared.note(AnomalyKind::HeaderStateLost, stamp);
        self.shared.decoder(side).lose();
        self.wake(side, out);
    }

    /// Sections of a side may go on.
    fn wake(&mut self, side: Side, out: Sink<'_>) {
        // What is still blocked afterwards waits for more than there is, so that this ends.
        while let Some((required, id)) = self.shared.due(side) {
            self.rouse(id, side, out);
            self.shared.waiting(side).remove(&(required, id));
        }
    }

    /// One exchange may go on.
    fn rouse(&mut self, id: u64, side: Side, out: Sink<'_>) {
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.wake(side, false, &mut self.shared, out);
            if exchange.is_over() {
                self.exchanges.remove(&id);
                self.account();
            }
        }
        self.keep_promises(out);
    }

    /// Brings promises and push streams together.
    fn keep_promises(&mut self, out: Sink<'_>) {
        if self.unpromised.is_empty() || self.shared.promises.is_empty() {
            return;
        }
        let kept: Vec<u64> =
            self.unpromised.keys().copied().filter(|push| self.shared.promises.contains_key(push)).collect();
        for push in kept {
            let promise = self.shared.promises.remove(&push);
            let exchange = self.unpromised.remove(&push).and_then(|id| self.exchanges.get_mut(&id));
            if let (Some(promise), Some(exchange)) = (promise, exchange) {
                exchange.take_up(promise, &mut self.shared, out);
            }
        }
        self.sweep();
    }

    /// More is held back than may be: this stream waits no longer, nor do promises.
    fn relieve(&mut self, id: u64, stamp: Stamp, out: Sink<'_>) {
        if let Some(exchange) = self.exchanges.get_mut(&id) {
            exchange.flush(stamp, &mut self.shared, out);
            self.sweep();
        }
        while self.shared.held > self.bound
            && let Some((_, promise)) = self.shared.promises.pop_first()
        {
            self.shared.release(promise.section.allocated());
        }
    }

    /// Forgets the exchanges that are over.
    fn sweep(&mut self) {
        self.exchanges.retain(|_, exchange| !exchange.is_over());
        self.account();
    }

    fn account(&mut self) {
        self.lease.set(self.exchanges.len() * (size_of::<Exchange>() + 16) + self.abandoned.len() * 16);
    }
}

/// The table capacity that SETTINGS name; 0 when they do not.
fn capacity(payload: &[u8]) -> u64 {
    let mut reader = Reader::new(payload);
    let mut capacity = 0;
    while let (Ok(id), Ok(value)) = (reader.varint(), reader.varint()) {
        if id == QPACK_MAX_TABLE_CAPACITY {
            capacity = value;
        }
    }
    capacity
}
