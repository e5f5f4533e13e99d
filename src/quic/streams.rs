//! The streams of one connection.

use std::collections::{BTreeMap, BTreeSet};

use super::event::QuicEvent;
use super::numbers::Numbers;
use super::ranges::Ranges;
use crate::base::{Budget, FrameNumber, Limits, Span, Stamp};
use crate::tcp::reassembly::{Assembler, Stored};
use crate::tcp::{Side, StreamEvent};

/// Runs of finished streams that are told apart, for each of the four types.
const FINISHED_KEPT: usize = 256;

/// Patience with a hole, when the peer got a packet that is not in the capture: reordering in the capture, or a retransmission of
/// something else, may still fill it.
const PATIENCE_MIN: u64 = 200_000_000;
const PATIENCE_MAX: u64 = 2_000_000_000;

/// Frames between two looks at holes that are old, but have not seen enough frames.
const FRAMES_BETWEEN: u64 = 32;

/// Packets before the first one of a stream that may have carried its beginning.
const LOOK_BACK: u64 = 128;

/// Where stream events go.
pub type Out<'o> = dyn FnMut(QuicEvent<'_>) + 'o;

/// Streams sorted by type first: both low bits of the identifier on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn of(stream: u64) -> Self {
        Self(stream.rotate_right(2))
    }

    fn stream(self) -> u64 {
        self.0.rotate_left(2)
    }

    fn kind(self) -> usize {
        (self.0 >> 62) as usize
    }

    fn index(self) -> u64 {
        self.0 & !(3 << 62)
    }
}

/// Who opened a stream, and whether only that side sends ([RFC 9000 §2.1](https://www.rfc-editor.org/rfc/rfc9000#section-2.1)).
fn nature(stream: u64) -> (Side, bool) {
    (if stream & 1 == 0 { Side::Client } else { Side::Server }, stream & 2 != 0)
}

struct Stream {
    halves: [Half; 2],
}

/// What one side sends on a stream.
struct Half {
    assembler: Assembler,
    /// Number of the last packet whose bytes were next in order.
    edge: u64,
    /// Where and how it ends, when that is known.
    end: Option<End>,
    /// The peer asked to stop.
    stopped: Option<(u64, Stamp)>,
    /// Nothing more will be handed on.
    done: bool,
}

#[derive(Clone, Copy)]
struct End {
    at: u64,
    stamp: Stamp,
    /// Error code of a reset; none when the stream simply ends.
    code: Option<u64>,
}

/// What the streams counted since it was last asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Frames that brought bytes again.
    pub retransmissions: u32,
    /// Frames that brought other bytes than before.
    pub differs: u32,
    /// Bytes given up.
    pub lost: u64,
    /// Holes given up.
    pub gaps: u32,
    /// Frames that break a rule of streams.
    pub malformed: u32,
    /// Streams given up because there were too many.
    pub evicted: u32,
}

/// A STREAM frame and where it stood.
#[derive(Debug, Clone, Copy)]
pub struct StreamFrame<'a> {
    /// Stream.
    pub stream: u64,
    /// Sender.
    pub side: Side,
    /// Offset of the first byte.
    pub offset: u64,
    /// True when the stream ends behind these bytes.
    pub fin: bool,
    /// Content.
    pub data: &'a [u8],
    /// Packet number.
    pub number: u64,
    /// Where it was captured.
    pub span: Span,
}

/// All streams of a connection.
pub struct Streams {
    open: BTreeMap<Key, Stream>,
    finished: [Ranges; 4],
    /// Halves with a hole.
    waiting: BTreeSet<(Key, Side)>,
    /// No hole is given up before this time, unless loss is found.
    next_check: i64,
    /// When that was tried in vain, because too few frames had come.
    checked: Option<FrameNumber>,
    tallies: [Tally; 2],
}

impl Default for Streams {
    fn default() -> Self {
        let finished = std::array::from_fn(|_| Ranges::new(FINISHED_KEPT));
        let tallies = [Tally::default(); 2];
        Self { open: BTreeMap::new(), finished, waiting: BTreeSet::new(), next_check: i64::MAX, checked: None, tallies }
    }
}

impl Streams {
    /// Takes a STREAM frame.
    pub fn push(&mut self, frame: StreamFrame<'_>, limits: &Limits, budget: &Budget, out: &mut Out<'_>) {
        let StreamFrame { stream, side, offset, fin, data, number, span } = frame;
        let (opener, one_way) = nature(stream);
        let tally = &mut self.tallies[side.index()];
        if one_way && opener != side {
            tally.malformed += 1;
            return;
        }
        let key = Key::of(stream);
        if !self.open.contains_key(&key) {
            if self.finished.get(key.kind()).is_some_and(|finished| finished.contains(key.index())) {
                tally.retransmissions += 1;
                return;
            }
            self.make_room(span.last, limits, out);
            self.open.insert(key, Stream::new(budget, number));
        }
        let tally = &mut self.tallies[side.index()];
        let Some(half) = self.open.get_mut(&key).and_then(|open| open.halves.get_mut(side.index())) else { return };
        if half.done {
            tally.retransmissions += 1;
            return;
        }
        let end = offset.saturating_add(data.len() as u64);
        let allowed = half.end.map_or(u64::MAX, |end| end.at);
        if end > allowed || fin && end < half.assembler.high() {
            tally.malformed += 1;
            return;
        }
        if fin && half.end.is_none() {
            half.end = Some(End { at: end, stamp: span.last, code: None });
        }
        let before = half.assembler.next();
        let Stored { fresh, differs } =
            half.assembler.push(offset, data, span, &mut |event| out(QuicEvent::Stream(stream, side, event)));
        tally.retransmissions += u32::from(fresh < data.len() as u64);
        tally.differs += u32::from(differs);
        if half.assembler.next() > before {
            half.edge = number;
        }
        while half.assembler.is_over(limits.tcp_hole, limits.tcp_hole_segments)
            && let Some((hole, _)) = half.assembler.first_hole()
        {
            half.give_up(hole.end, span.last, stream, side, tally, out);
        }
        self.settle(key, side, out);
    }

    /// Takes a RESET_STREAM: bytes before `reliable` still count.
    pub fn reset(&mut self, stream: u64, side: Side, code: u64, reliable: u64, stamp: Stamp, out: &mut Out<'_>) {
        let key = Key::of(stream);
        let (opener, one_way) = nature(stream);
        if one_way && opener != side {
            self.tallies[side.index()].malformed += 1;
            return;
        }
        let Some(half) = self.open.get_mut(&key).and_then(|open| open.halves.get_mut(side.index())) else {
            return;
        };
        if half.done {
            return;
        }
        half.end = Some(End { at: reliable.min(half.assembler.high()), stamp, code: Some(code) });
        self.settle(key, side, out);
    }

    /// Takes a STOP_SENDING by the peer of `side`. A stream that was complete already needs no stop, so that only its end tells.
    pub fn stop(&mut self, stream: u64, side: Side, code: u64, stamp: Stamp) {
        if let Some(half) = self.open.get_mut(&Key::of(stream)).and_then(|open| open.halves.get_mut(side.index())) {
            half.stopped.get_or_insert((code, stamp));
        }
    }

    /// Tells the end of a half when everything before it was handed on, and notes whether it waits.
    fn settle(&mut self, key: Key, side: Side, out: &mut Out<'_>) {
        let Some(stream) = self.open.get_mut(&key) else { return };
        let Some(half) = stream.halves.get_mut(side.index()) else { return };
        half.finish_at_end(key.stream(), side, out);
        let waits = !half.done && half.hole().is_some();
        if waits {
            if self.waiting.insert((key, side)) {
                self.next_check = i64::MIN;
            }
        } else if !self.waiting.is_empty() {
            self.waiting.remove(&(key, side));
        }
        if stream.is_done(key.stream()) {
            self.open.remove(&key);
            if let Some(finished) = self.finished.get_mut(key.kind()) {
                finished.insert(key.index());
            }
        }
    }

    /// Gives up the oldest request streams, then any, when there are too many.
    fn make_room(&mut self, stamp: Stamp, limits: &Limits, out: &mut Out<'_>) {
        while self.open.len() >= limits.quic_streams {
            let Some((key, mut stream)) = self.open.pop_first() else { return };
            for (side, half) in Side::BOTH.into_iter().zip(&mut stream.halves) {
                if !half.done && half.assembler.high() > 0 {
                    out(QuicEvent::Stream(key.stream(), side, StreamEvent::Reset(half.assembler.clamp(stamp))));
                }
                self.waiting.remove(&(key, side));
            }
            self.tallies[0].evicted += 1;
            if let Some(finished) = self.finished.get_mut(key.kind()) {
                finished.insert(key.index());
            }
        }
    }

    /// True when a hole may be given up at this time.
    #[inline]
    pub fn is_due(&self, stamp: Stamp) -> bool {
        stamp.time.0 >= self.next_check
            && self.checked.is_none_or(|checked| checked.0.abs_diff(stamp.frame.0) >= FRAMES_BETWEEN)
    }

    /// Lets the next look at holes be soon: new loss was found.
    pub fn note_loss(&mut self) {
        if !self.waiting.is_empty() {
            self.next_check = i64::MIN;
        }
    }

    /// Gives up holes that nothing will fill any more. A hole is lost some time after the peer acknowledged a packet that is not
    /// in the capture and may have filled it; else after a longer time.
    pub fn check(&mut self, numbers: &[Numbers; 2], rtt: Option<u64>, now: Stamp, limits: &Limits, out: &mut Out<'_>) {
        let patience = rtt.unwrap_or(0).saturating_mul(4).clamp(PATIENCE_MIN, PATIENCE_MAX);
        let mut next_check = i64::MAX;
        self.checked = None;
        for (key, side) in std::mem::take(&mut self.waiting) {
            let Some(half) = self.open.get_mut(&key).and_then(|open| open.halves.get_mut(side.index())) else {
                continue;
            };
            while let Some((until, since)) = half.hole() {
                let found = numbers.get(side.index()).and_then(|numbers| numbers.lost_after(half.edge));
                let late = since.time.0.saturating_add_unsigned(limits.tcp_hole_age);
                let due = match found {
                    Some(found) => late.min(found.max(since.time).0.saturating_add_unsigned(patience)),
                    None => late,
                };
                let is_due = now.time.0 >= due;
                if !is_due || !limits.has_passed(0, since, now) {
                    next_check = next_check.min(due);
                    self.checked = self.checked.or(is_due.then_some(now.frame));
                    self.waiting.insert((key, side));
                    break;
                }
                half.give_up(until, now, key.stream(), side, &mut self.tallies[side.index()], out);
            }
            self.settle(key, side, out);
        }
        // Settling asks for a look at once where a hole is new; all of these were looked at.
        self.next_check = next_check;
    }

    /// Hands on all that waits behind holes: nothing more will come.
    pub fn finish(&mut self, stamp: Stamp, out: &mut Out<'_>) {
        for (key, mut stream) in std::mem::take(&mut self.open) {
            for (side, half) in Side::BOTH.into_iter().zip(&mut stream.halves) {
                if half.done {
                    continue;
                }
                let until = half.end.map_or(half.assembler.high(), |end| end.at.max(half.assembler.high()));
                half.give_up(until, stamp, key.stream(), side, &mut self.tallies[side.index()], out);
                half.finish_at_end(key.stream(), side, out);
                if !half.done
                    && let Some((code, stamp)) = half.stopped
                {
                    let stamp = half.assembler.clamp(stamp);
                    out(QuicEvent::StreamReset { stream: key.stream(), side, code, stamp });
                }
            }
        }
        self.waiting.clear();
    }

    /// What was counted for a side since the last call.
    pub fn take_tally(&mut self, side: Side) -> Tally {
        std::mem::take(&mut self.tallies[side.index()])
    }

    /// Bytes that the tables allocate; what streams hold back is leased by themselves.
    pub fn allocated(&self) -> usize {
        // A tree node is about two thirds full.
        self.open.len() * (size_of::<Key>() + size_of::<Stream>()) * 3 / 2
            + self.finished.iter().map(Ranges::allocated).sum::<usize>()
            + self.waiting.len() * size_of::<(Key, Side)>() * 3 / 2
    }
}

impl Stream {
    fn new(budget: &Budget, number: u64) -> Self {
        let half = || Half {
            assembler: Assembler::new(budget.lease()),
            edge: number.saturating_sub(LOOK_BACK),
            end: None,
            stopped: None,
            done: false,
        };
        Self { halves: [half(), half()] }
    }

    /// True when every side that may send has ended.
    fn is_done(&self, stream: u64) -> bool {
        let (opener, one_way) = nature(stream);
        Side::BOTH.iter().zip(&self.halves).all(|(&side, half)| half.done || one_way && side != opener)
    }
}

impl Half {
    /// End of the first hole and the stamp of what showed it.
    fn hole(&self) -> Option<(u64, Stamp)> {
        if let Some((hole, shown)) = self.assembler.first_hole() {
            return Some((hole.end, shown));
        }
        // The end may be known from a frame without bytes.
        self.end.filter(|end| end.at > self.assembler.next()).map(|end| (end.at, end.stamp))
    }

    fn finish_at_end(&mut self, stream: u64, side: Side, out: &mut Out<'_>) {
        if let Some(end) = self.end
            && !self.done
            && self.assembler.next() >= end.at
        {
            self.done = true;
            let stamp = self.assembler.clamp(end.stamp);
            out(match end.code {
                None => QuicEvent::Stream(stream, side, StreamEvent::Fin(stamp)),
                Some(code) => QuicEvent::StreamReset { stream, side, code, stamp },
            });
        }
    }

    fn give_up(&mut self, until: u64, stamp: Stamp, stream: u64, side: Side, tally: &mut Tally, out: &mut Out<'_>) {
        let out = &mut |event: StreamEvent<'_>| {
            if let StreamEvent::Gap { len, .. } = event {
                tally.lost = tally.lost.saturating_add(len);
                tally.gaps += 1;
            }
            out(QuicEvent::Stream(stream, side, event));
        };
        self.assembler.give_up(until, stamp, out);
        self.assembler.pop(u64::MAX, out);
    }
}
